"""Messages of a provider: each takes effect once, in whatever order, and sums are never taken over."""

import asyncio
import itertools
from typing import Any

import msgspec
import pytest

from laotie import orders, payments
from laotie.base.ids import OrderId, PaymentId, new_id
from laotie.payments import MOVES, PaymentState, Verdict, signature
from market import SECRET, Market


async def _begin(market: Market, price: int = 9900) -> tuple[OrderId, PaymentId, str]:
    buyer = await market.buyer()
    order_id = await market.place(buyer, await market.add_item(price=price))
    payment_id = await market.start_payment(buyer, order_id)
    number = (await market.payment(payment_id)).provider_ref
    assert number is not None
    return order_id, payment_id, number


async def _hear(market: Market, kind: str, payment_id: PaymentId, number: str, **changes: Any) -> Verdict:
    event_id = str(changes.pop("event_id", new_id()))
    message = {"type": kind, "payment": payment_id, "number": number, "amount": 9900, "currency": "CNY"} | changes
    body = msgspec.json.encode(message)
    headers = signature.sign([SECRET.encode()], event_id, at=market.db.clock.now(), body=body)
    return await payments.hear(market.db, market.settings, provider="sandbox", headers=headers, body=body)


async def _count(market: Market, table: str) -> int:
    async with market.db.read() as tx:
        return await tx.one(int, f"SELECT count(*) FROM payments.{table}")


async def test_a_repeated_message_is_a_no_op_even_at_the_same_moment(market: Market) -> None:
    _, payment_id, number = await _begin(market)
    event_id = new_id()
    verdicts = await asyncio.gather(
        *(_hear(market, "payment.captured", payment_id, number, event_id=event_id) for _ in range(6))
    )
    assert sorted(verdicts) == [Verdict.applied, *[Verdict.repeated] * 5]
    assert len(await market.told("payment.captured")) == 1
    assert await _count(market, "webhook_inbox") == 1


@pytest.mark.parametrize(
    "order", list(itertools.permutations(["payment.processing", "payment.captured", "payment.declined"]))
)
async def test_in_whatever_order_messages_come_money_that_arrived_has_arrived(
    market: Market, order: tuple[str, ...]
) -> None:
    _, payment_id, number = await _begin(market)
    for kind in order:
        await _hear(market, kind, payment_id, number)
    assert (await market.payment(payment_id)).state is PaymentState.captured
    assert len(await market.told("payment.captured")) == 1


async def test_a_capture_may_be_heard_before_the_provider_s_answer(market: Market) -> None:
    buyer = await market.buyer()
    order_id = await market.place(buyer, await market.add_item())
    payment_id = PaymentId(new_id())
    async with market.db.tx() as tx:
        await orders.start_payment(tx, buyer, market.settings, order_id, payment_id, provider="sandbox")
    assert await _hear(market, "payment.captured", payment_id, "sbp_early") is Verdict.applied
    await payments.authorise(market.db, market.settings, payment_id)
    payment = await market.payment(payment_id)
    assert (payment.state, payment.provider_ref) == (PaymentState.captured, "sbp_early")


@pytest.mark.parametrize(
    "changes",
    [{"amount": 9901}, {"amount": 0}, {"amount": -1}, {"amount": 9899, "currency": "USD"}, {"number": "sbp_other"}],
)
async def test_a_capture_that_differs_is_written_down_and_moves_nothing(
    market: Market, changes: dict[str, Any]
) -> None:
    _, payment_id, number = await _begin(market)
    fields = {"number": number} | changes
    assert await _hear(market, "payment.captured", payment_id, **fields) is Verdict.discrepancy
    assert (await market.payment(payment_id)).state is PaymentState.pending
    assert await market.told("payment.captured") == []
    assert await _count(market, "discrepancy") == 1
    assert await _hear(market, "payment.captured", payment_id, number) is Verdict.applied


async def test_a_payment_or_refund_that_is_not_ours_is_a_discrepancy(market: Market) -> None:
    _, payment_id, number = await _begin(market)
    assert await _hear(market, "payment.captured", PaymentId(new_id()), "sbp_x") is Verdict.discrepancy
    await _hear(market, "payment.captured", payment_id, number)
    refund = {"refund": new_id()}
    assert await _hear(market, "refund.succeeded", payment_id, number, **refund) is Verdict.discrepancy
    assert (await market.payment(payment_id)).state is PaymentState.captured


@pytest.mark.parametrize(
    "body", [b'{"type":"payout.sent","more":1}', b"not json", b"[]", b'{"type":"payment.captured"}']
)
async def test_what_is_signed_and_not_understood_is_kept(market: Market, body: bytes) -> None:
    headers = signature.sign([SECRET.encode()], "event-1", at=market.db.clock.now(), body=body)
    verdict = await payments.hear(market.db, market.settings, provider="sandbox", headers=headers, body=body)
    assert verdict is Verdict.not_understood
    async with market.db.read() as tx:
        assert await tx.one(bytes, "SELECT body FROM payments.webhook_inbox") == body


async def test_a_refund_is_counted_once_and_only_as_asked(market: Market) -> None:
    _, payment_id, number = await _begin(market)
    await _hear(market, "payment.captured", payment_id, number)
    refund_id = payments.RefundId(new_id())
    async with market.db.tx() as tx:
        await payments.refund(tx, refund_id=refund_id, payment_id=payment_id, amount=900, reason="a scratch")
        await payments.refund(tx, refund_id=refund_id, payment_id=payment_id, amount=900, reason="a scratch")
    with pytest.raises(payments.RefundTooMuch):
        async with market.db.tx() as tx:
            await payments.refund(
                tx, refund_id=payments.RefundId(new_id()), payment_id=payment_id, amount=9001, reason="greed"
            )
    assert await _hear(market, "refund.succeeded", payment_id, number, refund=refund_id) is Verdict.discrepancy
    done = {"refund": refund_id, "amount": 900}
    assert await _hear(market, "refund.succeeded", payment_id, number, **done) is Verdict.applied
    assert await _hear(market, "refund.succeeded", payment_id, number, **done) is Verdict.stale
    payment = await market.payment(payment_id)
    assert (payment.state, payment.refunding_amount, payment.refunded_amount) == (PaymentState.captured, 0, 900)
    rest = payments.RefundId(new_id())
    async with market.db.tx() as tx:
        await payments.refund(tx, refund_id=rest, payment_id=payment_id, amount=9000, reason="all of it")
    assert (await market.payment(payment_id)).state is PaymentState.refunding
    await _hear(market, "refund.succeeded", payment_id, number, refund=rest, amount=9000)
    assert (await market.payment(payment_id)).state is PaymentState.refunded
    assert [event["whole"] for event in await market.told("payment.refunded")] == [False, True]


def test_no_state_leads_back_and_money_that_arrived_stays_known() -> None:
    assert set(MOVES) == set(PaymentState)
    assert all(PaymentState.created not in after for after in MOVES.values())
    assert [before for before, after in MOVES.items() if PaymentState.pending in after] == [PaymentState.created]
    after_capture = {PaymentState.captured, PaymentState.refunding, PaymentState.refunded, PaymentState.reversed}
    assert all(MOVES[state] <= after_capture for state in after_capture)
