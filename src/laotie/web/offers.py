"""Coupons over HTTP: made, had, spent; the rule of stacking."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.params import QueryParameter

from laotie import catalog, live, offers, orders
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, OrderId, ProductId, ShopId, ShowId
from laotie.base.money import Currency, Money
from laotie.base.refusals import NotFound
from laotie.identity import Actor
from laotie.offers import ClaimId, ClaimState, Coupon, CouponId, CouponKind, CouponState, Layer
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.orders import Nothing
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page

Amount = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]

OfShow = Annotated[UUID | None, QueryParameter(name="show_id", description="Coupons for this show's viewers.")]
OfShop = Annotated[UUID | None, QueryParameter(name="shop_id", description="Coupons for this shop's goods.")]
OfProduct = Annotated[UUID | None, QueryParameter(name="product_id", description="Coupons for this product.")]
InState = Annotated[ClaimState | None, QueryParameter(name="state", description="Only coupons in this state.")]


class StepView(msgspec.Struct):
    """Who spends so much saves so much."""

    threshold: Money
    off: Money


class CouponView(msgspec.Struct, kw_only=True):
    """What a coupon gives, on what, to whom. Without `shop_id` it is the platform's."""

    id: CouponId
    title: str
    shop_id: ShopId | None
    shop_name: str | None
    layer: Layer
    kind: CouponKind
    off: Money | None
    bps: int | None
    cap: Money | None
    threshold: Money | None
    """Of the goods it counts on, before any coupon; `null` when there is none."""
    steps: list[StepView]
    product_ids: list[ProductId] | None
    show_id: ShowId | None
    streamer_id: AccountId | None
    fan_level: int
    new_buyer: bool
    alone: bool
    per_person: int
    starts_at: datetime
    ends_at: datetime
    valid_days: int | None
    currency: str
    state: CouponState


class CouponStanding(msgspec.Struct, kw_only=True):
    """What I have of a coupon, and whether I can have one (more)."""

    claimed: int
    usable: int
    can_claim: bool
    why_not: str | None
    facts: dict[str, Any]


class CouponCard(CouponView, kw_only=True):
    """A coupon to be had. `left` are the claims still to be given out."""

    left: int
    mine: CouponStanding


class CouponFigures(CouponView, kw_only=True):
    """A coupon and how far it is used up, for those who pay for it."""

    quantity: int
    claimed: int
    used: int
    budget: Money
    spent: Money
    created_at: datetime


class CouponCards(msgspec.Struct):
    """Coupons to be had, those that end first come first."""

    items: list[CouponCard]


class StepDraft(msgspec.Struct, forbid_unknown_fields=True):
    """Who spends so much saves so much (minor units)."""

    threshold_amount: Amount
    off_amount: Amount


