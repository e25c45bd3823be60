"""Order in the room as its sockets feel it: rules, mutes, kicks, bans, review, deletion; over several gateways."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from room_client import Client
from scene import House, OpenHouse, make_account

from laotie import fans, live, words
from laotie.base.bus import LocalBus
from laotie.base.ids import AccountId, ViewerId, new_id
from laotie.base.refusals import Unavailable
from laotie.gateway import Limits
from laotie.gateway.sayings import SAID_PER_WRITE_MAX, SayingStore
from laotie.live import ChatRules, Right, SanctionDraft, SanctionKind, Target


async def impose(house: House, client: Client, kind: SanctionKind = SanctionKind.mute, **more: Any) -> live.Sanction:
    viewer_id = ViewerId(UUID(client.frames[0]["you"]["viewer_id"]))
    async with house.market.db.tx() as tx:
        draft = SanctionDraft(id=new_id(), kind=kind, viewer_id=viewer_id, **more)
        return await live.impose(tx, house.market.owner, house.market.show_id, draft)


async def set_rules(house: House, **rules: Any) -> None:
    async with house.market.db.tx() as tx:
        room_id = (await live.get_show(tx, house.market.show_id)).room_id
        await live.change_rules(tx, house.market.owner, room_id, ChatRules(**rules))


async def refused(client: Client, text: str) -> dict[str, Any]:
    since = len(client.frames)
    re = str(client.chat(text))
    return await client.until(lambda frame: frame["t"] == "refused" and frame["re"] == re, since=since)


async def sent(client: Client, text: str) -> UUID:
    since, chat_id = len(client.frames), client.chat(text)
    await client.until(lambda frame: frame["t"] == "sent" and frame["re"] == str(chat_id), since=since)
    return chat_id


async def told(client: Client, tag: str) -> dict[str, Any]:
    return await client.until(tag, since=1)


async def test_a_muted_viewer_is_told_and_not_heard_until_it_ends(house: House) -> None:
    loud, other = await house.enter(), await house.enter()
    mute = await impose(house, loud, minutes=10, reason="rude")
    standing = await told(loud, "standing")
    assert standing["you"]["muted"] and standing["you"]["mute_reason"] == "rude"
    assert mute.ends_at is not None and standing["you"]["muted_until"].startswith(f"{mute.ends_at:%Y-%m-%dT%H:%M}")
    refusal = await refused(loud, "hello")
    assert (refusal["code"], refusal["reason"]) == ("muted", "rude")
    house.market.db.clock.advance(seconds=601)
    await sent(loud, "sorry")
    assert (await other.until("chat"))["text"] == "sorry"


async def test_a_lifted_mute_is_felt_at_once(house: House) -> None:
    loud = await house.enter()
    mute = await impose(house, loud)
    await told(loud, "standing")
    async with house.market.db.tx() as tx:
        await live.lift(tx, house.market.owner, mute.id)
    await loud.until(lambda frame: frame["t"] == "standing" and not frame["you"]["muted"])
    await sent(loud, "thanks")


@pytest.mark.parametrize(("kind", "code"), [(SanctionKind.kick, "kicked"), (SanctionKind.ban, "banned")])
async def test_who_is_sent_out_leaves_with_the_reason_and_does_not_come_back_before_the_end(
    house: House, kind: SanctionKind, code: str
) -> None:
    account = AccountId(new_id())
    viewer = await house.enter(account=account)
    await impose(house, viewer, kind, minutes=5, reason="spam")
    bye = await viewer.until("bye")
    assert (bye["code"], bye["reason"]) == (code, "spam") and bye["until"] is not None
    await viewer.closed.wait()
    again = await Client.connect(house.url)
    assert (await again.hello(house.market.ticket(account=account)))["code"] == code
    house.market.db.clock.advance(seconds=301)
    await house.enter(account=account)


async def test_a_banned_device_stays_out_under_another_account(house: House) -> None:
    device = uuid4()
    viewer = await house.enter(device_id=device)
    await sent(viewer, "hi")
    await house.gateway.store.write()
    await impose(house, viewer, SanctionKind.ban, target=Target.device)
    await viewer.until("bye")
    again = await Client.connect(house.url)
    assert (await again.hello(house.market.ticket(device_id=device)))["code"] == "banned"
    await house.enter(device_id=uuid4())


async def test_behind_a_proxy_a_network_is_what_the_proxy_says_and_otherwise_nobody_can_lie(
    open_house: OpenHouse,
) -> None:
    async with open_house(trusted_proxies="127.0.0.1") as house:
        viewer = await Client.connect(house.url, **{"X-Forwarded-For": "198.51.100.9, 203.0.113.7"})
        await viewer.hello(house.market.ticket())
        await sent(viewer, "hi")
        await house.gateway.store.write()
        await impose(house, viewer, SanctionKind.ban, target=Target.network)
        await viewer.until("bye")
        for forwarded, tag in [("203.0.113.200", "bye"), ("1.2.3.4, 203.0.113.9", "bye"), ("203.0.114.1", "welcome")]:
            again = await Client.connect(house.url, **{"X-Forwarded-For": forwarded})
            assert (await again.hello(house.market.ticket()))["t"] == tag, forwarded
    async with open_house() as house:
        liar = await Client.connect(house.url, **{"X-Forwarded-For": "203.0.113.9"})
        assert (await liar.hello(house.market.ticket()))["t"] == "welcome"


async def test_slow_mode_holds_over_all_sockets_of_a_viewer(house: House) -> None:
    account = AccountId(new_id())
    one, two = await house.enter(account=account), await house.enter(account=account)
    await set_rules(house, slow_s=30)
    rules = await one.until("rules")
    assert rules == {"t": "rules", "slow_s": 30, "fans_only": False, "followed_min": 0, "review_all": False}
    await sent(one, "first")
    for client in (one, two):
        refusal = await refused(client, "second")
        assert (refusal["code"], refusal["every_s"]) == ("slow-mode", 30) and 1 <= refusal["retry_after_s"] <= 30
    late = await house.enter()
    assert late.frames[0]["rules"]["slow_s"] == 30


async def test_followers_only_follows_the_news(house: House) -> None:
    market = house.market
    actor = await make_account(market.db, "fan")
    viewer = await house.enter(account=actor.account_id)
    await set_rules(house, fans_only=True, followed_min=10)
    await viewer.until("rules")
    assert (await refused(viewer, "hi"))["code"] == "followers-only"
    async with market.db.tx() as tx:
        await fans.follow(tx, actor.viewer_id, market.owner.signed_in())
    await told(viewer, "standing")
    refusal = await refused(viewer, "hi")
    assert refusal["code"] == "follow-longer" and refusal["until"] is not None
    market.db.clock.advance(seconds=601)
    await sent(viewer, "hi")
    early = market.db.clock.now() - timedelta(days=1)
    await sent(await house.enter(followed_at=early, follows=True), "old friend")


async def test_words_and_links_are_refused_masked_or_let_through_as_the_rules_say(house: House) -> None:
    viewer, other = await house.enter(), await house.enter()
    assert (await refused(viewer, "傻 逼"))["code"] == "text-blocked"
    refusal = await refused(viewer, "看 evil.com")
    assert (refusal["kind"], refusal["seen"]) == ("link", "evil.com")
    soft = words.WordList(name="soft", words=("darn",), action=words.Action.mask)
    await set_rules(house, lists=(soft,), links=None, house_words=False)
    await felt(house)
    await sent(viewer, "darn, see evil.com")
    assert (await other.until("chat"))["text"] == "****, see evil.com"


async def felt(house: House) -> None:
    """Wait until the gateway keeps the rules that the database has."""
    async with house.market.db.read() as tx:
        wanted = (await live.read_regulations(tx, house.market.show_id)).rules
    async with asyncio.timeout(30):
        while True:
            keeper = house.gateway.hub.rooms[house.market.show_id].keeper
            if keeper is not None and keeper.rules == wanted:
                return
            await asyncio.sleep(0.01)


async def test_a_held_text_is_seen_by_its_sender_and_moderators_until_it_is_let_through(house: House) -> None:
    viewer, other, desk = await house.enter(), await house.enter(), await house.enter(scopes=frozenset({"show"}))
    chat_id = viewer.chat("网络赌博真好玩")
    assert (await viewer.until("held"))["re"] == str(chat_id)
    waiting = (await desk.until("waiting"))["saying"]
    assert (waiting["id"], waiting["text"], waiting["why"]) == (str(chat_id), "网络赌博真好玩", "fraud: 网络赌博")
    await house.gateway.store.write()
    async with house.market.db.tx() as tx:
        await live.review(tx, house.market.owner, house.market.show_id, chat_id, approved=True)
    assert (await viewer.until("reviewed")) == {"t": "reviewed", "re": str(chat_id), "approved": True}
    assert (await other.until("chat"))["id"] == str(chat_id)
    assert (await desk.until("decided"))["approved"]
    assert not other.heard("waiting") and not viewer.heard("waiting")


async def test_who_keeps_order_is_not_held_up_by_it_and_rights_come_and_go(house: House) -> None:
    market = house.market
    actor = await make_account(market.db, "mod")
    await set_rules(house, slow_s=600, fans_only=True)
    moderator = await house.enter(account=actor.account_id)
    assert (await refused(moderator, "one"))["code"] == "followers-only"
    async with market.db.tx() as tx:
        room_id = (await live.get_show(tx, market.show_id)).room_id
        await live.add_moderator(tx, market.owner, room_id, "mod", [Right.delete])
    assert (await told(moderator, "standing"))["you"]["rights"] == ["delete"]
    await sent(moderator, "one")
    await sent(moderator, "two 傻逼")
    assert actor.account_id is not None
    async with market.db.tx() as tx:
        await live.remove_moderator(tx, market.owner, room_id, actor.account_id)
    await moderator.until(lambda frame: frame["t"] == "standing" and not frame["you"]["rights"])
    assert (await refused(moderator, "three"))["code"] == "followers-only"


async def test_a_deleted_text_goes_from_every_screen_and_newcomers_never_see_it(house: House) -> None:
    viewer, other = await house.enter(), await house.enter()
    keep, gone = await sent(viewer, "keep"), await sent(viewer, "gone")
    stood = other.state.v
    await other.until(lambda frame: frame["t"] == "chat" and frame["id"] == str(gone))
    async with house.market.db.tx() as tx:
        await live.delete_saying(tx, house.market.owner, house.market.show_id, gone, reason="rude")
    assert (await other.until("unsay"))["id"] == str(gone)
    late = await house.enter()
    assert [line["id"] for line in late.frames[0]["chat"]] == [str(keep)]
    back = await house.enter(resume=stood)
    await back.until("unsay")
    await house.gateway.store.write()
    async with house.market.db.read() as tx:
        assert [one.id for one in await live.list_sayings(tx, house.market.show_id)] == [keep]


async def test_chat_is_there_again_after_a_restart(open_house: OpenHouse) -> None:
    async with open_house() as house:
        await sent(await house.enter(), "before")
    async with open_house() as house:
        assert [line["text"] for line in (await house.enter()).frames[0]["chat"]] == ["before"]


async def test_somebody_elses_chat_id_cannot_be_taken(house: House) -> None:
    one, two = await house.enter(), await house.enter()
    chat_id = await sent(one, "mine")
    two.send({"t": "chat", "id": str(chat_id), "text": "mine too"})
    assert (await two.until("refused"))["code"] == "id-reused"


async def test_rules_and_sanctions_hold_at_every_gateway(open_house: OpenHouse) -> None:
    """Two gateways on one database and one bus."""
    bus = LocalBus()
    async with open_house(bus=bus) as house, open_house(bus=bus) as second:
        account = AccountId(new_id())
        here, there = await house.enter(), await second.enter(account=account)
        await set_rules(house, slow_s=60)
        await here.until("rules")
        await there.until("rules")
        await impose(house, there, SanctionKind.ban)
        assert (await there.until("bye"))["code"] == "banned"


async def test_chat_goes_on_while_the_database_is_away_and_what_is_lost_is_counted(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SayingStore(house.market.db)

    def saying(number: int) -> live.Saying:
        return live.Saying(
            id=new_id(),
            viewer_id=ViewerId(new_id()),
            name="x",
            level=0,
            text=str(number),
            said_at=house.market.db.clock.now(),
        )

    def away() -> Any:
        raise Unavailable(part="database")

    with monkeypatch.context() as patch:
        patch.setattr(house.market.db, "tx", away)
        for turn in range(10):
            store.keep(house.market.show_id, saying(turn))
            await store.write()
        assert store.lost == 10
        store.keep(house.market.show_id, saying(11))
        await store.write()
        await sent(await house.enter(), "still talking")
    for number in range(3 * SAID_PER_WRITE_MAX):
        store.keep(house.market.show_id, saying(number))
    assert store.lost == 10 + 3 * SAID_PER_WRITE_MAX - (2 * SAID_PER_WRITE_MAX - 1)
    await store.write()
    async with house.market.db.read() as tx:
        kept = await live.list_sayings(tx, house.market.show_id, limit=5_000)
    assert len(kept) == 2 * SAID_PER_WRITE_MAX


async def test_an_account_closed_for_abuse_waits_outside_whatever_socket_it_opens(house: House) -> None:
    account = AccountId(new_id())
    bad, second = await house.enter(account=account), await house.enter(account=account)
    for _ in range(40):
        bad.send_raw(b"not json")
    assert (await bad.until("bye"))["code"] == "abuse"
    assert (await second.until("bye"))["code"] == "abuse"
    again = await Client.connect(house.url)
    again.send({"t": "hello", "ticket": house.market.ticket(account=account), "resume": None})
    assert (await again.until("refused"))["code"] == "too-fast"
    await house.enter()


async def test_the_pace_is_the_accounts_however_many_sockets_it_opens(open_house: OpenHouse) -> None:
    async with open_house(Limits(frames_per_s=0.1, frames_burst=8)) as house:
        account = AccountId(new_id())
        sockets = [await house.enter(account=account) for _ in range(4)]
        for number in range(24):
            sockets[number % 4].send({"t": "like", "n": 1})
        async with asyncio.timeout(30):
            while sum(len(socket.heard("refused")) for socket in sockets) < 16:
                await asyncio.sleep(0.01)
        assert {frame["code"] for socket in sockets for frame in socket.heard("refused")} == {"too-fast"}


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("👩‍👩‍👧‍👦🏳️‍🌈👍🏽", "👩‍👩‍👧‍👦🏳️‍🌈👍🏽"),
        ("a\u202egpj.exe", "agpj.exe"),
        ("\u2066abc\u2069", "abc"),
        ("bell\u0007 null\u0000!", "bell null!"),
        ("Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢", None),
        ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
    ],
)
async def test_strange_texts_are_shown_tamed(house: House, said: str, shown: str | None) -> None:
    viewer, other = await house.enter(), await house.enter()
    await sent(viewer, said)
    text = (await other.until("chat"))["text"]
    assert text == shown if shown is not None else len(text) < len(said) and text.startswith("Z")


@pytest.mark.parametrize("text", ["w" * 10_000, "长" * 201, "👍" * 300, "\u202e\u202d"])
async def test_a_text_that_is_no_text_is_refused_clearly_and_the_line_stays_open(house: House, text: str) -> None:
    viewer = await house.enter()
    viewer.send({"t": "chat", "id": str(new_id()), "text": text})
    assert (await viewer.until("refused"))["code"] in ("chat-too-long", "chat-empty", "unreadable")
    await sent(viewer, "fine")
