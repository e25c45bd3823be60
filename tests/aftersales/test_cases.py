"""Cases from the claim to the end: who may do what, what is paid, what goes on the shelf, who acts for the silent."""

import asyncio
from typing import Any

import msgspec
import psycopg
import pytest

from claims import Desk
from laotie import aftersales, audit, catalog, ledger, trust
from laotie.aftersales import Act, AskedLine, CaseId, CaseKind, CaseState, EntryId, Party, Reason, Step, model
from laotie.base.ids import new_id
from laotie.base.refusals import Forbidden, IdReused, NotFound, Refusal
from laotie.identity import Actor
from laotie.orders import delivery
from market import make_account


async def sound(desk: Desk) -> None:
    """The books of all rooms agree."""
    await desk.market.settle()
    report = await audit.take_tallies(desk.market.db)
    assert report.findings == []


async def test_a_return_runs_from_claim_to_money_and_shelf(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10, price=9900)
    order_id = await desk.delivered(item, quantity=3)
    case = await desk.open(order_id, kind=CaseKind.return_refund, reason=Reason.damaged, pieces=2)
    assert (case.state, case.amount, case.must_return) == (CaseState.requested, 19800, True)
    case = await desk.shop(case, Act.accept)
    assert case.state is CaseState.returning
    case = await desk.send_back(case)
    case = await desk.shop(case, Act.approve_goods, inspected=(aftersales.Inspected(1, 1),))
    assert (case.state, case.refunded_amount, case.closed_at is not None) == (CaseState.refunded, 19800, True)
    await sound(desk)
    order = await desk.order(order_id)
    assert (order.state, order.refunded_amount, order.lines[0].refunded_quantity) == ("shipped", 19800, 2)
    assert await desk.stock(item.skus[0].sku_id) == (8, 0, 2)
    line = (await desk.seen(case)).brief.lines[0]
    assert (line.restocked_quantity, line.written_off_quantity) == (1, 1)
    assert (await desk.market.balance(ledger.AccountKind.shop_held)).posted == 9900
    assert [entry.act for entry in (await desk.seen(case)).entries] == [
        Act.open,
        Act.accept,
        Act.send_back,
        Act.approve_goods,
    ]


async def test_two_cases_never_claim_the_same_piece(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item, quantity=3)
    await desk.open(order_id, pieces=2)
    with pytest.raises(model.PiecesTaken) as refused:
        await desk.open(order_id, pieces=2)
    assert refused.value.facts() == {"no": 1, "left": 1}
    answers = await asyncio.gather(
        *(desk.open(order_id, pieces=1) for _ in range(4)), return_exceptions=True
    )
    assert sum(isinstance(answer, aftersales.Case) for answer in answers) == 1
    assert sum(isinstance(answer, model.PiecesTaken) for answer in answers) == 3


async def test_what_was_given_back_cannot_be_claimed_again(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item, quantity=2)
    case = await desk.shop(await desk.open(order_id, pieces=2), Act.accept)
    assert case.state is CaseState.refunded
    assert (await desk.order(order_id)).state == "refunded"
    with pytest.raises(model.NoClaim):
        await desk.open(order_id)
    await sound(desk)


async def test_a_case_called_off_frees_its_pieces_and_the_orders_clock(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item)
    case = await desk.open(order_id)
    with pytest.raises(delivery.CompletionPaused):
        async with desk.market.db.tx() as tx:
            assert await aftersales.has_open_case(tx, order_id)
            await delivery.confirm_receipt(tx, desk.buyers[order_id], order_id)
    case = await desk.buyer(case, Act.call_off)
    assert case.state is CaseState.withdrawn
    async with desk.market.db.tx() as tx:
        assert not await aftersales.has_open_case(tx, order_id)
        await delivery.confirm_receipt(tx, desk.buyers[order_id], order_id)
    await desk.open(order_id)


