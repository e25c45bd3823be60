"""Facts on their way into the lake: rows, the queue in PostgreSQL that none is lost from, the drain that writes parts.

A fact is told in the transaction of what happened; the relay puts its row into `lake.waiting` in the transaction that takes
it out of the outbox; the drain writes rows as parts, synced, and deletes them afterwards. Between writing and deleting
anything may die: the batch has a name and knows its rows before it is written, the files bear the name, so doing it again
makes the same files, also when others have committed rows of lower numbers meanwhile (those are of the next batch). A file
that was merged since is not written again. Rows have ids made of what they are about: however often a fact comes, it is
one row.

While the disk is full or the store is gone the rows wait, which the log says once, and commerce goes on.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid5

import msgspec
import pyarrow as pa

from laotie.base import metrics
from laotie.base.db import Database, Tx
from laotie.base.events import Event, Told, tag_of
from laotie.base.ids import AccountId, OrderId, ShopId, ShowId, ViewerId, VisitId, new_id
from laotie.base.logs import log
from laotie.base.outbox import list_waiting_of
from laotie.events.fans import Followed, Unfollowed
from laotie.events.identity import GuestMerged
from laotie.events.live import ShowEnded, ShowStarted
from laotie.events.orders import (
    Amounts,
    OrderCancelled,
    OrderPaid,
    OrderPlaced,
    OrderRefunded,
    OrderRepriced,
    OrderReversed,
)
from laotie.lake.aliases import find_aliases
from laotie.lake.late import note_late
from laotie.lake.model import TOPICS, Part
from laotie.lake.parts import Lake, write_parts
from laotie.lake.stores import describe, note_ailing

DRAIN_SIZE_MAX = 20_000
DRAIN_LOCK = 0x1A4E_D4A1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
NOBODY = UUID(int=0)
UNKNOWN = "direct"
"""The source of what has no visit."""


class MoneyKind(StrEnum):
    """What happened to an order's money. `refunded`, `reversed` and `cancelled` are negative."""

    placed = "placed"
    repriced = "repriced"
    cancelled = "cancelled"
    paid = "paid"
    refunded = "refunded"
    reversed = "reversed"
    restored = "restored"


class MoneyRow(msgspec.Struct, frozen=True, kw_only=True, tag="money"):
    """See the topic."""

    id: UUID
    at: datetime
    kind: MoneyKind
    order_id: OrderId
    buyer_id: AccountId
    shop_id: ShopId
    show_id: ShowId | None
    streamer_id: AccountId | None
    visit_id: VisitId | None
    source: str
    placement: str
    campaign: str | None
    is_fan: bool
    rule_version: int
    currency: str
    amounts: Amounts


class ShowRow(msgspec.Struct, frozen=True, kw_only=True, tag="show"):
    """See the topic."""

    id: UUID
    at: datetime
    show_id: ShowId
    shop_id: ShopId
    streamer_id: AccountId
    title: str
    started_at: datetime | None
    ended_at: datetime | None


class FollowRow(msgspec.Struct, frozen=True, kw_only=True, tag="follow"):
    """See the topic."""

    id: UUID
    at: datetime
    viewer_id: ViewerId
    visit_id: VisitId | None
    source: str
    is_fan: bool
    show_id: ShowId | None
    streamer_id: AccountId
    begins: bool
    placement: str


class PersonRow(msgspec.Struct, frozen=True, kw_only=True, tag="person"):
    """See the topic."""

    id: UUID
    at: datetime
    guest_id: ViewerId
    account_id: AccountId


Row = MoneyRow | ShowRow | FollowRow | PersonRow
TOPIC_OF: dict[type[Any], str] = {MoneyRow: "money", ShowRow: "show", FollowRow: "follow", PersonRow: "person"}

HEARD: tuple[type[Event], ...] = (
    OrderPlaced,
    OrderRepriced,
    OrderCancelled,
    OrderPaid,
    OrderRefunded,
    OrderReversed,
    ShowStarted,
    ShowEnded,
    Followed,
    Unfollowed,
    GuestMerged,
)
TAGS = sorted(tag_of(kind) for kind in HEARD)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Row).decode


def money_id(order_id: UUID, kind: MoneyKind, cause_id: UUID | None = None) -> UUID:
    """The id of a fact: of what happens once to an order, its kind says enough."""
    return uuid5(order_id, kind if cause_id is None else f"{kind} {cause_id}")


