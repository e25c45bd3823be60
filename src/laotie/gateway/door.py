"""The gateway: every socket of this process, who holds them, and what they may do together.

Made before the database is there (sockets are answered 503 until `start`), stopped with a reason to everyone. Keeps the
tickets it has redeemed until they would have expired, closes what is silent, and puts the audience down for the others.
"""

import asyncio
import ipaddress
import ssl
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Any
from uuid import UUID

from picows import WSCloseCode

from laotie import live
from laotie.base import metrics
from laotie.base.bus import Bus
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import ViewerId, new_id
from laotie.base.logs import log
from laotie.base.refusals import Conflict, Refusal, TooBusy, Unavailable
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.fun import Desk
from laotie.gateway.games import Games
from laotie.gateway.hub import Hub
from laotie.gateway.ingest import IngestDoor
from laotie.gateway.limits import Limits, Pace, is_loopback
from laotie.gateway.minutes import Minutes
from laotie.gateway.sayings import SayingStore
from laotie.gateway.socket import RoomSocket, Viewer
from laotie.gateway.upgrade import Doorstep, Upgrade
from laotie.lake import Nowhere, Sink
from laotie.live import Audience, Playback, Show, Ticket
from laotie.orders import Till

SWEEP_EVERY_S = 1.0
AUDIENCE_EVERY_S = 10
MINUTES_EVERY_S = 2
"""How much of the board a crash may lose."""
STOP_WAIT_S = 1.5
TICKET_KEPT_S = 90
"""A little longer than a ticket is good for."""


class TicketSpent(Conflict, code="ticket-spent"):
    """A ticket opens one connection; ask for a new one."""


class TooManySockets(Refusal, code="too-many-sockets", status=429):
    """Too many connections are open already."""

    sockets_max: int


