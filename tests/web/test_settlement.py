"""Rates, balances and statements over HTTP, whole answers."""

from datetime import date
from typing import Any
from uuid import UUID

import pypdfium2

from laotie.base.db import Database
from laotie.base.ids import AccountId, ShopId, new_id
from laotie.settlement import Line, LineKind
from people import People, problem
from settlement.books import Books
from world import World, made, make_world

AT = "2026-03-02T04:00:00Z"


def yuan(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "CNY"}


def parts(**amounts: int) -> dict[str, Any]:
    names = ("goods", "shipping", "subsidy", "platform", "payment", "streamer", "net")
    return {name: yuan(amounts.get(name, 0)) for name in names}


def line_view(line: Line, **changes: Any) -> dict[str, Any]:
    return {
        "id": str(line.id), "kind": "sale", "booked_on": "2026-03-02", "booked_at": AT, "order_id": str(line.order_id),
        "shop_id": str(line.shop_id), "streamer_id": str(line.streamer_id), "platform_bps": 0, "payment_bps": 0,
        "streamer_bps": 2_000, "subject_id": str(line.subject_id), **changes,
    }  # fmt: skip


async def open_books(db: Database, world: World) -> tuple[Books, Line]:
    """Last March a streamer of another shop sold for 100 yuan; 50 were paid out today."""
    books = Books(db, ShopId(UUID(world.shop)), AccountId(world["streamer"].account_id))
    line = await books.order(
        date(2026, 3, 2), goods=10_000, shipping=800, subsidy=500, platform_bps=500, payment_bps=60, streamer_bps=2_000
    )
    await books.move(LineKind.payout, -5_000)
    return books, line


async def test_a_shop_and_a_streamer_follow_their_money_from_the_balance_to_the_line(
    people: People, db: Database
) -> None:
    world = await make_world(people)
    _, line = await open_books(db, world)
    owner, streamer = world["owner"], world["streamer"]
    of_shop = f"/api/shops/{world.shop}"
    assert await made(owner.get(f"{of_shop}/balance")) == {
        "items": [
            {
                "payable": yuan(3_611), "on_its_way": yuan(5_000), "expected": [], "expected_total": yuan(0),
                "held": yuan(0), "held_order_count": 0,
            }
        ],
        "zone": "Asia/Shanghai",
    }  # fmt: skip
    months = (await made(owner.get(f"{of_shop}/statements")))["items"]
    assert months[1] == {
        "month": "2026-03", "opening": yuan(0), "change": yuan(8_611), "closing": yuan(8_611), "line_count": 1
    }  # fmt: skip
    assert months[0]["closing"] == yuan(3_611)
    amounts = parts(goods=10_000, shipping=800, subsidy=500, platform=525, payment=64, streamer=2_100, net=8_611)
    statement = await made(owner.get(f"{of_shop}/statements/2026-03"))
    assert statement | {"drawn_at": ""} == {
        "owner_id": world.shop, "owner_name": "海边人家", "month": "2026-03", "currency": "CNY", "zone": "Asia/Shanghai",
        "drawn_at": "", "is_open": False, "opening": yuan(0), "total": {"line_count": 1, **amounts},
        "closing": yuan(8_611), "ledger": yuan(8_611), "difference": yuan(0),
        "kinds": [{"kind": "sale", "line_count": 1, **amounts}],
        "days": [{"day": "2026-03-02", "line_count": 1, **amounts}],
    }  # fmt: skip
    assert await made(owner.get(f"{of_shop}/statements/2026-03/lines")) == {
        "items": [line_view(line, counterpart="Sven", platform_bps=500, payment_bps=60, **amounts)], "next": None
    }  # fmt: skip
    own = parts(goods=10_000, subsidy=500, net=2_100)
    assert await made(streamer.get("/api/me/statements/2026-03/lines")) == {
        "items": [line_view(line, counterpart="海边人家", **own)], "next": None
    }  # fmt: skip
    assert (await made(streamer.get("/api/me/statements/2026-03")))["total"] == {"line_count": 1, **own}
    assert (await made(streamer.get("/api/me/balance")))["items"][0]["payable"] == yuan(2_100)
    for month in ("2099-01", "2026-3", "2026-13", "x"):
        assert (await owner.get(f"{of_shop}/statements/{month}")).status_code == 404


