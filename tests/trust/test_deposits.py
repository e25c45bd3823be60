"""Deposits: what they must hold, who gets what from them, and what happens when they are short."""

import asyncio
import random
from typing import LiteralString

import pytest
from psycopg.errors import RaiseException

from fair import yuan
from guild import FREIGHT, KEEP, NINEFOLD, Guild
from laotie import audit, fun, ledger, trust
from laotie.base.ids import OrderId, PaymentId, new_id
from laotie.base.refusals import IdReused
from laotie.orders.model import OffShelf
from laotie.trust import Guarantee, PromiseKind

HOUR_S, DAY_S = 3_600, 86_400
FULL = 300_000  # base 1,000 and 2,000 yuan for the ninefold promise


async def test_the_rule_says_what_a_deposit_must_hold(guild: Guild) -> None:
    assert (await guild.standing()).deposit.required_amount == 0
    await guild.promise(FREIGHT)
    assert (await guild.standing()).deposit.required_amount == 130_000
    await guild.promise(FREIGHT, NINEFOLD)
    assert (await guild.standing()).deposit.required_amount == 330_000


async def test_what_is_no_longer_promised_is_kept_for_its_orders(guild: Guild) -> None:
    await guild.promise(NINEFOLD)
    await guild.put_in(FULL)
    async with guild.db.tx() as tx:
        await trust.clear_pledge(tx, guild.owner, guild.shop_id)
    with pytest.raises(trust.DepositNeeded) as refused:
        async with guild.db.tx() as tx:
            await trust.take_back(tx, guild.owner, guild.shop_id, new_id(), yuan(1))
    assert refused.value.free == yuan(0)
    guild.db.clock.advance(seconds=91 * DAY_S)
    await guild.work()
    assert (await guild.standing()).deposit.required_amount == 0
    async with guild.db.tx() as tx:
        await trust.take_back(tx, guild.owner, guild.shop_id, new_id(), yuan(FULL))
    assert await guild.wallet(guild.shop_id) == 1_000_000
    await guild.check()


async def test_a_pledge_never_changes(guild: Guild) -> None:
    pledge_id = await guild.promise(FREIGHT)
    with pytest.raises(IdReused):
        async with guild.db.tx() as tx:
            await trust.set_pledge(tx, guild.owner, guild.shop_id, pledge_id, [NINEFOLD])
    with pytest.raises(RaiseException):
        async with guild.db.tx() as tx:
            await tx.run("UPDATE trust.pledge SET promises = '[]'")


@pytest.mark.parametrize(
    "promises",
    [
        [Guarantee(PromiseKind.return_freight)],
        [Guarantee(PromiseKind.authentic_ninefold, cap_amount=1)],
        [Guarantee(PromiseKind.seven_days)],
        [Guarantee(PromiseKind.refund_without_return, cap_amount=1, days=7)],
        [NINEFOLD, NINEFOLD],
    ],
)
async def test_a_promise_says_what_its_kind_needs_and_no_more(guild: Guild, promises: list[Guarantee]) -> None:
    with pytest.raises(trust.GuaranteeRefused):
        await guild.promise(*promises)


async def test_an_order_keeps_the_pledge_that_it_was_placed_under(guild: Guild) -> None:
    first = await guild.promise(FREIGHT)
    market = guild.fair.market
    item, buyer = await market.add_item(), await market.buyer()
    before = await market.place(buyer, item)
    second = await guild.promise(NINEFOLD)
    after = await market.place(buyer, item)
    kept = [line.pledge_id for order_id in (before, after) for line in (await market.order(buyer, order_id)).lines]
    assert kept == [first, second]
    async with guild.db.read() as tx:
        offered = await trust.find_offered(tx, [item.product_id])
        found = await trust.find_pledges(tx, [first, second])
    assert offered[item.product_id].pledge == found[second]
    assert found[first].promises == [FREIGHT]


