"""Rates and terms over HTTP: what the platform takes and when orders are settled, what streamers get, what would count."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import QueryParameter

from laotie import catalog, identity
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, ShopId
from laotie.base.settings import Settings
from laotie.identity import Actor
from laotie.settlement import RateKind, rates, terms
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page

Bps = Annotated[int, msgspec.Meta(ge=0, le=10_000, description="Ten-thousandths: 250 is 2.5 %.")]
Why = Annotated[str, msgspec.Meta(min_length=1, max_length=rates.NOTE_LENGTH_MAX, description="Why it is set.")]
Category = Annotated[str, msgspec.Meta(min_length=1, max_length=rates.CATEGORY_LENGTH_MAX)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Hours = Annotated[int, msgspec.Meta(ge=0, le=terms.DELAY_H_MAX)]

OfKind = Annotated[RateKind | None, QueryParameter(name="kind", description="Only rates of this kind.")]
OfShop = Annotated[UUID | None, QueryParameter(name="shop_id", description="Only rates of this shop.")]
OfCategory = Annotated[
    str,
    QueryParameter(
        name="category", max_length=rates.CATEGORY_LENGTH_MAX, description="Of what category; empty: another."
    ),
]
OfStreamer = Annotated[
    UUID | None, QueryParameter(name="streamer_id", description="In whose show it was bought; unset: in none.")
]
AllTime = Annotated[bool, QueryParameter(name="all", description="Also what has ended or was replaced.")]


class NewHouseRate(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A rate under the client's own id. `bps` null ends what was set for exactly this shop and category; without
    `valid_from` it counts from now on."""

    id: rates.RateId
    kind: RateKind
    shop_id: ShopId | None = None
    category: Category | None = None
    bps: Bps | None
    valid_from: Instant | None = None
    note: Why


