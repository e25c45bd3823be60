"""Rooms, shows and carts over HTTP: whole bodies."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx

from laotie import catalog, fans, identity, live, traffic
from laotie.base.db import Database
from laotie.base.entry import Source, read_visit
from laotie.base.ids import AccountId, RoomId, ShopId, ShowId, new_id
from laotie.base.refusals import Refusal
from laotie.base.signer import Signer
from people import Browser, People
from stage import Host, product, put_in_cart


def refused(answer: httpx.Response) -> str:
    """The code of a refusal, after checking its form."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    code: str = answer.json()["type"].removeprefix("/problems/")
    return code


async def open_shop(db: Database, browser: Browser) -> str:
    shop_id = ShopId(new_id())
    async with db.tx() as tx:
        await catalog.open_shop(
            tx, AccountId(browser.account_id), shop_id, catalog.ShopDraft(name="海边人家", currency="CNY")
        )
    return str(shop_id)


async def seller(db: Database, people: People) -> tuple[Browser, str, str]:
    """A streamer's browser with a shop and a planned show, and both ids."""
    anna = await people.viewer("anna")
    shop_id = await open_shop(db, anna)
    room = {"id": str(new_id()), "shop_id": shop_id, "title": "Anna's shore"}
    assert (await anna.post("/api/rooms/mine", json=room)).status_code == 201
    answer = await anna.post("/api/shows", json={"id": str(new_id()), "title": "Fresh from the sea"})
    assert answer.status_code == 201, answer.text
    return anna, shop_id, answer.json()["id"]


def as_host(anna: Browser, shop_id: str, show: dict[str, Any]) -> Host:
    return Host(
        anna.actor, anna.account_id, ShopId(UUID(shop_id)), RoomId(UUID(show["room_id"])), ShowId(UUID(show["id"]))
    )


async def test_a_room_is_opened_shown_and_its_key_seen_once(people: People, db: Database) -> None:
    anna = await people.viewer("anna")
    assert refused(await anna.get("/api/rooms/mine")) == "not-found"
    shop_id = await open_shop(db, anna)
    asked = {"id": str(new_id()), "shop_id": shop_id, "title": "Anna's shore"}
    answer = await anna.post("/api/rooms/mine", json=asked)
    assert answer.status_code == 201
    room = answer.json()
    assert room == {
        **asked,
        "streamer_id": str(anna.account_id),
        "cover": None,
        "records": True,
        "created_at": room["created_at"],
        "ingest": {"rtmp_url": "rtmp://127.0.0.1:1935/live", "key": None, "issued_at": None, "refusals": []},
    }
    assert (await anna.post("/api/rooms/mine", json=asked)).json() == room
    made = await anna.post("/api/rooms/mine/ingest-key", json={})
    assert made.status_code == 201 and made.headers["cache-control"] == "no-store"
    assert len(made.json()["key"]) == 64
    shown = (await anna.get("/api/rooms/mine")).json()["ingest"]
    assert shown == {**made.json(), "key": made.json()["key"][:6] + "…"}
    assert (await anna.post("/api/rooms/mine/ingest-key")).json()["key"] != made.json()["key"]
    public = await people.stranger().get(f"/api/rooms/{asked['id']}")
    assert public.json() == {**asked, "streamer_id": str(anna.account_id), "cover": None}
    changed = await anna.patch("/api/rooms/mine", json={"title": "Two shores"})
    assert changed.json()["title"] == "Two shores"
    me = (await anna.get("/api/me")).json()
    assert "streamer" in me["roles"] and me["seats"][0]["shop_id"] == shop_id


