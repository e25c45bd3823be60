"""Buying, paying and calling off over HTTP; a shop's orders and a show's sales."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
import structlog
from litestar import Response, get, post, put
from litestar.params import QueryParameter

from laotie import catalog, identity, live, orders, payments, traffic
from laotie.base.db import Database
from laotie.base.entry import Credit, Source, is_of_surface
from laotie.base.ids import (
    AccountId,
    CartItemId,
    OrderId,
    PaymentId,
    ProductId,
    ShopId,
    ShowId,
    SkuId,
)
from laotie.base.money import Money
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.identity import Actor
from laotie.live import Promise
from laotie.orders import Ask, AskLine, MixedCurrencies, OrderState, Till
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page
from laotie.web.payments import PaymentView, view_of_payment

InState = Annotated[
    OrderState | None, QueryParameter(name="state", description="Only orders in this state.")
]
"""Litestar keeps the name `state` for itself."""

Words = Annotated[
    str,
    QueryParameter(name="q", max_length=100, description="Looked for in order numbers, titles and buyers' names."),
]
OfShow = Annotated[UUID | None, QueryParameter(name="show_id", description="Only orders of this show.")]

encode = msgspec.json.Encoder().encode


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing needs to be said."""


Note = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00]*$")]


class NewLine(msgspec.Struct, forbid_unknown_fields=True):
    """One thing wanted, at the price that the buyer saw."""

    sku_id: SkuId
    quantity: Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]
    unit_price: Money
    cart_item_id: CartItemId | None = None
    grant_id: UUID | None = None
    """A price of one's own (a bargain's), for one piece."""
    team_id: UUID | None = None
    """A seat in a team, at its price; then it is the order's only line."""


class NewOrder(msgspec.Struct, forbid_unknown_fields=True):
    """A purchase under the client's own id. `visit` is what the ticket to the show gave."""

    id: UUID
    lines: Annotated[list[NewLine], msgspec.Meta(max_length=100)]
    show_id: ShowId | None = None
    visit: Annotated[str, msgspec.Meta(max_length=2_000)] | None = None
    address_id: identity.AddressId | None = None
    note: Note | None = None
    notes: dict[ShopId, Note] = {}
    """What I say to one shop of several."""
    coupons: Annotated[list[UUID], msgspec.Meta(max_length=20)] = []
    """Coupons of mine to redeem (claims): all of them, or nothing is bought."""
    total: Money | None = None
    """What I saw as the total without shipping; at another one nothing is bought."""


class PlacedOrder(msgspec.Struct):
    """The accepted purchase: stock is kept until `pay_by`. `GET /api/orders/{id}` tells the rest.

    Goods of several shops make an order each (`orders`; `id` is the first); they are paid together.
    """

    id: OrderId
    client_id: UUID
    state: OrderState
    total: Money
    placed_at: datetime
    pay_by: datetime
    orders: list[OrderId]


class Destination(msgspec.Struct, forbid_unknown_fields=True):
    """Where the parcel goes: one of my addresses."""

    address_id: identity.AddressId


class NewPayment(msgspec.Struct, forbid_unknown_fields=True):
    """An attempt to pay, under the client's own id."""

    id: PaymentId
    method: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]


class ShopName(msgspec.Struct):
    """The shop that sold it."""

    id: ShopId
    name: str


class Buyer(msgspec.Struct):
    """Who bought."""

    id: AccountId
    name: str


class LineView(msgspec.Struct):
    """One line of an order, as sold."""

    no: int
    sku_id: SkuId
    product_id: ProductId
    cart_item_id: CartItemId | None
    title: str
    image: str
    options: dict[str, str]
    quantity: int
    unit_price: Money
    discount: Money
    paid: Money
    """The price of all pieces less the discount."""
    tax: Money
    """Contained in what was paid."""
    tax_bps: int
    shipped_quantity: int
    refunded_quantity: int
    refunded: Money
    pledge_id: UUID | None
    batch_id: UUID | None
    promise: Promise | None
    """What was promised of it when the order was decided; `said_at` is the second of the show to open."""


class Bill(msgspec.Struct):
    """How the total comes about: goods less discount plus shipping. The platform bears `subsidy` of the discount.

    `tax` is contained in the total; `refunded` went back or is on its way.
    """

    goods: Money
    discount: Money
    subsidy: Money
    shipping: Money
    tax: Money
    total: Money
    refunded: Money


