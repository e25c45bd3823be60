"""The door for browsers that go live: one socket, a ticket, then a MediaRecorder's chunks; docs/protocol.md has the frames.

`POST /api/shows/{id}/publications` gives the ticket. What a page sends waits in a bounded queue, and the connection is
not read while that is full, so a page that floods slows itself down. Pictures are `media`'s, permission is in the ticket.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from laotie import live
from laotie.base import metrics
from laotie.base.clock import Clock
from laotie.base.ids import AccountId
from laotie.base.logs import log
from laotie.base.refusals import Conflict, Invalid, Refusal, TooBusy, TooFast, Unreadable
from laotie.base.signer import Signer
from laotie.gateway.limits import is_loopback
from laotie.live import Publication
from laotie.media import ChannelId, Door, MediaServer, Rejection, StreamFeed
from laotie.media import metrics as media_metrics

PATH = b"/ingest"
TICKET_KEPT_S = 90
"""A little longer than a ticket is good for."""


class IngestLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Every bound of this door."""

    publish_s_max: float = 5.0
    """From connecting to a ticket."""
    text_bytes_max: int = 8_192
    texts_max: int = 8
    """A page has two things to say: publish, and stop."""
    chunk_bytes_max: int = 65_536
    """Of one message; a page sends a larger chunk in slices (`limits.frame_bytes_hard_max` closes what is larger)."""
    waiting_bytes_max: int = 4 * 1024 * 1024
    """Not yet taken by ffmpeg; beyond it the connection isn't read."""
    bytes_per_s_max: float = 2_500_000
    """Taken from one page in the long run (20 Mbit/s)."""
    silence_s_max: float = 15.0
    """A page without a chunk for this long is gone."""
    stats_every_s: float = 1.0
    sockets_max: int = 256
    sockets_per_address_max: int = 32
    tickets_seen_max: int = 100_000
    closing_s: float = 2.0


class PublicationSpent(Conflict, code="publication-spent"):
    """A publication's ticket opens one connection; ask for a new one."""


class PublishFirst(Invalid, code="publish-first"):
    """The first frame asks to publish, with a ticket."""


class PageSilent(Invalid, code="publisher-silent"):
    """Nothing came from the camera for too long."""


class Publish(msgspec.Struct, frozen=True, tag_field="t", tag="publish", forbid_unknown_fields=True):
    """The first frame: a ticket, and what MediaRecorder calls its recordings."""

    ticket: str
    mime: str


class Stop(msgspec.Struct, frozen=True, tag_field="t", tag="stop", forbid_unknown_fields=True):
    """The streamer stops sending."""


class Ready(msgspec.Struct, frozen=True, tag_field="t", tag="ready"):
    """Send now. Chunks longer than `chunk_bytes_max` go in slices, in order; the first begins with the chunk."""

    chunk_bytes_max: int
    transcoding: bool
    """The pictures have to be decoded and encoded here: some tenths of a second later, and dearer. H.264 would not."""


class IngestStats(msgspec.Struct, frozen=True, tag_field="t", tag="stats"):
    """Each second: what came, and how old the newest picture is that viewers can fetch."""

    state: str
    received_bytes: int
    waiting_bytes: int
    bits_per_s: int
    frames_per_s: float
    lag_ms: int | None
    width: int
    height: int
    codecs: str
    key_frame_interval_s: float | None
    dropped_count: int
    restarts: int


class Restart(msgspec.Struct, frozen=True, tag_field="t", tag="restart"):
    """Begin a new recording (a new MediaRecorder) on this connection; the running one can't be read on."""

    reason: str


class IngestBye(msgspec.Struct, frozen=True, tag_field="t", tag="bye"):
    """The connection closes, and why."""

    code: str
    reason: str


Upstream = Publish | Stop
READER = msgspec.json.Decoder(Upstream)
ENCODER = msgspec.json.Encoder()


class Chunk(NamedTuple):
    """What waits to be taken."""

    data: bytes
    first: bool


Rejected = Callable[[Rejection], Awaitable[None]]
"""Told of every page that was refused or sent away, once its ticket said for which show."""


