"""The watch: looks at every promise again and again, by itself, one process at a time, and keeps what it saw.

Two kinds of runs. A *short* one, every minute, looks at what has changed since the last run, and whole at what is quickly
looked at; a *whole* one, every hour, at everything. Where a promise is broken, it is looked at whole until it holds again.

What it costs is bounded: a snapshot is given up for a fresh one after `SNAPSHOT_S_MAX` (only what one promise compares has
to be of one instant), so vacuum is held up by that and the longest check, and each statement ends at `STATEMENT_S_MAX`. Runs
take at most a fifth of the time, whole ones a twentieth. During a sale it stands back. It reads in READ ONLY transactions and
writes into its own tables alone; operators hear of incidents through `messages`.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NewType
from uuid import UUID

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from laotie.audit import anchors, incidents
from laotie.audit.model import Look, Promise, Seen, Touched
from laotie.audit.promises import PROMISES
from laotie.audit.touched import find_touched
from laotie.base import jobs, metrics
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, new_id
from laotie.base.logs import log
from laotie.base.refusals import TooBusy, Unavailable
from laotie.base.settings import Settings
from laotie.lake import Lake

RunId = NewType("RunId", UUID)

WATCH_LOCK = 0xA0D17
CHECK_TASK = "audit.check"
OVERLAP = timedelta(minutes=2)
"""What is written shortly before a run may be committed after it: looked at twice is as good as once."""
WHOLE_MS_MAX = 1_000
"""A promise that takes no longer is looked at whole every time, unless it can be looked at by what has changed."""
TOUCHED_MAX = 100_000
"""With more to look at, looking at everything is quicker."""
SNAPSHOT_S_MAX = 30.0
STATEMENT_S_MAX = 300
STAND_BACK_S = 1.0
STAND_BACK_S_MAX = 60.0
SHARE, WHOLE_SHARE = 5, 20
SHORT_RUNS_KEPT = timedelta(hours=24)
RUNS_KEPT = timedelta(days=90)
FORGOTTEN_AT_ONCE_MAX = 1_000


class WatchBusy(TooBusy, code="watch-busy"):
    """The books are being checked just now."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a run saw of one promise. Without `rows` it was not looked at: it took too long, or there was no time left."""

    promise: str
    is_whole: bool
    rows: int | None
    found: int
    took_ms: int


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run, as it is kept."""

    id: RunId
    began_at: datetime
    took_ms: int
    is_whole: bool
    is_complete: bool
    asked_by: AccountId | None
    snapshot_count: int
    row_count: int
    finding_count: int
    in_flight_count: int
    checks: list[Checked]


class Terms(msgspec.Struct, frozen=True):
    """How often, in seconds."""

    every_s: int
    whole_every_s: int
    limit_s: int

    @classmethod
    def of(cls, settings: Settings) -> "Terms":
        """As set."""
        return cls(settings.watch_every_s, settings.watch_whole_every_s, settings.watch_limit_s)


class _Standing(msgspec.Struct, frozen=True):
    """What is known of a promise from before."""

    promise: str
    whole_at: datetime | None
    whole_took_ms: int | None
    is_broken: bool


class _Task(msgspec.Struct, frozen=True):
    promise: Promise
    is_whole: bool


async def keep_watch(
    db: Database, terms: Terms, *, lake: Lake | None = None, stand_back: Callable[[], bool] = lambda: False
) -> Run | None:
    """Run if it is time, and nobody else runs."""
    async with db.tx() as guard:
        if not await _take_lock(guard):
            return None
        whole, since = await _find_due(guard, terms)
        if since is None and not whole:
            return None
        return await _run(db, guard, terms, whole=whole, since=since, lake=lake, stand_back=stand_back)


async def check_now(
    db: Database, terms: Terms, *, whole: bool = True, asked_by: AccountId | None = None, lake: Lake | None = None
) -> Run:
    """Run at once; refuses `WatchBusy` while another process runs."""
    async with db.tx() as guard:
        if not await _take_lock(guard):
            raise WatchBusy()
        last = await _find_last(guard)
        since = last.at if last else None
        return await _run(db, guard, terms, whole=whole or since is None, since=since, asked_by=asked_by, lake=lake)


async def ask(tx: Tx, asked_by: AccountId) -> None:
    """Have the worker look at everything at once: a job, for it may take minutes."""
    await jobs.defer(tx, CHECK_TASK, {"asked_by": str(asked_by)}, lock=CHECK_TASK)


@jobs.task(CHECK_TASK)
async def _check(context: jobs.Context, asked_by: str) -> None:
    terms, lake = Terms.of(context.settings), Lake.of(context.settings)
    await check_now(context.db, terms, asked_by=AccountId(UUID(asked_by)), lake=lake)


async def _take_lock(guard: Tx) -> bool:
    """Until the guard's transaction ends, also by a death. READ COMMITTED and idle, it holds no snapshot."""
    return await guard.one(bool, "SELECT pg_try_advisory_xact_lock(%(key)s)", key=WATCH_LOCK)


