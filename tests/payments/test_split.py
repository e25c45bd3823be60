"""Sellers' own accounts, money let go into them, and whose money a provider may take."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from laotie import audit, catalog, identity, orders, payments
from laotie.base.ids import PaymentId, new_id
from laotie.base.money import Money
from laotie.base.refusals import IdReused
from laotie.base.settings import Settings
from laotie.payments import PoolingOff, ReleaseState, SellerKind, SellerState, sandbox, sandbox_bank, sandbox_sellers
from market import Market


async def _apply(market: Market) -> payments.Seller:
    async with market.db.tx() as tx:
        return await payments.apply_as_seller(
            tx, market.settings, provider="sandbox", owner_id=market.shop_id, kind=SellerKind.shop, name="海边人家",
            country="CN", asked_by=market.owner.signed_in(),
        )  # fmt: skip


async def _judge(market: Market, seller: payments.Seller, state: SellerState, **wishes: Any) -> payments.Seller:
    """As on the sandbox's page; the house hears of it and asks."""
    async with market.db.tx() as tx:
        await sandbox_sellers.judge(tx, seller.id, holder_id=market.owner.signed_in(), state=state, **wishes)
    await market.settle()
    async with market.db.read() as tx:
        return await payments.get_seller(tx, seller.id)


async def _ready(market: Market, **wishes: Any) -> payments.Seller:
    seller, _ = await payments.onboard(market.db, market.settings, (await _apply(market)).id)
    return await _judge(market, seller, SellerState.ready, **wishes)


async def _release(market: Market, amount: int = 700, *, id_: UUID | None = None) -> payments.Release:
    async with market.db.tx() as tx:
        return await payments.release(
            tx, id_ or new_id(), provider="sandbox", owner_id=market.shop_id, amount=amount, currency="CNY"
        )


async def _find(market: Market, release: payments.Release) -> payments.Release:
    async with market.db.read() as tx:
        found = await payments.find_release(tx, release.id)
    assert found is not None
    return found


async def test_a_seller_s_account_is_as_ready_as_the_provider_says(market: Market) -> None:
    seller = await _apply(market)
    assert (seller.state, seller.provider_ref) == (SellerState.asked, None)
    assert (await _apply(market)).id == seller.id
    seller, url = await payments.onboard(market.db, market.settings, seller.id)
    assert (seller.state, url) == (SellerState.pending, f"/sandbox-account/{seller.id}")
    assert (await payments.onboard(market.db, market.settings, seller.id))[0] == seller
    seller = await _judge(market, seller, SellerState.ready)
    assert (seller.state, seller.reason) == (SellerState.ready, "")
    seller = await _judge(market, seller, SellerState.limited, reason="a licence is missing")
    assert (seller.state, seller.reason) == (SellerState.limited, "a licence is missing")
    seller = await _judge(market, seller, SellerState.refused, reason="no")
    with pytest.raises(payments.SellerNotOpen):
        await payments.onboard(market.db, market.settings, seller.id)


async def test_money_is_let_go_once_however_often_it_is_asked_for(market: Market) -> None:
    seller = await _ready(market)
    release = await _release(market)
    assert (await _release(market, id_=release.id)).id == release.id
    with pytest.raises(IdReused):
        await _release(market, 701, id_=release.id)
    for _ in range(4):
        await market.run_jobs()
    await payments.releases._send(market.context, str(release.id))
    assert [UUID(told["release_id"]) for told in await market.told("payment.release_done")] == [release.id]
    await market.settle()
    assert (await _find(market, release)).state is ReleaseState.done
    async with market.db.read() as tx:
        assert await sandbox_sellers.sum_balances(tx, seller.id) == [Money(700, "CNY")]
        assert await payments.list_open_releases(tx) == []
        text = await sandbox_bank.write_statement(tx, market.db.clock.now().date())
    assert f",{release.id},-7.00,0.00,CNY," in text
    statement = await audit.reconcile(market.db, "sandbox", text.encode(), name="sandbox.csv")
    assert (statement.line_count, statement.difference_count) == (1, 0)
    more = text.replace("-7.00", "-7.01").encode()
    assert (await audit.reconcile(market.db, "sandbox", more, name="more.csv")).difference_count == 1


async def test_a_release_that_is_refused_fails_and_says_why(market: Market) -> None:
    without = await _release(market)
    await market.settle()
    assert ((await _find(market, without)).state, (await _find(market, without)).reason) == (
        ReleaseState.failed, "seller-asked",
    )  # fmt: skip
    seller = await _ready(market, refusals=1)
    refused, fine = await _release(market), await _release(market, 300)
    await market.settle()
    assert ((await _find(market, refused)).state, (await _find(market, refused)).reason) == (
        ReleaseState.failed, sandbox_sellers.REFUSED,
    )  # fmt: skip
    assert (await _find(market, fine)).state is ReleaseState.done
    await _judge(market, seller, SellerState.limited, reason="a licence is missing")
    limited = await _release(market)
    await market.settle()
    assert (await _find(market, limited)).reason == "seller-limited"
    async with market.db.read() as tx:
        assert await sandbox_sellers.sum_balances(tx, seller.id) == [Money(300, "CNY")]


