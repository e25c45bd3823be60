"""Coupons in the till's transaction: spent once, within their budget, and given back once; a loser spoils nothing."""

import asyncio
from typing import Any

import pytest

from laotie import audit, fans, ledger, offers, orders
from laotie.base.ids import AccountId, OrderId, ViewerId, new_id
from laotie.base.refusals import Refusal
from laotie.offers import ClaimId, CouponReason, CouponRefused
from market import Market
from vouchers import find, is_sound, make, take, used


async def answers_to(market: Market, *asks: orders.Ask, tills: tuple[orders.Till, ...] = ()) -> list[str]:
    """What each ask is told: an order's total, or the reason."""

    async def one(till: orders.Till, ask: orders.Ask) -> str:
        try:
            return str((await till.place(ask)).total_amount)
        except CouponRefused as refusal:
            return refusal.reason
        except Refusal as refusal:
            return refusal.code

    ready = tills or (market.till,)
    return await asyncio.gather(*(one(ready[number % len(ready)], ask) for number, ask in enumerate(asks)))


def second_till(market: Market) -> orders.Till:
    return orders.Till(market.db, payment_timeout_s=900, batch_max=64, waiting_max=10_000)


async def test_discounts_are_on_lines_and_order_and_told_with_it(market: Market) -> None:
    one, two = await market.add_item(price=1_000), await market.add_item(price=2_000)
    of_shop = await make(market, off_amount=100)
    of_platform = await make(market, kind=offers.CouponKind.percent, bps=1_000, shop_id=None)
    buyer = await market.buyer()
    claims = (await take(market, buyer, of_shop.id), await take(market, buyer, of_platform.id))
    placed = await market.till.place(market.ask(buyer, one, two, coupons=claims, total_amount=2_610))
    order = await market.order(buyer, placed.id)
    assert (order.total_amount, order.discount_amount, order.subsidy_amount) == (2_610, 390, 290)
    assert [line.discount_amount for line in order.lines] == [130, 260]
    assert [line.paid_amount for line in order.lines] == [870, 1_740]
    async with market.db.read() as tx:
        spent = await offers.list_applications(tx, [placed.id])
    assert [(one.layer, one.amount, one.subsidy_amount, one.base_amount, one.lines) for one in spent] == [
        (offers.Layer.shop, 100, 0, 3_000, [(1, 33), (2, 67)]),
        (offers.Layer.platform, 290, 290, 3_000, [(1, 97), (2, 193)]),
    ]
    assert await used(market.db, of_shop.id) == (1, 100)
    assert await is_sound(market.db)


async def test_a_claim_is_spent_once_and_another_total_buys_nothing(market: Market) -> None:
    item, buyer = await market.add_item(price=1_000), await market.buyer()
    coupon = await make(market, off_amount=100)
    claim_id = await take(market, buyer, coupon.id)
    ask = market.ask(buyer, item, coupons=(claim_id,), total_amount=1_000)
    assert await answers_to(market, ask) == ["total-changed"]
    asks = [market.ask(buyer, item, coupons=(claim_id,)) for _ in range(5)]
    assert sorted(await answers_to(market, *asks)) == ["900", *["used"] * 4]
    assert await used(market.db, coupon.id) == (1, 100)
    again = await market.till.place(next(ask for ask in asks))
    assert again.again
    assert await is_sound(market.db)


async def test_the_same_claim_in_two_tills_is_spent_once(market: Market) -> None:
    items = [await market.add_item(price=1_000) for _ in range(2)]
    coupon = await make(market, off_amount=100, per_person=50)
    other = second_till(market)
    for _ in range(10):
        buyer = await market.buyer()
        claim_id = await take(market, buyer, coupon.id)
        asks = [market.ask(buyer, item, coupons=(claim_id,)) for item in items]
        assert sorted(await answers_to(market, *asks, tills=(market.till, other))) == ["900", "used"]
    await other.close()
    assert await used(market.db, coupon.id) == (10, 1_000)
    assert await is_sound(market.db)


async def test_two_tills_never_exceed_a_budget_by_a_cent(market: Market) -> None:
    items = [await market.add_item(price=1_000, stock=1_000) for _ in range(2)]
    coupon = await make(market, off_amount=333, budget_amount=10_000)
    other = second_till(market)
    asks = []
    for number in range(60):
        buyer = await market.buyer()
        claim_id = await take(market, buyer, coupon.id)
        asks.append(market.ask(buyer, items[number % 2], coupons=(claim_id,)))
    answers = await answers_to(market, *asks, tills=(market.till, other))
    await other.close()
    assert sorted(answers) == ["667"] * 30 + [CouponReason.budget_gone] * 30
    assert await used(market.db, coupon.id) == (30, 9_990)
    assert await is_sound(market.db)


