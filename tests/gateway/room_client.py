"""A client of the room socket as docs/protocol.md describes it: hears frames, keeps the room's state, finds gaps."""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from laotie.base.ids import new_id

WAIT_S = 5.0


class RoomState:
    """The room as a client rebuilds it: a welcome, then batches by version."""

    def __init__(self) -> None:
        self.v: int | None = None
        self.show: dict[str, Any] = {}
        self.cart: dict[str, dict[str, Any]] = {}
        self.chat: list[dict[str, Any]] = []
        self.counts: dict[str, int] = {}
        self.activities: dict[str, dict[str, Any]] = {}
        self.gaps = 0

    def apply(self, frame: dict[str, Any]) -> None:
        """Take a welcome or a batch; count a gap where versions do not join."""
        if frame["t"] == "welcome":
            self.v = frame["v"]
            self.show = frame["show"]
            self.cart = {item["id"]: item for item in frame["cart"]}
            self.activities = {one["id"]: one for one in frame["activities"]}
            self.chat = list(frame["chat"])
            self.counts = {key: frame["counts"][key] for key in ("viewers", "likes")}
        elif frame["t"] == "batch":
            assert self.v is not None
            if frame["v"] <= self.v:
                return
            if frame["from"] > self.v:
                self.gaps += 1
                return
            self.v = frame["v"]
            for one in frame["f"]:
                self._apply_one(one)

    def _apply_one(self, frame: dict[str, Any]) -> None:
        body = {key: value for key, value in frame.items() if key != "t"}
        match frame["t"]:
            case "chat":
                self.chat = [*self.chat, body][-50:]
            case "counts":
                self.counts = body
            case "stock":
                for item in self.cart.values():
                    for sku in item["skus"]:
                        if sku["sku_id"] == body["sku"]:
                            sku["available"] = body["available"]
            case "item":
                known = self.cart.get(body["id"])
                if known is None or known["version"] <= body["version"]:
                    self.cart[body["id"]] = body
            case "gone":
                self.cart.pop(body["item"], None)
            case "pin":
                self.show["pinned_item_id"] = body["item"]
                for item in self.cart.values():
                    item["pinned"] = item["id"] == body["item"]
            case "activity":
                held = self.activities.get(body["id"])
                if held is None or held["version"] <= body["version"]:
                    self.activities[body["id"]] = body
            case "show":
                self.show.update(body)


class Client(WSListener):
    """One connection."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.state = RoomState()
        self.closed = asyncio.Event()
        self.close_code: int | None = None
        self._news = asyncio.Event()

    @classmethod
    async def connect(cls, url: str, **extra_headers: str) -> "Client":
        _, client = await ws_connect(cls, url, extra_headers=extra_headers or None, max_frame_size=64 * 1024 * 1024)
        assert isinstance(client, Client)
        return client

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            for_now = json.loads(frame.get_payload_as_bytes())
            self.frames.append(for_now)
            self.state.apply(for_now)
        elif frame.msg_type == WSMsgType.CLOSE:
            self.close_code = int.from_bytes(frame.get_payload_as_bytes()[:2], "big")
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        self._news.set()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.closed.set()
        self._news.set()

    def send(self, frame: dict[str, Any]) -> None:
        self.transport.send(WSMsgType.TEXT, json.dumps(frame).encode())

    def send_raw(self, payload: bytes, kind: WSMsgType = WSMsgType.TEXT) -> None:
        self.transport.send(kind, payload)

    async def hello(self, ticket: str, *, resume: int | None = None) -> dict[str, Any]:
        """Say hello and wait for what opens the room."""
        self.send({"t": "hello", "ticket": ticket, "resume": None if resume is None else {"v": resume}})
        return await self.until(lambda frame: frame["t"] in ("welcome", "batch", "bye"))

    async def until(self, wanted: Callable[[dict[str, Any]], bool] | str, *, since: int = 0) -> dict[str, Any]:
        """The first frame from `since` on that fits (a batch's frames are looked into for a tag)."""
        looked = since
        fits = (lambda frame: frame["t"] == wanted) if isinstance(wanted, str) else wanted
        async with asyncio.timeout(WAIT_S):
            while True:
                while looked < len(self.frames):
                    frame = self.frames[looked]
                    looked += 1
                    if fits(frame):
                        return frame
                    for one in frame.get("f", ()):
                        if fits(one):
                            return dict(one)
                assert not self.closed.is_set(), f"closed; heard {self.frames[-3:]}"
                self._news.clear()
                await self._news.wait()

    async def settle(self, fits: Callable[[RoomState], bool]) -> None:
        """Wait until the room looks so."""
        async with asyncio.timeout(WAIT_S):
            while not fits(self.state):
                self._news.clear()
                await self._news.wait()

    def heard(self, tag: str) -> list[dict[str, Any]]:
        """Every frame of a kind, inside batches too."""
        return [
            one for frame in self.frames for one in (frame, *frame.get("f", ())) if one["t"] == tag
        ]

    def chat(self, text: str) -> UUID:
        chat_id = new_id()
        self.send({"t": "chat", "id": str(chat_id), "text": text})
        return chat_id

    async def close(self) -> None:
        self.transport.disconnect()
        await self.closed.wait()
