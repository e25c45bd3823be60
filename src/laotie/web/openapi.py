"""What Litestar's description of the API lacks: problems, ways to sign in, short names, one stable order."""

import re
from typing import Any

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from laotie.web.authentication import GUEST_COOKIE, SESSION_COOKIE
from laotie.web.problems import MEDIA_TYPE, Problem

METHODS = ("get", "put", "post", "delete", "patch")
PAGE_NAME = re.compile(r"\bPage_(?:\w+\.)*(\w+)_(?!\w)")
SHEET = {"text/csv": {"schema": {"type": "string"}}}
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
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API token from `POST /api/tokens`."},
}
REFUSED = {
    "description": "Refused: `type` says why.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
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
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations:
                _complete(operations[method], method, path, asked=operations[method]["operationId"] in asked)
    document["components"] = {
        "schemas": {name: schemas[name] for name in sorted(schemas)},
        "securitySchemes": WAYS_IN,
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
    answers["default"] = REFUSED
    operation["summary"] = operation["description"].split(". ")[0].rstrip(".")
    operation["security"] = [*({way: []} for way in WAYS_IN), {}] if asked else []


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