def show_row(
    *,
    show_id: ShowId,
    shop_id: ShopId,
    streamer_id: AccountId,
    title: str,
    started_at: datetime | None,
    ended_at: datetime | None,
) -> ShowRow:
    """A show's beginning, or with `ended_at` its end."""
    at = ended_at or started_at
    assert at is not None
    return ShowRow(
        id=uuid5(show_id, "ended" if ended_at else "began"),
        at=at,
        show_id=show_id,
        shop_id=shop_id,
        streamer_id=streamer_id,
        title=title,
        started_at=started_at,
        ended_at=ended_at,
    )


def follow_row(
    *,
    at: datetime,
    viewer_id: ViewerId,
    streamer_id: AccountId,
    begins: bool,
    visit_id: VisitId | None = None,
    source: str = UNKNOWN,
    is_fan: bool = False,
    show_id: ShowId | None = None,
    placement: str = UNKNOWN,
) -> FollowRow:
    """A follow that begins or ends."""
    return FollowRow(
        id=uuid5(viewer_id, f"{streamer_id} {'followed' if begins else 'unfollowed'} {microseconds(at)}"),
        at=at,
        viewer_id=viewer_id,
        visit_id=visit_id,
        source=source,
        is_fan=is_fan,
        show_id=show_id,
        streamer_id=streamer_id,
        begins=begins,
        placement=placement,
    )


def person_row(*, at: datetime, guest_id: ViewerId, account_id: AccountId) -> PersonRow:
    """A guest who became an account."""
    return PersonRow(id=uuid5(guest_id, "merged"), at=at, guest_id=guest_id, account_id=account_id)


def row_of(told: Told) -> Row | None:
    """What the lake keeps of a fact. Nothing of money that had paid no order, nor of what an earlier release told."""
    event = told.event
    match event:
        case OrderPlaced():
            return _money(event, MoneyKind.placed, event.placed_at, None)
        case OrderRepriced():
            return _money(event, MoneyKind.repriced, event.repriced_at, event.fact_id)
        case OrderCancelled():
            return _money(event, MoneyKind.cancelled, event.cancelled_at, None)
        case OrderPaid():
            return _money(event, MoneyKind.paid, event.paid_at, None)
        case OrderRefunded():
            return _money(event, MoneyKind.refunded, event.refunded_at, event.fact_id)
        case OrderReversed():
            kind = MoneyKind.restored if event.restored else MoneyKind.reversed
            return _money(event, kind, event.reversed_at, event.fact_id)
        case ShowStarted():
            return show_row(
                show_id=event.show_id,
                shop_id=event.shop_id,
                streamer_id=event.streamer_id,
                title=event.title,
                started_at=event.at,
                ended_at=None,
            )
        case ShowEnded():
            return show_row(
                show_id=event.show_id,
                shop_id=event.shop_id,
                streamer_id=event.streamer_id,
                title=event.title,
                started_at=event.started_at,
                ended_at=max(event.at, event.started_at or event.at),
            )
        case Followed():
            return follow_row(
                at=event.at,
                viewer_id=event.viewer_id,
                streamer_id=event.streamer_id,
                begins=True,
                visit_id=event.visit_id,
                source=event.source,
                is_fan=event.is_fan,
                show_id=event.show_id,
                placement=event.placement,
            )
        case Unfollowed():
            return follow_row(at=event.at, viewer_id=event.viewer_id, streamer_id=event.streamer_id, begins=False)
        case GuestMerged():
            return person_row(at=told.at, guest_id=event.guest_id, account_id=event.account_id)
    raise AssertionError(f"the lake does not hear of {event}")


_OfMoney = OrderPlaced | OrderRepriced | OrderCancelled | OrderPaid | OrderRefunded | OrderReversed


def _money(event: _OfMoney, kind: MoneyKind, at: datetime, fact_id: UUID | None) -> MoneyRow | None:
    credit = event.credit
    if event.amounts is None or credit is None:
        return None
    return MoneyRow(
        id=fact_id or money_id(event.order_id, kind),
        at=at,
        kind=kind,
        order_id=event.order_id,
        buyer_id=event.buyer_id,
        shop_id=event.shop_id,
        show_id=event.show_id,
        streamer_id=credit.streamer_id,
        visit_id=credit.visit_id,
        source=credit.source,
        placement=credit.placement,
        campaign=credit.campaign,
        is_fan=credit.is_fan,
        rule_version=credit.rule_version,
        currency=event.currency,
        amounts=event.amounts,
    )


async def keep(tx: Tx, told: list[Told]) -> None:
    """What the lake does on hearing facts: their rows wait for the drain from the moment that the outbox lets them go."""
    rows = [(one.at, row) for one in told if (row := row_of(one)) is not None]
    await _keep(tx, [row for _, row in rows], [at for at, _ in rows])


