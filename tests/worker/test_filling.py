"""A house from before there was a lake: it fills itself, in pieces, also after it was killed, and says how far it is."""

from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from structlog.testing import capture_logs

from deeds import read
from lakes import open_lake
from laotie.base.db import Database
from laotie.base.signer import Signer
from laotie.lake import Lake, rebuild
from laotie.lake.facts import Drain
from laotie.worker.filling import fill, list_lacking
from market import Market, open_market


@pytest.fixture
async def market(db: Database, signer: Signer) -> AsyncIterator[Market]:
    async with open_market(db, signer) as opened:
        item = await opened.add_item(stock=100, price=990)
        for number in range(6):
            order_id = await opened.place(buyer := await opened.buyer(), item)
            await (opened.pay if number % 2 else opened.cancel)(buyer, order_id)
        await opened.settle()
        yield opened


@pytest.fixture
def place(tmp_path: Path) -> Lake:
    return open_lake(tmp_path / "lake")


def facts_in(place: Lake, topic: str = "money") -> pa.Table:
    return read(place, topic).sort_by("id")


async def nothing() -> None:
    """Nobody wants the processor."""


async def forget(db: Database) -> None:
    """As an upgrade finds it: orders, and a lake that hears of what comes from now on."""
    async with db.tx() as tx:
        await tx.run("DELETE FROM lake.waiting")
        await tx.run("UPDATE lake.complete SET since = %(now)s", now=tx.now)


async def test_what_was_sold_before_the_upgrade_gets_into_the_lake_by_itself(
    market: Market, place: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db, whole = market.db, open_lake(tmp_path / "told")
    await Drain(db, whole).empty()
    await forget(db)
    monkeypatch.setattr(rebuild, "ROWS_A_WRITE", 4)
    put, left = rebuild._put, 2

    def put_or_die(*args: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise RuntimeError("killed")
        return put(*args)

    with monkeypatch.context() as patched:
        patched.setattr(rebuild, "_put", put_or_die)
        with pytest.raises(RuntimeError):
            await fill(db, place, give_way=nothing)
    assert facts_in(place).num_rows == 0 and await list_lacking(db, place) == ["follow", "money", "person", "show"]

    async def sell_meanwhile() -> None:
        nonlocal left
        if left < 0:
            left = 0
            await market.place(await market.buyer(), await market.add_item(stock=5))
            await market.settle()

    with capture_logs() as logs:
        assert len(await fill(db, place, give_way=sell_meanwhile)) == 4
        assert await fill(db, place, give_way=nothing) == [], "once"
    told = [(line["event"], line.get("topic")) for line in logs]
    assert told[0] == ("the lake lacks what the books know; it is filled in the background", None)
    assert ("the lake is being filled", "money") in told and ("the lake has all of a topic", "money") in told
    await Drain(db, whole).empty()
    await Drain(db, place).empty()
    expected, found = facts_in(whole), facts_in(place)
    assert len(expected) == 12 and len(found) == 13, "and the one that was sold meanwhile, which the other lake has not heard of"
    assert set(expected["id"].to_pylist()) < set(found["id"].to_pylist())
    assert len(set(found["id"].to_pylist())) == 13
    assert facts_in(place, "show").equals(facts_in(whole, "show"))


async def test_a_lake_in_a_new_place_is_filled_and_a_fresh_house_is_left_alone(market: Market, place: Lake) -> None:
    db = market.db
    assert await list_lacking(db, place) == [], "facts wait"
    async with db.tx() as tx:
        await tx.run("DELETE FROM lake.waiting")
    assert await list_lacking(db, place) == [], "its orders are of this hour"
    db.clock.advance(seconds=3_700)
    assert await list_lacking(db, place) == ["money", "show", "follow", "person"]
    await fill(db, place, give_way=nothing)
    assert facts_in(place).num_rows == 12
    assert await list_lacking(db, place) == []


async def test_one_process_fills(market: Market, place: Lake) -> None:
    await forget(market.db)
    async with market.db.tx() as other:
        await other.run("SELECT pg_advisory_xact_lock(%(key)s)", key=rebuild.FILL_LOCK)
        assert await fill(market.db, place, give_way=nothing) == []


async def test_the_migration_tells_whose_shows_earlier_orders_were_bought_in(market: Market, place: Lake) -> None:
    upkeep = import_module("laotie.base.migrations.versions.0041_upkeep_of_the_lake")
    await forget(market.db)
    async with market.db.tx() as tx:
        await tx.run("UPDATE orders.\"order\" SET streamer_id = NULL")
        await tx.run(upkeep.STREAMERS)
    await fill(market.db, place, give_way=nothing)
    assert set(facts_in(place)["streamer_id"].to_pylist()) == {market.owner.signed_in().bytes}
