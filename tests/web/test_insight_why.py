"""Why it changed, growth, funnel, purpose, acquisition, spending and goals over HTTP, over a lake written by hand."""

from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest

from lakes import ZONE, Tale
from laotie.base.clock import Clock
from laotie.base.ids import new_id
from laotie.base.settings import Settings
from laotie.lake import Lake
from people import People, problem
from world import World, made, make_world

DAY = datetime.now(UTC).astimezone(ZoneInfo(ZONE)).date() - timedelta(days=9)
NOW = datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=ZoneInfo(ZONE)) + timedelta(days=10)
"""Tomorrow's noon, to which the clock is moved: ten days of a goal are over then."""
BEFORE = DAY - timedelta(days=7)
WEEK = f"since={DAY}&until={DAY + timedelta(days=7)}"


class Told(Tale):
    """A tale whose shop and streamer are real."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.at_: dict[str, Any] = {
            "shop_id": UUID(world.shop).bytes, "show_id": UUID(world.show).bytes, "streamer_id": world["owner"].account_id.bytes,
        }  # fmt: skip

    def come(self, viewer: str, source: str, *, day: date = DAY, second: float = 10, **more: Any) -> None:
        """Somebody came and watched for a minute."""
        visit = f"{viewer} {day} {second}"
        self.visit(second, viewer, visit, day=day, source=source, **self.at_, **more)
        self.watch(second, second + 60, viewer, visit, day=day, source=source, show_id=self.at_["show_id"])

    def sell(self, order: str, buyer: str, amount: int, source: str, *, day: date = DAY, second: float = 50, **more: Any) -> None:
        """Placed, and paid at once."""
        for kind in ("placed", "paid"):
            self.money(second, kind, order, buyer, amount, day=day, source=source, **self.at_, **more)


async def tell(people: People, settings: Settings, clock: Clock) -> World:
    """Two weeks: one viewer of the slot buys for 100, then two do, of whom one follows and buys twice."""
    world = await make_world(people)
    clock.advance(seconds=(NOW - clock.now()).total_seconds())
    tale = Told(world)
    tale.add("show", 0, BEFORE, title="今天", started_us=tale.at(0, BEFORE), **tale.at_)
    tale.come("ann", "slot", day=BEFORE)
    tale.sell("o1", "ann", 10_000, "slot", day=BEFORE)
    tale.come("ann", "private")
    tale.sell("o2", "ann", 5_000, "private")
    tale.come("bob", "slot", campaign="may")
    tale.add("follow", 30, DAY, viewer_id="bob", streamer_id=tale.at_["streamer_id"], begins=True, source="slot")
    tale.sell("o3", "bob", 20_000, "slot", campaign="may", shop_discount_amount=500, platform_discount_amount=300)
    tale.sell("o4", "bob", 8_000, "slot", second=90)
    tale.come("cid", "slot")
    tale.write(Lake.of(settings))
    return world


@pytest.fixture
async def world(people: People, settings: Settings, clock: Clock) -> World:
    """Those two weeks."""
    return await tell(people, settings, clock)


async def ask(world: World, path: str, role: str = "owner", **more: str) -> Any:
    query = "&".join(f"{name}={value}" for name, value in more.items())
    joint = "&" if "?" in path else "?"
    return await made(world[role].get(f"/api/insight/{path}{joint}level=shop&of={world.shop}{'&' if query else ''}{query}"))


async def test_the_shares_of_a_change_add_up_between_periods_and_between_shows(world: World) -> None:
    why = await ask(world, f"why?{WEEK}")
    assert (why["before_since"], why["before_until"]) == (str(BEFORE), str(DAY))
    assert (why["before_amount"], why["after_amount"], why["difference_amount"]) == (10_000, 33_000, 23_000)
    shares = {(one["source"], one["factor"]): one["amount"] for one in why["items"]}
    assert sum(shares.values()) == sum(one["amount"] for one in why["factors"]) == 23_000
    assert {one["source"]: one["after_amount"] - one["before_amount"] for one in why["sources"]} == {
        source: sum(amount for (its, _), amount in shares.items() if its == source) for source in ("private", "slot")
    }
    assert shares["private", "uv"] == 5_000  # there was nobody before: all of it is theirs
    assert (why["pushed"][0]["source"], why["pushed"][0]["amount"]) == ("slot", max(shares.values()))
    assert why["pulled"]["amount"] == min(shares.values()) < 0
    slot = {one["factor"]: (one["before"], one["after"]) for one in why["items"] if one["source"] == "slot"}
    assert slot["uv"] == (1.0, 2.0)
    assert slot["watch_per_viewer"] == (60.0, 60.0)
    assert slot["buyers_per_watch"] == (60.0, 30.0)
    backwards = await ask(world, f"why?since={BEFORE}&until={DAY}&before_since={DAY}&before_until={DAY + timedelta(days=7)}")
    assert {(one["source"], one["factor"]): -one["amount"] for one in backwards["items"]} == shares
    shows = f"level=show&of={world.show}&before_of={world.show}&{WEEK}&before_since={BEFORE}&before_until={DAY}"
    assert problem(await world["other"].get(f"/api/insight/why?{shows}"))["type"] == "/problems/not-found"
    answer = await world["owner"].get(f"/api/insight/why?{shows}&format=csv")
    lines = answer.text.splitlines()
    assert lines[0].lstrip("\ufeff") == "source,factor,currency,amount,before,after"
    assert len(lines) == 1 + len(why["items"])


async def test_growth_funnel_retention_and_purpose_of_a_week(world: World) -> None:
    growth = await ask(world, f"growth?{WEEK}")
    rows = {row["figure"]: row for row in growth["items"]}
    assert (rows["gmv"]["now"], rows["uv"]["now"], rows["watch"]["now"], rows["days_active"]["now"]) == (33_000, 3, 180.0, 1.0)
    assert {row["month_missing"] for row in growth["items"]} == {"not_recorded"}
    assert growth["recorded_since"] == str(BEFORE)
    funnel = await ask(world, f"funnel?{WEEK}&by=campaign")
    assert [(row["campaign"], row["viewers"], row["followers"], row["buyers"], row["repeat_buyers"]) for row in funnel["items"]] == [
        ("", 1, 0, 0, 0),
        ("may", 1, 1, 1, 1),
    ]
    assert (funnel["total"]["viewers"], funnel["total"]["follower_repeat_buyers"], funnel["total"]["fan_groups"]) == (2, 1, None)
    retention = await ask(world, f"retention?{WEEK}")
    assert [(row["source"], row["days"], row["fans"]) for row in retention["items"]][:2] == [(None, 1, 1), (None, 7, 1)]
    purpose = await ask(world, f"purpose?{WEEK}")
    assert (purpose["total"]["orders"], purpose["total"]["purposeless_share"], purpose["within_h"]) == (3, 1.0, 24)
    refused = await world["owner"].get(f"/api/insight/retention?level=show&of={world.show}")
    assert problem(refused)["type"] == "/problems/level-refused"


async def test_nothing_is_an_answer_too(people: People) -> None:
    """Of a lake without a file."""
    world = await make_world(people)
    why = await ask(world, "why")
    assert (why["items"], why["pushed"], why["pulled"], why["difference_amount"], why["currency"]) == ([], [], None, 0, "CNY")
    funnel = await ask(world, "funnel", by="show")
    assert (funnel["total"]["viewers"], funnel["items"]) == (0, [])
    assert (await ask(world, "retention"))["items"] == []
    assert (await ask(world, "purpose"))["total"]["purposeless_share"] is None
    acquisition = await ask(world, "acquisition")
    assert (acquisition["total"]["cac_amount"], acquisition["total"]["value_365_amount"]) == (None, None)
    assert {row["now"] for row in (await ask(world, "growth"))["items"]} == {0.0, None}


async def test_a_new_buyer_costs_what_was_spent_and_given_off(world: World) -> None:
    owner, where = world["owner"], f"level=shop&of={world.shop}"
    spent = {"spent_on": str(DAY), "source": "slot", "campaign": "may", "amount": 1_000, "currency": "CNY"}
    first = await made(owner.post(f"/api/insight/spend?{where}", json=spent))
    again = await made(owner.post(f"/api/insight/spend?{where}", json=spent | {"amount": 1_500}))
    assert again["id"] == first["id"]
    await made(owner.post(f"/api/insight/spend?{where}", json=spent | {"source": "public_paid", "campaign": "", "amount": 70}))
    answer = await ask(world, f"acquisition?{WEEK}")
    rows = {(row["source"], row["campaign"]): row for row in answer["items"]}
    slot = rows["slot", "may"]
    assert (slot["spend_amount"], slot["subsidy_amount"], slot["other_subsidy_amount"]) == (1_500, 500, 300)
    assert (slot["cost_amount"], slot["new_buyers"], slot["cac_amount"]) == (2_000, 1, 2_000)
    assert (slot["due_30"], slot["value_30_amount"], slot["ltv_cac"]) == (0, None, None)
    assert (answer["forecast_refused"], answer["forecast_facts"]["needed"]) == ("too-few-customers", 50)
    assert slot["value_365_amount"] is None
    wasted = rows["public_paid", ""]
    assert (wasted["cost_amount"], wasted["new_buyers"], wasted["cac_amount"]) == (70, 0, None)
    assert answer["total"]["cac_amount"] == 2_070
    listed = (await ask(world, f"spend?{WEEK}"))["items"]
    assert [row["amount"] for row in listed] == [70, 1_500]
    tomorrow = spent | {"spent_on": str(DAY + timedelta(days=30))}
    assert problem(await owner.post(f"/api/insight/spend?{where}", json=tomorrow))["type"] == "/problems/spend-day-refused"
    assert (await owner.delete(f"/api/insight/spend/{first['id']}?level=platform")).status_code == 403
    assert (await owner.delete(f"/api/insight/spend/{first['id']}?{where}")).status_code == 204
    assert (await ask(world, f"acquisition?{WEEK}"))["total"]["spend_amount"] == 70


async def test_a_year_s_value_is_foretold_where_enough_is_known(people: People, settings: Settings, clock: Clock) -> None:
    world = await make_world(people)
    tale, shop = Tale(), {"shop_id": UUID(world.shop).bytes}
    today = clock.now().astimezone(ZoneInfo(ZONE)).date()
    for number in range(60):
        day = today - timedelta(days=3 + number)
        for nth, after in enumerate((0, 9, 20, 37)[: 1 + number % 4]):
            bought = day + timedelta(days=after)
            if bought < today:
                source = "slot" if number % 2 else "share"
                amount = 1_000 + 37 * number + 90 * nth
                tale.money(60, "paid", f"order {number} {nth}", f"buyer {number}", amount, day=bought, source=source, **shop)
    tale.money(90, "refunded", "order 1 0", "buyer 1", -1_037, day=today - timedelta(days=1), source="slot", **shop)
    tale.write(Lake.of(settings))
    spent = {"spent_on": str(today - timedelta(days=1)), "source": "slot", "campaign": "", "amount": 9_000, "currency": "CNY"}
    await made(world["owner"].post(f"/api/insight/spend?level=shop&of={world.shop}", json=spent))
    answer = await ask(world, f"acquisition?since={today - timedelta(days=90)}&until={today}")
    total, rows = answer["total"], {row["source"]: row for row in answer["items"]}
    assert (answer["forecast_refused"], answer["forecast_facts"], total["new_buyers"]) == (None, {}, 60)
    assert 0 < total["expected_365_amount"] < total["value_365_amount"]
    worth = {name: row["value_365_amount"] * row["new_buyers"] for name, row in rows.items()}
    assert sum(worth.values()) == pytest.approx(total["value_365_amount"] * 60, abs=60)
    assert rows["slot"]["ltv_cac_365"] == pytest.approx(worth["slot"] / 9_000, rel=0.01) and rows["share"]["ltv_cac_365"] is None


async def test_a_file_is_kept_whole_or_not_at_all_and_every_wrong_line_is_told(people: People, clock: Clock) -> None:
    world = await make_world(people)
    clock.advance(seconds=(NOW - clock.now()).total_seconds())
    owner, url = world["owner"], f"/api/insight/spend.csv?level=shop&of={world.shop}"
    csv = {"content-type": "text/csv"}
    bad = f"date,source,campaign,amount\n{DAY},slot,may,12.50\n2026-13-01,slot,,1\n{DAY},radio,,-1\n{DAY},slot,may,3\n"
    report = await made(owner.post(url, content=bad.encode(), headers=csv))
    assert [(one["line"], one["field"], one["code"]) for one in report["errors"]] == [
        (3, "date", "unreadable"), (4, "source", "unknown"), (4, "amount", "out-of-range"), (5, "date", "said-twice"),
    ]  # fmt: skip
    assert (report["kept"], report["lines"]) == (0, 4)
    assert (await ask(world, f"spend?{WEEK}"))["items"] == []
    good = f"\ufeffDate,Source,Campaign,Amount,Note\r\n{DAY},slot,'=may,12.50,\"a, b\"\r\n\r\n{DAY},share,,3,\r\n"
    for _ in range(2):
        assert (await made(owner.post(url, content=good.encode(), headers=csv)))["amount"] == 1_550
    kept = (await ask(world, f"spend?{WEEK}"))["items"]
    assert {(row["source"], row["campaign"], row["amount"], row["note"]) for row in kept} == {
        ("slot", "=may", 1_250, "a, b"), ("share", "", 300, ""),
    }  # fmt: skip
    refused = await owner.post(url, content=b"day,what\n", headers=csv)
    assert problem(refused)["reason"] == "columns"


async def test_a_goal_is_measured_by_what_pages_show_and_changed_under_a_version(world: World) -> None:
    owner, where = world["owner"], f"level=shop&of={world.shop}"
    goal = {
        "id": str(new_id()), "measure": "gmv", "target": 40_000, "currency": "CNY",
        "since": str(DAY), "until": str(DAY + timedelta(days=20)),
    }  # fmt: skip
    view = await made(owner.post(f"/api/insight/goals?{where}", json=goal))
    assert (view["value"], view["due"], view["state"], view["expected"], view["days_over"]) == (33_000, 20_000, "ahead", 66_000, 10)
    assert (await made(owner.post(f"/api/insight/goals?{where}", json=goal)))["id"] == goal["id"]
    assert problem(await owner.post(f"/api/insight/goals?{where}", json=goal | {"target": 1}))["type"] == "/problems/id-reused"
    change = {"version": 1, "target": 30_000, "since": goal["since"], "until": goal["until"]}
    changed = await made(owner.patch(f"/api/insight/goals/{goal['id']}?{where}", json=change))
    assert (changed["state"], changed["version"]) == ("reached", 2)
    stale = await owner.patch(f"/api/insight/goals/{goal['id']}?{where}", json=change)
    assert problem(stale)["version"] == 2
    fans = goal | {"id": str(new_id()), "measure": "fans", "target": 3, "until": str(DAY + timedelta(days=5))}
    refused = await owner.post(f"/api/insight/goals?{where}", json=fans)
    assert problem(refused)["reason"] == "currency"
    missed = await made(owner.post(f"/api/insight/goals?{where}", json=fans | {"currency": None}))
    assert (missed["value"], missed["state"]) == (1, "missed")
    assert (await owner.delete(f"/api/insight/goals/{fans['id']}?{where}")).status_code == 204
    assert [row["measure"] for row in (await ask(world, "goals"))["items"]] == ["gmv"]
    acts = (await made(world["operator"].get(f"/api/audit-log?subject={goal['id']}")))["items"]
    assert [entry["act"] for entry in acts] == ["insight.goal_changed", "insight.goal_made"]
    assert acts[0]["detail"]["before"]["target"] == 40_000
    partners = goal | {"id": str(new_id()), "measure": "partners", "target": 1, "threshold_amount": 33_000}
    assert (await made(world["operator"].post("/api/insight/goals?level=platform", json=partners)))["value"] == 1
    more = partners | {"id": str(new_id()), "threshold_amount": 33_001}
    await made(world["operator"].post("/api/insight/goals?level=platform", json=more))
    assert problem(await owner.post(f"/api/insight/goals?{where}", json=more | {"id": str(new_id())}))["reason"] == "level"
    answer = await world["operator"].get("/api/insight/goals?level=platform&format=parquet")
    assert pq.read_table(BytesIO(answer.content)).column("value").to_pylist() == [0, 1]
