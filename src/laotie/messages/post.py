"""Calling an address that a stranger named, safely.

A name is looked up once, every address it has must be a public one, and the connection goes to the very address that
was judged (a second look-up could answer otherwise). TLS still checks the name. Redirects are not followed, answers
are not read beyond a few bytes, and every step has its time.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpcore

CONNECTIONS_MAX = 16
CALL_S = 15.0
STEP_S = 5.0
ANSWER_BYTES_MAX = 4_096
ADDRESSES_MAX = 3
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class AddressForbidden(Exception):
    """The name leads into a private network."""


class CallFailed(Exception):
    """Nobody answered, or nothing that could be read."""


class Post:
    """Connections to push services, for the length of one batch: `async with Post(...) as post`."""

    def __init__(self, *, private: bool = False) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=CONNECTIONS_MAX, keepalive_expiry=5.0, network_backend=_Guarded(private=private)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.aclose()

    async def send(self, url: str, headers: dict[str, str], body: bytes) -> int:
        """POST, and give the status of the answer. Raises `AddressForbidden` or `CallFailed`."""
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        address = httpcore.URL(
            scheme=parts.scheme.encode(),
            host=(parts.hostname or "").encode(),
            port=parts.port,
            target=target.encode(),
        )
        timeouts = {"connect": STEP_S, "read": STEP_S, "write": STEP_S, "pool": CALL_S}
        try:
            async with (
                asyncio.timeout(CALL_S),
                self._pool.stream(
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
                read = 0
                async for part in answer.aiter_stream():
                    read += len(part)
                    if read > ANSWER_BYTES_MAX:
                        break
                return int(answer.status)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError, TimeoutError) as error:
            raise CallFailed(type(error).__name__) from error


class _Guarded(httpcore.AsyncNetworkBackend):
    """Connects where a name leads, if every address of it is public."""

    def __init__(self, *, private: bool) -> None:
        self._private = private
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's signature)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not self._private and not all(is_public(address) for address in addresses):
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


def is_public(address: str) -> bool:
    """Whether an address is one of the open Internet, also when an IPv6 address carries an IPv4 one."""
    found = ipaddress.ip_address(address.split("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and found in NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if found.teredo is not None:
            return False
    return found.is_global and not found.is_multicast
