"""Completed orders: divided by the rates they were paid under, once, and followed by whatever comes back."""

from uuid import uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laotie import ledger, orders, settlement
from laotie.aftersales import Act, CaseKind, Reason
from laotie.base.ids import OrderId, new_id
from laotie.ledger import AccountKind
from laotie.settlement import Parts, Rates, split
from laotie.settlement.model import LineKind
from till_roll import RULES, Roll

AMOUNTS = st.integers(0, 10**15)


@given(AMOUNTS, AMOUNTS, AMOUNTS, st.tuples(*[st.integers(0, 3333)] * 3))
def test_the_four_parts_are_the_whole_and_no_rate_takes_more_than_its_share(
    goods: int, shipping: int, subsidy: int, bps: tuple[int, int, int]
) -> None:
    parts, rates = Parts(goods, shipping, subsidy), Rates(*bps)
    found = split(parts, rates)
    whole = found.platform_amount + found.payment_amount + found.streamer_amount + found.net_amount
    assert whole == goods + shipping + subsidy
    assert 0 <= (goods + subsidy) * bps[0] - found.platform_amount * 10_000 < 10_000
    assert 0 <= (goods + shipping) * bps[1] - found.payment_amount * 10_000 < 10_000
    assert min(found.platform_amount, found.payment_amount, found.streamer_amount, found.net_amount) >= 0


async def test_an_order_is_settled_when_its_delay_is_over_and_not_before(roll: Roll) -> None:
    await roll.rate("platform", 500)
    await roll.rate("payment", 60)
    await roll.rate("streamer", 2000, shop_id=roll.market.shop_id, streamer_id=roll.market.owner.account_id)
    item = await roll.market.add_item(price=9999)
    order_id = await roll.completed(item, quantity=3)
    assert await roll.wait(hours=167) == 0
    assert await roll.owed(roll.market.shop_id) == 0
    assert await roll.wait(hours=1) == 1
    total = 3 * 9999
    platform, payment, streamer = total * 500 // 10_000, total * 60 // 10_000, total * 2000 // 10_000
    streamer_id = roll.market.owner.account_id
    assert streamer_id is not None
    assert await roll.owed(roll.market.shop_id) == total - platform - payment - streamer
    assert await roll.owed(streamer_id) == streamer
    assert await roll.balance(AccountKind.commission) == platform
    assert await roll.balance(AccountKind.payment_fee) == payment
    assert await roll.balance(AccountKind.shop_held, roll.market.shop_id) == 0
    (line,) = await roll.lines(order_id)
    assert (line.kind, line.net_amount, line.platform_amount) == (LineKind.sale, total - platform - payment - streamer, platform)
    assert await roll.wait(hours=1000) == 0


async def test_the_rate_of_the_instant_of_payment_counts(roll: Roll) -> None:
    await roll.rate("platform", 1000)
    order_id = await roll.completed(await roll.market.add_item(price=10_000))
    await roll.rate("platform", 5000)
    await roll.wait(hours=168)
    assert (await roll.lines(order_id))[0].platform_amount == 1000


async def test_a_refund_before_settlement_lowers_what_is_settled(roll: Roll) -> None:
    await roll.rate("platform", 1000)
    order_id = await roll.completed(await roll.market.add_item(price=1001), quantity=3)
    await _give_back(roll, order_id, 1, 1001)
    await roll.wait(hours=168)
    (line,) = await roll.lines(order_id)
    assert (line.goods_amount, line.platform_amount, line.net_amount) == (2002, 200, 1802)
    assert await roll.balance(AccountKind.shop_held, roll.market.shop_id) == 0


async def test_a_refund_after_settlement_is_clawed_back_and_may_leave_the_shop_owing(roll: Roll) -> None:
    await roll.rate("platform", 1000)
    shop_id = roll.market.shop_id
    order_id = await roll.completed(await roll.market.add_item(price=1001), quantity=3)
    await roll.wait(hours=168)
    async with roll.market.db.tx() as tx:  # the shop has been paid out
        await settlement.book_owner(
            tx,
            line_id=new_id(),
            kind=LineKind.payout,
            owner_id=shop_id,
            is_shop=True,
            currency="CNY",
            amount=-await roll.owed(shop_id),
            against=ledger.Account(AccountKind.payout, "CNY", shop_id),
            reason="payout",
            subject_id=new_id(),
            zone=RULES.zone,
        )
    await _give_back(roll, order_id, 2, 2002)
    await roll.follow()
    sale, refund = await roll.lines(order_id)
    assert (sale.net_amount, sale.platform_amount) == (2703, 300)
    assert (refund.kind, refund.goods_amount, refund.platform_amount, refund.net_amount) == (
        LineKind.refund,
        -2002,
        -200,
        -1802,
    )
    assert await roll.owed(shop_id) == -1802
    assert await roll.balance(AccountKind.commission) == 100
    assert await roll.balance(AccountKind.shop_held, shop_id) == 0
    await roll.completed(await roll.market.add_item(price=5000))
    await roll.wait(hours=168)
    assert await roll.owed(shop_id) == 4500 - 1802


