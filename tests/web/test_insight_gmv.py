"""GMV taken apart over HTTP, in whole numbers that multiply and add up; and what every number means."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from lakes import ZONE, Tale, named
from laotie.base.settings import Settings
from laotie.lake import Lake
from people import Browser, People, problem
from world import World, made, make_world

DAY = datetime.now(UTC).astimezone(ZoneInfo(ZONE)).date() - timedelta(days=2)
NEXT = DAY + timedelta(days=1)


@pytest.fixture
async def world(people: People, settings: Settings) -> World:
    """In the show a fan and a passer-by watch and buy, also for euros; on the shelf somebody buys and sends it back a day later."""
    world = await make_world(people)
    tale = Tale()
    show: dict[str, Any] = {"show_id": UUID(world.show).bytes}
    where = {**show, "shop_id": UUID(world.shop).bytes, "streamer_id": world["owner"].account_id.bytes}
    tale.add("show", 1, DAY, title="直播", started_us=tale.at(1, DAY), **where)
    for viewer, source, is_fan, watched in (("fan", "private", True, 120), ("passer", "slot", False, 60)):
        tale.visit(10, viewer, f"of {viewer}", day=DAY, source=source, is_fan=is_fan, **where)
        tale.watch(10, 10 + watched, viewer, f"of {viewer}", day=DAY, source=source, is_fan=is_fan, **show)
    tale.visit(30, "shopper", "of shopper", day=DAY, source="shelf", shop_id=where["shop_id"])
    for kind in ("placed", "paid"):
        tale.money(50, kind, "o1", "fan", 10_000, day=DAY, source="private", is_fan=True, **where)
        tale.money(50, kind, "o2", "fan", 5_001, day=DAY, source="private", is_fan=True, **where)
        tale.money(55, kind, "o3", "passer", 700, day=DAY, source="slot", currency="EUR", **where)
        tale.money(60, kind, "o4", "shopper", 3_000, day=DAY, source="shelf", shop_id=where["shop_id"])
    tale.money(9, "refunded", "o4", "shopper", -3_000, day=NEXT, source="shelf", shop_id=where["shop_id"])
    tale.write(Lake.of(settings))
    return world


async def take_apart(
    who: Browser, world: World, *by: str, kind: str = "paid", until: date = NEXT, currency: str | None = None
) -> dict[str, Any]:
    query = "".join(f"&by={one}" for one in by) + (f"&currency={currency}" if currency else "")
    found: dict[str, Any] = await made(
        who.get(f"/api/insight/gmv?level=shop&of={world.shop}&kind={kind}&since={DAY}&until={until}{query}")
    )
    return found


def product(part: dict[str, Any]) -> Fraction:
    """Of the factors, from the whole numbers."""
    if not part["orders"]:
        return Fraction(0)
    uv, watch_us, buyers, orders = (Fraction(part[name]) for name in ("uv", "watch_us", "buyers", "orders"))
    price = Fraction(part["gmv_amount"]) / orders
    return uv * (watch_us / uv) * (buyers / watch_us) * (orders / buyers) * price if watch_us else uv * (orders / uv) * price


async def test_parts_multiply_and_add_up_by_whatever_they_are_taken_apart(world: World) -> None:
    found = await take_apart(world["owner"], world)
    parts = {part["source"]: part for part in found["items"]}
    assert (found["currency"], found["currencies"], found["left_out"]) == ("CNY", ["CNY", "EUR"], 0)
    assert [(part["source"], part["gmv_amount"]) for part in found["items"]] == [("private", 15_001), ("shelf", 3_000), ("slot", 0)]
    assert all(product(part) == part["gmv_amount"] for part in [*found["items"], found["total"]])
    private = parts["private"]
    assert (private["uv"], private["watch_us"], private["buyers"], private["orders"]) == (1, 120_000_000, 1, 2)
    assert (private["watch_per_viewer_s"], private["buyers_per_watch_hour"], private["orders_per_buyer"]) == (120.0, 30.0, 2.0)
    assert (parts["slot"]["uv"], parts["shelf"]["watch_per_viewer_s"]) == (1, None)
    assert (found["total"]["uv"], found["total"]["gmv_amount"]) == (3, 18_001)
    in_euros = await take_apart(world["owner"], world, currency="EUR")
    assert {part["source"]: part["gmv_amount"] for part in in_euros["items"]} == {"slot": 700, "private": 0, "shelf": 0}
    assert (in_euros["total"]["uv"], in_euros["total"]["gmv_amount"]) == (3, 700), "the same people, other sales"
    by_fan = await take_apart(world["owner"], world, "fan", "day")
    assert by_fan["by"] == ["fan", "day"]
    assert {(part["is_fan"], part["day"], part["currency"], part["uv"], part["gmv_amount"]) for part in by_fan["items"]} == {
        (True, str(DAY), "CNY", 1, 15_001), (False, str(DAY), "CNY", 2, 3_000),
    }  # fmt: skip
    net = await take_apart(world["owner"], world, "day", "source", kind="net", until=NEXT + timedelta(days=1))
    by_day = {(part["day"], part["source"]): part["gmv_amount"] for part in net["items"]}
    assert by_day == {
        (str(DAY), "private"): 15_001, (str(DAY), "slot"): 0, (str(DAY), "shelf"): 3_000, (str(NEXT), "shelf"): -3_000,
    }  # fmt: skip
    by_show = await take_apart(world["owner"], world, "show", kind="net", until=NEXT + timedelta(days=1))
    assert {(part["show_id"], part["gmv_amount"]) for part in by_show["items"]} == {(world.show, 15_001), (None, 0)}
    refused = await world["owner"].get(f"/api/insight/gmv?level=shop&of={world.shop}&by=weather")
    assert problem(refused)["status"] == 422


async def test_a_show_has_three_kinds_a_streamer_sees_their_own_and_an_operator_everybody_s(world: World) -> None:
    found = await made(world["owner"].get(f"/api/shows/{world.show}/insight?since={DAY}"))
    assert [one["kind"] for one in found["kinds"]] == ["placed", "paid", "net"]
    for one in found["kinds"]:
        assert {(part["source"], part["gmv_amount"]) for part in one["sources"]} == {("private", 15_001), ("slot", 700)}
        assert all(product(part) == part["gmv_amount"] for part in [*one["sources"], *one["total"]])
    assert found["steps"] == {"came": 2, "watched": 2, "clicked": 0, "ordered": 2, "paid": 2}
    assert problem(await world["other"].get(f"/api/shows/{world.show}/insight"))["type"] == "/problems/not-found"

    own = await made(world["owner"].get(f"/api/insight/gmv?level=streamer&since={DAY}&until={NEXT}"))
    assert (own["of"], {part["source"] for part in own["items"]}) == (str(world["owner"].account_id), {"private", "slot"})
    other = await world["other"].get(f"/api/insight/gmv?level=streamer&of={world['owner'].account_id}")
    assert problem(other)["type"] == "/problems/not-found"
    whole = await made(world["operator"].get(f"/api/insight/gmv?level=platform&by=shop&since={DAY}&until={NEXT}"))
    assert {part["shop_id"] for part in whole["items"]} == {world.shop}
    assert str(named("shopper")) not in str(whole)


async def test_everybody_may_read_what_a_number_means(client: Browser) -> None:
    every = (await made(client.get("/api/insight/definitions")))["items"]
    one = await made(client.get("/api/insight/definitions/gmv_net"))
    assert one in every
    assert (one["name"]["en"], one["unit"], one["measure"]) == ("Net GMV", "money", "gmv_by_day")
    assert 'SUM("t0"."amount")' in one["sql"]
    assert problem(await client.get("/api/insight/definitions/happiness"))["type"] == "/problems/not-found"
