"""Identity over HTTP: whole bodies, cookies and headers."""

from datetime import timedelta
from uuid import UUID

from laotie import catalog
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import ShopId, new_id
from laotie.base.outbox import Relay
from laotie.identity import Scope, TokenScope
from people import PASSWORD, Browser, People, problem


async def test_a_guest_is_the_same_guest_from_the_first_visit_on(client: Browser) -> None:
    first = await client.get("/api/me")
    assert first.status_code == 200
    me = first.json()
    assert me == {
        "viewer_id": me["viewer_id"],
        "account": None,
        "roles": [],
        "seats": [],
        "csrf_token": client.cookies["laotie_csrf"],
    }
    again = await client.get("/api/me")
    assert again.json() == me
    cookies = first.headers.get_list("set-cookie")
    guest = next(cookie for cookie in cookies if cookie.startswith("laotie_guest="))
    assert "HttpOnly" in guest
    assert "SameSite=lax" in guest


async def test_registering_signs_in_and_the_guest_becomes_the_account(people: People, db: Database) -> None:
    guest = await people.guest()
    guest_id = (await guest.get("/api/me")).json()["viewer_id"]
    account_id = str(new_id())
    content = {"id": account_id, "handle": "Anna@Example", "password": PASSWORD, "name": "Anna"}
    answer = await guest.post("/api/accounts", json=content)
    assert answer.status_code == 201
    me = answer.json()
    assert me == {
        "viewer_id": account_id,
        "account": {
            "id": account_id,
            "handle": "anna@example",
            "name": "Anna",
            "avatar": None,
            "about": "",
            "locale": "zh-CN",
        },
        "roles": ["viewer"],
        "seats": [],
        "csrf_token": guest.cookies["laotie_csrf"],
    }
    assert "laotie_guest" not in guest.cookies
    assert (await guest.get("/api/me")).json() == me
    async with db.read() as tx:
        merged = await tx.one(UUID, "SELECT account_id FROM identity.guest_merge WHERE guest_id = %(id)s", id=guest_id)
    assert str(merged) == account_id


async def test_registering_twice_under_one_id_is_one_account(people: People) -> None:
    content = {"id": str(new_id()), "handle": "anna", "password": PASSWORD, "name": "Anna"}
    first = await people.stranger().post("/api/accounts", json=content)
    again = await people.stranger().post("/api/accounts", json=content)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["account"] == again.json()["account"]
    other = await people.stranger().post("/api/accounts", json={**content, "password": "something else"})
    assert problem(other) == {
        "type": "/problems/id-reused",
        "title": "This id was used before for something else.",
        "status": 409,
        "detail": "This id was used before for something else.",
    }


async def test_a_handle_belongs_to_one_account_however_it_is_written(people: People) -> None:
    await people.viewer("anna")
    content = {"id": str(new_id()), "handle": " ANNA ", "password": PASSWORD, "name": "Other"}
    answer = await people.stranger().post("/api/accounts", json=content)
    assert problem(answer)["type"] == "/problems/handle-taken"


async def test_sign_in_opens_a_new_session_and_ends_the_one_in_this_browser(people: People) -> None:
    anna = await people.viewer("anna")
    before = anna.cookies["laotie_session"]
    answer = await anna.post("/api/sessions", json={"handle": "anna", "password": PASSWORD})
    assert answer.status_code == 201
    assert anna.cookies["laotie_session"] != before
    thief = people.stranger()
    thief.cookies.set("laotie_session", before)
    assert (await thief.get("/api/me")).json()["account"] is None
    sessions = (await anna.get("/api/sessions")).json()
    assert [(one["current"], one["address"], one["user_agent"].split("/")[0]) for one in sessions["items"]] == [
        (True, "127.0.0.1", "python-httpx")
    ]
    assert sessions["next"] is None


async def test_a_wrong_password_and_an_unknown_handle_get_the_same_answer(people: People) -> None:
    await people.viewer("anna")
    wrong = await people.stranger().post("/api/sessions", json={"handle": "anna", "password": "not hers"})
    unknown = await people.stranger().post("/api/sessions", json={"handle": "nobody", "password": "not hers"})
    assert (
        problem(wrong)
        == problem(unknown)
        == {
            "type": "/problems/credentials-wrong",
            "title": "The sign-in name or the password is wrong.",
            "status": 401,
            "detail": "The sign-in name or the password is wrong.",
        }
    )


