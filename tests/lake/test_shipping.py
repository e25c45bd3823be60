"""From segments to parts: each valid act once, in its hour, whatever was torn, repeated, swapped or made up."""

import itertools
import tempfile
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeds import HOUR_US, hearts, likes, make_stay, now_us, read
from lakes import open_lake
from laotie.base.ids import ProductId, ShopId, SkuId, new_id
from laotie.lake import Act, Carted, Chatted, Lake, Left, Liked, Searched, Watched, batches, compaction, list_parts
from laotie.lake.batches import HEAD, write_batch
from laotie.lake.late import take_notes
from laotie.lake.model import BEHAVIOUR
from laotie.lake.parts import list_files
from laotie.lake.quarantine import forget, list_held, sweep
from laotie.lake.segments import SHIPPING, SUFFIX
from laotie.lake.shipping import FUTURE_US_MAX, ship

WRITER = bytes(range(8))
NUMBERS = itertools.count()


def bring(lake: Lake, content: bytes, *, name: str = "1", suffix: str = SUFFIX, now: int | None = None) -> None:
    """A segment into the lake."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory) / WRITER.hex()
        place.mkdir()
        path = place / f"{name}{suffix}"
        path.write_bytes(content)
        ship(lake, place, [path], now_us=now or now_us())
        assert not path.exists()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path / "lake")


@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=6),
    order=st.randoms(use_true_random=False),
    copies=st.lists(st.integers(0, 5), max_size=4),
    tear=st.integers(0, 10_000),
    late=st.lists(st.integers(0, 30), min_size=6, max_size=6),
)
@settings(max_examples=30, deadline=None)
def test_any_order_repetition_and_tearing_yields_the_distinct_valid_acts(
    sizes: list[int], order: Any, copies: list[int], tear: int, late: list[int]
) -> None:
    lake = Lake(f"memory://shipping-{next(NUMBERS)}", "Asia/Shanghai")
    frames, expected, first = [], set(), 0
    for size, hours in zip(sizes, late, strict=False):
        frames.append(write_batch(WRITER, first, likes(first, size, at_us=now_us() - hours * HOUR_US)))
        expected |= set(range(first, first + size))
        first += size
    torn = write_batch(WRITER, first, likes(first, 3))
    frames += [frames[one] for one in copies if one < len(sizes)]
    order.shuffle(frames)
    cut = order.randint(0, len(frames))
    bring(lake, b"".join(frames[:cut]) + torn[: tear % len(torn)], name="1")
    bring(lake, b"".join(frames[cut:]), name="2", suffix=SHIPPING)
    assert hearts(lake) == sorted(expected)
    compaction.compact(lake, now_us=now_us() + 2 * HOUR_US)
    assert hearts(lake) == sorted(expected)
    for part in list_parts(lake, "like"):
        with lake.fs.open(f"{lake.root}/{part.path}") as file:
            hours_found = {lake.hour_of(at_us) for at_us in pq.read_table(file)["at_us"].to_pylist()}
        assert hours_found == {(part.day, part.hour)}


@pytest.mark.parametrize("merged", [False, True])
def test_a_segment_whose_shipping_was_cut_off_comes_once(lake: Lake, merged: bool) -> None:
    content = write_batch(WRITER, 0, likes(0, 20))
    bring(lake, content)
    if merged:
        bring(lake, write_batch(WRITER, 20, likes(20, 5)), name="2")
        for later_us in (2 * HOUR_US, 3 * HOUR_US):
            compaction.compact(lake, now_us=now_us() + later_us)
        assert len(list_files(lake, "like", list_parts(lake, "like")[0].day)) == 1, "and what it was made of is gone"
    bring(lake, content, suffix=SHIPPING)
    assert hearts(lake) == list(range(25 if merged else 20))


def test_what_cannot_be_true_is_put_aside_with_the_reason(lake: Lake) -> None:
    stay, at = make_stay(), now_us()
    acts: list[Act] = [
        Liked(stay, at + FUTURE_US_MAX + 60_000_000, 1), Liked(stay, at + FUTURE_US_MAX // 2, 1), Liked(stay, 5, 1),
        Liked(stay, at, 0), Liked(stay, at, 2**40), Watched(stay, at, at + 1), Watched(stay, at, at - 3 * HOUR_US),
        Watched(stay, at, at - 10_000_000), Left(stay, at, -1), Left(stay, at, 10**12), Chatted(stay, at, -3),
        Searched(stay, at, -1), Carted(stay, at, ProductId(new_id()), SkuId(new_id()), ShopId(new_id()), 0),
    ]  # fmt: skip
    bring(lake, write_batch(WRITER, 0, acts), now=at)
    assert {topic.name: read(lake, topic.name).num_rows for topic in BEHAVIOUR if read(lake, topic.name).num_rows} == {
        "like": 1, "watch": 1,
    }  # fmt: skip
    assert [(one.reason, one.topic, one.rows) for one in list_held(lake)] == [
        ("clock was lost", "like", 1), ("from the future", "like", 1), ("impossible count", "cart", 1),
        ("impossible count", "chat", 1), ("impossible count", "like", 2), ("impossible count", "search", 1),
        ("negative duration", "leave", 1), ("negative duration", "watch", 1), ("overlong duration", "leave", 1),
        ("overlong duration", "watch", 1),
    ]  # fmt: skip
    assert forget(lake, [stay.viewer_id.bytes]) == 11 and not list_held(lake)


def test_unknown_versions_and_kinds_and_damage_are_put_aside_as_they_came(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    good = [write_batch(WRITER, first, likes(first, 5)) for first in (0, 5, 10)]
    with monkeypatch.context() as patched:
        patched.setattr(batches, "VERSION", 7)
        newer = write_batch(WRITER, 100, likes(100, 5))
    with monkeypatch.context() as patched:
        patched.setattr(batches, "_NUMBER_OF", batches._NUMBER_OF | {Liked: 99})
        unknown = write_batch(WRITER, 200, [*likes(200, 5), Left(make_stay(), now_us(), 3)])
    nonsense = msgspec.msgpack.encode((1, b"short", 0, [], [(4, 2, b"", b"", [b""])]))
    framed = HEAD.pack(batches.MAGIC, len(nonsense), crc32(nonsense)) + nonsense
    hurt = bytearray(good[1])
    hurt[len(hurt) // 2] ^= 0xFF
    bring(lake, good[0] + newer + bytes(hurt) + unknown + framed + good[2])
    assert hearts(lake) == [*range(5), *range(10, 15)]
    assert read(lake, "leave").num_rows == 1
    held = {one.reason.partition(":")[0]: one.rows for one in list_held(lake)}
    assert held == {"unknown version 7": 1, "unknown kind": 1, "unreadable act": 1, "damaged segment": 1}
    assert sweep(lake, today=lake.day_of(now_us() + 40 * 24 * HOUR_US)) == 1 and not list_held(lake)


def test_acts_of_all_hours_go_to_their_own(lake: Lake) -> None:
    at = now_us()
    acts = [act for hours in range(50) for act in likes(hours, 1, at_us=at - hours * HOUR_US)]
    bring(lake, write_batch(WRITER, 0, acts), now=at)
    parts = list_parts(lake, "like")
    assert len(parts) == 50 and len({(part.day, part.hour) for part in parts}) == 50
    assert hearts(lake) == list(range(50))
    bring(lake, write_batch(WRITER, 50, likes(50, 1, at_us=at - 100 * HOUR_US)), now=at)
    assert ("like", lake.day_of(at - 100 * HOUR_US)) in set(take_notes(lake)), "a day long past is to be merged again"
