"""What Litestar's description of the API lacks: problems, ways to sign in, one stable order."""

from typing import Any

import msgspec
from litestar import Litestar

from laotie.web.authentication import GUEST_COOKIE, SESSION_COOKIE
from laotie.web.problems import MEDIA_TYPE, Problem

METHODS = ("get", "put", "post", "delete", "patch")


def complete(app: Litestar) -> dict[str, Any]:
    """The document, with every operation's refusals and rights described, paths sorted."""
    document: dict[str, Any] = app.openapi_schema.to_schema()
    components = document.setdefault("components", {})
    (_, made), named = msgspec.json.schema_components([Problem, Problem], ref_template="#/components/schemas/{name}")
    schemas = components.setdefault("schemas", {})
    schemas.update(named)
    schemas["Problem"]["additionalProperties"] = True
    components["securitySchemes"] = {
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
    assert made
    problem = {
        "description": "Refused: see `type` for the reason.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    document["paths"] = {path: document["paths"][path] for path in sorted(document["paths"])}
    for operations in document["paths"].values():
        for method in METHODS:
            operation = operations.get(method)
            if operation is None:
                continue
            operation["responses"].pop("400", None)
            operation["responses"]["default"] = problem
            operation["security"] = (
                [{"session": []}, {"bearer": []}, {"guest": []}, {}] if "/api/" in str(operations) else [{}]
            )
    components["schemas"] = {name: schemas[name] for name in sorted(schemas)}
    return document
