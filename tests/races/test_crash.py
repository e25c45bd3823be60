"""kill -9 in the middle of a sale: what was acknowledged is there, once, and asking again gets the first answer."""

import asyncio
import os
import random
import time

import pytest

from laotie.base.db import Database
from laotie.bench.market import HotSale, open_sale
from laotie.bench.server import ServerUnderTest
from tests.races.storm import Ask, Shopper, audit_finds_nothing, check_books, kill_postgres, make_asks, send_all

ASKS = 5_000
BUYERS = 50
TIMES = int(os.environ.get("TEST_CRASHES", "10"))
STOCK = 1_000_000


async def open_hot_sale(url: str, *, stock: int = STOCK, limit: int | None = 10_000) -> HotSale:
    db = await Database.open(url)
    try:
        return await open_sale(db, stock=stock, limit=limit, http_buyers=0)
    finally:
        await db.close()


async def storm_until_killed(
    server: ServerUnderTest, sale: HotSale, asks: list[Ask], kill: "Kill", *, wanted: int | None = None
) -> list[Shopper]:
    """Strike once so many orders have been answered (some number in the middle, if it is not said)."""
    storm = asyncio.ensure_future(send_all([server], sale, asks, wait_s=60))
    if wanted is None:
        wanted = random.Random(kill.number).randrange(1, ASKS * 2 // 3)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not storm.done():
        if sum(1 for ask in asks if ask.order_id is not None) >= wanted:
            break
        await asyncio.sleep(0.002)
    answered = sum(1 for ask in asks if ask.order_id is not None)
    assert 0 < answered < len(asks), "the fault must strike in the middle"
    kill(server)
    return await storm


class Kill:
    """The fault: SIGKILL to the server, or to PostgreSQL and all its processes."""

    def __init__(self, whom: str, number: int) -> None:
        self.whom, self.number = whom, number

    def __call__(self, server: ServerUnderTest) -> None:
        if self.whom == "server":
            server.kill()
        else:
            kill_postgres(server)


@pytest.mark.parametrize("whom", ["server", "postgres"])
async def test_kill_9_in_a_storm_loses_nothing_and_doubles_nothing(whom: str) -> None:
    with ServerUnderTest(viewer_buys_per_s="100000") as server:
        sale = await open_hot_sale(server.database_url)
        everything: list[Ask] = []
        for number in range(TIMES):
            asks = make_asks(buyers=BUYERS, each=ASKS // BUYERS)
            everything += asks
            await storm_until_killed(server, sale, asks, Kill(whom, number))
            if whom == "server":
                server.start()
            else:
                server.wait_until_ready()  # it starts its database again by itself
            before = {ask.client_id: ask.order_id for ask in asks}
            shoppers = await send_all([server], sale, asks, wait_s=60)
            assert not any(shopper.contradictions for shopper in shoppers)
            assert all(ask.order_id is not None for ask in asks), "asking again gets an order"
            assert all(ask.order_id == before[ask.client_id] for ask in asks if before[ask.client_id] is not None)
            figures = check_books(server.database_url, sale, everything, received=STOCK)
            assert figures["orders"] == len(everything)
        await audit_finds_nothing(server.database_url)
