"""Sandbox shops over HTTP: a developer's own shop, and what its buyers, couriers and banks do when they are asked to.

Orders in it go through the ordinary till, the sandbox provider and the sandbox carrier, so that events, exports and the
API behave as in earnest. Nobody but its people sees the shop; whoever buys in it is a made-up person of its own.
"""

from enum import StrEnum
from typing import Annotated
from uuid import UUID, uuid5

import msgspec
import structlog
from litestar import Response, post

from laotie import aftersales, catalog, identity, orders, payments
from laotie.base.db import Database, Tx
from laotie.base.entry import Source
from laotie.base.ids import AccountId, OrderId, PaymentId, ProductId, ShopId, SkuId, ViewerId
from laotie.base.money import Currency, Money
from laotie.base.refusals import Conflict, NotFound
from laotie.base.settings import Settings
from laotie.identity import Actor, Scope
from laotie.orders import Ask, AskLine, OrderState, Till, delivery, packing, parcels, tracking
from laotie.orders.carriers import BY_CODE, SANDBOX
from laotie.payments import sandbox, sandbox_bank
from laotie.web.catalog import ShopView, view_shop
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.orders import ShopOrderView, view_shop_order

GOODS = {
    "zh-CN": ("沙盒小店", "测试买家", (("海盐饼干", "零食", 1990), ("茉莉绿茶", "茶叶", 4500), ("棉麻围巾", "服饰", 12900))),
    "en": (
        "Sandbox shop",
        "Test buyer",
        (("Sea salt biscuits", "Snacks", 1990), ("Jasmine tea", "Tea", 4500), ("Linen scarf", "Clothing", 12900)),
    ),
}
STOCK = 1_000


class Happening(StrEnum):
    """What can be made to happen to a simulated order."""

    pay = "pay"
    decline = "decline"
    """The bank declines the payment."""
    ship = "ship"
    """Everything that is left goes with the sandbox carrier."""
    deliver = "deliver"
    confirm = "confirm"
    """The buyer says that it has arrived; the order is complete."""
    refund = "refund"
    """The buyer wants the money back: at once while nothing is on its way, by a case afterwards."""
    chargeback = "chargeback"
    """The buyer's bank takes the money back."""


class NewSandboxShop(msgspec.Struct, forbid_unknown_fields=True):
    """A sandbox shop under the client's own id."""

    id: UUID
    currency: Currency = "CNY"


class SimulatedLine(msgspec.Struct, forbid_unknown_fields=True):
    """So many pieces of a SKU, at its price."""

    sku_id: SkuId
    quantity: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 1


class NewSimulatedOrder(msgspec.Struct, forbid_unknown_fields=True):
    """An order to be made under the client's own id; without `lines`, one piece of something that is there."""

    id: UUID
    lines: Annotated[list[SimulatedLine], msgspec.Meta(max_length=50)] = []


class NewHappening(msgspec.Struct, forbid_unknown_fields=True):
    """What is to happen, under the client's own id."""

    id: UUID
    happening: Happening


class NothingOnShelf(Conflict, code="nothing-on-shelf"):
    """There is nothing in this sandbox shop that could be bought."""


class NotPaidYet(Conflict, code="not-paid-yet"):
    """Nothing has been paid for this order that a bank could take back."""


@post("/api/sandbox-shops", status_code=201)
async def make_sandbox_shop(data: JSONBody[NewSandboxShop], actor: Given[Actor], db: Given[Database]) -> ShopView:
    """Make a sandbox shop of my own, with a few products in it. Said again, it is the same shop."""
    shop_id = ShopId(data.id)
    async with db.tx() as tx:
        account = await identity.get_account(tx, actor)
        name, buyer_name, goods = GOODS.get(account.locale, GOODS["en"])
        draft = catalog.ShopDraft(name=name, currency=data.currency)
        shop = await catalog.open_shop(tx, account.id, shop_id, draft, is_sandbox=True)
        if not await catalog.list_codes(tx, shop_id):
            for no, (title, category, price) in enumerate(goods, 1):
                await _stock(tx, actor, shop, no, title, category, price)
            await _make_buyer(tx, shop_id, buyer_name)
        return view_shop(shop)


