"""What may be said, and which of very many texts are shown."""

from collections import Counter
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from room_client import Client
from scene import House, OpenHouse

from laotie.base.ids import new_id
from laotie.gateway import Limits
from laotie.gateway.chat import UNSEEN, ChatEmpty, ChatTooLong, Sample, clean
from laotie.gateway.limits import Pace


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("好吃吗", "好吃吗"),
        ("  two   words \n next\tline ", "two words next line"),
        ("e\u0301", "é"),
        ("a\u202eevil\u202c", "aevil"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("bell\u0007", "bell"),
        ("👩‍👩‍👧 family", "👩‍👩‍👧 family"),
        ("z" + "\u0301" * 20, "\u017a" + "\u0301" * 3),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
)
def test_a_text_is_cleaned(said: str, shown: str) -> None:
    assert clean(said, length_max=200) == shown


@pytest.mark.parametrize("said", ["", "  ", "\n\t", "\u200b\u202e", "\u0000"])
def test_nothing_is_not_said(said: str) -> None:
    with pytest.raises(ChatEmpty):
        clean(said, length_max=200)


def test_too_much_is_not_said() -> None:
    with pytest.raises(ChatTooLong):
        clean("长" * 201, length_max=200)


@given(st.text(max_size=300))
def test_a_cleaned_text_is_short_normal_and_all_seen(said: str) -> None:
    try:
        shown = clean(said, length_max=200)
    except (ChatEmpty, ChatTooLong):
        return
    assert 0 < len(shown) <= 200
    assert not UNSEEN.search(shown)
    assert shown == shown.strip()
    assert clean(shown, length_max=200) == shown


@given(
    st.lists(st.integers(0, 30), max_size=200),
    st.integers(1, 20),
    st.integers(1, 4),
)
def test_a_sample_is_bounded_fair_and_in_order(senders: list[int], window_max: int, per_sender_max: int) -> None:
    sample = Sample(window_max, per_sender_max)
    for number, sender in enumerate(senders):
        sample.add(UUID(int=sender), b"%d:%d" % (number, sender))
    shown = [tuple(map(int, frame.split(b":"))) for frame in sample.take()]
    assert len(shown) <= window_max
    assert [number for number, _ in shown] == sorted(number for number, _ in shown)
    per_sender = Counter(sender for _, sender in shown)
    assert all(count <= per_sender_max for count in per_sender.values())
    if len(set(senders)) >= window_max:
        assert len(per_sender) == window_max, "many speak: nobody speaks twice"
    else:
        assert set(per_sender) == set(senders), "few speak: everybody is heard"
    assert sample.take() == []


def test_without_a_bound_everything_is_shown_in_order() -> None:
    sample = Sample(None, 1)
    frames = [b"%d" % number for number in range(500)]
    for number, frame in enumerate(frames):
        sample.add(UUID(int=number % 7), frame)
    assert sample.take() == frames


def test_every_sender_has_the_same_chance() -> None:
    seen: Counter[int] = Counter()
    for _ in range(2_000):
        sample = Sample(5, 1)
        for sender in range(20):
            sample.add(UUID(int=sender), b"%d" % sender)
        seen.update(int(frame) for frame in sample.take())
    assert min(seen.values()) > 380 and max(seen.values()) < 620  # 500 expected; ±6 standard deviations


@given(st.lists(st.floats(0, 3), max_size=100), st.integers(1, 10))
def test_a_pace_lets_through_its_rate_and_its_burst_and_no_more(pauses: list[float], burst: int) -> None:
    pace, due, now, taken = Pace(per_s=2, burst=burst), 0.0, 100.0, 0
    for pause in pauses:
        now += pause
        after = pace.take(due, now)
        if after is not None:
            due, taken = after, taken + 1
    assert taken <= burst + 2 * (now - 100) + 1e-6


async def test_chat_reaches_everybody_with_its_speakers_name(house: House) -> None:
    speaker, other = await house.enter(fan_level=3), await house.enter()
    chat_id = speaker.chat("  海参\u202e好吃 ")
    said = await other.until("chat")
    assert said["id"] == str(chat_id) and said["text"] == "海参好吃"
    assert said["from"] == {"id": speaker.frames[0]["you"]["viewer_id"], "name": "小明", "level": 3}
    assert (await speaker.until("sent"))["re"] == str(chat_id)
    late = await house.enter()
    assert [line["text"] for line in late.state.chat] == ["海参好吃"]


async def test_the_same_chat_again_is_shown_once(house: House) -> None:
    speaker, other = await house.enter(), await house.enter()
    frame = {"t": "chat", "id": str(new_id()), "text": "once"}
    for _ in range(3):
        speaker.send(frame)
    speaker.chat("last")
    await other.until(lambda one: one["t"] == "chat" and one["text"] == "last")
    assert [one["text"] for one in other.heard("chat")] == ["once", "last"]
    assert len(speaker.heard("sent")) == 4


async def test_a_flood_of_chat_never_drops_commerce(open_house: OpenHouse) -> None:
    """Sixty talk at once in a room that shows five texts a window; every commerce frame arrives."""
    limits = Limits(chats_per_window_max=5, chats_per_s=1000, chats_burst=1000, frames_per_s=1000, frames_burst=1000)
    async with open_house(limits) as house:
        viewer = await house.enter()
        talkers: list[Client] = [await house.enter() for _ in range(60)]
        for turn in range(5):
            for talker in talkers:
                talker.chat(f"{turn}")
            talkers[0].send(house.market.buy(house.market.items[0]))
            await talkers[0].until("order", since=len(talkers[0].frames))
        for talker in talkers:
            await talker.until(lambda frame, talker=talker: len(talker.heard("sent")) == 5)  # type: ignore[misc]
        await viewer.settle(lambda room: room.cart[str(house.market.items[0].id)]["skus"][0]["available"] == 5)
        assert 0 < len(viewer.heard("chat")) < 300
        assert viewer.state.gaps == 0
        assert max(len([one for one in batch["f"] if one["t"] == "chat"]) for batch in viewer.heard("batch")) <= 5