async def test_a_product_goes_by_its_own_pledge_even_an_empty_one(guild: Guild) -> None:
    await guild.promise(FREIGHT)
    item = await guild.fair.market.add_item()
    async with guild.db.tx() as tx:
        await trust.set_pledge(tx, guild.owner, guild.shop_id, new_id(), [], product_id=item.product_id)
        offered = (await trust.find_offered(tx, [item.product_id]))[item.product_id]
        assert offered.is_own and offered.pledge.promises == []
        await trust.clear_pledge(tx, guild.owner, guild.shop_id, product_id=item.product_id)
        offered = (await trust.find_offered(tx, [item.product_id]))[item.product_id]
        assert not offered.is_own and offered.pledge.promises == [FREIGHT]


async def test_a_claim_is_paid_once_into_the_buyers_wallet(guild: Guild) -> None:
    pledge_id = await guild.promise(NINEFOLD)
    await guild.put_in(FULL)
    [buyer] = await guild.fair.join(1)
    payout_id, order_id = new_id(), OrderId(new_id())
    for _ in range(2):
        paid = await guild.pay(pledge_id, buyer.signed_in(), 89_100, payout_id=payout_id, order_id=order_id)
        assert (paid.amount, paid.paid_amount) == (89_100, 89_100)
    with pytest.raises(IdReused):
        await guild.pay(pledge_id, buyer.signed_in(), 1, payout_id=payout_id, order_id=order_id)
    assert await guild.wallet(buyer.signed_in()) == 89_100
    assert (await guild.standing()).deposit.balance_amount == FULL - 89_100
    assert len(await guild.fair.market.told("trust.guarantee_paid")) == 1
    await guild.check()


async def test_nothing_is_paid_that_was_not_promised(guild: Guild) -> None:
    pledge_id = await guild.promise(FREIGHT)
    [buyer] = await guild.fair.join(1)
    with pytest.raises(trust.NotPledged):
        await guild.pay(pledge_id, buyer.signed_in(), 100)


async def test_an_order_gets_no_more_than_the_promise(guild: Guild) -> None:
    pledge_id = await guild.promise(FREIGHT)
    await guild.put_in(FULL)
    [buyer] = await guild.fair.join(1)
    order_id = OrderId(new_id())
    amounts = [
        (await guild.pay(pledge_id, buyer.signed_in(), 900, kind=PromiseKind.return_freight, order_id=order_id)).paid_amount
        for _ in range(3)
    ]
    assert amounts == [900, 600, 0]
    told = await guild.fair.market.told("trust.guarantee_cap_reached")
    assert [(one["granted_amount"], one["limit"]) for one in told] == [(600, "promise"), (0, "promise")]
    await guild.check()


async def test_what_the_deposit_does_not_hold_is_owed_and_paid_first_oldest_first(guild: Guild) -> None:
    pledge_id = await guild.promise(NINEFOLD)
    await guild.put_in(FULL)
    anna, bob = await guild.fair.join(2)
    first = await guild.pay(pledge_id, anna.signed_in(), FULL + 10_000)
    guild.db.clock.advance(seconds=1)
    second = await guild.pay(pledge_id, bob.signed_in(), 20_000)
    assert (first.owed_amount, second.owed_amount) == (10_000, 20_000)
    assert await guild.state() == "limited"
    await guild.put_in(15_000)
    assert (await guild.wallet(anna.signed_in()), await guild.wallet(bob.signed_in())) == (FULL + 10_000, 5_000)
    assert (await guild.standing()).deposit.missing_amount == FULL + 15_000
    await guild.put_in(15_000)
    assert await guild.wallet(bob.signed_in()) == 20_000
    assert await guild.state() == "open", "nothing is owed, and the grace of the requirement has not run out"
    await guild.check()


