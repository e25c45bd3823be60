"""Where the parcels go and what that costs: priced with the address, held apart, paid in one sum."""

import msgspec
import pytest

from laotie import catalog, identity, ledger, live, orders
from laotie.base.ids import OrderId, ProductId, ShopId, SkuId, new_id
from laotie.base.money import Money
from laotie.catalog import Measure, NotDelivered, Place, Rule, ShippingTemplateId
from laotie.ledger import AccountKind
from laotie.orders import OrderNotOpen, OrderState, PaymentUnderWay
from laotie.payments import PaymentState
from laotie.payments.sandbox import Outcome
from market import Market

RULES = [
    Rule(first=1, first_fee=1_000, further=1, further_fee=100),
    Rule(places=[Place("CN", "江苏")], first=1, first_fee=500, further=1),
    Rule(places=[Place("CN", "上海")], first=1, first_fee=0, further=1),
    Rule(places=[Place("CN", "西藏")], delivered=False),
]


async def send_by(market: Market, rules: list[Rule] = RULES, shop_id: ShopId | None = None) -> None:
    async with market.db.tx() as tx:
        draft = catalog.ShippingDraft(name="usual", measure=Measure.pieces, rules=rules, is_default=True)
        await catalog.put_template(
            tx, market.owner, shop_id or market.shop_id, ShippingTemplateId(new_id()), draft
        )


def somewhere(market: Market, buyer: identity.Actor, region: str) -> identity.Address:
    return msgspec.structs.replace(market.addresses[buyer.signed_in()], region=region, city="")


async def send_to(market: Market, buyer: identity.Actor, order_id: OrderId, region: str, **options: bool) -> int:
    async with market.db.tx() as tx:
        return await orders.attach_address(tx, buyer, order_id, somewhere(market, buyer, region), **options)


async def holds(market: Market) -> list[tuple[int, str, str | None]]:
    """Amount, reason, and what became of each hold."""
    async with market.db.read() as tx:
        return await tx.tuples(
            """
            SELECT held.amount, held.reason, settling.phase FROM ledger.transfer AS held
            LEFT JOIN ledger.transfer AS settling ON settling.settles_id = held.id
            WHERE held.phase = 'pending' ORDER BY held.id
            """
        )


async def test_the_fee_follows_the_address_and_the_old_hold_is_voided(market: Market) -> None:
    await send_by(market)
    item, buyer = await market.add_item(price=9_900), await market.buyer()
    placed = await market.till.place(market.ask(buyer, item, quantity=3))
    assert placed.total_amount == 29_700
    assert await send_to(market, buyer, placed.id, "山东省") == 29_700 + 1_200
    order = await market.order(buyer, placed.id)
    assert (order.shipping_amount, order.total_amount) == (1_200, 30_900)
    assert await send_to(market, buyer, placed.id, "江苏") == 30_200
    assert await send_to(market, buyer, placed.id, "江苏省") == 30_200
    assert await send_to(market, buyer, placed.id, "上海") == 29_700
    assert await send_to(market, buyer, placed.id, "江苏省") == 30_200
    assert await holds(market) == [
        (29_700, "order", None),
        (1_200, "shipping", "voided"),
        (500, "shipping", "voided"),
        (500, "shipping", None),
    ]
    payment = await market.payment(await market.pay(buyer, placed.id))
    assert (payment.amount, payment.state) == (30_200, PaymentState.captured)
    order = await market.order(buyer, placed.id)
    assert (order.state, order.total_amount, order.shipping_amount) == (OrderState.paid, 30_200, 500)
    assert [one[2] for one in await holds(market)] == ["posted", "voided", "voided", "posted"]
    assert (await market.balance(AccountKind.shop_held)).posted == 30_200
    with pytest.raises(OrderNotOpen):
        await send_to(market, buyer, placed.id, "山东省")
    async with market.db.read() as tx:
        assert await ledger.sum_facts(tx, "hold") == await orders.sum_facts(tx, "hold")