async def test_an_open_case_holds_an_order_back_and_its_end_lets_it_go(roll: Roll) -> None:
    order_id = await roll.completed(await roll.market.add_item(price=1000))
    case = await roll.desk.open(order_id, kind=CaseKind.refund_only, reason=Reason.damaged)
    assert await roll.wait(hours=169) == 0
    await roll.desk.buyer(case, Act.call_off)
    await roll.follow()
    assert await roll.settle() == 1
    assert await roll.owed(roll.market.shop_id) == 1000


async def test_what_the_shop_bears_of_a_return_is_on_its_statement(roll: Roll) -> None:
    order_id = await roll.desk.delivered(await roll.market.add_item(price=1000))
    async with roll.market.db.tx() as tx:
        await settlement.note(tx, order_id, uuid5(order_id, "freight"), freight_amount=120)
        await settlement.note(tx, order_id, uuid5(order_id, "freight"), freight_amount=120)
    await roll.follow()
    (line,) = await roll.lines(order_id)
    assert (line.kind, line.net_amount) == (LineKind.freight, -120)
    assert await roll.owed(roll.market.shop_id) == -120
    assert await roll.balance(AccountKind.shop_held, roll.market.shop_id) == 1000 + 120


async def test_an_order_with_goods_of_two_rates_has_a_claim_for_each(roll: Roll) -> None:
    await roll.rate("platform", 1000)
    await roll.rate("platform", 200, category="茶")
    dear, cheap = await roll.market.add_item(price=10_000), await roll.market.add_item("茶", price=5_000)
    async with roll.market.db.tx() as tx:
        await tx.run("UPDATE catalog.product SET category = '茶' WHERE id = %(id)s", id=cheap.product_id)
    order_id = await roll.completed(dear, cheap)
    assert await roll.wait(hours=168) == 2
    assert sorted(line.platform_amount for line in await roll.lines(order_id)) == [100, 1000]
    await _give_back(roll, order_id, 1, 5_000, line_no=2)
    await roll.follow()
    assert sorted(line.platform_amount for line in await roll.lines(order_id)) == [-100, 100, 1000]


async def test_the_books_agree_whatever_is_settled_and_comes_back(roll: Roll) -> None:
    await roll.rate("platform", 777)
    await roll.rate("payment", 38)
    item = await roll.market.add_item(price=3333, stock=50)
    done = [await roll.completed(item, quantity=2) for _ in range(4)]
    await _give_back(roll, done[0], 1, 3333)
    await roll.wait(hours=168)
    await _give_back(roll, done[1], 2, 6666)
    await roll.follow()
    async with roll.market.db.read() as tx:
        tally = await settlement.tally(tx)
        owed = {
            (str(account.owner_id), account.currency): amount
            for account, amount in (await ledger.list_balances(tx, AccountKind.payable)).items()
        }
        assert tally.owed == owed
        assert (tally.lines, tally.claims, tally.twice, tally.split_off, tally.late) == (5, 0, [], [], 0)
        assert tally.platform["CNY"] == await roll.balance(AccountKind.commission)
        assert await settlement.sum_facts(tx, "worth") == await orders.sum_facts(tx, "worth")


async def test_batches_of_any_size_settle_the_same(roll: Roll) -> None:
    item = await roll.market.add_item(price=100, stock=50)
    for _ in range(6):
        await roll.completed(item)
    roll.market.db.clock.advance(seconds=168 * 3600)
    assert await settlement.settle_due(roll.market.db, RULES, size=1) == 6
    assert await roll.owed(roll.market.shop_id) == 600
    told = await roll.market.told("settlement.booked")
    assert [(one["order_count"], one["net_amount"]) for one in told] == [(1, 100)] * 6


async def test_only_one_settler_works_in_a_lane(roll: Roll) -> None:
    item = await roll.market.add_item(price=100, stock=50)
    for _ in range(4):
        await roll.completed(item)
    roll.market.db.clock.advance(seconds=168 * 3600)
    async with roll.market.db.tx() as tx:
        first = await settlement.settle_batch(tx, RULES, settlement.Progress(lane=0))
        assert first.claims + await settlement.settle_due(roll.market.db, RULES) == 4
    assert await roll.owed(roll.market.shop_id) == 400


@pytest.mark.parametrize("amount", [999_999_999_999_999, 1, 10_001])
async def test_the_database_divides_as_the_house_does(roll: Roll, amount: int) -> None:
    await roll.completed(await roll.market.add_item(price=100))
    rates = Rates(3333, 61, 777)
    async with roll.market.db.tx() as tx:
        await tx.run(
            """
            UPDATE settlement.due SET goods_amount = %(a)s, shipping_amount = 7, subsidy_amount = 11,
                platform_bps = 3333, payment_bps = 61, streamer_bps = 777, streamer_id = shop_id,
                streamer_payable_id = payable_id
            """,
            a=amount,
        )
    await roll.wait(hours=168)
    async with roll.market.db.read() as tx:
        (line,) = await tx.all(settlement.Line, "SELECT * FROM settlement.line")
    expected = split(Parts(amount, 7, 11), rates)
    assert expected == settlement.Split(line.platform_amount, line.payment_amount, line.streamer_amount, line.net_amount)


async def _give_back(roll: Roll, order_id: OrderId, pieces: int, amount: int, *, line_no: int = 1) -> None:
    async with roll.market.db.tx() as tx:
        await orders.give_back(
            tx, order_id, refund_id=new_id(), lines=[orders.Back(line_no, pieces, amount)], reason="test"
        )
    await roll.follow()