async def test_a_coupon_loser_spoils_nobodys_order(market: Market) -> None:
    item = await market.add_item(price=1_000, stock=10)
    coupon = await make(market, off_amount=900, budget_amount=900)
    plain = await market.buyer()
    buyers = [await market.buyer() for _ in range(4)]
    asks = [market.ask(buyer, item, coupons=(await take(market, buyer, coupon.id),)) for buyer in buyers]
    answers = await answers_to(market, *asks[:2], market.ask(plain, item), *asks[2:])
    assert answers == ["100", "budget-gone", "1000", "budget-gone", "budget-gone"]
    assert await market.stock(item) == (8, 2, 0)
    winner = next(ask for ask in asks)
    order_id = (await market.till.place(winner)).id
    async with market.db.tx() as tx:
        await orders.attach_address(tx, buyers[0], order_id, market.addresses[buyers[0].signed_in()])
    await market.pay(buyers[0], order_id)
    assert (await market.order(buyers[0], order_id)).state is orders.OrderState.paid
    assert await market.told("order.refunded") == []


async def test_a_new_buyer_is_new_once_in_two_tills_too(market: Market) -> None:
    items = [await market.add_item(price=1_000, stock=100) for _ in range(2)]
    other = second_till(market)
    for shop_id in (market.shop_id, None):
        coupons = [await make(market, off_amount=100, new_buyer=True, shop_id=shop_id) for _ in range(2)]
        for tills in [(market.till, other)] * 6 + [(market.till,)]:
            buyer = await market.buyer()
            claims = [await take(market, buyer, coupon.id) for coupon in coupons]
            asks = [market.ask(buyer, item, coupons=(claim,)) for item, claim in zip(items, claims, strict=True)]
            assert sorted(await answers_to(market, *asks, tills=tills)) == ["900", CouponReason.not_new_buyer]
    await other.close()
    assert await is_sound(market.db)


async def test_who_called_the_first_order_off_is_a_new_buyer_again(market: Market) -> None:
    item, buyer = await market.add_item(price=1_000), await market.buyer()
    coupon = await make(market, off_amount=100, new_buyer=True)
    claim_id = await take(market, buyer, coupon.id)
    for _ in range(2):
        placed = await market.till.place(market.ask(buyer, item, coupons=(claim_id,)))
        assert placed.total_amount == 900
        await market.cancel(buyer, placed.id)
    assert await used(market.db, coupon.id) == (0, 0)
    assert await is_sound(market.db)


async def test_an_unpaid_order_gives_its_coupon_back_once_as_long_as_it_runs(market: Market) -> None:
    item, buyer = await market.add_item(price=1_000), await market.buyer()
    runs, ends = await make(market, off_amount=100), await make(market, off_amount=50, shop_id=None)
    claims = (await take(market, buyer, runs.id), await take(market, buyer, ends.id))
    placed = await market.till.place(market.ask(buyer, item, coupons=claims))
    async with market.db.tx() as tx:
        operator = (await offers.get_coupon(tx, ends.id)).id
        await tx.run("UPDATE offers.coupon SET state = 'stopped' WHERE id = %(id)s", id=operator)
    market.db.clock.advance(seconds=3_600)
    await market.settle()
    assert (await market.order(buyer, placed.id)).state is orders.OrderState.cancelled
    assert await used(market.db, runs.id) == (0, 0)
    assert await used(market.db, ends.id) == (1, 0), "the money is back in the budget, the claim is not"
    async with market.db.tx() as tx:
        assert await offers.give_back_many(tx, [placed.id]) == 0
    assert await used(market.db, runs.id) == (0, 0)
    assert await is_sound(market.db)
    again = await market.till.place(market.ask(buyer, item, coupons=claims[:1]))
    assert again.total_amount == 900


async def test_an_order_refunded_whole_before_it_was_sent_gives_its_coupon_back(market: Market) -> None:
    item, buyer = await market.add_item(price=1_000), await market.buyer()
    coupon = await make(market, off_amount=101, shop_id=None)
    claim_id = await take(market, buyer, coupon.id)
    placed = await market.place_all(buyer, market.ask(buyer, item, quantity=3, coupons=(claim_id,)))
    await market.pay(buyer, placed.id)
    subsidy = ledger.Account(ledger.AccountKind.subsidy, "CNY")
    async with market.db.read() as tx:
        assert (await ledger.get_balance(tx, subsidy)).debits_posted == 101
    amounts = []
    for quantity in (1, 2):
        order = await market.order(buyer, placed.id)
        amount = orders.refundable(order.lines[0], quantity)
        amounts.append(amount)
        async with market.db.tx() as tx:
            back = orders.Back(1, quantity, amount)
            await orders.give_back(tx, placed.id, refund_id=new_id(), lines=[back], reason="test")
        assert await used(market.db, coupon.id) == ((1, 101) if quantity == 1 else (0, 0))
    assert sum(amounts) == 3_000 - 101
    async with market.db.read() as tx:
        balance = await ledger.get_balance(tx, subsidy)
    assert balance.debits_posted == balance.credits_posted == 101
    assert (await market.order(buyer, placed.id)).state is orders.OrderState.refunded
    assert await is_sound(market.db)


