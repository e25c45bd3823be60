"""Messages: signed, sent again, spread over time, the same id however often, and nobody waits for somebody else's trouble."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from standardwebhooks import Webhook

from laotie import messages, webhooks
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import AccountId, ProductId, SkuId, ViewerId, new_id
from laotie.base.signer import Signer
from laotie.events.catalog import StockChanged
from laotie.events.settlement import PayoutSent
from laotie.payments import signature
from laotie.webhooks.model import DELAYS_S, TRIES_MAX, Call, DeliveryState, delivery_id, judge, key_of, rest_of
from laotie.webhooks.sending import QUICK_AT_ONCE, Sender, read_retry_after
from receivers import HookedShop, hook_up, is_signed

T = datetime(2026, 11, 20, 12, tzinfo=UTC)


def call(status: int | None, *, retry_after_s: int | None = None) -> Call:
    return Call(T, 5, status, None if status else "timeout", "", retry_after_s)


def test_the_published_vector_of_the_specification_comes_out() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    at = datetime.fromtimestamp(1614265330, UTC)
    made = signature.sign([key_of(secret)], "msg_p5jXN8AQM9LWM0D4loKWxJek", at=at, body=b'{"test": 2432232314}')
    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_what_happens_reaches_the_endpoint_and_the_librarys_check_takes_it(shop: HookedShop) -> None:
    endpoint_id, secret = await shop.endpoint("/hook", "order.refunded", "order.paid")
    (order_id,) = await shop.tell()
    await shop.send()
    (heard,) = shop.receiver.heard
    said = Webhook(secret).verify(heard.body, heard.headers)
    assert set(said) == {"type", "timestamp", "data"} and said["type"] == "order.refunded"
    assert (said["data"]["order_id"], said["data"]["amount"]) == (str(order_id), 9900)
    assert heard.headers["content-type"] == "application/json" and heard.headers["user-agent"].startswith("Laotie/")
    (delivery,) = await shop.deliveries()
    assert (str(delivery.id), delivery.state, delivery.status, delivery.attempts) == (heard.id, "delivered", 200, 1)
    assert delivery.id == delivery_id(delivery.event_id, endpoint_id)
    await shop.send()
    assert len(shop.receiver.heard) == 1
    assert (await shop.find(endpoint_id)).delivered_at is not None


async def test_only_what_was_asked_for_and_only_of_ones_own_shop_is_told(
    shop: HookedShop, db: Database
) -> None:
    await shop.endpoint("/all", "order.refunded", "catalog.stock_changed")
    await shop.endpoint("/stock", "catalog.stock_changed")
    stranger = await hook_up(db, shop.signer, shop.receiver)
    await stranger.tell(2)
    await shop.tell(1)
    sku, product = SkuId(new_id()), ProductId(new_id())
    async with db.tx() as tx:
        for left in (5, 4, 3):
            tx.tell(StockChanged(sku_id=sku, product_id=product, shop_id=shop.shop_id, available=left))
        payout = PayoutSent(
            payout_id=new_id(), batch_id=new_id(), shop_id=None, streamer_id=AccountId(new_id()), amount=1, currency="CNY",
            sent_at=tx.now,
        )  # fmt: skip
        tx.tell(payout)
    await shop.relay.drain()
    await shop.send()
    assert [one.said["type"] for one in shop.receiver.on("/all")] == ["order.refunded", "catalog.stock_changed"]
    (level,) = shop.receiver.on("/stock")
    assert level.said["data"]["available"] == 3, "of absolute figures told together the newest counts"


async def test_what_fails_comes_again_later_and_later_and_is_given_up_in_the_end(shop: HookedShop, clock: Clock) -> None:
    shop.receiver.answers["/hook"] = b"500 Broken\r\ncontent-length: 9\r\n\r\nno\x00 \xe4\xbd\xa0\xff!"
    _, secret = await shop.endpoint()
    await shop.tell()
    pauses = []
    for number in range(1, TRIES_MAX + 1):
        await shop.send()
        assert len(shop.receiver.heard) == number
        (delivery,) = await shop.deliveries()
        assert delivery.attempts == number
        if delivery.due_at is not None:
            before = clock.now()
            pauses.append((delivery.due_at - before).total_seconds())
            short = min(pauses[-1] / 2, 30)  # more than a slow machine takes
            clock.advance(seconds=pauses[-1] - short)
            await shop.send()
            assert len(shop.receiver.heard) == number, "not earlier"
            clock.advance(seconds=short + 1)
    (delivery,) = await shop.deliveries()
    assert delivery.state is DeliveryState.given_up
    assert all(wanted - 1 <= pause <= wanted * 1.2 for wanted, pause in zip(DELAYS_S, pauses, strict=True))
    assert len({one.id for one in shop.receiver.heard}) == 1 and len({one.body for one in shop.receiver.heard}) == 1
    assert len({one.headers["webhook-timestamp"] for one in shop.receiver.heard}) == TRIES_MAX
    assert all(is_signed(one, secret) for one in shop.receiver.heard)
    async with shop.db.read() as tx:
        exchange = await webhooks.get_delivery(tx, shop.owner, delivery.id)
    assert [one.no for one in exchange.attempts] == list(range(TRIES_MAX, 0, -1))
    assert exchange.attempts[0].answer == "no 你\ufffd!"
    assert await shop.tally() == msgspec.structs.replace(
        await shop.tally(), messages=1, deliveries=1, waiting=0, given_up=1, lost=[], attempts_off=[], overdue=[]
    )


def test_the_schedule_honours_what_an_answer_asks_for() -> None:
    assert judge(call(204), tries=3, now=T, luck=0.5) == (DeliveryState.delivered, None)
    assert judge(call(500), tries=1, now=T, luck=0) == (DeliveryState.waiting, T + timedelta(seconds=5))
    assert judge(call(500), tries=2, now=T, luck=1) == (DeliveryState.waiting, T + timedelta(seconds=360))
    assert judge(call(429, retry_after_s=900), tries=1, now=T, luck=0).due_at == T + timedelta(seconds=900)
    assert judge(call(301), tries=1, now=T, luck=0).state is DeliveryState.waiting
    assert judge(call(410), tries=1, now=T, luck=0) == (DeliveryState.given_up, None)
    assert judge(call(None), tries=TRIES_MAX, now=T, luck=0) == (DeliveryState.given_up, None)
    assert rest_of([call(500)], failures=9, now=T) is None
    assert rest_of([call(None)], failures=1, now=T) == T + timedelta(seconds=5)
    assert rest_of([call(503)], failures=99, now=T) == T + timedelta(seconds=300)
    assert rest_of([call(200), call(503)], failures=0, now=T) is None
    assert rest_of([call(429, retry_after_s=40)], failures=1, now=T) == T + timedelta(seconds=40)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("120", 120), ("0", 0), ("99999999", 86_400), ("Fri, 20 Nov 2026 12:01:00 GMT", 60), ("-5", None),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0), ("soon", None), (None, None), ("", None), ("Fri, 20 Nov 2026 12:01:00", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_in_both_its_forms(said: str | None, seconds: int | None) -> None:
    assert read_retry_after(said, now=T) == seconds


async def test_an_endpoint_that_asks_for_quiet_is_left_alone_as_long(shop: HookedShop, clock: Clock) -> None:
    shop.receiver.answers["/hook"] = b"429 Slow down\r\nretry-after: 60"
    endpoint_id, _ = await shop.endpoint()
    await shop.tell(40)
    await shop.send()
    called = len(shop.receiver.heard)
    assert called <= QUICK_AT_ONCE, "it says no, so the others wait"
    assert (await shop.find(endpoint_id)).resting_until is not None
    del shop.receiver.answers["/hook"]
    clock.advance(seconds=55)
    await shop.send()
    assert len(shop.receiver.heard) == called
    clock.advance(seconds=20)
    await shop.send()
    assert {one.id for one in shop.receiver.heard[called:]} == {str(one.id) for one in await shop.deliveries()}
    assert (await shop.find(endpoint_id)).failing_since is None


async def test_redirects_are_failures_and_nobody_goes_where_they_lead(shop: HookedShop) -> None:
    shop.receiver.answers["/hook"] = b"307 Elsewhere\r\nlocation: " + shop.receiver.url.encode() + b"/other"
    await shop.endpoint()
    await shop.tell()
    await shop.send()
    assert [one.path for one in shop.receiver.heard] == ["/hook"]
    assert (await shop.deliveries())[0].state == "waiting"


async def test_gone_switches_the_endpoint_off_and_the_shop_is_told(shop: HookedShop) -> None:
    shop.receiver.answers["/hook"] = b"410 Gone"
    endpoint_id, _ = await shop.endpoint()
    await shop.tell(1)
    await shop.send()
    endpoint = await shop.find(endpoint_id)
    assert (endpoint.state, endpoint.disabled_for) == ("disabled", "gone")
    assert (await shop.deliveries())[0].state == "given_up"
    await shop.tell(3)
    assert len(await shop.deliveries()) == 1, "nothing is written for it any more"
    assert shop.owner.account_id is not None
    async with shop.db.read() as tx:
        page = await messages.list_notices(tx, ViewerId(shop.owner.account_id), after=None, limit=10)
    assert [(one.kind, one.facts["reason"], one.link) for one in page.items] == [
        ("webhook_disabled", "gone", "/console/webhooks")
    ]


async def test_an_endpoint_that_takes_nothing_for_days_is_switched_off_and_goes_on_when_resumed(
    shop: HookedShop, clock: Clock
) -> None:
    shop.receiver.answers["/hook"] = b"404 Not here"
    endpoint_id, _ = await shop.endpoint()
    for _ in range(6):
        await shop.tell()
        await shop.send()
        clock.advance(seconds=86_400)
    assert (await shop.find(endpoint_id)).disabled_for == "failing"
    waiting = {one.id for one in await shop.deliveries(state=DeliveryState.waiting)}
    del shop.receiver.answers["/hook"]
    await shop.send()
    before = len(shop.receiver.heard)
    async with shop.db.tx() as tx:
        change = webhooks.Change(state=webhooks.EndpointState.active)
        await webhooks.change_endpoint(tx, shop.owner, endpoint_id, change, private=True)
    await shop.send()
    assert {one.id for one in shop.receiver.heard[before:]} == {str(one) for one in waiting}


async def test_while_paused_everything_is_kept_and_sent_afterwards_in_order(shop: HookedShop) -> None:
    endpoint_id, _ = await shop.endpoint()

    async def become(state: webhooks.EndpointState) -> None:
        async with shop.db.tx() as tx:
            await webhooks.change_endpoint(tx, shop.owner, endpoint_id, webhooks.Change(state=state), private=True)

    await become(webhooks.EndpointState.paused)
    order_ids = await shop.tell(3)
    await shop.send()
    assert shop.receiver.heard == []
    await become(webhooks.EndpointState.active)
    await shop.send()
    assert {one.said["data"]["order_id"] for one in shop.receiver.heard} == {str(one) for one in order_ids}
    async with shop.db.read() as tx:
        begun = await tx.all(
            UUID,
            """
            SELECT subject_id FROM webhooks.attempt JOIN webhooks.delivery ON delivery.id = delivery_id
            JOIN webhooks.message USING (event_id) ORDER BY attempt.at
            """,
        )
    assert begun == order_ids


async def test_after_a_rotation_both_secrets_sign_for_a_day_and_then_the_new_one_alone(
    shop: HookedShop, clock: Clock
) -> None:
    endpoint_id, old = await shop.endpoint()
    async with shop.db.tx() as tx:
        new, until = await webhooks.rotate_secret(tx, shop.owner, endpoint_id, signer=shop.signer)
    assert until == tx.now + timedelta(hours=24) and new != old
    await shop.tell()
    await shop.send()
    clock.advance(seconds=24 * 3600 + 1)
    await shop.tell()
    await shop.send()
    during, after = shop.receiver.heard
    assert during.headers["webhook-signature"].count("v1,") == 2
    assert is_signed(during, old) and is_signed(during, new)
    assert is_signed(after, new) and not is_signed(after, old)
    stored = await _stored_secrets(shop)
    assert not any(secret.encode() in stored or key_of(secret) in stored for secret in (old, new))


async def _stored_secrets(shop: HookedShop) -> bytes:
    async with shop.db.read() as tx:
        return await tx.one(bytes, "SELECT secret || coalesce(old_secret, ''::bytea) FROM webhooks.endpoint")


async def test_sent_again_it_has_the_same_id_and_content(shop: HookedShop, clock: Clock) -> None:
    endpoint_id, _ = await shop.endpoint()
    await shop.tell()
    await shop.send()
    (delivery,) = await shop.deliveries()
    clock.advance(seconds=3_600)
    async with shop.db.tx() as tx:
        assert (await webhooks.replay(tx, shop.owner, delivery.id)).state == "waiting"
    await shop.send()
    first, second = shop.receiver.heard
    assert (first.id, first.body) == (second.id, second.body)
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert (await shop.deliveries())[0].attempts == 2
    assert (await shop.tally()).attempts_off == []
    async with shop.db.tx() as tx:
        assert await webhooks.replay_failed(tx, shop.owner, endpoint_id, since=delivery.at) == 0


async def test_all_that_was_given_up_since_is_sent_again_with_all_its_tries(shop: HookedShop, clock: Clock) -> None:
    shop.receiver.answers["/hook"] = b"500 Broken"
    endpoint_id, _ = await shop.endpoint()
    await shop.tell(2)
    clock.advance(seconds=60)
    since = clock.now()
    await shop.tell(3)
    for _ in range(TRIES_MAX):
        await shop.send()
        clock.advance(seconds=86_400 * 1.2 / 3)
        async with shop.db.tx() as tx:  # several days of failing are another test
            await tx.run("UPDATE webhooks.endpoint SET failing_since = %(now)s WHERE failures > 0", now=tx.now)
            await tx.run("UPDATE webhooks.delivery SET due_at = %(now)s WHERE state = 'waiting'", now=tx.now)
    assert len(await shop.deliveries(state=DeliveryState.given_up)) == 5
    shop.receiver.answers.clear()
    async with shop.db.tx() as tx:
        assert await webhooks.replay_failed(tx, shop.owner, endpoint_id, since=since) == 3
    await shop.send()
    assert [len(await shop.deliveries(state=state)) for state in (DeliveryState.delivered, DeliveryState.given_up)] == [3, 2]


async def test_a_slow_endpoint_delays_no_other_and_is_called_so_many_times_at_once_at_most(
    shop: HookedShop, db: Database, signer: Signer
) -> None:
    gate = shop.receiver.gates["/slow"] = asyncio.Event()
    await shop.endpoint("/slow")
    quick = await hook_up(db, signer, shop.receiver)
    await quick.endpoint("/quick")
    await shop.tell(100)
    running = asyncio.create_task(shop.sender.run())
    second = shop.new_sender()
    other = asyncio.create_task(second.run())
    await shop.receiver.until(QUICK_AT_ONCE, "/slow")
    await quick.tell(50)
    await shop.receiver.until(50, "/quick")
    assert shop.receiver.at_once_max["/slow"] == QUICK_AT_ONCE, "both senders together"
    gate.set()
    await shop.receiver.until(100, "/slow")
    for task in (running, other):
        task.cancel()
    await asyncio.gather(running, other, return_exceptions=True)
    assert shop.receiver.at_once_max["/slow"] <= QUICK_AT_ONCE
    assert len({one.id for one in shop.receiver.heard}) == len(shop.receiver.heard) == 150, "each once"


async def test_what_a_sender_that_died_had_begun_is_sent_by_the_next_when_its_lease_is_over(
    shop: HookedShop, clock: Clock, db: Database, signer: Signer
) -> None:
    gate = shop.receiver.gates["/hook"] = asyncio.Event()
    await shop.endpoint()
    await shop.tell(20)
    dead = Sender(db, shop.settings, signer)
    assert await dead.begin() == 1
    await shop.receiver.until(QUICK_AT_ONCE, "/hook")
    assert await shop.sender.begin() == 0, "the lease holds"
    clock.advance(seconds=10)
    gate.set()
    await shop.send()
    ids = [one.id for one in shop.receiver.heard]
    assert len(set(ids)) == 20 and len(ids) >= 20
    await dead.stop()


async def test_stopping_writes_down_what_was_on_its_way_and_the_next_sender_goes_on_at_once(shop: HookedShop) -> None:
    gate = shop.receiver.gates["/hook"] = asyncio.Event()
    await shop.endpoint()
    await shop.tell(30)
    running = asyncio.create_task(shop.sender.run())
    await shop.receiver.until(QUICK_AT_ONCE, "/hook")
    running.cancel()
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(running, return_exceptions=True)
    await (following := shop.new_sender()).drain()
    await following.stop()
    assert len({one.id for one in shop.receiver.heard}) == len(shop.receiver.heard) == 30
    assert [one.attempts for one in await shop.deliveries()] == [1] * 30


async def test_a_lost_message_and_an_overdue_one_are_found_by_the_tally(shop: HookedShop, clock: Clock) -> None:
    await shop.endpoint()
    await shop.tell(3)
    sound = await shop.tally()
    assert (sound.messages, sound.deliveries, sound.lost, sound.overdue) == (3, 3, [], [])
    lost, faked, _ = await shop.deliveries()
    async with shop.db.tx() as tx:
        await tx.run("DELETE FROM webhooks.delivery WHERE id = %(id)s", id=lost.id)
        await tx.run(
            "UPDATE webhooks.delivery SET state = 'delivered', due_at = NULL, ended_at = %(now)s WHERE id = %(id)s",
            id=faked.id,
            now=tx.now,
        )
    clock.advance(seconds=700)
    off = await shop.tally()
    assert (off.lost, off.attempts_off, len(off.overdue)) == ([lost.event_id], [faked.id], 1)


async def test_what_is_old_is_forgotten_and_a_removed_endpoint_leaves_nothing(shop: HookedShop, clock: Clock) -> None:
    first, _ = await shop.endpoint("/a")
    second, _ = await shop.endpoint("/b")
    await shop.tell(2)
    await shop.send()
    async with shop.db.tx() as tx:
        await webhooks.remove_endpoint(tx, shop.owner, first)
        row = await tx.tuples("SELECT url, secret, old_secret FROM webhooks.endpoint WHERE state = 'removed'")
        assert row == [("", b"", None)]
    assert {one.endpoint_id for one in await shop.deliveries()} == {second}
    async with shop.db.tx() as tx:
        assert await webhooks.sweep(tx) == 2
    tally = await shop.tally()
    assert (tally.messages, tally.deliveries, tally.lost) == (2, 2, [])
    clock.advance(seconds=31 * 86_400)
    async with shop.db.tx() as tx:
        assert await webhooks.sweep(tx) == 2
        assert await tx.one(int, "SELECT count(*) FROM webhooks.message") == 0
        assert await tx.one(int, "SELECT count(*) FROM webhooks.attempt") == 0
        assert await tx.one(int, "SELECT count(*) FROM webhooks.endpoint") == 1


async def test_an_endpoint_that_lets_too_much_pile_up_is_switched_off(
    shop: HookedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("laotie.webhooks.deliveries.WAITING_MAX", 4)
    endpoint_id, _ = await shop.endpoint()
    await shop.tell(4)
    async with shop.db.tx() as tx:
        await webhooks.sweep(tx)
    assert (await shop.find(endpoint_id)).state == "active"
    await shop.tell(1)
    async with shop.db.tx() as tx:
        await webhooks.sweep(tx)
    assert (await shop.find(endpoint_id)).disabled_for == "overflow"