class _Last(msgspec.Struct, frozen=True):
    """The last run that got to its end, and the last whole one."""

    at: datetime
    took: timedelta
    whole_at: datetime
    whole_took: timedelta


async def _find_last(guard: Tx) -> _Last | None:
    return await guard.maybe(
        _Last,
        """
        SELECT last.began_at AS at, last.took_ms * interval '1 millisecond' AS took,
               whole.began_at AS whole_at, whole.took_ms * interval '1 millisecond' AS whole_took
        FROM (SELECT began_at, took_ms FROM audit.run WHERE is_complete OR is_whole ORDER BY id DESC LIMIT 1) AS last,
             (SELECT began_at, took_ms FROM audit.run WHERE is_whole ORDER BY id DESC LIMIT 1) AS whole
        """,
    )


async def _find_due(guard: Tx, terms: Terms) -> tuple[bool, datetime | None]:
    """Whether a whole run is due; and if any is, since when what has changed was not looked at."""
    last = await _find_last(guard)
    if last is None:
        return True, None
    if guard.now >= last.whole_at + max(timedelta(seconds=terms.whole_every_s), last.whole_took * WHOLE_SHARE):
        return True, last.at
    pause = max(timedelta(seconds=terms.every_s), last.took * SHARE)
    return False, last.at if guard.now >= last.at + pause else None


async def _run(
    db: Database,
    guard: Tx,
    terms: Terms,
    *,
    whole: bool,
    since: datetime | None,
    asked_by: AccountId | None = None,
    lake: Lake | None = None,
    stand_back: Callable[[], bool] = lambda: False,
) -> Run:
    began = time.monotonic()
    standings = {one.promise: one for one in await _list_standings(guard)}
    looks = _Looks(db, lake, None if since is None else since - OVERLAP, began + terms.limit_s, stand_back)
    await looks.take([_Task(promise, True) for promise in PROMISES] if whole else _plan(guard.now, standings))
    await _seal(db, anew=any(seen.facts.get(anchors.SUMS_STALE) for seen in looks.seen.values()))
    run = Run(
        id=RunId(new_id()),
        began_at=guard.now,
        took_ms=int((time.monotonic() - began) * 1000),
        is_whole=whole or looks.became_whole,
        is_complete=looks.is_complete,
        asked_by=asked_by,
        snapshot_count=looks.snapshots,
        row_count=sum(one.rows or 0 for one in looks.checked),
        finding_count=sum(one.found for one in looks.checked),
        in_flight_count=looks.in_flight,
        checks=looks.checked,
    )
    await _record(guard, run, looks.seen)
    _measure(run, looks.seen)
    return run


async def _seal(db: Database, *, anew: bool) -> None:
    if anew:
        log.warning("the sums of accounts up to the last anchor are reckoned anew")
        async with db.tx() as tx:
            await anchors.reckon_anew(tx)
    for _ in range(anchors.SEALS_A_RUN):
        async with db.tx() as tx:
            if not await anchors.drop_anchor(tx):
                return


def _plan(now: datetime, standings: dict[str, _Standing]) -> list[_Task]:
    """What a short run looks at, and how."""
    tasks: list[_Task] = []
    for promise in PROMISES:
        known = standings.get(promise.code)
        took_ms = known.whole_took_ms if known else None
        if promise.narrow and not (known and known.is_broken):
            tasks.append(_Task(promise, False))
        elif took_ms is None or took_ms <= WHOLE_MS_MAX:
            tasks.append(_Task(promise, True))
        elif known is not None and known.is_broken and known.whole_at is not None:
            if now >= known.whole_at + timedelta(milliseconds=took_ms) * WHOLE_SHARE:
                tasks.append(_Task(promise, True))
            elif promise.narrow:
                tasks.append(_Task(promise, False))
    return tasks