async def test_the_same_claim_and_the_same_step_again_change_nothing(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item)
    case_id = CaseId(new_id())
    first = await desk.open(order_id, case_id=case_id)
    assert await desk.open(order_id, case_id=case_id) == msgspec.structs.replace(first, entry_count=1)
    with pytest.raises(IdReused):
        await desk.open(order_id, case_id=case_id, reason=Reason.defective)
    step = Step(id=EntryId(new_id()), act=Act.refuse, text="no")
    for _ in range(2):
        async with desk.market.db.tx() as tx:
            await aftersales.take_step(tx, desk.market.owner, case_id, step, data=desk.data)
    assert (await desk.case(first)).state is CaseState.refused
    assert len((await desk.seen(first)).entries) == 2
    with pytest.raises(IdReused):
        async with desk.market.db.tx() as tx:
            await aftersales.take_step(
                tx, desk.market.owner, case_id, msgspec.structs.replace(step, text="yes"), data=desk.data
            )


async def test_the_shops_silence_is_consent(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item)
    case = await desk.open(order_id)
    desk.market.db.clock.advance(seconds=48 * 3600 - 60)
    assert await aftersales.work_deadlines(desk.market.db) == 0
    desk.market.db.clock.advance(seconds=61)
    assert await aftersales.work_deadlines(desk.market.db) == 1
    case = await desk.case(case)
    assert (case.state, case.refunded_amount) == (CaseState.refunded, 9900)
    entry = (await desk.seen(case)).entries[-1]
    assert (entry.party, entry.act) == (Party.house, Act.time_over)
    await sound(desk)


async def test_the_buyers_silence_ends_a_return_and_a_refusal(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item, quantity=2)
    back = await desk.shop(await desk.open(order_id, kind=CaseKind.return_refund), Act.accept)
    refused = await desk.shop(await desk.open(order_id), Act.refuse, text="it was whole")
    assert await desk.wait(CaseState.refused) == 1
    assert (await desk.case(refused)).state is CaseState.expired
    assert await desk.wait(CaseState.returning) == 1
    assert (await desk.case(back)).state is CaseState.expired
    assert (await desk.order(order_id)).refunded_amount == 0


async def test_a_shop_silent_with_the_goods_in_its_hands_pays_and_they_are_written_off(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item)
    case = await desk.shop(await desk.open(order_id, kind=CaseKind.return_refund), Act.accept)
    await desk.send_back(case)
    assert await desk.wait(CaseState.sent_back) == 1
    case = await desk.case(case)
    assert (case.state, case.refunded_amount, case.is_back) == (CaseState.refunded, 9900, True)
    line = (await desk.seen(case)).brief.lines[0]
    assert (line.restocked_quantity, line.written_off_quantity) == (0, 1)
    assert await desk.stock(item.skus[0].sku_id) == (9, 0, 1)
    await sound(desk)


async def test_disputed_goods_go_to_arbitration_by_themselves_and_a_split_is_paid_exactly(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10, price=9900)
    order_id = await desk.delivered(item)
    case = await desk.shop(await desk.open(order_id, kind=CaseKind.return_refund), Act.accept)
    case = await desk.shop(await desk.send_back(case), Act.dispute_goods, text="worn", amount=3000)
    assert (case.state, case.offer_amount) == (CaseState.disputed, 3000)
    assert await desk.wait(CaseState.disputed) == 1
    case = await desk.case(case)
    assert case.state is CaseState.arbitration
    with pytest.raises(model.ActRefused):
        await desk.buyer(case, Act.call_off)
    case = await desk.operator(case, Act.decide_split, amount=6001, freight_by=Party.buyer)
    assert (case.state, case.refunded_amount) == (CaseState.refunded, 6001)
    order = await desk.order(order_id)
    assert (order.refunded_amount, order.lines[0].refunded_quantity) == (6001, 1)
    await sound(desk)


async def test_an_offer_is_taken_with_the_goods_at_the_shop(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item)
    case = await desk.shop(await desk.open(order_id, kind=CaseKind.return_refund), Act.accept)
    case = await desk.shop(await desk.send_back(case), Act.dispute_goods, text="worn", amount=3000)
    case = await desk.buyer(case, Act.take_offer)
    assert (case.state, case.refunded_amount) == (CaseState.refunded, 3000)
    await sound(desk)


