"""GMV and its factors over HTTP: of a show, a streamer, a shop or the platform, by source, by day and by show.

Every answer holds the whole numbers of `insight.identities`; factors are their quotients and nothing else is computed here.
One currency an answer: people and watch time are the same in each, sales are that currency's.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import ibis.expr.types as ir
import msgspec
from litestar import Response, get
from litestar.params import QueryParameter

from laotie import live, videos
from laotie.base import money
from laotie.base.db import Database
from laotie.base.ids import ShowId
from laotie.base.settings import Settings
from laotie.identity import Actor
from laotie.insight import Engine, definitions
from laotie.insight.identities import Row, decompose, read_rows
from laotie.insight.steps import take_steps
from laotie.insight.surfaces import SURFACES, SurfaceRow, orders_at, viewers_at
from laotie.insight.terms import GmvKind
from laotie.web.figures import Figure, figures
from laotie.web.given import Given
from laotie.web.house import House
from laotie.web.insight_asked import Asked, Days, FigureAnswer, InLevel, InOf, InSince, InUntil, about, admit
from laotie.web.insight_currency import InCurrency, choose_currency, of_currency, rank_currencies
from laotie.web.insight_exports import FigureForm, InFigureForm, give

SHOWS_MAX = 500
PLAYED_MAX = 50
"""Shows of one answer, those that sold most."""
HOUR_US = 3_600_000_000

InKind = Annotated[GmvKind, QueryParameter(name="kind", description="What counts: ordered, paid, or what of that stayed.")]
InBeforeSince = Annotated[date | None, QueryParameter(name="before_since", description="Compared with: first day.")]
InBeforeUntil = Annotated[date | None, QueryParameter(name="before_until", description="Compared with: the day after the last.")]


class GmvFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Whole numbers, and the factors between them; a factor is null where there is nothing to divide by."""

    currency: str
    uv: int
    watch_s: float
    buyers: int
    orders: int
    gmv_amount: int
    watch_per_viewer_s: float | None
    buyers_per_watch_hour: float | None
    orders_per_buyer: float | None
    conversion: float | None
    gmv_per_order_amount: int | None


class GmvOfSource(GmvFigures, frozen=True, kw_only=True):
    """One source in the period asked (`now`) or in the one compared with (`before`); without a source, everybody once."""

    period: str
    since: date
    until: date
    source: str | None


class GmvOfShow(GmvFigures, frozen=True, kw_only=True):
    """One show; without one, what did not come from a show, as the shelf."""

    show_id: UUID | None
    title: str | None
    streamer_id: UUID | None
    streamer_name: str | None
    started_at: datetime | None
    ended_at: datetime | None


class GmvAnswer(FigureAnswer, frozen=True, kw_only=True):
    """What an answer about GMV is about. `currencies`: those that were sold in."""

    kind: GmvKind
    currency: str
    currencies: list[str]


class GmvOverview(GmvAnswer, frozen=True, kw_only=True):
    """The period and the one before it, in total and by source."""

    total: GmvOfSource
    before: GmvOfSource | None
    sources: list[GmvOfSource]
    sources_before: list[GmvOfSource]


class GmvShows(GmvAnswer, frozen=True, kw_only=True):
    """Show by show, those that sold most first. `left_out`: how many more there are."""

    items: list[GmvOfShow]
    left_out: int


class GmvOfSurface(GmvFigures, frozen=True, kw_only=True):
    """Live rooms, replays, clips, short videos, or the shelf; or one thing played there (`placement`). Watch time is its own."""

    surface: str
    placement: str | None
    title: str | None


class GmvSurfaces(GmvAnswer, frozen=True, kw_only=True):
    """Surface by surface, whose GMV adds up to the total's; and what was played, of most GMV and longest watched first."""

    items: list[GmvOfSurface]
    played: list[GmvOfSurface]
    left_out: int


