"""The way in: on the disk within a second, bounded on disk and in memory, never in the way, in the lake soon after."""

import asyncio
import resource
from pathlib import Path

import pytest

from deeds import hearts, likes, make_stay, now_us, read, segment_files
from lakes import open_lake
from laotie.lake import Clicked, Entered, Lake, SegmentLog, Watched, ingest, open_sink
from laotie.lake.batches import Batch, read_batches, write_batch
from laotie.lake.ingest import take_over
from laotie.lake.quarantine import list_held
from laotie.lake.segments import Segments


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path / "lake")


@pytest.fixture
def sink(lake: Lake, tmp_path: Path) -> SegmentLog:
    """One that does not ship by itself."""
    return open_sink(lake, tmp_path / "segments")


def counted(directory: Path) -> int:
    """Acts in the segments."""
    batches = [batch for path in segment_files(directory) for batch in read_batches(path.read_bytes())]
    return sum(columns.count for batch in batches if isinstance(batch, Batch) for columns in batch.columns)


async def test_acts_are_on_the_disk_within_a_second(sink: SegmentLog, tmp_path: Path) -> None:
    for act in likes(0, 1_000):
        sink.append(act)
    async with asyncio.timeout(1):
        while counted(tmp_path / "segments") < 1_000:
            await asyncio.sleep(0.02)
    await sink.close()


async def test_a_started_sink_brings_acts_into_the_lake_and_leaves_nothing(lake: Lake, tmp_path: Path) -> None:
    told: list[tuple[str, int | None]] = []

    async def note(name: str, until_us: int | None) -> None:
        told.append((name, until_us))

    sink = open_sink(lake, tmp_path / "segments", part_every_s=0.1, note=note)
    await sink.start()
    stay, at_us = make_stay(is_fan=True, source="slot"), now_us()
    sink.append(Entered(stay, at_us, "feed:1", True, campaign="蓝", position=3))
    sink.append(Watched(stay, at_us, at_us - 10_000_000))
    sink.append(Clicked(stay, at_us))
    async with asyncio.timeout(30):
        while not (read(lake, "visit").num_rows and (told[-1][1] or 0) > at_us):
            await asyncio.sleep(0.02)
    await sink.close()
    (visit,) = read(lake, "visit").to_pylist()
    expected = {
        "at_us": at_us, "viewer_id": stay.viewer_id.bytes, "visit_id": stay.visit_id.bytes, "source": "slot", "is_fan": True,
        "placement": "feed:1", "campaign": "蓝", "position": 3, "sharer_id": None, "is_guest": True,
        "connection_id": stay.connection_id.bytes,
    }  # fmt: skip
    assert expected.items() <= visit.items()
    assert read(lake, "watch")["since_us"].to_pylist() == [at_us - 10_000_000]
    assert read(lake, "click")["item_id"].to_pylist() == [None]
    assert not list((tmp_path / "segments").iterdir())
    assert told[-1] == (sink.name, None), "nothing of this process is to come"


async def test_what_a_dead_process_left_is_taken_over(lake: Lake, tmp_path: Path) -> None:
    dead, alive = Segments(tmp_path / "segments"), Segments(tmp_path / "segments")
    dead.write(likes(0, 10))
    alive.write(likes(10, 10))
    dead.close()
    told: list[tuple[str, int | None]] = []

    async def note(name: str, until_us: int | None) -> None:
        told.append((name, until_us))

    sink = open_sink(lake, tmp_path / "segments", note=note)
    await sink.start()
    await sink.close()
    assert hearts(lake) == list(range(10)), "what lives keeps its own"
    assert (dead.place.name, None) in told
    assert [place.name for place in (tmp_path / "segments").iterdir()] == [alive.place.name]
    alive.close()


async def test_a_full_disk_loses_behaviour_counted_and_nothing_else(sink: SegmentLog, lake: Lake, tmp_path: Path) -> None:
    for act in likes(0, 100):
        sink.append(act)
    async with asyncio.timeout(30):
        while counted(tmp_path / "segments") < 100:
            await asyncio.sleep(0.02)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (segment_files(tmp_path / "segments")[0].stat().st_size + 100, hard))
        for act in likes(100, 50):
            sink.append(act)
        async with asyncio.timeout(30):
            while sink.lost < 50:
                await asyncio.sleep(0.02)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    for act in likes(200, 10):
        sink.append(act)
    await sink.close()
    assert sink.lost == 50
    take_over(lake, tmp_path / "segments", now_us=now_us())
    assert hearts(lake) == [*range(100), *range(200, 210)], "what was torn is not there; before and after is"
    assert not list_held(lake)


async def test_memory_is_bounded_when_the_disk_cannot_keep_up(
    sink: SegmentLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "WAITING_MAX", 100)
    for act in likes(0, 150):
        sink.append(act)
    assert sink.lost == 50
    await sink.close()
    assert counted(tmp_path / "segments") == 100


async def test_a_lake_that_takes_nothing_fills_the_disk_to_a_bound(lake: Lake, tmp_path: Path) -> None:
    segments = Segments(tmp_path / "segments", segment_bytes_max=1, bytes_max=2_000)
    written = 0
    with pytest.raises(OSError, match="bytes already"):
        while True:
            segments.write(likes(written, 10))
            written += 10
    segments.close()
    take_over(lake, tmp_path / "segments", now_us=now_us())
    assert hearts(lake) == list(range(written))


async def test_a_lake_that_takes_nothing_is_waited_for(lake: Lake, tmp_path: Path) -> None:
    sink = open_sink(lake, tmp_path / "segments")
    Path(lake.root).write_text("no directory")
    for act in likes(0, 10):
        sink.append(act)
    assert not await sink.ship()
    assert counted(tmp_path / "segments") == 0, "begun, and still there"
    Path(lake.root).unlink()
    assert await sink.ship()
    assert hearts(lake) == list(range(10))
    await sink.close()


async def test_appending_after_the_end_loses_and_never_fails(sink: SegmentLog) -> None:
    await sink.close()
    sink.append(likes(0, 1)[0])
    assert sink.lost == 1


def test_ids_are_the_writer_and_a_running_number(lake: Lake, tmp_path: Path) -> None:
    segments = Segments(tmp_path / "segments")
    segments.write(likes(0, 3))
    segments.write(likes(3, 3))
    segments.close()
    take_over(lake, tmp_path / "segments", now_us=now_us())
    ids = read(lake, "like").sort_by("count")["id"].to_pylist()
    assert ids == [segments.writer + number.to_bytes(8, "big") for number in range(6)]


def test_a_batch_is_read_alone_and_a_torn_one_not_at_all() -> None:
    first, second = write_batch(bytes(8), 0, likes(0, 5)), write_batch(bytes(8), 5, likes(5, 5))
    for end in range(len(second)):
        found = list(read_batches(first + second[:end]))
        assert len(found) == 1 and isinstance(found[0], Batch)
    assert [batch.first for batch in read_batches(second) if isinstance(batch, Batch)] == [5]
