"""The API's description: committed, complete, and true of the application that serves it."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings, strategies
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import examples
from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.identity import TokenScope
from laotie.orders import Till
from laotie.orders.model import SoldOut
from laotie.web.app import build_app, openapi_json
from laotie.web.house import House
from laotie.web.openapi import PACE
from people import People
from world import World, make_world

ROOT = Path(__file__).parents[2]
METHODS = ("get", "put", "post", "delete", "patch")
EXAMPLES = 60 if os.environ.get("TEST_PROVE") else 8
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


COMMITTED = msgspec.json.decode((ROOT / "openapi.json").read_bytes())
"""Is the served one, says the first test; to make that one takes seconds, which no other test run should pay."""


def operations() -> dict[str, dict[str, Any]]:
    """Every operation by `METHOD /path`."""
    return {
        f"{method.upper()} {path}": operation
        for path, found in COMMITTED["paths"].items()
        for method, operation in found.items()
        if method in METHODS
    }


def test_the_committed_document_is_the_one_that_is_served() -> None:
    committed = (ROOT / "openapi.json").read_bytes()
    assert committed == openapi_json(), "run `laotie openapi` and commit openapi.json"


WHOLE = """
import importlib, pkgutil, sys
import laotie

for found in pkgutil.walk_packages(laotie.__path__, "laotie."):
    if ".migrations." not in found.name and not found.name.endswith("__main__"):
        importlib.import_module(found.name)
from laotie.web.app import openapi_json

sys.stdout.buffer.write(openapi_json())
"""


def test_the_document_is_the_same_whatever_else_was_imported() -> None:
    told = subprocess.run([sys.executable, "-c", WHOLE], capture_output=True, check=True).stdout
    assert told == (ROOT / "openapi.json").read_bytes()


def test_every_operation_has_a_name_a_room_a_sentence_and_its_refusals() -> None:
    found = operations()
    assert COMMITTED["openapi"].startswith("3.1")
    assert len({operation["operationId"] for operation in found.values()}) == len(found)
    for name, operation in found.items():
        assert len(operation["tags"]) == 1, name
        assert operation["summary"], name
        assert operation["responses"]["default"]["content"] == {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        }, name


def test_request_bodies_refuse_unknown_fields() -> None:
    schemas = COMMITTED["components"]["schemas"]
    for name, operation in operations().items():
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body is None:
            continue
        parts = body["schema"].get("oneOf", [body["schema"]])
        for part in parts:
            if "$ref" in part:
                assert schemas[part["$ref"].rsplit("/", 1)[1]].get("additionalProperties") is False, name


def test_examples_fit_their_schemas() -> None:
    """They are real requests and answers (`tests/examples.py`); one that fits no more is recorded anew."""
    wrong = {name: faults for name, one in examples.read().items() if (faults := examples.faults(one, name))}
    assert wrong == {}


WITHOUT_EXAMPLE = {"GET /api/webhook-types": "each of two types would come with its whole schema; docs/webhooks.md shows them"}
"""Operations whose example nobody could read, each with the reason."""


def test_every_operation_that_speaks_json_shows_what_it_takes_and_answers() -> None:
    kept = examples.read()
    missing = {
        name: parts
        for name in operations()
        if (parts := examples.lacking(kept.get(name, {}), name)) and name not in WITHOUT_EXAMPLE
    }
    assert missing == {}, "write a test that calls it, then LAOTIE_EXAMPLES=record pytest tests/web"
    assert not [name for name in WITHOUT_EXAMPLE if not examples.lacking(kept.get(name, {}), name)]


def test_refusals_pace_and_tags_are_described() -> None:
    document = COMMITTED
    assert document["x-problem-types"]["sold-out"] == {"status": 409, "title": SoldOut.title}
    used = {operation["tags"][0] for operation in operations().values()}
    assert {tag["name"] for tag in document["tags"] if tag["description"]} == used
    for name, operation in operations().items():
        if operation["security"]:
            assert operation["responses"]["429"] == {"$ref": "#/components/responses/TooFast"}, name
    assert set(document["components"]["responses"]["TooFast"]["headers"]) == {*PACE, "Retry-After"}


class Server:
    """The application on a real port, in a thread with a loop of its own."""

    url: str
    token: str
    world: World

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def known(self) -> dict[str, str]:
        """Path parameters that name something."""
        world = self.world
        return {
            "shop_id": world.shop,
            "room_id": world.room,
            "show_id": world.show,
            "product_id": world.product,
            "sku_id": world.sku,
            "item_id": world.item,
            "streamer_id": str(world["owner"].account_id),
        }

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(60)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(30)

    async def _run(self) -> None:
        db = await Database.open(self._database_url, pool_max=8)
        signer = Signer(["a key for tests only, 32 characters or more"], db.clock)
        till = Till(db, payment_timeout_s=900, batch_max=64, waiting_max=1_000)
        settings = Settings(registrations_per_hour=100_000, api_requests_per_minute=0)
        house = House(db=db, settings=settings, signer=signer, bus=LocalBus(), till=till)
        app = build_app(house)
        people = People(app, db)
        self.world = await make_world(people)
        await people.give_every_right(self.world["owner"], UUID(self.world.shop))
        program = await people.api_client(self.world["owner"], *TokenScope)
        self.token = program.headers["Authorization"]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._server = uvicorn.Server(
            uvicorn.Config(app, port=port, log_config=None, proxy_headers=False, lifespan="off")
        )
        serving = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.02)
        self._ready.set()
        await serving
        await people.leave()
        await till.close()
        await db.close()


@pytest.fixture(scope="module")
def server(postgres_url: str, admin: psycopg.Connection) -> Iterator[Server]:
    """One server for all operations, with a database of its own."""
    admin.execute("CREATE DATABASE described TEMPLATE laotie STRATEGY file_copy")
    server = Server(postgres_url.replace("/laotie?", "/described?"))
    server.start()
    yield server
    server.stop()
    admin.execute("DROP DATABASE described WITH (FORCE)")


@pytest.fixture(scope="module")
def api() -> Any:
    """The description, ready to make requests from."""
    return schemathesis.openapi.from_dict(COMMITTED)


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """One connection for all of them."""
    with requests.Session() as session:
        yield session


@pytest.mark.parametrize("name", sorted(operations()))
def test_the_application_keeps_to_its_description(
    name: str, api: Any, server: Server, session: requests.Session
) -> None:
    """Whatever is sent, fitting or not, to things that exist or not: no 5xx, and answers only of a described form."""
    method, _, path = name.partition(" ")
    operation = api[path][method]
    known = server.known()

    @given(
        case=strategies.one_of([operation.as_strategy(generation_mode=mode) for mode in GenerationMode]),
        exists=strategies.booleans(),
    )
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def keeps(case: Any, exists: bool) -> None:
        if exists:
            case.path_parameters |= {key: value for key, value in known.items() if key in case.path_parameters}
        session.cookies.clear()
        case.call_and_validate(
            base_url=server.url, session=session, headers={"Authorization": server.token}, checks=CHECKS
        )

    keeps()