class IngestDoor:
    """Every page that publishes through this process; stopped with a reason to each."""

    def __init__(
        self,
        media: MediaServer,
        signer: Signer,
        clock: Clock,
        *,
        on_rejected: Rejected | None = None,
        limits: IngestLimits | None = None,
    ) -> None:
        self.media = media
        self.limits = limits or IngestLimits()
        self.open = True
        self._signer = signer
        self._clock = clock
        self._on_rejected = on_rejected
        self._sockets: dict[PublisherSocket, None] = {}
        self._addresses: Counter[str] = Counter()
        self._spent: dict[UUID, datetime] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def admit(self, address: str) -> bool:
        """Whether one more page from there is welcome."""
        limits = self.limits
        if len(self._sockets) >= limits.sockets_max:
            return False
        return self._addresses[address] < limits.sockets_per_address_max or is_loopback(address)

    def listener(self, address: str) -> "PublisherSocket":
        """What hears a new connection."""
        return PublisherSocket(self, address)

    async def stop(self) -> None:
        """Send every page away; their channels get their grace time."""
        self.open = False
        for socket in list(self._sockets):
            socket.bye("restarting", "the service restarts; come back in a moment", WSCloseCode.SERVICE_RESTART)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def add(self, socket: "PublisherSocket", serving: asyncio.Task[None]) -> None:
        """A socket is open."""
        self._sockets[socket] = None
        self._addresses[socket.address] += 1
        self._tasks.add(serving)
        serving.add_done_callback(self._tasks.discard)

    def remove(self, socket: "PublisherSocket") -> None:
        """A socket is gone."""
        if self._sockets.pop(socket, socket) is socket:
            return
        self._addresses[socket.address] -= 1
        if not self._addresses[socket.address]:
            del self._addresses[socket.address]

    def redeem(self, token: str) -> Publication:
        """What a ticket permits, once."""
        publication = live.read_publication(self._signer, token)
        horizon = self._clock.now() - timedelta(seconds=TICKET_KEPT_S)
        for jti, redeemed_at in list(self._spent.items()):
            if redeemed_at > horizon:
                break
            del self._spent[jti]
        if publication.jti in self._spent:
            raise PublicationSpent()
        if len(self._spent) >= self.limits.tickets_seen_max:
            raise TooBusy()
        self._spent[publication.jti] = self._clock.now()
        return publication

    def send_away(self, account_id: AccountId) -> None:
        """Close what this account sends: it may not any more."""
        for socket in list(self._sockets):
            if socket.account_id == account_id:
                socket.bye("signed-out", "the account may not send any more")

    async def note(self, rejection: Rejection) -> None:
        """Tell of a refusal."""
        if self._on_rejected is not None:
            try:
                await self._on_rejected(rejection)
            except Exception:
                log.exception("ingest.rejection_lost", address=rejection.address)


