"""A process is killed and its disk is lost: who holds the watermark is named, and an operator lets it go on."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from deeds import likes
from lakes import ZONE, open_lake
from laotie.audit.lake import check_current
from laotie.audit.model import Look
from laotie.base.bus import LocalBus
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, ViewerId, new_id
from laotie.base.outbox import ATTEMPTS_MAX, Relay, list_parked, together
from laotie.cli import lake as commands
from laotie.cli import lake_lost, outbox
from laotie.events.identity import GuestMerged
from laotie.lake import SEGMENTS, Lake, facts, note_in, open_sink, watermark
from laotie.lake.holders import SILENT, ActsAreHere, HolderKind, NoSuchProcess, ProcessLives, declare_lost, list_holders

PROGRAM = f"""
import asyncio, sys
from pathlib import Path
from deeds import likes
from laotie.base.db import Database
from laotie.lake import Lake, note_in, open_sink

async def main():
    directory = Path(sys.argv[3])
    db = await Database.open(sys.argv[1], pool_max=2)
    sink = open_sink(Lake(sys.argv[2], {ZONE!r}), directory, part_every_s=3600, note=note_in(db, directory))
    await sink.start()
    while not await sink.ship():
        pass
    for act in likes(0, 20):
        sink.append(act)
    await sink.flush()
    print(sink.name, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.fixture
def killed(database_url: str, tmp_path: Path) -> Iterator[str]:
    """The name of a process that was killed with acts on its disk."""
    command = [sys.executable, "-c", PROGRAM, database_url, (tmp_path / "lake").as_uri(), str(tmp_path / SEGMENTS)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        name = process.stdout.readline().strip()
        assert name, "it has written its acts"
        os.kill(process.pid, signal.SIGKILL)
        yield name
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def data(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAOTIE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("LAOTIE_DATABASE_URL", database_url)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    return msgspec.json.decode(capsys.readouterr().out.splitlines()[-1])


async def test_a_lost_disk_is_named_and_let_go(db: Database, killed: str, data: Path) -> None:
    async def behind_s() -> float:
        async with db.tx() as tx:
            return (facts.microseconds(tx.now) - await watermark(tx)) / 1_000_000

    segments = data / SEGMENTS
    async with db.tx() as tx:
        (held,) = await list_holders(tx)
        assert (held.kind, held.name, held.place) == (HolderKind.process, killed, str(segments / killed)) and held.of
        with pytest.raises(ProcessLives):
            await declare_lost(tx, killed, directory=segments)
    db.clock.advance(seconds=7_200)
    assert await behind_s() > 7_000, "it stands still"
    async with db.tx() as tx:
        with pytest.raises(ActsAreHere):
            await declare_lost(tx, killed, directory=segments)
    shutil.rmtree(segments / killed)
    lake = open_lake(data / "lake")
    lake.behind_s_max = 0
    async with db.read() as tx:
        (wrong,) = (await check_current(Look(tx, lake=lake))).wrong
        assert wrong.subject == f"process {killed}" and f"laotie lake declare-lost {killed}" in wrong.found
        lake.behind_s_max = 3_600
        assert not (await check_current(Look(tx, lake=lake))).wrong, "by the wall it has just been heard of"
    async with db.tx() as tx:
        lost = await declare_lost(tx, killed, directory=segments)
        assert lost.since == held.since
        with pytest.raises(NoSuchProcess):
            await declare_lost(tx, killed, directory=segments)
    assert await behind_s() < 60


def test_the_commands_name_it_let_it_go_and_write_it_down(
    killed: str, data: Path, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(data / SEGMENTS / killed)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE lake.process SET told_at = told_at - %s, until_at = until_at - %s", [SILENT, timedelta(days=1)])
        commands.inspect(as_json=True)
        mark = said(capsys)["watermark"]
        assert mark["behind_s"] > 86_000 and [one["name"] for one in mark["holders"]] == [killed]
        commands.inspect()
        assert f"laotie lake declare-lost {killed} --reason" in capsys.readouterr().out
        lake_lost.declare_lost(killed, reason="the machine burnt")
        assert f"Process {killed}" in capsys.readouterr().out
        entries = connection.execute("SELECT act, subject, detail ->> 'reason' FROM identity.audit_entry").fetchall()
        assert entries == [("lake.process_lost", killed, "the machine burnt")]
        commands.inspect(as_json=True)
        assert said(capsys)["watermark"]["behind_s"] < 60


async def test_a_process_whose_lake_takes_nothing_is_heard_of_and_not_given_up(db: Database, tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("a file where the lake should be")
    sink = open_sink(Lake((tmp_path / "lake").as_uri(), ZONE), tmp_path / SEGMENTS, clock=db.clock, note=note_in(db))
    await sink.start()
    for act in likes(0, 1):
        sink.append(act)
    db.clock.advance(seconds=3_600)
    assert not await sink.ship()
    async with db.tx() as tx:
        (held,) = await list_holders(tx)
        assert held.since < db.clock.now() - timedelta(seconds=3_500)
        with pytest.raises(ProcessLives):
            await declare_lost(tx, held.name, directory=tmp_path / "elsewhere")
    (tmp_path / "lake").unlink()
    await sink.close()


async def test_a_parked_fact_is_shown_with_why_and_carried_when_it_is_tried_again(
    db: Database, data: Path
) -> None:
    is_mended = False

    async def keep(tx: Tx, told: list[Any]) -> None:
        if not is_mended:
            raise ValueError("a bug of this release")
        await facts.keep(tx, told)

    relay = Relay(db, LocalBus(), [together([GuestMerged], keep)])
    async with db.tx() as tx:
        tx.tell(GuestMerged(guest_id=ViewerId(new_id()), account_id=AccountId(new_id())))
    async with db.tx() as tx:
        await tx.run("UPDATE base.outbox SET attempts = %(tries)s", tries=ATTEMPTS_MAX - 1)
    assert await relay.turn() == 1
    db.clock.advance(seconds=3_601)
    assert await relay.turn() == 0
    async with db.tx() as tx:
        (parked,) = await list_parked(tx)
        (held,) = await list_holders(tx)
        assert held.is_parked and held.name == str(parked.id) and "a bug of this release" in str(held.error)
        assert facts.microseconds(parked.told_at) >= await watermark(tx)
    found = await outbox._list()
    assert [one.id for one in found] == [parked.id] and "a bug" in str(found[0].error)
    is_mended = True
    assert [one.id for one in await outbox._retry([parked.id])] == [parked.id]
    assert await outbox._retry(None) == []
    assert await relay.turn() == 1
    async with db.read() as tx:
        assert await facts.count_waiting(tx) == 1
        assert await tx.all(str, "SELECT act FROM identity.audit_entry") == ["outbox.fact_retried"]
