"""Every endpoint × every role × somebody else's object.

A new endpoint needs one line in `TABLE`; without it `test_every_endpoint_is_in_the_table` fails. A rule says who gets
in; everybody else must be refused in the rule's own way, before anything happens.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from laotie.base.db import Database
from laotie.base.ids import new_id
from laotie.identity import Scope, TokenScope
from laotie.web.middleware import Door
from people import PASSWORD, Browser, People
from world import ADDRESS, PRICE, World, made, make_world, place_order

Make = Callable[[World], Awaitable[Any]]


@dataclass(frozen=True)
class Rule:
    """Who gets in. `answers` is what each role gets: ok, unknown (401), forbidden (403), absent (404)."""

    answers: dict[str, str]


ROLES = ("anonymous", "guest", "viewer", "other", "streamer", "staff_without", "staff", "operator", "token")


def rule(**answers: str) -> Rule:
    """Every role's answer, by exception from `rest`."""
    rest = answers.pop("rest")
    return Rule({role: answers.get(role, rest) for role in ROLES})


EVERYBODY = rule(rest="ok")
KNOWN = rule(rest="ok", anonymous="unknown", token="unknown")
"""Guests too, but not somebody without any cookie; a token without the scope `account` is nobody here."""
SIGNED_IN = rule(rest="ok", anonymous="unknown", guest="unknown", token="forbidden")
MINE = rule(rest="absent", anonymous="unknown", guest="unknown", viewer="ok", token="forbidden")
OPERATOR = rule(rest="forbidden", anonymous="unknown", guest="unknown", operator="ok")
SEAT = rule(
    rest="absent", anonymous="unknown", guest="unknown", staff="ok", staff_without="forbidden", token="forbidden"
)

OWN_ROOM = rule(rest="absent", anonymous="unknown", guest="unknown", streamer="ok", token="forbidden")


@dataclass(frozen=True)
class Row:
    """An endpoint's rule, how to fill its path, and a body that would do."""

    rule: Rule
    scope: Scope | None = None
    path: Make | None = None
    body: Make | None = None
    once: bool = False
    """The act changes who does it, so whoever gets in does it as a throwaway account."""
    csv: bool = False
    token_scope: TokenScope | None = None


def seat(scope: Scope, **options: Any) -> Row:
    """For staff with this scope."""
    return Row(SEAT, scope=scope, **options)


def body(**values: Any) -> Make:
    """The same body for everybody; `new` stands for a fresh id, other names in braces for the world's objects."""

    async def make(world: World) -> Any:
        return _filled(values, world)

    return make


def _filled(value: Any, world: World) -> Any:
    if isinstance(value, dict):
        return {key: _filled(one, world) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, world) for one in value]
    if value == "{new}":
        return str(new_id())
    if value == "{code}":
        return f"C{new_id().hex[-10:]}"
    if isinstance(value, str) and value.startswith("{"):
        return getattr(world, value.strip("{}"))
    return value


async def _spare_product(world: World) -> dict[str, str]:
    product = str(new_id())
    owner = world["owner"]
    await made(owner.post(f"/api/shops/{world.shop}/products", json={"id": product, "title": "围巾"}))
    sku = {"id": str(new_id()), "code": f"C{product[-12:]}", "price": {"amount": 100, "currency": "CNY"}, "stock": 9}
    await made(owner.post(f"/api/products/{product}/skus", json=sku))
    await made(owner.patch(f"/api/products/{product}", json={"state": "listed"}))
    return {"product_id": product}


async def _spare_item(world: World) -> dict[str, str]:
    item = {"id": str(new_id()), **(await _spare_product(world))}
    await made(world["owner"].post(f"/api/shows/{world.show}/cart", json=item))
    return {"item_id": item["id"]}


async def _spare_show(world: World) -> dict[str, str]:
    show = str(new_id())
    await made(world["owner"].post("/api/shows", json={"id": show, "room_id": world.room, "title": "明天"}))
    return {"show_id": show}


