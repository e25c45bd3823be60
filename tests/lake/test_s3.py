"""The lake in S3: a real server, which asks for the key, takes conditions, and is sometimes away."""

import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from structlog.testing import capture_logs

from buckets import BUCKET, Store, serve
from deeds import HOUR_US, hearts, likes, read
from lakes import DAY, ZONE, Tale, named
from laotie.base.db import Database
from laotie.base.ids import AccountId, ViewerId
from laotie.base.settings import Settings
from laotie.cli import lake as commands
from laotie.insight import Engine
from laotie.insight.rollups import ORDERS, Rollups
from laotie.lake import Lake, facts, list_parts, manifest, open_sink, retire
from laotie.lake.compaction import GRACE_US, list_work, merge
from laotie.lake.erasure import rewrite_day
from laotie.lake.manifest import PartsMoved
from laotie.lake.model import TOPICS
from laotie.lake.parts import list_files, swap_parts, write_part
from laotie.lake.retention import read_retired
from laotie.lake.segments import list_segments
from laotie.lake.stores import (
    DriverAbsent,
    Overtaken,
    SecretInUrl,
    StoreRefuses,
    StoreTakesNothing,
    read_tagged,
    replace_file,
)
from laotie.lake.verify import verify

AFTER = Tale().at(48 * 3600)


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with serve() as started:
        yield started


@pytest.fixture
def lake(store: Store) -> Lake:
    return store.open()


def tell(lake: Lake, *, first: int = 0, people: int = 4, day: Any = DAY) -> None:
    """Some people who came and watched, one of whom bought."""
    tale = Tale()
    tale.count = first * 100
    for number in range(first, first + people):
        who = f"viewer {number}"
        tale.visit(30_000 + number, who, f"visit {number}", day=day, show_id="show")
        tale.watch(30_010, 30_060, who, f"visit {number}", day=day, show_id="show")
    tale.money(30_100, "paid", f"order {first}", f"viewer {first}", 990, day=day)
    tale.write(lake)


def apart(lake: Lake, turn: int) -> None:
    """The visits' one file as two, to be merged again."""
    (part,) = list_parts(lake, "visit")
    rows = read(lake, "visit")
    halves = [
        write_part(lake, "visit", DAY, part.hour, half, name=f"m-{turn}-{number}-h")
        for number, half in enumerate((rows.slice(0, 3), rows.slice(3)))
    ]
    swap_parts(lake, [part], halves, now_us=AFTER + turn)


def ids(lake: Lake) -> list[bytes]:
    return sorted(read(lake, "visit")["id"].to_pylist())


async def test_what_happens_gets_into_the_bucket_is_merged_verified_and_counted(db: Database, lake: Lake, tmp_path: Path) -> None:
    sink = open_sink(lake, tmp_path / "segments", clock=db.clock)
    for like in likes(0, 20):
        sink.append(like)
    assert await sink.ship()
    await sink.close()
    async with db.tx() as tx:
        guest, account = ViewerId(named("viewer 1")), AccountId(named("ann"))
        await facts.keep_rows(tx, [facts.person_row(at=db.clock.now(), guest_id=guest, account_id=account)])
    assert await facts.Drain(db, lake).empty() == 1
    for number in (0, 4):
        tell(lake, first=number)
    for work in list(list_work(lake, now_us=db.clock.now_us() + 2 * HOUR_US)):
        merge(lake, work, now_us=AFTER)
    assert len(list_parts(lake, "visit")) == 1 and len(list_files(lake, "visit", DAY)) == 3
    assert manifest.forget_gone(lake.fs, lake.root, "visit", DAY, before_us=AFTER + 1) == 2
    verdict = verify(lake, deep=True)
    assert verdict.is_sound and verdict.rows == 20 + 1 + 2 * (4 + 4 + 1)
    assert hearts(lake) == list(range(20))
    with Engine(lake, threads=1) as engine:
        assert Rollups(lake).refresh(engine, DAY, DAY + timedelta(days=1), kinds=(ORDERS,)) == [DAY]
        orders = engine.run(Rollups(lake).order_days(engine)).to_pylist()
    assert [row["amount"] for row in orders if row["kind"] == "paid"] == [990, 990]
    assert len(lake.fs.find(f"{lake.root}/rollup")) == 1


