"""Chargebacks, partial captures, second factors and refunds that fail: from the sandbox's page to the ledger."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laotie import audit, ledger, orders, payments
from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.ids import AccountId, OrderId, PaymentId, TransferId, new_id
from laotie.base.money import Money
from laotie.base.outbox import Relay
from laotie.orders import OrderState
from laotie.payments import DisputeState, PaymentState, Verdict, sandbox, sandbox_bank
from laotie.payments.hearing import take_in
from laotie.payments.model import REFUND_FAILURES_MAX
from laotie.payments.provider import Report, ReportKind
from laotie.payments.sandbox import Decline, Outcome, Trouble
from laotie.payments.sandbox_bank import DisputeReason
from laotie.worker.loops import all_reactions
from market import Market

HELD = ledger.AccountKind.shop_held


async def _begin(market: Market, *, price: int = 9900) -> tuple[Any, OrderId, PaymentId]:
    buyer = await market.buyer()
    order_id = await market.place(buyer, await market.add_item(price=price))
    return buyer, order_id, await market.start_payment(buyer, order_id)


async def _decide(market: Market, buyer: Any, payment_id: PaymentId, **wishes: Any) -> None:
    fields: dict[str, Any] = {"outcome": Outcome.approve, "trouble": Trouble.none} | wishes
    async with market.db.tx() as tx:
        await sandbox.decide(tx, market.settings, buyer.signed_in(), payment_id, **fields)


async def _dispute(market: Market, buyer: Any, payment_id: PaymentId, amount: int | None = None) -> UUID:
    id_ = new_id()
    async with market.db.tx() as tx:
        await sandbox_bank.open_dispute(
            tx, buyer.signed_in(), payment_id, id_, reason=DisputeReason.not_received, amount=amount
        )
    await market.settle()
    return id_


async def _close(market: Market, buyer: Any, dispute_id: UUID, *, won: bool) -> None:
    async with market.db.tx() as tx:
        await sandbox_bank.decide_dispute(tx, buyer.signed_in(), dispute_id, won=won)
    await market.settle()


async def _reversed_amount(market: Market, order_id: OrderId) -> int:
    async with market.db.read() as tx:
        return await tx.one(int, 'SELECT reversed_amount FROM orders."order" WHERE id = %(id)s', id=order_id)


async def _is_sound(market: Market) -> bool:
    report = await audit.take_tallies(market.db)
    assert report.sound, report.findings
    return True


async def test_a_chargeback_takes_the_money_from_the_shop_and_a_won_one_brings_it_back(market: Market) -> None:
    buyer, order_id, payment_id = await _begin(market)
    await _decide(market, buyer, payment_id)
    await market.settle()
    assert (await market.balance(HELD)).posted == 9900
    first = await _dispute(market, buyer, payment_id, 3000)
    payment = await market.payment(payment_id)
    assert (payment.state, payment.reversed_amount) == (PaymentState.captured, 3000)
    assert (await market.balance(HELD)).posted == 6900
    assert await _reversed_amount(market, order_id) == 3000
    second = await _dispute(market, buyer, payment_id)
    assert (await market.payment(payment_id)).state is PaymentState.reversed
    assert (await market.balance(HELD)).posted == 0
    assert await _is_sound(market)
    await _close(market, buyer, first, won=True)
    await _close(market, buyer, second, won=False)
    payment = await market.payment(payment_id)
    assert (payment.state, payment.reversed_amount) == (PaymentState.captured, 6900)
    assert (await market.balance(HELD)).posted == 3000
    assert await _reversed_amount(market, order_id) == 6900
    async with market.db.read() as tx:
        states = [dispute.state for dispute in await payments.list_disputes(tx)]
    assert states == [DisputeState.lost, DisputeState.won]
    assert await _is_sound(market)


async def test_a_capture_told_anew_after_a_chargeback_changes_nothing(market: Market) -> None:
    buyer, order_id, payment_id = await _begin(market)
    await _decide(market, buyer, payment_id)
    await market.settle()
    await _dispute(market, buyer, payment_id)
    captured = Report(
        event_id=str(new_id()),
        kind=ReportKind.captured,
        name="payment.captured",
        payment_id=payment_id,
        money=Money(9900, "CNY"),
    )
    async with market.db.tx() as tx:
        assert await take_in(tx, "sandbox", captured, b"") is Verdict.stale
    await market.settle()
    payment = await market.payment(payment_id)
    assert (payment.state, payment.reversed_amount) == (PaymentState.reversed, 9900)
    assert await _reversed_amount(market, order_id) == 9900
    assert await _is_sound(market)


async def test_evidence_is_heard_inside_its_window_and_silence_loses(market: Market) -> None:
    buyer, _, payment_id = await _begin(market)
    await _decide(market, buyer, payment_id)
    await market.settle()
    answered, silent = await _dispute(market, buyer, payment_id, 100), await _dispute(market, buyer, payment_id, 200)
    async with market.db.tx() as tx:
        ours = {dispute.amount: dispute for dispute in await payments.list_disputes(tx)}
        assert ours[100].evidence_until is not None
        for _ in range(2):
            await payments.answer_dispute(tx, ours[100].id, "the parcel was handed over")
        with pytest.raises(payments.DisputeClosed):
            await payments.answer_dispute(tx, ours[100].id, "something else")
    await market.settle()
    async with market.db.read() as tx:
        at_bank = await sandbox_bank.get_dispute(tx, buyer.signed_in(), answered)
    assert (at_bank.state, at_bank.evidence) == ("answered", "the parcel was handed over")
    market.db.clock.advance(seconds=sandbox_bank.EVIDENCE_S + 1)
    await market.settle()
    async with market.db.tx() as tx:
        states = {dispute.amount: dispute.state for dispute in await payments.list_disputes(tx)}
        with pytest.raises(payments.DisputeClosed):
            await payments.answer_dispute(tx, ours[200].id, "too late")
        assert (await sandbox_bank.get_dispute(tx, buyer.signed_in(), silent)).state == "lost"
    assert states == {100: DisputeState.answered, 200: DisputeState.lost}


async def test_less_than_was_asked_for_is_told_as_such_and_goes_back(market: Market) -> None:
    buyer, order_id, payment_id = await _begin(market)
    await _decide(market, buyer, payment_id, part_amount=4000)
    await market.settle()
    payment = await market.payment(payment_id)
    assert (payment.state, payment.captured_amount, payment.refunded_amount) == (PaymentState.refunded, 4000, 4000)
    assert (await market.order(buyer, order_id)).state is OrderState.placed
    assert (await market.balance(ledger.AccountKind.unallocated)).posted == 0
    assert await _is_sound(market)


async def test_money_kept_ready_is_taken_right_afterwards_even_if_the_provider_is_down_first(market: Market) -> None:
    market.settings = msgspec.structs.replace(market.settings, payment_authorise_first=True)
    buyer, order_id, payment_id = await _begin(market)
    await _decide(market, buyer, payment_id)
    await market.run_jobs()
    assert (await market.payment(payment_id)).state is PaymentState.authorised
    async with market.db.tx() as tx:
        await sandbox.break_down(tx, until=tx.now + timedelta(seconds=30))
    await market.settle()
    assert (await market.payment(payment_id)).state is PaymentState.authorised
    for _ in range(6):
        market.db.clock.advance(seconds=20)
        await market.settle()
    assert (await market.payment(payment_id)).state is PaymentState.captured
    assert (await market.order(buyer, order_id)).state is OrderState.paid
    assert await _is_sound(market)


async def test_the_second_factor_stands_between_the_buyer_and_the_money(market: Market) -> None:
    buyer, order_id, payment_id = await _begin(market)
    await _decide(market, buyer, payment_id, second_factor=True)
    await market.settle()
    assert (await market.payment(payment_id)).state is PaymentState.pending
    async with market.db.tx() as tx:
        shown = await sandbox.get_payment(tx, buyer.signed_in(), payment_id)
        assert shown.state == "challenged" and shown.code is not None
        wrong = "000000" if shown.code != "000000" else "000001"
        assert await sandbox.enter_code(tx, buyer.signed_in(), payment_id, wrong) == 2
        assert await sandbox.enter_code(tx, buyer.signed_in(), payment_id, shown.code) is None
    await market.settle()
    assert (await market.order(buyer, order_id)).state is OrderState.paid
    other, _, payment_id = await _begin(market)
    await _decide(market, other, payment_id, second_factor=True)
    async with market.db.tx() as tx:
        assert [await sandbox.enter_code(tx, other.signed_in(), payment_id, "no") for _ in range(3)] == [2, 1, 0]
    await market.settle()
    payment = await market.payment(payment_id)
    assert (payment.state, payment.failure) == (PaymentState.failed, Decline.authentication_failed)


async def test_declines_say_why_and_late_money_is_still_money(market: Market) -> None:
    buyer, order_id, first = await _begin(market)
    await _decide(market, buyer, first, outcome=Outcome.decline, reason=Decline.insufficient_funds)
    await market.settle()
    assert (await market.payment(first)).failure == "insufficient-funds"
    second = await market.start_payment(buyer, order_id)
    await _decide(market, buyer, second, delay_s=7_200)
    market.db.clock.advance(seconds=3_600)
    await market.settle()
    assert (await market.order(buyer, order_id)).state is OrderState.cancelled
    market.db.clock.advance(seconds=3_700)
    await market.settle()
    assert (await market.payment(second)).state is PaymentState.refunded
    assert await _is_sound(market)


async def test_a_refund_that_fails_is_tried_again_and_in_the_end_a_person_looks(market: Market) -> None:
    buyer, _, payment_id = await _begin(market)
    await _decide(market, buyer, payment_id, refund_failures=REFUND_FAILURES_MAX + 1, part_amount=1)
    await market.settle()
    for _ in range(REFUND_FAILURES_MAX):
        market.db.clock.advance(seconds=3_601)
        await market.settle()
    payment = await market.payment(payment_id)
    assert (payment.state, payment.refunding_amount) == (PaymentState.refunding, 1)
    async with market.db.tx() as tx:
        (owed,) = await payments.list_open_refunds(tx)
        assert (owed.state, owed.failures, owed.failure) == (payments.RefundState.failed, REFUND_FAILURES_MAX, "card-closed")
        assert await tx.one(int, "SELECT count(*) FROM payments.discrepancy") == 1
        await payments.retry_refund(tx, owed.id)
    await market.settle()
    async with market.db.tx() as tx:
        (owed,) = await payments.list_open_refunds(tx)
        await tx.run("UPDATE payments.sandbox_payment SET refund_failures = 0")
        await payments.retry_refund(tx, owed.id)
    await market.settle()
    assert (await market.payment(payment_id)).state is PaymentState.refunded
    assert (await market.balance(ledger.AccountKind.unallocated)).posted == 0


async def test_a_chargeback_is_divided_among_the_orders_of_a_purchase_to_the_last_cent(market: Market) -> None:
    owner, shop_id = await market.open_shop()
    buyer = await market.buyer()
    ask = market.ask(buyer, await market.add_item(price=1000))
    tea = await market.add_to_shelf(owner, shop_id, price=2001)
    placed = await market.place_all(buyer, msgspec.structs.replace(ask, lines=(*ask.lines, tea)))
    payment_id = await market.start_payment(buyer, placed.id)
    await market.decide(buyer, payment_id)
    await market.settle()
    first = await _dispute(market, buyer, payment_id, 100)
    parts = [await _reversed_amount(market, order_id) for order_id in placed.order_ids]
    assert sorted(parts) == [33, 67]
    assert (await market.balance(HELD)).posted == 1000 - parts[0]
    refund_id = new_id()
    async with market.db.tx() as tx:
        await orders.give_back(tx, placed.id, refund_id=refund_id, lines=[orders.Back(1, 0, 900)], reason="test")
    await market.settle()
    rest = await _dispute(market, buyer, payment_id)
    assert [await _reversed_amount(market, order_id) for order_id in placed.order_ids] == [100, 2001]
    assert (await market.payment(payment_id)).state is PaymentState.reversed
    assert await _is_sound(market)
    await _close(market, buyer, rest, won=True)
    assert [await _reversed_amount(market, order_id) for order_id in placed.order_ids] == parts
    await _close(market, buyer, first, won=True)
    assert [await _reversed_amount(market, order_id) for order_id in placed.order_ids] == [0, 0]
    assert await _is_sound(market)


async def test_a_chargeback_of_money_that_no_order_takes_leaves_only_the_rest_to_give_back(market: Market) -> None:
    buyer, order_id, payment_id = await _begin(market)
    await market.cancel(buyer, order_id)
    await _decide(market, buyer, payment_id)
    await market.run_jobs()
    dispute_id = new_id()
    async with market.db.tx() as tx:
        await sandbox_bank.open_dispute(
            tx, buyer.signed_in(), payment_id, dispute_id, reason=DisputeReason.fraudulent, amount=4000
        )
    await market.run_jobs()
    await market.settle()
    payment = await market.payment(payment_id)
    assert (payment.state, payment.refunded_amount, payment.reversed_amount) == (PaymentState.reversed, 5900, 4000)
    assert (await market.balance(ledger.AccountKind.unallocated)).posted == 0
    assert await _is_sound(market)


async def test_what_is_won_back_for_an_order_that_was_called_off_goes_to_the_buyer(market: Market) -> None:
    buyer, order_id, payment_id = await _begin(market)
    await _decide(market, buyer, payment_id)
    await market.settle()
    dispute_id = await _dispute(market, buyer, payment_id, 4000)
    for _ in range(2):
        await market.cancel(buyer, order_id)
        await market.settle()
    payment = await market.payment(payment_id)
    assert (payment.refunded_amount, payment.reversed_amount) == (5900, 4000)
    assert (await market.order(buyer, order_id)).state is OrderState.refunded
    assert await _is_sound(market)
    await _close(market, buyer, dispute_id, won=True)
    payment = await market.payment(payment_id)
    assert (payment.state, payment.refunded_amount, payment.reversed_amount) == (PaymentState.refunded, 9900, 0)
    assert (await market.balance(HELD)).posted == 0
    assert await _is_sound(market)


async def test_a_chargeback_won_of_money_that_no_order_takes_goes_back_too(market: Market) -> None:
    buyer, order_id, payment_id = await _begin(market)
    await market.cancel(buyer, order_id)
    await _decide(market, buyer, payment_id)
    await market.run_jobs()
    dispute_id = await _dispute(market, buyer, payment_id, 4000)
    await _close(market, buyer, dispute_id, won=True)
    payment = await market.payment(payment_id)
    assert (payment.state, payment.refunded_amount, payment.reversed_amount) == (PaymentState.refunded, 9900, 0)
    assert (await market.balance(ledger.AccountKind.unallocated)).posted == 0
    assert await _is_sound(market)


@pytest.mark.parametrize(
    ("granted", "takes", "won", "to_buyer"),
    [
        ((1, 4950), (9900,), (0,), 4950),  # one of two pieces came back while all of the money was away
        ((0, 2000), (9000, 900), (0, 1), 2000),  # a sum for pieces that the buyer keeps
        ((2, 9900), (6000, 3900), (1,), 3900),  # the one that was lost had given the buyer the rest
        ((1, 4950), (6000, 3900), (1,), 0),  # the one that was lost had given the buyer more
        ((1, 4950), (9900,), (), 0),
    ],
)
async def test_a_buyer_gets_what_was_granted_while_chargebacks_had_the_money_and_no_more(
    market: Market, granted: tuple[int, int], takes: tuple[int, ...], won: tuple[int, ...], to_buyer: int
) -> None:
    buyer = await market.buyer()
    order_id = await market.place(buyer, await market.add_item(price=4950), quantity=2)
    payment_id = await market.pay(buyer, order_id)
    disputes = [await _dispute(market, buyer, payment_id, amount) for amount in takes]
    async with market.db.tx() as tx:
        backs = [orders.Back(1, *granted)]
        given = await orders.give_back(tx, order_id, refund_id=new_id(), lines=backs, reason="test", as_left=True)
        await tx.run("UPDATE orders.line SET shipped_quantity = 2 WHERE order_id = %(id)s", id=order_id)
    assert given.amount == 0
    for no, dispute_id in enumerate(disputes):
        await _close(market, buyer, dispute_id, won=no in won)
    payment = await market.payment(payment_id)
    kept = sum(takes[no] for no in won) - to_buyer
    assert (payment.refunded_amount, (await market.balance(HELD)).posted) == (to_buyer, kept)
    async with market.db.tx() as tx:
        await tx.run("UPDATE orders.line SET shipped_quantity = 0 WHERE order_id = %(id)s", id=order_id)
        owed = await tx.one(int, "SELECT sum(owed_amount)::bigint FROM orders.line WHERE order_id = %(id)s", id=order_id)
    assert owed == granted[1] - to_buyer


# What follows needs no market: messages as the provider would send them, in whatever order.

AMOUNT = 1000
MESSAGES = {
    "pending": (ReportKind.pending, AMOUNT),
    "authorised": (ReportKind.authorised, AMOUNT),
    "failed": (ReportKind.failed, AMOUNT),
    "captured": (ReportKind.captured, AMOUNT),
    "reversed 1": (ReportKind.reversed, 400),
    "restored 1": (ReportKind.restored, 400),
    "reversed 2": (ReportKind.reversed, 600),
    "lost 2": (ReportKind.lost, 600),
}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(list(MESSAGES)), twice=st.sets(st.sampled_from(list(MESSAGES))), by_charge=st.booleans())
async def test_messages_in_any_order_come_to_the_same(
    db: Database, order: list[str], twice: set[str], by_charge: bool
) -> None:
    payment_id, charge = PaymentId(new_id()), f"ch_{new_id().hex}"
    async with db.tx() as tx:
        await payments.start(
            tx,
            payment_id=payment_id,
            order_id=OrderId(new_id()),
            buyer_id=AccountId(new_id()),
            money=Money(AMOUNT, "CNY"),
            provider="sandbox",
        )
        for name in [*order, *sorted(twice)]:
            kind, amount = MESSAGES[name]
            of_dispute = kind in (ReportKind.reversed, ReportKind.restored, ReportKind.lost)
            report = Report(
                event_id=f"{payment_id} {name}",
                kind=kind,
                name=name,
                payment_id=None if by_charge and of_dispute else payment_id,
                charge_ref=charge if kind is ReportKind.captured or of_dispute else None,
                money=Money(amount, "CNY"),
                dispute_ref=f"{payment_id} {name[-1]}" if of_dispute else None,
            )
            await take_in(tx, "sandbox", report, b"")
    async with db.read() as tx:
        payment = await payments.get(tx, payment_id)
        disputes = {dispute.amount: dispute for dispute in await payments.list_disputes(tx)}
        early = await tx.one(
            int,
            "SELECT count(*) FROM payments.webhook_inbox WHERE event_id LIKE %(id)s AND verdict = 'early'",
            id=f"{payment_id}%",
        )
    assert (payment.state, payment.reversed_amount, early) == (PaymentState.captured, 600, 0)
    assert (disputes[400].state, disputes[400].money) == (DisputeState.won, "returned")
    assert (disputes[600].state, disputes[600].money) == (DisputeState.lost, "taken")


async def test_a_chargeback_waits_for_a_refund_that_is_under_way(db: Database) -> None:
    payment_id = PaymentId(new_id())

    def report(kind: ReportKind, amount: int, **more: Any) -> Report:
        return Report(
            event_id=str(new_id()), kind=kind, name=kind, payment_id=payment_id, money=Money(amount, "CNY"), **more
        )

    async with db.tx() as tx:
        await payments.start(
            tx, payment_id=payment_id, order_id=OrderId(new_id()), buyer_id=AccountId(new_id()),
            money=Money(AMOUNT, "CNY"), provider="sandbox",
        )  # fmt: skip
        await take_in(tx, "sandbox", report(ReportKind.captured, AMOUNT), b"")
        refund_id = payments.RefundId(new_id())
        await payments.refund(tx, refund_id=refund_id, payment_id=payment_id, amount=300, reason="a scratch")
        assert await take_in(tx, "sandbox", report(ReportKind.reversed, 700, dispute_ref="a"), b"") is Verdict.applied
        assert await take_in(tx, "sandbox", report(ReportKind.reversed, 1, dispute_ref="b"), b"") is Verdict.early
        with pytest.raises(payments.RefundTooMuch):
            await payments.refund(
                tx, refund_id=payments.RefundId(new_id()), payment_id=payment_id, amount=1, reason="greed"
            )
        done = report(ReportKind.refunded, 300, refund_id=refund_id)
        assert await take_in(tx, "sandbox", done, b"") is Verdict.applied
        payment = await payments.get(tx, payment_id)
        assert (payment.state, payment.reversed_amount) == (PaymentState.reversed, 700)
        assert (await payments.tally(tx)).early == 0
        assert await tx.one(int, "SELECT count(*) FROM payments.discrepancy") == 1


async def test_a_chargeback_on_a_wallet_leaves_it_below_zero_and_shut_until_it_is_filled(db: Database) -> None:
    payment_id, owner_id = PaymentId(new_id()), AccountId(new_id())

    async def hear(kind: ReportKind, amount: int, *, dispute: str = "sbd_1", sound: bool = True) -> None:
        async with db.tx() as tx:
            report = Report(
                event_id=str(new_id()), kind=kind, name=kind, payment_id=payment_id, money=Money(amount, "CNY"),
                dispute_ref=dispute,
            )  # fmt: skip
            assert await take_in(tx, "sandbox", report, b"") is Verdict.applied
        await Relay(db, LocalBus(), all_reactions()).drain()
        report_ = await audit.take_tallies(db)
        assert not sound or report_.sound, report_.findings

    async with db.tx() as tx:
        await payments.start_topup(
            tx, payment_id=payment_id, buyer_id=owner_id, wallet_id=owner_id, money=Money(1000, "CNY"), provider="sandbox"
        )
    await hear(ReportKind.captured, 1000)
    await hear(ReportKind.reversed, 700)
    wallet = ledger.Account(ledger.AccountKind.wallet, "CNY", owner_id)

    async def spend(amount: int) -> None:
        """Into a packet, as the room does it."""
        escrow = ledger.Account(ledger.AccountKind.escrow, "CNY", new_id())
        async with db.tx() as tx:
            await ledger.spend(
                tx, ledger.Transfer(TransferId(new_id()), wallet, escrow, amount, "wallet.escrow", payment_id)
            )

    async with db.read() as tx:
        assert (await ledger.get_balance(tx, wallet)).posted == 300
    with pytest.raises(ledger.InsufficientFunds):
        await spend(301)
    await hear(ReportKind.restored, 700)
    await spend(900)
    await hear(ReportKind.reversed, 700, dispute="sbd_2", sound=False)
    async with db.read() as tx:
        assert (await ledger.get_balance(tx, wallet)).posted == -600
        off = [one for one in (await audit.check_books(tx)).findings if "wallet" in one.subject]
        assert off == []
    with pytest.raises(ledger.InsufficientFunds):
        await spend(1)
