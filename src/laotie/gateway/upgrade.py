"""How a connection becomes a room socket: on uvicorn's port through its upgrade hook, or on a port of its own.

Both hand the TCP connection to picows for good; uvicorn only ever sees the first request. Only `/ws` and `/ingest` are
upgraded. A browser's page must be of this service (`Origin` names the same host, or `public_url`); programs send none.
"""

import asyncio
import ipaddress
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from picows import (
    WSAutoPingStrategy,
    WSListener,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from laotie.base.logs import log
from laotie.gateway import ingest

if TYPE_CHECKING:
    from laotie.gateway.door import Gateway

PATH = b"/ws"
PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class _Quiet:
    """In place of a logger for each connection (which costs 15 kB): bugs are heard, chatter is not."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 (logging's name)
        return level >= logging.CRITICAL

    def debug(self, *_: Any, **__: Any) -> None: ...

    info = warning = error = log = debug

    def exception(self, message: str, *_: Any, **__: Any) -> None:
        log.exception("picows", what=message)


QUIET = _Quiet()


class Doorstep:
    """Newcomers wait here for a turn of the loop of their own, so that a crowd at the door never holds up the room.

    A handshake costs about a third of a millisecond; two hundred that arrive together would stop every purchase for
    as long as all of them take.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()

    def wait(self, come_in: Callable[[], None]) -> None:
        """Come in when it is one's turn."""
        self._waiting.append(come_in)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        come_in = self._waiting[0]
        try:
            come_in()
        finally:
            self._waiting.popleft()
            if self._waiting:
                asyncio.get_running_loop().call_soon(self._turn)


class Upgrade(WSProtocol):  # type: ignore[misc]
    """The server side of one WebSocket connection, whoever accepted it."""

    __slots__ = ("_connections", "_gateway")

    def __init__(self, gateway: "Gateway", *, connections: set[Any] | None = None) -> None:
        self._gateway = gateway
        self._connections = connections
        super().__init__(
            None,
            None,
            False,
            self._listen,
            QUIET,
            True,
            gateway.limits.hello_s,
            False,
            10,
            10,
            WSAutoPingStrategy.PING_WHEN_IDLE,
            False,
            gateway.limits.frame_bytes_hard_max,
            None,
            gateway.limits.read_buffer_bytes,
        )

    def connection_made(self, transport: asyncio.Transport) -> None:
        if self._connections is not None:
            self._connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._connections is not None:
            self._connections.discard(self)
        super().connection_lost(error)

    def data_received(self, request: bytes) -> None:
        """Take the request that uvicorn has read; it calls this once, and `set_protocol` right after."""
        self.transport.underlying_transport.pause_reading()
        self._gateway.doorstep.wait(partial(self._answer, request))

    def _answer(self, request: bytes) -> None:
        underlying = self.transport.underlying_transport
        if underlying.is_closing():
            return
        while request:
            room = self.get_buffer(-1)
            taken = min(len(room), len(request))
            room[:taken] = request[:taken]
            request = request[taken:]
            self.buffer_updated(taken)
        # The transport reads by the old protocol's kind until reading starts anew: into bytes, not our buffer.
        if not underlying.is_closing():
            underlying.resume_reading()

    def shutdown(self) -> None:
        """uvicorn is stopping."""
        if self.listener is not None:
            self.listener.bye("restarting", "the service restarts; come back in a moment")
        else:
            self.transport.disconnect()

    def _listen(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener:
        gateway = self._gateway
        headers = request.headers
        if request.path != PATH and (request.path != ingest.PATH or gateway.ingest is None):
            return _no(404, "There is no socket here.")
        if not gateway.open:
            return _no(503, "Starting or stopping; try again shortly.", {"Retry-After": "1"})
        if not self._origin_fits(headers.get("origin"), headers.get("host", "")):
            return _no(403, "This page may not open a socket here.")
        address = address_of(
            self.transport.underlying_transport.get_extra_info("peername"),
            headers.getall("x-forwarded-for", []),
            gateway.trusted,
        )
        door = gateway if request.path == PATH else gateway.ingest
        if door is None or not door.admit(address):
            return _no(429, "Too many connections are open.", {"Retry-After": "10"})
        # Firefox sends `keep-alive, Upgrade`, which picows would refuse.
        if any(word.strip().lower() == "upgrade" for word in headers.get("connection", "").split(",")):
            headers["connection"] = "upgrade"
        return door.listener(address)

    def _origin_fits(self, origin: str | None, host: str) -> bool:
        if origin is None:
            return True
        settings = self._gateway.settings
        given = _place(origin)
        if given is None:
            return False
        allowed = {_place(settings.base_url)}
        asked = _place(f"{urlsplit(origin).scheme}://{host}")
        if asked is None:
            return False
        if settings.gateway_port is not None:
            # The page comes from another port of the same host.
            return given[0] == asked[0] or given in allowed
        return given == asked or given in allowed


def _place(url: str) -> tuple[str, int] | None:
    """Host and port of an origin."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            return None
        return parts.hostname.lower(), parts.port or PORTS[parts.scheme]
    except ValueError:
        return None


def address_of(peer: Any, forwarded: list[str], trusted: list[Any]) -> str:
    """Where a connection comes from: the peer, or, behind trusted proxies, the nearest hop that is not one of them."""
    address = str(peer[0]) if isinstance(peer, tuple) and peer else "local"
    hops = [hop.strip() for line in forwarded for hop in line.split(",")]
    while hops and _within(address, trusted):
        address = hops.pop()
    return address


def _within(address: str, networks: list[Any]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed.version == network.version and parsed in network for network in networks)


def _no(status: int, text: str, headers: dict[str, str] | None = None) -> WSUpgradeResponseWithListener:
    body = text.encode()
    response = WSUpgradeResponse.create_error_response(
        status,
        body,
        {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body)), **(headers or {})},
    )
    return WSUpgradeResponseWithListener(response, None)