def test_a_reader_beside_a_merge_sees_everything_before_or_everything_after(store: Store) -> None:
    lake = store.open("watched")
    tell(lake, people=6)
    expected, seen, over = ids(lake), [], threading.Event()

    def go_on_reading() -> None:
        reader = store.open("watched")  # with connections of its own
        while not over.is_set():
            seen.append(ids(reader))

    reading = threading.Thread(target=go_on_reading)
    reading.start()
    try:
        for turn in range(4):
            apart(lake, turn)
            merge(lake, next(list_work(lake, now_us=AFTER)), now_us=AFTER + turn)
    finally:
        over.set()
        reading.join()
    assert len(seen) > 1 and all(found == expected for found in seen)


def test_of_two_who_replace_the_same_files_the_second_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = store.open("both"), store.open("both")
    tell(one)
    (part,) = list_parts(one, "visit")
    rows = read(one, "visit")

    def reads_and_is_overtaken(fs: Any, place: str) -> Any:
        found = read_tagged(fs, place)
        monkeypatch.setattr(manifest, "read_tagged", read_tagged)
        erased = write_part(other, "visit", DAY, part.hour, rows.slice(1), name="m-erased")
        swap_parts(other, [part], [erased], now_us=AFTER)
        return found

    mine = write_part(one, "visit", DAY, part.hour, rows, name="m-mine")
    monkeypatch.setattr(manifest, "read_tagged", reads_and_is_overtaken)
    with pytest.raises(PartsMoved):
        swap_parts(one, [part], [mine], now_us=AFTER)
    assert len(ids(one)) == 3, "what was erased has not come back"
    (left,) = list_parts(one, "visit")
    place = f"{one.root}/visit/day={DAY}/{manifest.NAME}"
    with pytest.raises(Overtaken):
        replace_file(one.fs, place, b"{}", tag='"of long ago"')
    with pytest.raises(Overtaken):
        replace_file(one.fs, place, b"{}", tag=None)
    assert list_parts(other, "visit") == [left]