async def test_a_platforms_coupon_counts_over_all_shops_of_a_purchase(market: Market) -> None:
    owner, shop_id = await market.open_shop()
    near = await market.add_to_shelf(market.owner, market.shop_id, price=3_000)
    far = await market.add_to_shelf(owner, shop_id, price=1_000)
    buyer = await market.buyer()
    of_platform = await make(market, off_amount=401, threshold_amount=4_000, shop_id=None)
    of_far = await make(market, off_amount=5_000, owner=owner, shop_id=shop_id)
    claims = (await take(market, buyer, of_far.id), await take(market, buyer, of_platform.id))
    ask = market.ask(buyer, coupons=claims, lines=(near, far), show_id=None)
    placed = await market.till.place(ask)
    near_order, far_order = [await market.order(buyer, order_id) for order_id in placed.order_ids]
    assert (near_order.discount_amount, near_order.subsidy_amount, near_order.total_amount) == (401, 401, 2_599)
    assert (far_order.discount_amount, far_order.subsidy_amount, far_order.total_amount) == (999, 0, 1)
    await market.cancel(buyer, placed.id)
    assert await used(market.db, of_platform.id) == (0, 0)
    assert await used(market.db, of_far.id) == (0, 0)
    assert await is_sound(market.db)


async def test_every_reason_reaches_the_buyer(market: Market) -> None:
    item, buyer = await market.add_item(price=1_000), await market.buyer()
    somebody = await market.buyer()
    coupon = await make(market, off_amount=100, threshold_amount=2_000)
    theirs = await take(market, somebody, coupon.id)
    mine = await take(market, buyer, coupon.id)
    cases: list[tuple[Any, CouponReason]] = [
        (theirs, CouponReason.unknown),
        (ClaimId(new_id()), CouponReason.unknown),
        (mine, CouponReason.below_threshold),
    ]
    for claim_id, reason in cases:
        with pytest.raises(CouponRefused) as refused:
            await market.till.place(market.ask(buyer, item, coupons=(claim_id,)))
        assert (refused.value.claim_id, refused.value.reason) == (claim_id, reason)
    placed = await market.till.place(market.ask(buyer, item, quantity=2, coupons=(mine,)))
    assert placed.total_amount == 1_900
    with pytest.raises(CouponRefused) as refused:
        await market.till.place(market.ask(buyer, item, quantity=2, coupons=(mine,)))
    assert refused.value.reason_facts == {"order_id": OrderId(placed.id)}
    assert (await find(market.db, coupon.id)).claimed_count == 2


async def test_levels_are_looked_up_when_a_coupon_asks_for_them(market: Market) -> None:

    item, buyer = await market.add_item(price=1_000), await market.buyer()
    streamer_id = market.owner.signed_in()
    coupon = await make(market, off_amount=100, streamer_id=AccountId(streamer_id), fan_level=1)
    async with market.db.tx() as tx:
        await fans.follow(tx, ViewerId(buyer.signed_in()), streamer_id)
    claim_id = await take(market, buyer, coupon.id)
    async with market.db.tx() as tx:
        await fans.unfollow(tx, ViewerId(buyer.signed_in()), streamer_id)
    assert await answers_to(market, market.ask(buyer, item, coupons=(claim_id,))) == ["level-too-low"]
    async with market.db.tx() as tx:
        await fans.follow(tx, ViewerId(buyer.signed_in()), streamer_id)
    assert await answers_to(market, market.ask(buyer, item, coupons=(claim_id,))) == ["900"]


async def test_the_audit_finds_what_was_never_spent(market: Market) -> None:
    item, buyer = await market.add_item(price=1_000), await market.buyer()
    coupon = await make(market, off_amount=100, shop_id=None)
    await market.place_all(buyer, market.ask(buyer, item, coupons=(await take(market, buyer, coupon.id),)))
    await market.settle()
    assert (await audit.take_tallies(market.db)).findings == []
    async with market.db.tx() as tx:
        await tx.run("UPDATE offers.application SET amount = 99, subsidy_amount = 99")
    wrong = {finding.subject for finding in (await audit.take_tallies(market.db)).findings}
    assert {str(coupon.id), "amount", "subsidy"} <= wrong
