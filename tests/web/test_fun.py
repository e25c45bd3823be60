"""Fun over HTTP: from money in the wallet to a proof that anybody can check."""

from typing import Any

import pytest

from laotie import fun, identity
from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.ids import new_id
from people import Browser, People, problem
from purses import capture
from stage import Host, host
from world import made

CENTS = {"amount": 1_000, "currency": "CNY"}


@pytest.fixture
async def stage(db: Database) -> Host:
    return await host(db)


async def owner_of(people: People, stage: Host) -> Browser:
    """The host's own browser: another account with every scope in the shop."""
    owner = await people.viewer("staff-of-host")
    async with people.db.tx() as tx:
        scopes = list(identity.Scope)
        await identity.grant_seat(tx, stage.actor, stage.shop_id, "staff-of-host", scopes=scopes)
    return owner


async def fill(db: Database, bus: LocalBus, browser: Browser, amount: int) -> dict[str, Any]:
    """Money into the wallet: started over HTTP, captured by the provider."""
    ask = {"id": str(new_id()), "amount": {"amount": amount, "currency": "CNY"}, "method": "sandbox"}
    payment: dict[str, Any] = await made(browser.post("/api/me/topups", json=ask))
    await capture(db, bus, payment)
    return payment


async def test_from_a_topup_to_a_proof(db: Database, bus: LocalBus, people: People, stage: Host) -> None:
    owner, anna, guest = await owner_of(people, stage), await people.viewer("anna"), await people.guest()
    payment = await fill(db, bus, owner, 5_000)
    assert payment["purpose"] == "topup" and payment["next"]["kind"] == "redirect"
    draft = {
        "id": str(new_id()), "kind": "red_packet", "title": "开播红包", "duration_s": 60,
        "packet": {"amount": CENTS, "count": 3, "split": "lucky"},
    }  # fmt: skip
    planned = await made(owner.post(f"/api/shows/{stage.show_id}/activities", json=draft))
    assert planned["activity"]["state"] == "ready" and planned["mine"] is None
    path = f"/api/activities/{draft['id']}"
    assert (await anna.get(path)).status_code == 404
    started = (await made(owner.post(f"{path}/start")))["activity"]
    assert started["state"] == "open" and len(started["commitment"]) == 64 and started["seed"] is None
    assert started["packet"] == {"split": "lucky", "amount": CENTS, "count": 3, "left": 3}
    assert started["rules"][0] == {"key": "fun.rule.no_purchase", "facts": {}}
    assert problem(await guest.post(f"{path}/entries", json={}))["type"] == "/problems/unauthenticated"
    first = await anna.post(f"{path}/entries", json={"nonce": "mine"})
    again = await anna.post(f"{path}/entries", json={"nonce": "other"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() | {"again": True} == again.json()
    sealed = problem(await guest.get(f"/api/draws/{draft['id']}/proof"))
    assert (sealed["type"], sealed["state"]) == ("/problems/draw-sealed", "open")
    db.clock.advance(seconds=61)
    await fun.work_deadlines(db)
    db.clock.advance(seconds=2)
    await fun.work_deadlines(db)
    proof = await guest.get(f"/api/draws/{draft['id']}/proof")
    assert all(one.holds for one in fun.draw.verify(fun.draw.read_proof(proof.content)))
    seen = await made(anna.get(path))
    assert seen["mine"]["amount"] == first.json()["amount"] and seen["mine"]["won"] is True
    assert [one["name"] for one in seen["activity"]["winners"]] == ["A**"]
    wallet = await made(anna.get("/api/me/wallet"))
    assert wallet["balances"] == [first.json()["amount"]]
    assert [one["reason"] for one in wallet["movements"]] == ["red-packet"]
    left = 5_000 - first.json()["amount"]["amount"]
    assert (await made(owner.get("/api/me/wallet")))["balances"] == [{"amount": left, "currency": "CNY"}]
    shown = await made(guest.get(f"/api/shows/{stage.show_id}/activities"))
    assert [one["activity"]["id"] for one in shown["items"]] == [draft["id"]] and shown["next"] is None


async def test_without_money_nothing_starts(people: People, stage: Host) -> None:
    owner = await owner_of(people, stage)
    draft = {
        "id": str(new_id()), "kind": "lottery", "title": "抽奖", "duration_s": 60,
        "prizes": [{"title": "一等奖", "count": 1, "amount": CENTS}],
    }  # fmt: skip
    await made(owner.post(f"/api/shows/{stage.show_id}/activities", json=draft))
    refused = problem(await owner.post(f"/api/activities/{draft['id']}/start"))
    assert refused["type"] == "/problems/insufficient-funds"
    assert refused["needed"] == CENTS and refused["balance"] == CENTS | {"amount": 0}


async def test_a_draft_that_cannot_be_is_refused_with_the_reason(people: People, stage: Host) -> None:
    owner = await owner_of(people, stage)
    draft = {"id": str(new_id()), "kind": "poll", "title": "?", "duration_s": 60, "options": ["a", "b"]}
    path = f"/api/shows/{stage.show_id}/activities"
    assert problem(await owner.post(path, json=draft))["type"] == "/problems/activity-refused"
    for wrong in ({"duration_s": 1}, {"kind": "roulette"}, {"title": ""}, {"price": 1}, {"options": ["x" * 61, "b"]}):
        assert problem(await owner.post(path, json=draft | wrong))["type"] == "/problems/malformed"


async def test_a_shops_wallet_is_its_own(people: People, stage: Host) -> None:
    owner, stranger = await owner_of(people, stage), await people.viewer("stranger")
    path = f"/api/shops/{stage.shop_id}"
    ask = {"id": str(new_id()), "amount": CENTS, "method": "sandbox"}
    assert (await made(owner.post(f"{path}/topups", json=ask)))["amount"] == CENTS
    assert await made(owner.get(f"{path}/wallet")) == {"balances": [], "movements": [], "next": None}
    assert (await stranger.get(f"{path}/wallet")).status_code == 404
    too_much = ask | {"id": str(new_id()), "amount": {"amount": 10**9, "currency": "CNY"}}
    assert problem(await owner.post(f"{path}/topups", json=too_much))["type"] == "/problems/amount-refused"
