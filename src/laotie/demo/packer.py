"""The demonstration's packer: promises to ship within 48 hours, and sends what has waited a while with the sandbox carrier.

Every third order is left to be shipped by hand, so that the shipping page has something on it.
"""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx

from laotie.base.logs import log
from laotie.demo.client import Person, RequestRefused
from laotie.demo.complaints import answer
from laotie.demo.market import demo_id

STEP_S = 20
"""The sandbox carrier's pace in the demonstration."""
PACK_EVERY_S = 15
PACKED_AT_ONCE = 5
PROMISED_H = 48


async def pack(person: Person, handle: str) -> None:
    """Ship for the shop of a streamer who is signed in, until cancelled."""
    shop = f"/api/shops/{demo_id('shop', handle)}"
    try:
        await person.call("PUT", f"{shop}/dispatch", {"ship_within_h": PROMISED_H, "confirm_days": None})
    except RequestRefused as error:
        log.warning("no promise in the demonstration", error=str(error)[:160])
    while True:
        await asyncio.sleep(PACK_EVERY_S)
        try:
            waiting = await person.call("GET", f"{shop}/shipments?tab=waiting&limit=100")
            chosen = [one for one in waiting["items"] if UUID(one["order_id"]).int % 3]
            for shipment in chosen[:PACKED_AT_ONCE]:
                await _ship(person, shop, shipment)
            await answer(person, shop)
        except (RequestRefused, httpx.HTTPError) as error:
            log.warning("nothing was packed", error=str(error)[:160])


async def _ship(person: Person, shop: str, shipment: dict[str, Any]) -> None:
    order_id = shipment["order_id"]
    parcel: dict[str, Any] = {"id": str(uuid4()), "carrier": "sandbox", "number": f"SBX{UUID(order_id).int % 10**10:010d}"}
    if len(shipment["lines"]) > 1:
        parcel["lines"] = [{"no": line["no"], "quantity": line["left"]} for line in shipment["lines"][:1]]
    await person.call("POST", f"{shop}/orders/{order_id}/parcels", parcel)
