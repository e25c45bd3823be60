"""Ten thousand hands for one red packet, on a PostgreSQL that keeps its promises; and kill -9 in the middle of it."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from laotie import audit, catalog, fun, identity, ledger, live, payments
from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.ids import AccountId, PaymentId, RoomId, ShopId, ShowId, ViewerId, new_id
from laotie.base.migrate import migrate
from laotie.base.money import Money
from laotie.base.outbox import Relay
from laotie.base.postgres import EmbeddedPostgres
from laotie.payments.hearing import take_in
from laotie.payments.provider import Report, ReportKind
from laotie.worker.loops import all_reactions

GRABS = 10_000
PEOPLE = 8_000
SHARES = 3_000
AMOUNT = 1_000_000


@pytest.fixture(scope="module")
def durable_url() -> Iterator[str]:
    """A server of its own that waits for its disk, as in production."""
    with tempfile.TemporaryDirectory(prefix="laotie-race-", ignore_cleanup_errors=True) as data:
        server = EmbeddedPostgres(Path(data), shared_buffers_mb=256)
        url = server.start()
        migrate(url)
        try:
            yield url
        finally:
            server.stop()


@pytest.fixture
async def durable(durable_url: str) -> AsyncIterator[Database]:
    db = await Database.open(durable_url, pool_max=8)
    yield db
    await db.close()


async def open_packet(db: Database, *, shares: int = SHARES, amount: int = AMOUNT) -> fun.ActivityId:
    """A streamer who is live, with money, and a red packet open for an hour."""
    owner_id = AccountId(new_id())
    owner = identity.Actor(viewer_id=ViewerId(owner_id), account_id=owner_id, seat_holder_id=owner_id)
    show_id, shop_id, payment_id = ShowId(new_id()), ShopId(new_id()), PaymentId(new_id())
    async with db.tx() as tx:
        await identity.create_account(tx, owner_id, handle=f"o{owner_id.hex[-12:]}", password_hash="unused", name="o")
        await catalog.open_shop(tx, owner_id, shop_id, catalog.ShopDraft(name="shop", currency="CNY"))
        await live.open_room(tx, owner, RoomId(new_id()), shop_id=shop_id, title="room")
        await live.plan_show(tx, owner, live.ShowDraft(id=show_id, title="show"))
        await live.start_show(tx, owner, show_id)
        await payments.start_topup(
            tx, payment_id=payment_id, buyer_id=owner_id, wallet_id=owner_id, money=Money(amount, "CNY"), provider="sandbox"
        )
        captured = Report(
            event_id=str(new_id()),
            kind=ReportKind.captured,
            name="payment.captured",
            payment_id=payment_id,
            money=Money(amount, "CNY"),
        )
        await take_in(tx, "sandbox", captured, b"")
    await Relay(db, LocalBus(), all_reactions()).drain()
    draft = fun.Draft(
        id=fun.ActivityId(new_id()),
        kind=fun.Kind.red_packet,
        title="10,000 hands",
        duration_s=3_600,
        packet=fun.PacketDraft(Money(amount, "CNY"), shares),
    )
    async with db.tx() as tx:
        await fun.plan_activity(tx, owner, show_id, draft)
        await fun.start_activity(tx, owner, draft.id, spend_per_day_max=amount)
    return draft.id


async def check(db: Database, packet: fun.ActivityId, *, amount: int = AMOUNT) -> tuple[int, int]:
    """What people got: one share each, from the escrow, to the cent. Returns how many shares, and their sum."""
    async with db.read() as tx:
        wallets = await ledger.list_balances(tx, ledger.AccountKind.wallet)
        escrow = await ledger.get_balance(tx, ledger.Account(ledger.AccountKind.escrow, "CNY", packet))
        rows = await tx.tuples("SELECT viewer_id, amount FROM fun.entry WHERE activity_id = %(id)s", id=packet)
    got = dict(rows)
    assert len(got) == len(rows)
    paid = {account.owner_id: held for account, held in wallets.items()}
    assert all(paid[viewer_id] == share for viewer_id, share in got.items())
    assert sum(got.values()) + escrow.posted == amount
    assert min(got.values(), default=1) >= 1
    return len(got), sum(got.values())


async def audit_finds_nothing(db: Database) -> None:
    await Relay(db, LocalBus(), all_reactions()).drain()
    assert (await audit.take_tallies(db)).findings == []


async def test_ten_thousand_hands_take_the_packet_to_the_cent_and_nobody_twice(durable: Database) -> None:
    packet = await open_packet(durable)
    desks = [fun.Desk(durable), fun.Desk(durable)]  # as two processes have them
    people = [ViewerId(new_id()) for _ in range(PEOPLE)]
    hands = [people[number % PEOPLE] for number in range(GRABS)]
    started = time.perf_counter()
    answers = await asyncio.gather(
        *(
            desks[number % 2].enter(fun.Ask(subject_id=packet, viewer_id=viewer, has_account=True, nonce=f"{number}"))
            for number, viewer in enumerate(hands)
        ),
        return_exceptions=True,
    )
    seconds = time.perf_counter() - started
    print(f"{GRABS} grabs in {seconds:.2f} s")
    shares, total = await check(durable, packet)
    assert (shares, total) == (SHARES, AMOUNT)
    entered = [one for one in answers if isinstance(one, fun.Entered)]
    assert len({one.no for one in entered}) == SHARES
    assert {type(one).__name__ for one in answers} == {"Entered", "AllTaken"}
    assert await fun.work_deadlines(durable) == 1
    durable.clock.advance(seconds=2)
    assert await fun.work_deadlines(durable) == 1
    async with durable.read() as tx:
        proof = await fun.get_proof(tx, packet)
    assert all(finding.holds for finding in fun.draw.verify(proof))
    await audit_finds_nothing(durable)


GRABBER = """
import asyncio, sys
from uuid import UUID
from laotie import fun
from laotie.base.db import Database
from laotie.base.ids import ViewerId