class NewCoupon(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A coupon under the client's own id. Amounts are in minor units of `currency`; the terms never change."""

    id: CouponId
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    kind: CouponKind
    currency: Currency
    threshold_amount: Amount = 0
    off_amount: Amount | None = None
    bps: Count | None = None
    cap_amount: Amount | None = None
    steps: Annotated[list[StepDraft], msgspec.Meta(max_length=10)] | None = None
    product_ids: Annotated[list[ProductId], msgspec.Meta(max_length=200)] | None = None
    show_id: ShowId | None = None
    streamer_id: AccountId | None = None
    fan_level: Count = 0
    new_buyer: bool = False
    alone: bool = False
    quantity: Count
    per_person: Count = 1
    budget_amount: Amount
    starts_at: datetime
    ends_at: datetime
    valid_days: Count | None = None


class NewCouponClaim(msgspec.Struct, forbid_unknown_fields=True):
    """Taking a coupon, under the client's own id."""

    id: ClaimId


class CouponClaimView(msgspec.Struct, kw_only=True):
    """A coupon of mine."""

    id: ClaimId
    coupon: CouponView
    state: ClaimState
    claimed_at: datetime
    valid_until: datetime
    used_at: datetime | None
    order_id: OrderId | None


class StackingRuleView(msgspec.Struct):
    """What may be combined: the layers in the order they count, most of each, layers that do not go together."""

    version: int
    layers: list[Layer]
    most: dict[Layer, int]
    exclusions: list[tuple[Layer, Layer]]


class NewStackingRule(msgspec.Struct, forbid_unknown_fields=True):
    """The next version of the rule."""

    most: dict[Layer, Count]
    exclusions: Annotated[list[tuple[Layer, Layer]], msgspec.Meta(max_length=10)] = []


class LineDiscount(msgspec.Struct):
    """What was taken off a line."""

    no: int
    off: Money


class SpentCoupon(msgspec.Struct, kw_only=True):
    """What a coupon took off an order. `given_back`: the order came to nothing, and with it the discount."""

    claim_id: ClaimId
    coupon_id: CouponId
    title: str
    layer: Layer
    off: Money
    subsidy: Money
    base: Money
    """The goods it counted on, before any coupon."""
    lines: list[LineDiscount]
    rule_version: int
    given_back: bool


class SpentCoupons(msgspec.Struct):
    """The coupons of an order, in the order they counted."""

    items: list[SpentCoupon]


@get("/api/coupons")
async def list_open_coupons(
    actor: Given[Actor],
    db: Given[Database],
    show_id: OfShow = None,
    shop_id: OfShop = None,
    product_id: OfProduct = None,
) -> CouponCards:
    """Coupons to be had in a room, a shop, for a product; or all there are."""
    async with db.read() as tx:
        of_shop = await _find_shop(tx, show_id, shop_id, product_id)
        found = await offers.list_open(
            tx,
            shop_id=of_shop,
            show_id=ShowId(show_id) if show_id else None,
            product_id=ProductId(product_id) if product_id else None,
            currency=(await catalog.get_shop(tx, of_shop)).currency if of_shop else None,
        )
        sandboxes = await catalog.find_sandboxes(tx, {one.shop_id for one in found if one.shop_id is not None})
        found = [one for one in found if one.shop_id not in sandboxes]
        names = await name_shops(tx, found)
        standings = await _find_standings(tx, actor, found)
    return CouponCards(
        [
            CouponCard(
                left=coupon.quantity - coupon.claimed_count,
                mine=standings[coupon.id],
                **fields_of(coupon, names),
            )
            for coupon in found
        ]
    )


@post("/api/coupons/{coupon_id:uuid}/claims", status_code=201)
async def claim_coupon(
    coupon_id: FromPath[UUID], data: JSONBody[NewCouponClaim], actor: Given[Actor], db: Given[Database]
) -> Response[CouponClaimView]:
    """Take a coupon. The same id again gives the same one again, with status 200."""
    async with db.tx() as tx:
        claim, fresh = await orders.claim_coupon(tx, actor, CouponId(coupon_id), data.id)
        view = _claim_view(claim, await name_shops(tx, [claim.coupon]), tx.now)
    return Response(view, status_code=201 if fresh else 200)


@get("/api/me/coupons")
async def list_my_coupons(
    actor: Given[Actor],
    db: Given[Database],
    in_state: InState = None,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[CouponClaimView]:
    """My coupons, newest first."""
    async with db.read() as tx:
        page = await offers.list_claims(
            tx, actor.signed_in(), state=in_state, after=ClaimId(after) if after else None, limit=limit
        )
        names = await name_shops(tx, [claim.coupon for claim in page.items])
    return Page(
        items=[_claim_view(claim, names, tx.now) for claim in page.items],
        next=str(page.next) if page.next else None,
    )


@get("/api/shops/{shop_id:uuid}/coupons")
async def list_shop_coupons(
    shop_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[CouponFigures]:
    """The shop's coupons and how far they are used up, newest first, for its staff."""
    return await _list(db, actor, ShopId(shop_id), after, limit)


@post("/api/shops/{shop_id:uuid}/coupons", status_code=201)
async def make_shop_coupon(
    shop_id: FromPath[UUID], data: JSONBody[NewCoupon], actor: Given[Actor], db: Given[Database]
) -> CouponFigures:
    """Make a coupon of the shop. The same again changes nothing."""
    async with db.tx() as tx:
        if data.show_id is not None and (await live.get_show(tx, data.show_id)).shop_id != shop_id:
            raise NotFound()
        coupon = await offers.make_coupon(tx, actor, ShopId(shop_id), data.id, _draft(data))
        return _figures(coupon, await name_shops(tx, [coupon]))


@get("/api/platform/coupons")
async def list_platform_coupons(
    actor: Given[Actor], db: Given[Database], after: After = None, limit: Limit = LIMIT_DEFAULT
) -> Page[CouponFigures]:
    """The platform's coupons and how far they are used up, newest first, for operators."""
    return await _list(db, actor, None, after, limit)


@post("/api/platform/coupons", status_code=201)
async def make_platform_coupon(data: JSONBody[NewCoupon], actor: Given[Actor], db: Given[Database]) -> CouponFigures:
    """Make a coupon that the platform pays for. The same again changes nothing."""
    async with db.tx() as tx:
        coupon = await offers.make_coupon(tx, actor, None, data.id, _draft(data))
        return _figures(coupon, {})


@post("/api/coupons/{coupon_id:uuid}/end", status_code=200)
async def end_coupon(
    coupon_id: FromPath[UUID], data: JSONBody[Nothing | None], actor: Given[Actor], db: Given[Database]
) -> CouponFigures:
    """Stop a coupon: none is given out and none is taken any more, whoever holds it."""
    async with db.tx() as tx:
        coupon = await offers.end_coupon(tx, actor, CouponId(coupon_id))
        return _figures(coupon, await name_shops(tx, [coupon]))


@get("/api/orders/{order_id:uuid}/coupons")
async def list_order_coupons(order_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> SpentCoupons:
    """What coupons took off one of my orders, and why."""
    async with db.read() as tx:
        order = await orders.get_own(tx, actor, OrderId(order_id))
        spent = await offers.list_applications(tx, [order.id])
    return SpentCoupons(
        [
            SpentCoupon(
                claim_id=one.claim_id,
                coupon_id=one.coupon_id,
                title=one.title,
                layer=one.layer,
                off=Money(one.amount, one.currency),
                subsidy=Money(one.subsidy_amount, one.currency),
                base=Money(one.base_amount, one.currency),
                lines=[LineDiscount(no, Money(amount, one.currency)) for no, amount in one.lines],
                rule_version=one.rule_version,
                given_back=one.ended_at is not None,
            )
            for one in spent
        ]
    )


@get("/api/stacking-rules/current")
async def get_stacking_rule(db: Given[Database]) -> StackingRuleView:
    """What may be combined."""
    async with db.read() as tx:
        return _rule_view(await offers.get_rule(tx))


@post("/api/stacking-rules", status_code=201)
async def set_stacking_rule(
    data: JSONBody[NewStackingRule], actor: Given[Actor], db: Given[Database]
) -> StackingRuleView:
    """Make the next version of the rule (operators). Purchases from then on follow it."""
    async with db.tx() as tx:
        return _rule_view(await offers.set_rule(tx, actor, most=data.most, exclusions=data.exclusions))


async def _list(
    db: Database, actor: Actor, shop_id: ShopId | None, after: UUID | None, limit: int
) -> Page[CouponFigures]:
    async with db.read() as tx:
        found = await offers.list_coupons(tx, actor, shop_id, after=CouponId(after) if after else None, limit=limit + 1)
        names = await name_shops(tx, found)
    return Page(
        items=[_figures(coupon, names) for coupon in found[:limit]],
        next=str(found[limit - 1].id) if len(found) > limit else None,
    )


async def _find_shop(tx: Tx, show_id: UUID | None, shop_id: UUID | None, product_id: UUID | None) -> ShopId | None:
    if show_id is not None:
        return (await live.get_show(tx, ShowId(show_id))).shop_id
    if shop_id is None and product_id is not None:
        product = (await catalog.find_products(tx, [ProductId(product_id)])).get(ProductId(product_id))
        if product is None:
            raise NotFound()
        return product.shop_id
    return ShopId(shop_id) if shop_id is not None else None


async def name_shops(tx: Tx, coupons: list[Coupon]) -> dict[ShopId, str]:
    """What the shops of these coupons are called."""
    shops = await catalog.find_shops(tx, list({one.shop_id for one in coupons if one.shop_id is not None}))
    return {shop.id: shop.name for shop in shops.values()}


async def _find_standings(tx: Tx, actor: Actor, coupons: list[Coupon]) -> dict[CouponId, CouponStanding]:
    """What the actor has of each coupon, and what keeps them from having more."""
    if actor.account_id is None:
        return {
            coupon.id: CouponStanding(claimed=0, usable=0, can_claim=False, why_not="sign-in", facts={})
            for coupon in coupons
        }
    counts = await offers.count_claims(tx, actor.account_id, [coupon.id for coupon in coupons])
    buyer = await orders.find_buyer(tx, actor.account_id, coupons)
    standings = {}
    for coupon in coupons:
        claimed, usable = counts.get(coupon.id, (0, 0))
        barred = offers.judge_holder(coupon, buyer)
        why_not: str | None = offers.why_gone(coupon, tx.now)
        facts: dict[str, Any] = {}
        if claimed >= coupon.per_person:
            why_not = "claimed"
        elif why_not is None and barred is not None:
            why_not, facts = barred[0].value, barred[1]
        standings[coupon.id] = CouponStanding(
            claimed=claimed, usable=usable, can_claim=why_not is None, why_not=why_not, facts=facts
        )
    return standings


def _draft(data: NewCoupon) -> offers.Draft:
    said = {name: getattr(data, name) for name in NewCoupon.__struct_fields__ if name not in ("id", "steps")}
    steps = None
    if data.steps is not None:
        steps = tuple(offers.Step(step.threshold_amount, step.off_amount) for step in data.steps)
    products = None if data.product_ids is None else tuple(data.product_ids)
    return offers.Draft(**{**said, "product_ids": products}, steps=steps)


def fields_of(coupon: Coupon, names: dict[ShopId, str]) -> dict[str, Any]:
    """A coupon's terms as every view of it shows them."""

    def money(amount: int | None) -> Money | None:
        return None if amount is None else Money(amount, coupon.currency)

    return {
        "id": coupon.id,
        "title": coupon.title,
        "shop_id": coupon.shop_id,
        "shop_name": None if coupon.shop_id is None else names.get(coupon.shop_id, ""),
        "layer": coupon.layer,
        "kind": coupon.kind,
        "off": money(coupon.off_amount),
        "bps": coupon.bps,
        "cap": money(coupon.cap_amount),
        "threshold": money(coupon.threshold_amount or None),
        "steps": [
            StepView(Money(step.threshold_amount, coupon.currency), Money(step.off_amount, coupon.currency))
            for step in coupon.steps or ()
        ],
        "product_ids": None if coupon.product_ids is None else list(coupon.product_ids),
        "show_id": coupon.show_id,
        "streamer_id": coupon.streamer_id,
        "fan_level": coupon.fan_level,
        "new_buyer": coupon.new_buyer,
        "alone": coupon.alone,
        "per_person": coupon.per_person,
        "starts_at": coupon.starts_at,
        "ends_at": coupon.ends_at,
        "valid_days": coupon.valid_days,
        "currency": coupon.currency,
        "state": coupon.state,
    }


def _figures(coupon: Coupon, names: dict[ShopId, str]) -> CouponFigures:
    return CouponFigures(
        quantity=coupon.quantity,
        claimed=coupon.claimed_count,
        used=coupon.used_count,
        budget=Money(coupon.budget_amount, coupon.currency),
        spent=Money(coupon.spent_amount, coupon.currency),
        created_at=coupon.created_at,
        **fields_of(coupon, names),
    )


def _claim_view(claim: offers.Claim, names: dict[ShopId, str], now: datetime) -> CouponClaimView:
    return CouponClaimView(
        id=claim.id,
        coupon=CouponView(**fields_of(claim.coupon, names)),
        state=claim.state_at(now),
        claimed_at=claim.claimed_at,
        valid_until=claim.valid_until,
        used_at=claim.used_at,
        order_id=OrderId(claim.order_ids[0]) if claim.order_ids else None,
    )


def _rule_view(rule: offers.Rule) -> StackingRuleView:
    return StackingRuleView(rule.version, list(offers.LAYERS), rule.most, list(rule.exclusions))


ROUTES = [
    list_open_coupons,
    claim_coupon,
    list_my_coupons,
    list_shop_coupons,
    make_shop_coupon,
    list_platform_coupons,
    make_platform_coupon,
    end_coupon,
    list_order_coupons,
    get_stacking_rule,
    set_stacking_rule,
]
