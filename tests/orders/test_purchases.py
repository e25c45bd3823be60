"""Purchases in several shops: whole or not at all, paid together, each shop with an order of its own."""

import msgspec
import pytest

from laotie import audit, catalog, ledger, orders
from laotie.base.db import Tx
from laotie.base.ids import OrderId, new_id
from laotie.base.money import Money
from laotie.base.refusals import IdReused
from laotie.orders import OrderState
from laotie.orders.model import SoldOut
from market import Market


async def _states(market: Market, ids: tuple[OrderId, ...]) -> list[str]:
    async with market.db.read() as tx:
        rows = dict(await tx.tuples('SELECT id, state FROM orders."order" WHERE id = ANY(%(ids)s)', ids=list(ids)))
    return [rows[one] for one in ids]


async def _held(tx: Tx, shop_id: object) -> int:
    account = ledger.Account(ledger.AccountKind.shop_held, "CNY", shop_id)  # type: ignore[arg-type]
    return (await ledger.get_balance(tx, account)).posted


async def _sound(market: Market) -> None:
    report = await audit.take_tallies(market.db)
    assert report.findings == []


async def test_goods_of_two_shops_make_two_orders_that_are_paid_together(market: Market) -> None:
    item = await market.add_item(price=9900)
    owner, shop_id = await market.open_shop()
    tea = await market.add_to_shelf(owner, shop_id, price=2500)
    buyer = await market.buyer()
    ask = market.ask(buyer, item)
    ask = msgspec.structs.replace(ask, lines=(*ask.lines, tea))
    placed = await market.place_all(buyer, ask)
    assert len(placed.order_ids) == 2
    assert placed.total_amount == 12400
    again = await market.till.place(ask)
    assert (again.order_ids, again.total_amount, again.again) == (placed.order_ids, 12400, True)
    with pytest.raises(IdReused):
        await market.till.place(msgspec.structs.replace(ask, lines=(tea,)))
    payment_id = await market.pay(buyer, placed.others[0])
    assert await _states(market, placed.order_ids) == ["paid", "paid"]
    assert (await market.payment(payment_id)).amount == 12400
    async with market.db.read() as tx:
        assert (await _held(tx, market.shop_id), await _held(tx, shop_id)) == (9900, 2500)
        own = [await orders.get_own(tx, buyer, one) for one in placed.order_ids]
        assert [order.total_amount for order in own] == [9900, 2500]
        assert {order.purchase.id for order in own} == {placed.id}
        assert {order.payment.id for order in own if order.payment} == {payment_id}
        shown = await orders.get_of_shop(tx, owner, shop_id, placed.others[0])
        assert [line.sku_id for line in shown.lines] == [tea.sku_id]
    await _sound(market)


async def test_what_one_shop_lacks_is_bought_of_none(market: Market) -> None:
    item = await market.add_item(stock=3)
    owner, shop_id = await market.open_shop()
    tea = await market.add_to_shelf(owner, shop_id, stock=0)
    buyer = await market.buyer()
    ask = market.ask(buyer, item)
    with pytest.raises(SoldOut):
        await market.till.place(msgspec.structs.replace(ask, lines=(*ask.lines, tea)))
    assert await market.stock(item) == (3, 0, 0)


async def test_two_currencies_are_two_purchases(market: Market) -> None:
    owner, shop_id = await market.open_shop("USD")
    dollars = await market.add_to_shelf(owner, shop_id, currency="USD")
    buyer = await market.buyer()
    ask = market.ask(buyer, await market.add_item())
    with pytest.raises(orders.MixedCurrencies):
        await market.till.place(msgspec.structs.replace(ask, lines=(*ask.lines, dollars)))


async def test_at_another_total_than_the_buyer_saw_nothing_is_bought(market: Market) -> None:
    item = await market.add_item(price=9900, stock=1)
    buyer = await market.buyer()
    with pytest.raises(orders.TotalChanged) as refused:
        await market.till.place(market.ask(buyer, item, total_amount=9800))
    assert refused.value.total == Money(9900, "CNY")
    await market.till.place(market.ask(buyer, item, total_amount=9900))


@pytest.mark.parametrize("how", ["buyer", "deadline"])
async def test_an_unpaid_purchase_ends_as_a_whole(market: Market, how: str) -> None:
    item = await market.add_item(stock=1)
    owner, shop_id = await market.open_shop()
    tea = await market.add_to_shelf(owner, shop_id, stock=1)
    buyer = await market.buyer()
    ask = market.ask(buyer, item)
    placed = await market.place_all(buyer, msgspec.structs.replace(ask, lines=(*ask.lines, tea)))
    payment_id = await market.start_payment(buyer, placed.id)
    if how == "buyer":
        await market.cancel(buyer, placed.others[0])
    else:
        market.db.clock.advance(seconds=market.settings.payment_timeout_s + 1)
    await market.settle()
    assert await _states(market, placed.order_ids) == ["cancelled", "cancelled"]
    await market.decide(buyer, payment_id)
    await market.settle()
    assert (await market.payment(payment_id)).state == "refunded"
    assert await market.stock(item) == (1, 0, 0)
    await _sound(market)


async def test_parts_of_a_paid_order_go_back_to_the_cent(market: Market) -> None:
    item = await market.add_item(price=3333, stock=5)
    owner, shop_id = await market.open_shop()
    tea = await market.add_to_shelf(owner, shop_id, price=2500)
    buyer = await market.buyer()
    ask = market.ask(buyer, item, quantity=3)
    placed = await market.place_all(buyer, msgspec.structs.replace(ask, lines=(*ask.lines, tea)))
    await market.pay(buyer, placed.id)
    refund_id = new_id()
    for _ in range(2):
        async with market.db.tx() as tx:
            await orders.give_back(
                tx, placed.id, refund_id=refund_id, lines=[orders.Back(1, 1, 3333)], reason="test", restock=[(1, 1)]
            )
    await market.settle()
    async with market.db.read() as tx:
        order = await orders.get_own(tx, buyer, placed.id)
        assert (order.state, order.refunded_amount, order.lines[0].refunded_quantity) == (OrderState.paid, 3333, 1)
        assert orders.refundable(order.lines[0], 2) == 6666
        assert (await _held(tx, market.shop_id), await _held(tx, shop_id)) == (6666, 2500)
    assert await market.stock(item) == (3, 0, 2)
    await _sound(market)
    async with market.db.tx() as tx:
        with pytest.raises(orders.RefundExceeds):
            async with tx.savepoint():
                await orders.give_back(
                    tx, placed.id, refund_id=new_id(), lines=[orders.Back(1, 2, 6667)], reason="too much"
                )
        await orders.give_back(
            tx, placed.id, refund_id=new_id(), lines=[orders.Back(1, 2, 6666)], reason="rest", restock=[(1, 2)]
        )
    await market.settle()
    assert await _states(market, placed.order_ids) == ["refunded", "paid"]
    async with market.db.tx() as tx:
        with pytest.raises(orders.NothingPaid):
            await orders.give_back(tx, placed.id, refund_id=new_id(), lines=[], reason="again")
    assert await market.stock(item) == (5, 0, 0)
    async with market.db.read() as tx:
        assert [one.amount for one in await orders.list_given_back(tx, placed.id)] == [3333, 6666]
        listed = await catalog.find_skus(tx, [item.skus[0].sku_id])
    assert listed[item.skus[0].sku_id].sold == 0
    await _sound(market)