async def test_a_part_for_goods_that_stay_leaves_the_rest_and_the_right_to_it(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10, price=9900)
    order_id = await desk.delivered(item)
    case = await desk.open(order_id, amount=1000)
    assert case.is_part
    case = await desk.shop(case, Act.accept)
    assert (case.state, case.refunded_amount) == (CaseState.refunded, 1000)
    assert (await desk.order(order_id)).lines[0].refunded_quantity == 0
    again = await desk.open(order_id, kind=CaseKind.withdrawal, reason=Reason.changed_mind)
    assert (again.state, again.amount) == (CaseState.returning, 8900)
    again = await desk.shop(await desk.send_back(again), Act.approve_goods)
    assert again.refunded_amount == 8900
    assert (await desk.order(order_id)).state == "refunded"
    await sound(desk)


async def test_a_counter_offer_is_taken_or_goes_to_arbitration(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item, quantity=2)
    one = await desk.shop(await desk.open(order_id), Act.counter, kind=CaseKind.refund_only, amount=2000)
    other = await desk.shop(await desk.open(order_id), Act.counter, kind=CaseKind.return_refund)
    one = await desk.buyer(one, Act.take_offer)
    assert (one.state, one.refunded_amount) == (CaseState.refunded, 2000)
    other = await desk.buyer(other, Act.escalate, text="not enough")
    assert other.state is CaseState.arbitration
    other = await desk.operator(other, Act.decide_for_buyer)
    assert (other.state, other.refunded_amount) == (CaseState.refunded, 7900), "what a line gave is part of its pieces' worth"
    await sound(desk)


async def test_an_overdue_arbitration_is_told_and_then_decided_for_the_buyer(desk: Desk) -> None:
    arbiter = await desk.arbiter()
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item)
    case = await desk.shop(await desk.open(order_id), Act.refuse, text="no")
    case = await desk.buyer(case, Act.escalate)
    await desk.wait(CaseState.arbitration)
    assert (await desk.case(case)).state is CaseState.overdue
    async with desk.market.db.read() as tx:
        kinds = await tx.all(
            str,
            """
            SELECT m.kind FROM messages.notice AS n JOIN messages.message AS m ON m.id = n.message_id
            WHERE n.viewer_id = %(id)s ORDER BY m.at
            """,
            id=arbiter.viewer_id,
        )
    assert kinds == ["case_for_operator_arbitration", "case_for_operator_overdue"]
    await desk.wait(CaseState.overdue)
    case = await desk.case(case)
    assert (case.state, case.refunded_amount) == (CaseState.refunded, 9900)


async def test_the_shop_wins_and_nothing_is_paid(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item)
    case = await desk.shop(await desk.open(order_id), Act.refuse, text="no")
    case = await desk.buyer(case, Act.escalate)
    with pytest.raises(model.StepRefused):
        await desk.operator(case, Act.decide_for_shop, text=" ")
    case = await desk.operator(case, Act.decide_for_shop)
    assert (case.state, case.refunded_amount) == (CaseState.rejected, 0)
    assert (await desk.order(order_id)).refunded_amount == 0
    assert [event["verdict"] for event in await desk.market.told("case.decided")] == ["shop"]
    await sound(desk)


