"""Web push: encrypted for the device, signed by the house, sent nowhere it must not go."""

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from laotie import messages
from laotie.base import jobs
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import ViewerId, new_id
from laotie.base.post import AddressForbidden, CallFailed, Post, is_public
from laotie.base.settings import SettingRefused, Settings
from laotie.base.signer import Signer
from laotie.events.identity import SessionsEnded
from laotie.messages.devices import check_endpoint
from laotie.messages.model import is_quiet
from laotie.messages.push import PushUnfinished
from laotie.messages.reactions import sign_out
from pushes import PushService, run_jobs, viewer_with

FACTS = {"title": "海鲜夜", "streamer": "老李"}


async def tell(db: Database, *whom: ViewerId) -> str:
    """Tell these; the batch of pushes that it made."""
    async with db.tx() as tx:
        await messages.notify_many(tx, whom, "show_started", FACTS, "/shows/1")
        return str(await tx.maybe(str, "SELECT batch_id::text FROM messages.delivery ORDER BY batch_id DESC LIMIT 1"))


async def waiting(db: Database) -> int:
    async with db.read() as tx:
        return await tx.one(int, "SELECT count(*) FROM messages.delivery")


async def test_a_notice_arrives_on_every_device_and_only_they_can_read_it(
    db: Database, context: jobs.Context, service: PushService
) -> None:
    anna = await viewer_with(db, service.subscribe("anna-phone"))
    async with db.tx() as tx:
        second = service.subscribe("anna-laptop")
        await messages.add_device(tx, anna, second, session_id=None, user_agent="Chrome", private=True)
    bob = await viewer_with(db, service.subscribe("bob"))
    await tell(db, anna, bob)
    await run_jobs(context)
    assert set(service.heard) == {"/anna-phone", "/anna-laptop", "/bob"}
    (said,) = service.heard["/bob"]
    assert (said["kind"], said["facts"], said["link"]) == ("show_started", FACTS, "/shows/1")
    headers = service.headers[0]
    assert headers["content-encoding"] == "aes128gcm"
    assert (headers["ttl"], headers["urgency"], len(headers["topic"])) == ("3600", "high", 32)
    assert await waiting(db) == 0
    async with db.read() as tx:
        assert all(device.pushed_at is not None for device in await messages.list_devices(tx, anna))


async def test_what_a_service_cannot_take_now_comes_again_and_dead_devices_are_forgotten(
    db: Database, context: jobs.Context, service: PushService
) -> None:
    anna = await viewer_with(db, service.subscribe("anna"))
    gone = await viewer_with(db, service.subscribe("gone"))
    bob = await viewer_with(db, service.subscribe("bob"))
    service.answers = {"/anna": b"503 Later", "/gone": b"410 Gone"}
    batch = await tell(db, anna, gone, bob)
    with pytest.raises(PushUnfinished):
        await messages.push_batch(context, batch_id=batch)
    assert await waiting(db) == 1
    service.answers = {}
    await messages.push_batch(context, batch_id=batch)
    await messages.push_batch(context, batch_id=batch)
    assert [len(service.heard[path]) for path in ("/anna", "/bob")] == [1, 1]
    assert await waiting(db) == 0
    async with db.read() as tx:
        assert await messages.list_devices(tx, gone) == []
        assert len(await messages.list_devices(tx, anna)) == 1


async def test_redirects_are_not_followed(
    db: Database, context: jobs.Context, service: PushService
) -> None:
    anna = await viewer_with(db, service.subscribe("anna"))
    service.answers = {"/anna": b"307 Elsewhere\r\nlocation: " + service.url.encode() + b"/bob"}
    await messages.push_batch(context, batch_id=await tell(db, anna))
    assert len(service.headers) == 1
    assert await waiting(db) == 0


async def test_old_news_is_not_pushed_and_quiet_hours_keep_devices_silent_but_not_the_inbox(
    db: Database, context: jobs.Context, service: PushService, clock: Clock
) -> None:
    anna = await viewer_with(db, service.subscribe("anna"))
    batch = await tell(db, anna)
    clock.advance(seconds=3_601)
    await messages.push_batch(context, batch_id=batch)
    assert (service.heard, await waiting(db)) == ({}, 0)
    minute = db.clock.now().hour * 60 + db.clock.now().minute
    async with db.tx() as tx:
        quiet = messages.Preference(quiet_from=minute, quiet_to=(minute + 30) % 1440, time_zone="UTC")
        await messages.set_preference(tx, anna, quiet)
    await messages.push_batch(context, batch_id=await tell(db, anna))
    assert (service.heard, await waiting(db)) == ({}, 0)
    async with db.read() as tx:
        assert await messages.count_unread(tx, anna) == 2


