"""Calling an address that a stranger named, safely.

A name is looked up once, every address it has must be a public one, and the connection goes to the very address that
was judged (a second look-up could answer otherwise). TLS still checks the name. Redirects are not followed, answers
are not read beyond a few bytes, and every step has its time.
"""

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable
from functools import cache
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import httpcore

CONNECTIONS_MAX = 16
KEPT_S = 5.0
CALL_S = 15.0
STEP_S = 5.0
ANSWER_BYTES_MAX = 4_096
ADDRESSES_MAX = 3
URL_LENGTH_MAX = 1_000
HTTPS_PORT = 443
NAT64 = ipaddress.ip_network("64:ff9b::/96")
INNER = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "::/96", "64:ff9b:1::/48", "3fff::/20", "5f00::/16", "fec0::/10",
    )
)  # fmt: skip
"""Not of the open Internet although `ipaddress` (3.11) takes them for it: protocol assignments (a cloud's metadata live at
192.0.0.192), relays, Azure's host, IPv4 in old IPv6 dress, networks' own translators, documentation, routing, sites."""

Look = Callable[[str, int], Awaitable[list[str]]]


class AddressForbidden(Exception):
    """The name leads into a private network."""


class CallFailed(Exception):
    """Nobody answered, or nothing that could be read. `reason`: `timeout`, `name`, `tls`, `unreachable` or `unreadable`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Answer(NamedTuple):
    """What came back: status, headers in lower case, and the first bytes."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Line:
    """One pool of connections."""

    def __init__(self, pool: httpcore.AsyncConnectionPool) -> None:
        self.pool = pool
        self.calls = 0
        self.used_at = 0.0


