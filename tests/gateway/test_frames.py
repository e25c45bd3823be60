"""What may travel, and what happens to everything else: a typed refusal, and nobody else notices."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from picows import WSMsgType
from room_client import Client
from scene import House, OpenHouse

from laotie.base.ids import new_id
from laotie.gateway import Limits, frames

REPOSITORY = Path(__file__).parents[2]


def test_the_committed_schema_is_the_one_in_the_code() -> None:
    committed = json.loads((REPOSITORY / "frames.json").read_text())
    assert committed == json.loads(msgspec.json.encode(frames.frames_document())), "run: laotie frames"


def test_every_frame_is_described_in_the_protocol_document() -> None:
    text = (REPOSITORY / "docs" / "protocol.md").read_text()
    described = frames.frames_document()["$defs"]
    tags = {
        definition["properties"]["t"]["enum"][0]
        for definition in described.values()
        if "t" in definition.get("properties", {})
    }
    assert len(tags) >= 20
    assert [tag for tag in sorted(tags) if f"`{tag}`" not in text and f'"t": "{tag}"' not in text] == []


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
def test_a_wrapped_frame_is_what_rfc_6455_says(size: int) -> None:
    wrapped = frames.wrap(b"x" * size)
    assert wrapped[0] == 0x81 and not wrapped[1] & 0x80
    length, head = wrapped[1], 2
    if length == 126:
        length, head = int.from_bytes(wrapped[2:4], "big"), 4
    elif length == 127:
        length, head = int.from_bytes(wrapped[2:10], "big"), 10
    assert length == size and len(wrapped) == head + size


CHAT_ID = str(new_id())

REFUSED: list[tuple[str, bytes]] = [
    ("not JSON", b"hello?"),
    ("nothing", b""),
    ("not an object", b"[]"),
    ("no tag", b'{"text":"x"}'),
    ("unknown tag", b'{"t":"admin"}'),
    ("a server's tag", b'{"t":"welcome"}'),
    ("an unknown field", b'{"t":"like","n":1,"x":2}'),
    ("a field of the wrong type", b'{"t":"like","n":"1"}'),
    ("a float", b'{"t":"like","n":1.5}'),
    ("too many hearts", b'{"t":"like","n":51}'),
    ("no hearts", b'{"t":"like","n":0}'),
    ("an id that is none", b'{"t":"chat","id":"1","text":"x"}'),
    ("not UTF-8", b'{"t":"chat","id":"%b","text":"\xff\xfe"}' % CHAT_ID.encode()),
    ("a lone surrogate", b'{"t":"chat","id":"%b","text":"\\ud800"}' % CHAT_ID.encode()),
    ("a text beyond reading", b'{"t":"chat","id":"%b","text":"%b"}' % (CHAT_ID.encode(), b"x" * 2001)),
    ("too many lines", b'{"t":"buy","id":"%b","lines":[%b]}' % (CHAT_ID.encode(), b",".join([b"{}"] * 51))),
    ("a huge quantity", b'{"t":"buy","id":"%b","lines":[{"sku":"%b","qty":9999999999999999999999,"price":1}]}'
     % (CHAT_ID.encode(), CHAT_ID.encode())),
    ("a negative version", b'{"t":"beat","visible":true,"v":-1}'),
    ("deep nesting", b"[" * 8000),
    ("two values", b'{"t":"resync"}{"t":"resync"}'),
]  # fmt: skip


async def test_what_cannot_be_read_is_refused_and_the_line_stays_open(house: House) -> None:
    other = await house.enter()
    for what, payload in REFUSED:
        client = await house.enter()
        client.send_raw(payload)
        refused = await client.until("refused")
        assert (refused["code"], refused["re"]) == ("unreadable", None), what
        assert refused["title"] and refused["reason"], what
        chat_id = client.chat(what)
        await other.until(lambda frame, chat_id=chat_id: frame.get("id") == str(chat_id))  # type: ignore[misc]


async def test_an_oversized_frame_is_refused_and_a_giant_one_ends_the_line(house: House) -> None:
    client, other = await house.enter(), await house.enter()
    client.send_raw(b"x" * 20_000)
    assert (await client.until("refused"))["code"] == "frame-too-large"
    client.send_raw(b"x" * 10_000_000)
    await client.closed.wait()
    assert client.close_code in (1009, None)
    other.chat("还在")
    await other.until("sent")


@pytest.mark.parametrize("kind", [WSMsgType.BINARY, WSMsgType.CONTINUATION])
async def test_only_text_is_spoken_here(house: House, kind: WSMsgType) -> None:
    client = await house.enter()
    client.send_raw(b'{"t":"resync"}', kind)
    assert (await client.until("bye"))["code"] == "unreadable"
    await client.closed.wait()


async def test_pings_are_answered(house: House) -> None:
    client = await house.enter()
    assert len(await client.transport.measure_roundtrip_time(2)) == 2


async def test_a_flood_is_slowed_then_ended_and_others_do_not_notice(open_house: OpenHouse) -> None:
    async with open_house(Limits(frames_per_s=5, frames_burst=10, strikes_burst=5, strikes_per_s=0.1)) as house:
        flooder, other = await house.enter(), await house.enter()
        for _ in range(500):
            flooder.send_raw(b'{"t":"like","n":1}')
        await flooder.closed.wait()
        assert flooder.heard("bye")[0]["code"] == "abuse"
        assert {frame["code"] for frame in flooder.heard("refused")} == {"too-fast"}
        assert len(flooder.heard("refused")) == 5
        assert flooder.close_code == 1008
        other.chat("还在")
        await other.until("sent")


async def test_what_is_malformed_again_and_again_ends_the_line(open_house: OpenHouse) -> None:
    async with open_house(Limits(strikes_burst=3, strikes_per_s=0.1)) as house:
        client = await house.enter()
        for _ in range(10):
            client.send_raw(b"?")
        await client.closed.wait()
        assert [frame["code"] for frame in client.heard("refused")] == ["unreadable"] * 3
        assert client.heard("bye")[0]["code"] == "abuse"


async def test_chat_has_a_pace_shared_by_all_of_a_viewers_sockets(open_house: OpenHouse) -> None:
    async with open_house(Limits(chats_per_s=0.1, chats_burst=2)) as house:
        account = house.market.owner.account_id
        first, second = await house.enter(account=account), await house.enter(account=account)
        first.chat("1")
        await first.until("sent")
        second.chat("2")
        await second.until("sent")
        third = second.chat("3")
        refused = await second.until("refused")
        assert (refused["code"], refused["re"]) == ("too-fast", str(third))
        assert refused["retry_after_s"] >= 1


async def test_resync_has_a_pace(open_house: OpenHouse) -> None:
    async with open_house(Limits(resyncs_per_s=0.1, resyncs_burst=2)) as house:
        client = await house.enter()
        for _ in range(3):
            client.send({"t": "resync"})
        assert (await client.until("refused"))["code"] == "too-fast"
        assert len(client.heard("welcome")) == 3


async def test_a_guest_watches_and_likes_but_neither_chats_nor_buys(house: House) -> None:
    guest = await house.enter(guest=True)
    guest.send({"t": "like", "n": 3})
    await guest.settle(lambda room: room.counts["likes"] == 3)
    chat_id = guest.chat("hello")
    refused = await guest.until("refused")
    assert (refused["code"], refused["re"]) == ("unauthenticated", str(chat_id))
    buy = house.market.buy(house.market.items[0])
    guest.send(buy)
    refused = await guest.until(lambda frame: frame.get("re") == buy["id"])
    assert refused["code"] == "unauthenticated"


async def test_a_bug_in_one_frame_is_answered_and_stays_inside(house: House, monkeypatch: Any) -> None:
    from laotie.gateway import socket

    def broken(*_: Any, **__: Any) -> str:
        raise RuntimeError("a bug")

    monkeypatch.setattr(socket, "clean", broken)
    client = await house.enter()
    chat_id = client.chat("x")
    refused = await client.until("refused")
    assert refused == {
        "t": "refused",
        "re": str(chat_id),
        "code": "internal",
        "title": "Something went wrong on our side; it has been noted.",
    }
    client.send({"t": "like", "n": 1})
    await client.settle(lambda room: room.counts["likes"] == 1)


async def test_every_frame_of_a_stay_fits_the_committed_schema(house: House) -> None:
    jsonschema_rs = pytest.importorskip("jsonschema_rs")
    document = json.loads((REPOSITORY / "frames.json").read_text())
    validator = jsonschema_rs.validator_for({**document, "oneOf": [{"$ref": "#/$defs/Downstream"}]})
    staff = await house.enter(scopes=frozenset({"orders"}))
    client: Client = await house.enter()
    client.chat("好")
    client.send({"t": "like", "n": 2})
    client.send(house.market.buy(house.market.items[0]))
    client.send(house.market.buy(house.market.items[0], price=1))
    await client.until("order")
    await client.until("refused")
    await client.until("stock")
    await staff.until("sale")
    await client.until("bought")
    await house.market.add_item("Kelp")
    await client.until("item")
    await house.gateway.stop()
    for frame in client.frames + staff.frames:
        errors = [str(error) for error in validator.iter_errors(frame)]
        assert errors == [], frame
