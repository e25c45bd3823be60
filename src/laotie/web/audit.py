"""The watch over the books: to everybody what was checked, when, and whether it holds; to operators what was found."""

from datetime import date, datetime
from typing import Annotated

import msgspec
from litestar import get, post
from litestar.params import QueryParameter

from laotie import audit
from laotie.audit.model import About
from laotie.audit.promises import BY_CODE
from laotie.base.db import Database
from laotie.base.ids import AccountId
from laotie.base.settings import Settings
from laotie.identity import Actor
from laotie.web.given import Given
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page

Eventful = Annotated[bool, QueryParameter(name="eventful", description="Only whole runs and those that found something.")]


class BookPromiseView(msgspec.Struct, kw_only=True):
    """A promise of the books. `rows`: over how much it was looked at last, and over all of it."""

    promise: str
    about: About
    says: str
    rooms: list[str]
    checked_at: datetime | None
    rows: int
    whole_at: datetime | None
    whole_rows: int | None
    broken_since: datetime | None


class StatusDayView(msgspec.Struct, kw_only=True):
    """A day (UTC) on which the books were checked so often, over so many rows in all; `broken`: what did not hold."""

    on: date
    runs: int
    rows: int
    broken: list[str]


class StatusIncidentView(msgspec.Struct, kw_only=True):
    """A promise that was, or is, broken. What exactly is between the operators and those concerned."""

    promise: str
    opened_at: datetime
    last_seen_at: datetime
    closed_at: datetime | None
    findings: int


class StatusView(msgspec.Struct, kw_only=True):
    """Whether the books hold what they promise. `in_flight`: orders whose payment was on its way just then."""

    sound: bool
    checked_at: datetime | None
    whole_at: datetime | None
    every_s: int
    in_flight: int
    promises: list[BookPromiseView]
    days: list[StatusDayView]
    incidents: list[StatusIncidentView]


class AuditFindingView(msgspec.Struct, kw_only=True):
    """One thing that is not as promised."""

    subject: str
    expected: str
    found: str


class AuditIncidentView(msgspec.Struct, kw_only=True):
    """A broken promise in full. `findings` are those of the last look, the first of them."""

    id: audit.IncidentId
    promise: str
    opened_at: datetime
    last_seen_at: datetime
    closed_at: datetime | None
    finding_count: int
    finding_count_max: int
    findings: list[AuditFindingView]


class AuditRunCheckView(msgspec.Struct, kw_only=True):
    """What a run saw of a promise; without `rows` it did not get to it."""

    promise: str
    is_whole: bool
    rows: int | None
    found: int
    took_ms: int


class AuditRunView(msgspec.Struct, kw_only=True):
    """A run: over everything (`is_whole`) or over what had changed."""

    id: audit.RunId
    began_at: datetime
    took_ms: int
    is_whole: bool
    is_complete: bool
    asked_by: AccountId | None
    snapshot_count: int
    row_count: int
    finding_count: int
    in_flight_count: int
    checks: list[AuditRunCheckView]


class AuditAskedView(msgspec.Struct, kw_only=True):
    """The books will be checked as soon as the worker gets to it."""

    asked_at: datetime


@get("/api/status")
async def show_status(db: Given[Database], settings: Given[Settings]) -> StatusView:
    """What was checked of the books, when, over how many rows, and what was found: figures only, nothing of anybody."""
    async with db.read() as tx:
        status = await audit.get_status(tx)
    return StatusView(
        sound=status.sound,
        checked_at=status.checked_at,
        whole_at=status.whole_at,
        every_s=settings.watch_every_s,
        in_flight=status.in_flight_count,
        promises=[
            BookPromiseView(
                promise=one.promise,
                about=BY_CODE[one.promise].about,
                says=BY_CODE[one.promise].says,
                rooms=list(BY_CODE[one.promise].rooms),
                checked_at=one.checked_at,
                rows=one.row_count,
                whole_at=one.whole_at,
                whole_rows=one.whole_row_count,
                broken_since=one.broken_since,
            )
            for one in status.standings
        ],
        days=[
            StatusDayView(on=day.on_day, runs=day.run_count, rows=day.row_count, broken=day.broken) for day in status.days
        ],
        incidents=[
            StatusIncidentView(
                promise=one.promise,
                opened_at=one.opened_at,
                last_seen_at=one.last_seen_at,
                closed_at=one.closed_at,
                findings=one.finding_count_max,
            )
            for one in status.incidents
        ],
    )


@get("/api/audit/incidents")
async def list_incidents(
    db: Given[Database], actor: Given[Actor], after: After = None, limit: Limit = LIMIT_DEFAULT
) -> Page[AuditIncidentView]:
    """Broken promises with what was found, the latest first. Operators only."""
    actor.require_operator()
    async with db.read() as tx:
        found = await audit.list_incidents(tx, after=audit.IncidentId(after) if after else None, limit=limit + 1)
    items = [msgspec.convert(msgspec.to_builtins(one), AuditIncidentView) for one in found[:limit]]
    return Page(items=items, next=str(items[-1].id) if len(found) > limit else None)


@get("/api/audit/runs")
async def list_runs(
    db: Given[Database],
    actor: Given[Actor],
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
    eventful: Eventful = False,
) -> Page[AuditRunView]:
    """Runs of the watch, the latest first. Operators only."""
    actor.require_operator()
    async with db.read() as tx:
        found = await audit.list_runs(
            tx, after=audit.RunId(after) if after else None, limit=limit + 1, eventful=eventful
        )
    items = [msgspec.convert(msgspec.to_builtins(one), AuditRunView) for one in found[:limit]]
    return Page(items=items, next=str(items[-1].id) if len(found) > limit else None)


@post("/api/audit/runs", status_code=202)
async def ask_for_run(db: Given[Database], actor: Given[Actor]) -> AuditAskedView:
    """Have everything checked now: the worker does it, and the run appears in the list. Operators only."""
    operator_id = actor.require_operator()
    async with db.tx() as tx:
        await audit.ask(tx, operator_id)
        return AuditAskedView(asked_at=tx.now)


ROUTES = [show_status, list_incidents, list_runs, ask_for_run]
