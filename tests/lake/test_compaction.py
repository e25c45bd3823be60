"""Merging: fewer and larger files, each row once, under the eyes of readers; what is wrong is said and put aside."""

import threading
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deeds import HOUR_US, now_us, read
from lakes import DAY, Tale, open_lake
from laotie.base.db import Database
from laotie.insight import Engine
from laotie.insight.rollups import Rollups
from laotie.lake import TOPICS, Lake, compaction, list_parts, write_parts
from laotie.lake.compaction import GRACE_US, MERGE_LOCK, SMALL_MAX, compact, list_work, merge, merge_hours
from laotie.lake.late import note_late, take_notes
from laotie.lake.manifest import PartsMoved, read_manifest
from laotie.lake.model import ALL_DAY
from laotie.lake.parts import list_files, swap_parts, write_part
from laotie.lake.quarantine import list_held
from laotie.lake.verify import look, verify

AFTER = Tale().at(48 * 3600)


@pytest.fixture(params=["disk", "memory"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    return open_lake(tmp_path) if request.param == "disk" else Lake(f"memory://{tmp_path.name}", "Asia/Shanghai")


@pytest.fixture
def disk(tmp_path: Path) -> Lake:
    return open_lake(tmp_path)


def visits(lake: Lake, first: int, count: int, *, hour: int = 9, each: int = 1) -> pa.Table:
    """So many visits into one hour, as parts of `each`; returns them."""
    tale = Tale()
    tale.count = first
    for number in range(first, first + count):
        tale.visit(hour * 3600 + number, f"viewer {number % 7}", f"visit {number}")
    rows = pa.Table.from_pylist(tale.rows["visit"], schema=TOPICS["visit"].schema)
    for begin in range(0, count, each):
        write_parts(lake, "visit", rows.slice(begin, each))
    return rows


def ids(lake: Lake) -> list[bytes]:
    return sorted(read(lake, "visit")["id"].to_pylist())


def problems(lake: Lake, *, deep: bool = False) -> list[str]:
    return sorted(problem.what for problem in verify(lake, deep=deep).problems)


def test_an_hour_that_is_over_becomes_one_file_sorted_by_viewer(lake: Lake) -> None:
    rows = visits(lake, 0, 20)
    done = compact(lake, now_us=AFTER)
    assert (done.hours, done.parts_before, done.parts_after, done.rows, done.duplicates) == (1, 20, 1, 20, 0)
    assert ids(lake) == sorted(rows["id"].to_pylist()) and len(list_parts(lake, "visit")) == 1
    found = read(lake, "visit")
    assert found.equals(found.sort_by([("viewer_id", "ascending"), ("at_us", "ascending")]))
    assert compact(lake, now_us=AFTER).hours == 0, "what is done is done"
    assert not problems(lake, deep=True)


def test_what_was_replaced_is_deleted_when_nobody_can_be_reading_it(lake: Lake) -> None:
    visits(lake, 0, 5)
    compact(lake, now_us=AFTER)
    assert len(list_files(lake, "visit", DAY)) == 6 and look(lake).topics[0].waiting_for_deletion == 5
    assert compact(lake, now_us=AFTER + GRACE_US // 2).deleted == 0
    assert compact(lake, now_us=AFTER + GRACE_US + 1).deleted == 5
    assert len(list_files(lake, "visit", DAY)) == 1 and not read_manifest(lake.fs, lake.root, "visit", DAY).gone


def test_duplicates_are_dropped_and_late_rows_join_their_hour(disk: Lake) -> None:
    rows = visits(disk, 0, 10, each=5)
    write_parts(disk, "visit", rows.slice(3, 4))
    assert problems(disk, deep=True) == ["rows twice"]
    assert compact(disk, now_us=AFTER).duplicates == 4
    visits(disk, 10, 3)
    write_parts(disk, "visit", rows.slice(0, 1))
    assert compact(disk, now_us=AFTER).duplicates == 1
    assert len(ids(disk)) == 13 == len(set(ids(disk))) and len(list_parts(disk, "visit")) == 1
    write_parts(disk, "visit", pa.concat_tables([one := visits(disk, 20, 1, hour=11), one]))
    assert compact(disk, now_us=AFTER).duplicates == 2, "also within one file"
    assert not problems(disk, deep=True)


def test_another_row_of_the_same_id_goes_into_quarantine(disk: Lake) -> None:
    rows = visits(disk, 0, 4)
    forged = rows.slice(0, 1).set_column(1, "at_us", pa.array([rows["at_us"][0].as_py() + 1]))
    write_parts(disk, "visit", forged.cast(rows.schema))
    done = compact(disk, now_us=AFTER)
    assert (done.rows, done.duplicates, done.quarantined) == (4, 0, 1)
    assert [(one.reason, one.topic, one.rows) for one in list_held(disk)] == [("another row of the same id", "visit", 1)]


def test_an_hour_that_goes_on_is_merged_only_when_its_files_are_many(disk: Lake) -> None:
    begun = Tale().at(9 * 3600 + 1800)
    visits(disk, 0, SMALL_MAX - 1)
    assert not list(list_work(disk, now_us=begun))
    visits(disk, SMALL_MAX, 1)
    compact(disk, now_us=begun)
    visits(disk, 100, 2)
    assert len(list_parts(disk, "visit")) == 3 and not list(list_work(disk, now_us=begun))
    compact(disk, now_us=AFTER)
    assert len(list_parts(disk, "visit")) == 1 and len(set(ids(disk))) == SMALL_MAX + 2 == len(ids(disk))


def test_a_large_hour_becomes_several_files_a_share_of_the_ids_each(disk: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "PART_ROWS_MAX", 30)
    rows = visits(disk, 0, 100, each=25)
    write_parts(disk, "visit", rows.slice(0, 20))
    done = compact(disk, now_us=AFTER)
    assert (done.parts_after, done.rows, done.duplicates) == (4, 100, 20)
    assert ids(disk) == sorted(rows["id"].to_pylist())
    assert compact(disk, now_us=AFTER).hours == 0


def test_a_merge_that_was_killed_changes_nothing_and_is_cleared_away(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    visits(lake, 0, 5)
    before = list_parts(lake, "visit")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(compaction, "swap_parts", killed)
        with pytest.raises(KeyboardInterrupt):
            compact(lake, now_us=AFTER)
    assert list_parts(lake, "visit") == before and problems(lake) == ["file left over"]
    half = f"{lake.root}/{before[0].path}.tmp"
    lake.fs.pipe_file(half, b"PAR1")
    assert list_parts(lake, "visit") == before
    compact(lake, now_us=now_us() + 2 * HOUR_US)
    assert not lake.fs.exists(half)
    assert len(ids(lake)) == 5 == len(set(ids(lake))) and not problems(lake)


def test_who_replaces_what_is_gone_already_is_refused(disk: Lake) -> None:
    visits(disk, 0, 5)
    (work,) = list_work(disk, now_us=AFTER)
    erased = write_part(disk, "visit", DAY, 9, read(disk, "visit").slice(0, 4), name="m-erased")
    swap_parts(disk, work.parts, [erased], now_us=AFTER)
    with pytest.raises(PartsMoved):
        merge(disk, work, now_us=AFTER)
    assert len(ids(disk)) == 4, "what was erased does not come back"


async def test_the_worker_merges_one_process_at_a_time(db: Database, disk: Lake) -> None:
    tale, yesterday = Tale(), disk.day_of(db.clock.now_us()) - timedelta(days=1)
    for second in (1, 2):
        tale.visit(second, "viewer", f"visit {second}", day=yesterday)
        tale.write(disk)
        tale.rows.clear()
    async with db.tx() as other:
        await other.run("SELECT pg_advisory_xact_lock(%(key)s)", key=MERGE_LOCK)
        assert await merge_hours(db, disk) == 0
    assert await merge_hours(db, disk) == 1
    assert await merge_hours(db, disk) == 0
    assert len(list_parts(disk, "visit")) == 1 and len(ids(disk)) == 2


def test_readers_during_merges_see_every_row_once(disk: Lake) -> None:
    rows = visits(disk, 0, 60, each=3)
    expected, wrong, over = sorted(rows["id"].to_pylist()), [], threading.Event()

    def go_on_reading() -> None:
        while not over.is_set():
            if ids(disk) != expected:
                wrong.append(len(ids(disk)))

    reader = threading.Thread(target=go_on_reading)
    reader.start()
    try:
        for turn in range(8):
            write_parts(disk, "visit", rows.slice(0, 0))
            compact(disk, now_us=AFTER + turn)
            for part in list_parts(disk, "visit"):  # apart again, to be merged once more
                table = read(disk, "visit")
                halves = [
                    write_part(disk, "visit", DAY, 9, half, name=f"m-{turn}-{number}-h")
                    for number, half in enumerate((table.slice(0, 30), table.slice(30)))
                ]
                swap_parts(disk, [part], halves, now_us=AFTER + turn)
    finally:
        over.set()
        reader.join()
    assert not wrong


def test_a_truncated_file_is_put_aside_and_said(disk: Lake) -> None:
    visits(disk, 0, 3)
    visits(disk, 3, 1, hour=10)
    *_, cut = list_parts(disk, "visit")
    path = Path(disk.root) / cut.path
    path.write_bytes(path.read_bytes()[:-20])
    assert problems(disk) == ["file unreadable"]
    assert compact(disk, now_us=AFTER).unreadable == 1
    assert len(ids(disk)) == 3 and not path.exists()
    assert [(one.reason, one.topic, one.rows) for one in list_held(disk)] == [("unreadable file", "visit", 1)]
    assert (Path(disk.root) / "quarantine/files" / cut.path).exists()
    assert not problems(disk)


def test_missing_files_and_days_and_strange_ones_are_said(disk: Lake) -> None:
    tale = Tale()
    for days in (0, 1, 3):
        for topic_second in (100, 200):
            tale.visit(topic_second, "viewer", f"visit {days} {topic_second}", day=DAY + timedelta(days=days))
    tale.write(disk)
    compact(disk, now_us=Tale().at(0, DAY + timedelta(days=9)))
    assert problems(disk) == ["day missing"]
    first, second, _ = list_parts(disk, "visit")
    (Path(disk.root) / first.path).unlink()
    hurt = bytearray((Path(disk.root) / second.path).read_bytes())
    (Path(disk.root) / second.path).write_bytes(bytes(hurt) + b"more")
    assert problems(disk) == ["day missing", "file missing", "file of another size", "file unreadable"]


def test_newer_versions_and_rows_of_another_hour_are_said(disk: Lake) -> None:
    rows = visits(disk, 0, 1)
    write_part(disk, "visit", DAY, 23, rows)
    newer = rows.append_column("mood", pa.array(["good"]))
    newer_part = write_part(disk, "visit", DAY, 9, newer.replace_schema_metadata({"laotie.version": "2"}))
    assert problems(disk) == ["rows of another hour", "unknown column", "unknown version"]
    compact(disk, now_us=AFTER)
    assert "mood" in pq.read_table(f"{disk.root}/{newer_part.path}", partitioning=None).column_names, "nothing of it is lost"


def test_rows_of_an_earlier_version_get_the_new_columns_empty(disk: Lake) -> None:
    rows = visits(disk, 0, 2)
    (part,) = list_parts(disk, "visit")[:1]
    table = pq.read_table(f"{disk.root}/{part.path}", partitioning=None)
    pq.write_table(table.drop_columns(["streamer_id"]), f"{disk.root}/{part.path}")
    compact(disk, now_us=AFTER)
    assert read(disk, "visit").schema.equals(rows.schema) and len(ids(disk)) == 2


LONG_AFTER = Tale().at(0, DAY + timedelta(days=9))


def test_the_hours_of_a_day_long_past_become_one_file(lake: Lake) -> None:
    rows = pa.concat_tables([visits(lake, 100 * hour, 4, hour=hour, each=2) for hour in (0, 9, 23)])
    done = compact(lake, now_us=LONG_AFTER)
    assert (done.hours, done.parts_before, done.parts_after, done.rows) == (1, 6, 1, 12)
    (part,) = list_parts(lake, "visit")
    assert part.hour == ALL_DAY and f"day={DAY}/hour=all/" in part.path
    assert ids(lake) == sorted(rows["id"].to_pylist()) and not problems(lake, deep=True)
    assert compact(lake, now_us=LONG_AFTER).hours == 0, "what is done is done"
    with Engine(lake, threads=1) as engine:
        assert engine.run(engine.read("visit", DAY, DAY + timedelta(days=1))).num_rows == 12
        assert engine.run(engine.read("visit", DAY + timedelta(days=1))).num_rows == 0


def test_what_comes_later_still_joins_the_day_each_row_once(lake: Lake) -> None:
    rows = visits(lake, 0, 6, each=2)
    visits(lake, 50, 2, hour=11)
    compact(lake, now_us=LONG_AFTER)
    write_parts(lake, "visit", pa.concat_tables([rows.slice(2, 2), visits(lake, 90, 1, hour=23).slice(0, 0)]))
    assert problems(lake, deep=True) == ["rows twice"]
    with Engine(lake, threads=1) as engine:
        assert engine.run(engine.read("visit")).num_rows == 11, "beside one another they can be read"
        rolled = engine.run(Rollups(lake).viewer_days(engine))
    assert sum(rolled["visits"].to_pylist()) == 9, "figures count each row once"
    done = compact(lake, now_us=LONG_AFTER)
    assert (done.parts_after, done.duplicates) == (1, 2) and len(ids(lake)) == 9 and not problems(lake, deep=True)


def test_a_large_day_keeps_its_hours_and_a_recent_one_too(disk: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    visits(disk, 0, 2)
    visits(disk, 50, 2, hour=11)
    compact(disk, now_us=AFTER)
    assert [part.hour for part in list_parts(disk, "visit")] == [9, 11]
    with monkeypatch.context() as patched:
        patched.setattr(compaction, "DAY_BYTES_MAX", 100)
        assert compact(disk, now_us=LONG_AFTER).hours == 0
    assert compact(disk, now_us=LONG_AFTER).hours == 1 and [part.hour for part in list_parts(disk, "visit")] == [ALL_DAY]


def test_rows_of_another_day_in_a_day_s_file_are_said(disk: Lake) -> None:
    write_part(disk, "visit", DAY + timedelta(days=1), ALL_DAY, visits(disk, 0, 1))
    assert problems(disk) == ["rows of another hour"]


async def test_the_worker_hears_of_a_day_long_past_at_once_and_clears_up_after_it(db: Database, disk: Lake) -> None:
    tale, past = Tale(), disk.day_of(db.clock.now_us()) - timedelta(days=40)
    for second in (1, 4000, 8000):
        tale.visit(second, "viewer", f"visit {second}", day=past)
    tale.write(disk)
    assert await merge_hours(db, disk) == 0, "nobody has said so, and this is not the hour to look at everything"
    note_late(disk, list_parts(disk, "visit"), now_us=db.clock.now_us())
    assert await merge_hours(db, disk) == 1
    assert [part.hour for part in list_parts(disk, "visit")] == [ALL_DAY] and len(list_files(disk, "visit", past)) == 4
    db.clock.advance(seconds=GRACE_US / 1_000_000 + 1)
    assert await merge_hours(db, disk) == 0
    assert len(list_files(disk, "visit", past)) == 1 and not list(take_notes(disk)), "what it was is gone, and the note with it"
