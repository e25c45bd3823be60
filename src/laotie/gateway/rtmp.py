"""The door for encoders: an RTMP listener that asks who may publish and hands the media to the media server.

`rtmp://host:1935/live/<stream key>`, as OBS has it, or `rtmp://host:1935/live/<room>?key=<key>`, as servers with hooks
have it. Nothing can be played here. Bytes are `media.rtmp`'s, pictures `media`'s, permission `authorize`'s.
"""

import asyncio
import contextlib
import time
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import Awaitable, Callable
from struct import pack
from typing import Self
from urllib.parse import parse_qs

import msgspec

from laotie.base.logs import log, mask
from laotie.base.refusals import Forbidden, Refusal, TooBusy
from laotie.media import Action, Door, Grant, MediaBroken, MediaServer, Rejection, RtmpFeed, amf, metrics, rtmp
from laotie.media.rtmp import HANDSHAKE_BYTES, ChunkReader, ChunkWriter, Command, Kind, Message

Authorize = Callable[[Action, str, str, str], Awaitable[Grant]]
"""May this key publish here: `authorize(action, room, key, address)`; the room is empty when the key alone tells it.
Raises a `Refusal` when not."""

Rejected = Callable[[Rejection], Awaitable[None]]
"""Told of every encoder that was refused or sent away."""

STREAM = 1
WINDOW_BYTES = 2_500_000
CHUNK_BYTES = 4096


class RtmpLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Every bound of the listener."""

    app: str = "live"
    connections_max: int = 256
    connections_per_address_max: int = 32
    read_bytes: int = 64 * 1024
    publish_s_max: float = 10.0
    """From connecting to publishing, handshake and permission included."""
    silence_s_max: float = 15.0
    """A publisher without a whole media message for this long is gone."""
    write_s_max: float = 5.0
    refusal_pause_s: float = 1.0
    """Before a wrong key is answered: guessing is slow."""
    key_characters_max: int = 256


class WrongKey(Forbidden, code="wrong-stream-key"):
    """This stream key is not valid."""


class RtmpDoor:
    """The listening socket and its connections; `async with RtmpDoor(...)`, or `start` and `stop`."""

    def __init__(
        self,
        media: MediaServer,
        authorize: Authorize,
        *,
        host: str = "0.0.0.0",  # noqa: S104  encoders come from outside
        port: int = 1935,
        limits: RtmpLimits | None = None,
        on_rejected: Rejected | None = None,
    ) -> None:
        self._on_rejected = on_rejected
        self._media = media
        self._authorize = authorize
        self._host = host
        self._limits = limits or RtmpLimits()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._addresses: Counter[str] = Counter()
        self.port = port
        """Zero takes a free one; afterwards the one taken."""

    async def start(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._serve, self._host, self.port, limit=self._limits.read_bytes)
        self.port = self._server.sockets[0].getsockname()[1]
        log.info("rtmp.listening", host=self._host, port=self.port)

    async def stop(self) -> None:
        """Stop listening and close every connection; their channels get their grace time."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """One connection, from accept to close; whatever it does stays its own affair."""
        task = asyncio.current_task()
        assert task is not None
        address = str((writer.get_extra_info("peername") or ("unknown",))[0])
        full = len(self._connections) >= self._limits.connections_max
        if full or self._addresses[address] >= self._limits.connections_per_address_max:
            metrics.REFUSED.labels(TooBusy.code).inc()
            writer.transport.abort()
            return
        self._connections.add(task)
        self._addresses[address] += 1
        try:
            connection = _Connection(self._media, self._authorize, self._limits, reader, writer, address)
            rejection = await connection.run()
            if rejection is not None and self._on_rejected is not None:
                await self._on_rejected(rejection)
        except (OSError, asyncio.IncompleteReadError):
            pass  # gone without a word
        except asyncio.CancelledError:
            if self._server is not None and self._server.is_serving():
                raise
        except Exception:
            log.exception("rtmp.failed", address=address)
        finally:
            self._connections.discard(task)
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]
            writer.transport.abort()


class _Connection:
    """One encoder: handshake, commands, then media until either side has had enough."""

    def __init__(
        self,
        media: MediaServer,
        authorize: Authorize,
        limits: RtmpLimits,
        reader: StreamReader,
        writer: StreamWriter,
        address: str,
    ) -> None:
        self._media = media
        self._authorize = authorize
        self._limits = limits
        self._reader = reader
        self._writer = writer
        self._address = address
        self._chunks = ChunkReader()
        self._answers = ChunkWriter()
        self._window = WINDOW_BYTES
        self._acknowledged = 0
        self._grant: Grant | None = None
        self._feed: RtmpFeed | None = None
        self._key = ""
        self._reason = "the encoder disconnected"
        self._media_at = time.monotonic()
        self._done = False

    async def run(self) -> Rejection | None:
        """Serve the connection to its end, and say why it ended where that is not the encoder's own wish."""
        try:
            async with asyncio.timeout(self._limits.publish_s_max):
                await self._handshake()
                while self._feed is None and not self._done:
                    await self._turn()
            while not self._done:
                silent_s = time.monotonic() - self._media_at
                async with asyncio.timeout(max(0.01, self._limits.silence_s_max - silent_s)):
                    await self._turn()
        except TimeoutError:
            self._reason = "the encoder fell silent" if self._feed else "nothing was published in time"
            log.info("rtmp.timeout", address=self._address, reason=self._reason)
        except Refusal as refusal:
            self._reason = refusal.title
            await self._refuse(refusal)
            return Rejection(
                door=Door.RTMP,
                address=self._address,
                refusal=refusal,
                channel_id=self._grant.channel_id if self._grant is not None else None,
                key=self._key,
            )
        finally:
            if self._feed is not None and self._grant is not None:
                await asyncio.shield(self._media.leave(self._grant.channel_id, self._feed, self._reason))
        return None

    async def _handshake(self) -> None:
        self._writer.write(rtmp.welcome(await self._reader.readexactly(1 + HANDSHAKE_BYTES)))
        await self._reader.readexactly(HANDSHAKE_BYTES)

    async def _turn(self) -> None:
        """Read once and act on every message that is whole."""
        data = await self._reader.read(self._limits.read_bytes)
        if not data:
            self._done = True
            return
        for message in self._chunks.feed(data):
            await self._act(message)
            if self._done:
                return
        if self._chunks.received_bytes - self._acknowledged >= self._window // 2:
            self._acknowledged = self._chunks.received_bytes
            received = pack(">I", self._acknowledged & 0xFFFFFFFF)
            await self._answer(self._answers.message(Kind.ACKNOWLEDGEMENT, received))

    async def _act(self, message: Message) -> None:
        match message.kind:
            case Kind.AUDIO | Kind.VIDEO | Kind.DATA:
                await self._take(message)
            case Kind.AGGREGATE:
                for one in rtmp.aggregated(message):
                    await self._take(one)
            case Kind.DATA_AMF3:
                await self._take(msgspec.structs.replace(message, kind=Kind.DATA, payload=message.payload[1:]))
            case Kind.COMMAND | Kind.COMMAND_AMF3:
                await self._obey(rtmp.command(message), message.stream_id)
            case Kind.WINDOW_SIZE if len(message.payload) >= 4:
                self._window = min(max(int.from_bytes(message.payload[:4], "big"), 4096), WINDOW_BYTES)
            case Kind.USER_CONTROL if message.payload[:2] == b"\0\x06":  # a ping: the pong carries its time back
                await self._answer(self._answers.message(Kind.USER_CONTROL, b"\0\x07" + message.payload[2:6]))

    async def _take(self, message: Message) -> None:
        if self._feed is None or message.kind not in (Kind.AUDIO, Kind.VIDEO, Kind.DATA):
            return
        payload = message.payload
        if message.kind == Kind.DATA and payload.startswith(b"\x02\0\x0d@setDataFrame"):
            payload = payload[16:]
        await self._feed.take(message.kind, message.timestamp, payload)
        self._media_at = time.monotonic()

    async def _obey(self, command: Command, stream_id: int) -> None:
        match command.name:
            case "connect":
                await self._connect(command)
            case "createStream":
                await self._answer(self._answers.command("_result", command.transaction, None, STREAM))
            case "releaseStream" | "FCPublish":
                await self._answer(self._answers.command("_result", command.transaction, None, None))
            case "publish":
                await self._publish(command, stream_id or STREAM)
            case "FCUnpublish" | "deleteStream" | "closeStream":
                self._done = self._feed is not None
                self._reason = "the encoder stopped"
            case "play" | "play2":
                raise WrongKey()

    async def _connect(self, command: Command) -> None:
        app = command.member(0, "app").strip("/").partition("?")[0]
        if app != self._limits.app:
            description = f"Publish under /{self._limits.app}."
            facts: dict[str, amf.Value] = {"level": "error", "code": "NetConnection.Connect.InvalidApp"}
            facts["description"] = description
            await self._answer(self._answers.command("_error", command.transaction, None, facts))
            self._done = True
            return
        await self._answer(
            self._answers.message(Kind.WINDOW_SIZE, pack(">I", WINDOW_BYTES))
            + self._answers.message(Kind.PEER_BANDWIDTH, pack(">IB", WINDOW_BYTES, 2))
            + self._answers.chunk_size(CHUNK_BYTES)
            + self._answers.command(
                "_result",
                command.transaction,
                {"fmsVer": "FMS/3,0,1,123", "capabilities": 31.0},
                {
                    "level": "status",
                    "code": "NetConnection.Connect.Success",
                    "description": "Connection succeeded.",
                    "objectEncoding": 0.0,
                },
            )
        )

    async def _publish(self, command: Command, stream_id: int) -> None:
        """Ask for permission, take the channel, say that it has started."""
        if self._feed is not None:
            raise MediaBroken(reason="published twice on one connection")
        name, _, query = command.text(1).partition("?")
        asked = parse_qs(query, max_num_fields=8) if query else {}
        room, self._key = (name, asked["key"][0]) if "key" in asked else ("", name)
        if not 0 < len(self._key) <= self._limits.key_characters_max or len(room) > self._limits.key_characters_max:
            raise WrongKey()
        self._grant = await self._authorize(Action.PUBLISH, room, self._key, self._address)
        self._feed = self._media.admit(self._grant.channel_id, on_cut=self._cut)
        self._media_at = time.monotonic()
        log.info(
            "rtmp.publishing",
            channel_id=str(self._grant.channel_id),
            stream_key=self._key,
            address=self._address,
        )
        began = self._answers.message(Kind.USER_CONTROL, pack(">HI", 0, stream_id))
        started = self._answers.status("NetStream.Publish.Start", "Publishing.", stream_id=stream_id)
        await self._answer(began + started)

    def _cut(self, reason: str) -> None:
        """The server sends this encoder away: say so, let the reader find the end."""
        self._reason, self._done = reason, True
        with contextlib.suppress(OSError, RuntimeError):
            self._writer.write(
                self._answers.status("NetStream.Publish.Denied", reason, stream_id=STREAM, level="error")
            )
        self._reader.feed_eof()

    async def _refuse(self, refusal: Refusal) -> None:
        metrics.REFUSED.labels(refusal.code).inc()
        log.info("rtmp.refused", code=refusal.code, reason=str(refusal), key=mask(self._key), address=self._address)
        if isinstance(refusal, Forbidden):
            await asyncio.sleep(self._limits.refusal_pause_s)
        code = "NetStream.Publish.Failed" if self._feed is not None else "NetStream.Publish.BadName"
        with contextlib.suppress(OSError, TimeoutError):
            await self._answer(self._answers.status(code, str(refusal), stream_id=STREAM, level="error"))
            self._writer.write_eof()
            async with asyncio.timeout(self._limits.refusal_pause_s):  # an abort at once would lose the answer
                while await self._reader.read(self._limits.read_bytes):
                    pass

    async def _answer(self, data: bytes) -> None:
        self._writer.write(data)
        async with asyncio.timeout(self._limits.write_s_max):
            await self._writer.drain()