async def test_a_short_shop_is_limited_after_the_grace_and_freed_by_filling_up(guild: Guild) -> None:
    await guild.promise(NINEFOLD)
    market = guild.fair.market
    item, buyer = await market.add_item(), await market.buyer()
    open_order = await market.place(buyer, item)
    guild.db.clock.advance(seconds=71 * HOUR_S)
    await guild.work()
    assert await guild.state() == "open"
    guild.db.clock.advance(seconds=2 * HOUR_S)
    await guild.work()
    assert await guild.state() == "limited"
    with pytest.raises(OffShelf):
        await market.place(buyer, item)
    assert (await market.order(buyer, open_order)).state == "placed", "what was ordered goes on"
    await guild.put_in(FULL)
    assert await guild.state() == "open"
    await market.place(buyer, item)
    assert [len(await market.told(f"trust.{tag}")) for tag in ("deposit_short", "shop_limited", "shop_freed")] == [1, 1, 1]
    async with guild.db.read() as tx:
        kinds = await tx.all(str, "SELECT kind FROM messages.message ORDER BY at, id")
    assert kinds == ["deposit_short", "shop_limited", "shop_freed"]


async def test_a_new_rule_reaches_every_deposit(guild: Guild) -> None:
    await guild.promise(NINEFOLD)
    await guild.put_in(FULL)
    async with guild.db.tx() as tx:
        await tx.run(
            """
            INSERT INTO trust.rule SELECT 2, currency, jsonb_set(terms, '{base}', '5000'), %(now)s FROM trust.rule
            """,
            now=tx.now,
        )
    await guild.work()
    standing = await guild.standing()
    assert (standing.deposit.required_amount, standing.terms.version) == (700_000, 2)
    assert standing.deposit.short_since is not None


async def test_a_payment_planned_for_the_deposit_goes_there(guild: Guild) -> None:
    await guild.promise(NINEFOLD)
    payment_id = PaymentId(new_id())
    fair, payer = guild.fair, guild.owner.signed_in()
    async with guild.db.tx() as tx:
        await trust.plan_topup(tx, guild.owner, guild.shop_id, payment_id)
        await fun.start_topup(
            tx, fair.market.settings, payer, guild.shop_id, payment_id, yuan(FULL), provider="sandbox"
        )
    await fair.hear_capture(payment_id, FULL)
    await fair.market.settle()
    assert (await guild.standing()).deposit.balance_amount == FULL
    assert await guild.wallet(guild.shop_id) == 1_000_000
    await guild.check()


async def test_an_empty_wallet_fills_nothing(guild: Guild) -> None:
    await guild.promise(NINEFOLD)
    with pytest.raises(ledger.InsufficientFunds):
        await guild.put_in(1_000_001)
    assert (await guild.standing()).deposit.balance_amount == 0


async def test_two_claims_at_once_for_the_last_cents(guild: Guild) -> None:
    pledge_id = await guild.promise(NINEFOLD)
    await guild.put_in(1_001)
    anna, bob = await guild.fair.join(2)
    payouts = await asyncio.gather(*(guild.pay(pledge_id, who.signed_in(), 1_000) for who in (anna, bob)))
    assert sorted(one.paid_amount for one in payouts) == [1, 1_000]
    assert (await guild.standing()).deposit.balance_amount == 0
    assert await guild.wallet(anna.signed_in()) + await guild.wallet(bob.signed_in()) == 1_001
    await guild.check()


async def test_many_claims_at_once_stay_within_the_month(guild: Guild) -> None:
    pledge_id = await guild.promise(KEEP)
    await guild.put_in(FULL)
    [buyer] = await guild.fair.join(1)
    payouts = await asyncio.gather(
        *(guild.pay(pledge_id, buyer.signed_in(), 3_000, kind=PromiseKind.refund_without_return) for _ in range(24))
    )
    assert sum(one.paid_amount for one in payouts) == 50_000
    assert sorted({one.amount for one in payouts}) == [0, 2_000, 3_000]
    assert {one["limit"] for one in await guild.fair.market.told("trust.guarantee_cap_reached")} == {"month"}
    await guild.check()
    guild.db.clock.advance(seconds=32 * DAY_S)
    again = await guild.pay(pledge_id, buyer.signed_in(), 3_000, kind=PromiseKind.refund_without_return)
    assert again.paid_amount == 3_000, "the next month begins anew"


