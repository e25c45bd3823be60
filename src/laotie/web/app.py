"""The web door: every room's endpoints on one Litestar application, behind one `Door`."""

from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from litestar import Litestar, Response, Router, get
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.routes import HTTPRoute
from litestar.types import Method, Scope

from laotie import __version__
from laotie.fun import Desk
from laotie.identity import Actor, Attempts
from laotie.web import (
    aftersales,
    audit,
    baskets,
    board,
    brands,
    catalog,
    clips,
    corrections,
    exports,
    fans,
    fun,
    goals,
    groups,
    health,
    hooks,
    identity,
    insight,
    insight_growth,
    insight_overview,
    insight_repurchase,
    insight_spend,
    insight_why,
    invoices,
    keys,
    live,
    media,
    messages,
    moderation,
    offers,
    orders,
    parcels,
    payments,
    payout_desk,
    payouts,
    plays,
    problems,
    provenance,
    quotes,
    rates,
    reconciliation,
    replay,
    reviews,
    sandbox,
    search,
    sellers,
    settlement,
    shipping,
    static,
    traffic,
    trust,
    uploads,
    videos,
    webhooks,
)
from laotie.web.authentication import Authenticator
from laotie.web.house import House
from laotie.web.middleware import Door
from laotie.web.openapi import complete
from laotie.web.reading import Asked

PROVIDED = frozenset(
    "actor archive attempts authenticator bus clock db desk house media settings shelf signer till".split()  # noqa: SIM905
)
"""What handlers may ask for by name, as `Given[…]`."""

ROOMS = {
    "identity": [*identity.ROUTES, *keys.ROUTES],
    "catalog": [*catalog.ROUTES, *shipping.ROUTES, *brands.ROUTES, *provenance.ROUTES],
    "live": [*live.ROUTES, *moderation.ROUTES],
    "fans": fans.ROUTES,
    "messages": messages.ROUTES,
    "traffic": [*traffic.ROUTES, *plays.ROUTES],
    "search": search.ROUTES,
    "orders": [*orders.ROUTES, *baskets.ROUTES, *invoices.ROUTES, *groups.ROUTES, *board.ROUTES, *parcels.ROUTES],
    "offers": [*offers.ROUTES, *quotes.ROUTES],
    "aftersales": aftersales.ROUTES,
    "fun": fun.ROUTES,
    "trust": trust.ROUTES,
    "reviews": reviews.ROUTES,
    "payments": [*payments.ROUTES, *sellers.ROUTES],
    "media": [*media.ROUTES, *hooks.ROUTES],
    "replay": [*replay.ROUTES, *clips.ROUTES],
    "webhooks": webhooks.ROUTES,
    "videos": [*uploads.ROUTES, *videos.ROUTES],
    "audit": [*audit.ROUTES, *reconciliation.ROUTES],
    "settlement": [*settlement.ROUTES, *rates.ROUTES, *payouts.ROUTES, *payout_desk.ROUTES, *corrections.ROUTES],
    "insight": [
        *insight.ROUTES,
        *insight_overview.ROUTES,
        *insight_why.ROUTES,
        *insight_growth.ROUTES,
        *insight_repurchase.ROUTES,
        *insight_spend.ROUTES,
        *goals.ROUTES,
    ],
    "exports": exports.ROUTES,
    "sandbox": sandbox.ROUTES,
    "service": [*health.ROUTES, *problems.ROUTES, *static.ROUTES],
}


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
    nothing = {name: Provide(_giving(None), sync_to_thread=False) for name in PROVIDED}
    return complete(_build_litestar(nothing, described))


def openapi_json() -> bytes:
    """The same as the committed file's text."""
    return msgspec.json.format(msgspec.json.encode(openapi_document()), indent=2) + b"\n"


@get("/openapi.json", sync_to_thread=True, include_in_schema=False)
def show_openapi() -> Response[bytes]:
    """The API's description. To make it takes seconds, the first time: not on the loop."""
    return Response(_openapi_bytes(), media_type="application/json")


@cache
def _openapi_bytes() -> bytes:
    return msgspec.json.encode(openapi_document())


def _build_litestar(provided: dict[str, Provide], described: OpenAPIConfig | None = None) -> Litestar:
    """`described`: Litestar adds pages of its own for a described application, so the one that serves is not."""
    app = Litestar(
        [*(Router("/", route_handlers=routes, tags=[room]) for room, routes in ROOMS.items()), show_openapi],
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


def _provided(house: House, authenticator: Authenticator) -> dict[str, Provide]:
    given = {
        "archive": house.archive,
        "attempts": Attempts(registrations_per_hour=house.settings.registrations_per_hour),
        "authenticator": authenticator,
        "bus": house.bus,
        "clock": house.clock,
        "db": house.db,
        "desk": house.desk or Desk(house.db),
        "house": house,
        "media": house.media,
        "settings": house.settings,
        "shelf": house.shelf,
        "signer": house.signer,
        "till": house.till,
    }
    assert {"actor", *given} == PROVIDED
    return {
        "actor": Provide(_actor, sync_to_thread=False),
        **{name: Provide(_giving(thing), sync_to_thread=False) for name, thing in given.items()},
    }


def _actor(scope: Scope) -> Actor:
    """Whom the `Door` recognised."""
    return scope["actor"]  # type: ignore[typeddict-item, no-any-return]


def _giving(thing: object) -> Callable[[], object]:
    """A provider; Litestar wants a function of its own for every name."""
    return lambda: thing


def _operation_id(handler: Any, _method: Method, _path: Any) -> str:
    return str(handler.fn.__name__)