class _Looks:
    """The looks of one run: snapshot after snapshot, until everything is done or the time is over."""

    def __init__(
        self, db: Database, lake: Lake | None, since: datetime | None, until: float, stand_back: Callable[[], bool]
    ) -> None:
        self.checked: list[Checked] = []
        self.seen: dict[str, Seen] = {}
        self.snapshots = 0
        self.in_flight = 0
        self.became_whole = False
        self._db = db
        self._lake = lake
        self._since = since
        self._until = until
        self._stand_back = stand_back
        self._touched: Touched | None = None

    @property
    def is_complete(self) -> bool:
        """Everything planned was looked at."""
        return all(one.rows is not None for one in self.checked)

    async def take(self, tasks: list[_Task]) -> None:
        """Look at all of these."""
        left = list(tasks)
        while left and time.monotonic() < self._until:
            await self._rest()
            left = await self._take_snapshot(left)
        self.checked += [
            Checked(promise=one.promise.code, is_whole=one.is_whole, rows=None, found=0, took_ms=0) for one in left
        ]

    async def _rest(self) -> None:
        """A sale is under way: wait for it, without a snapshot; but not for ever."""
        rested_s = 0.0
        while self._stand_back() and rested_s < STAND_BACK_S_MAX:
            await asyncio.sleep(STAND_BACK_S)
            rested_s += STAND_BACK_S

    async def _take_snapshot(self, tasks: list[_Task]) -> list[_Task]:
        """Look at as many as one snapshot may; returns what is left."""
        opened = time.monotonic()
        task = tasks[0]
        done = 0
        self.snapshots += 1
        try:
            async with self._db.read() as tx:
                await tx.run("SELECT set_config('statement_timeout', %(limit)s, true)", limit=f"{STATEMENT_S_MAX}s")
                look = Look(tx, lake=self._lake)
                for task in tasks:
                    if done and time.monotonic() - opened >= SNAPSHOT_S_MAX:
                        break
                    await self._take_one(look, task)
                    done += 1
                self.in_flight = max(self.in_flight, len(await look.in_flight()))
                return tasks[done:]
        except Unavailable as cause:
            if not isinstance(cause.__cause__, psycopg.errors.QueryCanceled):
                raise
            log.warning("a promise takes too long to look at", promise=task.promise.code)
        except Exception:  # one check's bug must not blind the watch to all the others
            log.exception("a promise could not be looked at", promise=task.promise.code)
        self.checked.append(Checked(promise=task.promise.code, is_whole=task.is_whole, rows=None, found=0, took_ms=0))
        return tasks[done + 1 :]

    async def _take_one(self, look: Look, task: _Task) -> None:
        began = time.monotonic()
        is_whole = task.is_whole or self._since is None
        if not is_whole:
            if self._touched is None:
                assert self._since is not None
                self._touched = await find_touched(look.tx, self._since)
                self.became_whole = len(self._touched.orders) > TOUCHED_MAX
            is_whole = self.became_whole
        seen = await task.promise.check(look if is_whole or self._touched is None else look.over(self._touched))
        self.seen[task.promise.code] = seen
        self.checked.append(
            Checked(
                promise=task.promise.code,
                is_whole=is_whole,
                rows=seen.rows,
                found=len(seen.wrong),
                took_ms=int((time.monotonic() - began) * 1000),
            )
        )


async def _list_standings(guard: Tx) -> list[_Standing]:
    return await guard.all(
        _Standing,
        """
        SELECT promise, whole_at, whole_took_ms,
               EXISTS (SELECT FROM audit.incident WHERE incident.promise = standing.promise AND closed_at IS NULL)
                 AS is_broken
        FROM audit.standing
        """,
    )


