"""GMV and its factors over HTTP, over a lake written by hand; and the same rows as CSV and Parquet."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pyarrow.parquet as pq
import pytest

from lakes import ZONE, Tale
from laotie.base.settings import Settings
from laotie.lake import Lake
from laotie.web.insight_exports import write_csv, write_parquet
from people import Browser, People, problem
from world import World, made, make_world

DAY = datetime.now(UTC).astimezone(ZoneInfo(ZONE)).date() - timedelta(days=2)
NEXT = DAY + timedelta(days=1)
PERIOD = f"since={DAY}&until={NEXT}"


@pytest.fixture
async def world(people: People, settings: Settings) -> World:
    """A fan buys twice, a passer-by watches, somebody buys off the shelf; one order is given back the day after."""
    world = await make_world(people)
    tale = Tale()
    show: dict[str, Any] = {
        "show_id": UUID(world.show).bytes, "shop_id": UUID(world.shop).bytes, "streamer_id": world["owner"].account_id.bytes,
    }  # fmt: skip
    at = {"show_id": show["show_id"]}
    tale.add("show", 5, DAY, title="今早的潮水", started_us=tale.at(5, DAY), **show)
    tale.visit(10, "fan", "v1", day=DAY, source="private", **show)
    tale.watch(10, 70, "fan", "v1", day=DAY, source="private", **at)
    tale.visit(20, "passer", "v2", day=DAY, source="slot", **show)
    tale.watch(20, 40, "passer", "v2", day=DAY, source="slot", **at)
    tale.visit(30, "shopper", "v3", day=DAY, source="shelf", shop_id=show["shop_id"])
    tale.add("click", 31, DAY, viewer_id="fan", visit_id="v1", source="private", shop_id=show["shop_id"], **at)
    for order, amount, paid in (("o1", 10_000, True), ("o2", 5_001, True), ("o3", 700, False)):
        for kind in ("placed", "paid")[: 1 + paid]:
            tale.money(50, kind, order, "fan", amount, day=DAY, source="private", **show)
    for kind in ("placed", "paid"):
        tale.money(60, kind, "o4", "shopper", 3_000, day=DAY, source="shelf", shop_id=show["shop_id"])
    tale.money(9, "refunded", "o2", "fan", -5_001, day=NEXT, source="private", **show)
    tale.write(Lake.of(settings))
    return world


async def ask(who: Browser, path: str) -> dict[str, Any]:
    found: dict[str, Any] = await made(who.get(f"/api/insight/{path}"))
    return found


def fields(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


async def test_gmv_is_the_product_of_its_factors_in_total_and_by_source(world: World) -> None:
    found = await ask(world["owner"], f"overview?level=shop&of={world.shop}&{PERIOD}")
    assert fields(found, "kind", "currency", "currencies", "zone", "before") == ("paid", "CNY", ["CNY"], ZONE, None)
    assert found["total"] == {
        "period": "now", "since": str(DAY), "until": str(NEXT), "source": None, "currency": "CNY", "uv": 3, "watch_s": 80.0,
        "buyers": 2, "orders": 3, "gmv_amount": 18_001, "watch_per_viewer_s": pytest.approx(80 / 3),
        "buyers_per_watch_hour": pytest.approx(90.0), "orders_per_buyer": 1.5, "conversion": 1.0, "gmv_per_order_amount": 6_000,
    }  # fmt: skip
    by_source = {row["source"]: row for row in found["sources"]}
    assert fields(by_source["private"], "uv", "watch_s", "buyers", "orders", "gmv_amount") == (1, 60.0, 1, 2, 15_001)
    assert fields(by_source["slot"], "uv", "gmv_amount", "orders_per_buyer", "gmv_per_order_amount") == (1, 0, None, None)
    shelf = by_source["shelf"]
    assert fields(shelf, "gmv_amount", "watch_per_viewer_s", "conversion") == (3_000, None, 1.0), "three factors"
    assert sum(row["gmv_amount"] for row in found["sources"]) == found["total"]["gmv_amount"]


@pytest.mark.parametrize(("kind", "days", "gmv"), [("placed", 1, 18_701), ("paid", 2, 18_001), ("net", 1, 18_001), ("net", 2, 13_000)])
async def test_what_counts_is_chosen_and_a_refund_counts_on_its_own_day(world: World, kind: str, days: int, gmv: int) -> None:
    period = f"since={DAY}&until={DAY + timedelta(days=days)}"
    for level in (f"shop&of={world.shop}", "streamer", f"show&of={world.show}"):
        found = await ask(world["owner"], f"overview?level={level}&kind={kind}&{period}")
        of_shelf = 0 if level.startswith("shop") else 3_000
        assert found["total"]["gmv_amount"] == gmv - of_shelf, level


async def test_shows_are_named(world: World) -> None:
    where = f"level=shop&of={world.shop}&since={DAY}&until={NEXT + timedelta(days=1)}&kind=net"
    shows = await ask(world["owner"], f"overview/shows?{where}")
    named = [fields(row, "show_id", "streamer_name", "gmv_amount", "uv") for row in shows["items"]]
    assert [(row[0], row[2], row[3]) for row in named] == [(world.show, 10_000, 2), (None, 3_000, 1)]
    assert named[0][1] and shows["left_out"] == 0


async def test_another_period_is_laid_beside(world: World) -> None:
    past = f"before_since={DAY}&before_until={NEXT}"
    found = await ask(world["owner"], f"overview?level=streamer&kind=net&since={NEXT}&until={NEXT + timedelta(days=1)}&{past}")
    assert found["total"]["gmv_amount"] == -5_001 and found["before"]["gmv_amount"] == 15_001
    assert {row["source"] for row in found["sources_before"]} == {"private", "slot"}


async def test_steps_count_people_by_source_and_everybody_once(world: World) -> None:
    found = await ask(world["owner"], f"overview/steps?level=show&of={world.show}&{PERIOD}")
    taken = {row["source"]: fields(row, "came", "watched", "clicked", "ordered", "paid") for row in found["items"]}
    assert taken == {"private": (1, 1, 1, 1, 1), "slot": (1, 1, 0, 0, 0), None: (2, 2, 1, 1, 1)}
    of_shop = await ask(world["owner"], f"overview/steps?level=shop&of={world.shop}&{PERIOD}")
    whole = next(row for row in of_shop["items"] if row["source"] is None)
    assert fields(whole, "came", "watched", "paid") == (3, 2, 2)


@pytest.mark.parametrize("part", ["overview", "gmv", "overview/shows", "overview/steps"])
async def test_files_hold_the_rows_that_are_shown(world: World, part: str) -> None:
    where = f"{part}?level=shop&of={world.shop}&{PERIOD}"
    shown = await ask(world["owner"], where)
    rows = shown["items"] if part != "overview" else [*shown["sources"], shown["total"]]
    sheet = await world["owner"].get(f"/api/insight/{where}&format=csv")
    assert sheet.headers["content-type"].startswith("text/csv") and ".csv" in sheet.headers["content-disposition"]
    lines = list(csv.DictReader(io.StringIO(sheet.text.removeprefix("\ufeff"))))
    parquet = await world["owner"].get(f"/api/insight/{where}&format=parquet")
    table = pq.read_table(io.BytesIO(parquet.content)).to_pylist()
    assert len(lines) == len(table) == len(rows) > 0
    for line, row, one in zip(lines, table, rows, strict=True):
        assert set(row) == set(one)
        for name, value in one.items():
            if name.endswith("_amount"):
                assert row[name] == value
                assert line[name.removesuffix("_amount")] == ("" if value is None else f"{value / 100:.2f}")
            elif isinstance(value, int | float | None):
                assert row[name] == value
                assert line[name] == ("" if value is None else str(value))


async def test_a_file_without_rows_has_its_columns_and_no_cell_runs() -> None:
    class Row(msgspec.Struct):
        day: date
        title: str
        currency: str
        gmv_amount: int | None

    assert write_csv([], Row).decode("utf-8-sig") == "day,title,currency,gmv\r\n"
    assert pq.read_table(io.BytesIO(write_parquet([], Row))).schema.names == ["day", "title", "currency", "gmv_amount"]
    attack = Row(DAY, "=HYPERLINK(1)", "CNY", -1_050)
    assert write_csv([attack], Row).decode("utf-8-sig").splitlines()[1] == f"{DAY},'=HYPERLINK(1),CNY,-10.50"
    assert pq.read_table(io.BytesIO(write_parquet([attack], Row))).to_pylist()[0]["title"] == "=HYPERLINK(1)"


async def test_a_period_that_ends_before_it_begins_is_refused(world: World) -> None:
    answer = await world["owner"].get(f"/api/insight/overview?level=streamer&since={NEXT}&until={DAY}")
    assert answer.status_code == 422 and problem(answer)["type"].endswith("/period-refused")


async def test_nobody_sees_the_figures_of_others(world: World) -> None:
    for path, status in ((f"level=shop&of={world.shop}", 404), (f"level=show&of={world.show}", 404), ("level=platform", 403)):
        assert (await world["viewer"].get(f"/api/insight/overview?{path}")).status_code == status, path
    owner = world["owner"].account_id
    assert (await world["viewer"].get(f"/api/insight/overview?level=streamer&of={owner}")).status_code == 404


async def test_surfaces_are_told_apart_and_add_up_to_the_whole(world: World) -> None:
    where = f"level=shop&of={world.shop}&{PERIOD}"
    found = await ask(world["owner"], f"overview/surfaces?{where}")
    whole = await ask(world["owner"], f"overview?{where}")
    assert sum(row["gmv_amount"] for row in found["items"]) == whole["total"]["gmv_amount"]
