"""Roll-ups: whatever comes, late, twice, merged, they say what the whole computation says, and a day is worked out once."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa
import pytest

from lakes import DAY, Tale, named, open_lake
from laotie.insight import Engine
from laotie.insight.rollups import ORDERS, VIEWERS, Rollups
from laotie.insight.terms import FACTS
from laotie.lake import TOPICS, Lake, Part, compact, list_parts, write_parts
from laotie.lake.model import ALL_DAY
from slow_watch import watch_slowly

DAYS = [DAY + timedelta(days=number) for number in range(4)]
MIDNIGHT = 86_400
SECOND_US = 1_000_000


class Counting(Engine):
    """An engine that knows which parts it was asked to read."""

    def __init__(self, lake: Lake) -> None:
        super().__init__(lake, threads=1)
        self.parts: set[Part] = set()

    def read_parts(self, topic: str, parts: Sequence[Part]) -> ir.Table:
        self.parts.update(parts)
        return super().read_parts(topic, parts)


class World:
    """What happens by chance, told to a lake part by part, and remembered."""

    def __init__(self, lake: Lake, seed: int) -> None:
        self.lake, self.random = lake, random.Random(seed)
        self.rows: dict[str, dict[bytes, dict[str, Any]]] = defaultdict(dict)
        self.tale = Tale()

    def happen(self, day: date) -> None:
        """Somebody comes, mostly at the ends of the day, on several connections at once, watches and buys."""
        draw, tale = self.random, self.tale
        for _ in range(draw.randint(1, 5)):
            connection, source = f"connection {draw.random()}", draw.choice(["slot", "share"])
            viewer = draw.choice(["ann", "bob", "guest", "stranger"])
            who: dict[str, Any] = {"viewer": viewer, "visit": connection, "source": source, "day": day}
            second = draw.choice([draw.randint(0, 40), draw.randint(MIDNIGHT - 60, MIDNIGHT - 1)])
            show_id = draw.choice(["show", "show", "other"])
            tale.visit(second, show_id=show_id, **who)
            for _ in range(draw.randint(0, 4)):
                until = second + draw.randint(1, 30)
                if draw.random() < 0.8:
                    tale.watch(second, until, show_id=show_id, **who)
                second = until
        tale.visit(draw.randint(0, MIDNIGHT - 1), "ann", f"shelf {draw.random()}", day=day, source="shelf", shop_id="shop")
        order = f"order {draw.randint(1, 6)}"
        for kind, amount in (("placed", 500), ("paid", 500), ("refunded", -200), ("cancelled", -500))[: draw.randint(1, 4)]:
            tale.money(draw.randint(0, MIDNIGHT - 1), kind, order, draw.choice(["ann", "guest"]), amount, day=day, shop_id="shop")

    def sign_in(self) -> None:
        """The guest has become Ann."""
        self.tale.add("person", 50, DAYS[0], guest_id="guest", account_id="ann")

    def write(self) -> None:
        """What has happened since, as parts of its own."""
        for topic, rows in self.tale.rows.items():
            write_parts(self.lake, topic, pa.Table.from_pylist(rows, schema=TOPICS[topic].schema))
            self.rows[topic] |= {row["id"]: row for row in rows}
        self.tale.rows.clear()

    def repeat(self) -> None:
        """Some rows come again, in a part of their own."""
        for topic in ("visit", "watch", "money"):
            again = [row for row in self.rows[topic].values() if self.random.random() < 0.4]
            if again:
                write_parts(self.lake, topic, pa.Table.from_pylist(again, schema=TOPICS[topic].schema))

    def viewers(self) -> dict[tuple[Any, ...], list[int]]:
        """Who was where, worked out from everything, row by row."""
        accounts = self.accounts()
        found: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
        for row in self.rows["visit"].values():
            shop = None if row["show_id"] is not None else row["shop_id"]
            who = accounts.get(row["viewer_id"], row["viewer_id"])
            found[self.lake.day_of(row["at_us"]), row["show_id"], who, row["source"], row["is_fan"], shop][0] += 1
        for key, seconds in watch_slowly(self.rows["watch"].values(), accounts, unit_us=SECOND_US).items():
            found[(*key, None)][1] += seconds * SECOND_US
        return dict(found)

    def orders(self) -> dict[tuple[Any, ...], int]:
        """What each order added to each kind on each day."""
        accounts = self.accounts()
        found: dict[tuple[Any, ...], int] = defaultdict(int)
        for row in self.rows["money"].values():
            for kind, facts in FACTS.items():
                if row["kind"] in facts:
                    who = accounts.get(row["buyer_id"], row["buyer_id"])
                    found[self.lake.day_of(row["at_us"]), str(kind), row["order_id"], who] += row["amount"]
        return dict(found)

    def accounts(self) -> Mapping[bytes, bytes]:
        return {row["guest_id"]: row["account_id"] for row in self.rows["person"].values()}


def viewers_of(engine: Engine) -> dict[tuple[Any, ...], list[int]]:
    rows = engine.run(Rollups(engine.lake).viewer_days(engine)).to_pylist()
    keys = ("day", "show_id", "viewer_id", "source", "is_fan", "shop_id")
    found = {tuple(row[key] for key in keys): [row["visits"], row["watch_us"]] for row in rows}
    assert len(found) == len(rows)
    return found


def orders_of(engine: Engine) -> dict[tuple[Any, ...], int]:
    rows = engine.run(Rollups(engine.lake).order_days(engine)).to_pylist()
    return {tuple(row[key] for key in ("day", "kind", "order_id", "buyer_id")): row["amount"] for row in rows}


@pytest.mark.parametrize(("seed", "steps"), [(0, 3), *(pytest.param(seed, 4, marks=pytest.mark.prove) for seed in range(1, 9))])
def test_whatever_comes_the_answer_is_that_of_the_whole_computation(tmp_path: Path, seed: int, steps: int) -> None:
    world = World(open_lake(tmp_path), seed)
    with Engine(world.lake, threads=1) as engine:
        for step in range(steps):
            world.happen(DAYS[step])
            if step:
                world.happen(world.random.choice(DAYS[:step]))  # late
            if step == 1:
                world.sign_in()
            world.write()
            if step in (1, 3):
                world.repeat()
            if step % 2:
                Rollups(world.lake).refresh(engine, until=DAYS[step])
            assert viewers_of(engine) == world.viewers(), f"step {step}"
        assert orders_of(engine) == world.orders()
        compact(world.lake, now_us=Tale().at(0, DAYS[1] + timedelta(days=3)))
        assert {part.hour == ALL_DAY for part in list_parts(world.lake, "watch")} == {True, False}, "the first days are whole"
        world.repeat()
        assert viewers_of(engine) == world.viewers() and orders_of(engine) == world.orders()


def test_one_more_day_reads_that_day_alone(tmp_path: Path) -> None:
    world = World(open_lake(tmp_path), 7)
    for day in DAYS[:3]:
        for source in ("slot", "share"):
            world.tale.visit(4_000, "ann", f"{source} {day}", day=day, source=source, show_id="show")
            world.tale.watch(4_000, 4_030, "ann", f"{source} {day}", day=day, source=source, show_id="show")
        world.tale.money(5_000, "placed", f"order {day}", "ann", 500, day=day, shop_id="shop")
    world.write()
    with Counting(world.lake) as engine:
        rollups = Rollups(world.lake)
        assert rollups.refresh(engine) == DAYS[:3]
        assert rollups.refresh(engine) == []
        world.tale.visit(4_000, "bob", "more", day=DAYS[3], show_id="show")
        world.tale.watch(3_000, 3_030, "bob", "more", day=DAYS[3], show_id="show")
        world.tale.money(5_000, "placed", "more", "bob", 500, day=DAYS[3], shop_id="shop")
        world.write()
        engine.parts.clear()
        assert rollups.refresh(engine) == [DAYS[3]]
        assert {(part.topic, part.day) for part in engine.parts} == {(topic, DAYS[3]) for topic in ("visit", "watch", "money")}
        engine.parts.clear()
        assert viewers_of(engine) == world.viewers()
        assert {part.topic for part in engine.parts} <= {"show"}


def test_over_midnight_only_the_hours_that_matter_of_the_day_before_are_read(tmp_path: Path) -> None:
    world = World(open_lake(tmp_path), 8)
    world.tale.watch(4_000, 4_030, "ann", "early", show_id="show")
    world.tale.watch(MIDNIGHT - 20, MIDNIGHT - 5, "ann", "late", show_id="show", source="slot")
    world.write()
    with Counting(world.lake) as engine:
        Rollups(world.lake).refresh(engine)
        world.tale.watch(MIDNIGHT - 15, MIDNIGHT + 10, "ann", "tab", show_id="show", source="share")
        world.write()
        engine.parts.clear()
        assert Rollups(world.lake).refresh(engine) == [DAYS[1]]
        assert {(part.day, part.hour) for part in engine.parts} == {(DAYS[0], 23), (DAYS[1], 0)}
        found = {(key[0], key[3]): watched for key, (_, watched) in viewers_of(engine).items()}
    assert found == {
        (DAYS[0], "direct"): 30 * SECOND_US, (DAYS[0], "slot"): 15 * SECOND_US,
        (DAYS[0], "share"): 5 * SECOND_US, (DAYS[1], "share"): 10 * SECOND_US,
    }  # fmt: skip


def test_a_guest_who_signs_in_changes_only_the_days_that_guest_was_here(tmp_path: Path) -> None:
    world = World(open_lake(tmp_path), 9)
    for day, viewer in zip(DAYS[:3], ("ann", "guest", "bob"), strict=True):
        world.tale.visit(4_000, viewer, f"visit {day}", day=day, show_id="show")
        world.tale.visit(40_000, "ann", f"ann {day}", day=day, show_id="show")
    world.write()
    with Engine(world.lake, threads=1) as engine:
        rollups = Rollups(world.lake)
        rollups.refresh(engine)
        world.sign_in()
        world.write()
        assert viewers_of(engine) == world.viewers()
        assert DAYS[1] in rollups.refresh(engine)
        assert rollups.refresh(engine) == []
        assert viewers_of(engine) == world.viewers()


def test_files_that_are_not_right_any_more_are_never_looked_at(tmp_path: Path) -> None:
    world = World(open_lake(tmp_path), 10)
    world.happen(DAYS[0])
    world.write()
    with Engine(world.lake, threads=1) as engine:
        Rollups(world.lake).refresh(engine)
        lost = list_parts(world.lake, "watch") + list_parts(world.lake, "visit")
        (tmp_path / lost[-1].path).unlink()  # as erasure does: parts have gone, others come
        world.rows["visit"].clear()
        for part in lost:
            (tmp_path / part.path).unlink(missing_ok=True)
        world.rows["watch"].clear()
        world.tale.visit(10, "bob", "new", show_id="show")
        world.write()
        assert viewers_of(engine) == world.viewers()
    for kind in (VIEWERS, ORDERS):
        assert list((tmp_path / "rollup" / kind.name).glob("*/*.parquet"))
        assert not list((tmp_path / "rollup").rglob("*.tmp"))


def test_two_processes_at_once_write_the_same(tmp_path: Path) -> None:
    world = World(open_lake(tmp_path), 11)
    world.happen(DAYS[0])
    world.write()
    with Engine(world.lake, threads=1) as one, Engine(world.lake, threads=1) as other:
        first, second = Rollups(world.lake), Rollups(world.lake)
        parts = first._list(VIEWERS, None, None)
        first._write_days(first._work_out(one, VIEWERS, [DAYS[0]], parts))
        second._write_days(second._work_out(other, VIEWERS, [DAYS[0]], parts))
        assert len(list((tmp_path / "rollup").rglob("*.parquet"))) == 1
        assert viewers_of(one) == viewers_of(other) == world.viewers()
    assert named("ann").bytes in {key[2] for key in world.viewers()}
