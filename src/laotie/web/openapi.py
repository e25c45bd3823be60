"""What Litestar's description of the API lacks: problems, ways to sign in, short names, one stable order."""

import re
from pathlib import Path
from typing import Any

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from laotie.base.refusals import all_refusals
from laotie.web.authentication import GUEST_COOKIE, SESSION_COOKIE
from laotie.web.insight_exports import PARQUET, FigureForm
from laotie.web.problems import MEDIA_TYPE, Problem

METHODS = ("get", "put", "post", "delete", "patch")
PAGE_NAME = re.compile(r"\bPage_(?:\w+\.)*(\w+)_(?!\w)")
SHEET = {"text/csv": {"schema": {"type": "string"}}}
BYTES = {"schema": {"type": "string", "format": "binary"}}
FILES: dict[str, dict[str, Any]] = {
    "/api/shops/{shop_id}/exports/{kind}": {**SHEET, "application/x-ndjson": {"schema": {"type": "string"}}},
    "/api/shops/{shop_id}/export.zip": {"application/zip": BYTES},
    "/api/evidence/{exhibit_id}": {"image/webp": BYTES, "image/jpeg": BYTES, "video/mp4": BYTES},
    "/api/payout-batches/{batch_id}/file": {**SHEET, "application/xml": {"schema": {"type": "string"}}},
}
"""What is in the answers that are no JSON."""
FIGURES = f"#/components/schemas/{FigureForm.__name__}"
EXAMPLES = Path(__file__).parent / "examples.json"
"""Real requests and answers, recorded by the tests (`tests/examples.py`) and held against the schemas there."""
CONVENTIONS = """\
JSON over HTTP. Begin with `docs/api.md`: a key from the console, then one request.

**Keys.** `Authorization: Bearer laotie_…`. A key has scopes; one that ends in `:read` is enough wherever nothing is
changed. A request that needs more is refused with `scope-lacking`, which names the scope.

**Ids are yours.** What you create carries an `id` (UUID) of yours, and that is its idempotency key: the same id with the
same content answers again (200 instead of 201), with another content it is refused (`id-reused`). Any request may be
sent again after a lost answer.

**Lists** are `{items, next}`: ask on with `?after=<next>` until `next` is null; `limit` is at most 100.

**Money** is `{amount, currency}` in whole minor units. Instants are ISO 8601 in UTC.

**Refusals** are `application/problem+json` (RFC 9457): `type` is `/problems/<code>`, the facts of the case are members
beside it, `request_id` finds the request in the log. `x-problem-types` lists all of them; `GET /problems/<code>`
explains one.

**Pace.** Answers to a key say `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset` (seconds). Beyond it:
429 with `Retry-After`. 503 with `Retry-After` means too busy: the same request again a little later is safe.
"""
ROOM_WORDS = {
    "identity": "Accounts, sign-ins, addresses, seats, API keys.",
    "catalog": "Shops, products, SKUs, stock, shipping rules, brands.",
    "live": "Rooms, shows, their carts and waves.",
    "fans": "Who follows whom.",
    "messages": "Notices and pushes.",
    "traffic": "Feeds.",
    "orders": "Buying, orders, parcels, invoices, baskets.",
    "offers": "Coupons and quotes.",
    "aftersales": "Refunds, returns, disputes.",
    "fun": "Red packets, draws, polls.",
    "trust": "Guarantees and deposits.",
    "reviews": "What buyers say of goods.",
    "payments": "Ways to pay, payments, the sandbox's own page.",
    "media": "Live pictures.",
    "replay": "Recordings and clips.",
    "videos": "Short videos and uploads.",
    "audit": "Books held against each other.",
    "settlement": "Balances, statements, payouts.",
    "webhooks": "Signed messages to your own addresses.",
    "search": "The shelf and its search.",
    "insight": "Figures, what they mean, and why they changed.",
    "exports": "All that a shop owns, to take away.",
    "sandbox": "A developer's own shop, and what is to happen in it.",
    "service": "Health, problems, this description.",
}
ELSEWHERE = tuple(
    f"laotie.{name}"
    for name in (
        "gateway",
        "worker",
        "cli",
        "bench",
        "demo",
        "imports",
        "base.holding",
        "base.postgres",
        "insight.transactions",
        "lake.rebuild",
    )
)
"""Whose refusals nobody hears over HTTP."""
PACE = {
    "RateLimit-Limit": "Requests that this key may make in a minute.",
    "RateLimit-Remaining": "Of these, what is left.",
    "RateLimit-Reset": "Seconds until all are there again.",
}
NOISE: dict[str, object] = {"deprecated": False, "allowEmptyValue": False, "allowReserved": False, "headers": {}}
WAYS_IN: dict[str, Any] = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": SESSION_COOKIE,
        "description": "Set by signing in. Unsafe methods also need the header `X-CSRF-Token` from `GET /api/me`.",
    },
    "guest": {
        "type": "apiKey",
        "in": "cookie",
        "name": GUEST_COOKIE,
        "description": "Set by `GET /api/me`. Unsafe methods also need the header `X-CSRF-Token` from there.",
    },
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key: from the console, or `POST /api/tokens`."},
}
REFUSED = {
    "description": "Refused: `type` says why.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
TOO_FAST = {
    **REFUSED,
    "description": "Too many requests: again after `Retry-After` seconds.",
    "headers": {
        **{name: {"$ref": f"#/components/headers/{name}"} for name in PACE},
        "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."},
    },
}


