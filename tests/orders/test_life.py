"""An order from the till to its end: address, payment, cancellation, deadline, and money that comes too late."""

import pytest

from laotie import identity, ledger, orders, payments
from laotie.base.ids import PaymentId, new_id
from laotie.base.refusals import IdReused, NotFound
from laotie.orders import OrderState
from laotie.payments.sandbox import Outcome, Trouble
from market import Market

Kind = ledger.AccountKind


async def test_a_paid_order_has_its_stock_sold_and_its_hold_posted(market: Market) -> None:
    item = await market.add_item(stock=3, price=9900)
    buyer = await market.buyer()
    order_id = await market.place(buyer, item, quantity=2)
    assert await market.stock(item) == (1, 2, 0)
    payment_id = await market.pay(buyer, order_id)
    order = await market.order(buyer, order_id)
    assert order.state is OrderState.paid
    assert order.payment is not None
    assert (order.payment.id, order.payment.state) == (payment_id, payments.PaymentState.captured)
    assert await market.stock(item) == (1, 0, 2)
    shop = await market.balance(Kind.shop_held)
    assert (shop.credits_pending, shop.posted) == (0, 19800)


@pytest.mark.parametrize("trouble", list(Trouble))
async def test_whatever_happens_to_the_messages_the_order_is_paid_once(market: Market, trouble: Trouble) -> None:
    item = await market.add_item(stock=3)
    buyer = await market.buyer()
    order_id = await market.place(buyer, item)
    await market.pay(buyer, order_id, trouble)
    for _ in range(4):
        market.db.clock.advance(seconds=6)
        await market.settle()
    assert (await market.order(buyer, order_id)).state is OrderState.paid
    assert await market.stock(item) == (2, 0, 1)
    assert (await market.balance(Kind.shop_held)).posted == 9900
    async with market.db.read() as tx:
        assert await tx.one(int, "SELECT count(*) FROM payments.discrepancy") == 0


async def test_an_address_is_needed_to_pay_and_is_a_copy(market: Market) -> None:
    item = await market.add_item()
    buyer = await market.buyer()
    placed = await market.till.place(market.ask(buyer, item))
    with pytest.raises(orders.AddressMissing):
        await market.start_payment(buyer, placed.id)
    address = market.addresses[buyer.signed_in()]
    async with market.db.tx() as tx:
        await orders.attach_address(tx, buyer, placed.id, address)
        await identity.delete_address(tx, buyer, address.id)
    await market.pay(buyer, placed.id)
    order = await market.order(buyer, placed.id)
    assert order.address is not None
    assert order.address["street"] == "海边路 1 号"
    with pytest.raises(orders.OrderNotOpen):
        async with market.db.tx() as tx:
            await orders.attach_address(tx, buyer, placed.id, address)


async def test_cancelling_gives_stock_limit_and_hold_back_and_may_be_repeated(market: Market) -> None:
    item = await market.add_item(stock=2, limit=2)
    buyer = await market.buyer()
    order_id = await market.place(buyer, item, quantity=2)
    for _ in range(2):
        await market.cancel(buyer, order_id)
    assert await market.stock(item) == (2, 0, 0)
    assert await market.balance(Kind.shop_held) == ledger.Balance()
    assert [event["reason"] for event in await market.told("order.cancelled")] == ["buyer"]
    again = await market.place(buyer, item, quantity=2)
    await market.pay(buyer, again)
    for _ in range(2):
        await market.cancel(buyer, again)
    assert await market.stock(item) == (2, 0, 0)
    assert (await market.order(buyer, again)).state is orders.OrderState.refunded


async def test_another_persons_order_is_not_there(market: Market) -> None:
    item = await market.add_item()
    buyer, other = await market.buyer(), await market.buyer()
    order_id = await market.place(buyer, item)
    with pytest.raises(NotFound):
        await market.cancel(other, order_id)
    with pytest.raises(NotFound):
        await market.order(other, order_id)
    with pytest.raises(NotFound):
        await market.start_payment(other, order_id)
    with pytest.raises(NotFound):
        async with market.db.tx() as tx:
            await orders.attach_address(tx, other, order_id, market.addresses[other.signed_in()])