async def _spare_address(world: World) -> dict[str, str]:
    address = str(new_id())
    await made(world["viewer"].post("/api/me/addresses", json={"id": address, **ADDRESS}))
    return {"address_id": address}


async def _spare_seat(world: World) -> dict[str, str]:
    gone = await world.throwaway()
    handle = (await gone.get("/api/me")).json()["account"]["handle"]
    await made(world["owner"].post(f"/api/shops/{world.shop}/seats", json={"handle": handle, "scopes": ["staff"]}))
    return {"account_id": str(gone.account_id)}


async def _item_of_spare(world: World) -> Any:
    return {"id": str(new_id()), **(await _spare_product(world))}


async def _new_seat(world: World) -> Any:
    gone = await world.throwaway()
    return {"handle": (await gone.get("/api/me")).json()["account"]["handle"], "scopes": ["staff"]}


async def _sandbox_payment(world: World) -> dict[str, str]:
    order = await place_order(world)
    pay = {"id": str(new_id()), "method": "sandbox"}
    await made(world["viewer"].post(f"/api/orders/{order['order_id']}/payments", json=pay))
    return {"payment_id": pay["id"]}


TABLE: dict[str, Row] = {
    # service
    "GET /healthz": Row(EVERYBODY),
    "GET /metrics": Row(EVERYBODY),
    "GET /openapi.json": Row(EVERYBODY),
    "GET /problems/{code}": Row(EVERYBODY),
    "GET /": Row(EVERYBODY),
    "GET /{path}": Row(EVERYBODY),
    # identity
    "POST /api/accounts": Row(EVERYBODY, body=body()),
    "POST /api/sessions": Row(EVERYBODY, body=body()),
    "GET /api/sessions": Row(SIGNED_IN),
    "DELETE /api/sessions/current": Row(SIGNED_IN, once=True),
    "DELETE /api/sessions": Row(SIGNED_IN, once=True),
    "DELETE /api/sessions/{session_id}": Row(MINE),
    "GET /api/me": Row(EVERYBODY),
    "PATCH /api/me": Row(SIGNED_IN, body=body(about="…")),
    "POST /api/me/password": Row(SIGNED_IN, once=True, body=body(old=PASSWORD, new="another password")),
    "GET /api/me/export": Row(SIGNED_IN),
    "POST /api/me/erasure": Row(SIGNED_IN, once=True, body=body(password=PASSWORD)),
    "GET /api/me/addresses": Row(SIGNED_IN),
    "POST /api/me/addresses": Row(SIGNED_IN, body=body(id="{new}", **ADDRESS)),
    "PUT /api/me/addresses/{address_id}": Row(MINE, body=body(**ADDRESS)),
    "DELETE /api/me/addresses/{address_id}": Row(MINE, path=_spare_address),
    "GET /api/tokens": Row(SIGNED_IN),
    "POST /api/tokens": Row(
        SIGNED_IN, body=body(id="{new}", name="t", scopes=["account"], expires_at="2026-12-31T00:00:00Z")
    ),
    "DELETE /api/tokens/{token_id}": Row(MINE),
    "GET /api/shops/{shop_id}/seats": seat(Scope.staff),
    "POST /api/shops/{shop_id}/seats": seat(Scope.staff, body=_new_seat),
    "DELETE /api/shops/{shop_id}/seats/{account_id}": seat(Scope.staff, path=_spare_seat),
    "GET /api/audit-log": Row(OPERATOR, token_scope=TokenScope.operator),
    # catalog
    "POST /api/shops": Row(SIGNED_IN, once=True, body=body(id="{new}", name="店", currency="CNY")),
    "GET /api/shops/{shop_id}": Row(EVERYBODY),
    "PATCH /api/shops/{shop_id}": seat(Scope.catalog, body=body(about="…")),
    "GET /api/products": Row(EVERYBODY),
    "GET /api/categories": Row(EVERYBODY),
    "GET /api/products/{product_id}": Row(EVERYBODY),
    "GET /api/product-sheet-template.csv": Row(EVERYBODY),
    "GET /api/shops/{shop_id}/products": seat(Scope.catalog),
    "POST /api/shops/{shop_id}/products": seat(Scope.catalog, body=body(id="{new}", title="帽子")),
    "PATCH /api/products/{product_id}": seat(Scope.catalog, body=body(title="海参")),
    "POST /api/products/{product_id}/skus": seat(
        Scope.catalog, body=body(id="{new}", code="{code}", options={"大小": "{code}"}, price=PRICE)
    ),
    "PATCH /api/skus/{sku_id}": seat(Scope.catalog, body=body(price=PRICE)),
    "POST /api/skus/{sku_id}/movements": seat(Scope.catalog, body=body(id="{new}", kind="received", quantity=1)),
    "GET /api/skus/{sku_id}/movements": seat(Scope.catalog),
    "GET /api/shops/{shop_id}/products.csv": seat(Scope.catalog),
    "POST /api/shops/{shop_id}/products.csv": seat(Scope.catalog, csv=True),
    "GET /media/pictures/{name}": Row(EVERYBODY),
    # live
    "POST /api/rooms/mine": seat(Scope.show, body=body(id="{new}", shop_id="{shop}", title="房间")),
    "GET /api/rooms/mine": Row(OWN_ROOM),
    "PATCH /api/rooms/mine": Row(OWN_ROOM, body=body(title="房间")),
    "POST /api/rooms/mine/ingest-key": Row(OWN_ROOM),
    "GET /api/rooms/{room_id}": Row(EVERYBODY),
    "GET /api/streamers/{streamer_id}": Row(EVERYBODY),
    "GET /api/shops/{shop_id}/shows": Row(EVERYBODY),
    "POST /api/shows": seat(Scope.show, body=body(id="{new}", room_id="{room}", title="明天")),
    "GET /api/shows/{show_id}": Row(EVERYBODY),
    "PATCH /api/shows/{show_id}": seat(Scope.show, body=body(title="今天")),
    "POST /api/shows/{show_id}/start": seat(Scope.show, path=_spare_show),
    "POST /api/shows/{show_id}/end": seat(Scope.show, path=_spare_show),
    "GET /api/shows/{show_id}/ingest": seat(Scope.show),
    "GET /api/shows/{show_id}/cart": Row(EVERYBODY),
    "POST /api/shows/{show_id}/cart": seat(Scope.show, body=_item_of_spare),
    "PATCH /api/cart-items/{item_id}": seat(Scope.show, body=body(limit_per_person=5)),
    "DELETE /api/cart-items/{item_id}": seat(Scope.show, path=_spare_item),
    "PUT /api/shows/{show_id}/pin": seat(Scope.show, body=body(item_id="{item}")),
    "POST /api/shows/{show_id}/tickets": Row(EVERYBODY, body=body(entry=None)),
    "POST /api/shows/{show_id}/share-links": Row(EVERYBODY),
    "GET /media/{show_id}/{name}": Row(EVERYBODY),
    "GET /media/{show_id}/poster.jpg": Row(EVERYBODY),
    # fans and traffic
    "PUT /api/follows/{streamer_id}": Row(KNOWN, body=body()),
    "DELETE /api/follows/{streamer_id}": Row(KNOWN),
    "GET /api/me/follows": Row(EVERYBODY),
    "GET /api/feed/following": Row(EVERYBODY),
    "GET /api/feed/discover": Row(EVERYBODY),
    # orders and payments
    "POST /api/orders": Row(
        SIGNED_IN, body=body(id="{new}", lines=[{"sku_id": "{sku}", "quantity": 1, "unit_price": PRICE}])
    ),
    "GET /api/orders": Row(SIGNED_IN),
    "GET /api/orders/{order_id}": Row(MINE),
    "PUT /api/orders/{order_id}/address": Row(MINE, body=body(address_id="{address}")),
    "POST /api/orders/{order_id}/cancellation": Row(MINE, path=place_order, body=body()),
    "POST /api/orders/{order_id}/payments": Row(MINE, path=place_order, body=body(id="{new}", method="sandbox")),
    "GET /api/payments/{payment_id}": Row(MINE),
    "GET /api/shops/{shop_id}/orders": seat(Scope.orders),
    "GET /api/shops/{shop_id}/orders/{order_id}": seat(Scope.orders),
    "GET /api/shows/{show_id}/sales": seat(Scope.orders),
    "GET /api/sandbox/payments/{payment_id}": Row(MINE),
    "POST /api/sandbox/payments/{payment_id}/outcome": Row(MINE, path=_sandbox_payment, body=body(outcome="approve")),
    "POST /webhooks/{provider}": Row(EVERYBODY),
    # audit
    "GET /api/audit/tallies": Row(EVERYBODY),
}