class StepsOfSource(msgspec.Struct, frozen=True, kw_only=True):
    """How many different people of a source took each step; without a source, everybody once."""

    source: str | None
    came: int
    watched: int
    clicked: int
    ordered: int
    paid: int


class StepsTaken(msgspec.Struct, frozen=True, kw_only=True):
    """The steps by source, and of everybody (`source` null), unless nobody came."""

    since: date
    until: date
    as_of: datetime
    items: list[StepsOfSource]


@get("/api/insight/overview")
async def get_gmv_overview(
    actor: Given[Actor], db: Given[Database], house: Given[House], settings: Given[Settings], level: InLevel,
    of: InOf = None, kind: InKind = GmvKind.paid, since: InSince = None, until: InUntil = None,
    before_since: InBeforeSince = None, before_until: InBeforeUntil = None, currency: InCurrency = None,
    form: InFigureForm = FigureForm.json,
) -> Response[GmvOverview]:  # fmt: skip
    """GMV and its five factors in total and by source, beside another period; its sources add up to the total's GMV."""
    asked = await admit(db, actor, level, of, zone=settings.books_zone)
    days = asked.days(since, until, now=db.clock.now(), zone=settings.books_zone)
    past = None
    if before_since is not None and before_until is not None:
        past = asked.days(before_since, before_until, now=db.clock.now(), zone=settings.books_zone)

    def compute(engine: Engine) -> list[list[Row]]:
        read = [read_tables(engine, period) if period else None for period in (days, past)]
        return [take_apart(engine, tables, asked, kind, by) if tables else [] for tables in read for by in ((), ("source",))]

    found = await figures(house).run(compute)
    whole, sources, whole_before, sources_before = found.answer
    chosen, currencies = await choose(db, asked, currency, whole)
    total = _of_source("now", days, one_of(whole, chosen))
    before = _of_source("before", past, one_of(whole_before, chosen)) if past else None
    now = [_of_source("now", days, row) for row in of_currency(sources, chosen, lambda row: row.source)]
    then = [_of_source("before", past, row) for row in of_currency(sources_before, chosen, lambda row: row.source)] if past else []
    answer = GmvOverview(
        **about_gmv(asked, kind, days, settings, found, chosen, currencies),
        total=total, before=before, sources=now, sources_before=then,
    )  # fmt: skip
    rows = [*now, total, *then, *([before] if before else [])]
    return give(form, answer, rows, GmvOfSource, name=f"gmv-{level}-{days.since}")


@get("/api/insight/overview/shows")
async def list_gmv_shows(
    actor: Given[Actor], db: Given[Database], house: Given[House], settings: Given[Settings], level: InLevel,
    of: InOf = None, kind: InKind = GmvKind.paid, since: InSince = None, until: InUntil = None,
    currency: InCurrency = None, form: InFigureForm = FigureForm.json,
) -> Response[GmvShows]:  # fmt: skip
    """GMV and its factors of each show, and of what came from none."""
    asked = await admit(db, actor, level, of, zone=settings.books_zone)
    days = asked.days(since, until, now=db.clock.now(), zone=settings.books_zone)
    found = await figures(house).run(lambda engine: take_apart(engine, read_tables(engine, days), asked, kind, ("show_id",)))
    chosen, currencies = await choose(db, asked, currency, found.answer)
    all_shows = of_currency(found.answer, chosen, lambda row: row.show_id)
    all_shows.sort(key=lambda row: (-row.gmv, -row.uv, str(row.show_id)))
    rows = await _name_shows(db, all_shows[:SHOWS_MAX])
    stated = about_gmv(asked, kind, days, settings, found, chosen, currencies)
    answer = GmvShows(**stated, items=rows, left_out=len(all_shows) - len(rows))
    return give(form, answer, rows, GmvOfShow, name=f"gmv-shows-{level}-{days.since}")