async def _record(guard: Tx, run: Run, seen: dict[str, Seen]) -> None:
    await guard.run(
        """
        INSERT INTO audit.run (id, began_at, took_ms, is_whole, is_complete, asked_by, snapshot_count, row_count,
                               finding_count, in_flight_count, checks)
        VALUES (%(id)s, %(began_at)s, %(took_ms)s, %(is_whole)s, %(is_complete)s, %(asked_by)s, %(snapshots)s, %(rows)s,
                %(found)s, %(in_flight)s, %(checks)s)
        """,
        id=run.id,
        began_at=run.began_at,
        took_ms=run.took_ms,
        is_whole=run.is_whole,
        is_complete=run.is_complete,
        asked_by=run.asked_by,
        snapshots=run.snapshot_count,
        rows=run.row_count,
        found=run.finding_count,
        in_flight=run.in_flight_count,
        checks=Jsonb(run.checks),
    )
    for one in run.checks:
        if one.rows is not None:
            await _record_standing(guard, run, one, seen[one.promise])
            await incidents.follow(guard, run.began_at, one.promise, seen[one.promise], is_whole=one.is_whole)
    await guard.run(
        """
        INSERT INTO audit.day AS day (on_day, run_count, whole_count, row_count, broken)
        VALUES ((%(at)s::timestamptz AT TIME ZONE 'UTC')::date, 1, %(whole)s, %(rows)s, %(broken)s)
        ON CONFLICT (on_day) DO UPDATE SET
            run_count = day.run_count + 1, whole_count = day.whole_count + excluded.whole_count,
            row_count = day.row_count + excluded.row_count,
            broken = ARRAY(SELECT DISTINCT unnest(day.broken || excluded.broken) ORDER BY 1)
        """,
        at=run.began_at,
        whole=int(run.is_whole),
        rows=run.row_count,
        broken=sorted({one.promise for one in run.checks if one.found}),
    )
    await guard.run(
        """
        DELETE FROM audit.run WHERE id IN (
            SELECT id FROM audit.run
            WHERE began_at < %(old)s OR (began_at < %(short)s AND NOT is_whole AND finding_count = 0)
            ORDER BY id LIMIT %(limit)s)
        """,
        old=run.began_at - RUNS_KEPT,
        short=run.began_at - SHORT_RUNS_KEPT,
        limit=FORGOTTEN_AT_ONCE_MAX,
    )


async def _record_standing(guard: Tx, run: Run, one: Checked, seen: Seen) -> None:
    whole: dict[str, Any] = {"at": run.began_at, "rows": one.rows, "took_ms": one.took_ms} if one.is_whole else {}
    await guard.run(
        """
        INSERT INTO audit.standing AS had (promise, checked_at, row_count, finding_count, whole_at, whole_row_count,
                                           whole_took_ms, facts)
        VALUES (%(promise)s, %(at)s, %(rows)s, %(found)s, %(whole_at)s, %(whole_rows)s, %(whole_ms)s, %(facts)s)
        ON CONFLICT (promise) DO UPDATE SET
            checked_at = excluded.checked_at, row_count = excluded.row_count, finding_count = excluded.finding_count,
            whole_at = coalesce(excluded.whole_at, had.whole_at),
            whole_row_count = coalesce(excluded.whole_row_count, had.whole_row_count),
            whole_took_ms = coalesce(excluded.whole_took_ms, had.whole_took_ms),
            facts = CASE WHEN excluded.whole_at IS NULL THEN had.facts ELSE excluded.facts END
        """,
        promise=one.promise,
        at=run.began_at,
        rows=one.rows,
        found=one.found,
        whole_at=whole.get("at"),
        whole_rows=whole.get("rows"),
        whole_ms=whole.get("took_ms"),
        facts=Jsonb(seen.facts),
    )


def _measure(run: Run, seen: dict[str, Seen]) -> None:
    kind = "whole" if run.is_whole else "short"
    metrics.WATCH_SECONDS.labels(kind).observe(run.took_ms / 1000)
    metrics.WATCH_ROWS.labels(kind).inc(run.row_count)
    metrics.WATCH_AT.labels(kind).set(run.began_at.timestamp())
    for one in run.checks:
        if one.rows is not None and (one.is_whole or one.found) and not seen[one.promise].is_blind:
            metrics.PROMISE_BROKEN.labels(one.promise).set(one.found)
    log.info(
        "the books were checked",
        whole=run.is_whole,
        complete=run.is_complete,
        rows=run.row_count,
        found=run.finding_count,
        took_ms=run.took_ms,
    )