class PublisherSocket(WSListener):
    """One page's connection. Frames come in by picows and leave the queue by one task, which is its life."""

    def __init__(self, door: IngestDoor, address: str) -> None:
        self.address = address
        self._door = door
        self._waiting: asyncio.Queue[Chunk | Upstream | None] = asyncio.Queue()
        self._waiting_bytes = 0
        self._received_bytes = 0
        self._texts = 0
        self._paused = False
        self._lean = False
        self._closing = False
        self._reason = "the page disconnected"
        self._feed: StreamFeed | None = None
        self._channel_id: ChannelId | None = None
        self.account_id: AccountId | None = None

    # Called by picows.

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._underlying = transport.underlying_transport
        self._door.add(self, asyncio.get_running_loop().create_task(self._serve()))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._closing = True
        self._door.remove(self)
        self._waiting.put_nowait(None)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            if not self._closing:
                self._close(WSCloseCode.OK, "")
            transport.disconnect()
        elif self._closing:
            return
        elif kind in (WSMsgType.BINARY, WSMsgType.CONTINUATION) and self._feed is not None:
            self._take_chunk(frame.get_payload_as_bytes(), first=kind == WSMsgType.BINARY)
        elif kind == WSMsgType.TEXT and frame.fin and frame.payload_size <= self._door.limits.text_bytes_max:
            self._texts += 1
            if self._texts > self._door.limits.texts_max:
                self._refuse(TooFast(retry_after_s=1))
                return
            try:
                self._waiting.put_nowait(READER.decode(frame.get_payload_as_bytes()))
            except (msgspec.DecodeError, UnicodeDecodeError):
                self._refuse(Unreadable(reason="not a frame that is known here"))
        elif kind == WSMsgType.PING and not self._lean:
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind not in (WSMsgType.PING, WSMsgType.PONG):
            self._refuse(PublishFirst())

    def pause_writing(self) -> None:
        self._lean = True

    def resume_writing(self) -> None:
        self._lean = False

    def bye(self, code: str, reason: str, close: WSCloseCode = WSCloseCode.POLICY_VIOLATION) -> None:
        """Say why, and close."""
        if self._closing:
            return
        metrics.SOCKETS_CLOSED.labels(code).inc()
        self._reason = reason
        self._send(IngestBye(code, reason))
        self._close(close, code)

    # The connection's life.

    async def _serve(self) -> None:
        """From the first frame to the end; whatever a page does stays its own affair."""
        refused: Refusal | None = None
        try:
            asked = await self._hear_first()
            if isinstance(asked, Publish):
                self._admit(asked)
                await self._take_all()
            elif asked is not None:
                raise PublishFirst()
        except Refusal as refusal:
            self._refuse(refusal)
            refused = refusal
        except Exception:
            log.exception("ingest.failed", address=self.address)
            self.bye("internal", "something went wrong on our side")
        finally:
            if self._feed is not None and self._channel_id is not None:
                await self._door.media.leave(self._channel_id, self._feed, self._reason)
            await self._see_off()
        if refused is not None and self._channel_id is not None:
            await self._door.note(
                Rejection(door=Door.BROWSER, address=self.address, refusal=refused, channel_id=self._channel_id)
            )

    async def _hear_first(self) -> Chunk | Upstream | None:
        try:
            async with asyncio.timeout(self._door.limits.publish_s_max):
                return await self._waiting.get()
        except TimeoutError:
            raise PublishFirst() from None

    def _admit(self, asked: Publish) -> None:
        publication = self._door.redeem(asked.ticket)
        self.account_id = publication.account_id
        self._channel_id = ChannelId(publication.show_id)
        self._feed = self._door.media.admit_stream(
            self._channel_id, asked.mime, on_cut=self._cut, on_restart=self._ask_anew
        )
        log.info(
            "ingest.publishing",
            channel_id=str(self._channel_id),
            account_id=str(publication.account_id),
            mime=asked.mime,
            address=self.address,
        )
        self._send(Ready(self._door.limits.chunk_bytes_max, self._feed.transcoding))

    async def _take_all(self) -> None:
        """Hand chunk after chunk to the feed, no faster than allowed, and say each second how it goes."""
        limits, feed = self._door.limits, self._feed
        assert feed is not None
        now = asyncio.get_running_loop().time
        heard_at = stats_at = due_at = now()
        while not self._closing:
            if now() >= stats_at:
                stats_at = now() + limits.stats_every_s
                if not self._lean:
                    self._send(self._stats(feed))
            try:
                async with asyncio.timeout(max(0.01, stats_at - now())):
                    item = await self._waiting.get()
            except TimeoutError:
                if now() - heard_at > limits.silence_s_max:
                    raise PageSilent() from None
                continue
            if item is None:
                return
            if isinstance(item, Stop):
                self.bye("stopped", "the streamer stopped", WSCloseCode.OK)
                return
            if not isinstance(item, Chunk):
                raise PublishFirst()
            heard_at = now()
            self._waiting_bytes -= len(item.data)
            await feed.take(item.data, first=item.first)
            due_at = max(due_at, heard_at) + len(item.data) / limits.bytes_per_s_max
            if due_at - heard_at > 1:
                await asyncio.sleep(due_at - heard_at - 1)
            if self._paused and self._waiting_bytes < limits.waiting_bytes_max // 2 and not self._closing:
                self._paused = False
                self._underlying.resume_reading()

    def _take_chunk(self, chunk: bytes, *, first: bool) -> None:
        self._received_bytes += len(chunk)
        self._waiting_bytes += len(chunk)
        self._waiting.put_nowait(Chunk(chunk, first))
        if not self._paused and self._waiting_bytes > self._door.limits.waiting_bytes_max:
            self._paused = True
            self._underlying.pause_reading()

    def _stats(self, feed: StreamFeed) -> IngestStats:
        assert self._channel_id is not None
        stats = self._door.media.stats(self._channel_id)
        return IngestStats(
            state=stats.state,
            received_bytes=self._received_bytes,
            waiting_bytes=self._waiting_bytes,
            bits_per_s=stats.bits_per_s,
            frames_per_s=stats.frames_per_s,
            lag_ms=stats.lag_ms,
            width=stats.width,
            height=stats.height,
            codecs=stats.codecs,
            key_frame_interval_s=stats.key_frame_interval_s,
            dropped_count=feed.dropped_count,
            restarts=feed.restarts,
        )

    def _cut(self, reason: str) -> None:
        """The server sends this page away."""
        self.bye("cut", reason)
        self._waiting.put_nowait(None)

    def _ask_anew(self, reason: str) -> None:
        self._send(Restart(reason))

    def _refuse(self, refusal: Refusal) -> None:
        if self._closing:
            return
        media_metrics.REFUSED.labels(refusal.code).inc()
        log.info("ingest.refused", code=refusal.code, reason=str(refusal), address=self.address)
        self._reason = refusal.title
        facts = msgspec.to_builtins(refusal.facts())
        self._write({"t": "refused", **facts, "code": refusal.code, "title": refusal.title})
        self._close(WSCloseCode.POLICY_VIOLATION, refusal.code)

    async def _see_off(self) -> None:
        """Wait a moment for the page's answer to the close, then let go of the connection."""
        if self in self._door._sockets:
            if self._paused:
                self._underlying.resume_reading()
            await asyncio.sleep(0)
            asyncio.get_running_loop().call_later(self._door.limits.closing_s, self._underlying.abort)

    def _send(self, frame: Any) -> None:
        if not self._closing:
            self._write(frame)

    def _write(self, frame: Any) -> None:
        self._transport.send(WSMsgType.TEXT, ENCODER.encode(frame))

    def _close(self, code: WSCloseCode, reason: str) -> None:
        self._closing = True
        self._waiting.put_nowait(None)
        self._transport.send_close(code, reason.encode())
