"""A buyer over HTTP/1.1 keep-alive who costs the machine little, so that the server is what is measured."""

import asyncio
import time
from typing import TYPE_CHECKING

import httptools
import msgspec

from laotie.base.ids import new_id
from laotie.bench.market import HotSale

if TYPE_CHECKING:
    from laotie.bench.sale import Results


class _Body(msgspec.Struct):
    id: str | None = None
    type: str | None = None


_decode = msgspec.json.Decoder(_Body).decode


class HttpBuyer(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, sale: HotSale, token: str, results: "Results") -> None:
        self._sale = sale
        self._head = (
            "POST /api/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: "
        ).encode()
        self._results = results
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._asked = ""
        self._sent_at = 0.0
        self.buying = False
        self.idle = asyncio.Event()
        self.idle.set()

    async def connect(self, host: str, port: int) -> None:
        """Open the connection."""
        self.transport, _ = await asyncio.get_running_loop().create_connection(lambda: self, host, port)

    def buy(self) -> None:
        """Send the next order."""
        self.idle.clear()
        self._asked = str(new_id())
        body = self._sale.order_body(self._asked)
        self._sent_at = time.perf_counter()
        self.transport.write(b"%s%d\r\n\r\n%s" % (self._head, len(body), body))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        body, self._body = self._body, b""
        self._parser = httptools.HttpResponseParser(self)
        latency = time.perf_counter() - self._sent_at
        if status in (200, 201):
            order_id = _decode(body).id
            assert order_id is not None
            self._results.accept(self._asked, order_id, latency)
        elif status == 409:
            self._results.refused += 1
        else:
            raise RuntimeError(f"HTTP {status}: {body[:300]!r}")
        self._asked = ""
        if self.buying:
            self.buy()
        else:
            self.idle.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._asked:
            self._results.unanswered += 1
        self.idle.set()

    def close(self) -> None:
        """Hang up."""
        self.transport.close()
