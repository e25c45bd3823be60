"""How people behave, over HTTP: growth and stickiness, the deposition funnel, fan retention, orders without a purpose."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter

from laotie import live
from laotie.base.db import Database
from laotie.base.ids import ShopId, ShowId
from laotie.base.refusals import Invalid
from laotie.base.settings import Settings
from laotie.identity import Actor
from laotie.insight import Engine, definitions, funnel, growth, purpose
from laotie.insight.growth import Growth, Missing, Period
from laotie.insight.identities import Level
from laotie.insight.terms import GmvKind
from laotie.web.figures import figures
from laotie.web.given import Given
from laotie.web.house import House
from laotie.web.insight_asked import Asked, Days, FigureAnswer, InLevel, InOf, InSince, InUntil, about, admit, share_of
from laotie.web.insight_currency import InCurrency, usual_currency
from laotie.web.insight_exports import FigureForm, InFigureForm, give
from laotie.web.insight_overview import InKind


class LevelRefused(Invalid, code="level-refused"):
    """There is no such figure at that level."""

    level: Level


class FunnelBy(StrEnum):
    """What a funnel is taken apart by."""

    source = "source"
    campaign = "campaign"
    show = "show"


COLUMNS = {FunnelBy.source: ("source",), FunnelBy.campaign: ("source", "campaign"), FunnelBy.show: ("show_id",)}
SHOWS_MAX = 500
CAMPAIGNS_MAX = 500

InBy = Annotated[FunnelBy, QueryParameter(name="by", description="Taken apart by source, by source and campaign, or by show.")]
WithinHours = Annotated[
    int,
    QueryParameter(
        name="within_h", ge=1, le=purpose.WITHIN_H_MAX, description="How many hours before an order count. Usually 24."
    ),
]


class GrowthRow(msgspec.Struct, frozen=True, kw_only=True):
    """One figure now, a month before and a year before, by the same definition. `…_change` is a share of then; where there is
    none, `…_missing` says why. Amounts in minor units, times in seconds, rates of one.
    """

    figure: str
    now: float | None
    month_before: float | None
    month_change: float | None
    month_missing: Missing | None
    year_before: float | None
    year_change: float | None
    year_missing: Missing | None


class GrowthAnswer(FigureAnswer, frozen=True, kw_only=True):
    """Whole days only: a period that reaches into today ends with yesterday."""

    kind: GmvKind
    currency: str
    month_since: date
    month_until: date
    year_since: date
    year_until: date
    recorded_since: date | None
    """The lake's first day of both people and money."""
    items: list[GrowthRow]


class FunnelRow(msgspec.Struct, frozen=True, kw_only=True):
    """Public viewers, and how many of them did what afterwards. `follower_…`: those who had also followed.

    `fan_groups` is null: there are no fan groups yet. Without source, campaign and show: everybody once.
    """

    source: str | None = None
    campaign: str | None = None
    show_id: UUID | None = None
    title: str | None = None
    viewers: int
    followers: int
    fan_groups: int | None = None
    buyers: int
    repeat_buyers: int
    follower_buyers: int
    follower_repeat_buyers: int


class FunnelAnswer(FigureAnswer, frozen=True, kw_only=True):
    """In total, and taken apart; the largest first. `left_out`: how many rows more there are."""

    by: FunnelBy
    total: FunnelRow
    items: list[FunnelRow]
    left_out: int


class RetentionRow(msgspec.Struct, frozen=True, kw_only=True):
    """Fans won in the period and `days` days: of how many these are over, how many of them still followed, how many had come
    again on a later day. Without a source: all.
    """

    source: str | None
    days: int
    fans: int
    due: int
    kept: int
    back: int
    kept_share: float | None
    back_share: float | None


class RetentionAnswer(FigureAnswer, frozen=True, kw_only=True):
    """All fans, then by source, each with 1, 7 and 30 days."""

    items: list[RetentionRow]


class PurposeRow(msgspec.Struct, frozen=True, kw_only=True):
    """Orders placed, and those with no search and no product looked at before (`purposeless`), or none before the visit to
    the show that they came from (`unprompted`). Without a source: all.
    """

    source: str | None
    orders: int
    unprompted: int
    purposeless: int
    unprompted_share: float | None
    purposeless_share: float | None


class PurposeAnswer(FigureAnswer, frozen=True, kw_only=True):
    """In total, and by source."""

    within_h: int
    total: PurposeRow
    items: list[PurposeRow]