async def test_a_statement_comes_as_sheet_and_paper_or_says_why_not(people: People, db: Database) -> None:
    world = await make_world(people)
    books, line = await open_books(db, world)
    of_shop = f"/api/shops/{world.shop}/statements"
    answer = await world["owner"].get(f"{of_shop}/2026-03/lines.csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="statement-2026-03-CNY.csv"'
    assert answer.text.removeprefix("\ufeff").split("\r\n") == [
        "booked_on,booked_at,kind,order_id,no,goods,shipping,subsidy,platform_percent,platform,payment_percent,payment,"
        "streamer_percent,streamer,amount,balance,currency,shop_id,streamer_id,line_id,subject_id",
        "2026-03-01,,opening,,,,,,,,,,,,,0.00,CNY,,,,",
        f"2026-03-02,2026-03-02T04:00:00.000Z,sale,{line.order_id},0,100.00,8.00,5.00,5,-5.25,0.6,-0.64,20,-21.00,86.11,"
        f"86.11,CNY,{line.shop_id},{line.streamer_id},{line.id},{line.subject_id}",
        ",,closing,,,,,,,,,,,,,86.11,CNY,,,,",
        "",
    ]
    paper = await world["owner"].get(f"{of_shop}/2026-03/statement.pdf?lang=en")
    assert paper.headers["content-type"] == "application/pdf"
    assert "86.11" in pypdfium2.PdfDocument(paper.content)[0].get_textpage().get_text_range()
    assert problem(await world["owner"].get(f"{of_shop}/2026-02/statement.pdf"))["type"] == "/problems/statement-empty"
    await books.spoil(7)
    for kind in ("lines.csv", "statement.pdf"):
        refused = problem(await world["owner"].get(f"{of_shop}/2026-03/{kind}"))
        assert (refused["type"], refused["difference"]) == ("/problems/statement-off", -7)
    assert (await made(world["owner"].get(f"{of_shop}/2026-03")))["difference"] == yuan(-7)


async def test_rates_from_the_operator_and_the_shop_meet_in_the_preview(people: People) -> None:
    world = await make_world(people)
    operator, staff, streamer = world["operator"], world["staff money"], world["streamer"]
    house = {"id": str(new_id()), "kind": "platform", "bps": 500, "note": "类目标准"}
    rate = await made(operator.post("/api/rates", json=house))
    assert rate | {"valid_from": "", "made_at": "", "made_by": "", "made_by_name": ""} == {
        "id": house["id"], "kind": "platform", "shop_id": None, "shop_name": None, "category": None, "streamer_id": None,
        "streamer_name": None, "bps": 500, "valid_from": "", "note": "类目标准", "made_by": "", "made_by_name": "",
        "made_at": "", "state": "in_force",
    }  # fmt: skip
    assert await made(operator.post("/api/rates", json=house)) == rate
    agreed = {"id": str(new_id()), "streamer_id": str(streamer.account_id), "bps": 2_000, "note": "双十一"}
    share = await made(staff.post(f"/api/shops/{world.shop}/streamer-rates", json=agreed))
    assert (share["shop_name"], share["streamer_name"], share["state"]) == ("海边人家", "Sven", "in_force")
    assert await made(streamer.get("/api/me/streamer-rates")) == {"items": [share], "next": None}
    assert await made(staff.get(f"/api/shops/{world.shop}/streamer-rates")) == {"items": [share], "next": None}
    assert await made(operator.get("/api/rates?kind=platform")) == {"items": [rate], "next": None}
    preview = await made(staff.get(f"/api/shops/{world.shop}/rates?streamer_id={streamer.account_id}"))
    assert preview == {
        "platform_bps": 500, "platform_rate_id": rate["id"], "payment_bps": 0, "payment_rate_id": None,
        "streamer_bps": 2_000, "streamer_rate_id": share["id"], "delay_h": 168,
    }  # fmt: skip
    too_much = await operator.post("/api/rates", json={**house, "id": str(new_id()), "bps": 8_001})
    refused = problem(too_much)
    assert (refused["type"], refused["shop_id"], refused["streamer_bps"]) == (
        "/problems/rates-too-high", world.shop, 2_000
    )  # fmt: skip
    late = await operator.post("/api/rates", json={**house, "id": str(new_id()), "valid_from": "2020-01-01T00:00:00Z"})
    assert problem(late)["type"] == "/problems/rate-in-the-past"
    nowhere = await operator.post("/api/rates", json={**house, "id": str(new_id()), "valid_from": "2030-01-01T00:00:00"})
    assert nowhere.status_code == 422  # an hour of no place
    ended = await made(
        staff.post(f"/api/shops/{world.shop}/streamer-rates", json={**agreed, "id": str(new_id()), "bps": None})
    )
    assert (ended["bps"], ended["state"]) == (None, "ended")
    assert await made(staff.get(f"/api/shops/{world.shop}/streamer-rates")) == {"items": [], "next": None}


async def test_terms_are_set_and_listed(people: People) -> None:
    world = await make_world(people)
    operator = world["operator"]
    assert await made(operator.get("/api/terms")) == {"items": [], "next": None, "default_delay_h": 168}
    wanted = {"id": str(new_id()), "shop_id": world.shop, "delay_h": 24, "note": "信用好"}
    term = await made(operator.post("/api/terms", json=wanted))
    assert (term["shop_name"], term["delay_h"], term["note"], term["state"]) == ("海边人家", 24, "信用好", "in_force")
    assert (await made(operator.get("/api/terms")))["items"] == [term]
    assert (await made(operator.get(f"/api/shops/{world.shop}/rates")))["delay_h"] == 24
    over = await made(operator.post("/api/terms", json={**wanted, "id": str(new_id()), "delay_h": None}))
    assert (over["delay_h"], over["state"]) == (None, "ended")
    assert (await made(operator.get(f"/api/shops/{world.shop}/rates")))["delay_h"] == 168
