"""Red packets: everything in escrow before, everything given or given back after, nobody twice."""

import asyncio

import pytest

from fair import Fair, yuan
from laotie import fun, ledger
from laotie.base.refusals import NotFound, Refusal, Unauthenticated
from laotie.fun.model import (
    ActivityNotOpen,
    ActivityOver,
    AllTaken,
    AudienceRefused,
    DrawSealed,
    SpendLimitReached,
    TooManyActivities,
)
from market import make_account
from stage import guest

PACKET = {"amount": yuan(10_000), "count": 10, "split": "lucky"}


async def test_money_goes_from_wallet_to_escrow_to_wallets_and_the_rest_comes_back(fair: Fair) -> None:
    packet = await fair.open("red_packet", packet=PACKET)
    assert await fair.balance(fair.owner.viewer_id) == 90_000
    assert await fair.escrow(packet) == 10_000
    people = await fair.join(4)
    entered = [await fair.enter(one, packet, nonce=f"n{number}") for number, one in enumerate(people)]
    amounts = [one.amount.amount for one in entered if one.amount is not None]
    assert len(amounts) == 4 and all(amount >= 1 for amount in amounts)
    assert [await fair.balance(one.viewer_id) for one in people] == amounts
    assert (await fair.see(packet)).seed is None
    with pytest.raises(DrawSealed):
        await fair.proof(packet)
    await fair.wait(61)
    assert await fair.escrow(packet) == 0
    assert await fair.balance(fair.owner.viewer_id) == 100_000 - sum(amounts)
    activity = await fair.see(packet)
    assert activity.state is fun.State.settled and activity.seed is not None
    assert all(finding.holds for finding in fun.draw.verify(await fair.proof(packet)))
    await fair.audit_finds_nothing()


async def test_a_second_grab_gets_the_first_answer(fair: Fair) -> None:
    packet = await fair.open("red_packet", packet=PACKET)
    (anna,) = await fair.join(1)
    first = await fair.enter(anna, packet)
    again = await asyncio.gather(*(fair.enter(anna, packet, nonce=f"{number}") for number in range(20)))
    assert {one.amount for one in again} == {first.amount} and all(one.again for one in again)
    assert await fair.balance(anna.viewer_id) == (first.amount or yuan(0)).amount
    assert (await fair.see(packet)).entries == 1


@pytest.mark.parametrize("split", ["lucky", "equal"])
async def test_many_hands_at_once_take_exactly_what_there_is(fair: Fair, split: str) -> None:
    packet = await fair.open("red_packet", packet={"amount": yuan(9_999), "count": 40, "split": split})
    people = await fair.join(60)
    answers = await asyncio.gather(
        *(fair.enter(one, packet) for one in people for _ in range(2)), return_exceptions=True
    )
    refused = [one for one in answers if isinstance(one, BaseException)]
    assert {type(one) for one in refused} == {AllTaken}
    got = [await fair.balance(one.viewer_id) for one in people]
    assert sum(got) == 9_999 and sum(1 for one in got if one) == 40 and min(one for one in got if one) >= 1
    await fair.work()  # empty: it ends by itself, long before its time
    assert (await fair.see(packet)).state is fun.State.settled
    assert await fair.balance(fair.owner.viewer_id) == 90_001
    await fair.audit_finds_nothing()


async def test_after_the_deadline_nobody_gets_anything_even_before_the_worker_came(fair: Fair) -> None:
    packet = await fair.open("red_packet", packet=PACKET)
    (anna,) = await fair.join(1)
    fair.market.db.clock.advance(seconds=60)
    with pytest.raises(ActivityOver):
        await fair.enter(anna, packet)
    await fair.work()
    with pytest.raises(ActivityOver):
        await fair.enter(anna, packet)
    assert await fair.balance(fair.owner.viewer_id) == 100_000


async def test_deadlines_act_once_however_many_workers_look(fair: Fair) -> None:
    packet = await fair.open("red_packet", packet=PACKET)
    fair.market.db.clock.advance(seconds=61)
    await asyncio.gather(*(fun.work_deadlines(fair.market.db) for _ in range(6)))
    fair.market.db.clock.advance(seconds=2)
    await asyncio.gather(*(fun.work_deadlines(fair.market.db) for _ in range(6)))
    assert await fair.escrow(packet) == 0
    assert await fair.balance(fair.owner.viewer_id) == 100_000
    await fair.audit_finds_nothing()


async def test_the_entries_hash_is_public_before_the_seed(fair: Fair) -> None:
    packet = await fair.open("red_packet", packet=PACKET)
    opened = await fair.see(packet)
    assert opened.commitment is not None and opened.entries_hash is None and opened.seed is None
    fair.market.db.clock.advance(seconds=60)
    await fun.work_deadlines(fair.market.db)
    closed = await fair.see(packet)
    assert closed.state is fun.State.closed and closed.entries_hash is not None and closed.seed is None
    await fair.wait(1.5)
    settled = await fair.see(packet)
    assert settled.entries_hash == closed.entries_hash and settled.commitment == opened.commitment
    assert settled.seed is not None