def complete(app: Litestar) -> dict[str, Any]:
    """The document, with every operation's refusals and rights described, and paths and names sorted."""
    document: dict[str, Any] = _tidied(app.openapi_schema.to_schema())
    _, named = msgspec.json.schema_components([Problem], ref_template="#/components/schemas/{name}")
    schemas = {**document["components"]["schemas"], **named}
    schemas["Problem"]["additionalProperties"] = True
    asked = {handler.fn.__name__ for handler in _handlers(app) if "actor" in handler.parsed_fn_signature.parameters}
    for name in _closed(app):
        if name in schemas:
            schemas[name]["additionalProperties"] = False
    examples = read_examples()
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations:
                _show(operations[method], examples.get(f"{method.upper()} {path}", {}))
                _complete(operations[method], method, path, asked=operations[method]["operationId"] in asked)
    document["components"] = {
        "schemas": {name: schemas[name] for name in sorted(schemas)},
        "securitySchemes": WAYS_IN,
        "headers": {
            name: {"description": said, "schema": {"type": "integer"}} for name, said in PACE.items()
        },
        "responses": {"TooFast": TOO_FAST},
    }
    document["info"]["description"] = CONVENTIONS
    rooms = sorted({operation["tags"][0] for path in document["paths"].values() for operation in path.values()})
    document["tags"] = [{"name": room, "description": ROOM_WORDS.get(room, "")} for room in rooms]
    document["x-problem-types"] = {
        kind.code: {"status": kind.status, "title": kind.title}
        for kind in sorted(all_refusals(), key=lambda kind: kind.code)
        if kind.__module__.startswith("laotie.") and not kind.__module__.startswith(ELSEWHERE)
    }
    document["paths"] = {path: document["paths"][path] for path in sorted(document["paths"])}
    return document


def _complete(operation: dict[str, Any], method: str, path: str, *, asked: bool) -> None:
    answers = operation["responses"]
    answers.pop("400", None)
    answers.get("204", {}).pop("content", None)
    if "201" in answers:
        # What a client makes under its own id may be said again.
        answers["200"] = {**answers["201"], "description": "Said before: the first answer again."}
    if path.endswith(".csv"):
        if method == "post":
            operation["requestBody"] = {"content": SHEET, "required": True}
        else:
            answers["200"]["content"] = SHEET
    if path in FILES:
        answers["200"]["content"] = FILES[path]
        answers["200"]["description"] = "The file."
    if any(one["name"] == "format" and FIGURES in str(one) for one in operation.get("parameters", ())):
        answers["200"]["content"].update({**SHEET, PARQUET: BYTES})
    answers["default"] = REFUSED
    if asked:
        answers["429"] = {"$ref": "#/components/responses/TooFast"}
    operation["summary"] = operation["description"].split(". ")[0].rstrip(".")
    operation["security"] = [*({way: []} for way in WAYS_IN), {}] if asked else []


def _show(operation: dict[str, Any], example: dict[str, Any]) -> None:
    """The example beside the schemas, before a 201 is also made a 200."""
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body is not None and "request" in example:
        body["example"] = example["request"]
    for code, answer in operation["responses"].items():
        content = answer.get("content", {}).get("application/json")
        if content is not None and "answer" in example and code in ("200", "201", "202"):
            content["example"] = example["answer"]


def read_examples() -> dict[str, dict[str, Any]]:
    """Requests and answers by `METHOD /path`."""
    found: dict[str, dict[str, Any]] = msgspec.json.decode(EXAMPLES.read_bytes())
    return found


def _closed(app: Litestar) -> set[str]:
    """The names of what is read from bodies and refuses unknown fields."""
    bodies = [
        handler.parsed_fn_signature.parameters["data"].annotation
        for handler in _handlers(app)
        if "data" in handler.parsed_fn_signature.parameters
    ]
    found: dict[type, msgspec.inspect.StructType] = {}
    waiting: list[Any] = list(msgspec.inspect.multi_type_info(bodies))
    while waiting:
        one = waiting.pop()
        if isinstance(one, msgspec.inspect.StructType):
            if one.cls in found:
                continue
            found[one.cls] = one
            waiting.extend(one.fields)
        waiting.extend(getattr(one, name) for name in ("type", "item_type", "value_type") if hasattr(one, name))
        waiting.extend(getattr(one, "types", ()))
    return {
        name
        for cls, one in found.items()
        if one.forbid_unknown_fields
        for name in (cls.__name__, f"{cls.__module__.rpartition('.')[2]}_{cls.__name__}")
    }


def _handlers(app: Litestar) -> list[HTTPRouteHandler]:
    return [handler for route in app.routes if isinstance(route, HTTPRoute) for handler in route.route_handlers]


def _tidied(node: Any) -> Any:
    """Without defaults that say nothing; whole numbers whole; pages named after what they hold."""
    if isinstance(node, dict):
        return {
            PAGE_NAME.sub(r"\1Page", key): _tidied(value) for key, value in node.items() if NOISE.get(key, ...) != value
        }
    if isinstance(node, list):
        return [_tidied(one) for one in node]
    if isinstance(node, float) and node.is_integer():
        return int(node)
    return PAGE_NAME.sub(r"\1Page", node) if isinstance(node, str) else node