@get("/api/insight/growth")
async def get_growth(
    actor: Given[Actor], db: Given[Database], house: Given[House], settings: Given[Settings], level: InLevel,
    of: InOf = None, kind: InKind = GmvKind.paid, since: InSince = None, until: InUntil = None,
    currency: InCurrency = None, form: InFigureForm = FigureForm.json,
) -> Response[GrowthAnswer]:  # fmt: skip
    """How the period's figures compare with the same days a month and a year before, by the same definitions."""
    asked = await admit(db, actor, level, of, zone=settings.books_zone)
    days = asked.days(since, until, now=db.clock.now(), zone=settings.books_zone)
    today = db.clock.now().astimezone(ZoneInfo(settings.books_zone)).date()
    period = Period(days.since, max(min(days.until, today), days.since + timedelta(days=1)))
    chosen = currency or await usual_currency(db, asked)
    found = await figures(house).run(
        lambda engine: (
            growth.grow(
                engine, lambda one: definitions.Computed(engine, one.since, one.until), period, level=asked.level, of=asked.of,
                kind=kind, currency=chosen,
            ),
            growth.first_day(engine.lake),
        )
    )  # fmt: skip
    (now, month, year), recorded_since = found.answer
    rows = [_grow(name, value, month, year) for name, value in growth.values_of(now).items()]
    answer = GrowthAnswer(
        **about(asked, Days(*period), settings, found.as_of), kind=kind, currency=chosen, month_since=month.since,
        month_until=month.until, year_since=year.since, year_until=year.until, recorded_since=recorded_since, items=rows,
    )  # fmt: skip
    return give(form, answer, rows, GrowthRow, name=f"growth-{level}-{days.since}")


@get("/api/insight/funnel")
async def get_funnel(
    actor: Given[Actor], db: Given[Database], house: Given[House], settings: Given[Settings], level: InLevel,
    of: InOf = None, since: InSince = None, until: InUntil = None, by: InBy = FunnelBy.source,
    form: InFigureForm = FigureForm.json,
) -> Response[FunnelAnswer]:  # fmt: skip
    """From public viewer to follower, buyer, repeat buyer. Sources and campaigns add up to the total; shows do not: who came to
    two is in both.
    """
    asked = await admit(db, actor, level, of, zone=settings.books_zone)
    days = asked.days(since, until, now=db.clock.now(), zone=settings.books_zone)
    found = await figures(house).run(lambda engine: [_read_funnel(engine, asked, days, one) for one in ((), COLUMNS[by])])
    total, rows = (found.answer[0] or [_NOBODY])[0], found.answer[1]
    ranked = sorted(rows, key=lambda row: (-row.viewers, row.source or "", row.campaign or "", str(row.show_id)))
    shown = ranked[: SHOWS_MAX if by is FunnelBy.show else CAMPAIGNS_MAX]
    if by is FunnelBy.show:
        shown = await _name(db, shown)
    answer = FunnelAnswer(
        **about(asked, days, settings, found.as_of), by=by, total=total, items=shown, left_out=len(ranked) - len(shown)
    )
    return give(form, answer, [*shown, total], FunnelRow, name=f"funnel-{level}-{days.since}")


@get("/api/insight/retention")
async def get_fan_retention(
    actor: Given[Actor], db: Given[Database], house: Given[House], settings: Given[Settings], level: InLevel,
    of: InOf = None, since: InSince = None, until: InUntil = None, form: InFigureForm = FigureForm.json,
) -> Response[RetentionAnswer]:  # fmt: skip
    """Who of the fans won in the period stayed for 1, 7 and 30 days, and who came again. Not of a single show."""
    if level is Level.show:
        raise LevelRefused(level=level)
    asked = await admit(db, actor, level, of, zone=settings.books_zone)
    days = asked.days(since, until, now=db.clock.now(), zone=settings.books_zone)
    streamers = await streamers_of(db, asked)
    as_of = await figures(house).as_of()
    found = await figures(house).run(
        lambda engine: [_read_retention(engine, days, streamers, as_of, one) for one in ((), ("source",))]
    )
    rows = [row for part in found.answer for row in part]
    answer = RetentionAnswer(**about(asked, days, settings, as_of), items=rows)
    return give(form, answer, rows, RetentionRow, name=f"retention-{level}-{days.since}")


@get("/api/insight/purpose")
async def get_purpose(
    actor: Given[Actor], db: Given[Database], house: Given[House], settings: Given[Settings], level: InLevel,
    of: InOf = None, since: InSince = None, until: InUntil = None, within_h: WithinHours = purpose.WITHIN_H_DEFAULT,
    form: InFigureForm = FigureForm.json,
) -> Response[PurposeAnswer]:  # fmt: skip
    """The share of orders before which nobody searched or looked at a product for so many hours."""
    asked = await admit(db, actor, level, of, zone=settings.books_zone)
    days = asked.days(since, until, now=db.clock.now(), zone=settings.books_zone)
    found = await figures(house).run(
        lambda engine: [_read_purpose(engine, asked, days, within_h, one) for one in ((), ("source",))]
    )
    total, rows = (found.answer[0] or [_purpose({})])[0], found.answer[1]
    answer = PurposeAnswer(**about(asked, days, settings, found.as_of), within_h=within_h, total=total, items=rows)
    return give(form, answer, [*rows, total], PurposeRow, name=f"purpose-{level}-{days.since}")