async def test_a_show_is_planned_changed_started_and_ended(people: People, db: Database) -> None:
    anna, shop_id, show_id = await seller(db, people)
    viewer = people.stranger()
    show = (await viewer.get(f"/api/shows/{show_id}")).json()
    assert show == {
        "id": show_id,
        "room_id": show["room_id"],
        "shop_id": shop_id,
        "streamer": {"id": str(anna.account_id), "name": "Anna", "avatar": None},
        "title": "Fresh from the sea",
        "cover": None,
        "state": "scheduled",
        "planned_at": None,
        "started_at": None,
        "ended_at": None,
        "viewer_count": 0,
        "viewer_peak": 0,
        "like_count": 0,
        "pinned_item_id": None,
        "version": 1,
        "playback": None,
    }
    changed = await anna.patch(f"/api/shows/{show_id}", json={"title": "海鲜", "cover": "https://example.org/x.jpg"})
    assert changed.json() == {**show, "title": "海鲜", "cover": "https://example.org/x.jpg", "version": 2}
    started = await anna.post(f"/api/shows/{show_id}/start", json={})
    assert started.status_code == 200 and started.json()["state"] == "live"
    other = await anna.post("/api/shows", json={"id": str(new_id()), "title": "Later"})
    answer = await anna.post(f"/api/shows/{other.json()['id']}/start")
    assert (answer.status_code, refused(answer)) == (409, "another-show-live")
    assert answer.json()["show_id"] == show_id
    listed = (await viewer.get(f"/api/shops/{shop_id}/shows", params={"limit": 1})).json()
    assert [one["title"] for one in listed["items"]] == ["Later"]
    rest = (await viewer.get(f"/api/shops/{shop_id}/shows", params={"after": listed["next"]})).json()
    assert [one["id"] for one in rest["items"]] == [show_id] and rest["next"] is None
    ended = await anna.post(f"/api/shows/{show_id}/end", json={})
    assert ended.json()["state"] == "ended"
    assert refused(await anna.post(f"/api/shows/{show_id}/start")) == "show-ended"
    assert (await anna.get(f"/api/shows/{show_id}/ingest")).json() == {
        "state": "idle",
        "door": "",
        "transcoding": False,
        "lag_ms": None,
        "bits_per_s": 0,
        "frames_per_s": 0.0,
        "width": 0,
        "height": 0,
        "codecs": "",
        "last_packet_age_s": None,
        "interruptions": 0,
        "live_since": None,
        "away_since": None,
        "encoder_restarts": 0,
        "key_frame_interval_s": None,
        "refusals": [],
    }


async def test_the_cart_is_filled_changed_pinned_and_emptied(people: People, db: Database) -> None:
    anna, shop_id, show_id = await seller(db, people)
    show = (await anna.get(f"/api/shows/{show_id}")).json()
    goods = await product(db, as_host(anna, shop_id, show))
    sku = goods.skus[0]
    asked = {
        "id": str(new_id()),
        "product_id": str(goods.id),
        "prices": [{"sku_id": str(sku.id), "price": {"amount": 6900, "currency": "CNY"}}],
        "limit_per_person": 2,
    }
    added = await anna.post(f"/api/shows/{show_id}/cart", json=asked)
    assert added.status_code == 201, added.text
    item = added.json()
    assert item == {
        "id": asked["id"],
        "product_id": asked["product_id"],
        "position": 0,
        "title": "Sea cucumber",
        "image": f"/media/pictures/{goods.id}.svg",
        "on_shelf": True,
        "pinned": False,
        "explaining_since": None,
        "limit_per_person": 2,
        "sale_ends_at": None,
        "skus": [
            {
                "sku_id": str(sku.id),
                "options": {"size": "0"},
                "price": {"amount": 6900, "currency": "CNY"},
                "list_price": None,
                "available": 10,
                "aside": 0,
            }
        ],
        "version": 1,
        "wave": None,
        "promise": None,
        "origin": None,
    }
    assert (await people.stranger().get(f"/api/shows/{show_id}/cart")).json() == {"items": [item]}
    path = f"/api/cart-items/{item['id']}"
    changed = await anna.patch(path, json={"limit_per_person": None, "on_shelf": False, "expected_version": 1})
    assert changed.json() == {**item, "limit_per_person": None, "on_shelf": False, "version": 2}
    stale = await anna.patch(path, json={"on_shelf": True, "expected_version": 1})
    assert (stale.status_code, refused(stale), stale.json()["version"]) == (409, "changed-meanwhile", 2)
    assert (await anna.put(f"/api/shows/{show_id}/pin", json={"item_id": item["id"]})).status_code == 204
    pinned = (await anna.get(f"/api/shows/{show_id}/cart")).json()["items"][0]
    assert pinned["pinned"] and pinned["explaining_since"] is not None
    assert (await anna.get(f"/api/shows/{show_id}")).json()["pinned_item_id"] == item["id"]
    assert (await anna.put(f"/api/shows/{show_id}/pin", json={"item_id": None})).status_code == 204
    assert (await anna.delete(path)).status_code == 204
    assert (await anna.get(f"/api/shows/{show_id}/cart")).json() == {"items": []}
    assert refused(await anna.get(f"/api/shows/{uuid4()}/cart")) == "not-found"


