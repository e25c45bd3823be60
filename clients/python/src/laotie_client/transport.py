"""How requests travel: the key, retries that are safe, refusals as exceptions, streams. Written by hand."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import date, datetime
from enum import Enum
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import quote
from uuid import UUID

import httpx
import msgspec

T = TypeVar("T")
SAFE = frozenset({"GET", "HEAD", "PUT", "DELETE"})
PATIENCE_S = 60.0
TRIES_MAX = 5
JSON = "application/json"


class Unset(Enum):
    """What was not said."""

    token = 0


UNSET = Unset.token


class Refused(Exception):
    """The API said no: `code` names why, `facts` are the case's own (RFC 9457)."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.code: str = str(problem.get("type", "")).rsplit("/", 1)[-1]
        self.title: str = str(problem.get("title", ""))
        self.request_id: str | None = problem.get("request_id")
        known = ("type", "title", "status", "detail", "request_id")
        self.facts = {name: value for name, value in problem.items() if name not in known}
        super().__init__(f"{status} {self.code}: {problem.get('detail') or self.title}")


class _Wire:
    """What waiting and awaiting have in common."""

    def __init__(self, key: str | None, *, patience_s: float = PATIENCE_S) -> None:
        self._headers = {"user-agent": "laotie-client"} | ({"authorization": f"Bearer {key}"} if key else {})
        self._patience_s = patience_s

    def _options(
        self,
        body: object,
        content: bytes | None,
        content_type: str,
        query: Mapping[str, object] | None,
        headers: Mapping[str, object] | None,
    ) -> dict[str, Any]:
        options: dict[str, Any] = {"headers": dict(self._headers)}
        if content is not None:
            options["content"] = content
            options["headers"]["content-type"] = content_type
        elif body is not None:
            options["content"] = msgspec.json.encode(body)
            options["headers"]["content-type"] = JSON
        options["headers"] |= {name: str(value) for name, value in (headers or {}).items() if not _missing(value)}
        options["params"] = [pair for name, value in (query or {}).items() for pair in _pairs(name, value)]
        return options

    def _may_repeat(self, method: str, body: object) -> bool:
        """What carries an id of ours may be said again, and so may what changes nothing by being repeated."""
        return method in SAFE or getattr(body, "id", None) is not None

    def _pause_s(self, answer: httpx.Response | None, tries: int, began: float) -> float | None:
        """How long to wait before asking again; `None`: not at all."""
        if tries >= TRIES_MAX or (answer is not None and answer.status_code not in (429, 503)):
            return None
        asked = answer.headers.get("retry-after", "") if answer is not None else ""
        pause_s = float(asked) if re.fullmatch(r"\d+", asked) else 0.2 * 2**tries
        return pause_s if time.monotonic() + pause_s - began <= self._patience_s else None


class Transport(_Wire):
    """Asks and waits for the answer."""

    def __init__(
        self, url: str, key: str | None = None, *, patience_s: float = PATIENCE_S, http: httpx.Client | None = None
    ) -> None:
        """`http`: a client of your own, with its time-outs and proxies."""
        super().__init__(key, patience_s=patience_s)
        self._http = http or httpx.Client(base_url=url, timeout=30)

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def ask(
        self,
        method: str,
        path: str,
        kind: type[T] | Any,
        *,
        body: object = None,
        content: bytes | None = None,
        content_type: str = JSON,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, object] | None = None,
    ) -> T:
        """One answer, as its type; a lost one is asked for again where that is safe. Raises `Refused`."""
        options = self._options(body, content, content_type, query, headers)
        began, tries = time.monotonic(), 0
        while True:
            answer: httpx.Response | None
            try:
                answer = self._http.request(method, path, **options)
            except httpx.TransportError:
                answer = None
                if not self._may_repeat(method, body) or self._pause_s(None, tries, began) is None:
                    raise
            pause_s = self._pause_s(answer, tries, began)
            if answer is not None and pause_s is None:
                return cast(T, _read(answer, kind))
            time.sleep(pause_s or 0)
            tries += 1

    def stream(self, method: str, path: str, *, query: Mapping[str, object] | None = None, **rest: Any) -> Iterator[bytes]:
        """The answer's bytes as they come. Raises `Refused`."""
        options = self._options(None, None, JSON, query, rest.get("headers"))
        with self._http.stream(method, path, **options) as answer:
            if answer.status_code >= 400:
                answer.read()
                _read(answer, None)
            yield from answer.iter_bytes()


