"""Why GMV changed, over HTTP: between two periods, or two shows. What `insight.explain` gives, with every factor's values."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter

from laotie.base.db import Database
from laotie.base.settings import Settings
from laotie.identity import Actor
from laotie.insight import Engine, definitions
from laotie.insight.explain import Counts, Factor, Share, attribute, tell, value_of
from laotie.insight.identities import Level, decompose, read_rows
from laotie.insight.terms import GmvKind
from laotie.web.figures import figures
from laotie.web.given import Given
from laotie.web.house import House
from laotie.web.insight_asked import Asked, Days, InLevel, InOf, InSince, InUntil, admit
from laotie.web.insight_exports import FigureForm, InFigureForm, give
from laotie.web.insight_overview import CURRENCY_USUAL, InBeforeSince, InBeforeUntil, InCurrency, InKind

SCALES = {Factor.watch_per_viewer: 1e-6, Factor.buyers_per_watch: 3.6e9}
"""Watch time is in microseconds inside; people read seconds, and buyers an hour."""

InBeforeOf = Annotated[
    UUID | None, QueryParameter(name="before_of", description="Compared with another show (or shop, …) than `of`.")
]


class WhyShare(msgspec.Struct, frozen=True, kw_only=True):
    """What one factor of one source did to the amount, in minor units. `before` and `after`: the factor's values as the
    overview gives them (people, seconds, buyers an hour, orders a buyer, orders a viewer, minor units); null where it had none.
    """

    source: str
    factor: Factor
    currency: str
    amount: int
    before: float | None
    after: float | None


class WhyFactor(msgspec.Struct, frozen=True, kw_only=True):
    """What a factor did in all sources together."""

    factor: Factor
    amount: int


class WhySource(msgspec.Struct, frozen=True, kw_only=True):
    """A source's amounts; the difference is what its shares add up to."""

    source: str
    before_amount: int
    after_amount: int


class WhyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The difference of two amounts, and shares that add up to it exactly: by source, by factor, by both.

    `pushed` and `pulled` are what the one sentence is made of: the largest shares in the difference's own direction, largest
    first, and the largest against it.
    """

    level: Level
    of: UUID | None
    before_of: UUID | None
    kind: GmvKind
    since: date
    until: date
    before_since: date
    before_until: date
    zone: str
    as_of: datetime
    currency: str
    currencies: list[str]
    before_amount: int
    after_amount: int
    difference_amount: int
    sources: list[WhySource]
    factors: list[WhyFactor]
    items: list[WhyShare]
    pushed: list[WhyShare]
    pulled: WhyShare | None


@get("/api/insight/why")
async def explain_gmv(
    actor: Given[Actor], db: Given[Database], house: Given[House], settings: Given[Settings], level: InLevel,
    of: InOf = None, kind: InKind = GmvKind.paid, since: InSince = None, until: InUntil = None, before_of: InBeforeOf = None,
    before_since: InBeforeSince = None, before_until: InBeforeUntil = None, currency: InCurrency = None,
    form: InFigureForm = FigureForm.json,
) -> Response[WhyAnswer]:  # fmt: skip
    """Why GMV changed: the difference to the period before (as long, right before, unless said), source by source and factor
    by factor. Two shows are compared by `level=show`, `of` and `before_of`; their days are their own unless said.
    """
    zone, now = settings.books_zone, db.clock.now()
    asked = await admit(db, actor, level, of, zone=zone)
    other = asked if before_of is None else await admit(db, actor, level, before_of, zone=zone)
    days = asked.days(since, until, now=now, zone=zone)
    if before_since is None and before_until is None and before_of is None:
        past = Days(days.since - (days.until - days.since), days.since)
    else:
        past = other.days(before_since, before_until, now=now, zone=zone)
    found = await figures(house).run(
        lambda engine: (_read(engine, other, kind, past), _read(engine, asked, kind, days))
    )
    currencies = _currencies(found.answer)
    chosen = currency or (currencies[0] if currencies else CURRENCY_USUAL)
    before, after = (_in(rows, chosen) for rows in found.answer)
    shares = attribute(before, after)
    story = tell(before, after, shares)
    by_source = [{row.source: row for row in rows} for rows in (before, after)]
    viewed = {(share.source, share.factor): _view(share, by_source, chosen) for share in shares}
    answer = WhyAnswer(
        level=asked.level, of=asked.of, before_of=other.of if before_of else None, kind=kind, since=days.since, until=days.until,
        before_since=past.since, before_until=past.until, zone=zone, as_of=found.as_of, currency=chosen, currencies=currencies,
        before_amount=story.before, after_amount=story.after, difference_amount=story.after - story.before,
        sources=[
            WhySource(source=source, before_amount=_amount(by_source[0], source), after_amount=_amount(by_source[1], source))
            for source in sorted(by_source[0].keys() | by_source[1].keys())
        ],
        factors=[
            WhyFactor(factor=factor, amount=sum(share.amount for share in shares if share.factor is factor))
            for factor in Factor
            if any(share.factor is factor for share in shares)
        ],
        items=list(viewed.values()),
        pushed=[viewed[share.source, share.factor] for share in story.pushed],
        pulled=None if story.pulled is None else viewed[story.pulled.source, story.pulled.factor],
    )  # fmt: skip
    return give(form, answer, answer.items, WhyShare, name=f"why-{level}-{days.since}")


def _read(engine: Engine, asked: Asked, kind: GmvKind, days: Days) -> list[tuple[str, Counts]]:
    """Each source's counts, with the currency of its money (empty where it had none)."""
    tables = definitions.Computed(engine, days.since, days.until)
    rows = read_rows(
        engine.run(
            decompose(
                tables["viewer_days"], tables["order_days"], level=asked.level, of=asked.of, kind=kind, since=days.since,
                until=days.until,
            )
        )
    )  # fmt: skip
    return [
        (
            row.currency,
            Counts(
                source=row.source or "", uv=row.uv, watch_us=row.watch_us, buyers=row.buyers, orders=row.orders, gmv=row.gmv
            ),
        )
        for row in rows
    ]


def _in(rows: list[tuple[str, Counts]], currency: str) -> list[Counts]:
    """One row a source: that currency's money, or none with the same people."""
    chosen: dict[str, Counts] = {}
    for its, row in rows:
        if its == currency:
            chosen[row.source] = row
        else:
            chosen.setdefault(row.source, msgspec.structs.replace(row, buyers=0, orders=0, gmv=0))
    return list(chosen.values())


def _currencies(periods: tuple[list[tuple[str, Counts]], ...]) -> list[str]:
    """Those that were sold in, in either period, the one of most orders first."""
    orders: dict[str, int] = {}
    for currency, row in (one for rows in periods for one in rows):
        if currency:
            orders[currency] = orders.get(currency, 0) + row.orders
    return sorted(orders, key=lambda one: (-orders[one], one))


def _view(share: Share, periods: list[dict[str, Counts]], currency: str) -> WhyShare:
    before, after = (value_of(rows.get(share.source), share.factor) for rows in periods)
    scale = SCALES.get(share.factor, 1)
    return WhyShare(
        source=share.source, factor=share.factor, currency=currency, amount=share.amount,
        before=None if before is None else float(before) * scale, after=None if after is None else float(after) * scale,
    )  # fmt: skip


def _amount(rows: dict[str, Counts], source: str) -> int:
    return rows[source].gmv if source in rows else 0


ROUTES = [explain_gmv]
