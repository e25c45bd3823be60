"""What every request passes: ids, addresses, limits, headers, problems, the page, health."""

import errno
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from laotie import lake
from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.ids import new_id
from laotie.base.refusals import all_refusals
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.lake.stores import note_ailing
from laotie.web import static
from laotie.web.app import build_app
from laotie.web.house import House
from laotie.web.middleware import Door, trust
from people import PASSWORD, Browser, People, problem


def app_with(db: Database, signer: Signer, **settings: Any) -> Door:
    """The application under other settings."""
    return build_app(House(db=db, settings=Settings(**settings), signer=signer, bus=LocalBus()))


def browse(app: Door, *, peer: str = "127.0.0.1", scheme: str = "http") -> Browser:
    """A browser that comes from this address."""
    return Browser(transport=httpx.ASGITransport(app=app, client=(peer, 1)), base_url=f"{scheme}://testserver")


async def test_a_request_id_is_kept_or_made(client: Browser) -> None:
    kept = await client.get("/healthz", headers={"X-Request-Id": "purchase-0001"})
    assert kept.headers["x-request-id"] == "purchase-0001"
    for unfit in ("short", "with space here", "x" * 65, 'quote"quote'):
        made = await client.get("/healthz", headers={"X-Request-Id": unfit})
        assert len(made.headers["x-request-id"]) == 32


async def test_every_answer_carries_the_security_headers(client: Browser) -> None:
    for path in ("/", "/api/me", "/api/nothing", "/healthz", "/problems/not-found"):
        headers = (await client.get(path)).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy == {
            "default-src": "'self'",
            "script-src": "'self'",
            "style-src": "'self'",
            "style-src-attr": "'unsafe-inline'",
            "img-src": "'self' data: blob: https:",
            "media-src": "'self' blob:",
            "worker-src": "'self' blob:",
            "connect-src": "'self'",
            "font-src": "'self' data:",
            "object-src": "'none'",
            "base-uri": "'none'",
            "form-action": "'self'",
            "frame-ancestors": "'none'",
        }
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "strict-origin-when-cross-origin"
        assert "camera=(self)" in headers["permissions-policy"]
        assert "strict-transport-security" not in headers


async def test_under_tls_the_browser_is_told_to_stay_there_and_cookies_are_secure(db: Database, signer: Signer) -> None:
    async with browse(app_with(db, signer), scheme="https") as browser:
        answer = await browser.get("/api/me")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert all("Secure" in cookie for cookie in answer.headers.get_list("set-cookie"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "seen"),
    [
        ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("10.0.0.1", "not an address", "10.0.0.1"),
        ("192.0.2.1", "203.0.113.7", "192.0.2.1"),
        ("10.0.0.1", "", "10.0.0.1"),
    ],
)
async def test_only_a_trusted_proxy_says_who_the_client_is(
    db: Database, signer: Signer, peer: str, forwarded: str, seen: str
) -> None:
    app = app_with(db, signer, trusted_proxies="10.0.0.0/24")
    async with browse(app, peer=peer) as browser:
        browser.headers.update({"X-Forwarded-For": forwarded, "X-Forwarded-Proto": "https"})
        content = {"id": str(new_id()), "handle": "anna", "password": PASSWORD, "name": "Anna"}
        answer = await browser.post("/api/accounts", json=content)
        assert answer.status_code == 201, answer.text
        assert ("strict-transport-security" in answer.headers) == (peer == "10.0.0.1")
    async with db.read() as tx:
        assert await tx.one(str, "SELECT address FROM identity.session") == seen


def test_nobody_is_trusted_unless_named() -> None:
    assert not trust("")("127.0.0.1")
    trusts = trust("::1, 172.16.0.0/12")
    assert [trusts(peer) for peer in ("::1", "172.20.1.1", "127.0.0.1", "nonsense")] == [True, True, False, False]


async def test_a_body_is_refused_as_soon_as_it_is_too_large(people: People) -> None:
    anna = await people.viewer("anna")
    announced = await anna.patch("/api/me", content=b"x" * 10_000_000, headers={"content-type": "application/json"})
    assert problem(announced) == {
        "type": "/problems/body-too-large",
        "title": "The request's body is larger than this endpoint takes.",
        "status": 413,
        "detail": "The request's body is larger than this endpoint takes.",
        "bytes_max": 2 * 1024 * 1024,
    }
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b"x" * 1_000_000

    streamed = await anna.patch("/api/me", content=endless(), headers={"content-type": "application/json"})
    assert problem(streamed)["type"] == "/problems/body-too-large"
    assert sent <= 4


async def test_an_unknown_address_and_a_wrong_method_are_problems(client: Browser) -> None:
    assert problem(await client.get("/api/nothing/here")) == {
        "type": "/problems/not-found",
        "title": "There is no such thing, or it is not yours to see.",
        "status": 404,
        "detail": "There is no such thing, or it is not yours to see.",
    }
    wrong = await client.put("/api/me")
    assert problem(wrong)["type"] == "/problems/method-not-allowed"
    assert set(wrong.headers["allow"].split(", ")) >= {"GET", "PATCH"}


async def test_every_refusal_of_the_house_is_explained(client: Browser) -> None:
    for kind in all_refusals():
        answer = await client.get(f"/problems/{kind.code}")
        assert answer.status_code == 200, kind.code
        assert answer.json()["title"] == kind.title
    assert (await client.get("/problems/too-fast")).json() == {
        "code": "too-fast",
        "status": 429,
        "title": "Too many requests; try again later.",
        "explanation": "Too many requests; try again later.",
        "facts": ["retry_after_s"],
    }
    assert problem(await client.get("/problems/never-heard-of"))["status"] == 404