@post("/api/shops/{shop_id:uuid}/sandbox/orders", status_code=201)
async def simulate_order(
    shop_id: FromPath[UUID],
    data: JSONBody[NewSimulatedOrder],
    actor: Given[Actor],
    db: Given[Database],
    till: Given[Till],
) -> Response[ShopOrderView]:
    """Have the test buyer order something. Said again, it is the same order, with status 200."""
    async with db.read() as tx:
        await _require(tx, actor, ShopId(shop_id))
        lines = await _choose(tx, ShopId(shop_id), data.lines)
    buyer = _buyer_of(ShopId(shop_id))
    placed = await till.place(
        Ask(
            buyer_id=buyer.signed_in(),
            client_id=data.id,
            show_id=None,
            lines=tuple(lines),
            source=Source.shelf,
            placement="sandbox",
            request_id=structlog.contextvars.get_contextvars().get("request_id"),
            is_simulated=True,
        )
    )
    async with db.tx() as tx:
        address = (await identity.list_addresses(tx, buyer))[0]
        await orders.attach_address(tx, buyer, placed.id, address, only_missing=True)
    return Response(await _view(db, actor, ShopId(shop_id), placed.id), status_code=200 if placed.again else 201)


@post("/api/shops/{shop_id:uuid}/sandbox/orders/{order_id:uuid}/happenings", status_code=200)
async def simulate_happening(
    shop_id: FromPath[UUID],
    order_id: FromPath[UUID],
    data: JSONBody[NewHappening],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> ShopOrderView:
    """Make something happen to a simulated order. What a bank or a courier tells comes a moment later, as in earnest."""
    shop, order = ShopId(shop_id), OrderId(order_id)
    async with db.read() as tx:
        await _require(tx, actor, shop)
        found = await orders.get_of_shop(tx, actor, shop, order)
    buyer = _buyer_of(shop)
    match data.happening:
        case Happening.pay | Happening.decline:
            await _pay(db, settings, buyer, order, PaymentId(data.id), approve=data.happening is Happening.pay)
        case Happening.ship:
            await _ship(db, settings, actor, shop, order, data.id)
        case Happening.deliver:
            await _deliver(db, settings, order, data.id)
        case Happening.confirm:
            async with db.tx() as tx:
                await delivery.confirm_receipt(tx, buyer, order)
        case Happening.refund:
            await _want_back(db, settings, buyer, found, data.id)
        case Happening.chargeback:
            await _charge_back(db, buyer, found, data.id)
    return await _view(db, actor, shop, order)


async def _require(tx: Tx, actor: Actor, shop_id: ShopId) -> None:
    await identity.require_seat(tx, actor, shop_id, Scope.orders)
    if not await catalog.find_sandboxes(tx, [shop_id]):
        raise catalog.NoSandboxShop()


async def _view(db: Database, actor: Actor, shop_id: ShopId, order_id: OrderId) -> ShopOrderView:
    async with db.read() as tx:
        order = await orders.get_of_shop(tx, actor, shop_id, order_id)
        return view_shop_order(order, await identity.find_profiles(tx, {order.buyer_id}))


def _buyer_of(shop_id: ShopId) -> Actor:
    buyer_id = AccountId(uuid5(shop_id, "buyer"))
    return Actor(viewer_id=ViewerId(buyer_id), account_id=buyer_id, seat_holder_id=buyer_id)


async def _make_buyer(tx: Tx, shop_id: ShopId, name: str) -> None:
    """Somebody with an address, whom no password lets in."""
    buyer = _buyer_of(shop_id)
    await identity.create_account(
        tx,
        buyer.signed_in(),
        handle=f"sandbox.{shop_id.hex}",
        password_hash="none",  # noqa: S106 (no hash at all, so nothing fits it)
        name=name,
    )
    await identity.create_address(
        tx,
        buyer,
        identity.Address(
            id=identity.AddressId(uuid5(shop_id, "address")),
            name=name,
            phone="13800000000",
            country="CN",
            region="辽宁省",
            city="大连市",
            district="中山区",
            street="测试路 1 号",
            postcode="116000",
            is_default=True,
        ),
    )


async def _stock(
    tx: Tx, actor: Actor, shop: catalog.Shop, no: int, title: str, category: str, price: int
) -> None:
    product_id, sku_id = ProductId(uuid5(shop.id, f"product-{no}")), SkuId(uuid5(shop.id, f"sku-{no}"))
    await catalog.add_product(tx, actor, shop.id, product_id, catalog.ProductDraft(title=title, category=category))
    draft = catalog.SkuDraft(code=f"SBX-{no}", price=Money(price, shop.currency), stock=STOCK)
    await catalog.add_sku(tx, actor, product_id, sku_id, draft)
    await catalog.edit_product(tx, actor, product_id, catalog.ProductChange(state=catalog.ProductState.listed))


async def _choose(tx: Tx, shop_id: ShopId, wanted: list[SimulatedLine]) -> list[AskLine]:
    """What is asked for, at the prices of this moment; somebody else's goods are `NotFound`."""
    if not wanted:
        codes = await catalog.list_codes(tx, shop_id)
        shelves = await catalog.find_shelves(tx, [sku_id for sku_id, _, _ in codes.values()])
        there = [shelf for shelf in shelves.values() if shelf.sellable and shelf.available > 0]
        if not there:
            raise NothingOnShelf()
        return [AskLine(there[0].sku_id, None, 1, there[0].price_amount)]
    skus = await catalog.find_skus(tx, [line.sku_id for line in wanted])
    if any(line.sku_id not in skus or skus[line.sku_id].shop_id != shop_id for line in wanted):
        raise NotFound()
    return [AskLine(line.sku_id, None, line.quantity, skus[line.sku_id].price_amount) for line in wanted]


async def _pay(
    db: Database, settings: Settings, buyer: Actor, order_id: OrderId, payment_id: PaymentId, *, approve: bool
) -> None:
    async with db.tx() as tx:
        payment = await orders.start_payment(tx, buyer, settings, order_id, payment_id, provider="sandbox")
    await payments.authorise(db, settings, payment.id)
    async with db.tx() as tx:
        await sandbox.decide(
            tx,
            settings,
            buyer.signed_in(),
            payment.id,
            outcome=sandbox.Outcome.approve if approve else sandbox.Outcome.decline,
            trouble=sandbox.Trouble.none,
            reason=sandbox.Decline.insufficient_funds,
        )


async def _ship(
    db: Database, settings: Settings, actor: Actor, shop_id: ShopId, order_id: OrderId, parcel_id: UUID
) -> None:
    consignment = packing.Consignment(
        id=packing.ParcelId(parcel_id), order_id=order_id, carrier=SANDBOX, number=f"SBX{parcel_id.int % 10**10:010d}"
    )
    async with db.tx() as tx:
        await parcels.ship(tx, actor, delivery.terms_of(settings), shop_id, consignment)


async def _deliver(db: Database, settings: Settings, order_id: OrderId, news_id: UUID) -> None:
    async with db.tx() as tx:
        for parcel in await orders.list_parcels(tx, order_id):
            news = tracking.News(
                number=parcel.number, key=str(news_id), kind=parcels.TrackingKind.delivered, at=tx.now
            )
            await tracking.hear_many(
                tx, delivery.terms_of(settings), BY_CODE[parcel.carrier], [news], source=SANDBOX
            )


async def _want_back(
    db: Database, settings: Settings, buyer: Actor, order: orders.Order, case_id: UUID
) -> None:
    async with db.tx() as tx:
        if order.state in (OrderState.placed, OrderState.paid) and not any(x.shipped_quantity for x in order.lines):
            await orders.cancel(tx, buyer, order.id)
            return
        claim = aftersales.Claim(
            id=aftersales.CaseId(case_id),
            order_id=order.id,
            kind=aftersales.CaseKind.refund_only,
            reason=aftersales.Reason.defective,
            lines=tuple(
                aftersales.AskedLine(line.no, line.quantity - line.refunded_quantity)
                for line in order.lines
                if line.quantity > line.refunded_quantity
            ),
        )
        await aftersales.open_case(tx, buyer, claim, data=settings.data_path)


async def _charge_back(db: Database, buyer: Actor, order: orders.Order, dispute_id: UUID) -> None:
    if order.payment is None or order.payment.captured_at is None:
        raise NotPaidYet()
    async with db.tx() as tx:
        await sandbox_bank.open_dispute(
            tx, buyer.signed_in(), order.payment.id, dispute_id, reason=sandbox_bank.DisputeReason.fraudulent
        )


ROUTES = [make_sandbox_shop, simulate_order, simulate_happening]