async def test_where_the_shop_does_not_deliver_nothing_changes(market: Market) -> None:
    await send_by(market)
    item, buyer = await market.add_item(), await market.buyer()
    placed = await market.till.place(market.ask(buyer, item))
    await send_to(market, buyer, placed.id, "江苏")
    with pytest.raises(NotDelivered) as refused:
        await send_to(market, buyer, placed.id, "西藏自治区")
    assert refused.value.facts() == {"region": "西藏自治区"}
    order = await market.order(buyer, placed.id)
    assert order.address is not None and (order.address["region"], order.shipping_amount) == ("江苏", 500)


async def test_while_a_payment_is_under_way_the_sum_stays(market: Market) -> None:
    await send_by(market)
    item, buyer = await market.add_item(), await market.buyer()
    placed = await market.till.place(market.ask(buyer, item))
    await send_to(market, buyer, placed.id, "江苏")
    payment_id = await market.start_payment(buyer, placed.id)
    with pytest.raises(PaymentUnderWay):
        await send_to(market, buyer, placed.id, "山东")
    await send_to(market, buyer, placed.id, "江苏省")
    await market.decide(buyer, payment_id, Outcome.decline)
    await market.settle()
    assert await send_to(market, buyer, placed.id, "山东") == 10_900
    await market.pay(buyer, placed.id)
    assert (await market.order(buyer, placed.id)).state is OrderState.paid
    assert (await market.balance(AccountKind.shop_held)).posted == 10_900


async def test_money_that_was_captured_and_not_worked_off_keeps_the_sum_too(market: Market) -> None:
    await send_by(market)
    item, buyer = await market.add_item(), await market.buyer()
    placed = await market.till.place(market.ask(buyer, item))
    await send_to(market, buyer, placed.id, "江苏")
    await market.decide(buyer, await market.start_payment(buyer, placed.id))
    await market.run_jobs()
    with pytest.raises(PaymentUnderWay):
        await send_to(market, buyer, placed.id, "山东")
    await market.settle()
    assert (await market.order(buyer, placed.id)).state is OrderState.paid


async def test_a_cancelled_order_voids_both_holds(market: Market) -> None:
    await send_by(market)
    item, buyer = await market.add_item(), await market.buyer()
    placed = await market.till.place(market.ask(buyer, item))
    await send_to(market, buyer, placed.id, "江苏")
    await market.cancel(buyer, placed.id)
    assert [one[2] for one in await holds(market)] == ["voided", "voided"]


async def test_only_a_missing_address_is_added_when_the_purchase_is_said_again(market: Market) -> None:
    await send_by(market)
    item, buyer = await market.add_item(), await market.buyer()
    placed = await market.till.place(market.ask(buyer, item))
    assert await send_to(market, buyer, placed.id, "江苏", only_missing=True) == 10_400
    assert await send_to(market, buyer, placed.id, "山东", only_missing=True) == 10_400
    await market.pay(buyer, placed.id)
    assert await send_to(market, buyer, placed.id, "山东", only_missing=True) == 10_400


async def second_shop(market: Market) -> tuple[ShopId, catalog.Sku]:
    async with market.db.tx() as tx:
        shop = await catalog.open_shop(
            tx, market.owner.signed_in(), ShopId(new_id()), catalog.ShopDraft(name="山里人家", currency="CNY")
        )
        product_id = ProductId(new_id())
        await catalog.add_product(tx, market.owner, shop.id, product_id, catalog.ProductDraft(title="木耳"))
        draft = catalog.SkuDraft(code="M", price=Money(2_000, "CNY"), stock=9)
        sku = await catalog.add_sku(tx, market.owner, product_id, SkuId(new_id()), draft)
        await catalog.edit_product(
            tx, market.owner, product_id, catalog.ProductChange(state=catalog.ProductState.listed)
        )
    return shop.id, sku


