"""Order in a room over HTTP: who is out hears why and until when; a device stays out whoever signs in; whole bodies."""

from typing import Any
from uuid import UUID

import pytest

from laotie import catalog, identity, live
from laotie.base.db import Database
from laotie.base.ids import AccountId, RoomId, ShopId, ShowId, ViewerId, new_id
from laotie.base.signer import Signer
from people import PASSWORD, Browser, People


@pytest.fixture
async def owner(people: People) -> Browser:
    return await people.viewer("olga")


@pytest.fixture
async def stage(db: Database, owner: Browser) -> tuple[str, str]:
    """A live show: its id and its room's."""
    shop_id, room_id, show_id = ShopId(new_id()), RoomId(new_id()), ShowId(new_id())
    async with db.tx() as tx:
        await catalog.open_shop(
            tx, AccountId(owner.account_id), shop_id, catalog.ShopDraft(name="海边人家", currency="CNY")
        )
        await live.open_room(tx, owner.actor, room_id, shop_id=shop_id, title="海边")
        await live.plan_show(tx, owner.actor, live.ShowDraft(id=show_id, title="今晚"))
        await live.start_show(tx, owner.actor, show_id)
    return str(show_id), str(room_id)


def sanction(whom: Browser, kind: str, **more: Any) -> dict[str, Any]:
    return {"id": str(new_id()), "kind": kind, "viewer_id": str(whom.account_id), **more}


async def test_who_is_banned_hears_why_and_until_when_and_comes_back_when_it_is_lifted(
    people: People, owner: Browser, stage: tuple[str, str]
) -> None:
    show, _ = stage
    viewer = await people.viewer("anna")
    ban = sanction(viewer, "ban", minutes=60, reason="spam")
    made = await owner.post(f"/api/shows/{show}/sanctions", json=ban)
    assert made.status_code == 201
    body = made.json()
    assert body == {
        "id": ban["id"],
        "kind": "ban",
        "target": "account",
        "viewer_id": str(viewer.account_id),
        "name": "Anna",
        "reason": "spam",
        "for_show": False,
        "everywhere": False,
        "imposed_by": "Olga",
        "imposed_at": body["imposed_at"],
        "ends_at": body["ends_at"],
    }
    assert (await owner.get(f"/api/shows/{show}/sanctions")).json() == {"items": [body]}
    out = await viewer.post(f"/api/shows/{show}/tickets", json={})
    problem = out.json()
    assert out.status_code == 403 and problem["type"] == "/problems/banned"
    assert (problem["reason"], problem["until"]) == ("spam", body["ends_at"])
    assert (await owner.delete(f"/api/sanctions/{ban['id']}")).status_code == 204
    assert (await viewer.post(f"/api/shows/{show}/tickets", json={})).status_code == 201
    log = (await owner.get(f"/api/shows/{show}/moderation-log")).json()
    assert [(one["act"], one["actor"], one["whom"], one["reason"]) for one in log["items"]] == [
        ("ban.imposed", "Olga", "Anna", "spam")
    ]


async def test_a_banned_device_stays_out_whoever_signs_in_there(
    db: Database, signer: Signer, people: People, owner: Browser, stage: tuple[str, str]
) -> None:
    show, _ = stage
    browser = await people.guest()
    viewer = await people.viewer("anna", browser=browser)
    device = identity.recognise_device(signer, browser.cookies["laotie_device"])
    assert device is not None
    async with db.tx() as tx:
        speaker = live.Speaker(viewer_id=ViewerId(viewer.account_id), device_id=device, address="203.0.113.7")
        await live.store_sayings(tx, ShowId(UUID(show)), said=[], speakers=[speaker])
    ban = sanction(viewer, "ban", target="device")
    made = await owner.post(f"/api/shows/{show}/sanctions", json=ban)
    assert made.status_code == 201 and str(device) not in made.text and "203.0.113" not in made.text
    await people.viewer("second")
    again = await browser.post("/api/sessions", json={"handle": "second", "password": PASSWORD})
    browser.csrf = again.json()["csrf_token"]
    assert (await browser.post(f"/api/shows/{show}/tickets", json={})).json()["type"] == "/problems/banned"
    elsewhere = people.stranger()
    home = await elsewhere.post("/api/sessions", json={"handle": "second", "password": PASSWORD})
    elsewhere.csrf = home.json()["csrf_token"]
    assert (await elsewhere.post(f"/api/shows/{show}/tickets", json={})).status_code == 201


async def test_a_forged_device_is_no_device(people: People) -> None:
    browser = people.stranger()
    browser.cookies.set("laotie_device", "forged.token.x")
    assert "laotie_device" in (await browser.get("/api/me")).cookies


async def test_rules_and_moderators_go_there_and_back(people: People, owner: Browser, stage: tuple[str, str]) -> None:
    _, room = stage
    await people.viewer("mod")
    before = (await owner.get(f"/api/rooms/{room}/rules")).json()
    assert before["version"] == 0 and before["rules"]["links"] == "block"
    rules = {**before["rules"], "slow_s": 8, "lists": [{"name": "mine", "words": ["bad"], "action": "hold"}]}
    after = await owner.put(f"/api/rooms/{room}/rules", json={"rules": rules, "expected_version": 0})
    assert after.json()["rules"]["lists"] == [{"name": "mine", "words": ["bad"], "action": "hold", "pinyin": True}]
    stale = await owner.put(f"/api/rooms/{room}/rules", json={"rules": rules, "expected_version": 0})
    assert stale.status_code == 409 and stale.json()["version"] == 1
    added = await owner.post(f"/api/rooms/{room}/moderators", json={"handle": "mod", "rights": ["mute", "delete"]})
    assert added.status_code == 201 and added.json()["rights"] == ["delete", "mute"]
    listed = (await owner.get(f"/api/rooms/{room}/moderators")).json()
    assert [one["name"] for one in listed["items"]] == ["Mod"] and len(listed["rights"]) == 5
