"""Repurchase over HTTP: whole answers over a lake written by hand, files, and who may ask."""

import csv
import io
from datetime import date, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from lakes import ZONE, Tale
from laotie.base.clock import Clock
from laotie.base.settings import Settings
from laotie.lake import Lake
from people import People, problem
from world import World, made, make_world


@pytest.fixture
async def world(people: People, settings: Settings, clock: Clock) -> World:
    """Last month ann bought twice and bob once, this month ann again, and bob got some of it back."""
    world = await make_world(people)
    this, last = months(clock)
    tale = Tale()
    where = {"shop_id": UUID(world.shop).bytes}
    for order, buyer, day, amount in (
        ("a1", "ann", last, 10_000),
        ("a2", "ann", last, 5_000),
        ("b1", "bob", last, 20_000),
        ("a3", "ann", this, 1_000),
    ):
        tale.money(60, "placed", order, buyer, amount, day=day, **where)
        tale.money(61, "paid", order, buyer, amount, day=day, **where)
    tale.money(70, "refunded", "b1", "bob", -4_000, day=this, **where)
    tale.write(Lake.of(settings))
    return world


def months(clock: Clock) -> tuple[date, date]:
    this = clock.now().astimezone(ZoneInfo(ZONE)).date().replace(day=1)
    return this, (this - timedelta(days=1)).replace(day=1)


async def ask(world: World, path: str, role: str = "owner") -> Any:
    return await made(world[role].get(f"/api/insight/{path}{'&' if '?' in path else '?'}level=shop&of={world.shop}"))


async def test_months_cohorts_and_returns_are_told_as_they_were(world: World, clock: Clock) -> None:
    this, last = months(clock)
    found = await ask(world, "repurchase")
    assert (found["currency"], found["currencies"], found["zone"]) == ("CNY", ["CNY"], ZONE)
    was, now = found["items"]
    assert {name: was[name] for name in ("month", "buyers", "orders", "again", "again_share", "new", "ever_again_share")} == {
        "month": str(last), "buyers": 2, "orders": 3, "again": 1, "again_share": 0.5, "new": 2, "ever_again_share": 0.5,
    }  # fmt: skip
    assert (now["month"], now["buyers"], now["ever"], now["ever_again"]) == (str(this), 1, 2, 1)
    assert (now["returned_amount"], now["returned_orders"], now["returned_share"], now["paid_amount"]) == (4_000, 1, 4.0, 1_000)

    cohorts = await ask(world, "cohorts")
    told = ("first_month", "months_since", "buyers", "buyers_share", "net_amount")
    assert [tuple(row[name] for name in told) for row in cohorts["items"]] == [
        (str(last), 0, 2, 1.0, 35_000),
        (str(last), 1, 1, 0.5, 1_000 - 4_000),
    ]
    file = await world["owner"].get(f"/api/insight/cohorts?level=shop&of={world.shop}&format=csv")
    rows = list(csv.DictReader(io.StringIO(file.content.decode("utf-8-sig"))))
    assert [row["net"] for row in rows] == ["350.00", "-30.00"]


async def test_too_few_buyers_have_no_forecast_and_the_answer_says_why(world: World, clock: Clock) -> None:
    found = await ask(world, "repurchase/forecast")
    assert (found["refused"], found["facts"], found["items"], found["past"]) == (
        "too-few-customers", {"found": 2, "needed": 50}, [], None,
    )  # fmt: skip
    today = clock.now().astimezone(ZoneInfo(ZONE)).date()
    assert (found["since"], found["until"]) == (str(today), str(today + timedelta(days=90)))


async def test_a_show_has_no_cohorts_and_strangers_have_none_to_see(world: World) -> None:
    for path in ("repurchase", "cohorts", "repurchase/forecast"):
        refused = await world["owner"].get(f"/api/insight/{path}?level=show&of={world.show}")
        assert problem(refused)["type"] == "/problems/level-refused"
        assert (await world["viewer"].get(f"/api/insight/{path}?level=shop&of={world.shop}")).status_code == 404
    assert (await world["operator"].get("/api/insight/cohorts?level=platform")).status_code == 200
    assert (await world["owner"].get("/api/insight/cohorts?level=platform")).status_code == 403