class NewStreamerRate(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What streamers get of the shop's goods sold in their shows; without `streamer_id`: any of them."""

    id: rates.RateId
    streamer_id: AccountId | None = None
    category: Category | None = None
    bps: Bps | None
    valid_from: Instant | None = None
    note: Why


class RateView(msgspec.Struct, kw_only=True):
    """A rate as it was set, by whom and why. `state` `ended`: from here on there is none so specific."""

    id: rates.RateId
    kind: RateKind
    shop_id: ShopId | None
    shop_name: str | None
    category: str | None
    streamer_id: AccountId | None
    streamer_name: str | None
    bps: int | None
    valid_from: datetime
    note: str
    made_by: AccountId | None
    made_by_name: str | None
    made_at: datetime
    state: rates.RateState


class RatePreview(msgspec.Struct, kw_only=True):
    """What would be taken of an order paid now, by which rates (`null`: none, so nothing), and how long it would wait.

    Platform and streamer take of goods with subsidy, payment of what the buyer pays.
    """

    platform_bps: int
    platform_rate_id: rates.RateId | None
    payment_bps: int
    payment_rate_id: rates.RateId | None
    streamer_bps: int
    streamer_rate_id: rates.RateId | None
    delay_h: int


class NewSettlementTerm(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How many hours after completion orders are settled, of one shop or of all that have no term of their own.

    `delay_h` null ends the term that was set; then everybody's counts, or the default.
    """

    id: terms.TermId
    shop_id: ShopId | None = None
    delay_h: Hours | None
    valid_from: Instant | None = None
    note: Why


class SettlementTermView(msgspec.Struct, kw_only=True):
    """A term as it was set, by whom and why."""

    id: terms.TermId
    shop_id: ShopId | None
    shop_name: str | None
    delay_h: int | None
    valid_from: datetime
    note: str
    made_by: AccountId | None
    made_by_name: str | None
    made_at: datetime
    state: rates.RateState


class SettlementTerms(msgspec.Struct, kw_only=True):
    """A page of terms; where none counts, orders wait for `default_delay_h`."""

    items: list[SettlementTermView]
    next: str | None
    default_delay_h: int


@get("/api/rates")
async def list_rates(
    actor: Given[Actor],
    db: Given[Database],
    kind: OfKind = None,
    shop_id: OfShop = None,
    all_time: AllTime = False,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[RateView]:
    """All rates there are, or ever were, for operators; the last set first."""
    async with db.read() as tx:
        found = await rates.list_rates(
            tx,
            actor,
            kind=kind,
            shop_id=None if shop_id is None else ShopId(shop_id),
            all_time=all_time,
            after=after,
            limit=limit,
        )
        return await _page(tx, found, limit)


@post("/api/rates")
async def set_house_rate(data: JSONBody[NewHouseRate], actor: Given[Actor], db: Given[Database]) -> RateView:
    """Set or end what the platform takes or payments cost. The same id again is the same rate."""
    async with db.tx() as tx:
        found = await rates.set_rate(
            tx,
            actor,
            rates.NewRate(
                id=data.id,
                kind=data.kind,
                shop_id=data.shop_id,
                category=data.category,
                bps=data.bps,
                valid_from=data.valid_from,
                note=data.note,
            ),
        )
        return (await _views(tx, [found]))[0]


@get("/api/shops/{shop_id:uuid}/rates")
async def get_shop_rates(
    shop_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
    category: OfCategory = "",
    streamer_id: OfStreamer = None,
) -> RatePreview:
    """Which rates count for an order of this shop paid now, for the shop's staff and operators."""
    async with db.read() as tx:
        found = await rates.preview_rates(
            tx,
            actor,
            ShopId(shop_id),
            category=category,
            streamer_id=None if streamer_id is None else AccountId(streamer_id),
            default_delay=timedelta(hours=settings.settlement_delay_h),
        )
    return RatePreview(
        platform_bps=found.rates.platform_bps,
        platform_rate_id=found.by.get(RateKind.platform),
        payment_bps=found.rates.payment_bps,
        payment_rate_id=found.by.get(RateKind.payment),
        streamer_bps=found.rates.streamer_bps,
        streamer_rate_id=found.by.get(RateKind.streamer),
        delay_h=found.delay // timedelta(hours=1),
    )


@get("/api/shops/{shop_id:uuid}/streamer-rates")
async def list_streamer_rates(
    shop_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    all_time: AllTime = False,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[RateView]:
    """What the shop has agreed with its streamers, the last set first."""
    async with db.read() as tx:
        found = await rates.list_shop_rates(tx, actor, ShopId(shop_id), all_time=all_time, after=after, limit=limit)
        return await _page(tx, found, limit)


@post("/api/shops/{shop_id:uuid}/streamer-rates")
async def set_streamer_rate(
    shop_id: FromPath[UUID], data: JSONBody[NewStreamerRate], actor: Given[Actor], db: Given[Database]
) -> RateView:
    """Set or end what streamers get. A streamer who is named is told. The same id again is the same rate."""
    async with db.tx() as tx:
        found = await rates.set_rate(
            tx,
            actor,
            rates.NewRate(
                id=data.id,
                kind=RateKind.streamer,
                shop_id=ShopId(shop_id),
                category=data.category,
                streamer_id=data.streamer_id,
                bps=data.bps,
                valid_from=data.valid_from,
                note=data.note,
            ),
        )
        return (await _views(tx, [found]))[0]


@get("/api/me/streamer-rates")
async def list_own_rates(
    actor: Given[Actor],
    db: Given[Database],
    all_time: AllTime = False,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[RateView]:
    """What shops have agreed with me by name, the last set first."""
    async with db.read() as tx:
        found = await rates.list_own_rates(tx, actor, all_time=all_time, after=after, limit=limit)
        return await _page(tx, found, limit)


@get("/api/terms")
async def list_terms(
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> SettlementTerms:
    """How long orders wait, for operators; the last set first."""
    async with db.read() as tx:
        found = await terms.list_terms(tx, actor, after=after, limit=limit)
        items = await _term_views(tx, found)
    return SettlementTerms(
        items=items,
        next=str(found[-1].id) if len(found) == limit else None,
        default_delay_h=settings.settlement_delay_h,
    )


@post("/api/terms")
async def set_term(data: JSONBody[NewSettlementTerm], actor: Given[Actor], db: Given[Database]) -> SettlementTermView:
    """Set or end how long orders that complete from now on (or then) wait. The same id again is the same term."""
    async with db.tx() as tx:
        found = await terms.set_term(
            tx,
            actor,
            terms.NewTerm(
                id=data.id,
                shop_id=data.shop_id,
                delay_h=data.delay_h,
                valid_from=data.valid_from,
                note=data.note,
            ),
        )
        return (await _term_views(tx, [found]))[0]


async def _page(tx: Tx, found: list[rates.SetRate], limit: int) -> Page[RateView]:
    return Page(items=await _views(tx, found), next=str(found[-1].id) if len(found) == limit else None)


async def _views(tx: Tx, found: list[rates.SetRate]) -> list[RateView]:
    shops, people = await _names(
        tx, {one.shop_id for one in found}, {id_ for one in found for id_ in (one.streamer_id, one.made_by)}
    )
    return [
        RateView(
            **msgspec.structs.asdict(one),
            shop_name=shops.get(one.shop_id),
            streamer_name=people.get(one.streamer_id),
            made_by_name=people.get(one.made_by),
        )
        for one in found
    ]


async def _term_views(tx: Tx, found: list[terms.SetTerm]) -> list[SettlementTermView]:
    shops, people = await _names(tx, {one.shop_id for one in found}, {one.made_by for one in found})
    return [
        SettlementTermView(
            **msgspec.structs.asdict(one), shop_name=shops.get(one.shop_id), made_by_name=people.get(one.made_by)
        )
        for one in found
    ]


async def _names(
    tx: Tx, shop_ids: set[ShopId | None], account_ids: set[AccountId | None]
) -> tuple[dict[ShopId | None, str], dict[AccountId | None, str]]:
    shops = await catalog.find_shops(tx, sorted(id_ for id_ in shop_ids if id_ is not None))
    people = await identity.find_profiles(tx, [id_ for id_ in account_ids if id_ is not None])
    return {id_: one.name for id_, one in shops.items()}, {id_: one.name for id_, one in people.items()}


ROUTES = [
    list_rates,
    set_house_rate,
    get_shop_rates,
    list_streamer_rates,
    set_streamer_rate,
    list_own_rates,
    list_terms,
    set_term,
]
