"""A storm of purchases over sockets, and what must hold after any fault."""

import asyncio
import contextlib
import os
import signal
import time
from uuid import UUID

import msgspec
import psutil
import psycopg
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from deeds import read
from laotie import audit
from laotie.base.db import Database
from laotie.base.ids import AccountId, new_id
from laotie.base.postgres import EmbeddedPostgres
from laotie.bench.market import HotSale, ticket_for
from laotie.bench.server import ServerUnderTest
from laotie.lake import Lake


class Ask(msgspec.Struct):
    """One purchase that a buyer insists on, and what they were told."""

    buyer_id: AccountId
    client_id: str
    quantity: int = 1
    order_id: str | None = None
    refused: str | None = None
    claim_id: str | None = None


class Shopper(WSListener):
    """Sends all of one buyer's asks at once and notes the answers."""

    def __init__(self, sale: HotSale, ticket: str, asks: list[Ask]) -> None:
        self._sale, self._ticket = sale, ticket
        self._asks = {ask.client_id: ask for ask in asks}
        self._open = set(self._asks)
        self.contradictions: list[str] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.seated: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        transport.send(WSMsgType.TEXT, b'{"t":"hello","ticket":"%s"}' % self._ticket.encode())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is not WSMsgType.TEXT:
            return
        answer = msgspec.json.decode(frame.get_payload_as_bytes())
        if answer["t"] == "welcome" and not self.seated.done():
            self.seated.set_result(None)
        elif answer["t"] in ("order", "refused") and answer.get("re") in self._asks:
            self._hear(self._asks[answer["re"]], answer)

    def start(self) -> None:
        """Everyone is in: now all at once."""
        if self.transport is None or self.done.done():
            return
        for ask in self._asks.values():
            self.transport.send(WSMsgType.TEXT, self._sale.buy_frame(ask.client_id, quantity=ask.quantity, claim_id=ask.claim_id))

    def _hear(self, ask: Ask, answer: dict[str, object]) -> None:
        if answer["t"] == "order":
            order = answer["order"]
            assert isinstance(order, dict)
            if ask.order_id not in (None, order["id"]):
                self.contradictions.append(ask.client_id)
            ask.order_id = order["id"]
        elif answer["code"] not in ("unavailable", "too-busy"):
            ask.refused = str(answer["code"])
        self._open.discard(ask.client_id)
        if not self._open and not self.done.done():
            self.done.set_result(None)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        for waited in (self.seated, self.done):
            if not waited.done():
                waited.set_result(None)


def make_asks(*, buyers: int, each: int, quantity: int = 1) -> list[Ask]:
    """`each` purchases for each of `buyers` people."""
    people = [AccountId(new_id()) for _ in range(buyers)]
    return [Ask(person, str(new_id()), quantity) for person in people for _ in range(each)]


async def send_all(servers: list[ServerUnderTest], sale: HotSale, asks: list[Ask], *, wait_s: float) -> list[Shopper]:
    """Every buyer on a socket of their own, spread over the servers; returns when all are answered or cut off."""
    by_buyer: dict[UUID, list[Ask]] = {}
    for ask in asks:
        by_buyer.setdefault(ask.buyer_id, []).append(ask)
    shoppers = []
    for number, (buyer_id, own) in enumerate(by_buyer.items()):
        server = servers[number % len(servers)]
        ticket = ticket_for(server.signer, sale, account_id=AccountId(buyer_id))
        shopper = Shopper(sale, ticket, own)
        await ws_connect(lambda one=shopper: one, f"ws://127.0.0.1:{server.port}/ws")
        shoppers.append(shopper)
    await asyncio.wait([shopper.seated for shopper in shoppers], timeout=wait_s)
    for shopper in shoppers:
        shopper.start()
    await asyncio.wait([shopper.done for shopper in shoppers], timeout=wait_s)
    for shopper in shoppers:
        if shopper.transport is not None:
            shopper.transport.disconnect(graceful=False)
    return shoppers


def kill_postgres(server: ServerUnderTest) -> None:
    """SIGKILL to the server's PostgreSQL and all its processes."""
    end_postgres(server.postgres)


def end_postgres(postgres: EmbeddedPostgres) -> None:
    """The same of any that we started."""
    postmaster = psutil.Process(postgres.pid)
    for process in [postmaster, *postmaster.children(recursive=True)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    psutil.wait_procs([postmaster], timeout=10)


def check_books(url: str, sale: HotSale, asks: list[Ask], *, received: int) -> dict[str, int]:
    """Each acknowledged order exists once and nothing else does; stock adds up. Returns the figures."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            'SELECT o.client_id::text, o.id::text, l.quantity FROM orders."order" AS o'
            " JOIN orders.line AS l ON l.order_id = o.id WHERE l.sku_id = %s",
            (sale.sku_id,),
        ).fetchall()
        stock = connection.execute(
            "SELECT available, reserved, sold, received FROM catalog.sku WHERE id = %s", (sale.sku_id,)
        ).fetchone()
    assert stock is not None
    stored = {client_id: order_id for client_id, order_id, _ in rows}
    assert len(stored) == len(rows), "an ask became two orders"
    told = {ask.client_id: ask.order_id for ask in asks if ask.order_id is not None}
    lost = [client_id for client_id, order_id in told.items() if stored.get(client_id) != order_id]
    assert not lost, f"{len(lost)} acknowledged orders are not there"
    assert set(stored) <= {ask.client_id for ask in asks}
    taken = sum(quantity for _, _, quantity in rows)
    available, reserved, sold, kept = stock
    assert kept == received == available + taken
    assert reserved + sold == taken
    return {"orders": len(rows), "taken": taken, "available": available}


async def lake_knows(server: ServerUnderTest, *, orders: int, wait_s: float = 60) -> Lake:
    """The lake has the placing of so many orders, each once, as soon as it has caught up."""
    lake, until = Lake.of(server.settings), time.monotonic() + wait_s
    while True:
        placed = [row["order_id"] for row in read(lake, "money").to_pylist() if row["kind"] == "placed"]
        if len(placed) >= orders or time.monotonic() > until:
            assert len(placed) == orders == len(set(placed))
            return lake
        await asyncio.sleep(0.2)


async def audit_finds_nothing(url: str) -> None:
    """The house's own audit agrees: stock, orders, ledger and payments fit together."""
    db = await Database.open(url, pool_max=4)
    try:
        report = await audit.take_tallies(db)
    finally:
        await db.close()
    assert report.findings == [], report.findings
