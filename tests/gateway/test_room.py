"""The room by itself: windows, versions, history. And: an old snapshot with its frames is a fresh snapshot."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from room_client import RoomState

from laotie.base.ids import CartItemId, ShowId, SkuId, ViewerId, new_id
from laotie.gateway import Limits, frames
from laotie.gateway.room import Room

QUICK = Limits(window_s=0.01, counts_every_s=0.01, notices_every_s=0.01)


def _payload(frame: bytes) -> dict[str, Any]:
    head = {126: 4, 127: 10}.get(frame[1], 2)
    return dict(json.loads(frame[head:]))


class Reader:
    """A member that reads everything at once."""

    def __init__(self) -> None:
        self.lean = False
        self.moderates = False
        self.frames: list[bytes] = []
        self.write: Callable[[bytes], None] = self.frames.append

    def write_lean(self, frame: bytes) -> None:
        self.write(frame)

    def regulate(self) -> None:
        return

    @property
    def batches(self) -> list[dict[str, Any]]:
        return [_payload(frame) for frame in self.frames]


def _join(room: Room) -> Reader:
    reader = Reader()
    room.join(reader, ViewerId(new_id()), "小明", staff=False)
    return reader


def _stock(sku: UUID, available: int) -> bytes:
    return frames.encode(frames.Stock(sku=SkuId(sku), available=available))


async def _quiet(seconds: float = 0.05) -> None:
    await asyncio.sleep(seconds)


async def test_everybody_gets_the_very_same_bytes() -> None:
    room = Room(ShowId(new_id()), QUICK)
    readers = [_join(room) for _ in range(600)]
    room.say(new_id(), b'{"t":"chat","text":"hi"}')
    await _quiet()
    assert len({tuple(reader.frames) for reader in readers}) == 1
    assert readers[0].frames[0] is readers[599].frames[0]


async def test_a_window_is_one_batch_and_the_last_stock_wins() -> None:
    room = Room(ShowId(new_id()), Limits(window_s=0.05))
    reader = _join(room)
    await _quiet(0.1)
    reader.frames.clear()
    sku, other = new_id(), new_id()
    start = room.version
    for available in range(100, 0, -1):
        room.put(("stock", sku), _stock(sku, available))
    room.put(("stock", other), _stock(other, 7))
    await _quiet(0.1)
    [batch] = reader.batches
    assert batch["from"] == start and batch["v"] == room.version == start + 2
    assert [(one["sku"], one["available"]) for one in batch["f"]] == [(str(sku), 1), (str(other), 7)]


async def test_the_first_thing_after_a_quiet_time_leaves_at_once() -> None:
    room = Room(ShowId(new_id()), Limits(window_s=30))
    reader = _join(room)
    room.say(new_id(), b'{"t":"chat"}')
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(reader.frames) == 1
    room.say(new_id(), b'{"t":"chat"}')
    await asyncio.sleep(0.02)
    assert len(reader.frames) == 1
    room.close()


async def test_hearts_joins_and_purchases_are_merged() -> None:
    room = Room(ShowId(new_id()), Limits(window_s=0.01, counts_every_s=0.05, notices_every_s=0.05))
    reader = _join(room)
    await _quiet(0.1)
    reader.frames.clear()
    for _ in range(50):
        room.like(2)
        room.notice_purchase("小**", "Kelp")
    for _ in range(3):
        _join(room)
    await _quiet(0.15)
    heard = [one for batch in reader.batches for one in batch["f"]]
    assert [one for one in heard if one["t"] == "counts"][-1] == {"t": "counts", "viewers": 4, "likes": 100}
    assert sum(one["n"] for one in heard if one["t"] == "bought") == 50
    assert sum(one["n"] for one in heard if one["t"] == "join") == 3
    assert len(heard) <= 8


async def test_a_lean_member_gets_commerce_alone_and_its_versions_go_on() -> None:
    room = Room(ShowId(new_id()), QUICK)
    reader, lean = _join(room), _join(room)
    await _quiet()
    lean.lean = True
    reader.frames.clear()
    lean.frames.clear()
    sku = new_id()
    for number in range(5):
        room.say(new_id(), b'{"t":"chat"}')
        room.put(("stock", sku), _stock(sku, number))
        await _quiet(0.02)
    assert {one["t"] for batch in lean.batches for one in batch["f"]} == {"stock"}
    assert [(batch["from"], batch["v"]) for batch in lean.batches] == [
        (batch["from"], batch["v"]) for batch in reader.batches
    ]


async def test_a_member_that_breaks_does_not_stop_the_others() -> None:
    room = Room(ShowId(new_id()), QUICK)
    broken, reader = _join(room), _join(room)

    def fail(_: bytes) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>")

    broken.write = fail
    room.say(new_id(), b'{"t":"chat"}')
    await _quiet()
    assert reader.frames


async def test_the_history_is_bounded_and_a_gap_is_told() -> None:
    room = Room(ShowId(new_id()), Limits(window_s=0, history_frames_max=10, counts_every_s=60, notices_every_s=60))
    start, sku = room.version, new_id()
    for number in range(5):
        room.put(("stock", sku), _stock(sku, number))
        await _quiet(0.005)
    missed = room.since(start)
    assert missed is not None and [one["available"] for one in _payload(missed)["f"]] == [0, 1, 2, 3, 4]
    for number in range(20):
        room.put(("stock", sku), _stock(sku, number))
        await _quiet(0.005)
    assert room.since(start) is None
    assert room.since(room.version) is not None and _payload(room.since(room.version) or b"")["f"] == []
    assert room.since(room.version + 1) is None
    assert room.since(7) is None
    assert len(room._history) <= 10


async def test_versions_of_another_life_are_a_gap() -> None:
    show_id = ShowId(new_id())
    before, after = Room(show_id, QUICK), Room(show_id, QUICK)
    assert before.version != after.version
    assert after.since(before.version) is None
    assert max(before.version, after.version) < 2**53


async def test_a_slow_machine_makes_windows_longer_not_queues() -> None:
    """A batch is being delivered, slice by slice: the next window waits for it."""
    room = Room(ShowId(new_id()), Limits(window_s=0, slice_size=1, counts_every_s=60, notices_every_s=60))
    readers = [_join(room) for _ in range(50)]
    sku = new_id()
    for number in range(200):
        room.put(("stock", sku), _stock(sku, number))
        await asyncio.sleep(0)
    await _quiet()
    assert len(readers[0].frames) < 20
    assert _payload(readers[49].frames[-1])["f"][-1]["available"] == 199
    for reader in readers:
        state = RoomState()
        state.v = reader.batches[0]["from"]
        for batch in reader.batches:
            state.apply(batch)
        assert state.gaps == 0 and state.v == room.version


# An old snapshot with its frames is a fresh snapshot.

SKUS = [UUID(int=number) for number in range(1, 5)]


class Truth:
    """A cart as the database would hold it."""

    def __init__(self) -> None:
        self.items: dict[int, int] = {}
        self.versions = 0
        self.available = dict.fromkeys(SKUS, 10)
        self.pinned: int | None = None
        self.state = "live"

    def view(self, item: int) -> dict[str, Any]:
        return {
            "id": str(UUID(int=item)),
            "version": self.items[item],
            "pinned": self.pinned == item,
            "skus": [{"sku_id": str(SKUS[item % 4]), "available": self.available[SKUS[item % 4]]}],
        }

    def cart(self) -> list[dict[str, Any]]:
        return [self.view(item) for item in sorted(self.items)]

    def show(self) -> dict[str, Any]:
        pinned = None if self.pinned is None else str(UUID(int=self.pinned))
        return {"state": self.state, "title": "x", "cover": None, "pinned_item_id": pinned}

    def act(self, room: Room, act: tuple[str, int]) -> None:
        kind, number = act
        item = number % 6
        match kind:
            case "item":
                self.versions += 1
                self.items[item] = self.versions
                room.put(("item", UUID(int=item)), b'{"t":"item",' + frames.encode(self.view(item))[1:])
            case "gone" if item in self.items:
                del self.items[item]
                if self.pinned == item:
                    self.act(room, ("unpin", 0))
                room.put(("item", UUID(int=item)), frames.encode(frames.Gone(item=CartItemId(UUID(int=item)))))
            case "stock":
                sku = SKUS[number % 4]
                self.available[sku] = number
                room.put(("stock", sku), _stock(sku, number))
            case "pin" if item in self.items:
                self.pinned = item
                self._tell_pin(room)
            case "unpin":
                self.pinned = None
                self._tell_pin(room)
            case "say":
                said = {"t": "chat", "id": str(UUID(int=number)), "text": "x"}
                room.say(UUID(int=number), frames.encode(said))
            case "end":
                self.state = "ended"
                room.put(
                    ("show", None), frames.encode({"t": "show", "state": "ended", "title": "x", "cover": None})
                )

    def _tell_pin(self, room: Room) -> None:
        item = None if self.pinned is None else str(UUID(int=self.pinned))
        room.put(("pin", None), frames.encode({"t": "pin", "item": item, "at": "2026-01-01T00:00:00Z"}))


def _enter(room: Room, truth: Truth) -> tuple[Reader, RoomState]:
    """What a socket does on a welcome."""
    picture = room.fresh_picture() or room.paint(
        room.mark(), frames.encode(truth.show()), frames.encode(truth.cart())
    )
    reader, state = _join(room), RoomState()
    state.apply(json.loads(b'{"t":"welcome","v":%d,%b' % (picture.version, picture.body)))
    missed = room.since(picture.version)
    assert missed is not None
    state.apply(_payload(missed))
    return reader, state


ACTS = st.tuples(st.sampled_from(["item", "gone", "stock", "pin", "unpin", "say", "end"]), st.integers(0, 40))
STEPS = st.lists(
    st.one_of(ACTS.map(lambda act: ("act", act)), st.sampled_from(["pause", "join", "leave", "return"])),
    max_size=60,
)


@settings(max_examples=120, deadline=None)
@given(STEPS, st.booleans())
def test_an_old_snapshot_with_its_frames_is_a_fresh_snapshot(steps: list[Any], short: bool) -> None:
    uvloop.run(_live_through(steps, short))


async def _live_through(steps: list[Any], short: bool) -> None:
    limits = Limits(
        window_s=0.001, counts_every_s=0.001, notices_every_s=0.001, snapshot_s=0.01,
        history_frames_max=8 if short else 2_000, chats_per_window_max=3,
    )  # fmt: skip
    room, truth = Room(ShowId(new_id()), limits), Truth()
    here: list[tuple[Reader, RoomState]] = []
    away: list[RoomState] = []
    for step in steps:
        match step:
            case ("act", act):
                truth.act(room, act)
            case "pause":
                await asyncio.sleep(0.002)
            case "join":
                here.append(_enter(room, truth))
            case "leave" if here:
                reader, state = here.pop(0)
                room.members.pop(reader)
                for batch in reader.batches:
                    state.apply(batch)
                away.append(state)
            case "return" if away:
                state = away.pop(0)
                assert state.v is not None
                missed = room.since(state.v)
                if missed is None:
                    here.append(_enter(room, truth))
                else:
                    reader = _join(room)
                    state.apply(_payload(missed))
                    here.append((reader, state))
    await asyncio.sleep(0.02)
    room.picture = None
    _, fresh = _enter(room, truth)
    for reader, state in here:
        for batch in reader.batches:
            state.apply(batch)
        assert state.gaps == 0
        assert state.v == room.version
        assert state.cart == fresh.cart == {item["id"]: item for item in truth.cart()}
        assert state.show == fresh.show
    room.close()


async def test_who_talks_all_the_time_crowds_out_nobody_but_themselves() -> None:
    room = Room(ShowId(new_id()), Limits(chats_per_window_max=5, chats_per_sender_max=3, window_s=0.01))
    reader = _join(room)
    loud, quiet = [new_id() for _ in range(50)], new_id()

    def speak(viewer_id: UUID, text: str) -> None:
        who = frames.Speaker(id=ViewerId(viewer_id), name="x")
        said = frames.Said(id=new_id(), from_=who, text=text, at=datetime.now(UTC))
        room.say(viewer_id, frames.encode(said), said=said)

    for viewer_id in loud:
        speak(viewer_id, "first")
    await _quiet()
    for turn in range(3):
        for viewer_id in loud:
            speak(viewer_id, f"again {turn}")
    speak(quiet, "may I ask")
    await _quiet()
    assert "may I ask" in [one["text"] for batch in reader.batches for one in batch["f"] if one["t"] == "chat"]
    room.close()
