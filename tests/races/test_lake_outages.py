"""A running service whose lake's disk is full, and whose database is gone meanwhile: it sells, says so, and makes up for it."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from deeds import read
from laotie.bench.server import ServerUnderTest
from laotie.lake.verify import verify
from tests.races.storm import check_books, kill_postgres, lake_knows, make_asks, send_all
from tests.races.test_crash import open_hot_sale
from tests.races.test_outages import fill, keep_away, until

pytestmark = pytest.mark.prove
WAIT_S = 60.0


@pytest.fixture
async def small_disk(tmp_path: Path) -> AsyncIterator[Path]:
    disk = tmp_path / "small"
    disk.mkdir()
    if os.geteuid() != 0:
        pytest.skip("a file system of its own is mounted, which only root may do")
    mounted = await asyncio.create_subprocess_exec("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk))
    if await mounted.wait() != 0:
        pytest.skip("no file system can be mounted here")
    yield disk
    unmounting = await asyncio.create_subprocess_exec("umount", "-l", str(disk))
    await unmounting.wait()


async def health(server: ServerUnderTest, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What it says of itself, once it is as wanted."""
    until_s = time.monotonic() + WAIT_S
    async with httpx.AsyncClient(base_url=server.url, timeout=15) as http:
        while True:
            said: dict[str, Any] = (await http.get("/healthz")).json()
            if wanted(said):
                return said
            assert time.monotonic() < until_s, said
            await asyncio.sleep(0.2)


def count_orders(server: ServerUnderTest) -> int:
    with psycopg.connect(server.database_url) as connection:
        row = connection.execute('SELECT count(*) FROM orders."order"').fetchone()
    assert row is not None
    return int(row[0])


def lines(server: ServerUnderTest) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]


async def test_on_a_full_lake_it_sells_says_so_and_brings_everything_in_when_there_is_room(small_disk: Path) -> None:
    url = (small_disk / "lake").as_uri()
    with ServerUnderTest(viewer_buys_per_s="100000", lake_url=url, lake_part_every_s="0.5") as server:
        sale = await open_hot_sale(server.database_url)
        first = make_asks(buyers=5, each=10)
        await send_all([server], sale, first, wait_s=60)
        assert all(ask.order_id for ask in first)
        lake = await lake_knows(server, orders=50)
        fill(small_disk / "ballast")

        second = make_asks(buyers=20, each=10)
        await send_all([server], sale, second, wait_s=60)
        assert all(ask.order_id for ask in second), "nobody who buys hears of it"
        ill = await health(server, lambda said: len(said["ailing"]) == 2)
        assert ill["status"] == "ready" and not ill["missing"]
        assert all("takes nothing" in why and "No space left" in why for why in ill["ailing"].values()), ill
        async with httpx.AsyncClient(base_url=server.url, timeout=15) as http:
            assert "laotie_lake_takes 0.0" in (await http.get("/metrics")).text

        kill_postgres(server)  # and now the database too
        await until(server.url, 200, wait_s=60)
        third = make_asks(buyers=5, each=10)
        await send_all([server], sale, third, wait_s=60)
        assert all(ask.order_id for ask in third)

        (small_disk / "ballast").unlink()
        await health(server, lambda said: not said["ailing"])
        assert count_orders(server) == 300
        await lake_knows(server, orders=300)
        check_books(server.database_url, sale, first + second + third, received=1_000_000)
        visits = read(lake, "visit").num_rows
        assert visits == 30, "everybody's coming too"
        assert verify(lake).is_sound
        assert len([line for line in lines(server) if line["level"] == "error" and "lake" in line["event"]]) <= 4, "said once"


async def test_while_its_database_is_gone_behaviour_waits_and_gets_into_the_lake_with_the_facts() -> None:
    with ServerUnderTest(viewer_buys_per_s="100000", lake_part_every_s="0.5") as server:
        sale = await open_hot_sale(server.database_url)
        first = make_asks(buyers=5, each=4)
        await send_all([server], sale, first, wait_s=60)
        keeper = asyncio.ensure_future(keep_away(server))
        await until(server.url, 503)
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
            assert (await http.get("/api/status")).status_code == 503
        keeper.cancel()
        await until(server.url, 200, wait_s=60)
        again = make_asks(buyers=5, each=4)
        await send_all([server], sale, again, wait_s=60)
        lake = await lake_knows(server, orders=40)
        check_books(server.database_url, sale, first + again, received=1_000_000)
        await health(server, lambda said: not said["ailing"] and not said["missing"])
        assert read(lake, "visit").num_rows == 10
        assert verify(lake).is_sound
