"""The database: plain SQL on psycopg 3 behind five verbs, `all`, `one`, `maybe`, `run` and `tell`.

Whoever receives a `Tx` never commits; doors, the worker and the till open transactions. A database that is gone or
full becomes the refusal `Unavailable`, and the pool mends itself.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, LiteralString, TypeVar
from uuid import UUID

import msgspec
import psycopg
import structlog
from psycopg import AsyncConnection, AsyncCursor
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from laotie.base import columns
from laotie.base.clock import Clock
from laotie.base.events import Event, tag_of
from laotie.base.ids import new_id
from laotie.base.logs import log
from laotie.base.refusals import Refusal, Unavailable

T = TypeVar("T")

LAST_WAIT_S = 1.0
AT_ONCE_S = 0.05
SCALARS = (int, str, bool, float, bytes, UUID, datetime)
encode = msgspec.json.Encoder().encode

columns.register()
set_json_dumps(encode)
set_json_loads(msgspec.json.decode)


class Database:
    """A pool of connections to one PostgreSQL, with the clock that its transactions go by."""

    def __init__(self, url: str, *, clock: Clock, pool_max: int, wait_s: float) -> None:
        self.url = url
        self.clock = clock
        self._wait_s = wait_s
        self._winding_down = False
        self._mending: asyncio.Task[None] | None = None
        self._after_commit: list[Callable[[list[Event]], None]] = []
        self.pool: AsyncConnectionPool[AsyncConnection[tuple[Any, ...]]] = AsyncConnectionPool(
            url,
            min_size=min(2, pool_max),
            max_size=pool_max,
            timeout=wait_s,
            open=False,
            kwargs={"autocommit": True, "prepare_threshold": 3},
            configure=_configure,
            reconnect_timeout=30,
            name="laotie",
        )

    @classmethod
    async def open(cls, url: str, *, clock: Clock | None = None, pool_max: int = 16, wait_s: float = 5.0) -> "Database":
        """Connect; refuses with `Unavailable` when nobody answers in time."""
        db = cls(url, clock=clock or Clock(), pool_max=pool_max, wait_s=wait_s)
        try:
            await db.pool.open(wait=True, timeout=30)
        except PoolTimeout:
            await db.pool.close()
            raise Unavailable(part="database") from None
        return db

    async def close(self) -> None:
        """Give all connections back."""
        if self._mending is not None:
            self._mending.cancel()
        await self.pool.close()

    def wind_down(self) -> None:
        """The process is about to end: what is left to write waits a second for a connection, and once in vain, no more."""
        self._winding_down = True
        self._wait_s = min(self._wait_s, LAST_WAIT_S)

    def on_told(self, heard: Callable[[list[Event]], None]) -> None:
        """Call `heard` after each commit that told something (the relay uses it to wake up; never rely on it)."""
        self._after_commit.append(heard)

    @asynccontextmanager
    async def tx(self) -> AsyncIterator["Tx"]:
        """One transaction: committed at the end, rolled back on any exception."""
        async with self._begin("BEGIN") as tx:
            yield tx

    @asynccontextmanager
    async def tx_on_first_trip(self) -> AsyncIterator["Tx"]:
        """Like `tx`, but begun together with the first pipeline, for whoever counts round trips (the till).

        Everything inside goes through `pipelined`; `finish` may commit with the last one.
        """
        async with self._begin("BEGIN", at_once=False) as tx:
            yield tx

    @asynccontextmanager
    async def read(self) -> AsyncIterator["Tx"]:
        """One read-only snapshot: every statement sees the same instant."""
        async with self._begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as tx:
            yield tx

    @asynccontextmanager
    async def _begin(self, begin: LiteralString, *, at_once: bool = True) -> AsyncIterator["Tx"]:
        try:
            async with self.pool.connection(timeout=self._wait_s) as connection:
                tx = Tx(connection, self.clock.now(), begin=None if at_once else begin)
                if at_once:
                    await connection.execute(begin)
                try:
                    yield tx
                    if not tx.finished:
                        await tx.flush()
                        await connection.execute("COMMIT")
                except BaseException:
                    await _roll_back(connection)
                    raise
                finally:
                    if tx.broke_off:
                        await connection.close()  # the pool opens another
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, psycopg.errors.DiskFull) as cause:
            self._mend()
            if self._winding_down:
                self._wait_s = AT_ONCE_S
            log.warning("database unavailable", error=str(cause).strip()[:300], kind=type(cause).__name__)
            raise Unavailable(part="database") from cause
        if tx.told:
            for heard in self._after_commit:
                heard(tx.told)

    def _mend(self) -> None:
        if self._mending is None or self._mending.done():
            self._mending = asyncio.get_running_loop().create_task(self._check())

    async def _check(self) -> None:
        try:
            await self.pool.check()
        except (psycopg.Error, PoolTimeout) as error:
            log.info("the connection pool is still mending", error=str(error).strip()[:200])


async def _configure(connection: AsyncConnection[Any]) -> None:
    await connection.execute("SET TimeZone = 'UTC'")


async def _roll_back(connection: AsyncConnection[Any]) -> None:
    if connection.closed:
        return
    try:
        await connection.execute("ROLLBACK")
    except psycopg.Error:
        await connection.close()


class Tx:
    """An open transaction and its five verbs.

    `Row` is a frozen Struct (matched by column name) or a plain scalar type. SQL has named parameters
    (`%(name)s`); they come as keywords.
    """

    __slots__ = (
        "_begin",
        "_connection",
        "_flushed",
        "_pipelined",
        "_request_ids",
        "broke_off",
        "cause",
        "finished",
        "now",
        "told",
    )

    def __init__(
        self, connection: AsyncConnection[tuple[Any, ...]], now: datetime, *, begin: LiteralString | None = None
    ) -> None:
        self._connection = connection
        self._begin = begin
        self.finished = False
        self.broke_off = False
        self._pipelined = False
        self._flushed = 0
        self.now = now
        self.told: list[Event] = []
        self.cause: UUID | None = None
        self._request_ids: dict[int, str] = {}

    @property
    def database(self) -> str:
        """The name of the database, for what a process remembers about it."""
        return self._connection.info.dbname

    async def all(self, row: type[T], sql: LiteralString, **params: Any) -> list[T]:
        """Every row, in the order the statement gives."""
        cursor = await self._connection.execute(sql, params)
        return _shape(row, cursor, await cursor.fetchall())

    async def one(self, row: type[T], sql: LiteralString, **params: Any) -> T:
        """The one row there is; none or several is a bug."""
        found = await self.all(row, sql, **params)
        assert len(found) == 1, f"expected one row, got {len(found)}"
        return found[0]

    async def maybe(self, row: type[T], sql: LiteralString, **params: Any) -> T | None:
        """The row, if there is one; several is a bug."""
        found = await self.all(row, sql, **params)
        assert len(found) <= 1, f"expected at most one row, got {len(found)}"
        return found[0] if found else None

    async def run(self, sql: LiteralString, **params: Any) -> int:
        """Do it, and say how many rows it touched (-1 inside `pipelined`, where nobody waits for the answer)."""
        cursor = await self._connection.execute(sql, params)
        return -1 if self._pipelined else cursor.rowcount

    async def tuples(self, sql: LiteralString, **params: Any) -> list[tuple[Any, ...]]:
        """Rows as bare tuples: the checkout's form of `all`, where making records would cost more than the reading."""
        return await (await self._connection.execute(sql, params)).fetchall()

    async def send(self, sql: LiteralString, **params: Any) -> "Sent":
        """Inside `pipelined`: ask without waiting; read the answer after the block, when all have come at once."""
        assert self._pipelined
        return Sent(await self._connection.execute(sql, params))

    def tell(self, event: Event, *, request_id: str | None = None) -> None:
        """Publish a fact with this transaction's commit: written to the outbox just before it.

        `request_id` is for batches that serve several requests; otherwise the one bound to the logs is taken.
        """
        if request_id is not None:
            self._request_ids[len(self.told)] = request_id
        self.told.append(event)

    @asynccontextmanager
    async def pipelined(self) -> AsyncIterator[None]:
        """Send the statements inside without waiting for each one's answer; errors surface at the end.

        A pipeline that breaks off leaves the connection's count of prepared statements wrong (the server skipped some
        that the client takes for made), so `broke_off` tells whoever ends the transaction not to use it again.
        """
        try:
            async with self._connection.pipeline():
                self._pipelined = True
                if self._begin is not None:
                    begin, self._begin = self._begin, None
                    await self._connection.execute(begin)
                yield
        except BaseException as error:
            self.broke_off = self.broke_off or not isinstance(error, Refusal)
            raise
        finally:
            self._pipelined = False

    async def finish(self) -> None:
        """Inside the last pipeline of a transaction that one opened oneself: write the news and commit with it."""
        assert self._pipelined
        await self.flush()
        await self._connection.execute("COMMIT")
        self.finished = True

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo only what is inside when it raises; what it told is forgotten too."""
        told, flushed = len(self.told), self._flushed
        try:
            async with self._connection.transaction():
                yield
        except BaseException:
            del self.told[told:]
            self._flushed = flushed
            raise

    async def flush(self) -> None:
        """Write what was told since the last time to the outbox (called by whoever commits)."""
        fresh = self.told[self._flushed :]
        if not fresh:
            return
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        await self._connection.execute(
            """
            INSERT INTO base.outbox (id, tag, body, told_at, request_id)
            SELECT id, tag, body, %(now)s, request_id
            FROM unnest(%(ids)s::uuid[], %(tags)s::text[], %(bodies)s::bytea[], %(request_ids)s::text[])
              AS fact (id, tag, body, request_id)
            """,
            {
                "ids": [new_id() for _ in fresh],
                "tags": [tag_of(type(event)) for event in fresh],
                "bodies": [encode(event) for event in fresh],
                "now": self.now,
                "request_ids": [
                    self._request_ids.get(index, request_id) for index in range(self._flushed, len(self.told))
                ],
            },
        )
        self._flushed = len(self.told)


class Sent:
    """A statement on its way; `tuples` reads its rows once the pipeline has been left."""

    __slots__ = ("_cursor",)

    def __init__(self, cursor: AsyncCursor[tuple[Any, ...]]) -> None:
        self._cursor = cursor

    async def tuples(self) -> list[tuple[Any, ...]]:
        """The rows."""
        return await self._cursor.fetchall()


def _shape(row: type[T], cursor: AsyncCursor[tuple[Any, ...]], found: list[tuple[Any, ...]]) -> list[T]:
    if issubclass(getattr(row, "__supertype__", row), SCALARS):  # ids are NewTypes over UUID
        return [values[0] for values in found]
    assert cursor.description is not None
    names = [column.name for column in cursor.description]
    return [
        msgspec.convert(dict(zip(names, values, strict=True)), row, strict=False, builtin_types=(UUID, datetime, bytes))
        for values in found
    ]


async def retried(attempts: int, act: Callable[[], Awaitable[T]], *, on: type[Exception]) -> T:
    """Do a whole transaction again when it lost a race, at most `attempts` times in all."""
    for left in range(attempts - 1, -1, -1):
        try:
            return await act()
        except on:
            if not left:
                raise
    raise AssertionError("at least one attempt")