async def main(url, packet, first, count):
    db = await Database.open(url, pool_max=4)
    desk = fun.Desk(db, batch_max=16)
    async def grab(number):
        answer = await desk.enter(fun.Ask(subject_id=packet, viewer_id=ViewerId(UUID(int=number)), has_account=True))
        print(number, answer.amount.amount, flush=True)
    await asyncio.gather(*(grab(first + number) for number in range(count)))

asyncio.run(main(sys.argv[1], UUID(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
"""


async def test_kill_9_in_the_middle_of_the_grabs_pays_nobody_twice_and_loses_nothing(
    durable_url: str, durable: Database
) -> None:
    packet = await open_packet(durable, shares=2_000, amount=100_000)
    for round_ in range(2):
        told: dict[int, int] = {}
        process = subprocess.Popen(
            [sys.executable, "-c", GRABBER, durable_url, str(packet), "1", "1500"], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for line in process.stdout:
            number, amount = map(int, line.split())
            told[number] = amount
            if len(told) >= (150, 700)[round_]:
                break
        os.kill(process.pid, signal.SIGKILL)
        for line in process.stdout:
            if line.endswith("\\n") and len(line.split()) == 2:
                told[int(line.split()[0])] = int(line.split()[1])
        process.wait()
        await _settled(durable_url)
        await check(durable, packet, amount=100_000)
        async with durable.read() as tx:
            rows = await tx.tuples("SELECT viewer_id, amount FROM fun.entry WHERE activity_id = %(id)s", id=packet)
        kept = {viewer_id.int: amount for viewer_id, amount in rows}
        assert all(kept[number] == amount for number, amount in told.items()), "who was answered has it"
    desk = fun.Desk(durable)
    again = await asyncio.gather(
        *(
            desk.enter(fun.Ask(subject_id=packet, viewer_id=ViewerId(kept_id), has_account=True))
            for kept_id in [row[0] for row in rows]
        )
    )
    assert all(one.again for one in again)
    shares, _ = await check(durable, packet, amount=100_000)
    assert shares == len(rows)
    await audit_finds_nothing(durable)


async def _settled(url: str) -> None:
    """The dead process's transactions are over."""
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(500):
            busy = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE '%transaction%'"
            ).fetchone()
            if busy == (0,):
                return
            await asyncio.sleep(0.01)
    raise AssertionError("a transaction never ends")
