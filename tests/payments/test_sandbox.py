"""The sandbox provider and the calls to it: down and up again, slow, lost, restarted; money goes back in the end."""

from dataclasses import replace
from datetime import timedelta

import pytest
from msgspec import structs

from laotie import payments
from laotie.base import jobs
from laotie.base.db import Database
from laotie.base.ids import PaymentId, new_id
from laotie.base.money import Money
from laotie.base.refusals import IdReused, NotFound
from laotie.orders import OrderState
from laotie.payments import PaymentState, sandbox
from laotie.payments.model import CALL_ATTEMPTS_MAX, CannotDo, ProviderDown, ReleaseId
from laotie.payments.provider import Charge, Handover, Unable
from laotie.payments.sandbox import DELIVERIES_MAX, Outcome, Trouble
from market import Market


async def _down(market: Market, seconds: float) -> None:
    async with market.db.tx() as tx:
        await sandbox.break_down(tx, until=tx.now + timedelta(seconds=seconds))


async def _advance(market: Market, seconds: float, *, step: float) -> None:
    passed = 0.0
    while passed < seconds:
        market.db.clock.advance(seconds=step)
        passed += step
        await market.settle()


def _nobody_home(market: Market) -> jobs.Context:
    return replace(market.context, settings=structs.replace(market.settings, port=9))


async def test_a_provider_that_is_down_is_asked_again(market: Market) -> None:
    buyer = await market.buyer()
    order_id = await market.place(buyer, await market.add_item())
    await _down(market, 20)
    payment_id = await market.start_payment(buyer, order_id)
    payment = await market.payment(payment_id)
    assert (payment.state, payment.next_url) == (PaymentState.created, None)
    await _advance(market, 60, step=5)
    payment = await market.payment(payment_id)
    assert (payment.state, payment.next_url) == (PaymentState.pending, f"/sandbox-pay/{payment_id}")


async def test_a_provider_that_stays_down_fails_the_payment_not_the_order(market: Market) -> None:
    buyer = await market.buyer()
    order_id = await market.place(buyer, await market.add_item())
    await _down(market, 10**6)
    payment_id = await market.start_payment(buyer, order_id)
    for _ in range(CALL_ATTEMPTS_MAX):
        market.db.clock.advance(seconds=600)
        await market.run_jobs()
    payment = await market.payment(payment_id)
    assert (payment.state, payment.failure) == (PaymentState.failed, "provider-down")
    assert len(await market.told("payment.failed")) == 1


async def test_a_refund_outlasts_any_outage(market: Market) -> None:
    buyer = await market.buyer()
    order_id = await market.place(buyer, await market.add_item())
    payment_id = await market.start_payment(buyer, order_id)
    await market.cancel(buyer, order_id)
    await market.decide(buyer, payment_id)
    await market.run_jobs()
    await _down(market, 40_000)
    await market.settle()
    assert (await market.payment(payment_id)).state is PaymentState.refunding
    await _advance(market, 45_000, step=3_600)
    assert (await market.payment(payment_id)).state is PaymentState.refunded
    assert (await market.order(buyer, order_id)).state is OrderState.cancelled


async def test_messages_that_find_nobody_home_come_again(market: Market) -> None:
    buyer = await market.buyer()
    order_id = await market.place(buyer, await market.add_item())
    payment_id = await market.start_payment(buyer, order_id)
    home = market.context
    market.context = _nobody_home(market)
    await market.decide(buyer, payment_id)
    await _advance(market, 40, step=10)
    assert (await market.payment(payment_id)).state is PaymentState.pending
    market.context = home
    await _advance(market, 60, step=20)
    assert (await market.order(buyer, order_id)).state is OrderState.paid


async def test_messages_nobody_ever_takes_are_given_up(market: Market) -> None:
    buyer = await market.buyer()
    payment_id = await market.start_payment(buyer, await market.place(buyer, await market.add_item()))
    market.context = _nobody_home(market)
    await market.decide(buyer, payment_id, Outcome.decline)
    for _ in range(DELIVERIES_MAX):
        market.db.clock.advance(seconds=3_601)
        await market.run_jobs()
    async with market.db.read() as tx:
        assert await tx.one(int, "SELECT count(*) FROM payments.sandbox_event WHERE given_up_at IS NOT NULL") == 1
        assert await tx.one(int, "SELECT count(*) FROM procrastinate_jobs WHERE task_name LIKE '%%deliver'") == 0


async def test_the_page_is_its_customer_s_alone_and_decides_once(market: Market) -> None:
    buyer, other = await market.buyer(), await market.buyer()
    payment_id = await market.start_payment(buyer, await market.place(buyer, await market.add_item()))
    with pytest.raises(NotFound):
        await market.decide(other, payment_id)
    await market.decide(buyer, payment_id)
    await market.decide(buyer, payment_id)
    with pytest.raises(sandbox.AlreadyDecided):
        await market.decide(buyer, payment_id, Outcome.decline)
    async with market.db.read() as tx:
        assert await tx.one(int, "SELECT count(*) FROM payments.sandbox_event") == 2


async def test_the_same_request_is_answered_alike_and_another_under_its_id_refused(market: Market) -> None:
    provider = payments.open_provider("sandbox", db=market.db, settings=market.settings)
    buyer = await market.buyer()
    order_id = await market.place(buyer, await market.add_item())

    def charge(amount: int) -> Charge:
        return Charge(
            payment_id=payment_id,
            order_id=order_id,
            buyer_id=buyer.signed_in(),
            money=Money(amount, "CNY"),
            return_url="/",
        )

    payment_id = PaymentId(new_id())
    assert await provider.authorise(charge(5)) == await provider.authorise(charge(5))
    with pytest.raises(IdReused):
        await provider.authorise(charge(6))
    await _down(market, 5)
    with pytest.raises(ProviderDown):
        await provider.authorise(charge(5))


async def test_everything_survives_a_restart(market: Market, database_url: str) -> None:
    buyer = await market.buyer()
    order_id = await market.place(buyer, await market.add_item())
    payment_id = await market.start_payment(buyer, order_id)
    await market.decide(buyer, payment_id, trouble=Trouble.delay)
    await market.db.close()
    market.db.__dict__.update((await Database.open(database_url, clock=market.db.clock)).__dict__)
    await _advance(market, 8, step=4)
    assert (await market.order(buyer, order_id)).state is OrderState.paid


async def test_what_an_adapter_cannot_do_it_refuses(market: Market) -> None:
    provider = payments.open_provider("sandbox", db=market.db, settings=market.settings)
    assert {one.value for one in provider.can} == {
        "authorise", "capture", "partial_capture", "refund", "partial_refund", "dispute", "onboard", "split", "release",
        "look_up",
    }  # fmt: skip
    handover = Handover(release_id=ReleaseId(new_id()), seller_ref="x", money=Money(1, "CNY"))
    unable = Unable()
    for call in (
        unable.release(handover),
        unable.find_release(handover),
        unable.find_seller("x"),
        unable.link("x", return_url="/"),
        unable.find_payment(PaymentId(new_id()), "x"),
    ):
        with pytest.raises(CannotDo):
            await call
    with pytest.raises(payments.NoSuchProvider):
        payments.open_provider("gold", db=market.db, settings=market.settings)
