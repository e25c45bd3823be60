"""What figures mean, and GMV taken apart by anything that it can be, in whole numbers, for programs."""

from asyncio import to_thread
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter

from laotie.base.db import Database
from laotie.base.ids import ShowId
from laotie.base.refusals import NotFound
from laotie.base.settings import Settings
from laotie.identity import Actor
from laotie.insight import Engine, definitions
from laotie.insight.identities import Level, Row
from laotie.insight.model import Definition, Unit, Words
from laotie.insight.steps import take_steps
from laotie.insight.terms import GmvKind
from laotie.web.figures import figures
from laotie.web.given import FromPath, Given
from laotie.web.house import House
from laotie.web.insight_asked import InLevel, InOf, InSince, InUntil, admit
from laotie.web.insight_currency import InCurrency, of_currency
from laotie.web.insight_exports import FigureForm, InFigureForm, give
from laotie.web.insight_overview import (
    GmvAnswer,
    GmvFigures,
    InKind,
    about_gmv,
    choose,
    one_of,
    quotients,
    read_tables,
    take_apart,
)

PARTS_MAX = 20_000
"""Of one answer: those of the largest GMV."""


class GmvBy(StrEnum):
    """What GMV can be taken apart by."""

    source = "source"
    fan = "fan"
    show = "show"
    streamer = "streamer"
    shop = "shop"
    day = "day"


COLUMNS = {
    GmvBy.source: "source", GmvBy.fan: "is_fan", GmvBy.show: "show_id", GmvBy.streamer: "streamer_id", GmvBy.shop: "shop_id",
    GmvBy.day: "day",
}  # fmt: skip

InGmvBy = Annotated[
    list[GmvBy] | None,
    QueryParameter(name="by", max_items=len(GmvBy), description="By what; may be said several times. Usually by source."),
]


class DefinitionView(msgspec.Struct):
    """A number: what it is called and means, how it is made of others (`terms`, their keys), and its query (DuckDB's SQL)."""

    key: str
    name: Words
    about: Words
    unit: Unit
    formula: str
    terms: list[str]
    measure: str | None
    sql: str | None


class DefinitionList(msgspec.Struct):
    """All of them."""

    items: list[DefinitionView]


class GmvPart(GmvFigures, frozen=True, kw_only=True):
    """What came of one combination of what `by` names; a field that it does not name is null, and so is a show or streamer
    where there was none. `uv × watch_us/uv × buyers/watch_us × orders/buyers × gmv_amount/orders` is `gmv_amount`.
    """

    day: date | None
    source: str | None
    is_fan: bool | None
    show_id: UUID | None
    streamer_id: UUID | None
    shop_id: UUID | None
    watch_us: int


class GmvApart(GmvAnswer, frozen=True, kw_only=True):
    """GMV of one kind and in one currency, in total and in parts, the largest first.

    Amounts of the parts add up to the total; people do not, since one may be in several parts. `left_out`: parts of smaller GMV
    than those shown.
    """

    by: list[GmvBy]
    total: GmvPart
    items: list[GmvPart]
    left_out: int


class InsightOfKind(msgspec.Struct, frozen=True, kw_only=True):
    """Of one kind of GMV: everything (one row a currency), and by source."""

    kind: GmvKind
    total: list[GmvPart]
    sources: list[GmvPart]


class StepsOfShow(msgspec.Struct, frozen=True, kw_only=True):
    """How many different people took each step."""

    came: int = 0
    watched: int = 0
    clicked: int = 0
    ordered: int = 0
    paid: int = 0


class ShowInsight(msgspec.Struct, frozen=True, kw_only=True):
    """A show from the day it began until now: placed, paid and net GMV with their factors, and the steps to a purchase."""

    show_id: UUID
    since: date
    until: date
    zone: str
    as_of: datetime
    kinds: list[InsightOfKind]
    steps: StepsOfShow


@get("/api/insight/definitions")
async def list_definitions() -> DefinitionList:
    """What every figure means, in both languages, with the query that computes it. For everybody."""
    return DefinitionList(await to_thread(lambda: [_define(one) for one in definitions.DEFINITIONS.values()]))