async def test_a_wave_with_a_promise_from_its_plan_to_its_end(people: People, db: Database) -> None:
    anna, shop_id, show_id = await seller(db, people)
    host = as_host(anna, shop_id, (await anna.get(f"/api/shows/{show_id}")).json())
    item = await put_in_cart(db, host, await product(db, host))
    sku_id = str(item.skus[0].sku_id)
    asked = {
        "id": str(new_id()),
        "skus": [{"sku_id": sku_id, "pieces": 4, "price": {"amount": 5900, "currency": "CNY"}}],
        "limit_per_person": 2,
        "lasts_s": 300,
        "opens": False,
        "promise": {"id": str(new_id()), "gift": "A brush"},
    }
    planned = await anna.post(f"/api/cart-items/{item.id}/waves", json=asked)
    assert planned.status_code == 201, planned.text
    wave = planned.json()
    assert wave == {
        "id": asked["id"],
        "show_id": show_id,
        "item_id": str(item.id),
        "product_id": str(item.product_id),
        "no": 1,
        "state": "ready",
        "limit_per_person": 2,
        "lasts_s": 300,
        "created_at": wave["created_at"],
        "opened_at": None,
        "ends_at": None,
        "ended_at": None,
        "end_reason": None,
        "skus": [
            {
                "sku_id": sku_id,
                "price": {"amount": 5900, "currency": "CNY"},
                "pieces": 4,
                "remaining": 4,
                "returned": None,
            }
        ],
    }
    path = f"/api/waves/{wave['id']}"
    assert refused(await anna.post(f"{path}/opening")) == "show-ended"
    assert (await anna.post(f"/api/shows/{show_id}/start")).status_code == 200
    opened = (await anna.post(f"{path}/opening")).json()
    shown = (await anna.get(f"/api/shows/{show_id}/cart")).json()["items"][0]
    assert shown["wave"] == {
        "id": wave["id"],
        "no": 1,
        "state": "open",
        "limit_per_person": 2,
        "lasts_s": 300,
        "opened_at": opened["opened_at"],
        "ends_at": opened["ends_at"],
        "pieces": 4,
    }
    promise = {
        "id": asked["promise"]["id"],
        "show_id": show_id,
        "item_id": str(item.id),
        "product_id": str(item.product_id),
        "wave_id": wave["id"],
        "version": 1,
        "price": None,
        "gift": "A brush",
        "pieces": None,
        "guarantee": "",
        "note": "",
        "said_at": opened["opened_at"],
    }
    assert shown["promise"] == promise
    assert (await people.stranger().get(f"/api/shows/{show_id}/promises")).json() == {"items": [promise]}
    short = await anna.post(f"{path}/pieces", json={"id": str(new_id()), "sku_id": sku_id, "pieces": 7})
    assert (short.status_code, refused(short), short.json()["available"]) == (409, "aside-short", 6)
    above = {"prices": [{"sku_id": sku_id, "price": {"amount": 7000, "currency": "CNY"}}]}
    said = {"id": str(new_id()), "price": {"amount": 5000, "currency": "CNY"}}
    assert (await anna.post(f"{path}/closing")).json()["end_reason"] == "closed"
    assert (await anna.post(f"/api/cart-items/{item.id}/promises", json=said)).status_code == 201
    stands = await anna.patch(f"/api/cart-items/{item.id}", json=above)
    assert (stands.status_code, refused(stands)) == (409, "promise-stands")
    assert stands.json()["price_max"] == {"amount": 5000, "currency": "CNY"}
    listed = (await anna.get(f"/api/shows/{show_id}/waves")).json()["items"]
    assert [(one["state"], one["skus"][0]["returned"]) for one in listed] == [("ended", 4)]


