"""The web door: every room's endpoints on one Litestar application, behind one `Door`."""

import importlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import msgspec
from litestar import Litestar, Response, Router, get
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.routes import HTTPRoute
from litestar.types import Method, Scope

from laotie import __version__
from laotie.base.bus import Bus
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.identity import Actor, Attempts
from laotie.web import health, problems, static
from laotie.web.authentication import Authenticator
from laotie.web.house import House
from laotie.web.middleware import Door
from laotie.web.openapi import complete
from laotie.web.reading import Asked

PROVIDED = frozenset(
    "actor attempts authenticator bus clock db house media settings signer till".split()  # noqa: SIM905
)
"""What handlers may ask for by name, as `Given[…]`."""

ROOMS = ("identity", "catalog", "live", "fans", "traffic", "orders", "payments", "media", "audit")


def build_app(house: House) -> Door:
    """The ASGI application of one process."""
    authenticator = Authenticator(house)
    return Door(_build_litestar(_provided(house, authenticator)), house.settings, authenticator)


@cache
def openapi_document() -> dict[str, Any]:
    """The API's description (OpenAPI 3.1), as committed in `openapi.json`. Needs nothing running."""
    described = OpenAPIConfig(
        title="Laotie", version=__version__, use_handler_docstrings=True, operation_id_creator=_operation_id
    )
    nothing = {name: Provide(_stand_in(), sync_to_thread=False) for name in PROVIDED}
    return complete(_build_litestar(nothing, described))


def openapi_json() -> bytes:
    """The same as the committed file's text."""
    return msgspec.json.format(msgspec.json.encode(openapi_document()), indent=2) + b"\n"


@get("/openapi.json", sync_to_thread=False, include_in_schema=False)
def show_openapi() -> Response[dict[str, Any]]:
    """The API's description."""
    return Response(openapi_document())


def _build_litestar(provided: dict[str, Provide], described: OpenAPIConfig | None = None) -> Litestar:
    """`described`: Litestar adds pages of its own for a described application, so the one that serves is not."""
    app = Litestar(
        [
            *(Router("/", route_handlers=_routes(room), tags=[room]) for room in ROOMS),
            Router(
                "/", route_handlers=[*health.ROUTES, *problems.ROUTES, *static.ROUTES, show_openapi], tags=["service"]
            ),
        ],
        dependencies=provided,
        exception_handlers=problems.EXCEPTION_HANDLERS,
        openapi_config=described,
        request_class=Asked,
        request_max_body_size=None,
        logging_config=None,
        debug=False,
    )
    _resolve_in_line(app)
    return app


def _resolve_in_line(app: Litestar) -> None:
    """Give handlers their dependencies one after the other.

    Litestar resolves several at once in a task group. Ours are attribute look-ups, and the group was a quarter of a
    request's time.
    """
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for _, model in route.route_handler_map.values():
                model.dependency_batches = [{one} for batch in model.dependency_batches for one in batch]


def _routes(room: str) -> Sequence[Any]:
    module = f"laotie.web.{room}"
    try:
        return list(importlib.import_module(module).ROUTES)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        return []


def _stand_in() -> Callable[[], None]:
    """For what is provided where nothing runs; Litestar wants one function a name."""
    return lambda: None


def _provided(house: House, authenticator: Authenticator) -> dict[str, Provide]:
    def actor(scope: Scope) -> Actor:
        return scope["actor"]  # type: ignore[typeddict-item, no-any-return]

    def db() -> Database:
        return house.db

    def settings() -> Settings:
        return house.settings

    def signer() -> Signer:
        return house.signer

    def bus() -> Bus:
        return house.bus

    def clock() -> Clock:
        return house.clock

    def till() -> Any:
        return house.till

    def media() -> Any:
        return house.media

    def the_house() -> House:
        return house

    def the_authenticator() -> Authenticator:
        return authenticator

    attempts = Attempts(registrations_per_hour=house.settings.registrations_per_hour)

    def the_attempts() -> Attempts:
        return attempts

    named: dict[str, Callable[..., Any]] = {
        "actor": actor,
        "db": db,
        "settings": settings,
        "signer": signer,
        "bus": bus,
        "clock": clock,
        "till": till,
        "media": media,
        "house": the_house,
        "authenticator": the_authenticator,
        "attempts": the_attempts,
    }
    assert set(named) == PROVIDED
    return {name: Provide(give, sync_to_thread=False) for name, give in named.items()}


def _operation_id(handler: Any, _method: Method, _path: Any) -> str:
    return str(handler.fn.__name__)