async def streamers_of(db: Database, asked: Asked) -> list[UUID] | None:
    """Whose fans are meant; `None`: anybody's."""
    if asked.level is Level.shop and asked.of is not None:
        async with db.read() as tx:
            return [UUID(bytes=one.bytes) for one in await live.exporting.list_streamers(tx, ShopId(asked.of))]
    return None if asked.of is None else [asked.of]


_NOBODY = FunnelRow(viewers=0, followers=0, buyers=0, repeat_buyers=0, follower_buyers=0, follower_repeat_buyers=0)


def _read_funnel(engine: Engine, asked: Asked, days: Days, by: Sequence[str]) -> list[FunnelRow]:
    tables = definitions.Computed(engine, days.since, days.until)
    found = funnel.deposition(
        tables["visit"], tables["follow"], tables["money"], definitions.Computed(engine)["person"], column=_column(asked),
        of=asked.of, since=days.since, until=days.until, by=by,
    )  # fmt: skip
    rows = engine.run(found).to_pylist()
    return [FunnelRow(**{name: _plain(name, value) for name, value in row.items()}) for row in rows if row["viewers"]]


def _read_retention(
    engine: Engine, days: Days, streamers: list[UUID] | None, as_of: datetime, by: Sequence[str]
) -> list[RetentionRow]:
    later = definitions.Computed(engine, days.since)
    found = funnel.retention(
        later["follow"], later["visit"], definitions.Computed(engine)["person"], streamers=streamers, since=days.since,
        until=days.until, as_of_us=int(as_of.timestamp() * 1_000_000), by=by,
    )  # fmt: skip
    return [
        RetentionRow(
            source=row.get("source"), days=count, fans=row["fans"], due=row[f"due_{count}"], kept=row[f"kept_{count}"],
            back=row[f"back_{count}"], kept_share=share_of(row[f"kept_{count}"], row[f"due_{count}"]),
            back_share=share_of(row[f"back_{count}"], row[f"due_{count}"]),
        )
        for row in engine.run(found).to_pylist()
        if row["fans"]
        for count in funnel.RETENTION_DAYS
    ]  # fmt: skip


def _read_purpose(engine: Engine, asked: Asked, days: Days, within_h: int, by: Sequence[str]) -> list[PurposeRow]:
    tables = definitions.Computed(engine, days.since, days.until)
    before = definitions.Computed(engine, days.since - timedelta(days=-(-within_h // 24)), days.until)
    found = purpose.purposeless(
        tables["money"], before["search"], before["click"], definitions.Computed(engine)["person"], within_h=within_h,
        column=_column(asked), of=asked.of, since=days.since, until=days.until, by=by,
    )  # fmt: skip
    return [_purpose(row) for row in engine.run(found).to_pylist() if row["orders"]]


def _purpose(row: dict[str, Any]) -> PurposeRow:
    counts = {name: row.get(name, 0) for name in ("orders", "unprompted", "purposeless")}
    return PurposeRow(
        source=row.get("source"), **counts, unprompted_share=share_of(counts["unprompted"], counts["orders"]),
        purposeless_share=share_of(counts["purposeless"], counts["orders"]),
    )  # fmt: skip


def _grow(name: str, now: float | None, month: Growth, year: Growth) -> GrowthRow:
    scale = 1e-6 if name in ("watch_us", "watch_per_viewer") else 1

    def scaled(value: float | None) -> float | None:
        return None if value is None else value * scale

    return GrowthRow(
        figure={"watch_us": "watch"}.get(name, name), now=scaled(now), month_before=scaled(month.values[name]),
        month_change=month.changes[name], month_missing=month.missing.get(name), year_before=scaled(year.values[name]),
        year_change=year.changes[name], year_missing=year.missing.get(name),
    )  # fmt: skip


async def _name(db: Database, rows: list[FunnelRow]) -> list[FunnelRow]:
    async with db.read() as tx:
        shows = await live.find_shows(tx, [ShowId(row.show_id) for row in rows if row.show_id])
    titles = {show_id: show.title for show_id, show in shows.items()}
    return [
        msgspec.structs.replace(row, title=titles.get(ShowId(row.show_id))) if row.show_id else row for row in rows
    ]


def _column(asked: Asked) -> str:
    return "shop_id" if asked.level is Level.platform else f"{asked.level}_id"


def _plain(name: str, value: Any) -> Any:
    return UUID(bytes=bytes(value)) if name == "show_id" and value is not None else value


ROUTES = [get_growth, get_funnel, get_fan_retention, get_purpose]
