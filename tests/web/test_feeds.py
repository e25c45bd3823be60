"""Following and the feeds over HTTP: whole bodies."""

from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.outbox import Relay
from laotie.fans import reactions
from people import People
from stage import host


async def test_following_credits_the_visit_and_fills_the_follow_page(people: People, db: Database) -> None:
    one = await host(db)
    fan = await people.viewer("fan")
    assert (await fan.get("/api/feed/following")).json() == {"items": [], "next": None}
    entry = (await people.stranger().post(f"/api/shows/{one.show_id}/share-links")).json()["entry"]
    visit = (await fan.post(f"/api/shows/{one.show_id}/tickets", json={"entry": entry})).json()["visit"]
    assert (await fan.put(f"/api/follows/{one.id}", json={"visit": visit})).status_code == 204
    assert (await fan.put(f"/api/follows/{one.id}")).status_code == 204
    person = {"id": str(one.id), "name": "host", "avatar": None}
    follows = (await fan.get("/api/me/follows")).json()
    since = follows["items"][0]["since"]
    assert follows == {"items": [{"streamer": person, "since": since, "source": "share", "notify": True}], "next": None}
    page = (await fan.get("/api/feed/following")).json()
    card = page["items"][0]["live"]
    assert page == {
        "items": [
            {
                "streamer": person,
                "headline": "Room of host",
                "since": since,
                "live": {**card, "show_id": str(one.show_id), "streamer": person, "state": "live"},
                "entry": card["entry"],
                "last_live_at": page["items"][0]["last_live_at"],
            }
        ],
        "next": None,
    }
    assert (await fan.delete(f"/api/follows/{one.id}")).status_code == 204
    assert (await fan.delete(f"/api/follows/{one.id}")).status_code == 204
    assert (await fan.get("/api/feed/following")).json()["items"] == []


async def test_a_guest_follows_and_the_account_keeps_it(people: People, db: Database) -> None:
    one, guest = await host(db), await people.guest()
    assert (await guest.put(f"/api/follows/{one.id}", json={})).status_code == 204
    card = (await guest.get("/api/feed/discover")).json()["items"][0]
    await people.viewer("fan", browser=guest)
    await Relay(db, LocalBus(), reactions.REACTIONS).drain()
    assert [line["streamer"]["id"] for line in (await guest.get("/api/me/follows")).json()["items"]] == [str(one.id)]
    entered = await guest.post(f"/api/shows/{one.show_id}/tickets", json={"entry": card["entry"]})
    assert entered.status_code == 201


async def test_whoever_is_not_recognised_next_time_cannot_follow(people: People, db: Database) -> None:
    one, stranger = await host(db), people.stranger()
    assert (await stranger.put(f"/api/follows/{one.id}", json={})).status_code == 401
    fan = await people.viewer("fan")
    assert (await fan.put(f"/api/follows/{fan.account_id}")).json()["type"] == "/problems/self-follow"
    assert (await fan.put(f"/api/follows/{one.show_id}")).status_code == 404
    assert (await fan.put(f"/api/follows/{one.id}", json={"visit": "x"})).json()["type"] == "/problems/token-invalid"
    assert (await fan.put(f"/api/follows/{one.id}", json={"colour": 1})).status_code in (400, 422)


async def test_the_discover_list_speaks_the_readers_language(people: People, db: Database) -> None:
    one, reader = await host(db), await people.guest()
    english = (await reader.get("/api/feed/discover", headers={"Accept-Language": "en-GB,en;q=0.8"})).json()
    assert english["next"] is None
    (card,) = english["items"]
    assert card == {
        "show_id": str(one.show_id),
        "streamer": {"id": str(one.id), "name": "host", "avatar": None},
        "title": "Fresh from the sea",
        "cover": None,
        "state": "live",
        "viewer_count": 0,
        "planned_at": None,
        "started_at": card["started_at"],
        "ended_at": None,
        "pinned": None,
        "entry": card["entry"],
        "why": "just started",
    }
    chinese = (await reader.get("/api/feed/discover", headers={"Accept-Language": "zh-CN"})).json()
    assert chinese["items"][0]["why"] == "刚刚开播"
    assert (await reader.get("/api/feed/discover?after=nonsense")).json()["type"] == "/problems/cursor-refused"
    assert (await reader.get("/api/feed/discover?limit=0")).status_code in (400, 422)
