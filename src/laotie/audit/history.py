"""What pages show of the watch: where each promise stands, the days, the runs. Reads of the audit's own tables alone."""

from datetime import date, datetime, timedelta

import msgspec

from laotie.audit.incidents import Incident
from laotie.audit.promises import PROMISES
from laotie.audit.watch import Run, RunId
from laotie.base.db import Tx
from laotie.base.refusals import NotFound

DAYS = 90
INCIDENTS_SHOWN_MAX = 50
RUNS_SHOWN_MAX = 100


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A promise, looked at last and over all rows last; never yet: without instants."""

    promise: str
    checked_at: datetime | None = None
    row_count: int = 0
    whole_at: datetime | None = None
    whole_row_count: int | None = None
    whole_took_ms: int | None = None
    finding_count: int = 0
    facts: dict[str, int] = {}
    broken_since: datetime | None = None


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """A day (UTC): how often was checked, over how many rows in all, and which promises were found broken."""

    on_day: date
    run_count: int
    whole_count: int
    row_count: int
    broken: list[str]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Everything on one page."""

    checked_at: datetime | None
    whole_at: datetime | None
    in_flight_count: int
    standings: list[Standing]
    days: list[Day]
    incidents: list[Incident]

    @property
    def sound(self) -> bool:
        """Everything was looked at, and no promise is broken."""
        return all(one.whole_at is not None and one.broken_since is None for one in self.standings)


async def get_status(tx: Tx) -> Status:
    """Where everything stands: promises in their order, `DAYS` days, incidents that are open or of those days."""
    kept = {
        one.promise: one
        for one in await tx.all(
            Standing,
            """
            SELECT standing.promise, checked_at, row_count, whole_at, whole_row_count, whole_took_ms, facts,
                   coalesce(incident.finding_count, 0) AS finding_count, opened_at AS broken_since
            FROM audit.standing LEFT JOIN audit.incident ON incident.promise = standing.promise AND closed_at IS NULL
            """,
        )
    }
    since = tx.now - timedelta(days=DAYS)
    last = await tx.tuples(
        """
        SELECT max(began_at), max(began_at) FILTER (WHERE is_whole AND is_complete),
               (SELECT in_flight_count FROM audit.run ORDER BY id DESC LIMIT 1)
        FROM audit.run
        """
    )
    checked_at, whole_at, in_flight = last[0]
    return Status(
        checked_at=checked_at,
        whole_at=whole_at,
        in_flight_count=in_flight or 0,
        standings=[kept.get(promise.code, Standing(promise=promise.code)) for promise in PROMISES],
        days=await tx.all(
            Day,
            """
            SELECT on_day, run_count, whole_count, row_count, broken FROM audit.day
            WHERE on_day > %(since)s ORDER BY on_day
            """,
            since=since.date(),
        ),
        incidents=await tx.all(
            Incident,
            """
            SELECT id, promise, opened_at, last_seen_at, closed_at, finding_count, finding_count_max, findings
            FROM audit.incident WHERE closed_at IS NULL OR closed_at >= %(since)s
            ORDER BY closed_at IS NOT NULL, id DESC LIMIT %(limit)s
            """,
            since=since,
            limit=INCIDENTS_SHOWN_MAX,
        ),
    )


async def list_runs(tx: Tx, *, after: RunId | None = None, limit: int = RUNS_SHOWN_MAX, eventful: bool = False) -> list[Run]:
    """The latest first, continued after one; `eventful`: only whole ones and those that found something."""
    return await tx.all(
        Run,
        """
        SELECT id, began_at, took_ms, is_whole, is_complete, asked_by, snapshot_count, row_count, finding_count,
               in_flight_count, checks
        FROM audit.run
        WHERE (%(after)s::uuid IS NULL OR id < %(after)s) AND (NOT %(eventful)s OR is_whole OR finding_count > 0)
        ORDER BY id DESC LIMIT %(limit)s
        """,
        after=after,
        eventful=eventful,
        limit=min(limit, RUNS_SHOWN_MAX + 1),
    )


async def get_run(tx: Tx, run_id: RunId) -> Run:
    """One run, or `NotFound`."""
    run = await tx.maybe(
        Run,
        """
        SELECT id, began_at, took_ms, is_whole, is_complete, asked_by, snapshot_count, row_count, finding_count,
               in_flight_count, checks
        FROM audit.run WHERE id = %(id)s
        """,
        id=run_id,
    )
    if run is None:
        raise NotFound()
    return run