@get("/api/insight/overview/surfaces")
async def list_gmv_surfaces(
    actor: Given[Actor], db: Given[Database], house: Given[House], settings: Given[Settings], level: InLevel,
    of: InOf = None, kind: InKind = GmvKind.paid, since: InSince = None, until: InUntil = None,
    currency: InCurrency = None, form: InFigureForm = FigureForm.json,
) -> Response[GmvSurfaces]:  # fmt: skip
    """GMV and its factors of live rooms, replays, clips, short videos and the shelf, and of each replay, clip and video."""
    asked = await admit(db, actor, level, of, zone=settings.books_zone)
    days = asked.days(since, until, now=db.clock.now(), zone=settings.books_zone)

    def compute(engine: Engine) -> list[list[SurfaceRow]]:
        tables = definitions.Computed(engine, days.since, days.until)
        viewers = viewers_at(tables["viewer_days"], tables["surface_days"])
        sold = orders_at(tables["order_days"], tables["money"])
        return [
            read_rows(
                engine.run(
                    decompose(viewers, sold, level=asked.level, of=asked.of, kind=kind, since=days.since, until=days.until, by=by)
                ),
                SurfaceRow,
            )
            for by in (("surface",), ("surface", "placement"))
        ]

    found = await figures(house).run(compute)
    whole, apart = found.answer
    chosen, currencies = await choose(db, asked, currency, whole)
    surfaces = sorted(of_currency(whole, chosen, lambda row: row.surface), key=lambda row: SURFACES.index(row.surface))
    played = [row for row in of_currency(apart, chosen, lambda row: (row.surface, row.placement)) if row.placement]
    played.sort(key=lambda row: (-row.gmv, -row.watch_us, str(row.placement)))
    rows = await _name_played(db, [*surfaces, *played[:PLAYED_MAX]])
    answer = GmvSurfaces(
        **about_gmv(asked, kind, days, settings, found, chosen, currencies),
        items=rows[: len(surfaces)], played=rows[len(surfaces) :], left_out=max(0, len(played) - PLAYED_MAX),
    )  # fmt: skip
    return give(form, answer, rows, GmvOfSurface, name=f"gmv-surfaces-{level}-{days.since}")


@get("/api/insight/overview/steps")
async def list_steps(
    actor: Given[Actor], db: Given[Database], house: Given[House], settings: Given[Settings], level: InLevel,
    of: InOf = None, since: InSince = None, until: InUntil = None, form: InFigureForm = FigureForm.json,
) -> Response[StepsTaken]:  # fmt: skip
    """From coming to paying: how many different people took each step, by source and in all."""
    asked = await admit(db, actor, level, of, zone=settings.books_zone)
    days = asked.days(since, until, now=db.clock.now(), zone=settings.books_zone)

    def compute(engine: Engine) -> list[StepsOfSource]:
        visit, watch, click, money_ = (engine.read(one, *days) for one in ("visit", "watch", "click", "money"))
        return [
            StepsOfSource(**{"source": None, **row})
            for by in (("source",), ())
            for row in engine.run(
                take_steps(
                    visit, watch, click, money_, engine.read("person"), column=f"{asked.level}_id", of=asked.of, since=days.since,
                    until=days.until, by=by,
                )
            ).to_pylist()
        ]  # fmt: skip

    found = await figures(house).run(compute)
    answer = StepsTaken(since=days.since, until=days.until, as_of=found.as_of, items=found.answer)
    return give(form, answer, found.answer, StepsOfSource, name=f"steps-{level}-{days.since}")


class GmvTables(NamedTuple):
    """Who was where and what orders added, of some days."""

    days: Days
    viewer_days: ir.Table
    order_days: ir.Table


def read_tables(engine: Engine, days: Days) -> GmvTables:
    """These days' tables, looked up once for whatever is asked of them."""
    tables = definitions.Computed(engine, days.since, days.until)
    return GmvTables(days, tables["viewer_days"], tables["order_days"])


