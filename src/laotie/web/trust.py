"""Guarantees over HTTP: what shops promise, what orders were promised, the deposit behind it."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import delete, get, post, put
from litestar.params import QueryParameter

from laotie import catalog, fun, identity, orders, payments, trust
from laotie.base.db import Database, Tx
from laotie.base.ids import OrderId, ProductId, ShopId
from laotie.base.money import Money
from laotie.base.refusals import NotFound
from laotie.base.settings import Settings
from laotie.identity import Actor, Scope
from laotie.trust import Guarantee, Payout, Pledge, PromiseKind
from laotie.web.fun import NewTopup
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page
from laotie.web.payments import PaymentView, view_of_payment

PRODUCTS_MAX = 100

OfProducts = Annotated[list[UUID], QueryParameter(name="product_id", max_items=PRODUCTS_MAX, description="Products.")]


class PromiseView(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One promise: `cap` (an order) for what is paid up to an amount, `days` for returns without a reason."""

    kind: PromiseKind
    cap: Money | None = None
    days: int | None = None


class PledgeView(msgspec.Struct, kw_only=True):
    """What is promised, as one immutable row."""

    id: UUID
    promises: list[PromiseView]


class NewPledge(msgspec.Struct, forbid_unknown_fields=True):
    """What to promise from now on, under a new id. No promises: nothing, whatever the shop says."""

    id: UUID
    promises: Annotated[list[PromiseView], msgspec.Meta(max_length=20)]


class ShopPledge(msgspec.Struct, kw_only=True):
    """What a shop promises of everything that has no pledge of its own."""

    pledge: PledgeView | None


class ProductPledge(msgspec.Struct, kw_only=True):
    """What whoever orders this product now is promised."""

    product_id: ProductId
    is_own: bool
    pledge: PledgeView


class ProductPledges(msgspec.Struct, kw_only=True):
    """Those of the products that a pledge stands for."""

    items: list[ProductPledge]


class PayoutView(msgspec.Struct, kw_only=True):
    """A claim: what was asked, what promise and month allow, what was paid; the rest is owed."""

    id: UUID
    kind: PromiseKind
    order_id: OrderId
    line_no: int
    asked: Money
    granted: Money
    paid: Money
    made_at: datetime


class LineGuarantee(msgspec.Struct, kw_only=True):
    """What a line of an order was promised when it was placed, and what was paid for it."""

    line_no: int
    pledge: PledgeView | None
    payouts: list[PayoutView]


class OrderGuarantees(msgspec.Struct, kw_only=True):
    """Line by line."""

    items: list[LineGuarantee]


class ObligationView(msgspec.Struct, kw_only=True):
    """A kind of promise that the deposit stands for, and what that takes."""

    kind: PromiseKind
    required: Money
    ends_at: datetime | None


class DepositView(msgspec.Struct, kw_only=True):
    """How a shop's deposit stands: what is in it, what must be, what is owed, what may be taken back."""

    balance: Money
    required: Money
    base: Money
    owed: Money
    missing: Money
    free: Money
    paid_out: Money
    obligations: list[ObligationView]
    needs: dict[PromiseKind, Money]
    """What each kind takes, promised or not."""
    rule_version: int
    grace_h: int
    tail_days: int
    short_since: datetime | None
    limited_from: datetime | None
    limited_at: datetime | None


class NewDepositMovement(msgspec.Struct, forbid_unknown_fields=True):
    """Money between the shop's wallet and its deposit: `in`, or `out` what the promises do not need."""

    id: UUID
    direction: Annotated[str, msgspec.Meta(pattern="^(in|out)$")]
    amount: Money


@get("/api/shops/{shop_id:uuid}/pledge")
async def get_shop_pledge(shop_id: FromPath[UUID], db: Given[Database]) -> ShopPledge:
    """What a shop promises of everything that has no pledge of its own."""
    async with db.read() as tx:
        found = await trust.find_of_shop(tx, ShopId(shop_id))
    return ShopPledge(pledge=_pledge(found) if found is not None else None)


@put("/api/shops/{shop_id:uuid}/pledge")
async def set_shop_pledge(
    shop_id: FromPath[UUID], data: JSONBody[NewPledge], actor: Given[Actor], db: Given[Database]
) -> PledgeView:
    """Promise this to whoever orders from now on."""
    async with db.tx() as tx:
        return _pledge(await trust.set_pledge(tx, actor, ShopId(shop_id), data.id, await _read(tx, shop_id, data)))