async def test_an_unpaid_order_ends_at_its_deadline_and_its_stock_returns(market: Market) -> None:
    item = await market.add_item(stock=1, limit=1)
    buyer = await market.buyer()
    order_id = await market.place(buyer, item)
    market.db.clock.advance(seconds=market.settings.payment_timeout_s - 60)
    await market.settle()
    assert (await market.order(buyer, order_id)).state is OrderState.placed
    market.db.clock.advance(seconds=61)
    await market.settle()
    order = await market.order(buyer, order_id)
    assert (order.state, order.end_reason) == (OrderState.cancelled, "unpaid")
    assert await market.stock(item) == (1, 0, 0)
    with pytest.raises(orders.OrderNotOpen):
        await market.start_payment(buyer, order_id)
    await market.place(buyer, item)


async def test_a_declined_payment_leaves_the_order_open_for_another(market: Market) -> None:
    item = await market.add_item(stock=1)
    buyer = await market.buyer()
    order_id = await market.place(buyer, item)
    first = await market.start_payment(buyer, order_id)
    await market.decide(buyer, first, Outcome.decline)
    await market.settle()
    assert (await market.payment(first)).state is payments.PaymentState.failed
    assert (await market.order(buyer, order_id)).state is OrderState.placed
    await market.pay(buyer, order_id)
    assert (await market.order(buyer, order_id)).state is OrderState.paid


async def test_a_payment_that_comes_after_the_end_is_sent_back_by_itself(market: Market) -> None:
    item = await market.add_item(stock=1)
    buyer = await market.buyer()
    order_id = await market.place(buyer, item)
    payment_id = await market.start_payment(buyer, order_id)
    market.db.clock.advance(seconds=market.settings.payment_timeout_s + 1)
    await market.settle()
    await market.decide(buyer, payment_id)
    await market.settle()
    order = await market.order(buyer, order_id)
    assert order.state is OrderState.cancelled
    assert order.payment is not None
    assert order.payment.state is payments.PaymentState.refunded
    assert await market.stock(item) == (1, 0, 0)
    unallocated = await market.balance(Kind.unallocated)
    assert (unallocated.credits_posted, unallocated.debits_posted) == (9900, 9900)
    provider = await market.balance(Kind.provider)
    assert (provider.debits_posted, provider.credits_posted) == (9900, 9900)


async def test_of_two_payments_for_one_order_the_second_is_sent_back(market: Market) -> None:
    item = await market.add_item(stock=1)
    buyer = await market.buyer()
    order_id = await market.place(buyer, item)
    first = await market.start_payment(buyer, order_id)
    second = await market.start_payment(buyer, order_id)
    await market.decide(buyer, second)
    await market.decide(buyer, first)
    await market.settle()
    order = await market.order(buyer, order_id)
    assert order.state is OrderState.paid
    assert order.payment is not None
    states = {(await market.payment(one)).state for one in (first, second)}
    assert states == {payments.PaymentState.captured, payments.PaymentState.refunded}
    assert order.payment.state is payments.PaymentState.captured
    assert (await market.balance(Kind.shop_held)).posted == 9900
    assert (await market.balance(Kind.unallocated)).posted == 0
    assert await market.stock(item) == (0, 0, 1)


async def test_the_same_payment_id_is_the_same_payment_and_never_another(market: Market) -> None:
    item = await market.add_item()
    buyer = await market.buyer()
    one, other = await market.place(buyer, item), await market.place(buyer, item)
    payment_id = await market.start_payment(buyer, one)
    async with market.db.tx() as tx:
        again = await orders.start_payment(tx, buyer, market.settings, one, payment_id, provider="sandbox")
    assert again.id == payment_id
    with pytest.raises(IdReused):
        async with market.db.tx() as tx:
            await orders.start_payment(tx, buyer, market.settings, other, payment_id, provider="sandbox")
    with pytest.raises(payments.NoSuchProvider):
        async with market.db.tx() as tx:
            await orders.start_payment(tx, buyer, market.settings, one, PaymentId(new_id()), provider="gold")


async def test_money_that_is_here_when_the_deadline_is_judged_is_in_time(market: Market) -> None:
    item = await market.add_item(stock=1)
    buyer = await market.buyer()
    order_id = await market.place(buyer, item)
    payment_id = await market.start_payment(buyer, order_id)
    market.db.clock.advance(seconds=market.settings.payment_timeout_s + 1)
    await market.decide(buyer, payment_id)
    await market.run_jobs()
    await market.relay.drain()
    await market.sweep()
    await market.settle()
    assert (await market.order(buyer, order_id)).state is OrderState.paid