def take_apart(engine: Engine, tables: GmvTables, asked: Asked, kind: GmvKind, by: Sequence[str]) -> list[Row]:
    """GMV of one kind by some columns, of those who are asked about."""
    days, viewer_days, order_days = tables
    expression = decompose(
        viewer_days, order_days, level=asked.level, of=asked.of, kind=kind, since=days.since, until=days.until, by=by
    )
    return read_rows(engine.run(expression))


async def choose(db: Database, asked: Asked, currency: str | None, rows: Sequence[Row]) -> tuple[str, list[str]]:
    """The currency that an answer is in, and all that were sold in."""
    there = rank_currencies((row.currency, row.orders) for row in rows)
    return await choose_currency(db, asked, currency, there), there


def one_of(rows: list[Row], currency: str) -> Row:
    """Of a total, that currency's row."""
    return next(iter(of_currency(rows, currency, lambda _: None)), Row(currency=currency))


def _of_source(period: str, days: Days, row: Row) -> GmvOfSource:
    return GmvOfSource(period=period, since=days.since, until=days.until, source=row.source, **quotients(row))


def quotients(row: Row) -> dict[str, Any]:
    """The fields of `GmvFigures`."""
    factors = row.factors()
    by_hour = factors.buyers_per_watch
    return {
        "currency": row.currency,
        "uv": row.uv,
        "watch_s": row.watch_us / 1_000_000,
        "buyers": row.buyers,
        "orders": row.orders,
        "gmv_amount": row.gmv,
        "watch_per_viewer_s": None if factors.watch_per_viewer is None else float(factors.watch_per_viewer / 1_000_000),
        "buyers_per_watch_hour": None if by_hour is None else float(by_hour * HOUR_US),
        "orders_per_buyer": None if factors.orders_per_buyer is None else float(factors.orders_per_buyer),
        "conversion": None if factors.conversion is None else float(factors.conversion),
        "gmv_per_order_amount": money.mean(row.gmv, row.orders) if row.orders else None,
    }


async def _name_shows(db: Database, rows: list[Row]) -> list[GmvOfShow]:
    async with db.read() as tx:
        shows = await live.find_shows(tx, [ShowId(row.show_id) for row in rows if row.show_id])
    named = []
    for row in rows:
        show = shows.get(ShowId(row.show_id)) if row.show_id else None
        named.append(
            GmvOfShow(
                show_id=row.show_id,
                title=show.title if show else None,
                streamer_id=show.streamer.id if show else None,
                streamer_name=show.streamer.name if show else None,
                started_at=show.started_at if show else None,
                ended_at=show.ended_at if show else None,
                **quotients(row),
            )
        )
    return named


async def _name_played(db: Database, rows: Sequence[SurfaceRow]) -> list[GmvOfSurface]:
    ids: dict[str, list[UUID]] = {}
    for row in rows:
        surface, _, named = (row.placement or "").partition(":")
        ids.setdefault(surface, []).extend([UUID(named)] if named else [])
    async with db.read() as tx:
        shows = await live.find_shows(tx, [ShowId(one) for one in ids.get("replay", [])])
        titles = {
            **{f"replay:{show.id}": show.title for show in shows.values()},
            **{f"clip:{one}": title for one, title in (await live.clips.find_names(tx, ids.get("clip", []))).items()},
            **{f"video:{one}": title for one, title in (await videos.find_titles(tx, ids.get("video", []))).items()},
        }
    return [
        GmvOfSurface(surface=row.surface, placement=row.placement, title=titles.get(row.placement or ""), **quotients(row))
        for row in rows
    ]


def about_gmv(
    asked: Asked, kind: GmvKind, days: Days, settings: Settings, found: Figure[Any], currency: str, currencies: list[str]
) -> dict[str, Any]:
    """The fields of `GmvAnswer`."""
    return about(asked, days, settings, found.as_of) | {"kind": kind, "currency": currency, "currencies": currencies}


ROUTES = [get_gmv_overview, list_gmv_shows, list_gmv_surfaces, list_steps]
