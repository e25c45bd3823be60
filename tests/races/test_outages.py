"""The database gone, the disk full: the product says so, loses nothing, and recovers by itself."""

import asyncio
import os
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from laotie.bench.server import ServerUnderTest
from laotie.lake.verify import verify
from tests.races.storm import audit_finds_nothing, check_books, kill_postgres, lake_knows, make_asks, send_all
from tests.races.test_crash import open_hot_sale


async def keep_away(server: ServerUnderTest) -> None:
    """Kill the database, and again each time that the server has started it anew."""
    while True:
        if server.postgres.is_running:
            kill_postgres(server)
        await asyncio.sleep(0.1)


async def until(url: str, status: int, *, path: str = "/healthz", wait_s: float = 30) -> httpx.Response:
    deadline = time.monotonic() + wait_s
    async with httpx.AsyncClient(timeout=15) as http:
        while True:
            answer = await http.get(f"{url}{path}")
            if answer.status_code == status or time.monotonic() > deadline:
                assert answer.status_code == status, answer.text
                return answer
            await asyncio.sleep(0.2)


async def test_without_its_database_it_says_503_and_recovers_by_itself() -> None:
    with ServerUnderTest(viewer_buys_per_s="100000") as server:
        sale = await open_hot_sale(server.database_url)
        first = make_asks(buyers=10, each=20)
        await send_all([server], sale, first, wait_s=60)
        url = server.database_url
        keeper = asyncio.ensure_future(keep_away(server))
        sick = await until(server.url, 503)
        assert "database" in sick.json()["missing"]
        assert "retry-after" in sick.headers
        answer = await until(server.url, 503, path="/api/feed/discover")  # between two kills it may answer
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert answer.json()["type"] == "/problems/unavailable"
        assert int(answer.headers["retry-after"]) >= 1

        keeper.cancel()
        await until(server.url, 200, wait_s=60)
        again = make_asks(buyers=10, each=20)
        await send_all([server], sale, again, wait_s=60)
        assert all(ask.order_id for ask in again)
        check_books(url, sale, first + again, received=1_000_000)
        await audit_finds_nothing(url)


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system of its own is mounted, which only root may do")
async def test_on_a_full_disk_it_says_503_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = await asyncio.create_subprocess_exec("mount", "-t", "tmpfs", "-o", "size=900m", "tmpfs", str(disk))
    if await mounted.wait() != 0:
        pytest.skip("no file system can be mounted here")
    try:
        with ServerUnderTest(
            viewer_buys_per_s="100000", data_dir=str(disk / "data"), embedded_shared_buffers_mb="32"
        ) as server:
            sale = await open_hot_sale(server.database_url)
            first = make_asks(buyers=10, each=20)
            await send_all([server], sale, first, wait_s=60)
            ballast = disk / "ballast"
            fill(ballast)
            try:
                refused = make_asks(buyers=40, each=400)
                await send_all([server], sale, refused, wait_s=30)
                unanswered = [ask for ask in refused if ask.order_id is None]
                assert unanswered, "the disk was not full"
            finally:
                ballast.unlink()
            await until(server.url, 200, wait_s=60)
            await send_all([server], sale, refused, wait_s=90)
            without = Counter(ask.refused for ask in refused if ask.order_id is None)
            assert not without, f"asking again gets an order, not {without}"
            check_books(server.database_url, sale, first + refused, received=1_000_000)
            await audit_finds_nothing(server.database_url)
            lake = await lake_knows(server, orders=len(first + refused))
            assert verify(lake).is_sound, "nor is anything of it half-written"
    finally:
        unmounting = await asyncio.create_subprocess_exec("umount", "-l", str(disk))
        await unmounting.wait()


def fill(path: Path) -> None:
    """Take all the room there is."""
    with path.open("wb") as file:
        try:
            while True:
                file.write(b"\0" * 1_048_576)
                file.flush()
        except OSError:
            pass