async def test_a_release_outlasts_an_outage_and_a_message_that_never_comes(market: Market) -> None:
    await _ready(market, delay_s=30)
    async with market.db.tx() as tx:
        await sandbox.break_down(tx, until=tx.now + timedelta(seconds=5))
    release = await _release(market)
    await market.settle()
    assert ((await _find(market, release)).state, (await _find(market, release)).attempts) == (ReleaseState.asked, 1)
    market.db.clock.advance(seconds=10)
    await market.settle()
    assert (await _find(market, release)).state is ReleaseState.sent
    market.db.clock.advance(seconds=40)
    await market.run_jobs()  # the sandbox carries it out
    async with market.db.tx() as tx:
        await tx.run("DELETE FROM procrastinate_jobs WHERE task_name = 'payments.sandbox_deliver'")
    await market.settle()
    assert (await _find(market, release)).state is ReleaseState.sent
    market.db.clock.advance(seconds=market.settings.payment_poll_after_s)
    assert await payments.poll(market.db, market.settings) == 1
    assert (await _find(market, release)).state is ReleaseState.done


# Pooling.

ALL = "sandbox,stripe,alipay,wechat"


async def test_money_of_others_goes_only_through_a_provider_that_splits(market: Market) -> None:
    buyer = await market.buyer()
    order_id = await market.place(buyer, await market.add_item())
    settings = structs.replace(market.settings, payment_providers=ALL)

    async def start(provider: str, settings: Settings) -> payments.Payment:
        async with market.db.tx() as tx:
            return await orders.start_payment(
                tx, buyer, settings, order_id, PaymentId(new_id()), provider=provider
            )

    with pytest.raises(PoolingOff) as refused:
        await start("alipay", settings)
    facts = refused.value.facts()
    assert (facts["provider"], facts["shop_ids"], facts["instead"]) == ("alipay", [market.shop_id], ["sandbox", "stripe"])
    assert "house" in facts["why"]
    for provider in ("sandbox", "stripe"):
        assert (await start(provider, settings)).provider == provider
    assert (await start("alipay", structs.replace(settings, pooling=True))).provider == "alipay"
    async with market.db.tx() as tx:
        await identity.give_role(tx, market.owner.signed_in(), identity.Role.operator)
    assert (await start("alipay", settings)).provider == "alipay"  # the house's own shop


async def test_a_shop_can_be_marked_as_the_house_s_own_by_operators(market: Market) -> None:
    operator = structs.replace(await market.buyer(), roles=frozenset({identity.Role.operator}))
    async with market.db.tx() as tx:
        assert await catalog.find_own_shops(tx, [market.shop_id]) == set()
        await catalog.mark_own_shop(tx, operator, market.shop_id, own=True)
        await catalog.mark_own_shop(tx, operator, market.shop_id, own=True)
        assert await catalog.find_own_shops(tx, [market.shop_id]) == set(await catalog.list_own_shops(tx))
        log = await identity.list_audit_entries(tx, operator, subject=str(market.shop_id), limit=10)
        assert [one.act for one in log] == ["shop.marked_own"]


def test_each_provider_says_whether_it_splits(market: Market) -> None:
    channels = {
        one.provider: one for one in payments.list_channels(market.db, structs.replace(market.settings, payment_providers=ALL))
    }
    assert {name for name, one in channels.items() if one.splits} == {"sandbox", "stripe"}
    assert channels["sandbox"].problem is None and "alipay_app_id" in (channels["alipay"].problem or "")
    assert payments.list_usable(market.db, market.settings, currency="CNY", others=True) == payments.list_methods(
        market.db, market.settings, currency="CNY"
    )
    assert sandbox.Sandbox.can == set(payments.Capability)


# What nobody told.


async def _lose_messages(market: Market) -> None:
    async with market.db.tx() as tx:
        assert await tx.run("DELETE FROM procrastinate_jobs WHERE task_name = 'payments.sandbox_deliver'")


async def test_an_order_whose_message_is_lost_for_good_is_paid_all_the_same(market: Market) -> None:
    buyer = await market.buyer()
    order_id = await market.place(buyer, await market.add_item())
    payment_id = await market.start_payment(buyer, order_id)
    await market.decide(buyer, payment_id)
    await _lose_messages(market)
    await market.settle()
    assert (await market.payment(payment_id)).state is payments.PaymentState.pending
    assert await payments.poll(market.db, market.settings) == 0
    market.db.clock.advance(seconds=market.settings.payment_poll_after_s)
    assert await payments.poll(market.db, market.settings) == 1
    await market.settle()
    assert (await market.order(buyer, order_id)).state is orders.OrderState.paid
    await market.cancel(buyer, order_id)
    await market.run_jobs()
    await _lose_messages(market)
    market.db.clock.advance(seconds=market.settings.payment_poll_after_s)
    assert await payments.poll(market.db, market.settings) == 1
    await market.settle()
    assert (await market.payment(payment_id)).state is payments.PaymentState.refunded


async def test_what_nobody_answers_is_asked_ever_less_often_and_not_for_ever(market: Market) -> None:
    buyer = await market.buyer()
    payment_id = await market.start_payment(buyer, await market.place(buyer, await market.add_item()))
    pauses: list[int] = []
    while (wait := await _until_next(market, payment_id)) is not None:
        market.db.clock.advance(seconds=wait)
        assert await payments.poll(market.db, market.settings) == 1
        pauses.append(round(wait / 60))
    assert pauses[:5] == [2, 4, 8, 16, 32]
    assert (len(pauses), pauses[-1]) == (payments.polling.PAYMENT_POLLS_MAX, 360)


async def _until_next(market: Market, payment_id: PaymentId) -> float | None:
    """Seconds until the payment is asked after again; `None`: never."""
    async with market.db.read() as tx:
        [[at]] = await tx.tuples("SELECT poll_at FROM payments.payment WHERE id = %(id)s", id=payment_id)
        return None if at is None else float((at - tx.now).total_seconds())
