"""kill -9 in the middle of a settlement: it is gone on with, nothing is settled twice, nothing is left out."""

import asyncio
import random
import subprocess
import sys

from laotie import settlement
from laotie.base.db import Database
from laotie.bench.settlement import RULES, check, fill, open_parties

ORDERS, SIZE, DEATHS = 12_000, 400, 4

WORKER = """
import asyncio, sys
from laotie import settlement
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.bench.settlement import RULES

async def main():
    clock = Clock()
    clock.advance(seconds=3600)
    db = await Database.open(sys.argv[1], clock=clock, pool_max=2)
    print("begun", flush=True)
    await settlement.settle_due(db, RULES, size=int(sys.argv[2]))

asyncio.run(main())
"""


async def test_kill_9_in_the_middle_of_a_settlement_settles_every_order_once(db: Database, database_url: str) -> None:
    shops, streamers = await open_parties(db)
    paid = await fill(db, ORDERS, shops, streamers)
    chance = random.Random(11)
    left: list[int] = []
    for _ in range(DEATHS):
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, database_url, str(SIZE)], stdout=subprocess.PIPE, text=True
        )
        assert worker.stdout is not None
        assert await asyncio.to_thread(worker.stdout.readline) == "begun\n"
        begun = left[-1] if left else ORDERS
        while await _count_due(db) == begun and worker.poll() is None:
            await asyncio.sleep(0.005)
        await asyncio.sleep(chance.uniform(0.0, 0.05))
        worker.kill()
        await asyncio.to_thread(worker.wait)
        left.append(await _count_due(db))
    assert sum(0 < count < ORDERS for count in left) > 1, f"too few deaths came in the middle: {left}"
    db.clock.advance(seconds=3600)
    while await settlement.settle_due(db, RULES):
        pass
    async with db.read() as tx:
        tally = await settlement.tally(tx)
        orders, lines = (await tx.tuples("SELECT count(DISTINCT order_id), count(*) FROM settlement.line"))[0]
        moved = await tx.one(int, "SELECT sum(amount)::bigint FROM ledger.transfer WHERE reason = 'settled'")
    assert (orders, lines, tally.claims, tally.twice, tally.split_off) == (ORDERS, ORDERS, 0, [], [])
    assert moved == paid
    assert await check(db) == 0


async def _count_due(db: Database) -> int:
    async with db.read() as tx:
        return await tx.one(int, "SELECT count(*) FROM settlement.due")