async def test_what_is_unknown_or_makes_no_sense_is_refused(people: People, db: Database) -> None:
    anna, shop_id, show_id = await seller(db, people)
    goods = await product(db, as_host(anna, shop_id, (await anna.get(f"/api/shows/{show_id}")).json()))
    cart, asked = f"/api/shows/{show_id}/cart", {"id": str(new_id()), "product_id": str(goods.id)}
    tag = {"sku_id": str(goods.skus[0].id), "price": {"amount": 1, "currency": "CNY"}}
    for method, path, body in (
        ("POST", "/api/shows", {"id": str(new_id()), "title": "x", "colour": "red"}),
        ("POST", "/api/shows", {"id": str(new_id()), "title": ""}),
        ("POST", "/api/shows", {"id": str(new_id()), "title": "x" * 10_000}),
        ("POST", "/api/shows", {"id": str(new_id()), "title": "x\u0000"}),
        ("POST", "/api/shows", {"id": str(new_id()), "title": "x", "cover": "javascript:alert(1)"}),
        ("POST", "/api/shows", {"id": str(new_id()), "title": "x", "planned_at": "2020-01-01T00:00:00Z"}),
        ("POST", "/api/shows", {"id": "x", "title": "x"}),
        ("POST", cart, {**asked, "limit_per_person": 0}),
        ("POST", cart, {**asked, "limit_per_person": 2**62}),
        ("POST", cart, {**asked, "prices": [{**tag, "price": {"amount": 2**62, "currency": "CNY"}}]}),
        ("POST", cart, {**asked, "prices": [{**tag, "price": {"amount": 1.5, "currency": "CNY"}}]}),
        ("POST", cart, {**asked, "prices": [{**tag, "price": {"amount": 1, "currency": "USD"}}]}),
        ("POST", cart, {**asked, "prices": [tag, tag]}),
        ("POST", cart, {**asked, "sale_ends_at": "2020-01-01T00:00:00Z"}),
        ("PUT", f"/api/shows/{show_id}/pin", {}),
        ("POST", f"/api/shows/{show_id}/start", {"now": True}),
        ("POST", f"/api/shows/{show_id}/tickets", {"entry": "x" * 5_000}),
        ("POST", f"/api/shows/{show_id}/tickets", {"entry": 5}),
        ("GET", f"/api/shops/{shop_id}/shows?state=lost", None),
    ):
        answer = await anna.request(method, path, json=body)
        assert 400 <= answer.status_code < 500, (path, body, answer.text)
        refused(answer)


async def test_a_show_of_another_shop_is_not_there_to_be_changed(people: People, db: Database) -> None:
    anna, shop_id, show_id = await seller(db, people)
    one = as_host(anna, shop_id, (await anna.get(f"/api/shows/{show_id}")).json())
    item = await put_in_cart(db, one, await product(db, one))
    stranger, guest = await people.viewer("stranger"), await people.guest()
    clerk = await people.staff("clerk", one.shop_id, anna, identity.Scope.catalog)
    for method, path, body in (
        ("PATCH", f"/api/shows/{show_id}", {"title": "x"}),
        ("POST", f"/api/shows/{show_id}/start", {}),
        ("POST", f"/api/shows/{show_id}/end", {}),
        ("GET", f"/api/shows/{show_id}/ingest", None),
        ("POST", f"/api/shows/{show_id}/cart", {"id": str(new_id()), "product_id": str(new_id())}),
        ("PATCH", f"/api/cart-items/{item.id}", {"on_shelf": False}),
        ("DELETE", f"/api/cart-items/{item.id}", None),
        ("PUT", f"/api/shows/{show_id}/pin", {"item_id": None}),
    ):
        statuses = [(await who.request(method, path, json=body)).status_code for who in (guest, stranger, clerk)]
        assert statuses == [401, 404, 403], (method, path, statuses)