@delete("/api/shops/{shop_id:uuid}/pledge", status_code=204)
async def clear_shop_pledge(shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> None:
    """Promise nothing any more; what was ordered keeps its promise."""
    async with db.tx() as tx:
        await trust.clear_pledge(tx, actor, ShopId(shop_id))


@put("/api/products/{product_id:uuid}/pledge")
async def set_product_pledge(
    product_id: FromPath[UUID], data: JSONBody[NewPledge], actor: Given[Actor], db: Given[Database]
) -> PledgeView:
    """Promise something else of this product than the shop does of the others."""
    async with db.tx() as tx:
        shop_id = await _shop_of(tx, actor, product_id)
        promises = await _read(tx, shop_id, data)
        return _pledge(await trust.set_pledge(tx, actor, shop_id, data.id, promises, product_id=ProductId(product_id)))


@delete("/api/products/{product_id:uuid}/pledge", status_code=204)
async def clear_product_pledge(product_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> None:
    """Let this product go by what the shop promises."""
    async with db.tx() as tx:
        shop_id = await _shop_of(tx, actor, product_id)
        await trust.clear_pledge(tx, actor, shop_id, product_id=ProductId(product_id))


@get("/api/guarantees")
async def list_guarantees(db: Given[Database], product_ids: OfProducts) -> ProductPledges:
    """What whoever orders these products now is promised; without a pledge, a product is left out."""
    async with db.read() as tx:
        found = await trust.find_offered(tx, [ProductId(one) for one in product_ids])
    return ProductPledges(
        items=[
            ProductPledge(product_id=product_id, is_own=one.is_own, pledge=_pledge(one.pledge))
            for product_id, one in found.items()
        ]
    )


@get("/api/orders/{order_id:uuid}/guarantees")
async def get_order_guarantees(order_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> OrderGuarantees:
    """What my order was promised when it was placed, and what was paid for it."""
    async with db.read() as tx:
        return await _guarantees(tx, await orders.get_own(tx, actor, OrderId(order_id)))


@get("/api/shops/{shop_id:uuid}/orders/{order_id:uuid}/guarantees")
async def get_shop_order_guarantees(
    shop_id: FromPath[UUID], order_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]
) -> OrderGuarantees:
    """What an order of the shop was promised when it was placed, and what was paid for it."""
    async with db.read() as tx:
        return await _guarantees(tx, await orders.get_of_shop(tx, actor, ShopId(shop_id), OrderId(order_id)))


@get("/api/shops/{shop_id:uuid}/deposit")
async def get_deposit(shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> DepositView:
    """How the shop's deposit stands."""
    async with db.read() as tx:
        return await _deposit(tx, actor, ShopId(shop_id))


@post("/api/shops/{shop_id:uuid}/deposit/movements", status_code=201)
async def move_deposit(
    shop_id: FromPath[UUID], data: JSONBody[NewDepositMovement], actor: Given[Actor], db: Given[Database]
) -> DepositView:
    """Fill the deposit from the shop's wallet, or take back what the promises do not need. Said again, it moves nothing."""
    async with db.tx() as tx:
        move = trust.put_in if data.direction == "in" else trust.take_back
        await move(tx, actor, ShopId(shop_id), data.id, data.amount)
        return await _deposit(tx, actor, ShopId(shop_id))


@post("/api/shops/{shop_id:uuid}/deposit/topups")
async def top_up_deposit(
    shop_id: FromPath[UUID],
    data: JSONBody[NewTopup],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> PaymentView:
    """Pay into the deposit: through the shop's wallet, and on as soon as the money has come."""
    async with db.tx() as tx:
        await identity.require_seat(tx, actor, ShopId(shop_id), Scope.money)
        assert actor.seat_holder_id is not None
        await trust.plan_topup(tx, actor, ShopId(shop_id), data.id)
        payment = await fun.start_topup(
            tx, settings, actor.seat_holder_id, shop_id, data.id, data.amount, provider=data.method
        )
    return view_of_payment(await payments.authorise(db, settings, payment.id))


@get("/api/shops/{shop_id:uuid}/payouts")
async def list_payouts(
    shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], after: After = None, limit: Limit = LIMIT_DEFAULT
) -> Page[PayoutView]:
    """What was claimed under the shop's guarantees, the latest first."""
    async with db.read() as tx:
        found = await trust.list_of_shop(tx, actor, ShopId(shop_id), after=after, limit=limit)
    return Page(items=[_payout(one) for one in found], next=str(found[-1].id) if len(found) == limit else None)


async def _shop_of(tx: Tx, actor: Actor, product_id: UUID) -> ShopId:
    """The shop of a product that the actor has a seat in."""
    product = (await catalog.find_products(tx, [ProductId(product_id)])).get(ProductId(product_id))
    seat = await identity.find_seat(tx, actor, product.shop_id if product else ShopId(product_id))
    if product is None or seat is None:
        raise NotFound()
    return product.shop_id


async def _read(tx: Tx, shop_id: UUID, data: NewPledge) -> list[Guarantee]:
    """The promises in the shop's currency."""
    currency = (await catalog.get_shop(tx, ShopId(shop_id))).currency
    found = []
    for one in data.promises:
        if one.cap is not None and (one.cap.currency != currency or one.cap.amount <= 0):
            raise trust.GuaranteeRefused(kind=one.kind)
        found.append(Guarantee(one.kind, cap_amount=one.cap.amount if one.cap else None, days=one.days))
    return found


async def _guarantees(tx: Tx, order: orders.Order) -> OrderGuarantees:
    pledge_ids = {line.pledge_id for line in order.lines if line.pledge_id is not None}
    pledges = await trust.find_pledges(tx, sorted(pledge_ids))
    payouts = (await trust.list_of_orders(tx, [order.id])).get(order.id, [])
    return OrderGuarantees(
        items=[
            LineGuarantee(
                line_no=line.no,
                pledge=_pledge(pledges[line.pledge_id]) if line.pledge_id in pledges else None,
                payouts=[_payout(one) for one in payouts if one.line_no == line.no],
            )
            for line in order.lines
        ]
    )


async def _deposit(tx: Tx, actor: Actor, shop_id: ShopId) -> DepositView:
    standing = await trust.get_standing(tx, actor, shop_id)
    deposit, terms = standing.deposit, standing.terms

    def money(amount: int) -> Money:
        return Money(amount, deposit.currency)

    return DepositView(
        balance=money(deposit.balance_amount),
        required=money(deposit.required_amount),
        base=money(terms.base),
        owed=money(deposit.owed_amount),
        missing=money(deposit.missing_amount),
        free=money(deposit.free_amount),
        paid_out=money(deposit.paid_amount),
        obligations=[
            ObligationView(kind=one.kind, required=money(terms.required.get(one.kind, 0)), ends_at=one.ends_at)
            for one in standing.obligations
            if one.ends_at is None or one.ends_at > tx.now
        ],
        needs={kind: money(terms.required.get(kind, 0)) for kind in PromiseKind},
        rule_version=terms.version,
        grace_h=terms.grace_h,
        tail_days=terms.tail_days,
        short_since=deposit.short_since,
        limited_from=standing.limited_from,
        limited_at=deposit.limited_at,
    )


def _pledge(pledge: Pledge) -> PledgeView:
    return PledgeView(
        id=pledge.id,
        promises=[
            PromiseView(
                kind=one.kind,
                cap=Money(one.cap_amount, pledge.currency) if one.cap_amount is not None else None,
                days=one.days,
            )
            for one in pledge.promises
        ],
    )


def _payout(one: Payout) -> PayoutView:
    return PayoutView(
        id=one.id,
        kind=one.kind,
        order_id=one.order_id,
        line_no=one.line_no,
        asked=Money(one.asked_amount, one.currency),
        granted=Money(one.amount, one.currency),
        paid=Money(one.paid_amount, one.currency),
        made_at=one.made_at,
    )


ROUTES = [
    get_shop_pledge,
    set_shop_pledge,
    clear_shop_pledge,
    set_product_pledge,
    clear_product_pledge,
    list_guarantees,
    get_order_guarantees,
    get_shop_order_guarantees,
    get_deposit,
    move_deposit,
    top_up_deposit,
    list_payouts,
]
