"""What other shops were seen to get wrong under load, one test each: here it must come out right.

Two tills stand for two processes: they share nothing but the database.
"""

import asyncio
from collections import Counter

from laotie import catalog, ledger, live, orders
from laotie.base.ids import OrderId, new_id
from laotie.base.refusals import Refusal
from laotie.catalog import MovementKind, StockShort
from laotie.orders import Placed, Till
from laotie.orders.model import SoldOut
from laotie.payments.sandbox import Outcome, Trouble
from market import Market


def _second_till(market: Market) -> Till:
    return Till(market.db, payment_timeout_s=market.settings.payment_timeout_s, batch_max=64, waiting_max=1_000)


async def _place(till: Till, ask: orders.Ask) -> Placed | Refusal:
    try:
        return await till.place(ask)
    except Refusal as refusal:
        return refusal


async def test_the_last_unit_and_two_buyers(market: Market) -> None:
    other = _second_till(market)
    for _ in range(10):
        item = await market.add_item(stock=1)
        buyers = [await market.buyer() for _ in range(2)]
        answers = await asyncio.gather(
            *(_place(till, market.ask(buyer, item)) for till, buyer in zip((market.till, other), buyers, strict=True))
        )
        assert Counter(type(answer) for answer in answers) == {Placed: 1, SoldOut: 1}
        assert await market.stock(item) == (0, 1, 0)
    await other.close()


async def test_the_same_stock_in_two_lines_of_one_order(market: Market) -> None:
    item = await market.add_item(stock=3)
    buyer = await market.buyer()
    twice = market.ask(buyer, item, item, quantity=2)
    assert isinstance(await _place(market.till, twice), SoldOut)
    assert await market.stock(item) == (3, 0, 0)


async def test_a_reservation_that_lapses_while_its_buyer_pays(market: Market) -> None:
    """The piece goes to somebody else; the money comes too late and goes back by itself."""
    item = await market.add_item(stock=1)
    slow, quick = await market.buyer(), await market.buyer()
    late = await market.place(slow, item)
    payment_id = await market.start_payment(slow, late)
    await market.decide(slow, payment_id, Outcome.approve, Trouble.delay)
    market.db.clock.advance(seconds=market.settings.payment_timeout_s + 1)
    while await market.sweep():
        continue
    await orders.work_agenda(market.db)
    await market.pay(quick, await market.place(quick, item))
    await market.settle()
    assert (await market.payment(payment_id)).state == "refunded"
    assert await market.stock(item) == (0, 0, 1)


async def test_a_message_that_comes_twice_pays_once(market: Market) -> None:
    item = await market.add_item(stock=5)
    buyer = await market.buyer()
    order_id = await market.place(buyer, item)
    await market.pay(buyer, order_id, Trouble.duplicate)
    assert await market.stock(item) == (4, 0, 1)
    assert (await market.balance(ledger.AccountKind.shop_held)).posted == item.skus[0].price.amount


async def test_stock_that_is_counted_while_it_is_sold(market: Market) -> None:
    """Whoever reads a figure and writes it back loses the sales between: here a correction is a movement."""
    item = await market.add_item(stock=40)
    buyers = [await market.buyer() for _ in range(20)]

    async def correct() -> int:
        async with market.db.tx() as tx:
            sku_id = item.skus[0].sku_id
            try:
                await catalog.move_stock(
                    tx, market.owner, sku_id, new_id(), kind=MovementKind.corrected, quantity=-1, note="broken"
                )
            except StockShort:
                return 0
            return 1

    sold, broken = await asyncio.gather(
        asyncio.gather(*(_place(market.till, market.ask(buyer, item)) for buyer in buyers)),
        asyncio.gather(*(correct() for _ in range(10))),
    )
    accepted = sum(1 for answer in sold if isinstance(answer, Placed))
    assert (accepted, sum(broken)) == (20, 10)
    assert await market.stock(item) == (10, 20, 0)
    async with market.db.read() as tx:
        assert (await catalog.tally(tx)).difference_count == 0


async def test_a_sheet_counted_before_a_sale_sets_what_was_counted(market: Market) -> None:
    """A stock sheet says how many can be bought. What was sold meanwhile stays sold, and the movements say both."""
    item = await market.add_item(stock=10)
    buyer = await market.buyer()
    sku_id = item.skus[0].sku_id

    async def count() -> None:
        async with market.db.tx() as tx:
            await catalog.set_many(tx, {sku_id: 7}, note="counted")

    await asyncio.gather(_place(market.till, market.ask(buyer, item, quantity=2)), count())
    available, reserved, sold = await market.stock(item)
    assert (reserved, sold) == (2, 0)
    assert available in (7, 5), "counted after the sale, or before it"
    async with market.db.read() as tx:
        assert (await catalog.tally(tx)).difference_count == 0


def _is_placed(answer: Placed | Refusal) -> bool:
    return isinstance(answer, Placed)


async def test_a_limit_and_a_rush_of_one_buyer(market: Market) -> None:
    item: live.CartItem = await market.add_item(stock=50, limit=3)
    buyer = await market.buyer()
    other = _second_till(market)
    answers = await asyncio.gather(
        *(_place(till, market.ask(buyer, item)) for _ in range(6) for till in (market.till, other))
    )
    ids: set[OrderId] = {answer.id for answer in answers if isinstance(answer, Placed)}
    assert (len(ids), sum(map(_is_placed, answers))) == (3, 3)
    await other.close()
