"""A viewer's stay, from the upgrade to the goodbye, on both kinds of port."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest
from picows import WSInvalidStatusError
from room_client import Client
from scene import House, Market, OpenHouse

from laotie.base.bus import LocalBus
from laotie.base.ids import ShowId, new_id
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.gateway import Gateway, Limits
from laotie.gateway.upgrade import address_of


@pytest.mark.parametrize("own_port", [False, True])
async def test_a_viewer_enters_and_sees_the_room(house: House, own_port: bool) -> None:
    client = await house.enter(own_port=own_port)
    welcome = client.frames[0]
    assert welcome["show"]["title"] == "今晚" and welcome["show"]["state"] == "live"
    assert [item["title"] for item in welcome["cart"]] == ["Sea cucumber", "Abalone"]
    assert welcome["you"] == {
        "viewer_id": welcome["you"]["viewer_id"],
        "name": "小明",
        "guest": False,
        "staff": False,
        "follows": False,
        "muted": False,
        "muted_until": None,
        "mute_reason": "",
        "followed_at": None,
        "rights": [],
    }
    assert welcome["beat_s"] == 10
    assert await client.until("counts") == {"t": "counts", "viewers": 1, "likes": 0}


async def test_http_goes_on_beside_the_sockets(house: House) -> None:
    await house.enter()
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(house.url.replace("ws://", "http://"))
    assert answer.text == "over http"


async def test_only_this_services_pages_open_sockets(house: House) -> None:
    for path, origin, status in (
        ("/other", None, 404),
        ("/ws?ticket=abc", None, 404),
        ("/ws", "https://elsewhere.example", 403),
        ("/ws", "null", 403),
        ("/ws", "https://127.0.0.1.evil.example", 403),
    ):
        for url in (house.url, house.own_url):
            with pytest.raises(WSInvalidStatusError) as refused:
                await Client.connect(url.removesuffix("/ws") + path, **({"Origin": origin} if origin else {}))
            assert refused.value.response is not None
            assert refused.value.response.status == status, (url, path, origin)


async def test_pages_of_the_same_host_and_of_the_public_address_may(open_house: OpenHouse) -> None:
    async with open_house(public_url="https://shop.example") as house:
        own = house.url.replace("ws://", "http://").removesuffix("/ws")
        for origin in (own, "https://shop.example", "https://shop.example:443"):
            client = await Client.connect(house.url, Origin=origin)
            assert (await client.hello(house.market.ticket()))["t"] == "welcome"


@pytest.mark.parametrize("own_port", [False, True])
async def test_firefox_is_let_in(house: House, own_port: bool) -> None:
    """Firefox asks with `Connection: keep-alive, Upgrade`."""
    host, port = (house.own_url if own_port else house.url).removeprefix("ws://").removesuffix("/ws").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 101")
    writer.close()


async def test_before_the_house_is_open_sockets_are_sent_away(house: House) -> None:
    house.gateway.open = False
    with pytest.raises(WSInvalidStatusError) as refused:
        await Client.connect(house.url)
    house.gateway.open = True
    assert refused.value.response is not None and refused.value.response.status == 503


def test_a_gateway_can_be_made_before_there_is_a_database(market: Market) -> None:
    assert not Gateway(settings=Settings(), bus=LocalBus(), clock=market.db.clock).open


async def test_a_ticket_opens_one_connection_only(house: House) -> None:
    ticket = house.market.ticket()
    first = await Client.connect(house.url)
    assert (await first.hello(ticket))["t"] == "welcome"
    second = await Client.connect(house.url)
    assert (await second.hello(ticket))["code"] == "ticket-spent"
    await second.closed.wait()
    assert second.close_code == 1008
    assert not first.closed.is_set()


async def test_forged_expired_and_lost_tickets_are_refused_by_name(house: House) -> None:
    market = house.market
    forged = replace(market, signer=Signer(["another key of 32 characters!!!!!!!"], market.db.clock))
    old = market.ticket()
    nowhere = market.ticket(show_id=ShowId(new_id()))
    visit_as_ticket = market.signer.sign("visit", {"jti": str(new_id())})
    for token, code in (
        (forged.ticket(), "token-invalid"),
        ("nonsense", "token-invalid"),
        (visit_as_ticket, "token-invalid"),
        (nowhere, "not-found"),
    ):
        client = await Client.connect(house.url)
        assert (await client.hello(token))["code"] == code
        assert client.heard("refused")[0]["code"] == code
        await client.closed.wait()
    market.db.clock.advance(seconds=62)
    client = await Client.connect(house.url)
    assert (await client.hello(old))["code"] == "token-expired"


async def test_spent_tickets_are_forgotten_once_they_have_expired_anyway(house: House) -> None:
    await house.enter()
    assert len(house.gateway._spent) == 1
    house.market.db.clock.advance(seconds=120)
    house.gateway.sweep()
    assert not house.gateway._spent


async def test_who_says_no_hello_is_closed(house: House) -> None:
    client = await Client.connect(house.url)
    client.chat("early")
    assert (await client.until("refused"))["code"] == "hello-first"
    house.gateway.now = _later(house.gateway.now, 6)
    house.gateway.sweep()
    assert (await client.until("bye"))["code"] == "hello-late"
    await client.closed.wait()


async def test_a_second_hello_is_refused(house: House) -> None:
    client = await house.enter()
    client.send({"t": "hello", "ticket": house.market.ticket()})
    assert (await client.until("refused"))["code"] == "hello-twice"


async def test_who_sends_no_beat_is_closed_in_the_end(house: House) -> None:
    silent, lively = await house.enter(), await house.enter()
    house.gateway.now = _later(house.gateway.now, 40)
    lively.send({"t": "beat", "visible": True, "v": lively.state.v})
    assert await lively.until("beat") == {"t": "beat"}
    assert not silent.heard("beat")
    house.gateway.now = _later(house.gateway.now, 10)
    house.gateway.sweep()
    assert (await silent.until("bye"))["code"] == "idle"
    assert not lively.closed.is_set() and not lively.heard("bye")


def _later(now: Callable[[], float], seconds: float) -> Callable[[], float]:
    return lambda: now() + seconds


async def test_viewers_are_counted_once_however_many_sockets_they_have(house: House) -> None:
    account = house.market.owner.account_id
    first = await house.enter(account=account)
    second = await house.enter(account=account)
    guest = await house.enter(guest=True)
    await first.settle(lambda room: room.counts["viewers"] == 2)
    await second.close()
    await guest.close()
    await first.settle(lambda room: room.counts["viewers"] == 1)


async def test_one_viewer_has_a_bounded_number_of_sockets(open_house: OpenHouse) -> None:
    async with open_house(Limits(sockets_per_viewer_max=2)) as house:
        account = house.market.owner.account_id
        clients = [await house.enter(account=account) for _ in range(2)]
        third = await Client.connect(house.url)
        assert (await third.hello(house.market.ticket(account=account)))["code"] == "too-many-sockets"
        await clients[0].close()
        await house.enter(account=account)


async def test_a_full_process_sends_newcomers_away(open_house: OpenHouse) -> None:
    async with open_house(Limits(sockets_max=1)) as house:
        await house.enter()
        with pytest.raises(WSInvalidStatusError) as refused:
            await Client.connect(house.url)
        assert refused.value.response is not None and refused.value.response.status == 429


async def test_the_address_behind_trusted_proxies_counts(market: Market) -> None:
    gateway = Gateway(
        settings=Settings(trusted_proxies="10.0.0.0/8, ::1"), bus=LocalBus(), clock=market.db.clock,
        limits=Limits(sockets_per_address_max=1),
    )  # fmt: skip
    trusted = gateway.trusted
    assert address_of(("203.0.113.9", 1), ["198.51.100.7"], trusted) == "203.0.113.9"
    assert address_of(("10.0.0.1", 1), ["198.51.100.7"], trusted) == "198.51.100.7"
    assert address_of(("::1", 1, 0, 0), ["192.0.2.1, 198.51.100.7, 10.2.2.2"], trusted) == "198.51.100.7"
    assert address_of(("10.0.0.1", 1), [], trusted) == "10.0.0.1"
    assert gateway.admit("203.0.113.9")
    gateway._addresses["203.0.113.9"] += 1
    assert not gateway.admit("203.0.113.9")
    gateway._addresses["127.0.0.1"] += 5
    assert gateway.admit("127.0.0.1")


@pytest.mark.parametrize("own_port", [False, True])
async def test_everyone_is_told_why_when_the_service_stops(house: House, own_port: bool) -> None:
    client = await house.enter(own_port=own_port)
    await house.gateway.stop()
    assert client.heard("bye")[0]["code"] == "restarting"
    assert client.close_code == 1012


async def test_uvicorns_own_shutdown_closes_sockets_with_a_reason(house: House) -> None:
    client = await house.enter()
    house.server.should_exit = True
    await asyncio.wait_for(client.closed.wait(), 30)
    assert client.heard("bye")[0]["code"] == "restarting"
    await asyncio.wait_for(house.serving, 30)


async def test_signing_out_everywhere_closes_the_accounts_sockets(house: House) -> None:
    owner = house.market.owner
    client, other = await house.enter(account=owner.account_id), await house.enter()
    async with house.market.db.tx() as tx:
        from laotie.events.identity import SessionsEnded

        assert owner.account_id is not None
        tx.tell(SessionsEnded(account_id=owner.account_id, session_ids=()))
    assert (await client.until("bye"))["code"] == "rights-changed"
    await client.closed.wait()
    assert not other.closed.is_set()


async def test_the_audience_is_put_down_for_lists_and_other_processes(house: House) -> None:
    from laotie import live

    client = await house.enter()
    client.send({"t": "like", "n": 7})
    await client.settle(lambda room: room.counts["likes"] == 7)
    await house.gateway._count_audience()
    async with house.market.db.read() as tx:
        show = await live.get_show(tx, house.market.show_id)
    assert (show.viewer_count, show.like_count) == (1, 7)


async def test_the_room_hears_when_the_picture_comes_and_goes(house: House) -> None:
    from laotie import live

    picture: list[live.Playback | None] = [None]
    house.gateway.hub._playback = lambda _show: picture[0]
    client = await house.enter()
    assert client.state.show["playback"] is None
    for now in (live.Playback("/media/x/master.m3u8"), None):
        picture[0] = now
        news = b'{"channel_id":"%b","news":"live","at":"2026-01-01T00:00:00Z"}' % str(house.market.show_id).encode()
        await house.bus.publish("events.media.channel_live", news)
        wanted = {"hls": now.hls, "away_since": None} if now else None
        await client.settle(lambda room, wanted=wanted: room.show["playback"] == wanted)  # type: ignore[misc]
