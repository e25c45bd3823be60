"""The demonstration's developer: a sandbox shop, keys, and a webhook endpoint that somebody answers.

The receiver listens on this machine alone, for as long as the demonstration runs, and refuses one call in ten, so that there
is something to see of repetition. The server may call it because the demonstration starts it with `LAOTIE_WEBHOOK_PRIVATE`.
One endpoint hears the sandbox shop, in which orders happen, and one hears the first persona's shop, with its real rush.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from laotie.base.clock import Clock
from laotie.demo.client import Person, RequestRefused
from laotie.demo.goods import PERSONAS
from laotie.demo.market import DEVELOPER, PASSWORD, demo_id

KEY_LASTS = timedelta(days=90)
REFUSES_EVERY = 10
BODY_BYTES_MAX = 1024 * 1024
HAPPENINGS = (("pay",), ("pay", "ship"), ("pay", "ship", "deliver", "confirm"), ("pay", "refund"), ("decline",), ())
"""What becomes of the sandbox's orders, one after the other."""
TYPES = ("order.placed", "order.paid", "order.shipped", "order.completed", "order.cancelled", "order.refunded")
EVERY_S = 40.0


@asynccontextmanager
async def receive_webhooks() -> AsyncIterator[str]:
    """A receiver on this machine; its address."""
    calls = count(1)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
                length = int(fields.get(b"content-length", b"0"))
                if not 0 <= length <= BODY_BYTES_MAX:
                    return
                await reader.readexactly(length)
                said = b"503 Service Unavailable" if next(calls) % REFUSES_EVERY == 0 else b"200 OK"
                writer.write(b"HTTP/1.1 %b\r\nContent-Length: 4\r\nContent-Type: text/plain\r\n\r\ndemo" % said)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, OSError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/laotie-demo"


async def develop(url: str) -> None:
    """Set everything up, then let something happen in the sandbox now and then, until cancelled."""
    sandbox, shop = str(demo_id("sandbox")), str(demo_id("shop", PERSONAS[0].handle))
    async with receive_webhooks() as receiver:
        async with Person(url) as seller:
            await seller.sign_in(PERSONAS[0].handle, PASSWORD)
            await _make_key(seller, "演示 ERP · demo ERP", ["orders:read", "catalog:read"], shop)
            await _listen(seller, shop, receiver)
        async with Person(url) as developer:
            await developer.sign_in(DEVELOPER, PASSWORD)
            await developer.call("POST", "/api/sandbox-shops", {"id": sandbox})
            await _make_key(developer, "演示脚本 · demo script", ["catalog", "orders", "show:read"], sandbox)
            endpoint = await _listen(developer, sandbox, receiver)
            await developer.call("POST", f"/api/webhooks/{endpoint}/pings", {"id": str(uuid4())})
            for number in count():
                await _simulate(developer, f"/api/shops/{sandbox}/sandbox/orders", HAPPENINGS[number % len(HAPPENINGS)])
                if number >= len(HAPPENINGS):
                    await asyncio.sleep(EVERY_S)


async def _simulate(developer: Person, orders: str, happenings: tuple[str, ...]) -> None:
    order = await developer.call("POST", orders, {"id": str(uuid4())})
    for happening in happenings:
        said: dict[str, Any] = {"id": str(uuid4()), "happening": happening}
        for _ in range(10):  # what a bank or a courier tells comes a moment later
            try:
                await developer.call("POST", f"{orders}/{order['id']}/happenings", said)
                break
            except RequestRefused:
                await asyncio.sleep(1)


async def _make_key(person: Person, name: str, scopes: list[str], shop: str) -> None:
    """Its secret is in nobody's hands; who wants to use a key makes one."""
    if any(one["name"] == name for one in (await person.call("GET", "/api/tokens"))["items"]):
        return
    expires_at = (Clock().now() + KEY_LASTS).isoformat()
    key = {"id": str(uuid4()), "name": name, "scopes": scopes, "expires_at": expires_at, "shop_ids": [shop]}
    await person.call("POST", "/api/tokens", key)


async def _listen(person: Person, shop: str, receiver: str) -> str:
    """The endpoint of the shop; the receiver's port is another one in every run."""
    endpoint = str(demo_id("webhook", shop))
    known = (await person.call("GET", f"/api/shops/{shop}/webhooks"))["items"]
    if any(one["id"] == endpoint for one in known):
        await person.call("PATCH", f"/api/webhooks/{endpoint}", {"url": receiver, "paused": False})
        return endpoint
    draft = {"id": endpoint, "url": receiver, "types": list(TYPES), "description": "演示接收端 · demo receiver"}
    await person.call("POST", f"/api/shops/{shop}/webhooks", draft)
    return endpoint