async def keep_rows(tx: Tx, rows: Sequence[Row]) -> None:
    """The same for rows that nobody has told of: history out of other books."""
    await _keep(tx, rows, [tx.now] * len(rows))


async def _keep(tx: Tx, rows: Sequence[Row], told_at: list[datetime]) -> None:
    if not rows:
        return
    await tx.run(
        """
        INSERT INTO lake.waiting (id, topic, told_at, row)
        SELECT * FROM unnest(%(ids)s::uuid[], %(topics)s::text[], %(told)s::timestamptz[], %(rows)s::bytea[])
        ON CONFLICT (id) DO NOTHING
        """,
        ids=[row.id for row in rows],
        topics=[TOPIC_OF[type(row)] for row in rows],
        told=told_at,
        rows=[_encode(row) for row in rows],
    )


async def find_pending(tx: Tx, rows: Iterable[Row]) -> set[UUID]:
    """Which of these rows will come into the lake by themselves: they wait, or their facts are in the outbox.

    In the transaction's snapshot, so it must be one (`Database.read`).
    """
    waiting = set(
        await tx.all(UUID, "SELECT id FROM lake.waiting WHERE id = ANY(%(ids)s)", ids=[row.id for row in rows])
    )
    told = [row_of(one) for one in await list_waiting_of(tx, TAGS)]
    return waiting | {row.id for row in told if row is not None}


async def count_waiting(tx: Tx) -> int:
    """How many rows wait for the drain."""
    return await tx.one(int, "SELECT count(*) FROM lake.waiting")


async def list_complete(tx: Tx) -> dict[str, datetime]:
    """From when on the lake has all of each topic."""
    return dict(await tx.tuples("SELECT topic, since FROM lake.complete ORDER BY topic"))


async def mark_complete(tx: Tx, topic: str, since: datetime) -> None:
    """From now on the lake has all of a topic since then, if it has not had more before."""
    await tx.run(
        "UPDATE lake.complete SET since = least(since, %(since)s) WHERE topic = %(topic)s", topic=topic, since=since
    )


async def take_aliases(tx: Tx, rows: Sequence[Row]) -> list[Row]:
    """The rows, of people who left under their aliases; who became one of them is told no more."""
    return [row for _, row in await _take_aliases(tx, list(enumerate(rows))) if row is not None]


async def _take_aliases(tx: Tx, rows: Sequence[tuple[int, Row]]) -> list[tuple[int, Row | None]]:
    aliases = await find_aliases(tx, (id_ for _, row in rows for id_ in _people_of(row)))
    return [(key, _renamed(row, aliases) if aliases else row) for key, row in rows]


def _people_of(row: Row) -> tuple[UUID, ...]:
    match row:
        case MoneyRow():
            return (row.buyer_id,)
        case FollowRow():
            return (row.viewer_id,)
        case PersonRow():
            return (row.guest_id, row.account_id)
    return ()


def _renamed(row: Row, aliases: dict[UUID, UUID]) -> Row | None:
    match row:
        case MoneyRow() if (alias := aliases.get(row.buyer_id)) is not None:
            return msgspec.structs.replace(row, buyer_id=AccountId(alias))
        case FollowRow() if (alias := aliases.get(row.viewer_id)) is not None:
            fields = msgspec.structs.asdict(row)
            return follow_row(**{name: fields[name] for name in fields if name != "id"} | {"viewer_id": ViewerId(alias)})
        case PersonRow() if row.guest_id in aliases or row.account_id in aliases:
            return None
    return row


class _Batch(msgspec.Struct, frozen=True):
    """`again`: somebody has begun it, and nobody knows how far they got."""

    batch_id: UUID
    seqs: list[int]
    again: bool


