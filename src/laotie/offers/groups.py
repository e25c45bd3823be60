"""Group offers: a shop sells a product for less to people who buy it together.

An offer is never edited: the shop closes it and makes another, so a team's price stands as long as the team. Closing stops
new teams; those that gather go on to their own deadline.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, NewType
from uuid import UUID

import msgspec

from laotie import catalog, identity
from laotie.base.db import Tx
from laotie.base.ids import ProductId, ShopId, SkuId
from laotie.base.money import Money
from laotie.base.refusals import Conflict, IdReused, Invalid, NotFound
from laotie.identity import Actor, Scope

SIZE_MIN = 2
SIZE_MAX = 100
GATHER_HOURS_MAX = 72
LIMIT_MAX = 99
SKUS_MAX = 100
LASTS_DAYS_MAX = 366
PAGE_SIZE_MAX = 100

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
GroupOfferId = NewType("GroupOfferId", UUID)


class GroupState(StrEnum):
    """Where an offer stands."""

    planned = "planned"
    running = "running"
    over = "over"
    closed = "closed"


class GroupPrice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a SKU costs in a team."""

    sku_id: SkuId
    price: Money


class GroupDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a shop says to offer a product to groups. `gather_hours`: how long a team has to come together."""

    id: GroupOfferId
    product_id: ProductId
    prices: Annotated[list[GroupPrice], msgspec.Meta(min_length=1, max_length=SKUS_MAX)]
    size: Annotated[int, msgspec.Meta(ge=SIZE_MIN, le=SIZE_MAX)]
    gather_hours: Annotated[int, msgspec.Meta(ge=1, le=GATHER_HOURS_MAX)] = 24
    limit_per_person: Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX)] = 1
    starts_at: Instant | None = None
    ends_at: Instant


class GroupOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A product's price for those who buy it together."""

    id: GroupOfferId
    shop_id: ShopId
    product_id: ProductId
    state: GroupState
    size: int
    gather_hours: int
    limit_per_person: int
    starts_at: datetime
    ends_at: datetime
    prices: list[GroupPrice]


class GroupFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an offer: teams by how they stand, and the seats that are paid in those that did not fail."""

    gathering: int = 0
    complete: int = 0
    failed: int = 0
    paid_seats: int = 0


class GroupPriceRefused(Invalid, code="group-price-refused"):
    """A team's price is below the shelf's, for SKUs of this product, in the shop's currency."""

    sku_id: SkuId


class GroupTimeRefused(Invalid, code="group-time-refused"):
    """An offer ends after it begins and lies ahead, within a year."""

    days_max: int


class GroupOfferStands(Conflict, code="group-offer-stands"):
    """This product is offered to groups already; close that offer first."""

    offer_id: GroupOfferId


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    id: GroupOfferId
    shop_id: ShopId
    product_id: ProductId
    size: int
    gather_hours: int
    limit_per_person: int
    currency: str
    starts_at: datetime
    ends_at: datetime
    state: str
    digest: bytes


class _Price(msgspec.Struct, frozen=True):
    offer_id: GroupOfferId
    sku_id: SkuId
    price_amount: int


class _Figures(msgspec.Struct, frozen=True):
    offer_id: GroupOfferId
    gathering: int
    complete: int
    failed: int
    paid_seats: int