class PurchaseView(msgspec.Struct):
    """Orders that were made and are paid together; `id` is the first one's."""

    id: OrderId
    orders: list[OrderId]
    total: Money


class PaymentState(msgspec.Struct):
    """The payment that counts: the one that paid the order, else the latest."""

    id: PaymentId
    state: payments.PaymentState


class OrderView(msgspec.Struct, kw_only=True):
    """An order."""

    id: OrderId
    client_id: UUID
    state: OrderState
    shop: ShopName
    show_id: ShowId | None
    lines: list[LineView]
    total: Money
    bill: Bill
    purchase: PurchaseView
    source: str
    placement: str
    note: str | None
    address: identity.Address | None
    payment: PaymentState | None
    placed_at: datetime
    pay_by: datetime
    paid_at: datetime | None
    shipped_at: datetime | None
    delivered_at: datetime | None
    completed_at: datetime | None
    ended_at: datetime | None
    end_reason: str | None


class ShopOrderView(OrderView, kw_only=True):
    """An order as the shop sees it."""

    buyer: Buyer


class Gmv(msgspec.Struct):
    """Sums of orders placed (those that came to nothing included) and, of these, paid."""

    placed: Money
    paid: Money


class ItemSalesView(msgspec.Struct):
    """What a show sold of one product; `item_id` when it is in the cart now. `gmv` is of orders placed."""

    item_id: CartItemId | None
    product_id: ProductId
    title: str
    orders: int
    units: int
    gmv: Money
    paid_units: int
    paid: Money


class SalesView(msgspec.Struct):
    """What a show sold."""

    orders: int
    paid: int
    units: int
    gmv: Gmv
    per_item: list[ItemSalesView]


@post("/api/orders", status_code=201)
async def place_order(
    data: JSONBody[NewOrder], actor: Given[Actor], db: Given[Database], signer: Given[Signer], till: Given[Till]
) -> Response[PlacedOrder]:
    """Buy. The same id with the same content gives the same order again, with status 200."""
    account_id = actor.signed_in()
    credit, of_shops = await _credit(db, signer, actor, data)
    address = None
    if data.address_id is not None:
        async with db.tx() as tx:
            address = await identity.get_address(tx, actor, data.address_id)
            # Said before anything is bought: an order that cannot be sent there would only be in the way.
            wanted = [(one.sku_id, one.quantity, one.quantity * one.unit_price.amount) for one in data.lines]
            await orders.price_delivery(tx, wanted, address)
    currencies = {line.unit_price.currency for line in data.lines} | ({data.total.currency} if data.total else set())
    if len(currencies) > 1:
        raise MixedCurrencies()
    ask = Ask(
        buyer_id=account_id,
        client_id=data.id,
        show_id=data.show_id,
        lines=tuple(
            AskLine(line.sku_id, line.cart_item_id, line.quantity, line.unit_price.amount, line.grant_id, line.team_id)
            for line in data.lines
        ),
        source=credit.source,
        placement=credit.placement,
        visit_id=credit.visit_id,
        campaign=credit.campaign,
        streamer_id=credit.streamer_id,
        is_fan=credit.is_fan,
        rule_version=credit.rule_version,
        credits=tuple(of_shops.items()),
        note=data.note or None,
        notes=tuple((shop_id, said) for shop_id, said in sorted(data.notes.items()) if said),
        currency=next(iter(currencies), None),
        request_id=structlog.contextvars.get_contextvars().get("request_id"),
        coupons=tuple(data.coupons),
        total_amount=data.total.amount if data.total else None,
    )
    placed = await till.place(ask)
    total_amount = placed.total_amount
    if address is not None:
        async with db.tx() as tx:
            total_amount = await orders.attach_address(tx, actor, placed.id, address, only_missing=placed.again)
    view = PlacedOrder(
        id=placed.id,
        client_id=placed.client_id,
        state=placed.state,
        total=Money(total_amount, placed.currency),
        placed_at=placed.placed_at,
        pay_by=placed.pay_by,
        orders=list(placed.order_ids),
    )
    return Response(view, status_code=200 if placed.again else 201)