class Post:
    """Connections to strangers, kept for a few seconds: `async with Post(...) as post`.

    A pool a line, which is a host's unless the caller names one: httpcore looks through all connections of a pool for every
    request, which at 20 busy endpoints took half of the time, and nobody shall wait for somebody else's connections.
    """

    def __init__(
        self,
        *,
        private: bool = False,
        connections_max: int = CONNECTIONS_MAX,
        look_up: Look | None = None,
        step_s: float = STEP_S,
        call_s: float = CALL_S,
    ) -> None:
        """`private` lets it call networks of one's own. `connections_max` of one line.

        `look_up` answers where a name leads; unset: as the system does.
        """
        self._step_s, self._call_s = step_s, call_s
        self._connections_max = connections_max
        self._guard = _Guarded(is_callable if private else is_public, look_up or _look_up)
        self._lines: dict[Hashable, _Line] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up."""
        lines, self._lines = self._lines, {}
        for line in lines.values():
            await line.pool.aclose()

    async def tidy(self) -> None:
        """Hang up where nobody was called for `KEPT_S`."""
        now = time.monotonic()
        for name, line in list(self._lines.items()):
            if not line.calls and now - line.used_at > KEPT_S:
                del self._lines[name]
                await line.pool.aclose()

    def _line(self, name: Hashable) -> _Line:
        line = self._lines.get(name)
        if line is None:
            pool = httpcore.AsyncConnectionPool(
                ssl_context=_trusting(),
                max_connections=self._connections_max,
                keepalive_expiry=KEPT_S,
                network_backend=self._guard,
            )
            line = self._lines[name] = _Line(pool)
        line.used_at = time.monotonic()
        return line

    async def send(self, url: str, headers: dict[str, str], body: bytes, *, line: Hashable = None) -> Answer:
        """POST, and give the answer. Raises `AddressForbidden` or `CallFailed`."""
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        address = httpcore.URL(
            scheme=parts.scheme.encode(),
            host=(parts.hostname or "").encode(),
            port=parts.port,
            target=target.encode(),
        )
        used = self._line((address.scheme, address.host, address.port) if line is None else line)
        used.calls += 1
        timeouts = {"connect": self._step_s, "read": self._call_s, "write": self._step_s, "pool": self._call_s}
        try:
            async with (
                asyncio.timeout(self._call_s),
                used.pool.stream(
                    "POST",
                    address,
                    headers=[
                        (b"host", parts.netloc.encode()),
                        *((name.encode(), value.encode()) for name, value in headers.items()),
                        (b"content-length", str(len(body)).encode()),
                    ],
                    content=body,
                    extensions={"timeout": timeouts},
                ) as answer,
            ):
                read = bytearray()
                async for part in answer.aiter_stream():
                    read += part
                    if len(read) > ANSWER_BYTES_MAX:
                        break
                told = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
                return Answer(int(answer.status), told, bytes(read[:ANSWER_BYTES_MAX]))
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.TimeoutException,
            OSError,
            TimeoutError,
            UnicodeError,
        ) as error:
            raise CallFailed(_reason_of(error)) from error
        finally:
            used.calls -= 1


@cache
def _trusting() -> ssl.SSLContext:
    """Read once: the certificates of all authorities take 20 ms."""
    return httpcore.default_ssl_context()


def _reason_of(error: BaseException) -> str:
    if isinstance(error, socket.gaierror | UnicodeError):
        return "name"
    if isinstance(error, TimeoutError | httpcore.TimeoutException):
        return "timeout"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return "tls"
        cause = cause.__cause__ or cause.__context__
    return "unreadable" if isinstance(error, httpcore.ProtocolError) else "unreachable"


async def _look_up(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class _Guarded(httpcore.AsyncNetworkBackend):
    """Connects where a name leads, if every address of it may be called."""

    def __init__(self, may: Callable[[str], bool], look_up: Look) -> None:
        self._may = may
        self._look_up = look_up
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's signature)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = list(dict.fromkeys(await self._look_up(host, port)))
        if not all(self._may(address) for address in addresses):
            raise AddressForbidden(host)
        failure: Exception | None = None
        for address in addresses[:ADDRESSES_MAX]:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.NetworkError, httpcore.TimeoutException) as error:
                failure = error
        raise failure or httpcore.ConnectError("the name leads nowhere")

    async def connect_unix_socket(self, *_args: Any, **_options: Any) -> httpcore.AsyncNetworkStream:
        raise AddressForbidden("a socket file")


def flaw_of(url: str, *, private: bool, ports: Collection[int]) -> str | None:
    """What is wrong with an address that a stranger names, by its form alone; `private` allows plain HTTP and any port.

    `form` (no address at all), `scheme` (not https), `host` (none, or more than one), `port`, `private`.
    """
    if len(url) > URL_LENGTH_MAX or not url.isascii() or not url.isprintable() or " " in url:
        return "form"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "form"
    if parts.scheme not in (("https", "http") if private else ("https",)):
        return "scheme"
    if not parts.hostname or "@" in parts.netloc or parts.fragment or "\\" in url:
        return "host"
    if not private and (port or HTTPS_PORT) not in ports:
        return "port"
    try:
        literal = ipaddress.ip_address(parts.hostname)
    except ValueError:
        return None
    return None if (is_callable if private else is_public)(str(literal)) else "private"


def is_public(address: str) -> bool:
    """Whether an address is one of the open Internet, also when an IPv6 address carries an IPv4 one."""
    found, inner = _read(address)
    if inner is not None:
        return is_public(str(inner))
    if isinstance(found, ipaddress.IPv6Address) and found.teredo is not None:
        return False
    return found.is_global and not found.is_multicast and not any(found in network for network in INNER)


def is_callable(address: str) -> bool:
    """Whether an address may be called where private ones may: never a cloud's metadata, nor many machines at once."""
    found, inner = _read(address)
    if inner is not None:
        return is_callable(str(inner))
    return not (found.is_link_local or found.is_multicast or found.is_unspecified) and found not in INNER[2]


def _read(address: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ipaddress.IPv4Address | None]:
    """The address, and the IPv4 one that it carries, if it does."""
    found = ipaddress.ip_address(address.split("%")[0])
    if isinstance(found, ipaddress.IPv4Address):
        return found, None
    inner = found.ipv4_mapped or found.sixtofour
    if inner is None and found in NAT64:
        inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    return found, inner