async def test_a_bug_says_nothing_but_the_request_id(
    people: People, db: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from laotie import identity

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the inside of the house")

    anna = await people.viewer("anna")
    monkeypatch.setattr(identity, "list_addresses", broken)
    answer = await anna.get("/api/me/addresses")
    assert problem(answer) == {
        "type": "/problems/bug",
        "title": "Something went wrong on our side; it was logged under this request id.",
        "status": 500,
        "detail": "Something went wrong on our side; it was logged under this request id.",
    }


async def test_a_database_that_is_gone_is_a_503_with_a_time_to_come_back(db: Database, client: Browser) -> None:
    await db.pool.close()
    answer = await client.get("/api/products")
    assert problem(answer) == {
        "type": "/problems/unavailable",
        "title": "A part of the service cannot be reached; it recovers by itself, try again shortly.",
        "status": 503,
        "detail": "A part of the service cannot be reached; it recovers by itself, try again shortly.",
        "retry_after_s": 1,
        "part": "database",
    }
    assert answer.headers["retry-after"] == "1"
    health = await client.get("/healthz")
    assert (health.status_code, health.json()) == (
        503,
        {"status": "not ready", "missing": {"database": "does not answer"}, "ailing": {}},
    )


async def test_health_asks_every_part(house: House, client: Browser) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ready", "missing": {}, "ailing": {}}
    said: list[str | None] = ["is starting"]

    async def check() -> str | None:
        return said[0]

    house.add_part("media", check)
    answer = await client.get("/healthz")
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready", "missing": {"media": "is starting"}, "ailing": {}})
    said[0] = None
    assert (await client.get("/healthz")).status_code == 200


async def test_health_names_a_lake_that_takes_nothing_and_is_ready_all_the_same(client: Browser) -> None:
    note_ailing("lake facts", OSError(errno.ENOSPC, "No space left on device"))
    answer = await client.get("/healthz")
    assert (answer.status_code, answer.json()["status"], list(answer.json()["ailing"])) == (200, "ready", ["lake facts"])
    assert "No space left" in answer.json()["ailing"]["lake facts"]
    note_ailing("lake facts", None)
    assert (await client.get("/healthz")).json()["ailing"] == {}


async def test_requests_are_counted(client: Browser) -> None:
    await client.get("/api/nothing")
    text = (await client.get("/metrics")).text
    assert 'laotie_http_requests_total{method="GET",status="404"}' in text
    assert "laotie_http_request_seconds_bucket" in text


@pytest.fixture(autouse=True)
def well() -> None:
    """Whatever other tests of this process have left to ail."""
    for what in lake.ailing():
        note_ailing(what, None)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page of the test's own in place of the built one."""
    monkeypatch.setattr(static, "_page", static._Page(tmp_path))
    return tmp_path


async def test_without_a_build_the_door_says_how_to_make_one(page: Path, client: Browser) -> None:
    body = problem(await client.get("/"))
    assert (body["type"], body["status"]) == ("/problems/page-not-built", 503)
    assert "npm run build" in body["title"]


async def test_the_page_its_routes_and_its_assets(page: Path, client: Browser) -> None:
    (page / "assets").mkdir()
    (page / "index.html").write_text("phone")
    (page / "console.html").write_text("console")
    (page / "assets" / "app-1a2b.js").write_text("plain")
    (page / "assets" / "app-1a2b.js.br").write_bytes(b"packed")
    shown = {path: (await client.get(path)).text for path in ("/", "/room/1", "/console", "/console/stock")}
    assert shown == {"/": "phone", "/room/1": "phone", "/console": "console", "/console/stock": "console"}
    first = await client.get("/")
    assert first.headers["cache-control"] == "no-cache"
    again = await client.get("/", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = await client.get("/assets/app-1a2b.js", headers={"accept-encoding": "identity"})
    assert plain.text == "plain"
    assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert plain.headers["content-type"].startswith("text/javascript")
    raw = client.build_request("GET", "/assets/app-1a2b.js", headers={"accept-encoding": "gzip, br"})
    packed = await client.send(raw, stream=True)
    assert packed.headers["content-encoding"] == "br"
    assert b"".join([piece async for piece in packed.aiter_raw()]) == b"packed"
    for missing in ("/assets/gone.js", "/favicon.ico", "/../secret.key", "/%2e%2e/secret.key", "/.vite/manifest.json"):
        assert (await client.get(missing)).status_code == 404, missing
    assert (await client.head("/")).status_code == 200


async def test_dependencies_are_given_one_after_the_other(app: Door) -> None:
    """What `_resolve_in_line` relies on inside Litestar still holds."""
    from litestar.routes import HTTPRoute

    models = [
        model
        for route in app.litestar.routes
        if isinstance(route, HTTPRoute)
        for _, model in route.route_handler_map.values()
    ]
    assert any(len(model.dependency_batches) > 2 for model in models)
    assert all(len(batch) == 1 for model in models for batch in model.dependency_batches)


def test_problem_bodies_are_json_with_facts_beside_the_members() -> None:
    from laotie.base.refusals import TooFast
    from laotie.web.problems import render

    body, headers = render(TooFast(retry_after_s=7), request_id="r-1")
    assert json.loads(body) == {
        "retry_after_s": 7,
        "type": "/problems/too-fast",
        "title": "Too many requests; try again later.",
        "status": 429,
        "detail": "Too many requests; try again later.",
        "request_id": "r-1",
    }
    assert headers["retry-after"] == "7"
