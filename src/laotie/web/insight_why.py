"""Why GMV changed, over HTTP: between two periods, or two shows. What `insight.explain` gives, with every factor's values."""

from datetime import date
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter

from laotie.base.db import Database
from laotie.base.settings import Settings
from laotie.identity import Actor
from laotie.insight.explain import Counts, Factor, Share, attribute, tell, value_of
from laotie.insight.identities import Row
from laotie.insight.terms import GmvKind
from laotie.web.figures import figures
from laotie.web.given import Given
from laotie.web.house import House
from laotie.web.insight_asked import Days, FigureAnswer, InLevel, InOf, InSince, InUntil, about, admit
from laotie.web.insight_currency import InCurrency, choose_currency, of_currency, rank_currencies
from laotie.web.insight_exports import FigureForm, InFigureForm, give
from laotie.web.insight_overview import InBeforeSince, InBeforeUntil, InKind, read_tables, take_apart

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


class WhyAnswer(FigureAnswer, frozen=True, kw_only=True):
    """The difference of two amounts, and shares that add up to it exactly: by source, by factor, by both.

    `pushed` and `pulled` are what the one sentence is made of: the largest shares in the difference's own direction, largest
    first, and the largest against it.
    """

    before_of: UUID | None
    kind: GmvKind
    before_since: date
    before_until: date
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
        lambda engine: [
            take_apart(engine, read_tables(engine, period), one, kind, ("source",)) for one, period in ((other, past), (asked, days))
        ]
    )
    currencies = rank_currencies((row.currency, row.orders) for rows in found.answer for row in rows)
    chosen = await choose_currency(db, asked, currency, currencies)
    before, after = (_count(rows, chosen) for rows in found.answer)
    shares = attribute(before, after)
    story = tell(before, after, shares)
    by_source = [{row.source: row for row in rows} for rows in (before, after)]
    viewed = {(share.source, share.factor): _view(share, by_source, chosen) for share in shares}
    answer = WhyAnswer(
        **about(asked, days, settings, found.as_of), before_of=other.of if before_of else None, kind=kind, before_since=past.since,
        before_until=past.until, currency=chosen, currencies=currencies,
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


def _count(rows: list[Row], currency: str) -> list[Counts]:
    """Each source's counts, with that currency's money."""
    return [
        Counts(source=row.source or "", uv=row.uv, watch_us=row.watch_us, buyers=row.buyers, orders=row.orders, gmv=row.gmv)
        for row in of_currency(rows, currency, lambda row: row.source)
    ]


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