async def test_an_exchange_keeps_its_piece_and_sells_it_under_the_cases_id(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    old = item.skus[0].sku_id
    new = await desk.add_sku(item.product_id, stock=1)
    order_id = await desk.delivered(item)
    case = await desk.open(order_id, kind=CaseKind.exchange, reason=Reason.wrong_item, exchange_sku_id=new)
    assert await desk.stock(new) == (1, 0, 0)
    case = await desk.shop(case, Act.accept)
    assert await desk.stock(new) == (0, 1, 0)
    case = await desk.shop(await desk.send_back(case), Act.approve_goods)
    assert case.state is CaseState.preparing
    assert await desk.stock(old) == (10, 0, 0)
    case = await desk.shop(case, Act.send_replacement, carrier="SF", number="SF9")
    assert await desk.stock(new) == (0, 0, 1)
    case = await desk.buyer(case, Act.confirm)
    assert (case.state, case.refunded_amount) == (CaseState.replaced, 0)
    await sound(desk)


async def test_an_exchange_that_ends_otherwise_gives_its_piece_back(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    new = await desk.add_sku(item.product_id, stock=1)
    order_id = await desk.delivered(item)
    case = await desk.open(order_id, kind=CaseKind.exchange, reason=Reason.wrong_item, exchange_sku_id=new)
    case = await desk.shop(case, Act.accept)
    case = await desk.shop(await desk.send_back(case), Act.approve_goods)
    assert await desk.wait(CaseState.preparing) == 1
    case = await desk.case(case)
    assert (case.state, case.refunded_amount) == (CaseState.refunded, 9900)
    assert await desk.stock(new) == (1, 0, 0)
    assert await desk.stock(item.skus[0].sku_id) == (10, 0, 0)
    await sound(desk)


async def test_an_exchange_without_a_piece_left_becomes_money_when_the_shop_is_silent(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    new = await desk.add_sku(item.product_id, stock=1)
    order_id = await desk.delivered(item, quantity=2)
    lines = (AskedLine(1, 1),)
    first = await desk.open(order_id, kind=CaseKind.exchange, reason=Reason.wrong_item, lines=lines, exchange_sku_id=new)
    second = await desk.open(order_id, kind=CaseKind.exchange, reason=Reason.wrong_item, lines=lines, exchange_sku_id=new)
    await desk.shop(first, Act.accept)
    with pytest.raises(model.StepRefused):
        await desk.shop(second, Act.accept)
    await desk.wait(CaseState.requested)
    second = await desk.case(second)
    assert (second.state, second.kind) == (CaseState.returning, CaseKind.return_refund)


async def test_a_repair_costs_nothing_and_ends_repaired(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item)
    case = await desk.open(order_id, kind=CaseKind.repair, reason=Reason.defective)
    case = await desk.shop(case, Act.accept)
    case = await desk.shop(await desk.send_back(case, freight=1200), Act.approve_goods)
    case = await desk.shop(case, Act.send_replacement, carrier="SF", number="SF9")
    await desk.wait(CaseState.replacing)
    case = await desk.case(case)
    assert (case.state, case.refunded_amount, case.freight_paid_amount) == (CaseState.repaired, 0, 1200)
    assert await desk.wallet(order_id) == 1200
    assert await desk.stock(item.skus[0].sku_id) == (9, 0, 1)
    await sound(desk)


async def test_before_shipping_a_withdrawal_pays_at_once_and_the_pieces_are_on_the_shelf(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.paid(item, quantity=2)
    case = await desk.open(order_id, kind=CaseKind.withdrawal, reason=Reason.changed_mind, pieces=2)
    assert (case.state, case.refunded_amount, case.statute) == (CaseState.refunded, 19800, "cn")
    assert await desk.stock(item.skus[0].sku_id) == (10, 0, 0)
    assert (await desk.order(order_id)).state == "refunded"
    await sound(desk)


async def test_a_withdrawal_needs_nobody_and_ends_with_its_days(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item, quantity=2)
    case = await desk.open(order_id, kind=CaseKind.withdrawal, reason=Reason.changed_mind)
    assert case.state is CaseState.returning
    for act in (Act.refuse, Act.counter, Act.accept):
        with pytest.raises(model.ActRefused):
            await desk.shop(case, act, text="no", kind=CaseKind.repair)
    desk.market.db.clock.advance(seconds=7 * 86400 + 1)
    with pytest.raises(model.ClaimTooLate):
        await desk.open(order_id, kind=CaseKind.withdrawal, reason=Reason.changed_mind)


async def test_what_is_called_perishable_after_it_was_sold_can_still_be_withdrawn_from(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item)
    async with desk.market.db.tx() as tx:
        change = catalog.ProductChange(category="生鲜")
        await catalog.edit_product(tx, desk.market.owner, item.product_id, change)
    case = await desk.open(order_id, kind=CaseKind.withdrawal, reason=Reason.changed_mind)
    assert case.state is CaseState.returning
    with pytest.raises(model.WithdrawalExcluded):
        await desk.open(await desk.delivered(item), kind=CaseKind.withdrawal, reason=Reason.changed_mind)


async def test_a_guarantee_makes_the_withdrawal_longer(desk: Desk) -> None:
    await desk.pledge(trust.Guarantee(kind=trust.PromiseKind.seven_days, days=30))
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item)
    desk.market.db.clock.advance(seconds=29 * 86400)
    case = await desk.open(order_id, kind=CaseKind.withdrawal, reason=Reason.changed_mind)
    assert case.state is CaseState.returning


async def test_a_small_claim_is_settled_by_the_guarantee_up_to_its_cap(desk: Desk) -> None:
    await desk.pledge(trust.Guarantee(kind=trust.PromiseKind.refund_without_return, cap_amount=15_000))
    item = await desk.market.add_item(stock=10, price=9900)
    order_id = await desk.delivered(item, quantity=3)
    first = await desk.open(order_id)
    assert (first.state, first.refunded_amount, first.is_guaranteed) == (CaseState.refunded, 9900, True)
    second = await desk.open(order_id)
    assert (second.state, second.is_guaranteed) == (CaseState.requested, False)
    small = await desk.open(order_id, amount=5000)
    assert (small.state, small.refunded_amount) == (CaseState.refunded, 5000)
    await sound(desk)


async def test_small_claims_of_a_month_are_settled_by_themselves_up_to_the_months_cap(desk: Desk) -> None:
    """500 yuan a buyer and month (trust.rule): the next claim waits for the shop, and next month there is room again."""
    await desk.pledge(trust.Guarantee(kind=trust.PromiseKind.refund_without_return, cap_amount=30_000))
    item = await desk.market.add_item(stock=10, price=30_000)
    month, buyer = desk.market.db.clock.now().month, await desk.market.buyer()
    first = await desk.open(await desk.delivered(item, buyer=buyer))
    second = await desk.open(await desk.delivered(item, buyer=buyer))
    if desk.market.db.clock.now().month == month:
        assert (first.is_guaranteed, second.is_guaranteed, second.state) == (True, False, CaseState.requested)
    small = await desk.open(await desk.delivered(item, buyer=buyer), amount=20_000)
    assert small.is_guaranteed
    await sound(desk)


async def test_the_way_back_is_paid_once_by_the_guarantee(desk: Desk) -> None:
    await desk.pledge(trust.Guarantee(kind=trust.PromiseKind.return_freight, cap_amount=1000))
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item)
    case = await desk.open(order_id, kind=CaseKind.withdrawal, reason=Reason.changed_mind)
    case = await desk.shop(await desk.send_back(case, freight=1500), Act.approve_goods)
    assert case.freight_paid_amount == 1000
    async with desk.market.db.read() as tx:
        payouts = (await trust.list_of_orders(tx, [order_id]))[order_id]
    assert [(one.kind, one.amount) for one in payouts] == [(trust.PromiseKind.return_freight, 1000)]
    await sound(desk)


async def test_decided_counterfeit_is_paid_ninefold_by_the_guarantee(desk: Desk) -> None:
    await desk.pledge(trust.Guarantee(kind=trust.PromiseKind.authentic_ninefold))
    item = await desk.market.add_item(stock=10, price=9900)
    order_id = await desk.delivered(item)
    case = await desk.shop(await desk.open(order_id, reason=Reason.counterfeit), Act.refuse, text="it is real")
    case = await desk.operator(await desk.buyer(case, Act.escalate), Act.decide_for_buyer)
    assert (case.state, case.refunded_amount, case.guarantee_amount) == (CaseState.refunded, 9900, 9 * 9900)
    await sound(desk)


async def test_each_line_has_the_pieces_it_has_and_only_those(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.paid(item, quantity=3)
    with pytest.raises(model.NotHere):
        await desk.open(order_id, kind=CaseKind.return_refund)
    await desk.send(order_id, (1, 1))
    with pytest.raises(model.PartlySent):
        await desk.open(order_id, kind=CaseKind.withdrawal, reason=Reason.changed_mind, pieces=3)
    unsent = await desk.open(order_id, kind=CaseKind.withdrawal, reason=Reason.changed_mind, pieces=2)
    assert (unsent.state, unsent.refunded_amount) == (CaseState.refunded, 19800)
    sent = await desk.open(order_id, kind=CaseKind.return_refund)
    sent = await desk.shop(await desk.send_back(await desk.shop(sent, Act.accept)), Act.approve_goods)
    assert sent.refunded_amount == 9900
    assert (await desk.order(order_id)).state == "refunded"
    assert await desk.stock(item.skus[0].sku_id) == (10, 0, 0)
    await sound(desk)


async def test_what_does_not_fit_is_refused(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item)
    refused: list[tuple[dict[str, Any], type[Refusal]]] = [
        ({"kind": CaseKind.withdrawal, "reason": Reason.damaged}, model.ClaimRefused),
        ({"lines": (AskedLine(2, 1),)}, model.ClaimRefused),
        ({"lines": (AskedLine(1, 1), AskedLine(1, 1))}, model.ClaimRefused),
        ({"pieces": 0}, model.ClaimRefused),
        ({"amount": 0}, model.ClaimRefused),
        ({"amount": 9901}, model.AmountTooHigh),
        ({"kind": CaseKind.return_refund, "amount": 1}, model.ClaimRefused),
        ({"kind": CaseKind.exchange}, model.ClaimRefused),
        ({"kind": CaseKind.exchange, "exchange_sku_id": new_id()}, model.ReplacementRefused),
        ({"exhibits": (new_id(),)}, model.ExhibitRefused),
    ]
    for options, refusal in refused:
        with pytest.raises(refusal):
            await desk.open(order_id, **options)
    async with desk.market.db.read() as tx:
        assert not await aftersales.has_open_case(tx, order_id)
    dear = await desk.add_sku(item.product_id, price=99_00 + 1)
    with pytest.raises(model.ReplacementRefused):
        await desk.open(order_id, kind=CaseKind.exchange, exchange_sku_id=dear)


async def test_strangers_see_no_case_and_nobody_acts_for_the_other_side(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item)
    case = await desk.open(order_id)
    stranger: Actor = await make_account(desk.market.db, f"stranger-{new_id().hex[-8:]}")
    for act in (Act.accept, Act.call_off, Act.say):
        with pytest.raises(NotFound):
            await desk.step(stranger, case, act, text="hello")
    with pytest.raises(NotFound):
        async with desk.market.db.tx() as tx:
            await aftersales.get_case(tx, stranger, case.id)
    with pytest.raises((model.ActRefused, NotFound, Forbidden)):
        await desk.buyer(case, Act.accept)
    with pytest.raises(model.ActRefused):
        await desk.shop(case, Act.call_off)
    with pytest.raises((model.ActRefused, NotFound)):
        await desk.shop(case, Act.decide_for_shop, text="mine")
    with pytest.raises(model.StepRefused):
        await desk.shop(case, Act.time_over)


async def test_the_log_cannot_be_changed(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item)
    await desk.open(order_id)
    for statement in ("UPDATE aftersales.entry SET text = 'x'", "DELETE FROM aftersales.entry", "TRUNCATE aftersales.entry"):
        with pytest.raises(psycopg.errors.RaiseException):
            async with desk.market.db.tx() as tx:
                await tx.run(statement)


async def test_both_sides_speak_and_a_closed_case_is_silent(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item)
    case = await desk.open(order_id)
    await desk.buyer(case, Act.say, text="here is what it looks like")
    await desk.shop(case, Act.say, text="thank you")
    await desk.operator(case, Act.say)
    case = await desk.case(case)
    assert case.state is CaseState.requested
    said = [(entry.party, entry.text) for entry in (await desk.seen(case)).entries if entry.act is Act.say]
    assert said == [
        (Party.buyer, "here is what it looks like"),
        (Party.shop, "thank you"),
        (Party.operator, "because"),
    ]
    await desk.buyer(case, Act.call_off)
    with pytest.raises(model.ActRefused):
        await desk.buyer(case, Act.say, text="one more")


async def test_many_workers_move_each_case_once(desk: Desk) -> None:
    item = await desk.market.add_item(stock=30)
    order_ids = [await desk.delivered(item) for _ in range(6)]
    for order_id in order_ids:
        await desk.open(order_id)
    desk.market.db.clock.advance(seconds=49 * 3600)
    moved = await asyncio.gather(*(aftersales.work_deadlines(desk.market.db) for _ in range(4)))
    while rest := await aftersales.work_deadlines(desk.market.db):
        moved.append(rest)
    assert sum(moved) == 6
    assert {(await desk.order(order_id)).refunded_amount for order_id in order_ids} == {9900}
    await sound(desk)


async def test_a_process_that_dies_in_the_middle_leaves_nothing_and_the_next_does_it_once(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item)
    case = await desk.open(order_id)
    desk.market.db.clock.advance(seconds=49 * 3600)
    with pytest.raises(RuntimeError):
        async with desk.market.db.tx() as tx:
            moved = await aftersales.pass_time(tx, case.id)
            assert moved is not None
            assert moved.state is CaseState.refunded
            raise RuntimeError("killed before the commit")
    assert (await desk.case(case)).state is CaseState.requested
    assert (await desk.order(order_id)).refunded_amount == 0
    assert await aftersales.work_deadlines(desk.market.db) == 1
    assert await aftersales.work_deadlines(desk.market.db) == 0
    assert (await desk.order(order_id)).refunded_amount == 9900
    assert len(await desk.market.told("order.refund_asked")) <= 1
    await sound(desk)


async def test_an_order_with_an_open_case_is_not_called_off_beside_it(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.paid(item)
    case = await desk.open(order_id, reason=Reason.late)
    with pytest.raises(delivery.CompletionPaused):
        await desk.market.cancel(desk.buyers[order_id], order_id)
    await desk.buyer(case, Act.call_off)
    await desk.market.cancel(desk.buyers[order_id], order_id)
    await sound(desk)


async def test_a_person_who_asks_for_their_data_gets_their_cases(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item)
    case = await desk.open(order_id, text="broken")
    async with desk.market.db.tx() as tx:
        exported = await aftersales.export(tx, desk.buyers[order_id].signed_in())
    [one] = msgspec.json.decode(msgspec.json.encode(exported))
    assert (one["case"]["id"], one["log"][0]["text"]) == (str(case.id), "broken")


async def test_a_case_that_fails_holds_nobody_up_and_is_tried_again(desk: Desk) -> None:
    item = await desk.market.add_item(stock=30)
    broken, whole = await desk.delivered(item), await desk.delivered(item)
    first, second = await desk.open(broken), await desk.open(whole)
    async with desk.market.db.tx() as tx:  # a book that says nothing is left, which no act of the product could write
        await tx.run('UPDATE orders."order" SET payment_id = NULL WHERE id = %(id)s', id=broken)
    await desk.wait(CaseState.requested)
    assert (await desk.case(first)).state is CaseState.requested
    assert (await desk.case(second)).state is CaseState.refunded
    payment_id = (await desk.order(broken)).payment
    assert payment_id is not None
    async with desk.market.db.tx() as tx:
        await tx.run('UPDATE orders."order" SET payment_id = %(p)s WHERE id = %(id)s', p=payment_id.id, id=broken)
    desk.market.db.clock.advance(seconds=61)
    await aftersales.work_deadlines(desk.market.db)
    assert (await desk.case(first)).state is CaseState.refunded


async def test_the_audit_sees_a_piece_that_is_claimed_twice(desk: Desk) -> None:
    item = await desk.market.add_item(stock=10)
    order_id = await desk.delivered(item)
    await desk.open(order_id)
    async with desk.market.db.tx() as tx:
        await tx.run("UPDATE aftersales.line SET quantity = 2, bought_quantity = 2")
    report = await audit.take_tallies(desk.market.db)
    assert any(finding.tally.startswith("after-sales: open cases") for finding in report.findings)