@get("/api/insight/definitions/{key:str}")
async def get_definition(key: FromPath[str]) -> DefinitionView:
    """What one figure means."""
    if key not in definitions.DEFINITIONS:
        raise NotFound()
    return await to_thread(_define, definitions.DEFINITIONS[key])


@get("/api/insight/gmv")
async def get_gmv(
    actor: Given[Actor], db: Given[Database], house: Given[House], settings: Given[Settings], level: InLevel,
    of: InOf = None, by: InGmvBy = None, kind: InKind = GmvKind.paid, since: InSince = None, until: InUntil = None,
    currency: InCurrency = None, form: InFigureForm = FigureForm.json,
) -> Response[GmvApart]:  # fmt: skip
    """GMV and its factors by source, day, show, …, or by several of these.

    A shop's for seats with the scope `orders`, a show's also for its streamer and seats with `show`, a streamer's for
    themselves, the platform's for operators.
    """
    asked = await admit(db, actor, level, of, zone=settings.books_zone)
    days = asked.days(since, until, now=db.clock.now(), zone=settings.books_zone)
    named = list(dict.fromkeys(by or [GmvBy.source]))
    columns = [COLUMNS[one] for one in named]

    def compute(engine: Engine) -> list[list[Row]]:
        tables = read_tables(engine, days)
        return [take_apart(engine, tables, asked, kind, one) for one in ((), columns)]

    found = await figures(house).run(compute)
    whole, parts = found.answer
    chosen, currencies = await choose(db, asked, currency, whole)
    rows = of_currency(parts, chosen, lambda row: tuple(getattr(row, column) for column in columns))
    rows.sort(key=lambda row: (-abs(row.gmv), -row.uv, *(str(getattr(row, column)) for column in columns)))
    items = [_part(row) for row in rows[:PARTS_MAX]]
    answer = GmvApart(
        **about_gmv(asked, kind, days, settings, found, chosen, currencies), by=named, total=_part(one_of(whole, chosen)),
        items=items, left_out=len(rows) - len(items),
    )  # fmt: skip
    return give(form, answer, items, GmvPart, name=f"gmv-{'-'.join(named)}-{level}-{days.since}")


@get("/api/shows/{show_id:uuid}/insight")
async def get_show_insight(
    show_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], house: Given[House], settings: Given[Settings]
) -> ShowInsight:
    """A show's GMV by source with its factors, for its streamer and the shop's staff (`orders` or `show`)."""
    asked = await admit(db, actor, Level.show, ShowId(show_id), zone=settings.books_zone)
    days = asked.days(None, None, now=db.clock.now(), zone=settings.books_zone)

    def compute(engine: Engine) -> tuple[list[InsightOfKind], StepsOfShow]:
        kinds, tables = [], read_tables(engine, days)
        for kind in GmvKind:
            total, sources = (take_apart(engine, tables, asked, kind, by) for by in ((), ("source",)))
            kinds.append(InsightOfKind(kind=kind, total=[_part(row) for row in total], sources=[_part(row) for row in sources]))
        visit, watch, click, money = (engine.read(topic, *days) for topic in ("visit", "watch", "click", "money"))
        steps = engine.run(take_steps(visit, watch, click, money, engine.read("person"), of=show_id, by=())).to_pylist()
        return kinds, StepsOfShow(**steps[0]) if steps else StepsOfShow()

    found = await figures(house).run(compute)
    kinds, steps = found.answer
    return ShowInsight(
        show_id=show_id, since=days.since, until=days.until, zone=settings.books_zone, as_of=found.as_of, kinds=kinds, steps=steps
    )


def _part(row: Row) -> GmvPart:
    return GmvPart(
        day=row.day, source=row.source, is_fan=row.is_fan, show_id=row.show_id, streamer_id=row.streamer_id,
        shop_id=row.shop_id, watch_us=row.watch_us, **quotients(row),
    )  # fmt: skip


def _define(one: Definition) -> DefinitionView:
    return DefinitionView(
        one.key, one.name, one.about, one.unit, one.formula, list(one.terms), one.measure,
        None if one.measure is None else definitions.sql_of(one.measure),
    )  # fmt: skip


ROUTES = [list_definitions, get_definition, get_gmv, get_show_insight]
