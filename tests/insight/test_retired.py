"""Behaviour that was deleted leaves its figures: exactly those that were there before."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from lakes import DAY, Tale, named, open_lake
from laotie.base.db import Database
from laotie.insight import Engine
from laotie.insight.rollups import Rollups
from laotie.lake import Lake, list_days, retire, retire_behaviour
from laotie.worker.loops import _freeze

DAYS = [DAY + timedelta(days=number) for number in range(3)]
MIDNIGHT = 86_400


def tell(one: Lake) -> None:
    """Three days of two people with two tabs each, one of which is open over midnight."""
    tale = Tale()
    for day in DAYS:
        for who in ("ann", "bob"):
            for tab in ("a", "b"):
                visit = f"{who} {tab} {day}"
                tale.visit(30_000, who, visit, day=day, show_id="show", source="slot")
                tale.watch(30_010, 30_300 if tab == "a" else 30_200, who, visit, day=day, show_id="show", source="slot")
        tale.watch(MIDNIGHT - 100, MIDNIGHT + 200, "ann", f"ann a {day}", day=day, show_id="show", source="slot")
        tale.watch(MIDNIGHT - 50, MIDNIGHT + 20, "ann", f"ann b {day}", day=day, show_id="show", source="slot")
    tale.write(one)


def days_of(one: Lake) -> list[dict[str, Any]]:
    with Engine(one, threads=1) as engine:
        rows: list[dict[str, Any]] = engine.run(Rollups(one).viewer_days(engine)).to_pylist()
    return sorted(rows, key=str)


async def test_the_figures_of_days_that_have_gone_stay_to_the_microsecond(db: Database, tmp_path: Path) -> None:
    one = open_lake(tmp_path / "lake")
    tell(one)
    before = days_of(one)
    assert {row["viewer_id"] for row in before} == {named("ann").bytes, named("bob").bytes}
    assert {row["day"] for row in before} >= set(DAYS)
    db.clock.advance(seconds=max(0, one.bounds_of(DAYS[2])[0] // 1_000_000 - db.clock.now().timestamp()))
    age = (one.day_of(db.clock.now_us()) - DAYS[1]).days
    for days in (age, age - 1):  # the first day goes, then the second
        assert await retire_behaviour(db, one, days=days, keep_figures=_freeze) > 0
        assert days_of(one) == before
    db.clock.advance(seconds=900)
    assert await retire_behaviour(db, one, days=age - 1, keep_figures=_freeze) == 0
    assert list_days(one, "watch")[0] == DAYS[2], "the files are gone as well"
    assert await retire_behaviour(db, one, days=0) == 0, "0: for ever"


async def test_a_guest_who_signs_in_afterwards_is_the_account_in_the_figures_of_those_days_too(db: Database, tmp_path: Path) -> None:
    one = open_lake(tmp_path / "lake")
    tell(one)
    tale = Tale()
    tale.visit(40_000, "a guest", "elsewhere", day=DAYS[0], shop_id="shop", placement="product")
    tale.visit(40_000, "ann", "again", day=DAYS[0], shop_id="shop", placement="product")
    tale.write(one)
    with Engine(one, threads=1) as engine:
        Rollups(one).freeze(engine, DAYS)
    retire(one, DAYS[1], now_us=one.bounds_of(DAYS[2])[0])

    def people_of(shows: bool) -> list[tuple[bytes, int]]:
        rows = [row for row in days_of(one) if row["day"] == DAYS[0] and (row["show_id"] is not None) is shows]
        return sorted((row["viewer_id"], row["visits"]) for row in rows)

    before = people_of(shows=True)
    assert len(people_of(shows=False)) == 2
    tale = Tale()
    tale.add("person", 50, DAYS[2], guest_id="a guest", account_id="ann")
    tale.write(one)
    assert people_of(shows=False) == [(named("ann").bytes, 2)]
    assert people_of(shows=True) == before
    with Engine(one, threads=1) as engine:
        (row,) = engine.run(Rollups(one).surface_days(engine, DAYS[0], DAYS[1])).to_pylist()
    assert (row["surface"], row["viewer_id"], row["visits"]) == ("shelf", named("ann").bytes, 2)
