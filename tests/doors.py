"""The web door without waiting: its endpoints are built once a process (a third of a second), a test has its own house.

    with open_door(house) as app:                     # all rooms
    with open_door(house, "payments") as app:         # only this one

Everything that depends on the house is the test's own: `Door`, authenticator, what handlers are given. `Server` is
uvicorn's, less the tenths of a second that it sleeps before it ends.
"""

import asyncio
import socket
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from litestar import Litestar
from litestar.di import Provide

from laotie.web import app as web_app
from laotie.web.authentication import Authenticator
from laotie.web.house import House
from laotie.web.middleware import Door


class _Endpoints:
    """The endpoints of some rooms, and what their handlers are given at this time."""

    def __init__(self, rooms: tuple[str, ...]) -> None:
        self.given: dict[str, Any] = {}
        provided = {name: Provide(self._giving(name), sync_to_thread=False) for name in web_app.PROVIDED - {"actor"}}
        provided["actor"] = Provide(web_app._actor, sync_to_thread=False)
        every, web_app.ROOMS = web_app.ROOMS, {room: web_app.ROOMS[room] for room in rooms or web_app.ROOMS}
        try:
            self.litestar: Litestar = web_app._build_litestar(provided)
        finally:
            web_app.ROOMS = every

    def _giving(self, name: str) -> Callable[[], Any]:
        return lambda: self.given[name]


_idle: dict[tuple[str, ...], list[_Endpoints]] = defaultdict(list)


@contextmanager
def open_door(house: House, *rooms: str) -> Iterator[Door]:
    """A door to this house; with `rooms`, to these alone. Two that are open at once have endpoints of their own."""
    endpoints = _idle[rooms].pop() if _idle[rooms] else _Endpoints(rooms)
    authenticator = Authenticator(house)
    for name, provide in web_app._provided(house, authenticator).items():
        if name != "actor":
            endpoints.given[name] = provide.dependency()
    try:
        yield Door(endpoints.litestar, house.settings, authenticator)
    finally:
        endpoints.given.clear()
        _idle[rooms].append(endpoints)


class Server(uvicorn.Server):
    """Ends when it is told to and its connections are closed, not a fifth of a second later."""

    async def main_loop(self) -> None:
        turn = 0
        while not await self.on_tick(turn):
            turn += 1
            await asyncio.sleep(0.01)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:
            await asyncio.sleep(0.005)
