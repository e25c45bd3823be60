"""A person who uses Laotie as everybody does: through the public API and the room's socket."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any
from uuid import uuid4

import httpx
import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect


class RequestRefused(Exception):
    """The service said no, with its problem document."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('type')}: {problem.get('title')}")
        self.status, self.problem = status, problem


class Person:
    """An API client with a cookie session: `async with Person(url) as person: await person.sign_in(...)`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.AsyncClient(base_url=url, timeout=30)
        self._csrf = ""

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request; anything but 2xx is `RequestRefused`."""
        answer = await self._http.request(
            method,
            path,
            content=None if body is None else msgspec.json.encode(body),
            headers={"content-type": "application/json", "x-csrf-token": self._csrf},
        )
        content = msgspec.json.decode(answer.content) if answer.content else None
        if answer.is_success:
            return content
        raise RequestRefused(answer.status_code, content if isinstance(content, dict) else {})

    async def send_bytes(self, method: str, path: str, data: bytes) -> Any:
        """A file's bytes; the answer, or `RequestRefused`."""
        headers = {"content-type": "application/octet-stream", "x-csrf-token": self._csrf}
        answer = await self._http.request(method, path, content=data, headers=headers)
        content = msgspec.json.decode(answer.content) if answer.content else None
        if answer.is_success:
            return content
        raise RequestRefused(answer.status_code, content if isinstance(content, dict) else {})

    async def sign_in(self, handle: str, password: str) -> dict[str, Any]:
        """Begin a session."""
        me: dict[str, Any] = await self.call("POST", "/api/sessions", {"handle": handle, "password": password})
        self._csrf = me["csrf_token"] or ""
        return me

    async def look_around(self) -> dict[str, Any]:
        """Who one is; a guest gets an identity by it."""
        me: dict[str, Any] = await self.call("GET", "/api/me")
        self._csrf = me["csrf_token"] or ""
        return me

    async def enter(self, show_id: str, entry: str | None, on_frame: Callable[[dict[str, Any]], None]) -> "Seat":
        """Take a ticket and sit down in the room."""
        admission = await self.call("POST", f"/api/shows/{show_id}/tickets", {"entry": entry})
        seat = Seat(admission["ticket"], admission["visit"], on_frame, show_id=show_id)
        await ws_connect(lambda: seat, self.url.replace("http", "ws", 1) + admission["ws_path"])
        return seat

    async def __aenter__(self) -> "Person":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()


class Seat(WSListener):
    """A socket in a room. Frames of a batch arrive at `on_frame` one by one."""

    def __init__(self, ticket: str, visit: str, on_frame: Callable[[dict[str, Any]], None], *, show_id: str) -> None:
        self._ticket = ticket
        self.visit, self.show_id = visit, show_id
        self._on_frame = on_frame
        self._version = 0
        self._beating: asyncio.Task[None] | None = None
        self.gone = asyncio.Event()
        self.transport: WSTransport

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.send({"t": "hello", "ticket": self._ticket})
        self._beating = asyncio.get_running_loop().create_task(self._beat())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is not WSMsgType.TEXT:
            return
        message = msgspec.json.decode(frame.get_payload_as_bytes())
        self._version = message.get("v", self._version)
        for one in message["f"] if message.get("t") == "batch" else [message]:
            self._on_frame(one)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self._beating is not None:
            self._beating.cancel()
        self.gone.set()

    def send(self, frame: dict[str, Any]) -> None:
        """One frame, unless the socket is gone."""
        if not self.gone.is_set():
            self.transport.send(WSMsgType.TEXT, msgspec.json.encode(frame))

    def buy(self, item: dict[str, Any], sku: dict[str, Any], *, quantity: int = 1) -> None:
        """Ask for a piece at the price shown."""
        line = {"sku": sku["sku_id"], "item": item["id"], "qty": quantity, "price": sku["price"]["amount"]}
        self.send({"t": "buy", "id": str(uuid4()), "lines": [line]})

    def leave(self) -> None:
        """Close the socket."""
        if not self.gone.is_set():
            self.transport.disconnect()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(10)
            self.send({"t": "beat", "visible": True, "v": self._version})
