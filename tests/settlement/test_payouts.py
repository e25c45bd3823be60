"""Batches of payouts: drafted, approved by somebody else, sent by somebody else again, ended one by one."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from bursary import Bursary, an_account, an_iban
from laotie import identity, payments, settlement
from laotie.base.ids import ViewerId, new_id
from laotie.base.refusals import Forbidden, IdReused
from laotie.identity import Actor, SecondPersonNeeded
from laotie.ledger import AccountKind
from laotie.settlement import BatchState, Owner, PayoutState, Waiting
from laotie.settlement.payees import judge
from laotie.settlement.payout_model import AlreadyHeld, BatchMoved, NothingToPay, PayoutMoved
from laotie.settlement.payouts import work_payouts
from till_roll import Roll


@pytest.fixture
async def two(bursary: Bursary) -> tuple[Actor, Actor]:
    return await bursary.operator(), await bursary.operator()


@pytest.mark.parametrize(
    ("amount", "case", "waiting"),
    [
        (1000, {}, Waiting.ready),
        (999, {}, Waiting.below_minimum),
        (0, {}, Waiting.below_minimum),
        (-1, {}, Waiting.negative),
        (1000, {"usable_in_s": 1}, Waiting.cooling),
        (1000, {"usable_in_s": 0}, Waiting.ready),
        (1000, {"has_route": False}, Waiting.no_account),
        (1000, {"is_held": True}, Waiting.held),
        (1000, {"is_under_way": True}, Waiting.under_way),
        (-1, {"is_held": True}, Waiting.held),
        (999, {"has_route": False}, Waiting.no_account),
    ],
)
def test_who_is_in_the_next_batch(amount: int, case: dict[str, Any], waiting: Waiting) -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    usable_in_s = case.pop("usable_in_s", None)
    usable_at = None if usable_in_s is None else now + timedelta(seconds=usable_in_s)
    facts = {"minimum": 1000, "usable_at": usable_at, "has_route": True, "is_held": False, "is_under_way": False, "now": now}
    assert judge(amount, **(facts | case)) is waiting


async def test_money_goes_the_whole_way_to_the_cent(bursary: Bursary, two: tuple[Actor, Actor]) -> None:
    shop, streamer = await bursary.shop(owed=123_456), await bursary.ready(owed=7_890)
    await bursary.write_down(shop)
    await bursary.wait(hours=72)
    batch = await bursary.draft(two[0])
    assert (batch.state, batch.counts, batch.amounts) == (BatchState.drafted, {"drafted": 2}, {"drafted": 131_346})
    assert (await bursary.owed(shop), await bursary.owed(streamer)) == (0, 0)
    assert await bursary.balance(AccountKind.payout, shop.id) == 123_456
    await bursary.approve(two[1], batch)
    batch = await bursary.send(two[0], batch)
    assert batch.state is BatchState.sent
    first, second = await bursary.payouts(batch)
    paid, returned = (first, second) if first.owner_id == shop.id else (second, first)
    await bursary.note(two[0], paid, "paid")
    assert await bursary.balance(AccountKind.provider) == 123_456  # a debit-normal account that lost money
    assert (await bursary.batch(batch.id)).state is BatchState.sent
    await bursary.note(two[0], returned, "returned", reason="账户已销户")
    assert (await bursary.batch(batch.id)).state is BatchState.closed
    assert (await bursary.owed(shop), await bursary.owed(streamer)) == (0, 7_890)
    assert (await bursary.told(shop))[-1] == "payout_paid"
    assert (await bursary.told(streamer))[-1] == "payout_returned"
    assert await bursary.acts("payout") == [
        "payout_batch.drafted", "payout_batch.approved", "payout_batch.sent", "payout.paid", "payout.returned"
    ]  # fmt: skip
    await bursary.check_books()


async def test_nobody_is_drafted_twice_and_everybody_again_after_a_return(
    bursary: Bursary, two: tuple[Actor, Actor]
) -> None:
    shop = await bursary.ready(owed=5_000)
    batch = await bursary.sent(*two)
    await bursary.owe(shop, 3_000)
    with pytest.raises(NothingToPay):
        await bursary.draft(two[0])
    (payout,) = await bursary.payouts(batch)
    await bursary.note(two[0], payout, "returned", reason="退汇")
    (again,) = await bursary.payouts(await bursary.draft(two[0]))
    assert again.amount == 8_000
    await bursary.check_books()


async def test_a_return_may_come_after_the_money_had_arrived_but_not_the_other_way(
    bursary: Bursary, two: tuple[Actor, Actor]
) -> None:
    shop = await bursary.ready(owed=5_000)
    batch = await bursary.sent(*two)
    (payout,) = await bursary.payouts(batch)
    for outcome in ("paid", "paid", "returned", "returned"):
        await bursary.note(two[1], payout, outcome, reason="退汇")
    assert await bursary.owed(shop) == 5_000
    assert await bursary.balance(AccountKind.provider) == 0
    with pytest.raises(PayoutMoved):
        await bursary.note(two[1], payout, "paid")
    assert len(await bursary.acts("payout.")) == 2
    await bursary.check_books()


async def test_who_drafted_or_changed_does_not_approve_and_who_approved_does_not_send(bursary: Bursary) -> None:
    one, two, three = [await bursary.operator() for _ in range(3)]
    await bursary.ready(owed=5_000)
    await bursary.ready(owed=6_000)
    batch = await bursary.draft(one)
    with pytest.raises(SecondPersonNeeded):
        await bursary.approve(one, batch)
    await bursary.withhold(two, (await bursary.payouts(batch))[0].id)
    with pytest.raises(SecondPersonNeeded):
        await bursary.approve(two, batch)
    assert (await bursary.approve(three, batch)).approved_by == three.account_id
    with pytest.raises(SecondPersonNeeded):
        await bursary.send(three, batch)
    assert (await bursary.send(one, batch)).state is BatchState.sent


async def test_what_the_platform_drafted_still_takes_two_people(bursary: Bursary, two: tuple[Actor, Actor]) -> None:
    await bursary.ready(owed=5_000)
    await _at_hour(bursary, 6)
    await work_payouts(bursary.db, bursary.settings)
    batch = await _only_batch(bursary)
    assert (batch.drafted_by, batch.state) == (None, BatchState.drafted)
    await bursary.approve(two[0], batch)
    with pytest.raises(SecondPersonNeeded):
        await bursary.send(two[0], batch)
    await bursary.send(two[1], batch)


async def test_two_sessions_and_a_token_of_one_person_are_one_pair_of_eyes(bursary: Bursary) -> None:
    one = await bursary.operator()
    await bursary.ready(owed=5_000)
    batch = await bursary.draft(one)
    by_token = identity.Actor(
        viewer_id=ViewerId(new_id()),
        seat_holder_id=one.account_id,
        roles=one.roles,
        token_scopes=frozenset({identity.TokenScope.operator}),
    )
    with pytest.raises(SecondPersonNeeded):
        await bursary.approve(by_token, batch)


@pytest.mark.parametrize(
    "change",
    [
        "approved_by = drafted_by, approved_at = now(), state = 'approved'",
        "changed_by = ARRAY[gen_random_uuid(), drafted_by], approved_by = drafted_by, state = 'approved'",
        "approved_by = '00000000-0000-7000-8000-000000000001', sent_by = '00000000-0000-7000-8000-000000000001',"
        " state = 'sent'",
        "state = 'sent', sent_by = gen_random_uuid()",
    ],
)
async def test_the_database_itself_holds_four_eyes(bursary: Bursary, two: tuple[Actor, Actor], change: str) -> None:
    await bursary.ready(owed=5_000)
    batch = await bursary.draft(two[0])
    with psycopg.connect(bursary.db.url) as connection, pytest.raises(errors.CheckViolation):
        connection.execute(
            f"UPDATE settlement.payout_batch SET {change} WHERE id = %s",
            (batch.id,),
        )


async def test_what_is_held_back_is_owed_again_and_the_rest_goes_on(bursary: Bursary, two: tuple[Actor, Actor]) -> None:
    shop = await bursary.ready(owed=5_000)
    await bursary.ready(owed=6_000)
    batch = await bursary.draft(two[0])
    wanted = next(one for one in await bursary.payouts(batch) if one.owner_id == shop.id)
    held = await bursary.withhold(two[0], wanted.id, "先核实流水")
    assert (held.state, held.reason, await bursary.owed(shop)) == (PayoutState.withheld, "先核实流水", 5_000)
    with pytest.raises(PayoutMoved):
        await bursary.withhold(two[0], wanted.id)
    await bursary.approve(two[1], batch)
    with pytest.raises(BatchMoved):
        await bursary.withhold(two[0], wanted.id)
    assert (await bursary.send(two[0], batch)).counts == {"withheld": 1, "sent": 1}
    await bursary.check_books()


async def test_nothing_is_approved_when_all_of_it_was_held_back(bursary: Bursary, two: tuple[Actor, Actor]) -> None:
    await bursary.ready(owed=5_000)
    batch = await bursary.draft(two[0])
    await bursary.withhold(two[0], (await bursary.payouts(batch))[0].id)
    with pytest.raises(NothingToPay):
        await bursary.approve(two[1], batch)
    assert (await _discard(bursary, two[1], batch.id)).state is BatchState.discarded


async def test_an_account_that_is_changed_stays_behind_when_the_batch_is_sent(
    bursary: Bursary, two: tuple[Actor, Actor]
) -> None:
    changed, held, owing, good = [await bursary.ready(owed=5_000) for _ in range(4)]
    batch = await bursary.draft(two[0])
    await bursary.approve(two[1], batch)
    await bursary.write_down(changed, an_account(holder="别人"))
    await bursary.owe(owing, -1)
    async with bursary.db.tx() as tx:
        await settlement.payees.hold_payouts(tx, two[1], held.id, "涉嫌刷单")
        with pytest.raises(AlreadyHeld):
            await settlement.payees.hold_payouts(tx, two[1], held.id, "再次")
    batch = await bursary.send(two[0], batch)
    found = {one.owner_id: (one.state, one.reason) for one in await bursary.payouts(batch)}
    assert found == {
        changed.id: (PayoutState.withheld, "account-changed"),
        held.id: (PayoutState.withheld, "held"),
        owing.id: (PayoutState.withheld, "below-zero"),
        good.id: (PayoutState.sent, None),
    }
    assert [await bursary.owed(one) for one in (changed, held, owing, good)] == [5_000, 5_000, 4_999, 0]
    again = await bursary.draft(two[0])  # one cools off, one is held, one is under way
    assert [(one.owner_id, one.amount) for one in await bursary.payouts(again)] == [(owing.id, 4_999)]
    await bursary.check_books()


async def test_a_batch_of_which_nothing_is_left_when_it_is_sent_is_closed(
    bursary: Bursary, two: tuple[Actor, Actor]
) -> None:
    shop = await bursary.ready(owed=5_000)
    batch = await bursary.draft(two[0])
    await bursary.approve(two[1], batch)
    await bursary.write_down(shop)
    assert (await bursary.send(two[0], batch)).state is BatchState.closed
    assert await bursary.owed(shop) == 5_000


async def test_a_batch_can_be_given_up_until_it_is_sent(bursary: Bursary, two: tuple[Actor, Actor]) -> None:
    shop = await bursary.ready(owed=5_000)
    batch = await bursary.draft(two[0])
    await bursary.approve(two[1], batch)
    assert (await _discard(bursary, two[1], batch.id)).counts == {"withheld": 1}
    assert await bursary.owed(shop) == 5_000
    with pytest.raises(BatchMoved):
        await bursary.send(two[0], batch)
    sent = await bursary.sent(*two)
    with pytest.raises(BatchMoved):
        await _discard(bursary, two[1], sent.id)
    await bursary.check_books()


async def test_who_may_be_paid_is_drafted_and_nobody_else(bursary: Bursary, two: tuple[Actor, Actor]) -> None:
    good = await bursary.ready(owed=1_000)
    await bursary.ready(owed=999)
    await bursary.ready(owed=-5_000)
    await bursary.shop(owed=5_000)
    cooling = await bursary.shop(owed=5_000)
    await bursary.write_down(cooling)
    held = await bursary.ready(owed=5_000)
    await bursary.write_down(cooling)  # again: what cools off begins anew
    async with bursary.db.tx() as tx:
        await settlement.payees.hold_payouts(tx, two[0], held.id, "核实中")
    batch = await bursary.draft(two[0])
    assert [one.owner_id for one in await bursary.payouts(batch)] == [good.id]
    async with bursary.db.read() as tx:
        seen = await settlement.payees.list_payees(tx, bursary.settings, currency="CNY")
    assert sorted(one.waiting for one in seen) == ["below_minimum", "cooling", "held", "negative", "no_account"]


async def test_the_day_is_drafted_once_from_its_hour_on(bursary: Bursary) -> None:
    await bursary.ready(owed=5_000)
    await _at_hour(bursary, 5)
    await work_payouts(bursary.db, bursary.settings)
    assert await _count_batches(bursary) == 0
    await bursary.wait(hours=1)
    for _ in range(2):
        await work_payouts(bursary.db, bursary.settings)
    assert await _count_batches(bursary) == 1
    await bursary.ready(owed=6_000)
    await bursary.wait(hours=24)
    await work_payouts(bursary.db, bursary.settings)
    assert await _count_batches(bursary) == 2
    await bursary.check_books()


async def test_euros_go_by_another_batch_and_no_batch_mixes_currencies(
    bursary: Bursary, two: tuple[Actor, Actor]
) -> None:
    await bursary.ready(owed=5_000)
    await bursary.ready(owed=7_000, currency="EUR", account=an_iban())
    euros = await bursary.sent(*two, channel="iban", currency="EUR")
    yuan = await bursary.sent(*two)
    assert (euros.amounts, yuan.amounts) == ({"sent": 7_000}, {"sent": 5_000})
    assert euros.payer is not None and euros.payer.name == "Laotie House"


async def test_the_same_id_is_the_same_batch(bursary: Bursary, two: tuple[Actor, Actor]) -> None:
    await bursary.ready(owed=5_000)
    batch = await bursary.draft(two[0])
    assert await bursary.draft(two[0], batch_id=batch.id) == batch
    for other, channel in ((two[1], "cn"), (two[0], "iban")):
        with pytest.raises(IdReused):
            await bursary.draft(other, batch_id=batch.id, channel=channel)
    viewer = await bursary.person()
    with pytest.raises(Forbidden):
        await bursary.draft(viewer)


async def test_more_than_a_chunk_is_drafted_sent_and_given_up(bursary: Bursary, two: tuple[Actor, Actor]) -> None:
    for number in range(4):
        await bursary.ready(owed=1_000 + number)
    small = pytest.MonkeyPatch()
    for module in (settlement.drafting, settlement.payouts):
        small.setattr(module, "CHUNK", 2)
    small.setattr(settlement.drafting, "PAGE_SIZE_MAX", 3)
    try:
        await _discard(bursary, two[0], (await bursary.draft(two[0])).id)
        assert (await bursary.sent(*two)).amounts == {"sent": 4_006}
    finally:
        small.undo()
    await bursary.check_books()


async def _discard(bursary: Bursary, actor: Actor, batch_id: UUID) -> settlement.Batch:
    return await settlement.payouts.discard_batch(
        bursary.db, actor, bursary.settings, settlement.BatchId(batch_id)
    )


async def _at_hour(bursary: Bursary, hour: int) -> None:
    """The next time that it is that hour in Shanghai, which is eight hours ahead all year."""
    now = bursary.db.clock.now() + timedelta(hours=8)
    there = now.replace(hour=hour, minute=1)
    await bursary.wait(hours=((there - now).total_seconds() % 86_400) / 3600)


async def _only_batch(bursary: Bursary) -> settlement.Batch:
    async with bursary.db.read() as tx:
        (batch,) = await settlement.batches.list_batches(tx, await bursary.operator(), limit=10)
    return batch


async def _count_batches(bursary: Bursary) -> int:
    async with bursary.db.read() as tx:
        return await tx.one(int, "SELECT count(*) FROM settlement.payout_batch")


@pytest.mark.parametrize(("refusals", "state"), [(0, PayoutState.paid), (1, PayoutState.returned)])
async def test_who_has_an_account_at_the_provider_is_paid_there(
    roll: Roll, bursary: Bursary, refusals: int, state: PayoutState
) -> None:
    market, shop = roll.market, Owner(roll.market.shop_id, True)
    bursary.people[shop.id] = market.owner
    async with market.db.tx() as tx:
        seller = await payments.apply_as_seller(
            tx, market.settings, provider="sandbox", owner_id=shop.id, kind=payments.SellerKind.shop, name="海边人家",
            country="CN", asked_by=market.owner.signed_in(),
        )  # fmt: skip
    seller, _ = await payments.onboard(market.db, market.settings, seller.id)
    async with market.db.tx() as tx:
        await payments.sandbox_sellers.judge(
            tx, seller.id, holder_id=market.owner.signed_in(), state=payments.SellerState.ready, refusals=refusals
        )
    await roll.follow()
    await bursary.owe(shop, 5_000)
    one, two = await bursary.operator(), await bursary.operator()
    with pytest.raises(NothingToPay):
        await bursary.draft(one)
    batch = await bursary.sent(one, two, channel="sandbox")
    assert batch.route is settlement.Route.provider
    await roll.follow()
    (payout,) = await bursary.payouts(batch)
    assert (payout.state, (await bursary.batch(batch.id)).state) == (state, BatchState.closed)
    paid = 5_000 if state is PayoutState.paid else 0
    assert (await bursary.owed(shop), await bursary.balance(AccountKind.provider)) == (5_000 - paid, paid)
    assert (await bursary.told(shop))[-1] == f"payout_{state}"
    await bursary.check_books()