class Gateway:
    """All sockets of one process. `start` when the house is open, `stop` before it closes."""

    def __init__(self, *, settings: Settings, bus: Bus, clock: Clock, limits: Limits | None = None) -> None:
        self.settings = settings
        self.clock = clock
        self.limits = limits = limits or limits_of(settings)
        self.id = new_id()
        self.open = False
        self.doorstep = Doorstep()
        self.sockets: dict[RoomSocket, None] = {}
        self.trusted: list[IPv4Network | IPv6Network] = [
            ipaddress.ip_network(one.strip(), strict=False)
            for one in settings.trusted_proxies.split(",")
            if one.strip()
        ]
        self.frame_pace = Pace(per_s=limits.frames_per_s, burst=limits.frames_burst)
        self.chat_pace = Pace(per_s=limits.chats_per_s, burst=limits.chats_burst)
        self.buy_pace = Pace(per_s=limits.buys_per_s, burst=limits.buys_burst)
        self.like_pace = Pace(per_s=limits.likes_per_s, burst=limits.likes_burst)
        self.click_pace = Pace(per_s=limits.clicks_per_s, burst=limits.clicks_burst)
        self.handshake_pace = Pace(per_s=limits.handshakes_per_s, burst=limits.handshakes_burst)
        self._handshakes: dict[str, float] = {}
        self.resync_pace = Pace(per_s=limits.resyncs_per_s, burst=limits.resyncs_burst)
        self.strike_pace = Pace(per_s=limits.strikes_per_s, burst=limits.strikes_burst)
        self.hub: Hub
        self.store: SayingStore
        self.games: Games
        self.till: Till
        self.sink: Sink
        self.minutes: Minutes
        self.ingest: IngestDoor | None = None
        """For browsers that go live, where this process has the media."""
        self.port: int | None = None
        """The port of its own, where there is one."""
        self._bus = bus
        self._db: Database
        self._signer: Signer
        self._addresses: Counter[str] = Counter()
        self._viewers: dict[UUID, Viewer] = {}
        self._spent: dict[UUID, datetime] = {}
        self._server: asyncio.Server | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self.now: Callable[[], float] = lambda: 0.0

    async def start(
        self,
        *,
        db: Database,
        signer: Signer,
        till: Till,
        sink: Sink | None = None,
        desk: Desk | None = None,
        playback: Callable[[Show], Playback | None] | None = None,
    ) -> None:
        """Open for sockets. What viewers do goes to `sink`; `playback` tells where a show's picture is, for the welcome."""
        loop = asyncio.get_running_loop()
        self.now = loop.time
        self._db, self._signer, self.till = db, signer, till
        self.sink = self.minutes = Minutes(
            sink or Nowhere(), self.id, find_room=lambda show_id: self.hub.rooms.get(show_id)
        )
        self.store = SayingStore(db)
        self.store.start()
        self.hub = Hub(db, self._bus, self.limits, self, origin=self.id, store=self.store, playback=playback)
        self.games = Games(db, self._bus, self.hub.rooms, self, desk or Desk(db))
        self.hub.games = self.games
        self.games.start()
        self.hub.start()
        db.on_told(self.hub.hear_at_once)
        self._sweeping = loop.create_task(self._sweep())
        if self.settings.gateway_port is not None:
            await self._listen(self.settings.host, self.settings.gateway_port)
        self.open = True

    async def stop(self) -> None:
        """Tell everyone that the service restarts, and close."""
        if not self.open:
            return
        self.open = False
        if self._server is not None:
            self._server.close()
        for socket in list(self.sockets):
            socket.bye("restarting", "the service restarts; come back in a moment", WSCloseCode.SERVICE_RESTART)
        deadline = self.now() + STOP_WAIT_S
        while self.sockets and self.now() < deadline:
            await asyncio.sleep(0.02)
        for socket in list(self.sockets):
            socket.underlying.abort()
        await asyncio.sleep(0)
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
        await self._count_audience()
        self.minutes.look(self.hub.rooms.values(), self.clock.now())
        await self.minutes.write(self._db)
        await self.games.stop()
        await self.hub.stop()
        await self.store.stop()

    async def _listen(self, host: str, port: int) -> None:
        context: ssl.SSLContext | None = None
        if self.settings.tls_certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self.settings.tls_certificate, self.settings.tls_key)
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Upgrade(self), host, port, ssl=context, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    # Connections.

    def admit(self, address: str) -> bool:
        """Whether one more connection from there is welcome."""
        if len(self.sockets) >= self.limits.sockets_max:
            return False
        if is_loopback(address):
            return True
        due = self.handshake_pace.take(self._handshakes.get(address, 0.0), self.now())
        if due is None or self._addresses[address] >= self.limits.sockets_per_address_max:
            return False
        self._handshakes[address] = due
        return True

    def listener(self, address: str) -> RoomSocket:
        """What hears a new connection."""
        return RoomSocket(self, address)

    def add(self, socket: RoomSocket) -> None:
        """A socket is open."""
        self.sockets[socket] = None
        self._addresses[socket.address] += 1
        metrics.SOCKETS.inc()

    def remove(self, socket: RoomSocket) -> None:
        """A socket is gone."""
        if self.sockets.pop(socket, socket) is socket:
            return
        metrics.SOCKETS.dec()
        self._addresses[socket.address] -= 1
        if not self._addresses[socket.address]:
            del self._addresses[socket.address]
        viewer = socket.viewer
        if viewer is not None:
            viewer.sockets.remove(socket)
            viewer.gone_at = self.now()

    def redeem(self, token: str) -> Ticket:
        """The ticket in a token, once."""
        ticket = live.read_ticket(self._signer, token)
        if ticket.jti in self._spent:
            raise TicketSpent()
        if len(self._spent) >= self.limits.tickets_seen_max:
            raise TooBusy()
        self._spent[ticket.jti] = self.clock.now()
        return ticket

    def seat(self, socket: RoomSocket, viewer_id: ViewerId) -> Viewer:
        """Put a socket with its viewer's others, or refuse one too many."""
        viewer = self._viewers.get(viewer_id)
        if viewer is None:
            viewer = self._viewers[viewer_id] = Viewer()
        elif len(viewer.sockets) >= self.limits.sockets_per_viewer_max:
            raise TooManySockets(sockets_max=self.limits.sockets_per_viewer_max)
        viewer.sockets.append(socket)
        return viewer

    def sockets_of(self, account_id: UUID) -> list[RoomSocket]:
        """The open sockets of one account here."""
        viewer = self._viewers.get(account_id)
        return list(viewer.sockets) if viewer is not None else []

    # Housekeeping.

    async def _sweep(self) -> None:
        turns = 0
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            turns += 1
            try:
                self.sweep()
                self.minutes.look(self.hub.rooms.values(), self.clock.now())
                if turns % MINUTES_EVERY_S == 0:
                    await self.minutes.write(self._db)
                if turns % AUDIENCE_EVERY_S == 0:
                    await self._count_audience()
            except Exception:
                log.exception("the gateway's sweep failed")

    def sweep(self) -> None:
        """Close what is silent, forget what is over."""
        now, limits = self.now(), self.limits
        for socket in list(self.sockets):
            if socket.closing_at:
                continue
            if socket.ticket is None:
                if now - socket.opened_at > limits.hello_s:
                    socket.bye("hello-late", "no hello came in time")
            elif now - socket.beat_at > limits.idle_s:
                socket.bye("idle", "no beat came for too long")
        horizon = self.clock.now() - timedelta(seconds=TICKET_KEPT_S)
        for jti, redeemed_at in list(self._spent.items()):
            if redeemed_at > horizon:
                break
            del self._spent[jti]
        for viewer_id, viewer in list(self._viewers.items()):
            paces = (viewer.chat_due, viewer.buy_due, viewer.like_due, viewer.strikes_due, viewer.out_until)
            if not viewer.sockets and now > max(
                viewer.gone_at, viewer.frames_due, viewer.out_until + viewer.penalty_s, *paces
            ):
                del self._viewers[viewer_id]
        for address in [address for address, due in self._handshakes.items() if due < now]:
            del self._handshakes[address]
        self.hub.sweep(now)

    async def _count_audience(self) -> None:
        counts = [
            Audience(room.show_id, room.viewer_count if self.open else 0, room.liked_here)
            for room in self.hub.rooms.values()
        ]
        try:
            async with self._db.tx() as tx:
                await live.count_audience(tx, self.id, counts)
        except Unavailable:
            log.info("the audience could not be put down; the next turn will")


def limits_of(settings: Settings) -> Limits:
    """The usual limits, with what an operator may set."""
    usual = Limits()
    shown = max(1, round(settings.room_chats_per_s * usual.window_s)) if settings.room_chats_per_s else None
    return Limits(
        frames_per_s=usual.frames_per_s + settings.viewer_buys_per_s,
        frames_burst=usual.frames_burst + settings.viewer_buys_per_s,
        chats_per_s=settings.viewer_chats_per_s,
        buys_per_s=settings.viewer_buys_per_s,
        buys_burst=max(usual.buys_burst, settings.viewer_buys_per_s),
        chats_per_window_max=shown,
        sockets_per_address_max=settings.sockets_per_address_max,
    )


def upgrade_class(gateway: Gateway) -> type[Any]:
    """The class that uvicorn makes for a WebSocket upgrade (`Config(ws=upgrade_class(gateway))`)."""

    class Upgraded(Upgrade):
        __slots__ = ()

        def __init__(self, config: Any, server_state: Any, app_state: Any) -> None:
            super().__init__(gateway, connections=server_state.connections)

    return Upgraded