async def offer_group(tx: Tx, actor: Actor, shop_id: ShopId, draft: GroupDraft) -> GroupOffer:
    """Offer a product to groups; the same draft again gives the same offer. Needs the scope `catalog`.

    Refuses `GroupPriceRefused`, `GroupTimeRefused`, `GroupOfferStands`, `IdReused`, `NotFound`.
    """
    await identity.require_seat(tx, actor, shop_id, Scope.catalog)
    await catalog.require_public(tx, shop_id)
    digest = catalog.digest_of(shop_id, draft)
    known = await _find(tx, [draft.id])
    if known:
        if known[0].digest != digest:
            raise IdReused()
        return (await _with_prices(tx, known))[0]
    product = (await catalog.find_products(tx, [draft.product_id])).get(draft.product_id)
    if product is None or product.shop_id != shop_id:
        raise NotFound()
    _check_prices(product, draft.prices)
    starts_at = draft.starts_at or tx.now
    if not max(starts_at, tx.now) < draft.ends_at <= tx.now + timedelta(days=LASTS_DAYS_MAX):
        raise GroupTimeRefused(days_max=LASTS_DAYS_MAX)
    await _make_room(tx, draft.product_id)
    inserted = await tx.run(
        """
        INSERT INTO offers.group_offer (id, shop_id, product_id, size, gather_hours, limit_per_person, currency, starts_at,
                                        ends_at, state, created_at, digest)
        VALUES (%(id)s, %(shop_id)s, %(product_id)s, %(size)s, %(gather_hours)s, %(limit)s, %(currency)s, %(starts_at)s,
                %(ends_at)s, 'open', %(now)s, %(digest)s)
        ON CONFLICT DO NOTHING
        """,
        id=draft.id,
        shop_id=shop_id,
        product_id=draft.product_id,
        size=draft.size,
        gather_hours=draft.gather_hours,
        limit=draft.limit_per_person,
        currency=draft.prices[0].price.currency,
        starts_at=starts_at,
        ends_at=draft.ends_at,
        now=tx.now,
        digest=digest,
    )
    if not inserted:
        raise GroupOfferStands(offer_id=draft.id)
    await tx.run(
        """
        INSERT INTO offers.group_price (offer_id, sku_id, price_amount)
        SELECT %(id)s, sku_id, price_amount FROM unnest(%(skus)s::uuid[], %(prices)s::bigint[]) AS said (sku_id, price_amount)
        """,
        id=draft.id,
        skus=[one.sku_id for one in draft.prices],
        prices=[one.price.amount for one in draft.prices],
    )
    return await get_group_offer(tx, draft.id)


async def close_group(tx: Tx, actor: Actor, offer_id: GroupOfferId) -> GroupOffer:
    """No new teams from now on; those that gather go on. Again: nothing more happens. Needs the scope `catalog`."""
    offer = await get_group_offer(tx, offer_id)
    await identity.require_seat(tx, actor, offer.shop_id, Scope.catalog)
    await tx.run("UPDATE offers.group_offer SET state = 'closed' WHERE id = %(id)s", id=offer_id)
    return await get_group_offer(tx, offer_id)


async def get_group_offer(tx: Tx, offer_id: GroupOfferId) -> GroupOffer:
    """One offer, or `NotFound`."""
    found = await find_group_offers(tx, [offer_id])
    if offer_id not in found:
        raise NotFound()
    return found[offer_id]


async def find_group_offers(tx: Tx, offer_ids: list[GroupOfferId]) -> dict[GroupOfferId, GroupOffer]:
    """Those of the offers that exist, by id."""
    return {offer.id: offer for offer in await _with_prices(tx, await _find(tx, offer_ids))}


async def find_group_of_product(tx: Tx, product_id: ProductId) -> GroupOffer | None:
    """The offer that is running for a product, if there is one."""
    offer_id = await tx.maybe(
        GroupOfferId,
        """
        SELECT id FROM offers.group_offer
        WHERE product_id = %(product_id)s AND state = 'open' AND starts_at <= %(now)s AND ends_at > %(now)s
        """,
        product_id=product_id,
        now=tx.now,
    )
    return None if offer_id is None else await get_group_offer(tx, offer_id)