def of_two(market: Market, buyer: identity.Actor, item: live.CartItem, sku: catalog.Sku) -> orders.Ask:
    ask = market.ask(buyer, item)
    return msgspec.structs.replace(ask, lines=(*ask.lines, orders.AskLine(sku.id, None, 2, sku.price_amount)))


async def test_each_shop_of_a_purchase_has_its_own_fee_and_one_payment_covers_all(market: Market) -> None:
    await send_by(market)
    other_id, sku = await second_shop(market)
    await send_by(market, [Rule(first=1, first_fee=700, further=1, further_fee=50)], other_id)
    item, buyer = await market.add_item(), await market.buyer()
    placed = await market.till.place(of_two(market, buyer, item, sku))
    assert await send_to(market, buyer, placed.order_ids[1], "江苏") == 9_900 + 500 + 4_000 + 750
    parts = [await market.order(buyer, id_) for id_ in placed.order_ids]
    assert {(part.shop_id, part.shipping_amount, part.total_amount) for part in parts} == {
        (market.shop_id, 500, 10_400),
        (other_id, 750, 4_750),
    }
    assert all(part.address is not None for part in parts)
    payment = await market.payment(await market.pay(buyer, placed.order_ids[1]))
    assert payment.amount == 15_150
    assert {(await market.order(buyer, id_)).state for id_ in placed.order_ids} == {OrderState.paid}
    async with market.db.read() as tx:
        assert await ledger.sum_facts(tx, "hold") == await orders.sum_facts(tx, "hold")


async def test_an_unpaid_purchase_of_two_shops_is_called_off_whole(market: Market) -> None:
    await send_by(market)
    _, sku = await second_shop(market)
    item, buyer = await market.add_item(stock=3), await market.buyer()
    placed = await market.till.place(of_two(market, buyer, item, sku))
    await send_to(market, buyer, placed.id, "江苏")
    await market.cancel(buyer, placed.order_ids[1])
    await market.cancel(buyer, placed.order_ids[0])
    assert {(await market.order(buyer, id_)).state for id_ in placed.order_ids} == {OrderState.cancelled}
    assert await market.stock(item) == (3, 0, 0)
    assert {one[2] for one in await holds(market)} == {"voided"}


async def test_a_paid_order_of_a_purchase_is_called_off_alone_and_all_of_it_goes_back(market: Market) -> None:
    await send_by(market)
    _, sku = await second_shop(market)
    item, buyer = await market.add_item(stock=3), await market.buyer()
    placed = await market.till.place(of_two(market, buyer, item, sku))
    await send_to(market, buyer, placed.id, "江苏")
    payment_id = await market.pay(buyer, placed.id)
    [mine] = [id_ for id_ in placed.order_ids if (await market.order(buyer, id_)).shop_id == market.shop_id]
    for _ in range(2):
        await market.cancel(buyer, mine)
        await market.settle()
    order = await market.order(buyer, mine)
    assert (order.state, order.refunded_amount, order.refunded_shipping_amount) == (OrderState.refunded, 10_400, 500)
    assert await market.stock(item) == (3, 0, 0)
    assert (await market.payment(payment_id)).refunded_amount == 10_400
    assert (await market.balance(AccountKind.shop_held)).posted == 0
    others = [await market.order(buyer, id_) for id_ in placed.order_ids if id_ != mine]
    assert [one.state for one in others] == [OrderState.paid]


async def test_an_order_of_which_a_piece_is_on_its_way_is_not_called_off(market: Market) -> None:
    item, buyer = await market.add_item(), await market.buyer()
    order_id = await market.place(buyer, item, quantity=2)
    await market.pay(buyer, order_id)
    async with market.db.tx() as tx:
        await tx.run("UPDATE orders.line SET shipped_quantity = 1 WHERE order_id = %(id)s", id=order_id)
    with pytest.raises(OrderNotOpen):
        await market.cancel(buyer, order_id)
    assert (await market.order(buyer, order_id)).refunded_amount == 0