async def test_too_many_wrong_passwords_close_the_handle_for_a_while(people: People) -> None:
    await people.viewer("anna")
    stranger = people.stranger()
    for _ in range(10):
        answer = await stranger.post("/api/sessions", json={"handle": "anna", "password": "a guess"})
        assert answer.status_code == 401
    closed = await stranger.post("/api/sessions", json={"handle": "Anna", "password": PASSWORD})
    body = problem(closed)
    assert body["type"] == "/problems/too-fast"
    assert closed.headers["retry-after"] == str(body["retry_after_s"])
    assert 0 < body["retry_after_s"] <= 15 * 60 + 1


async def test_a_cookie_request_without_the_pages_token_is_refused(people: People) -> None:
    anna = await people.viewer("anna")
    for headers in ({"X-CSRF-Token": ""}, {"X-CSRF-Token": "wrong"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await anna.patch("/api/me", json={"name": "Changed"}, headers=headers)
        assert problem(answer)["type"] == "/problems/cross-site"
    foreign = await anna.patch("/api/me", json={"name": "Changed"}, headers={"Origin": "https://evil.example"})
    assert problem(foreign)["type"] == "/problems/cross-site"
    own = await anna.patch("/api/me", json={"name": "Changed"}, headers={"Origin": "http://testserver"})
    assert own.status_code == 200


async def test_a_guests_cookie_needs_the_token_too(people: People) -> None:
    guest = await people.guest()
    guest.csrf = None
    answer = await guest.post("/api/sessions", json={"handle": "anna", "password": PASSWORD})
    assert problem(answer)["type"] == "/problems/cross-site"


async def test_signing_out_is_felt_at_once(people: People) -> None:
    anna = await people.viewer("anna")
    secret = anna.cookies["laotie_session"]
    assert (await anna.delete("/api/sessions/current")).status_code == 204
    assert "laotie_session" not in anna.cookies
    thief = people.stranger()
    thief.cookies.set("laotie_session", secret)
    assert (await thief.get("/api/sessions")).status_code == 401


async def test_signing_out_everywhere_ends_every_device(people: People) -> None:
    phone = await people.viewer("anna")
    laptop = people.stranger()
    signed_in = await laptop.post("/api/sessions", json={"handle": "anna", "password": PASSWORD})
    laptop.csrf = signed_in.json()["csrf_token"]
    assert len((await phone.get("/api/sessions")).json()["items"]) == 2
    assert (await laptop.delete("/api/sessions")).status_code == 204
    assert (await phone.get("/api/sessions")).status_code == 401


async def test_one_device_is_signed_out_by_another_and_nobody_elses_can_be(people: People) -> None:
    phone = await people.viewer("anna")
    laptop = people.stranger()
    await laptop.post("/api/sessions", json={"handle": "anna", "password": PASSWORD})
    sessions = (await phone.get("/api/sessions")).json()["items"]
    other = next(one["id"] for one in sessions if not one["current"])
    mallory = await people.viewer("mallory")
    assert problem(await mallory.delete(f"/api/sessions/{other}"))["type"] == "/problems/not-found"
    assert (await phone.delete(f"/api/sessions/{other}")).status_code == 204
    assert (await laptop.get("/api/sessions")).status_code == 401


async def test_another_process_forgets_when_it_hears_of_the_end(people: People, db: Database, relay: Relay) -> None:
    from laotie import identity

    anna = await people.viewer("anna")
    assert (await anna.get("/api/sessions")).status_code == 200
    async with db.tx() as tx:
        await identity.end_sessions(tx, anna.account_id)
    assert (await anna.get("/api/sessions")).status_code == 200  # remembered for a few seconds
    await relay.drain()
    assert (await anna.get("/api/sessions")).status_code == 401


async def test_a_session_ends_when_it_is_not_used(people: People, clock: Clock, db: Database) -> None:
    anna = await people.viewer("anna")
    clock.advance(seconds=31 * 86_400)
    fresh = people.stranger()
    fresh.cookies.set("laotie_session", anna.cookies["laotie_session"])
    assert (await fresh.get("/api/me")).json()["account"] is None


async def test_a_profile_changes_in_parts(people: People) -> None:
    anna = await people.viewer("anna")
    answer = await anna.patch("/api/me", json={"about": "海参\n懂一点", "avatar": "/pictures/a.png", "locale": "en"})
    assert answer.json()["account"] == {
        "id": str(anna.account_id),
        "handle": "anna",
        "name": "Anna",
        "avatar": "/pictures/a.png",
        "about": "海参\n懂一点",
        "locale": "en",
    }
    assert (await anna.patch("/api/me", json={"avatar": ""})).json()["account"]["avatar"] is None
    for wrong, part in [
        ({"name": "  "}, "name"),
        ({"name": "x" * 41}, "name"),
        ({"avatar": "javascript:alert(1)"}, "avatar"),
        ({"locale": "tlh"}, "locale"),
        ({"about": "\u0000"}, "about"),
    ]:
        body = problem(await anna.patch("/api/me", json=wrong))
        assert (body["type"], body["part"]) == ("/problems/profile-refused", part)


async def test_a_new_password_ends_the_other_devices(people: People) -> None:
    phone = await people.viewer("anna")
    laptop = people.stranger()
    await laptop.post("/api/sessions", json={"handle": "anna", "password": PASSWORD})
    wrong = await phone.post("/api/me/password", json={"old": "not it", "new": "a new password"})
    assert problem(wrong)["type"] == "/problems/password-wrong"
    short = await phone.post("/api/me/password", json={"old": PASSWORD, "new": "short"})
    assert problem(short)["type"] == "/problems/password-refused"
    changed = await phone.post("/api/me/password", json={"old": PASSWORD, "new": "a new password"})
    assert changed.status_code == 204
    assert (await phone.get("/api/sessions")).status_code == 200
    assert (await laptop.get("/api/sessions")).status_code == 401
    old = await people.stranger().post("/api/sessions", json={"handle": "anna", "password": PASSWORD})
    assert old.status_code == 401


ADDRESS = {
    "name": "安娜",
    "phone": "+86 138 0000 0000",
    "country": "CN",
    "region": "辽宁省",
    "city": "大连市",
    "district": "中山区",
    "street": "海边路 1 号",
    "postcode": "116001",
}


async def test_the_address_book(people: People) -> None:
    anna = await people.viewer("anna")
    home, work = str(new_id()), str(new_id())
    first = await anna.post("/api/me/addresses", json={"id": home, **ADDRESS})
    assert (first.status_code, first.json()) == (201, {"id": home, **ADDRESS, "is_default": True})
    again = await anna.post("/api/me/addresses", json={"id": home, **ADDRESS})
    assert again.json() == first.json()
    second = await anna.post("/api/me/addresses", json={"id": work, **ADDRESS, "street": "港口路 2 号"})
    assert second.json()["is_default"] is False
    moved = await anna.put(f"/api/me/addresses/{work}", json={**ADDRESS, "city": "上海市", "is_default": True})
    assert moved.json() == {"id": work, **ADDRESS, "city": "上海市", "is_default": True}
    assert (await anna.get("/api/me/addresses")).json() == {
        "items": [
            {"id": work, **ADDRESS, "city": "上海市", "is_default": True},
            {"id": home, **ADDRESS, "is_default": False},
        ],
        "next": None,
    }
    assert (await anna.delete(f"/api/me/addresses/{work}")).status_code == 204
    assert (await anna.get("/api/me/addresses")).json()["items"] == [{"id": home, **ADDRESS, "is_default": True}]
    wrong = await anna.put(f"/api/me/addresses/{home}", json={**ADDRESS, "phone": "call me"})
    assert problem(wrong) == {
        "type": "/problems/address-refused",
        "title": "A line of the address is not acceptable.",
        "status": 422,
        "detail": "A line of the address is not acceptable.",
        "line": "phone",
    }


async def test_an_address_book_holds_twenty(people: People) -> None:
    anna = await people.viewer("anna")
    for _ in range(20):
        assert (await anna.post("/api/me/addresses", json={"id": str(new_id()), **ADDRESS})).status_code == 201
    full = await anna.post("/api/me/addresses", json={"id": str(new_id()), **ADDRESS})
    body = problem(full)
    assert (body["type"], body["count_max"]) == ("/problems/too-many", 20)


async def test_a_token_shows_its_secret_once_and_reaches_as_far_as_it_says(people: People, clock: Clock) -> None:
    anna = await people.viewer("anna")
    token_id, expires_at = str(new_id()), (clock.now() + timedelta(days=30)).isoformat()
    content = {"id": token_id, "name": "stock robot", "scopes": ["catalog"], "expires_at": expires_at}
    made = await anna.post("/api/tokens", json=content)
    assert made.status_code == 201
    secret = made.json()["secret"]
    assert secret.startswith("laotie_")
    again = await anna.post("/api/tokens", json=content)
    assert (again.status_code, again.json()) == (200, {**made.json(), "secret": None})
    robot = people.stranger()
    robot.headers["Authorization"] = f"Bearer {secret}"
    refused = await robot.get("/api/me/addresses")
    assert problem(refused) == {
        "type": "/problems/scope-lacking",
        "title": "Your seat or your token does not reach that far.",
        "status": 403,
        "detail": "Your seat or your token does not reach that far.",
        "scope": "account",
    }
    listed = (await anna.get("/api/tokens")).json()["items"]
    assert [(one["id"], one["scopes"], "secret" in one) for one in listed] == [(token_id, ["catalog"], False)]
    assert (await anna.delete(f"/api/tokens/{token_id}")).status_code == 204
    assert problem(await robot.get("/api/me"))["type"] == "/problems/unauthenticated"


async def test_a_token_with_the_scope_account_acts_for_its_holder_without_cookies(people: People) -> None:
    anna = await people.viewer("anna")
    program = await people.api_client(anna, TokenScope.account)
    assert (await program.get("/api/me")).json()["account"]["handle"] == "anna"
    assert (await program.patch("/api/me", json={"name": "By program"})).status_code == 200
    wider = {"id": str(new_id()), "name": "wider", "scopes": ["money"], "expires_at": "2099-01-01T00:00:00Z"}
    assert problem(await program.post("/api/tokens", json=wider))["type"] == "/problems/scopes-refused"


async def test_seats(people: People) -> None:
    shop = new_id()
    owner = await people.owner("owner", shop)
    clerk = await people.viewer("clerk")
    url = f"/api/shops/{shop}/seats"
    assert problem(await clerk.get(url))["type"] == "/problems/not-found"
    given = await owner.post(url, json={"handle": "clerk", "scopes": ["staff", "catalog"]})
    assert given.status_code == 201
    assert given.json() == {
        "account_id": str(clerk.account_id),
        "handle": "clerk",
        "name": "Clerk",
        "is_owner": False,
        "scopes": ["catalog", "staff"],
    }
    listed = (await clerk.get(url)).json()["items"]
    assert [(one["handle"], one["is_owner"]) for one in listed] == [("owner", True), ("clerk", False)]
    await people.viewer("helper")
    beyond = await clerk.post(url, json={"handle": "helper", "scopes": ["money"]})
    assert problem(beyond)["type"] == "/problems/scopes-refused"
    within = await clerk.post(url, json={"handle": "helper", "scopes": ["catalog"]})
    assert within.status_code == 201
    up = await clerk.delete(f"{url}/{owner.account_id}")
    assert problem(up)["type"] == "/problems/scope-lacking"
    last = await owner.delete(f"{url}/{owner.account_id}")
    assert problem(last) == {
        "type": "/problems/last-owner",
        "title": "A shop keeps at least one owner; hand it over first.",
        "status": 409,
        "detail": "A shop keeps at least one owner; hand it over first.",
        "shop_id": str(shop),
    }
    assert problem(await owner.post(url, json={"handle": "ghost", "scopes": ["catalog"]}))["status"] == 422
    assert (await clerk.delete(f"{url}/{clerk.account_id}")).status_code == 204
    assert problem(await clerk.get(url))["type"] == "/problems/not-found"


async def test_me_lists_the_shops_one_may_act_for(people: People, db: Database) -> None:
    owner = await people.viewer("owner")
    shop = ShopId(new_id())
    async with db.tx() as tx:
        await catalog.open_shop(tx, owner.account_id, shop, catalog.ShopDraft(name="海边人家", currency="CNY"))
    clerk = await people.staff("clerk", shop, owner, Scope.orders)
    me = (await clerk.get("/api/me")).json()
    assert me["roles"] == ["shop_staff", "viewer"]
    seat = {"shop_id": str(shop), "shop_name": "海边人家", "is_owner": False, "scopes": ["orders"]}
    assert me["seats"] == [{**seat, "is_sandbox": False}]


async def test_the_export_holds_what_is_known_and_is_recorded(people: People) -> None:
    anna = await people.viewer("anna")
    await anna.post("/api/me/addresses", json={"id": str(new_id()), **ADDRESS})
    answer = await anna.get("/api/me/export")
    assert answer.headers["content-disposition"] == f'attachment; filename="laotie-{anna.account_id}.json"'
    own = answer.json()["identity"]
    assert own["account"]["handle"] == "anna"
    assert own["addresses"][0]["city"] == "大连市"
    assert len(own["sessions"]) == 1
    assert set(own) == {"account", "addresses", "sessions", "tokens", "seats", "acts"}
    acts = (await anna.get("/api/me/export")).json()["identity"]["acts"]
    assert [act["act"] for act in acts] == ["account.exported"]


async def test_erasure_needs_the_password_and_leaves_nothing_that_names_the_person(
    people: People, db: Database
) -> None:
    anna = await people.viewer("anna")
    await anna.post("/api/me/addresses", json={"id": str(new_id()), **ADDRESS})
    wrong = await anna.post("/api/me/erasure", json={"password": "not it"})
    assert problem(wrong)["type"] == "/problems/password-wrong"
    assert (await anna.post("/api/me/erasure", json={"password": PASSWORD})).status_code == 204
    gone = await people.stranger().post("/api/sessions", json={"handle": "anna", "password": PASSWORD})
    assert gone.status_code == 401
    async with db.read() as tx:
        assert await tx.tuples("SELECT FROM identity.address UNION ALL SELECT FROM identity.session") == []
        assert await tx.tuples("SELECT FROM identity.token UNION ALL SELECT FROM identity.seat") == []
        row = await tx.tuples("SELECT handle, name, avatar, about, password_hash FROM identity.account")
        assert row == [(None, "—", None, "", None)]
    again = await people.viewer("anna")
    assert (await again.get("/api/me")).json()["account"]["handle"] == "anna"


async def test_an_owner_cannot_leave_a_shop_without_one(people: People) -> None:
    owner = await people.owner("owner", new_id())
    answer = await owner.post("/api/me/erasure", json={"password": PASSWORD})
    assert problem(answer)["type"] == "/problems/last-owner"
    assert (await owner.get("/api/me")).json()["account"]["handle"] == "owner"


async def test_operators_read_the_audit_log_and_that_is_recorded(people: People) -> None:
    shop = new_id()
    owner = await people.owner("owner", shop)
    clerk = await people.viewer("clerk")
    given = await owner.post(f"/api/shops/{shop}/seats", json={"handle": "clerk", "scopes": ["orders"]})
    operator = await people.operator()
    answer = await operator.get("/api/audit-log", params={"subject": str(shop)})
    entry = answer.json()["items"][0]
    assert entry == {
        "id": entry["id"],
        "at": entry["at"],
        "actor_id": str(owner.account_id),
        "act": "seat.granted",
        "subject": str(shop),
        "detail": {"account_id": str(clerk.account_id), "scopes": ["orders"], "is_owner": False},
        "address": "127.0.0.1",
        "request_id": given.headers["x-request-id"],
    }
    newest = (await operator.get("/api/audit-log", params={"limit": 1})).json()
    assert [(one["act"], one["subject"]) for one in newest["items"]] == [("audit_log.read", str(shop))]
    older = (await operator.get("/api/audit-log", params={"limit": 1, "after": newest["next"]})).json()
    assert older["items"][0]["id"] < newest["items"][0]["id"]
    assert problem(await clerk.get("/api/audit-log"))["type"] == "/problems/forbidden"
