"""The web door: every room's endpoints on one Litestar application, behind one `Door`."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from litestar import Litestar, Response, Router, get
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.routes import HTTPRoute
from litestar.types import Method, Scope

from laotie import __version__
from laotie.base.bus import Bus, LocalBus
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

ROOMS = ("identity", "catalog", "live", "fans", "traffic", "orders", "payments", "media", "audit")


def build_app(house: House) -> Door:
    """The ASGI application of one process."""
    authenticator = Authenticator(house)
    return Door(_build_litestar(house, authenticator), house.settings, authenticator)


def openapi_document() -> dict[str, Any]:
    """The API's description (OpenAPI 3.1), as committed in `openapi.json`. Needs nothing running."""
    clock = Clock()
    house = House(
        db=Database("postgresql:///nowhere", clock=clock, pool_max=4, wait_s=1),
        settings=Settings(),
        signer=Signer(["only to describe the application"], clock),
        bus=LocalBus(),
    )
    return complete(_build_litestar(house, Authenticator(house)))


def _build_litestar(house: House, authenticator: Authenticator) -> Litestar:
    described: list[bytes] = []

    @get("/openapi.json", sync_to_thread=False, include_in_schema=False)
    def show_openapi() -> Response[bytes]:
        if not described:
            described.append(msgspec.json.encode(complete(app)))
        return Response(described[0], media_type="application/json")

    app = Litestar(
        [
            *(
                Router("/", route_handlers=routes, tags=[room])
                for room, routes in ((room, _routes(room)) for room in ROOMS)
                if routes
            ),
            Router(
                "/", route_handlers=[*health.ROUTES, *problems.ROUTES, *static.ROUTES, show_openapi], tags=["service"]
            ),
        ],
        dependencies=_provided(house, authenticator),
        exception_handlers=problems.EXCEPTION_HANDLERS,
        openapi_config=OpenAPIConfig(
            title="Laotie", version=__version__, use_handler_docstrings=True, operation_id_creator=_operation_id
        ),
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
    return {name: Provide(give, sync_to_thread=False) for name, give in named.items()}


def _operation_id(handler: Any, _method: Method, _path: Any) -> str:
    return str(handler.fn.__name__)