async def test_a_ticket_lets_in_and_a_shared_link_is_credited(people: People, db: Database, signer: Signer) -> None:
    anna, _, show_id = await seller(db, people)
    fan, guest = await people.viewer("fan"), await people.guest()
    link = (await fan.post(f"/api/shows/{show_id}/share-links")).json()
    assert link["url"] == f"/s/{show_id}?entry={link['entry']}"
    answer = await guest.post(f"/api/shows/{show_id}/tickets", json={"entry": link["entry"]})
    assert answer.status_code == 201 and answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body.keys() == {"ticket", "visit", "ws_path", "expires_at"} and body["ws_path"] == "/ws"
    visit = read_visit(signer, body["visit"])
    assert (visit.source, visit.sharer_id) == (Source.share, fan.account_id)
    direct = (await guest.post(f"/api/shows/{show_id}/tickets", json={"entry": None})).json()
    assert read_visit(signer, direct["visit"]).source is Source.direct
    forged = await guest.post(f"/api/shows/{show_id}/tickets", json={"entry": link["entry"][:-9]})
    assert (forged.status_code, refused(forged)) == (401, "token-invalid")
    await anna.post(f"/api/shows/{show_id}/end")
    assert refused(await guest.post(f"/api/shows/{show_id}/tickets", json={"entry": None})) == "show-ended"


async def test_a_streamers_page_says_who_what_and_when(people: People, db: Database) -> None:
    anna, shop_id, show_id = await seller(db, people)
    await anna.post(f"/api/shows/{show_id}/start")
    fan = await people.viewer("fan")
    await fan.put(f"/api/follows/{anna.account_id}", json={})
    soon = (db.clock.now() + timedelta(days=1)).isoformat()
    await anna.post("/api/shows", json={"id": str(new_id()), "title": "Tomorrow", "planned_at": soon})
    page = (await fan.get(f"/api/streamers/{anna.account_id}")).json()
    person = {"id": str(anna.account_id), "name": "Anna", "avatar": None}
    assert page == {
        **person,
        "headline": "Anna's shore",
        "about": "",
        "room_id": page["room_id"],
        "shop": {
            "id": shop_id,
            "name": "海边人家",
            "about": "",
            "currency": "CNY",
            "stores": [],
            "price_protection_days": 0,
            "is_sandbox": False,
        },
        "stores": [],
        "follower_count": 1,
        "following": True,
        "live_show": {
            "show_id": show_id,
            "streamer": person,
            "title": "Fresh from the sea",
            "cover": None,
            "state": "live",
            "viewer_count": 0,
            "planned_at": None,
            "started_at": page["live_show"]["started_at"],
            "ended_at": None,
            "pinned": None,
            "entry": page["live_show"]["entry"],
            "why": None,
        },
        "next_show": page["next_show"],
        "past_shows": [],
    }
    assert page["next_show"]["title"] == "Tomorrow"
    assert refused(await fan.get(f"/api/streamers/{fan.account_id}")) == "not-found"


def test_every_refusal_of_these_rooms_has_a_code_of_its_own() -> None:
    waiting, found = list(Refusal.__subclasses__()), []
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        found.append(kind)
    codes = [kind.code for kind in found]
    ours = [kind for kind in found if kind.__module__.split(".")[1] in ("live", "fans", "traffic")]
    assert live.ShowEnded in ours and fans.SelfFollow in ours and traffic.CursorRefused in ours
    assert [kind.code for kind in ours if codes.count(kind.code) > 1] == []