async def test_the_same_claim_at_once_is_paid_once(guild: Guild) -> None:
    pledge_id = await guild.promise(NINEFOLD)
    await guild.put_in(FULL)
    [buyer] = await guild.fair.join(1)
    payout_id, order_id = new_id(), OrderId(new_id())
    payouts = await asyncio.gather(
        *(guild.pay(pledge_id, buyer.signed_in(), 500, payout_id=payout_id, order_id=order_id) for _ in range(6))
    )
    assert {one.paid_amount for one in payouts} == {500}
    assert await guild.wallet(buyer.signed_in()) == 500
    await guild.check()


async def test_what_stands_out_about_claims_is_told_once_a_month(guild: Guild) -> None:
    pledge_id = await guild.promise(FREIGHT)
    await guild.put_in(FULL)
    [buyer] = await guild.fair.join(1)
    for _ in range(7):
        await guild.pay(pledge_id, buyer.signed_in(), 1_000, kind=PromiseKind.return_freight)
    told = await guild.fair.market.told("trust.guarantee_abuse_suspected")
    assert sorted(one["signal"] for one in told) == ["always-the-same", "many-claims", "share-of-orders"]
    facts = next(one["facts"] for one in told if one["signal"] == "many-claims")
    assert facts == {
        "window_days": 30, "claims": 6, "orders_claimed": 6, "kinds": ["return_freight"], "shops": 1, "orders": 6
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "subject"),
    [
        ("UPDATE trust.deposit SET put_in_amount = put_in_amount + 1", "deposit of"),
        ("UPDATE trust.payout SET paid_amount = paid_amount - 1", "sums of"),
        ("UPDATE trust.month SET granted_amount = granted_amount + 1", "month of"),
        ("UPDATE trust.payout SET kind = 'return_freight'", "cap of"),
    ],
)
async def test_the_audit_finds_each_kind_of_fault(guild: Guild, fault: LiteralString, subject: str) -> None:
    pledge_id = await guild.promise(NINEFOLD, FREIGHT)
    await guild.put_in(FULL)
    [buyer] = await guild.fair.join(1)
    await guild.pay(pledge_id, buyer.signed_in(), 89_100)
    await guild.check()
    async with guild.db.tx() as tx:
        await tx.run(fault)
    report = await audit.take_tallies(guild.db)
    assert any(finding.subject.startswith(subject) for finding in report.findings)


@pytest.mark.parametrize("seed", range(3))
async def test_money_is_conserved_whatever_happens(guild: Guild, seed: int) -> None:
    """Random acts against the simplest model: what people have, what is in the deposit, and what is owed add up."""
    chance = random.Random(seed)
    pledge_id = await guild.promise(NINEFOLD, FREIGHT, KEEP)
    buyers = [one.signed_in() for one in await guild.fair.join(3)]
    granted = 0
    for _ in range(40):
        act, amount = chance.choice(("put", "take", "pay", "pay", "wait")), chance.randint(1, 120_000)
        try:
            if act == "put":
                await guild.put_in(amount)
            elif act == "take":
                async with guild.db.tx() as tx:
                    await trust.take_back(tx, guild.owner, guild.shop_id, new_id(), yuan(amount))
            elif act == "pay":
                kind = chance.choice([PromiseKind.authentic_ninefold, PromiseKind.return_freight])
                granted += (await guild.pay(pledge_id, chance.choice(buyers), amount, kind=kind)).amount
            else:
                guild.db.clock.advance(seconds=chance.randint(1, 30) * HOUR_S)
                await guild.work()
        except (trust.DepositNeeded, ledger.InsufficientFunds):
            continue
        deposit = (await guild.standing()).deposit
        had = [await guild.wallet(one) for one in buyers]
        assert sum(had) + deposit.owed_amount == granted
        assert sum(had) + deposit.balance_amount + await guild.wallet(guild.shop_id) == 1_000_000
        assert not (deposit.owed_amount and deposit.balance_amount), "whoever is owed is paid first"
        if deposit.owed_amount:
            assert await guild.state() == "limited"
    await guild.check()
