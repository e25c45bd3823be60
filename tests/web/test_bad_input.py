"""Input that nobody should send: each a typed refusal, never a 500, and others are served as before."""

import json
from typing import Any

import pytest

from laotie.base.ids import new_id
from people import Browser, People, problem
from world import IN_A_MONTH

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "malformed"),
        (b"{", 400, "unreadable"),
        (b'{"name": "\xff\xfe"}', 400, "unreadable"),
        (b"\xff\xfe\x00", 400, "unreadable"),
        (b'{"name": "a\\u0000b"}', 422, "profile-refused"),
        (b'{"name": "\\ud800"}', 400, "unreadable"),
        (b"[]", 422, "malformed"),
        (b"null", 422, "malformed"),
        (b'{"locale": 1, "name": "5"}', 422, "malformed"),
        (b'{"name": 5}', 422, "malformed"),
        (b'{"name": "A", "is_operator": true}', 422, "malformed"),
        (b"[" * 100_000, 422, "malformed"),
        (b'{"name": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", 422, "malformed"),
        (b'{"name": 1e999999}', 422, "malformed"),
        (b"NaN", 400, "unreadable"),
    ],
)
async def test_a_body_that_is_not_what_was_asked_for(people: People, content: bytes, status: int, code: str) -> None:
    anna = await people.viewer("anna")
    answer = await anna.patch("/api/me", content=content, headers=JSON)
    body = problem(answer)
    assert (body["status"], body["type"]) == (status, f"/problems/{code}")
    assert (await anna.get("/api/me")).json()["account"]["name"] == "Anna"


async def test_a_broken_rule_of_the_schema_is_named(client: Browser) -> None:
    answer = await client.post("/api/accounts", json={"id": "not an id", "handle": "a", "password": "p", "name": "n"})
    assert problem(answer) == {
        "type": "/problems/malformed",
        "title": "The request does not fit the schema.",
        "status": 422,
        "detail": "The request does not fit the schema.",
        "errors": [{"at": "body:id", "problem": "Invalid UUID"}],
    }
    unknown = await client.post("/api/sessions", json={"handle": "a", "password": "p", "remember": True})
    assert problem(unknown)["errors"] == [{"at": "body:", "problem": "Object contains unknown field `remember`"}]


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_only_json_is_read(people: People, media_type: str) -> None:
    anna = await people.viewer("anna")
    answer = await anna.patch("/api/me", content=b'{"name": "B"}', headers={"content-type": media_type})
    assert problem(answer) == {
        "type": "/problems/media-type-refused",
        "title": "This endpoint takes another kind of body.",
        "status": 415,
        "detail": "This endpoint takes another kind of body.",
        "expected": "application/json",
    }


@pytest.mark.parametrize(
    ("path", "at"),
    [
        ("/api/products?limit=0", "query:limit"),
        ("/api/products?limit=101", "query:limit"),
        ("/api/products?limit=many", "query:limit"),
        ("/api/products?limit=99999999999999999999999", "query:limit"),
        ("/api/products?after=yesterday", "query:after"),
    ],
)
async def test_a_page_is_bounded(client: Browser, path: str, at: str) -> None:
    body = problem(await client.get(path))
    assert (body["type"], body["errors"][0]["at"]) == ("/problems/malformed", at)


@pytest.mark.parametrize(
    "path",
    ["/api/products/1", "/api/products/%00", "/api/products/%ff", "/api/orders/../../etc/passwd", "/api//me", "/api/"],
)
async def test_a_path_that_names_nothing(client: Browser, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code in (200, 404)
    if answer.status_code == 404:
        assert problem(answer)["type"] == "/problems/not-found"


@pytest.mark.parametrize(
    "cookie",
    ["laotie_session=", "laotie_session=" + "x" * 5_000, "laotie_guest=a.b.c", "=;;=;", "laotie_session=\xff\xfe"],
)
async def test_a_cookie_that_is_not_ours_is_nobodys(client: Browser, cookie: str) -> None:
    answer = await client.get("/api/me", headers={b"cookie": cookie.encode("latin-1")})
    assert (answer.status_code, answer.json()["account"]) == (200, None)


@pytest.mark.parametrize(
    "authorization", ["Bearer", "Bearer ", "Bearer lt_unknown", "Basic YTpi", "Bearer " + "x" * 5_000, "\xff"]
)
async def test_a_token_that_nobody_has_is_refused_rather_than_ignored(client: Browser, authorization: str) -> None:
    answer = await client.get("/api/me", headers={b"authorization": authorization.encode("latin-1")})
    assert problem(answer)["type"] == "/problems/unauthenticated"
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_text_that_the_database_cannot_keep_is_refused(people: People) -> None:
    anna = await people.viewer("anna")
    for handle in ("nul\0nul", "new\nline", "​​​", "a b c", "x" * 65, "ab"):
        wrong: dict[str, Any] = {"id": str(new_id()), "handle": handle, "password": "long enough", "name": "N"}
        answer = await people.stranger().post("/api/accounts", json=wrong)
        assert problem(answer)["type"] == "/problems/handle-refused", handle
    token = {"id": str(new_id()), "name": "nul\0", "scopes": ["account"], "expires_at": IN_A_MONTH}
    assert (await anna.post("/api/tokens", json=token)).status_code == 422
    asked = await anna.get("/api/products", params={"q": "nul\0"})
    assert asked.status_code < 500
    assert json.loads((await anna.get("/api/me")).content)["account"]["handle"] == "anna"
