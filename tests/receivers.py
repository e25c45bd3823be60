"""A receiver of webhooks on loopback that checks every signature with the specification's own library, and a shop with one."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from standardwebhooks import Webhook

from laotie import webhooks
from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.ids import AccountId, OrderId, ShopId, new_id
from laotie.base.outbox import Relay
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.events.orders import OrderRefunded
from laotie.identity import Actor, seat_owner
from laotie.webhooks.reactions import REACTIONS
from stage import join


@dataclass
class Heard:
    """One request, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def said(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass
class Receiver:
    """Takes messages on any path; answers by path as the test says: a status line with headers, and when."""

    answers: dict[str, bytes] = field(default_factory=dict)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)
    url: str = ""
    at_once: Counter[str] = field(default_factory=Counter)
    at_once_max: Counter[str] = field(default_factory=Counter)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def open(self, host: str = "127.0.0.1") -> None:
        self._open: set[asyncio.StreamWriter] = set()
        self._server = await asyncio.start_server(self._serve, host, 0)
        self.url = f"http://{host}:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        self._server.close()
        for writer in self._open:
            writer.close()
        await self._server.wait_closed()

    def on(self, path: str) -> list[Heard]:
        return [one for one in self.heard if one.path == path]

    async def until(self, count: int, path: str) -> None:
        """Wait until so many requests have come in there."""
        while len(self.on(path)) < count:
            self.changed.clear()
            await self.changed.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().strip().split("\r\n")
                path = first.split(" ")[1]
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                body = await reader.readexactly(int(headers["content-length"]))
                self.heard.append(Heard(path, headers, body))
                self.at_once[path] += 1
                self.at_once_max[path] = max(self.at_once_max[path], self.at_once[path])
                self.changed.set()
                if path in self.gates:
                    await self.gates[path].wait()
                self.at_once[path] -= 1
                answer = self.answers.get(path, b"200 OK\r\ncontent-length: 2\r\n\r\nok")
                if b"\r\n\r\n" not in answer:
                    answer += b"\r\ncontent-length: 0\r\n\r\n"
                writer.write(b"HTTP/1.1 " + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()


def is_signed(heard: Heard, secret: str) -> bool:
    """Whether this secret signed it: asked of the library, at the time that the message says (tests move the clock)."""
    at = datetime.fromtimestamp(int(heard.headers["webhook-timestamp"]), UTC)
    expected = Webhook(secret).sign(heard.id, at, heard.body.decode())
    return expected in heard.headers["webhook-signature"].split(" ")


@dataclass
class HookedShop:
    """A shop with its owner, and what its endpoints need."""

    db: Database
    signer: Signer
    receiver: Receiver
    owner: Actor
    shop_id: ShopId
    settings: Settings = field(default_factory=lambda: Settings(webhook_private=True))

    def __post_init__(self) -> None:
        self.relay = Relay(self.db, LocalBus(), REACTIONS)
        self.sender = self.new_sender()

    def new_sender(self) -> webhooks.Sender:
        return webhooks.Sender(self.db, self.settings, self.signer)

    async def endpoint(self, path: str = "/hook", *types: str) -> tuple[webhooks.EndpointId, str]:
        """An endpoint of the receiver and its secret."""
        draft = webhooks.Draft(url=f"{self.receiver.url}{path}", types=list(types) or ["order.refunded"])
        async with self.db.tx() as tx:
            made = await webhooks.create_endpoint(
                tx, self.owner, self.shop_id, webhooks.EndpointId(new_id()), draft, signer=self.signer, private=True
            )
        assert made.secret is not None
        return made.endpoint.id, made.secret

    async def tell(self, count: int = 1) -> list[UUID]:
        """Money of orders went back; the ids of the orders."""
        order_ids = [new_id() for _ in range(count)]
        async with self.db.tx() as tx:
            for order_id in order_ids:
                tx.tell(refunded(order_id, self.shop_id, tx.now))
        await self.relay.drain()
        return order_ids

    async def send(self) -> None:
        """Send all that is due now."""
        await self.sender.drain()

    async def deliveries(self, **options: Any) -> list[webhooks.Delivery]:
        async with self.db.read() as tx:
            return await webhooks.list_deliveries(tx, self.owner, self.shop_id, limit=100, **options)

    async def find(self, endpoint_id: webhooks.EndpointId) -> webhooks.Endpoint:
        async with self.db.read() as tx:
            return await webhooks.get_endpoint(tx, self.owner, endpoint_id)

    async def tally(self) -> webhooks.Tally:
        async with self.db.read() as tx:
            return await webhooks.tally(tx)


def refunded(order_id: UUID, shop_id: ShopId, at: datetime) -> OrderRefunded:
    """The fact that the tests tell: one to which no other room reacts, so that its order need not exist."""
    return OrderRefunded(
        order_id=OrderId(order_id),
        buyer_id=AccountId(new_id()),
        shop_id=shop_id,
        show_id=None,
        currency="CNY",
        amount=9900,
        reason="quality",
        refunded_at=at,
    )


async def hook_up(db: Database, signer: Signer, receiver: Receiver) -> HookedShop:
    """A shop with an owner."""
    actor, shop_id = await join(db, f"o{new_id().hex[-12:]}"), ShopId(new_id())
    assert actor.account_id is not None
    async with db.tx() as tx:
        await seat_owner(tx, shop_id, actor.account_id)
    return HookedShop(db, signer, receiver, actor, shop_id)
