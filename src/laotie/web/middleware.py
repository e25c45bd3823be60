"""What every request passes, once, in plain ASGI: request id, real client, body limit, security headers, who is asking,
metrics and the access line. Written flat because it stands in front of the checkout.
"""

import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

import structlog
from litestar import Litestar
from prometheus_client import Counter

from laotie.base.ids import new_id
from laotie.base.logs import log
from laotie.base.metrics import REQUEST_SECONDS, REQUESTS
from laotie.base.refusals import Refusal, Unreadable
from laotie.base.settings import Settings
from laotie.web.authentication import SAFE_METHODS, Authenticator
from laotie.web.figures import LISTENING
from laotie.web.pace import Pace
from laotie.web.problems import MEDIA_TYPE, BodyTooLarge, MediaTypeRefused, bug_body, render

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

BODY_BYTES_MAX = 2 * 1024 * 1024
IMPORT_BODY_BYTES_MAX = 64 * 1024 * 1024
IMPORT_PATH_ENDS = ("/products.csv", "/shipments.csv", "/payment-statements.csv", "/payout-results.csv", "/spend.csv")
FILE_PATHS = ("/api/uploads/", "/api/pictures/", "/api/documents/")
FILE_BODY_BYTES_MAX = 64 * 1024 * 1024
"""Of one piece of an upload, or a picture. It is streamed to disk; what a file may have in all is a setting."""
REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
QUIET_PATHS = frozenset({"/healthz", "/metrics"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Door:
    """The application with everything around it that does not depend on the endpoint."""

    def __init__(self, app: Litestar, settings: Settings, authenticator: Authenticator) -> None:
        self.litestar = app
        self._app: App = app
        self._authenticator = authenticator
        self._headers = security_headers(settings)
        self._trusts = trust(settings.trusted_proxies)
        self._tls = settings.tls_certificate is not None
        self._pace = Pace(settings.api_requests_per_minute)
        self._counters: dict[tuple[str, int], Counter] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (or pass on what is not HTTP)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        method, path = scope["method"], scope["path"]
        request_id = _request_id(headers)
        scope["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        if scope["client"] is not None and self._trusts(scope["client"][0]):
            _believe_proxy(scope, headers, self._trusts)
        added = [*self._headers, (b"x-request-id", request_id.encode("ascii"))]
        if self._tls or scope["scheme"] == "https":
            added.append((b"strict-transport-security", b"max-age=31536000"))
        status = 0
        sent = 0

        async def send_more(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *added]
            else:
                sent += len(message.get("body", b""))
            await send(message)

        try:
            receive_some = limited(receive, headers, path)
            if path.startswith(("/api/", "/recordings/")):
                _check_media_type(method, path, headers)
                client = scope["client"][0] if scope["client"] else None
                actor = await self._authenticator.recognise(method, headers, client=client)
                if actor.token_id is not None:
                    said, refusal = self._pace.count(actor.token_id)
                    added += said
                    if refusal is not None:
                        raise refusal
                scope["actor"] = actor
                LISTENING.set(receive_some)
            await self._app(scope, receive_some, send_more)
        except Refusal as refusal:
            await _refuse(send_more, refusal, request_id)
        except Exception as bug:
            log.error("a request failed", method=method, path=path, exc_info=bug)
            if not status:
                await _answer(send_more, 500, bug_body(request_id), {})
        finally:
            took = time.perf_counter() - started
            REQUEST_SECONDS.observe(took)
            self._count(method if method in METHODS else "other", status)
            if path not in QUIET_PATHS:
                log.info(
                    "request",
                    method=method,
                    path=path,
                    status=status,
                    ms=round(took * 1000, 2),
                    bytes=sent,
                    client=scope["client"][0] if scope["client"] else None,
                )

    def _count(self, method: str, status: int) -> None:
        counter = self._counters.get((method, status))
        if counter is None:
            counter = self._counters[method, status] = REQUESTS.labels(method, str(status))
        counter.inc()


def _request_id(headers: dict[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id")
    if given is not None and REQUEST_ID.fullmatch(given):
        return given.decode("ascii")
    return new_id().hex


def security_headers(settings: Settings) -> list[tuple[bytes, bytes]]:
    """Sent with every answer.

    Scripts and styles come from our own files alone; `style=` attributes are allowed because the charts need them.
    hls.js reads segments by fetch, plays through a blob URL and works in a blob worker. Pictures may live elsewhere.
    """
    hls = f" {_origin(settings.media_external_hls_url)}" if settings.media_external_hls_url else ""
    sockets = f" ws://*:{settings.gateway_port} wss://*:{settings.gateway_port}" if settings.gateway_port else ""
    policy = "; ".join(
        [
            "default-src 'self'",
            "script-src 'self'",
            "style-src 'self'",
            "style-src-attr 'unsafe-inline'",
            "img-src 'self' data: blob: https:",
            f"media-src 'self' blob:{hls}",
            "worker-src 'self' blob:",
            f"connect-src 'self'{sockets}{hls}",
            "font-src 'self' data:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ]
    )
    return [
        (b"content-security-policy", policy.encode("ascii")),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"strict-origin-when-cross-origin"),
        (b"permissions-policy", b"camera=(self), microphone=(self), geolocation=(), payment=(), usb=()"),
        (b"cross-origin-opener-policy", b"same-origin"),
    ]


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def trust(proxies: str) -> Callable[[str], bool]:
    """Whether a peer's `X-Forwarded-*` are believed; `proxies` are comma-separated addresses or networks."""
    networks = [ip_network(one.strip(), strict=False) for one in proxies.split(",") if one.strip()]
    if not networks:
        return lambda _peer: False

    @lru_cache(4096)
    def trusts(peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in networks)

    return trusts


def _believe_proxy(scope: Scope, headers: dict[bytes, bytes], trusts: Callable[[str], bool]) -> None:
    """Take the nearest address that no trusted proxy vouches for; anything further left may be made up."""
    hops = [hop.strip() for hop in headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",") if hop.strip()]
    for hop in reversed(hops):
        try:
            ip_address(hop)
        except ValueError:
            break
        scope["client"] = (hop, 0)
        if not trusts(hop):
            break
    proto = headers.get(b"x-forwarded-proto", b"").decode("latin-1").rpartition(",")[2].strip()
    if proto in ("http", "https"):
        scope["scheme"] = proto


def _check_media_type(method: str, path: str, headers: dict[bytes, bytes]) -> None:
    """JSON (CSV for an import, plain bytes for a file): kinds that another site's form cannot send."""
    has_body = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
    if method in SAFE_METHODS or not has_body:
        return
    expected = b"text/csv" if path.endswith(IMPORT_PATH_ENDS) else b"application/json"
    if path.startswith(FILE_PATHS):
        expected = b"application/octet-stream"
    if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != expected:
        raise MediaTypeRefused(expected=expected.decode("ascii"))


def limited(receive: Receive, headers: dict[bytes, bytes], path: str) -> Receive:
    """The request's body, refused with `BodyTooLarge` as soon as it is known to be too large."""
    bytes_max = IMPORT_BODY_BYTES_MAX if path.endswith(IMPORT_PATH_ENDS) else BODY_BYTES_MAX
    if path.startswith(FILE_PATHS):
        bytes_max = FILE_BODY_BYTES_MAX
    announced = headers.get(b"content-length")
    if announced is not None:
        if not announced.isdigit():
            raise Unreadable(reason="Content-Length is not a number.")
        if int(announced[:16]) > bytes_max:
            raise BodyTooLarge(bytes_max=bytes_max)
        return receive  # The server reads no more than was announced.
    if b"transfer-encoding" not in headers:
        return receive
    seen = 0

    async def receive_some() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > bytes_max:
            raise BodyTooLarge(bytes_max=bytes_max)
        return message

    return receive_some


async def _refuse(send: Send, refusal: Refusal, request_id: str) -> None:
    body, headers = render(refusal, request_id=request_id)
    await _answer(send, refusal.status, body, headers)


async def _answer(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    given = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
    given += [(b"content-type", MEDIA_TYPE.encode("ascii")), (b"content-length", str(len(body)).encode("ascii"))]
    await send({"type": "http.response.start", "status": status, "headers": given})
    await send({"type": "http.response.body", "body": body})
