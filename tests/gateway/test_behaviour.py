"""The behaviour log: written several times a second, bounded on disk and in memory, never in the way."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from laotie.base.clock import Clock
from laotie.base.ids import ShowId, ViewerId, VisitId, new_id
from laotie.gateway import behaviour
from laotie.gateway.behaviour import Liked, SegmentLog


def _act(n: int) -> Liked:
    return Liked(
        at=Clock().now(),
        show_id=ShowId(new_id()),
        viewer_id=ViewerId(new_id()),
        visit_id=VisitId(new_id()),
        n=n,
    )


def _lines(directory: Path) -> list[int]:
    paths = sorted(directory.glob("*.jsonl"))
    return [json.loads(line)["n"] for path in paths for line in path.read_text().splitlines()]


async def test_acts_are_on_disk_within_a_second_in_order(tmp_path: Path) -> None:
    sink = SegmentLog(tmp_path / "behaviour")
    for number in range(1_000):
        sink.append(_act(number))
    await asyncio.sleep(0.8)
    assert _lines(tmp_path / "behaviour") == list(range(1_000))
    line = json.loads(next((tmp_path / "behaviour").glob("*.jsonl")).read_text().splitlines()[0])
    assert line["act"] == "liked" and set(line) == {"act", "at", "show_id", "viewer_id", "visit_id", "n"}
    await sink.close()


async def test_closing_writes_what_is_left_and_a_restart_goes_on(tmp_path: Path) -> None:
    for start in (0, 10):
        sink = SegmentLog(tmp_path)
        for number in range(start, start + 10):
            sink.append(_act(number))
        await sink.close()
    assert _lines(tmp_path) == list(range(20))


async def test_segments_are_bounded_in_size_and_number(tmp_path: Path) -> None:
    sink = SegmentLog(tmp_path, segment_bytes_max=500, segments_max=3)
    for number in range(8):
        for _ in range(5):
            sink.append(_act(number))
        await sink.close()
        sink = SegmentLog(tmp_path, segment_bytes_max=500, segments_max=3)
    await sink.close()
    assert len(list(tmp_path.glob("*.jsonl"))) <= 3
    assert _lines(tmp_path)[-1] == 7


async def test_a_disk_that_takes_nothing_loses_behaviour_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = SegmentLog(tmp_path)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        sink.append(_act(1))
        await asyncio.sleep(0.6)
    assert sink.lost == 1
    sink.append(_act(2))
    await sink.close()
    assert _lines(tmp_path) == [2]


async def test_memory_is_bounded_when_the_disk_cannot_keep_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behaviour, "WAITING_MAX", 100)
    sink = SegmentLog(tmp_path)
    for number in range(150):
        sink.append(_act(number))
    assert sink.lost == 50
    await sink.close()
    assert len(_lines(tmp_path)) == 100
