"""Behaviour on its way into the lake, and its process killed: less than a second is lost, and nothing is there twice."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from deeds import hearts, now_us
from lakes import ZONE, open_lake
from laotie.lake.ingest import take_over

KILLS = 6 if os.environ.get("TEST_PROVE") else 2
LOST_S_MAX = 1.0
PROGRAM = f"""
import asyncio, sys, time
from pathlib import Path
from deeds import likes, make_stay
from laotie.lake import Lake, open_sink

async def main():
    sink = open_sink(Lake(sys.argv[1], {ZONE!r}), Path(sys.argv[2]), part_every_s=float(sys.argv[5]))
    await sink.start()
    stay, number = make_stay(), int(sys.argv[4])
    with open(sys.argv[3], "a", buffering=1) as said:
        while True:
            for act in likes(number, 20, stay=stay):
                sink.append(act)
            number += 20
            said.write(f"{{time.monotonic()}} {{number}}\\n")
            await asyncio.sleep(0.005)

asyncio.run(main())
"""


async def test_kill_9_loses_less_than_a_second_of_behaviour_and_doubles_none(tmp_path: Path) -> None:
    place, segments = open_lake(tmp_path / "lake"), tmp_path / "segments"
    expected: list[int] = []
    first = 0
    for number in range(KILLS):
        said = tmp_path / f"said-{number}"
        ships = number % 2 == 0  # in the midst of making parts, or with all of it in segments
        command = [sys.executable, "-c", PROGRAM, place.url, str(segments), str(said), str(first), "0.2" if ships else "60"]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        process = subprocess.Popen(command, env=environment)
        try:
            await _until_shipping(process, tmp_path / "lake", said, ships=ships)
            await asyncio.sleep(number * 0.07)  # at another moment each time
            killed_at = time.monotonic()
            os.kill(process.pid, signal.SIGKILL)
        finally:
            process.kill()
            process.wait()
        appended = [(float(at), int(count)) for at, _, count in (line.partition(" ") for line in said.read_text().splitlines())]
        take_over(place, segments, now_us=now_us())
        here = [one for one in hearts(place) if one >= first]
        safe = max((count for at, count in appended if at < killed_at - LOST_S_MAX), default=first)
        assert here == list(range(first, first + len(here))), "in order, without a gap, each once"
        assert first + len(here) >= safe > first
        expected += here
        first = appended[-1][1]
    assert hearts(place) == expected
    assert not list(segments.rglob("*.segment")), "what was brought in is gone"


async def _until_shipping(process: "subprocess.Popen[bytes]", lake: Path, said: Path, *, ships: bool) -> None:
    """It has appended for more than a second, and has made parts meanwhile if it makes any."""
    deadline = time.monotonic() + 60
    parts = sum(1 for _ in lake.rglob("*.parquet"))
    while not said.exists() or not said.read_text().count("\n"):
        assert process.poll() is None and time.monotonic() < deadline
        await asyncio.sleep(0.01)
    begun = float(said.read_text().partition(" ")[0])
    while time.monotonic() < begun + LOST_S_MAX + 0.3 or (ships and sum(1 for _ in lake.rglob("*.parquet")) == parts):
        assert process.poll() is None and time.monotonic() < deadline
        await asyncio.sleep(0.01)
