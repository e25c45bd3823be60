"""Erasure: the person is nowhere in the lake any more, and every figure is what it was."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakes import DAY, ZONE, Tale, named
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import AccountId, ViewerId
from laotie.events.identity import AccountErased
from laotie.events.orders import Amounts
from laotie.lake import Lake, aliases, erasure, facts, parts, quarantine, retention
from laotie.lake.compaction import compact
from laotie.lake.erasure import PASSES_AFTER, find_progress, list_erasures, work_erasures
from laotie.lake.model import TOPICS
from laotie.lake.parts import list_days, list_files, list_parts
from laotie.lake.reactions import begin_erasure

ANN, GUESTS = AccountId(named("ann")), (ViewerId(named("guest 1")), ViewerId(named("guest 2")))
WAS_ANN = {ANN.bytes, *(guest.bytes for guest in GUESTS)}


@pytest.fixture
def full(tmp_path: Path) -> Lake:
    """Two days of three people; Ann came as two guests before she signed in, bought twice, shared a link, and followed."""
    tale = Tale()
    for number, day in enumerate((DAY, DAY + timedelta(days=1))):
        for who in ("guest 1", "guest 2", "ann", "bob", "cy"):
            visit = f"{who} {number}"
            tale.visit(30_000, who, visit, day=day, source="share", sharer_id="ann", show_id="show")
            tale.watch(30_010, 30_090, who, visit, day=day, show_id="show")
        tale.add("search", 30_100, day, viewer_id="ann", visit_id=f"ann {number}", source="shelf", hits=3)
        tale.money(30_200, "placed", f"order {number}", "ann", 5_000 + number, day=day)
        tale.money(30_260, "paid", f"order {number}", "ann", 5_000 + number, day=day)
        tale.money(30_300, "paid", f"order of bob {number}", "bob", 700, day=day)
    tale.add("follow", 30_400, viewer_id="ann", streamer_id="host", begins=True, source="private", placement="follow-page")
    for guest in ("guest 1", "guest 2"):
        tale.add("person", 30_500, guest_id=guest, account_id="ann")
    full = Lake((tmp_path / "lake").as_uri(), ZONE)
    tale.write(full)
    return full


def tables(one: Lake, topic: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for part in list_parts(one, topic):
        with one.fs.open(f"{one.root}/{part.path}", "rb") as file:
            rows += pq.read_table(file).to_pylist()
    return rows


def everything_on_disk(one: Lake) -> Iterator[dict[str, Any]]:
    for path in one.fs.find(one.root):
        if path.endswith(".parquet"):
            with one.fs.open(path, "rb") as file:
                yield from pq.read_table(file).to_pylist()


def figures(one: Lake) -> dict[str, Any]:
    """What a dashboard says: people are counted as persons, guests as the account that they became."""
    became = {row["guest_id"]: row["account_id"] for row in tables(one, "person")}

    def people(rows: list[dict[str, Any]], who: str) -> int:
        return len({became.get(row[who], row[who]) for row in rows})

    visits, watch, money = (tables(one, topic) for topic in ("visit", "watch", "money"))
    days = sorted({one.day_of(row["at_us"]) for row in visits})
    return {
        "uv": people(visits, "viewer_id"),
        "uv by day": [people([row for row in visits if one.day_of(row["at_us"]) == day], "viewer_id") for day in days],
        "visits": len(visits),
        "sharers": people(visits, "sharer_id"),
        "watched": (people(watch, "viewer_id"), sum(row["at_us"] - row["since_us"] for row in watch)),
        "money": {
            kind: (people(of, "buyer_id"), len({row["order_id"] for row in of}), sum(row["amount"] for row in of))
            for kind in ("placed", "paid")
            for of in [[row for row in money if row["kind"] == kind]]
        },
        "buyers who watched": len(
            {became.get(row["buyer_id"], row["buyer_id"]) for row in money}
            & {became.get(row["viewer_id"], row["viewer_id"]) for row in watch}
        ),
        "searches": people(tables(one, "search"), "viewer_id"),
        "follows": people(tables(one, "follow"), "viewer_id"),
    }


async def leave(db: Database, account_id: AccountId = ANN, guests: tuple[ViewerId, ...] = GUESTS) -> None:
    async with db.tx() as tx:
        await begin_erasure(tx, AccountErased(account_id=account_id, guest_ids=guests))


async def work(db: Database, one: Lake) -> int:
    steps = 0
    while await work_erasures(db, one):
        steps += 1
    return steps


async def pass_all(db: Database, one: Lake, clock: Clock) -> None:
    for later in PASSES_AFTER:
        clock.advance(seconds=later.total_seconds())
        await work(db, one)
    compact(one, now_us=clock.now_us())


async def test_nobody_finds_the_person_again_and_every_figure_stays(db: Database, clock: Clock, full: Lake) -> None:
    before = figures(full)
    assert before["uv"] == 3 and before["money"]["paid"] == (2, 4, 11_401) and before["buyers who watched"] == 2
    await leave(db)
    await pass_all(db, full, clock)
    after = figures(full)
    assert after == before
    named_somewhere = {value for row in everything_on_disk(full) for value in row.values()} & WAS_ANN
    assert not named_somewhere, "also in the files that were replaced"
    assert not tables(full, "person"), "who became whom is nobody's any more"
    assert {row["viewer_id"] for row in tables(full, "visit")} > {named("bob").bytes, named("cy").bytes}


async def test_a_pass_that_is_broken_off_goes_on_where_it_stood(db: Database, clock: Clock, full: Lake) -> None:
    before = figures(full)
    await leave(db)
    steps, seen = 0, []
    while await work_erasures(db, full):
        steps += 1
        async with db.read() as tx:  # each step is a new process's, which knows nothing but this
            progress = await find_progress(tx)
        seen.append((progress.topic, progress.day) if progress is not None else None)
        assert figures(full)["money"]["paid"][1:] == before["money"]["paid"][1:], "half a pass loses no row"
    days = [(topic, day) for topic in TOPICS for day in list_days(full, topic)]
    assert seen == [*days, None], "every day once, in order"
    assert figures(full) == before


async def test_a_file_that_is_merged_meanwhile_is_met_all_the_same(
    db: Database, clock: Clock, full: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = Tale()
    more.visit(30_002, "guest 1", "again", show_id="show")
    more.rows["visit"][0]["id"] = named("another").bytes
    more.write(full)
    await leave(db)
    swap = parts.swap_parts
    merged: list[Any] = []

    def merged_first(one: Lake, gone: Any, come: Any, *, now_us: int) -> None:
        if not merged:
            merged.append(compact(one, now_us=now_us))
        swap(one, gone, come, now_us=now_us)

    monkeypatch.setattr(erasure, "swap_parts", merged_first)
    before = figures(full)
    await work(db, full)
    assert merged[0].parts_before > merged[0].parts_after and figures(full) == before
    assert not {value for topic in TOPICS for row in tables(full, topic) for value in row.values()} & WAS_ANN


async def test_what_comes_later_of_a_buyer_comes_under_the_alias(db: Database, clock: Clock, full: Lake) -> None:
    await leave(db)
    await pass_all(db, full, clock)
    (alias,) = {row["buyer_id"] for row in tables(full, "money")} - {named("bob").bytes}
    refund = facts.MoneyRow(
        id=named("refund"), at=clock.now(), kind=facts.MoneyKind.refunded, order_id=named("order 0"), buyer_id=ANN,  # type: ignore[arg-type]
        shop_id=named("shop"), show_id=None, streamer_id=None, visit_id=None, source="direct", placement="direct",  # type: ignore[arg-type]
        campaign=None, is_fan=False, rule_version=1, currency="CNY",
        amounts=Amounts(goods=-100, shipping=0, tax=0, shop_discount=0, platform_discount=0),
    )  # fmt: skip
    unfollow = facts.follow_row(
        at=clock.now(), viewer_id=ViewerId(ANN), streamer_id=AccountId(named("host")), begins=False
    )
    merge = facts.person_row(at=clock.now(), guest_id=GUESTS[0], account_id=ANN)
    async with db.tx() as tx:
        await facts.keep_rows(tx, [refund, unfollow, merge])
    assert await facts.Drain(db, full).turn() == 3
    assert {row["buyer_id"] for row in tables(full, "money") if row["kind"] == "refunded"} == {alias}
    assert {row["viewer_id"] for row in tables(full, "follow")} == {alias}
    assert not tables(full, "person")
    async with db.read() as tx:
        rebuilt = await facts.take_aliases(tx, [refund, unfollow, merge])
        assert [row.buyer_id.bytes for row in rebuilt if isinstance(row, facts.MoneyRow)] == [alias]
        (ended,) = [row for row in rebuilt if isinstance(row, facts.FollowRow)]
    assert ended.id.bytes in {row["id"] for row in tables(full, "follow")}, "told again it is the same row"


async def test_of_who_only_looked_nothing_is_known_in_the_end(db: Database, clock: Clock, full: Lake) -> None:
    cy = AccountId(named("cy"))
    await leave(db, cy, ())
    await leave(db)
    await work(db, full)
    async with db.read() as tx:
        assert {one.account_id for one in await list_erasures(tx)} == {ANN, cy}
    for later in PASSES_AFTER[1:]:
        clock.advance(seconds=later.total_seconds())
        await work(db, full)
    async with db.read() as tx:
        (kept,) = await list_erasures(tx)
        assert kept.account_id == ANN and kept.done_at is not None, "her orders are kept by law under the account's id"
        assert set(await aliases.find_aliases(tx, [ANN, *GUESTS, cy])) == {ANN, *GUESTS}


async def test_what_was_on_its_way_in_is_met_by_the_next_pass(db: Database, clock: Clock, full: Lake) -> None:
    await leave(db)
    await work(db, full)
    late = Tale()
    late.watch(30_091, 30_100, "guest 1", "guest 1 0", show_id="show")
    late.write(full)
    quarantine.put_aside(full, "bad", [quarantine.Bad("watch", "negative", b"{}", ANN.bytes)], now_us=clock.now_us())
    clock.advance(seconds=PASSES_AFTER[1].total_seconds())
    await work(db, full)
    assert not {row["viewer_id"] for row in tables(full, "watch")} & WAS_ANN
    assert not quarantine.list_held(full)


async def test_roll_ups_lose_the_person_under_the_same_name(db: Database, clock: Clock, full: Lake) -> None:
    place = f"{full.root}/rollup/viewer_days/day={DAY}"
    full.fs.makedirs(place)
    rows = pa.table({"viewer_id": pa.array([ANN.bytes, named("bob").bytes], pa.binary(16)), "visits": [3, 1]})
    pq.write_table(rows, f"{place}/abc.parquet")
    await leave(db)
    await work(db, full)
    rolled = pq.read_table(f"{place}/abc.parquet")
    assert rolled["visits"].to_pylist() == [3, 1] and rolled.schema == rows.schema
    assert ANN.bytes not in rolled["viewer_id"].to_pylist() and named("bob").bytes in rolled["viewer_id"].to_pylist()


def test_behaviour_goes_by_whole_days_and_money_never(clock: Clock, full: Lake) -> None:
    money = tables(full, "money")
    assert retention.list_old_days(full, DAY + timedelta(days=1)) == [DAY]
    assert retention.retire(full, DAY + timedelta(days=1), now_us=clock.now_us()) > 0
    assert {full.day_of(row["at_us"]) for row in tables(full, "visit")} == {DAY + timedelta(days=1)}
    assert list_files(full, "visit", DAY), "somebody may be reading them"
    clock.advance(seconds=900)
    assert retention.retire(full, DAY, now_us=clock.now_us()) == 0
    assert DAY not in list_days(full, "visit") and tables(full, "money") == money
    assert retention.read_retired(full) == DAY + timedelta(days=1), "what has gone does not come back"
