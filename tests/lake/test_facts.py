"""Facts into the lake: each once, none lost, whatever dies on the way; and all of them again from PostgreSQL."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from structlog.testing import capture_logs

from lakes import open_lake
from laotie import fans, lake, live
from laotie.base.db import Database
from laotie.base.ids import AccountId, OrderId, ViewerId, new_id
from laotie.base.signer import Signer
from laotie.fans import exporting as of_fans
from laotie.identity import guests
from laotie.lake import Lake, facts, list_parts, rebuild
from laotie.lake.facts import Drain
from laotie.lake.late import take_notes
from laotie.lake.rebuild import NotRebuilt, Source
from laotie.live import exporting as of_shows
from laotie.live.model import ShowChange
from laotie.orders import facts as of_orders
from market import Market, make_account, open_market
from reservoir import told_rows

MONEY = [Source(of_orders.export, of_orders.FIRST), Source(of_orders.export_returns, of_orders.FIRST)]
SHOWS = [Source(of_shows.tell_again, of_orders.FIRST)]
FOLLOWS = [Source(of_fans.tell_again, 0)]
PERSONS = [Source(guests.tell_again, of_orders.FIRST)]


@pytest.fixture
async def market(db: Database, signer: Signer) -> AsyncIterator[Market]:
    async with open_market(db, signer) as opened:
        yield opened


@pytest.fixture
def place(tmp_path: Path) -> Lake:
    return open_lake(tmp_path / "lake")


def read(place: Lake, topic: str) -> pa.Table:
    """All rows that count, by id."""
    tables = [pq.read_table(f"{place.root}/{part.path}", partitioning=None) for part in list_parts(place, topic)]
    schema = lake.TOPICS[topic].schema
    return pa.concat_tables([schema.empty_table(), *(table.cast(schema) for table in tables)]).sort_by("id")


async def drain(db: Database, place: Lake) -> int:
    return await Drain(db, place).empty()


async def _busy_days(market: Market) -> None:
    """Something of every topic, over three days."""
    item = await market.add_item(stock=100, price=990)
    for _ in range(3):
        buyer = await market.buyer()
        paid, cancelled = await market.place(buyer, item), await market.place(buyer, item, quantity=2)
        await market.pay(buyer, paid)
        await market.cancel(buyer, cancelled)
        async with market.db.tx() as tx:
            guest_id = ViewerId(new_id())
            await fans.follow(tx, guest_id, market.owner.signed_in())
        async with market.db.tx() as tx:
            await guests.merge_guest(tx, guest_id, AccountId(buyer.signed_in()))
            await fans.unfollow(tx, guest_id, market.owner.signed_in())
        market.db.clock.advance(seconds=86_400)
        await market.cancel(buyer, paid)
        await market.settle()
    async with market.db.tx() as tx:
        await live.end_show(tx, market.owner, market.show_id)
    await market.settle()


async def _place_one(market: Market) -> None:
    tea = await market.add_to_shelf(market.owner, market.shop_id)
    await market.till.place(market.ask(await market.buyer(), show_id=None, lines=(tea,)))


async def test_what_is_told_is_in_the_lake_once_and_no_longer_in_the_queue(market: Market, place: Lake) -> None:
    await _busy_days(market)
    told = await told_rows(market.db)
    assert await drain(market.db, place) == len(told) == 3 * 5 + 2 + 2 * 3 + 3
    assert await told_rows(market.db) == {}
    for topic, count in (("money", 15), ("show", 2), ("follow", 6), ("person", 3)):
        ids = read(place, topic)["id"].to_pylist()
        assert len(ids) == len(set(ids)) == count
        assert {id_.bytes for id_, row in told.items() if facts.TOPIC_OF[type(row)] == topic} == set(ids)
    money = read(place, "money").to_pylist()
    assert sum(row["amount"] for row in money) == sum(row["goods_amount"] for row in money) == 3 * 990
    assert {row["kind"] for row in money} == {"placed", "paid", "cancelled", "refunded"}
    assert all(len(row["shop_id"]) == 16 and row["currency"] == "CNY" for row in money)


async def test_facts_of_a_day_long_past_are_noted_for_merging(market: Market, place: Lake) -> None:
    await _place_one(market)
    await market.settle()
    market.db.clock.advance(seconds=10 * 86_400)
    assert await drain(market.db, place)
    (day,) = {part.day for part in list_parts(place, "money")}
    assert ("money", day) in set(take_notes(place))


async def test_a_drain_that_died_between_writing_and_deleting_is_done_again_without_a_trace(
    market: Market, place: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _busy_days(market)
    count = len(await told_rows(market.db))

    async def die(*_: Any) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(Drain, "_forget", die)
        await Drain(market.db, place).turn()
    before = {topic: read(place, topic) for topic in ("money", "show", "follow", "person")}
    assert sum(table.num_rows for table in before.values()) == count == len(await told_rows(market.db))
    await _place_one(market)
    await market.settle()
    assert await drain(market.db, place) == count + 1
    assert await told_rows(market.db) == {}
    assert read(place, "money").num_rows == before["money"].num_rows + 1
    for topic in ("show", "follow", "person"):
        assert read(place, topic).equals(before[topic])


async def test_a_lake_that_takes_nothing_is_said_once_and_waited_for(market: Market, tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("where the lake should be, there is a file")
    place = open_lake(tmp_path / "lake")
    one = Drain(market.db, place)
    placed = []
    with capture_logs() as said:
        for _ in range(3):
            placed.append(await market.place(await market.buyer(), await market.add_item()))
            await market.settle()
            assert await one.turn() == 0
        assert len([entry for entry in said if "takes no facts" in entry["event"]]) == 1
        told = (await told_rows(market.db)).values()
        assert {row.order_id for row in told if isinstance(row, facts.MoneyRow)} == set(placed)
        (tmp_path / "lake").unlink()
        assert await one.turn() + await one.turn() == 4
        assert len([entry for entry in said if "takes facts again" in entry["event"]]) == 1


async def test_what_is_rebuilt_is_to_the_last_bit_what_was_told(market: Market, place: Lake) -> None:
    await _busy_days(market)
    await drain(market.db, place)
    for topic, sources in (("money", MONEY), ("show", SHOWS), ("follow", FOLLOWS), ("person", PERSONS)):
        told = read(place, topic)
        place.fs.rm(f"{place.root}/{topic}", recursive=True)
        assert read(place, topic).num_rows == 0
        done = await rebuild.rebuild(market.db, place, topic, sources, page=2)
        assert read(place, topic).equals(told), topic
        assert (done.rows, done.parts_before) == (told.num_rows, 0)
        again = await rebuild.rebuild(market.db, place, topic, sources)
        assert read(place, topic).equals(told)
        assert again.parts_before == done.parts_after
        assert not place.fs.exists(f"{place.root}/_rebuild/{topic}.json")


async def test_a_show_that_was_renamed_while_live_is_rebuilt_under_both_its_titles(market: Market, place: Lake) -> None:
    async with market.db.tx() as tx:
        opening = (await live.get_show(tx, market.show_id)).title
        await live.change_show(tx, market.owner, market.show_id, ShowChange(title="最后一百件"))
    market.db.clock.advance(seconds=60)
    async with market.db.tx() as tx:
        await live.end_show(tx, market.owner, market.show_id)
    await market.settle()
    await drain(market.db, place)
    told = read(place, "show")
    assert [row["title"] for row in told.sort_by("at_us").to_pylist()] == [opening, "最后一百件"]
    place.fs.rm(f"{place.root}/show", recursive=True)
    await rebuild.rebuild(market.db, place, "show", SHOWS)
    assert read(place, "show").equals(told)


async def test_what_waits_while_a_topic_is_rebuilt_comes_by_itself_and_once(market: Market, place: Lake) -> None:
    await _busy_days(market)
    await drain(market.db, place)
    await _place_one(market)
    await market.settle()  # waits for the drain
    await _place_one(market)  # waits in the outbox
    done = await rebuild.rebuild(market.db, place, "money", MONEY)
    assert done.pending == 2
    assert read(place, "money").num_rows == 15
    await market.settle()
    assert await drain(market.db, place) == 2
    ids = read(place, "money")["id"].to_pylist()
    assert len(ids) == len(set(ids)) == 17


async def test_from_a_day_on_only_that_day_and_later_ones_are_replaced(market: Market, place: Lake) -> None:
    await _busy_days(market)
    await drain(market.db, place)
    told = read(place, "money")
    days = lake.list_days(place, "money")
    before = [part for part in list_parts(place, "money") if part.day < days[1]]
    await rebuild.rebuild(market.db, place, "money", MONEY, since=days[1])
    assert [part for part in list_parts(place, "money") if part.day < days[1]] == before
    assert all(part.path.rpartition("/")[2].startswith("m-r") for part in list_parts(place, "money", days[1]))
    assert read(place, "money").equals(told)


async def test_a_rebuild_that_is_killed_again_and_again_goes_on_and_nothing_is_there_twice(
    market: Market, place: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _busy_days(market)
    await drain(market.db, place)
    monkeypatch.setattr(rebuild, "ROWS_A_WRITE", 4)
    put = rebuild._put
    left = 0

    def put_or_die(*args: Any) -> Any:  # files are written, and the plan does not know of it yet
        nonlocal left
        left -= 1
        if left < 0:
            raise RuntimeError("killed")
        return put(*args)

    with monkeypatch.context() as patched:
        patched.setattr(rebuild, "_put", put_or_die)
        for writes in (1, 2, 3):
            await _place_one(market)  # in the outbox while it is rebuilt, and drained before it goes on
            left = 2 if writes == 1 else 1
            with pytest.raises(RuntimeError):
                await rebuild.rebuild(market.db, place, "money", MONEY, page=1)
            plan = json.loads(Path(f"{place.root}/_rebuild/money.json").read_bytes())
            assert (plan["writes"], plan["is_told"]) == (writes, False)
            await market.settle()
            await drain(market.db, place)
    told = read(place, "money")
    assert told.num_rows == 18
    done = await rebuild.rebuild(market.db, place, "money", MONEY, page=1)
    assert read(place, "money").equals(told)
    assert done.rows == 15


async def test_a_batch_that_a_dead_drain_began_survives_a_rebuild_that_lets_the_drain_work(
    market: Market, place: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _busy_days(market)
    drain = Drain(market.db, place)

    async def die(*_: Any) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(drain, "_forget", die)
        with pytest.raises(RuntimeError):
            await drain.turn()
    await rebuild.rebuild(market.db, place, "money", MONEY, page=1, breathe=drain.turn)
    told = read(place, "money")
    assert told.num_rows == 15 == len(set(told["id"].to_pylist()))


async def test_behaviour_cannot_be_rebuilt_and_says_so(db: Database, place: Lake) -> None:
    with pytest.raises(NotRebuilt) as refused:
        await rebuild.rebuild(db, place, "watch", [])
    assert refused.value.rebuilt == ["money", "show", "follow", "person"]


async def test_the_watermark_waits_for_outbox_queue_processes_and_transactions(market: Market, place: Lake) -> None:
    db, skew = market.db, lake.watermark.__globals__["SKEW"]

    async def mark() -> datetime:
        async with db.tx() as tx:
            return facts.EPOCH + timedelta(microseconds=await lake.watermark(tx, place))

    await market.settle()
    await drain(db, place)
    assert db.clock.now() - await mark() < skew + timedelta(seconds=1)
    before = db.clock.now()
    await market.place(await market.buyer(), await market.add_item())
    db.clock.advance(seconds=60)
    after = db.clock.now()
    assert before < await mark() < after - timedelta(seconds=50), "in the outbox"
    await market.settle()
    assert before < await mark() < after - timedelta(seconds=50), "in the queue"
    with pytest.raises(lake.LakeBehind) as refused:
        await lake.await_watermark(db, after - timedelta(seconds=10), timeout_s=0)
    assert before < refused.value.as_of < after - timedelta(seconds=50)
    await drain(db, place)
    await lake.await_watermark(db, after - timedelta(seconds=10), timeout_s=0)
    async with db.tx() as tx:
        await lake.note_in(db)("somewhere", facts.microseconds(before))
    assert await mark() == before, "a process has acts that are not parts yet"
    await lake.note_in(db)("somewhere", None)
    assert await mark() > after - timedelta(seconds=10)
    async with db.tx() as tx:
        began = tx.now
        await tx.run("INSERT INTO lake.process (name, until_at) VALUES ('x', %(now)s)", now=tx.now)
        db.clock.advance(seconds=0)
        assert await mark() <= began, "a transaction is not over"


async def test_nothing_is_told_of_a_fact_of_an_earlier_release(market: Market) -> None:
    buyer = await make_account(market.db, "early")
    event = orders_event(buyer.signed_in(), market)
    async with market.db.tx() as tx:
        tx.tell(event)
    await market.settle()
    assert {type(row) for row in (await told_rows(market.db)).values()} == {facts.ShowRow}


def orders_event(buyer_id: AccountId, market: Market) -> Any:
    from laotie.events.orders import OrderPaid

    return OrderPaid(
        order_id=OrderId(new_id()), buyer_id=buyer_id, shop_id=market.shop_id, show_id=None, currency="CNY",
        total_amount=1, paid_at=datetime.now(UTC),
    )  # fmt: skip
