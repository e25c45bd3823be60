"""A drain that stops between writing a batch and letting it go: what commits late, is merged or told again meanwhile is not lost."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lakes import open_lake
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, OrderId, ShopId, new_id
from laotie.events.orders import Amounts
from laotie.lake import Lake, compaction, facts, list_parts, rebuild, verify
from laotie.lake.facts import Drain, MoneyKind, MoneyRow, money_id
from laotie.lake.rebuild import Source

MINUTE_US = 60_000_000


@pytest.fixture
def place(tmp_path: Path) -> Lake:
    return open_lake(tmp_path / "lake")


@pytest.fixture
def dying(db: Database, place: Lake, monkeypatch: pytest.MonkeyPatch) -> Drain:
    """A drain that dies whenever it has written."""
    drain = Drain(db, place)

    async def die(*_: Any) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(drain, "_forget", die)
    return drain


def paid(db: Database) -> MoneyRow:
    order_id = OrderId(new_id())
    return MoneyRow(
        id=money_id(order_id, MoneyKind.paid), at=db.clock.now(), kind=MoneyKind.paid, order_id=order_id,
        buyer_id=AccountId(new_id()), shop_id=ShopId(new_id()), show_id=None, streamer_id=None, visit_id=None,
        source="direct", placement="direct", campaign=None, is_fan=False, rule_version=1, currency="CNY",
        amounts=Amounts(goods=100),
    )  # fmt: skip


def read_ids(place: Lake) -> list[bytes]:
    """The ids of all rows of money that count."""
    tables = [pq.read_table(f"{place.root}/{part.path}", partitioning=None) for part in list_parts(place, "money")]
    return [id_ for table in tables for id_ in table["id"].to_pylist()]


def merge(db: Database, place: Lake, *, minutes: int = 0) -> None:
    """All hours, as if it were so much later."""
    compaction.compact(place, now_us=db.clock.now_us() + minutes * MINUTE_US)


async def write_and_die(drain: Drain) -> None:
    with pytest.raises(RuntimeError):
        await drain.turn()


@pytest.mark.parametrize("merged_after", [None, 150, 4 * 24 * 60], ids=["not", "its-hour", "its-day"])
async def test_a_row_that_commits_after_a_later_one_is_not_lost_with_the_batch_before_it(
    db: Database, place: Lake, dying: Drain, merged_after: int | None
) -> None:
    first, early, late = paid(db), paid(db), paid(db)
    async with db.tx() as tx:
        await facts.keep_rows(tx, [first])
    await Drain(db, place).empty()
    async with db.tx() as slow:
        await facts.keep_rows(slow, [early])  # has the lower number, and is not to be seen yet
        async with db.tx() as tx:
            await facts.keep_rows(tx, [late])
        await write_and_die(dying)
        assert set(read_ids(place)) == {first.id.bytes, late.id.bytes}
    if merged_after is not None:
        merge(db, place, minutes=merged_after)
    await Drain(db, place).empty()
    told = {first.id.bytes, early.id.bytes, late.id.bytes}
    assert set(read_ids(place)) == told
    merge(db, place, minutes=5 * 24 * 60)
    assert sorted(read_ids(place)) == sorted(told), "each once"
    assert verify.verify(place, deep=True).is_sound


@pytest.mark.parametrize("minutes", [0, 20], ids=["still-told-of", "forgotten"])
async def test_a_batch_that_was_merged_and_is_written_again_is_there_once(
    db: Database, place: Lake, dying: Drain, minutes: int
) -> None:
    rows = [paid(db), paid(db)]
    for row in rows:
        async with db.tx() as tx:
            await facts.keep_rows(tx, [row])
        await write_and_die(dying)
    async with db.tx() as tx:
        await tx.run("DELETE FROM lake.drain")  # so the hour has two files to merge
    await write_and_die(dying)
    merge(db, place, minutes=150)
    (whole,) = list_parts(place, "money")
    merge(db, place, minutes=150 + minutes)  # which deletes what has been replaced for so long
    assert await Drain(db, place).empty() == 2
    assert set(read_ids(place)) == {row.id.bytes for row in rows}
    if not minutes:
        assert list_parts(place, "money") == [whole], "a file that no longer counts does not count again"
    merge(db, place, minutes=200)
    assert sorted(read_ids(place)) == sorted(row.id.bytes for row in rows)
    assert verify.verify(place, deep=True).is_sound


@pytest.mark.parametrize("merged", [False, True], ids=["not-merged", "merged"])
async def test_a_batch_that_was_written_when_its_topic_is_told_again_is_not_lost(
    db: Database, place: Lake, dying: Drain, merged: bool
) -> None:
    before, row = paid(db), paid(db)
    async with db.tx() as tx:
        await facts.keep_rows(tx, [before])
    await Drain(db, place).empty()
    async with db.tx() as tx:
        await facts.keep_rows(tx, [row])
    await write_and_die(dying)
    if merged:
        merge(db, place, minutes=150)

    async def tell(_tx: Tx, _after: Any, _limit: int) -> tuple[list[MoneyRow], None]:
        return [before, row], None

    done = await rebuild.rebuild(db, place, "money", [Source(tell, 0)])
    assert (done.rows, done.pending) == (1, 1)
    await Drain(db, place).empty()
    assert sorted(read_ids(place)) == sorted([before.id.bytes, row.id.bytes])
    async with db.read() as tx:
        assert await facts.count_waiting(tx) == 0