class AsyncTransport(_Wire):
    """Asks and awaits the answer."""

    def __init__(
        self, url: str, key: str | None = None, *, patience_s: float = PATIENCE_S, http: httpx.AsyncClient | None = None
    ) -> None:
        """`http`: a client of your own, with its time-outs and proxies."""
        super().__init__(key, patience_s=patience_s)
        self._http = http or httpx.AsyncClient(base_url=url, timeout=30)

    async def __aenter__(self: T) -> T:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        kind: type[T] | Any,
        *,
        body: object = None,
        content: bytes | None = None,
        content_type: str = JSON,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, object] | None = None,
    ) -> T:
        """One answer, as its type; a lost one is asked for again where that is safe. Raises `Refused`."""
        options = self._options(body, content, content_type, query, headers)
        began, tries = time.monotonic(), 0
        while True:
            answer: httpx.Response | None
            try:
                answer = await self._http.request(method, path, **options)
            except httpx.TransportError:
                answer = None
                if not self._may_repeat(method, body) or self._pause_s(None, tries, began) is None:
                    raise
            pause_s = self._pause_s(answer, tries, began)
            if answer is not None and pause_s is None:
                return cast(T, _read(answer, kind))
            await asyncio.sleep(pause_s or 0)
            tries += 1

    async def stream(
        self, method: str, path: str, *, query: Mapping[str, object] | None = None, **rest: Any
    ) -> AsyncIterator[bytes]:
        """The answer's bytes as they come. Raises `Refused`."""
        options = self._options(None, None, JSON, query, rest.get("headers"))
        async with self._http.stream(method, path, **options) as answer:
            if answer.status_code >= 400:
                await answer.aread()
                _read(answer, None)
            async for piece in answer.aiter_bytes():
                yield piece


class Listed(Protocol[T]):
    """A page of a list."""

    @property
    def items(self) -> list[T]: ...


def every(call: Callable[..., Listed[T]], *args: object, **options: object) -> Iterator[T]:
    """Everything of a list, page by page: `every(client.catalog.list_own_products, shop_id)`."""
    while True:
        page = call(*args, **options)
        yield from page.items
        options["after"] = getattr(page, "next", None)
        if not isinstance(options["after"], str):
            return


async def each(call: Callable[..., Awaitable[Listed[T]]], *args: object, **options: object) -> AsyncIterator[T]:
    """The same, awaited: `async for product in each(client.catalog.list_own_products, shop_id)`."""
    while True:
        page = await call(*args, **options)
        for item in page.items:
            yield item
        options["after"] = getattr(page, "next", None)
        if not isinstance(options["after"], str):
            return


def quoted(part: object) -> str:
    """A part of a path."""
    return quote(_plain(part), safe="")


def _read(answer: httpx.Response, kind: Any) -> object:
    if answer.status_code >= 400:
        try:
            problem = answer.json()
        except ValueError:
            problem = {"title": answer.text[:200]}
        raise Refused(answer.status_code, problem if isinstance(problem, dict) else {})
    if kind is None or kind is type(None) or not answer.content:
        return None
    return msgspec.json.decode(answer.content, type=kind)


def _missing(value: object) -> bool:
    return value is UNSET or value is None


def _pairs(name: str, value: object) -> list[tuple[str, str]]:
    if _missing(value):
        return []
    if isinstance(value, list | tuple):
        return [(name, _plain(one)) for one in value]
    return [(name, _plain(value))]


def _plain(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case Enum():
            return str(value.value)
        case datetime() | date():
            return value.isoformat()
        case UUID():
            return str(value)
    return str(value)
