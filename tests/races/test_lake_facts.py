"""Facts on their way into the lake, while whoever brings them is killed again and again: none is lost, none is there twice."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from lakes import ZONE, open_lake
from laotie.base.db import Database
from laotie.base.ids import AccountId, OrderId, ShopId, new_id
from laotie.events.orders import Amounts
from laotie.lake import facts, list_parts
from laotie.lake.facts import Drain, MoneyKind, MoneyRow, money_id

KILLS = 6 if os.environ.get("TEST_PROVE") else 2
ROWS, BATCH = 200 * KILLS + 200, 50
PROGRAM = f"""
import asyncio, sys
from laotie.base.db import Database
from laotie.lake import Lake
from laotie.lake.facts import Drain

async def main():
    db = await Database.open(sys.argv[1], pool_max=4)
    drain = Drain(db, Lake(sys.argv[2], {ZONE!r}))
    print("ready", flush=True)
    sys.stdin.readline()
    while True:
        if not await drain.turn({BATCH}):
            await asyncio.sleep(0.01)

asyncio.run(main())
"""


async def test_facts_whose_bringer_is_killed_at_any_moment_are_in_the_lake_once(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    place = open_lake(tmp_path / "lake")
    rows = [_row(db) for _ in range(ROWS)]
    async with db.tx() as tx:
        await facts.keep_rows(tx, rows)
    command = [sys.executable, "-c", PROGRAM, database_url, place.url]
    bringers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(KILLS)]
    try:
        for number, bringer in enumerate(bringers):
            _let_go(bringer)
            _await_files(tmp_path / "lake", more_than=_count(tmp_path / "lake"))
            await asyncio.sleep(number * 0.004)  # at another moment each time
            os.kill(bringer.pid, signal.SIGKILL)
            bringer.wait()
    finally:
        for bringer in bringers:
            bringer.kill()
            bringer.wait()
    async with db.read() as tx:
        assert await facts.count_waiting(tx) > 0, "something is left to bring"
    await Drain(db, place).empty()
    found: Counter[bytes] = Counter()
    amount = 0
    for part in list_parts(place, "money"):
        table = pq.read_table(f"{place.root}/{part.path}", partitioning=None)
        found.update(table["id"].to_pylist())
        amount += sum(table["amount"].to_pylist())
    assert found == Counter(row.id.bytes for row in rows)
    assert amount == sum(row.amounts.amount for row in rows)
    async with db.read() as tx:
        assert await facts.count_waiting(tx) == 0
        assert await tx.tuples("SELECT * FROM lake.drain") == []


def _row(db: Database) -> MoneyRow:
    order_id = OrderId(new_id())
    return MoneyRow(
        id=money_id(order_id, MoneyKind.paid), at=db.clock.now(), kind=MoneyKind.paid, order_id=order_id,
        buyer_id=AccountId(new_id()), shop_id=ShopId(new_id()), show_id=None, streamer_id=None, visit_id=None,
        source="direct", placement="direct", campaign=None, is_fan=False, rule_version=1, currency="CNY",
        amounts=Amounts(goods=order_id.int % 10_000),
    )  # fmt: skip


def _let_go(bringer: subprocess.Popen[str]) -> None:
    assert bringer.stdout is not None and bringer.stdin is not None
    assert bringer.stdout.readline() == "ready\n"
    bringer.stdin.write("\n")
    bringer.stdin.flush()


def _count(directory: Path) -> int:
    return sum(1 for _ in directory.rglob("f-*.parquet"))


def _await_files(directory: Path, *, more_than: int) -> None:
    deadline = time.monotonic() + 30
    while _count(directory) <= more_than:
        assert time.monotonic() < deadline, "nothing is brought"
        time.sleep(0.001)