@pytest.mark.parametrize(
    ("quiet_from", "quiet_to", "zone", "quiet"),
    [
        (22 * 60, 7 * 60, "UTC", False),
        (22 * 60, 7 * 60, "Asia/Shanghai", True),
        (12 * 60, 16 * 60, "UTC", True),
        (15 * 60, 16 * 60, "UTC", True),
        (12 * 60, 15 * 60, "UTC", False),
        (60, 60, "UTC", False),
        (None, None, "UTC", False),
    ],
)
def test_quiet_hours_are_of_the_viewers_own_place(
    quiet_from: int | None, quiet_to: int | None, zone: str, quiet: bool
) -> None:
    assert is_quiet(quiet_from, quiet_to, zone, datetime(2026, 11, 22, 15, 0, tzinfo=UTC)) is quiet


async def test_a_device_follows_who_uses_it_and_sign_outs_end_it(db: Database, service: PushService) -> None:
    device, session = service.subscribe("shared"), new_id()
    anna = await viewer_with(db, device)
    await tell(db, anna)
    bob = ViewerId(new_id())
    async with db.tx() as tx:
        await messages.add_device(tx, bob, device, session_id=session, user_agent="", private=True)
        assert await messages.list_devices(tx, anna) == []
        assert await tx.one(int, "SELECT count(*) FROM messages.delivery") == 0, "anna's news is not bob's"
        await sign_out(tx, SessionsEnded(account_id=bob, session_ids=(session,)))  # type: ignore[arg-type]
        assert await messages.list_devices(tx, bob) == []


async def test_the_eleventh_device_takes_the_place_of_the_oldest_and_keys_must_be_keys(db: Database, service: PushService) -> None:
    anna = ViewerId(new_id())
    async with db.tx() as tx:
        added = [
            await messages.add_device(
                tx, anna, service.subscribe(f"d{n}"), session_id=None, user_agent=str(n), private=True
            )
            for n in range(11)
        ]
        assert [one.id for one in await messages.list_devices(tx, anna)] == [one.id for one in reversed(added[1:])]
    good = "BTBZMqHH6r4Tts7J_aSIgg"
    for p256dh, auth in (("", ""), ("AAAA", "AAAA"), ("*" * 87, good), ("B" + "A" * 86, good)):
        device = messages.NewDevice(endpoint="https://push.example.com/x", p256dh=p256dh, auth=auth)
        async with db.tx() as tx:
            with pytest.raises(messages.DeviceRefused):
                await messages.add_device(tx, ViewerId(new_id()), device, session_id=None, user_agent="")


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://push.example.com/x",
        "ftp://push.example.com/x",
        "https://push.example.com:8443/x",
        "https://user@push.example.com/x",
        "https://push.example.com\\@10.0.0.1/x",
        "https:///x",
        "https://push.example.com/x#y",
        "https://push.example.com/ x",
        "https://push.example.com/\r\nhost: evil",
        "https://пуш.example/x",
        "https://push.example.com:99999/x",
        "https://push.example.com/" + "x" * 1_000,
        "file:///etc/passwd",
        "",
    ],
)
def test_an_endpoint_that_is_no_push_service_is_refused(endpoint: str) -> None:
    with pytest.raises(messages.DeviceRefused):
        check_endpoint(endpoint, private=False)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1",
        "64:ff9b::a00:1", "2002:a00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "ff02::1",
    ],
)  # fmt: skip
def test_an_inner_address_is_known_in_every_dress(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


async def test_a_name_that_leads_inside_is_not_called(service: PushService) -> None:
    async with Post() as post:
        for name in ("127.0.0.1", "localhost", "[::1]", "0x7f.1", "2130706433"):
            with pytest.raises((AddressForbidden, CallFailed)):
                await post.send(f"{service.url.replace('127.0.0.1', name)}/x", {}, b"x")
    assert service.headers == []


async def test_an_endpoint_that_turned_inside_is_forgotten(
    db: Database, service: PushService, signer: Signer, context: jobs.Context
) -> None:
    anna = await viewer_with(db, service.subscribe("anna"))
    batch = await tell(db, anna)
    strict = jobs.Context(db, Settings(data_dir=context.settings.data_dir), signer, context.bus)
    await messages.push_batch(strict, batch_id=batch)
    assert service.headers == []
    async with db.read() as tx:
        assert await messages.list_devices(tx, anna) == []


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    settings = Settings(data_dir=str(tmp_path / "new"))
    messages.open_vapid(settings)
    path = tmp_path / "new" / "vapid.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert messages.public_key_of(settings) == messages.public_key_of(settings)
    assert len(messages.public_key_of(settings)) == 87
    out, err = capfd.readouterr()
    secret = path.read_text().splitlines()[1]
    assert secret not in out + err


@pytest.mark.parametrize("wrong", [{"vapid_subject": "me"}, {"vapid_key": "short"}])
def test_a_key_or_subject_that_no_service_takes_is_refused_at_the_start(tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(SettingRefused):
        messages.open_vapid(Settings(data_dir=str(tmp_path), **wrong))  # type: ignore[arg-type]