async def test_calling_off_gives_back_what_nobody_got_and_keeps_what_somebody_did(fair: Fair) -> None:
    packet = await fair.open("red_packet", packet=PACKET)
    (anna,) = await fair.join(1)
    got = (await fair.enter(anna, packet)).amount
    await fair.cancel(packet)
    await fair.cancel(packet)
    assert await fair.balance(anna.viewer_id) + await fair.balance(fair.owner.viewer_id) == 100_000
    assert got is not None and await fair.balance(anna.viewer_id) == got.amount
    assert all(finding.holds for finding in fun.draw.verify(await fair.proof(packet)))
    await fair.audit_finds_nothing()


async def test_nobody_spends_what_is_not_in_the_wallet_even_at_the_same_time(fair: Fair) -> None:
    planned = [await fair.plan("red_packet", packet=PACKET | {"amount": yuan(60_000)}) for _ in range(3)]
    answers = await asyncio.gather(*(fair.start(one) for one in planned), return_exceptions=True)
    assert sum(1 for one in answers if isinstance(one, fun.Activity)) == 1
    refused = [one for one in answers if isinstance(one, ledger.InsufficientFunds)]
    assert len(refused) == 2
    assert refused[0].facts() == {"needed": yuan(60_000), "balance": yuan(40_000)}
    assert await fair.balance(fair.owner.viewer_id) == 40_000
    await fair.audit_finds_nothing()


async def test_spending_and_frequency_have_limits(fair: Fair) -> None:
    planned = await fair.plan("red_packet", packet=PACKET)
    async with fair.market.db.tx() as tx:
        with pytest.raises(SpendLimitReached):
            await fun.start_activity(tx, fair.owner, planned, spend_per_day_max=9_999)
    for _ in range(5):
        await fair.open("poll", question="?", options=["a", "b"])
    with pytest.raises(TooManyActivities):
        await fair.start(planned)


async def test_guests_cannot_win_money(fair: Fair) -> None:
    packet = await fair.open("red_packet", packet=PACKET)
    with pytest.raises(Unauthenticated):
        await fair.enter(guest(), packet)


async def test_followers_of_some_minutes_may_enter_and_others_not(fair: Fair) -> None:
    packet = await fair.open(
        "red_packet", packet=PACKET, duration_s=3_600, audience={"who": "followers", "follow_minutes": 10}
    )
    anna, bob = await fair.join(2)
    await fair.follow(anna)
    for one in (anna, bob):
        with pytest.raises(AudienceRefused):
            await fair.enter(one, packet)
    fair.market.db.clock.advance(seconds=601)
    assert (await fair.enter(anna, packet)).no == 1
    with pytest.raises(AudienceRefused):
        await fair.enter(bob, packet)


async def test_only_the_shows_people_and_only_with_their_own_money(fair: Fair) -> None:
    packet = await fair.plan("red_packet", packet=PACKET)
    (anna,) = await fair.join(1)
    for act in (fair.start, fair.cancel):
        with pytest.raises(NotFound):
            await act(packet, anna)
    with pytest.raises(Refusal):
        await fair.plan("red_packet", anna, packet=PACKET)
    stranger = await make_account(fair.market.db, "stranger")
    with pytest.raises(NotFound):
        await fair.start(packet, stranger)


async def test_the_shops_wallet_pays_too(fair: Fair) -> None:
    await fair.fill(5_000, owner_id=fair.market.shop_id)
    packet = await fair.open("red_packet", packet=PACKET | {"amount": yuan(5_000)}, funded_by="shop")
    assert await fair.balance(fair.market.shop_id) == 0
    await fair.wait(61)
    assert await fair.balance(fair.market.shop_id) == 5_000
    assert (await fair.see(packet)).state is fun.State.settled
    await fair.audit_finds_nothing()


async def test_an_activity_that_is_over_cannot_be_started_again(fair: Fair) -> None:
    packet = await fair.open("red_packet", packet=PACKET)
    await fair.wait(61)
    with pytest.raises(ActivityNotOpen):
        await fair.start(packet)
    with pytest.raises(ActivityNotOpen):
        await fair.cancel(packet)


async def test_a_topup_is_credited_once_though_its_message_comes_twice(fair: Fair) -> None:
    await fair.fill(500)
    assert await fair.balance(fair.owner.viewer_id) == 100_500
    await fair.market.settle()
    async with fair.market.db.read() as tx:
        wallet = await fun.get_wallet(tx, fair.owner.viewer_id, after=None, limit=10)
    assert [(one.amount, one.reason) for one in wallet.movements] == [(500, "topup"), (100_000, "topup")]
    assert wallet.balances == [yuan(100_500)]


async def test_the_statement_shows_every_way_money_takes(fair: Fair) -> None:
    packet = await fair.open("red_packet", packet=PACKET)
    (anna,) = await fair.join(1)
    got = (await fair.enter(anna, packet)).amount
    await fair.wait(61)
    async with fair.market.db.read() as tx:
        own = await fun.get_wallet(tx, fair.owner.viewer_id, after=None, limit=10)
        page = await fun.get_wallet(tx, fair.owner.viewer_id, after=own.movements[0].id, limit=1)
        hers = await fun.get_wallet(tx, anna.viewer_id, after=None, limit=10)
    assert got is not None
    assert [(one.amount, one.reason) for one in own.movements] == [
        (10_000 - got.amount, "escrow-back"), (-10_000, "escrow"), (100_000, "topup"),
    ]  # fmt: skip
    assert page.movements == own.movements[1:2]
    assert [(one.amount, one.reason, one.subject_id) for one in hers.movements] == [(got.amount, "red-packet", packet)]