@get("/api/orders")
async def list_orders(
    actor: Given[Actor],
    db: Given[Database],
    in_state: InState = None,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[OrderView]:
    """My orders, newest first."""
    async with db.read() as tx:
        page = await orders.list_own(tx, actor, state=in_state, after=_order_id(after), limit=limit)
    return Page(items=[_view(order) for order in page.items], next=str(page.next) if page.next else None)


@get("/api/orders/{order_id:uuid}")
async def get_order(order_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> OrderView:
    """One of my orders."""
    async with db.read() as tx:
        return _view(await orders.get_own(tx, actor, OrderId(order_id)))


@put("/api/orders/{order_id:uuid}/address")
async def put_order_address(
    order_id: FromPath[UUID], data: JSONBody[Destination], actor: Given[Actor], db: Given[Database]
) -> OrderView:
    """Say where the parcels go, while the purchase is unpaid; the shops' shipping fees follow."""
    async with db.tx() as tx:
        address = await identity.get_address(tx, actor, data.address_id)
        await orders.attach_address(tx, actor, OrderId(order_id), address)
        return _view(await orders.get_own(tx, actor, OrderId(order_id)))


@post("/api/orders/{order_id:uuid}/cancellation", status_code=200)
async def cancel_order(
    order_id: FromPath[UUID], data: JSONBody[Nothing | None], actor: Given[Actor], db: Given[Database]
) -> OrderView:
    """Call my order off: unpaid (with all of its purchase), or paid and not sent yet; then the money goes back."""
    async with db.tx() as tx:
        await orders.cancel(tx, actor, OrderId(order_id))
        return _view(await orders.get_own(tx, actor, OrderId(order_id)))


@post("/api/orders/{order_id:uuid}/payments", status_code=201)
async def pay_order(
    order_id: FromPath[UUID],
    data: JSONBody[NewPayment],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> PaymentView:
    """Begin to pay. `next` says where to go on; while it is `null` the provider has not answered yet: ask again."""
    async with db.tx() as tx:
        payment = await orders.start_payment(
            tx, actor, settings, OrderId(order_id), data.id, provider=data.method
        )
    return view_of_payment(await payments.authorise(db, settings, payment.id))


@get("/api/shops/{shop_id:uuid}/orders")
async def list_shop_orders(
    shop_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    in_state: InState = None,
    q: Words = "",
    show_id: OfShow = None,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[ShopOrderView]:
    """The shop's orders, newest first, for its staff. Addresses are in each order's own answer alone.

    With `q` or `show_id` a page may be short, or empty, although more follows: `next` says so.
    """
    async with db.read() as tx:
        page = await orders.list_of_shop(
            tx,
            actor,
            ShopId(shop_id),
            state=in_state,
            after=_order_id(after),
            limit=limit,
            q=q,
            show_id=ShowId(show_id) if show_id is not None else None,
        )
        buyers = await identity.find_profiles(tx, {order.buyer_id for order in page.items})
    return Page(
        items=[view_shop_order(msgspec.structs.replace(order, address=None), buyers) for order in page.items],
        next=str(page.next) if page.next else None,
    )


@get("/api/shops/{shop_id:uuid}/orders/{order_id:uuid}")
async def get_shop_order(
    shop_id: FromPath[UUID], order_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]
) -> ShopOrderView:
    """One of the shop's orders, for its staff, with the buyer's address; that it was read is on record."""
    async with db.tx() as tx:
        order = await orders.get_of_shop(tx, actor, ShopId(shop_id), OrderId(order_id))
        if order.address is not None:
            await identity.record(tx, actor, "order.address_read", subject=str(order_id))
        return view_shop_order(order, await identity.find_profiles(tx, {order.buyer_id}))


@get("/api/shows/{show_id:uuid}/sales")
async def get_show_sales(show_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> SalesView:
    """What the show sold to this instant, for its streamer and the shop's staff."""
    async with db.read() as tx:
        found = await orders.get_sales(tx, actor, ShowId(show_id))
    items, currency = found.sales.items, found.currency
    return SalesView(
        orders=found.sales.orders,
        paid=found.sales.paid_orders,
        units=sum(item.units for item in items),
        gmv=Gmv(
            placed=Money(sum(item.amount for item in items), currency),
            paid=Money(sum(item.paid_amount for item in items), currency),
        ),
        per_item=[
            ItemSalesView(
                item_id=found.items.get(item.product_id),
                product_id=item.product_id,
                title=found.titles.get(item.product_id, ""),
                orders=item.orders,
                units=item.units,
                gmv=Money(item.amount, currency),
                paid_units=item.paid_units,
                paid=Money(item.paid_amount, currency),
            )
            for item in items
        ],
    )


async def _credit(db: Database, signer: Signer, actor: Actor, data: NewOrder) -> tuple[Credit, dict[ShopId, Credit]]:
    """What the purchase is credited with, and which shops' parts otherwise.

    The visit as far as it goes, else what the rule of attribution says. An expired visit, or one to another show, counts for
    nothing; another's is refused. On a surface (a replay, a clip, a video) one buys at the shelf's price, so such a visit
    goes with an order of no show.
    """
    if data.visit is not None and data.show_id is not None and all(line.cart_item_id for line in data.lines):
        # Bought in the show from its cart: nothing has to be asked of the database.
        visit = traffic.read_own_visit(signer, actor, None, data.visit)
        if visit is not None and visit.show_id == data.show_id and not is_of_surface(visit.placement):
            return visit.credit, {}
    source = Source.shelf if data.show_id is None else Source.direct
    async with db.read() as tx:
        visit = None
        if data.visit is not None:
            visit = traffic.read_own_visit(signer, actor, await traffic.merged_into(tx, actor), data.visit)
        if visit is not None and (None if is_of_surface(visit.placement) else visit.show_id) != data.show_id:
            visit = None
        if visit is not None and visit.shop_id is None:
            return visit.credit, {}
        skus = await catalog.find_skus(tx, [line.sku_id for line in data.lines])
        known = {visit.shop_id: visit.credit} if visit is not None and visit.shop_id is not None else {}
        others = {sku.shop_id for sku in skus.values()} - known.keys()
        found = known | (await traffic.credit(tx, actor, others, source=source) if others else {})
        if data.show_id is not None:
            host_id = (await live.find_hosts(tx, [data.show_id])).get(data.show_id)
            found = {shop_id: msgspec.structs.replace(one, streamer_id=host_id) for shop_id, one in found.items()}
    return Credit(source=source, placement=source.value), found


def _view(order: orders.Order) -> OrderView:
    return OrderView(**_fields(order))  # type: ignore[arg-type]


def view_shop_order(order: orders.Order, buyers: dict[AccountId, identity.Profile]) -> ShopOrderView:
    """An order as its shop sees it."""
    buyer = buyers.get(order.buyer_id)
    return ShopOrderView(buyer=Buyer(order.buyer_id, buyer.name if buyer else ""), **_fields(order))  # type: ignore[arg-type]


def _fields(order: orders.Order) -> dict[str, object]:
    def money(amount: int) -> Money:
        return Money(amount, order.currency)

    return {
        "id": order.id,
        "client_id": order.client_id,
        "state": order.state,
        "shop": ShopName(order.shop_id, order.shop_name),
        "show_id": order.show_id,
        "lines": [
            LineView(
                no=line.no,
                sku_id=line.sku_id,
                product_id=line.product_id,
                cart_item_id=line.cart_item_id,
                title=line.title,
                image=line.image,
                options=line.options,
                quantity=line.quantity,
                unit_price=money(line.unit_price_amount),
                discount=money(line.discount_amount),
                paid=money(line.paid_amount),
                tax=money(line.tax_amount),
                tax_bps=line.tax_bps,
                shipped_quantity=line.shipped_quantity,
                refunded_quantity=line.refunded_quantity,
                refunded=money(line.refunded_amount),
                pledge_id=line.pledge_id,
                batch_id=line.batch_id,
                promise=line.promise,
            )
            for line in order.lines
        ],
        "total": money(order.total_amount),
        "bill": Bill(
            goods=money(order.total_amount - order.shipping_amount + order.discount_amount),
            discount=money(order.discount_amount),
            subsidy=money(order.subsidy_amount),
            shipping=money(order.shipping_amount),
            tax=money(sum(line.tax_amount for line in order.lines)),
            total=money(order.total_amount),
            refunded=money(order.refunded_amount),
        ),
        "purchase": PurchaseView(order.purchase.id, order.purchase.order_ids, money(order.purchase.total_amount)),
        "source": order.source,
        "placement": order.placement,
        "note": order.note,
        "address": order.address,
        "payment": PaymentState(order.payment.id, order.payment.state) if order.payment else None,
        "placed_at": order.placed_at,
        "pay_by": order.pay_by,
        "paid_at": order.paid_at,
        "shipped_at": order.shipped_at,
        "delivered_at": order.delivered_at,
        "completed_at": order.completed_at,
        "ended_at": order.ended_at,
        "end_reason": order.end_reason,
    }


def _order_id(after: UUID | None) -> OrderId | None:
    return OrderId(after) if after is not None else None


ROUTES = [
    place_order,
    list_orders,
    get_order,
    put_order_address,
    cancel_order,
    pay_order,
    list_shop_orders,
    get_shop_order,
    get_show_sales,
]
