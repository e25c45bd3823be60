"""kill -9 while failed teams are dissolved: everybody's money and every piece come back, once."""

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from laotie import audit, ledger, orders
from laotie.base.db import Database
from laotie.base.signer import Signer
from market import Market, open_market
from teams import join, open_offer, open_team, stock

TEAMS, SIZE, DEATHS = 12, 3, 4

WORKER = """
import asyncio, sys
from laotie import orders
from laotie.base.clock import Clock
from laotie.base.db import Database

async def main():
    clock = Clock()
    clock.advance(seconds=int(sys.argv[2]))
    db = await Database.open(sys.argv[1], clock=clock, pool_max=2)
    print("begun", flush=True)
    while await orders.work_teams(db):
        pass

asyncio.run(main())
"""


@pytest.fixture
async def market(db: Database, signer: Signer) -> AsyncIterator[Market]:
    async with open_market(db, signer) as opened:
        yield opened


async def test_kill_9_while_teams_are_dissolved_gives_everything_back_once(market: Market, database_url: str) -> None:
    offer = await open_offer(market, size=SIZE, stock=100, limit=99, gather_hours=1)
    bought = []
    for _ in range(TEAMS):
        anna, ben = await market.buyer(), await market.buyer()
        team = await open_team(market, anna, offer)
        bought.append((anna, await join(market, anna, offer, team.id)))
        await market.start_and_pay(*bought[-1])
        bought.append((ben, await join(market, ben, offer, team.id)))
    waited = 3601
    market.db.clock.advance(seconds=waited)
    chance = random.Random(7)
    for _ in range(DEATHS):
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, database_url, str(waited + 60)], stdout=subprocess.PIPE, text=True
        )
        assert worker.stdout is not None
        assert await asyncio.to_thread(worker.stdout.readline) == "begun\n"
        await asyncio.sleep(chance.uniform(0.0, 0.06))
        worker.kill()
        await asyncio.to_thread(worker.wait)
    while await orders.work_teams(market.db):
        pass
    await market.settle()
    states = [(await market.order(buyer, order_id)).state for buyer, order_id in bought]
    assert states == [orders.OrderState.refunded, orders.OrderState.cancelled] * TEAMS
    assert await stock(market, offer.prices[0].sku_id) == (100, 0, 0)
    async with market.db.read() as tx:
        given = await tx.one(int, "SELECT count(*) FROM orders.given_back")
    assert given == TEAMS
    assert (await market.balance(ledger.AccountKind.shop_held)).posted == 0
    market.db.clock.advance(seconds=60)
    await market.settle()
    assert (await audit.take_tallies(market.db)).findings == []
