"""kill -9 in the middle of a batch of payouts, wherever it stands: gone on with, nothing paid twice, nothing skipped."""

import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from bursary import Bursary
from laotie.base.db import Database
from laotie.base.ids import new_id
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.identity import Actor
from laotie.settlement import BatchState
from laotie.settlement.payouts import work_payouts
from tests.races import payer
from tests.races.payer import RETURNED_EVERY

ROOT = Path(__file__).parents[2]
OWNERS = 24

PROGRESS = {
    "draft": "SELECT count(*) FROM settlement.payout WHERE batch_id = %s",
    "send": "SELECT count(*) FROM settlement.payout WHERE batch_id = %s AND state <> 'drafted'",
    "results": "SELECT count(*) FROM settlement.payout WHERE batch_id = %s AND state IN ('paid', 'returned')",
    "discard": "SELECT count(*) FROM settlement.payout WHERE batch_id = %s AND state = 'withheld'",
}


async def kill_in(url: str, act: str, batch_id: UUID, actor: Actor, *, seed: int) -> int:
    """Have another process do it, and kill that somewhere in the middle; how far it had come."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.races.payer", url, act, str(batch_id), str(actor.account_id),
        cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"},
    )  # fmt: skip
    with psycopg.connect(url, autocommit=True) as connection:
        before = _count(connection, act, batch_id)
        wanted = before + random.Random(seed).randrange(1, max(2, (OWNERS - before) // 2))
        deadline = time.monotonic() + 60
        while _count(connection, act, batch_id) < wanted and process.returncode is None:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.001)
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()
        reached = _count(connection, act, batch_id)
    assert process.returncode == -signal.SIGKILL and before < reached < OWNERS, "the fault must strike in the middle"
    return reached


def _count(connection: psycopg.Connection, act: str, batch_id: UUID) -> int:
    row = connection.execute(PROGRESS[act], (batch_id,)).fetchone()  # type: ignore[call-overload]
    assert row is not None
    return int(row[0])


@pytest.fixture
async def bursary(db: Database, signer: Signer) -> Bursary:
    bursary = Bursary(db, Settings(payout_draft_hour=-1), signer)
    for number in range(OWNERS):
        await bursary.ready(owed=1_000 + number)
    return bursary


async def go_on(bursary: Bursary, batch_id: UUID, state: BatchState) -> None:
    """What the worker of the next process does."""
    for _ in range(OWNERS * 2):
        if not await work_payouts(bursary.db, bursary.settings):
            break
    assert (await bursary.batch(batch_id)).state is state


async def test_a_batch_that_is_killed_at_every_step_pays_everybody_once(bursary: Bursary, database_url: str) -> None:
    one, two, batch_id = await bursary.operator(), await bursary.operator(), new_id()
    total = sum(1_000 + number for number in range(OWNERS))
    await kill_in(database_url, "draft", batch_id, one, seed=0)
    await bursary.check_books()
    await go_on(bursary, batch_id, BatchState.drafted)
    batch = await bursary.batch(batch_id)
    assert (batch.counts, batch.amounts) == ({"drafted": OWNERS}, {"drafted": total})
    await bursary.approve(two, batch)
    await kill_in(database_url, "send", batch_id, one, seed=1)
    await bursary.check_books()
    await go_on(bursary, batch_id, BatchState.sent)
    await kill_in(database_url, "results", batch_id, one, seed=2)
    await bursary.check_books()
    await payer.main(database_url, "results", str(batch_id), str(one.account_id))  # the same file once more
    batch = await bursary.batch(batch_id)
    returned = len(range(0, OWNERS, RETURNED_EVERY))
    assert (batch.state, batch.counts) == (BatchState.closed, {"paid": OWNERS - returned, "returned": returned})
    with psycopg.connect(database_url) as connection:
        told = connection.execute(
            "SELECT tag, count(*), count(DISTINCT body::text) FROM base.outbox WHERE tag LIKE 'payout.%' GROUP BY 1 ORDER BY 1"
        ).fetchall()
    assert told == [
        ("payout.paid", OWNERS - returned, OWNERS - returned), ("payout.returned", returned, returned),
        ("payout.sent", OWNERS, OWNERS),
    ]  # fmt: skip
    await bursary.check_books()


@pytest.mark.prove
async def test_a_batch_that_is_killed_while_it_is_given_up_gives_everything_back(
    bursary: Bursary, database_url: str
) -> None:
    one = await bursary.operator()
    batch = await bursary.draft(one)
    await kill_in(database_url, "discard", batch.id, one, seed=3)
    await go_on(bursary, batch.id, BatchState.discarded)
    assert (await bursary.batch(batch.id)).counts == {"withheld": OWNERS}
    await bursary.check_books()