DENIALS = {
    "unauthenticated": "unknown",
    "forbidden": "forbidden",
    "scope-lacking": "forbidden",
    "not-found": "absent",
    "cross-site": "cross-site",
    "method-not-allowed": "no such method",
}


def endpoints(app: Door) -> set[str]:
    """Every `METHOD /path` that the application answers."""
    found = set()
    for route in app.litestar.routes:
        for method in getattr(route, "methods", ()):
            if method not in ("HEAD", "OPTIONS"):
                found.add(f"{method} {route.path_format}")
    return found


def test_every_endpoint_is_in_the_table(app: Door) -> None:
    assert endpoints(app) == set(TABLE)


async def test_every_role_gets_in_where_it_may_and_nowhere_else(people: People, db: Database) -> None:
    world = await make_world(people)
    wrong: list[str] = []
    for endpoint, row in TABLE.items():
        refused_first = sorted(ROLES, key=lambda role: row.rule.answers[role] == "ok")
        for role in refused_first:
            expected = row.rule.answers[role]
            try:
                got = await _try(world, endpoint, row, role, expected)
            except AssertionError as error:
                got = f"could not be tried: {error}"
            if got != expected:
                wrong.append(f"{endpoint} as {role}: {got}, not {expected}")
    assert not wrong, "\n".join(wrong)