class Drain:
    """Moves what waits into the lake. Any number of processes may have one; one at a time works."""

    def __init__(self, db: Database, lake: Lake) -> None:
        self._db = db
        self._lake = lake
        self._is_ailing = False
        metrics.LAKE_TAKES.set(1)

    async def turn(self, size: int = DRAIN_SIZE_MAX) -> int:
        """Write one batch; returns how many rows left the queue. A lake that takes nothing is told of, once, and waited for."""
        async with self._db.tx() as guard:
            if not await guard.one(bool, "SELECT pg_try_advisory_xact_lock(%(key)s)", key=DRAIN_LOCK):
                return 0
            batch = await self._name_batch(size)
            if batch is None:
                return 0
            rows = await self._read(batch)
            try:
                told = [row for _, row in rows if row is not None]
                name = f"f-{batch.batch_id.hex}"
                parts = await asyncio.to_thread(write_rows, self._lake, told, name=name, again=batch.again)
                await asyncio.to_thread(note_late, self._lake, parts, now_us=self._db.clock.now_us())
            except Exception as error:  # whatever a store fails with; what must not happen is that commerce hears of it
                self._ail(error, len(rows))
                return 0
            await self._forget(batch)
        if self._is_ailing:
            log.info("the lake takes facts again", facts=len(rows))
        self._is_ailing = False
        note_ailing("lake facts", None)
        metrics.LAKE_TAKES.set(1)
        return len(rows)

    async def empty(self) -> int:
        """Write all that waits (commands, tests); returns how many rows that was."""
        total = 0
        while count := await self.turn():
            total += count
        return total

    async def _name_batch(self, size: int) -> _Batch | None:
        """The batch that was begun and not finished, or the next; name and rows are put down for good before a file has them."""
        async with self._db.tx() as tx:
            begun = await tx.maybe(_Batch, "SELECT batch_id, seqs, true AS again FROM lake.drain")
            if begun is not None:
                return begun
            return await tx.maybe(
                _Batch,
                """
                INSERT INTO lake.drain (batch_id, upto, seqs)
                SELECT %(id)s, max(seq), array_agg(seq)
                FROM (SELECT seq FROM lake.waiting ORDER BY seq LIMIT %(size)s) AS next
                HAVING max(seq) IS NOT NULL RETURNING batch_id, seqs, false AS again
                """,
                id=new_id(),
                size=size,
            )

    async def _read(self, batch: _Batch) -> list[tuple[int, Row | None]]:
        async with self._db.read() as tx:
            found = await tx.tuples(
                "SELECT seq, row FROM lake.waiting WHERE seq = ANY(%(seqs)s) ORDER BY seq", seqs=batch.seqs
            )
            rows = [(seq, _decode(bytes(row))) for seq, row in found]
            return await _take_aliases(tx, rows)

    async def _forget(self, batch: _Batch) -> None:
        async with self._db.tx() as tx:
            await tx.run("DELETE FROM lake.waiting WHERE seq = ANY(%(seqs)s)", seqs=batch.seqs)
            await tx.run("DELETE FROM lake.drain WHERE batch_id = %(id)s", id=batch.batch_id)

    def _ail(self, error: Exception, count: int) -> None:
        metrics.LAKE_TAKES.set(0)
        note_ailing("lake facts", error)
        if not self._is_ailing:
            log.error("the lake takes no facts; they wait in the database", facts=count, error=describe(error))
        self._is_ailing = True


def write_rows(lake: Lake, rows: Sequence[Row], *, name: str, again: bool = False) -> list[Part]:
    """Rows of any topics as parts, synced when this returns; under the same name the same rows are the same files.

    `again`: they may have been written before, and merged since.
    """
    by_topic: dict[str, list[Row]] = {}
    for row in rows:
        by_topic.setdefault(TOPIC_OF[type(row)], []).append(row)
    return [
        part
        for topic, of in by_topic.items()
        for part in write_parts(lake, topic, table_of(topic, of), name=name, again=again)
    ]


def table_of(topic: str, rows: Sequence[Row]) -> pa.Table:
    """Rows of one topic as the lake's columns, each once, by instant and id."""
    own = sorted({row.id: row for row in rows}.values(), key=lambda row: (row.at, row.id.int))
    schema = TOPICS[topic].schema
    columns = [pa.array(list(map(_value(topic, field.name), own)), field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


_AMOUNTS: dict[str, Callable[[Amounts], int]] = {
    "goods_amount": lambda amounts: amounts.goods,
    "shipping_amount": lambda amounts: amounts.shipping,
    "tax_amount": lambda amounts: amounts.tax,
    "shop_discount_amount": lambda amounts: amounts.shop_discount,
    "platform_discount_amount": lambda amounts: amounts.platform_discount,
    "amount": lambda amounts: amounts.amount,
}
_INSTANTS = {"at_us": "at", "started_us": "started_at", "ended_us": "ended_at"}


def _value(topic: str, column: str) -> Callable[[Any], Any]:
    """How a column is read from a row."""
    if column in _AMOUNTS:
        amount = _AMOUNTS[column]
        return lambda row: amount(row.amounts)
    if column in _INSTANTS:
        name = _INSTANTS[column]
        return lambda row: None if (at := getattr(row, name)) is None else microseconds(at)
    field = TOPICS[topic].schema.field(column)
    if pa.types.is_fixed_size_binary(field.type):
        absent = None if field.nullable else NOBODY.bytes
        return lambda row: absent if (one := getattr(row, column)) is None else one.bytes
    return lambda row: getattr(row, column)


def microseconds(at: datetime) -> int:
    """An instant as the lake keeps it."""
    return (at - EPOCH) // MICROSECOND
