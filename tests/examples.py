"""Real requests and answers as examples for the API's description, kept while the web tests run.

    LAOTIE_EXAMPLES=record pytest tests/web     # then `laotie openapi` and the client's generator

What was recorded before stays as long as it fits its schema, so that a new recording changes little. Ids, instants and
secrets are replaced by ones that say nothing; lists keep two entries.
"""

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from jsonschema_rs import Draft202012Validator, Registry

ROOT = Path(__file__).parents[1]
PATH = ROOT / "src" / "laotie" / "web" / "examples.json"
RECORDING = os.environ.get("LAOTIE_EXAMPLES") == "record"
HERE = "urn:laotie:api"
SIZE_MAX = 6_000
ENTRIES_MAX = 2
UUID_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
SECRET = re.compile(r"laotie_[0-9A-Za-z]{46}")
OPAQUE = re.compile(r"[A-Za-z0-9_.\-]{60,}")

_found: dict[str, dict[str, Any]] = {}
_routes: list[tuple[str, re.Pattern[str], str]] = []


def note(answer: httpx.Response, sent: Any) -> None:
    """Keep what was asked and answered, if it went well and shows more than what is there."""
    if not RECORDING or not 200 <= answer.status_code < 300:
        return
    name = _name(answer.request.method, urlsplit(str(answer.request.url)).path)
    if name is None:
        return
    example: dict[str, Any] = {}
    names: dict[str, str] = {}
    if sent is not None:
        example["request"] = plain(sent, names)
    if answer.headers.get("content-type", "").startswith("application/json") and answer.content:
        example["answer"] = plain(answer.json(), names)
    size, before = len(json.dumps(example)), len(json.dumps(_found.get(name, {})))
    if example and size <= SIZE_MAX and (name not in _found or before < size):
        _found[name] = example


def _name(method: str, path: str) -> str | None:
    if not _routes:
        for template, operations in _document()["paths"].items():
            pattern = re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)))
            _routes.extend((one.upper(), pattern, template) for one in operations)
        _routes.sort(key=lambda route: route[2].count("{"))
    for one, pattern, template in _routes:
        if one == method and pattern.fullmatch(path):
            return f"{method} {template}"
    return None


def plain(value: Any, names: dict[str, str]) -> Any:
    """The same in kind, with nothing in it that is of one run alone."""
    if isinstance(value, dict):
        return {plain(key, names): plain(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one, names) for one in value[:ENTRIES_MAX]]
    if not isinstance(value, str):
        return value
    if SECRET.fullmatch(value):
        return f"laotie_{'0' * 46}"
    value = UUID_TEXT.sub(
        lambda hit: names.setdefault(hit[0], f"01a20000-0000-7000-8000-{len(names) + 1:012d}"), value
    )
    value = INSTANT.sub("2026-11-22T08:00:00Z", value)
    return "…" if OPAQUE.fullmatch(value) else value


def faults(example: dict[str, Any], name: str) -> list[str]:
    """Where an example does not fit what the document says of its operation."""
    method, _, path = name.partition(" ")
    operation = _document()["paths"].get(path, {}).get(method.lower())
    if operation is None:
        return ["there is no such operation"]
    found = []
    if "request" in example:
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        found += _check(example["request"], body["schema"]) if body else ["it takes no JSON"]
    if "answer" in example:
        contents = [operation["responses"][code].get("content", {}) for code in ("200", "201", "202")
                    if code in operation["responses"]]
        schemas = [one["application/json"]["schema"] for one in contents if "application/json" in one]
        tried = [_check(example["answer"], schema) for schema in schemas]
        least: list[str] = min(tried, key=len) if tried else ["it answers no JSON"]
        found += least
    return found


def lacking(example: dict[str, Any], name: str) -> list[str]:
    """What an operation takes or answers and the example does not show; a body that may be left out need not be shown."""
    method, _, path = name.partition(" ")
    operation = _document()["paths"][path][method.lower()]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    takes = body is not None and {"type": "null"} not in body["schema"].get("oneOf", [])
    answers = [
        one["application/json"]["schema"]
        for code, answer in operation["responses"].items()
        if code[0] == "2" and "application/json" in (one := answer.get("content", {}))
    ]
    wanted = [("request", takes), ("answer", bool(answers))]
    return [part for part, is_wanted in wanted if is_wanted and part not in example]


@cache
def _document() -> dict[str, Any]:
    """The committed one; a test holds it against the one that is served."""
    found: dict[str, Any] = json.loads((ROOT / "openapi.json").read_text(encoding="utf-8"))
    return found


def _check(value: Any, schema: dict[str, Any]) -> list[str]:
    found = _validator(json.dumps(_placed(schema))).iter_errors(value)
    return [f"{error.instance_path}: {error.message[:200]}" for error in found]


@cache
def _validator(schema: str) -> Draft202012Validator:
    """Of what the schema refers to alone: to compile all of the document for each example took a minute."""
    return Draft202012Validator(json.loads(schema), registry=_registry())


@cache
def _registry() -> Registry:
    components = {"components": _placed(_document()["components"]), "$schema": "https://json-schema.org/draft/2020-12/schema"}
    return Registry([(HERE, components)])


def _placed(schema: Any) -> Any:
    """With references into the document. A union is met by whatever fits one of its kinds, also when it fits two."""
    if isinstance(schema, dict):
        return {
            "anyOf" if key == "oneOf" else key: f"{HERE}{one}" if key == "$ref" else _placed(one)
            for key, one in schema.items()
        }
    return [_placed(one) for one in schema] if isinstance(schema, list) else schema


def write() -> None:
    """Bring the committed file up to date: what no longer fits is replaced, what is gone goes."""
    kept = {name: one for name, one in read().items() if not faults(one, name) and not lacking(one, name)}
    fresh = {name: one for name, one in _found.items() if name not in kept and not faults(one, name)}
    merged = {name: (kept | fresh)[name] for name in sorted(kept | fresh)}
    lines = (f"{json.dumps(name)}: {json.dumps(one, ensure_ascii=False)}" for name, one in merged.items())
    PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read() -> dict[str, dict[str, Any]]:
    """The committed examples."""
    found: dict[str, dict[str, Any]] = json.loads(PATH.read_text(encoding="utf-8")) if PATH.exists() else {}
    return found