async def _try(world: World, endpoint: str, row: Row, role: str, expected: str) -> str:
    method, _, path = endpoint.partition(" ")
    values = {
        "shop_id": world.shop, "room_id": world.room, "show_id": world.show, "product_id": world.product,
        "sku_id": world.sku, "item_id": world.item, "order_id": world.order, "payment_id": world.payment,
        "address_id": world.address, "token_id": world.token, "session_id": world.session,
        "streamer_id": str(world["owner"].account_id), "account_id": str(world["staff"].account_id),
        "code": "sold-out", "provider": "sandbox", "path": "feed",
    }  # fmt: skip
    if path.startswith("/media/"):
        values["name"] = f"{world.product}.svg" if "pictures" in path else "index.m3u8"
    if row.path is not None:
        values |= await row.path(world)
    browser = await _browser(world, row, role)
    if row.once and expected == "ok" and role not in ("anonymous", "guest", "token"):
        browser = await world.throwaway()
    options: dict[str, Any] = {}
    if row.body is not None:
        options["json"] = await row.body(world)
    if row.csv:
        options = {"content": b"code,title,price\n", "headers": {"content-type": "text/csv"}}
    answer = await browser.request(method, path.format_map(values), **options)
    assert answer.status_code < 500 or path == "/media/{show_id}/{name}", f"{answer.status_code} {answer.text[:300]}"
    if answer.headers.get("content-type") != "application/problem+json":
        return "ok" if answer.status_code < 400 else str(answer.status_code)
    code = answer.json()["type"].removeprefix("/problems/")
    if path.startswith("/media/") and code == "not-found":
        return "ok"  # nothing is being broadcast here; what matters is that nobody is asked who they are
    return DENIALS.get(code, "ok")


async def _browser(world: World, row: Row, role: str) -> Browser:
    if role == "anonymous":
        return world.people.stranger()
    if row.scope is not None and role in ("staff", "staff_without", "token"):
        return world[f"{role} {row.scope}"]
    if role == "token" and row.token_scope is not None:
        return world["token of operator"]
    return world[role]