async def list_group_offers(
    tx: Tx, actor: Actor, shop_id: ShopId, *, after: UUID | None, limit: int
) -> list[tuple[GroupOffer, GroupFigures]]:
    """A shop's offers, the latest first, with what came of them. Needs the scope `catalog`."""
    await identity.require_seat(tx, actor, shop_id, Scope.catalog)
    rows = await tx.all(
        _Row,
        """
        SELECT id, shop_id, product_id, size, gather_hours, limit_per_person, currency, starts_at, ends_at, state, digest
        FROM offers.group_offer
        WHERE shop_id = %(shop_id)s AND (%(after)s::uuid IS NULL OR id < %(after)s) ORDER BY id DESC LIMIT %(limit)s
        """,
        shop_id=shop_id,
        after=after,
        limit=min(limit, PAGE_SIZE_MAX),
    )
    figures = {
        row.offer_id: GroupFigures(
            gathering=row.gathering, complete=row.complete, failed=row.failed, paid_seats=row.paid_seats
        )
        for row in await tx.all(
            _Figures,
            """
            SELECT offer_id, count(*) FILTER (WHERE state = 'gathering' AND held_count + paid_count > 0) AS gathering,
                   count(*) FILTER (WHERE state = 'complete') AS complete,
                   count(*) FILTER (WHERE state = 'failed' AND paid_count > 0) AS failed,
                   coalesce(sum(paid_count) FILTER (WHERE state <> 'failed'), 0) AS paid_seats
            FROM offers.team WHERE offer_id = ANY(%(ids)s) GROUP BY offer_id
            """,
            ids=[row.id for row in rows],
        )
    }
    return [(offer, figures.get(offer.id, GroupFigures())) for offer in await _with_prices(tx, rows)]


def _check_prices(product: catalog.Product, prices: list[GroupPrice]) -> None:
    skus = {sku.id: sku for sku in product.skus if sku.state is catalog.SkuState.active}
    seen: set[SkuId] = set()
    for one in prices:
        sku = skus.get(one.sku_id)
        if (
            sku is None
            or one.sku_id in seen
            or one.price.currency != sku.currency
            or not 0 < one.price.amount < sku.price_amount
        ):
            raise GroupPriceRefused(sku_id=one.sku_id)
        seen.add(one.sku_id)


async def _make_room(tx: Tx, product_id: ProductId) -> None:
    """What is over is closed; what stands refuses another. Of two that come at once the unique index lets one in."""
    await tx.run(
        """
        UPDATE offers.group_offer SET state = 'closed'
        WHERE product_id = %(product_id)s AND state = 'open' AND ends_at <= %(now)s
        """,
        product_id=product_id,
        now=tx.now,
    )
    standing = await tx.maybe(
        GroupOfferId,
        "SELECT id FROM offers.group_offer WHERE product_id = %(product_id)s AND state = 'open'",
        product_id=product_id,
    )
    if standing is not None:
        raise GroupOfferStands(offer_id=standing)


async def _find(tx: Tx, offer_ids: list[GroupOfferId]) -> list[_Row]:
    return await tx.all(
        _Row,
        """
        SELECT id, shop_id, product_id, size, gather_hours, limit_per_person, currency, starts_at, ends_at, state, digest
        FROM offers.group_offer WHERE id = ANY(%(ids)s::uuid[]) ORDER BY id
        """,
        ids=offer_ids,
    )


async def _with_prices(tx: Tx, rows: list[_Row]) -> list[GroupOffer]:
    prices: dict[GroupOfferId, list[GroupPrice]] = {}
    currencies = {row.id: row.currency for row in rows}
    for price in await tx.all(
        _Price,
        "SELECT offer_id, sku_id, price_amount FROM offers.group_price WHERE offer_id = ANY(%(ids)s::uuid[]) ORDER BY sku_id",
        ids=list(currencies),
    ):
        money = Money(price.price_amount, currencies[price.offer_id])
        prices.setdefault(price.offer_id, []).append(GroupPrice(price.sku_id, money))
    return [
        GroupOffer(
            id=row.id,
            shop_id=row.shop_id,
            product_id=row.product_id,
            state=_state_of(row, tx.now),
            size=row.size,
            gather_hours=row.gather_hours,
            limit_per_person=row.limit_per_person,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            prices=prices.get(row.id, []),
        )
        for row in rows
    ]


def _state_of(row: _Row, now: datetime) -> GroupState:
    if row.state == "closed":
        return GroupState.over if row.ends_at <= now else GroupState.closed
    if now < row.starts_at:
        return GroupState.planned
    return GroupState.running if now < row.ends_at else GroupState.over