def test_who_replaces_other_files_of_the_same_day_reads_again_and_both_count(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = store.open("beside"), store.open("beside")
    tell(one)
    tell(one, first=4)
    first, second = list_parts(one, "visit")

    def reads_and_is_overtaken(fs: Any, place: str) -> Any:
        found = read_tagged(fs, place)
        monkeypatch.setattr(manifest, "read_tagged", read_tagged)
        swap_parts(other, [], [second], now_us=AFTER)
        return found

    def writes_and_loses_the_answer(*asked: Any, **tag: Any) -> None:
        replace_file(*asked, **tag)
        monkeypatch.setattr(manifest, "replace_file", replace_file)
        raise Overtaken

    monkeypatch.setattr(manifest, "read_tagged", reads_and_is_overtaken)
    swap_parts(one, [], [first], now_us=AFTER)
    assert len(manifest.read_manifest(one.fs, one.root, "visit", DAY).kept) == 2
    monkeypatch.setattr(manifest, "replace_file", writes_and_loses_the_answer)
    swap_parts(one, [first], [], now_us=AFTER)
    assert list_parts(one, "visit") == [second], "it was we who had written"


def test_a_person_is_erased_from_the_bucket_and_old_days_leave_it(lake: Lake) -> None:
    tell(lake)
    tell(lake, first=10, day=DAY + timedelta(days=1))
    gone = {UUID(bytes=named("viewer 1").bytes): named("nobody")}
    assert rewrite_day(lake, "visit", DAY, gone, now_us=AFTER).rows == 1
    viewers = set(read(lake, "visit")["viewer_id"].to_pylist())
    assert named("nobody").bytes in viewers and named("viewer 1").bytes not in viewers
    assert retire(lake, DAY + timedelta(days=1), now_us=AFTER) == 2
    assert retire(lake, DAY, now_us=AFTER + GRACE_US + 1) == 0
    assert not lake.fs.find(f"{lake.root}/visit/day={DAY}"), "the files are gone as well"
    assert read_retired(lake) == DAY + timedelta(days=1)
    assert {part.day for part in list_parts(lake, "visit")} == {DAY + timedelta(days=1)} and len(list_parts(lake, "money")) == 2


@pytest.mark.parametrize(
    ("other", "bucket", "kind"),
    [
        ({"secret": "somebody else's"}, BUCKET, StoreRefuses),
        ({}, "no-such-bucket", StoreRefuses),
        ({"endpoint": "http://127.0.0.1:9"}, BUCKET, StoreTakesNothing),
    ],
    ids=["wrong key", "no bucket", "unreachable"],
)
async def test_a_store_that_takes_nothing_says_so_and_everything_waits(
    db: Database, store: Store, tmp_path: Path, other: dict[str, str], bucket: str, kind: type[StoreTakesNothing]
) -> None:
    away = store.open("late", bucket=bucket, **other)
    sink = open_sink(away, tmp_path, clock=db.clock)
    for like in likes(0, 5):
        sink.append(like)
    row = facts.person_row(at=db.clock.now(), guest_id=ViewerId(named("guest")), account_id=AccountId(named("ann")))
    async with db.tx() as tx:
        await facts.keep_rows(tx, [row])
    with capture_logs() as logs:
        assert not await sink.ship() and not await sink.ship()
        assert await facts.Drain(db, away).turn() == 0
    assert [line["error"].startswith(kind.title) for line in logs if line["log_level"] == "error"] == [True, True]
    assert "127.0.0.1" not in str(logs) and store.secret not in str(logs)
    assert len(list_segments(sink.segments.place)) == 1
    async with db.read() as tx:
        assert await facts.count_waiting(tx) == 1
    with pytest.raises(kind):
        write_part(away, "visit", DAY, 9, TOPICS["visit"].schema.empty_table())
    sink.segments.close()

    lake = store.open()
    after = open_sink(lake, tmp_path, clock=db.clock)
    assert await after.ship() and await facts.Drain(db, lake).turn() == 1
    await after.close()
    assert hearts(lake) == list(range(5)) and read(lake, "person").num_rows == 1


def test_a_figure_of_a_store_that_has_gone_away_is_refused_not_a_bug(store: Store) -> None:
    lake = store.open()
    tell(lake)
    with pytest.raises(StoreRefuses), Engine(lake, threads=1) as engine:
        visits = engine.read("visit")
        lake.fs.clear_instance_cache()
        lake.fs._s3creator = None
        lake.fs.secret = "changed"
        lake.fs.connect(refresh=True)
        engine.run(visits.count().as_table())


def test_commands_find_the_bucket_by_the_environment(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tell(store.open("env"))
    for name, value in store.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LAOTIE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("LAOTIE_LAKE_URL", f"s3://{BUCKET}/env")
    Lake.of(Settings()).fs.clear_instance_cache()
    commands.inspect(as_json=True)
    found = msgspec.json.decode(capsys.readouterr().out)
    assert {one["topic"]: one["parts"] for one in found["topics"]}["visit"] == 1
    monkeypatch.setenv("LAOTIE_LAKE_URL", "s3://no-such-bucket/env")
    with pytest.raises(StoreRefuses):
        commands.inspect(as_json=True)
    Lake.of(Settings()).fs.clear_instance_cache()


def test_without_the_driver_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules, "laotie.lake.s3", raising=False)
    with pytest.raises(DriverAbsent) as absent:
        Lake("s3://bucket/lake", ZONE)
    assert absent.value.facts()["install"] == "pip install 'laotie[s3]'"
    with pytest.raises(DriverAbsent) as other:
        Lake("gs://bucket/lake", ZONE)
    assert "gcsfs" in other.value.facts()["install"]


@pytest.mark.parametrize("url", ["s3://key:secret@bucket/lake", "s3://key@bucket/lake", "s3://bucket/lake?secret=x"])
def test_a_key_in_the_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SecretInUrl) as refused:
        Lake(url, ZONE)
    assert "secret" not in str(refused.value.facts()).lower()
