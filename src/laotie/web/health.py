"""For whoever runs this: is it ready, and how is it doing."""

import asyncio

import msgspec
from litestar import Response, get
from litestar.openapi import ResponseSpec

from laotie import lake
from laotie.base import metrics
from laotie.base.migrate import is_current
from laotie.base.refusals import Unavailable
from laotie.web.given import Given
from laotie.web.house import House

ANSWER_WITHIN_S = 5.0


class Health(msgspec.Struct, kw_only=True):
    """`ready`, or what is missing by part. `ailing`: parts that wait for something and without which everybody can go on buying."""

    status: str
    missing: dict[str, str]
    ailing: dict[str, str]


_current: set[str] = set()
"""Databases found to have this release's shape; shapes only move forward, so this is asked until it is true."""


@get("/healthz", responses={503: ResponseSpec(Health, description="Not ready.", generate_examples=False)})
async def show_health(house: Given[House]) -> Response[Health]:
    """200 when the database answers, is migrated, and every part of this process is ready; else 503 and what is not."""
    missing: dict[str, str] = {}
    database = await _ask_database(house)
    if database is not None:
        missing["database"] = database
    for name, check in house.parts.items():
        try:
            said = await asyncio.wait_for(check(), ANSWER_WITHIN_S)
        except (TimeoutError, Unavailable):
            said = "does not answer"
        if said is not None:
            missing[name] = said
    return Response(
        Health(status="not ready" if missing else "ready", missing=missing, ailing=lake.ailing()),
        status_code=503 if missing else 200,
        headers={"cache-control": "no-store", **({"retry-after": "1"} if missing else {})},
    )


async def _ask_database(house: House) -> str | None:
    try:
        async with house.db.read() as tx:
            await tx.one(int, "SELECT 1")
        if house.db.url not in _current:
            if not await asyncio.to_thread(is_current, house.db.url):
                return "is not migrated"
            _current.add(house.db.url)
    except Unavailable:
        return "does not answer"
    return None


@get("/metrics", sync_to_thread=False, include_in_schema=False)
def show_metrics() -> Response[bytes]:
    """Figures for Prometheus."""
    return Response(
        metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8", headers={"cache-control": "no-store"}
    )


ROUTES = [show_health, show_metrics]
