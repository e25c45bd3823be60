"""RTMP without a network: bytes in, messages out, and back (Adobe's "Real Time Messaging Protocol", 1.0).

`ChunkReader` and `ChunkWriter` are the two directions of one connection after the handshake. The listener is
`gateway.rtmp`, the sender `media.sender`; both speak through this file.
"""

import os
from collections.abc import Iterator
from enum import IntEnum
from struct import pack

import msgspec

from laotie.media import amf
from laotie.media.model import MediaBroken

VERSION = 3
HANDSHAKE_BYTES = 1536
MESSAGE_BYTES_MAX = 4 * 1024 * 1024
PENDING_BYTES_MAX = 6 * 1024 * 1024
"""Over all half-read messages of one connection."""
CHUNK_BYTES_MAX = 1024 * 1024
CHUNK_STREAMS_MAX = 64
EXTENDED = 0xFFFFFF
WRAP = 1 << 32
LANES = {8: 4, 9: 6, 18: 5, 20: 3}
"""Chunk stream of audio, video, data and commands; control takes 2."""


class Kind(IntEnum):
    """Message types that mean something here."""

    SET_CHUNK_SIZE = 1
    ABORT = 2
    ACKNOWLEDGEMENT = 3
    USER_CONTROL = 4
    WINDOW_SIZE = 5
    PEER_BANDWIDTH = 6
    AUDIO = 8
    VIDEO = 9
    DATA_AMF3 = 15
    COMMAND_AMF3 = 17
    DATA = 18
    COMMAND = 20
    AGGREGATE = 22


class Message(msgspec.Struct, frozen=True):
    """One RTMP message; the timestamp is in ms and has been unwrapped past 32 bits."""

    kind: int
    timestamp: int
    stream_id: int
    payload: bytes


class Command(msgspec.Struct, frozen=True):
    """A remote call, or the answer to one."""

    name: str
    transaction: float
    arguments: list[amf.Value]

    def text(self, index: int) -> str:
        """The argument at `index` as text; empty when it is something else or not there."""
        value = self.arguments[index] if index < len(self.arguments) else None
        return value if isinstance(value, str) else ""

    def member(self, index: int, name: str) -> str:
        """A text member of the object at `index`; empty when it is something else or not there."""
        holder = self.arguments[index] if index < len(self.arguments) else None
        value = holder.get(name) if isinstance(holder, dict) else None
        return value if isinstance(value, str) else ""


def hello() -> bytes:
    """C0+C1, or S0+S1: version, zero time, random filling (the plain handshake; nobody needs the digested one)."""
    return bytes([VERSION]) + bytes(8) + os.urandom(HANDSHAKE_BYTES - 8)


def welcome(client_hello: bytes) -> bytes:
    """S0+S1+S2 in answer to C0+C1."""
    if len(client_hello) != 1 + HANDSHAKE_BYTES or client_hello[0] != VERSION:
        raise MediaBroken(reason="not an RTMP handshake")
    return hello() + client_hello[1:]


def command(message: Message) -> Command:
    """The command that a message carries."""
    # An AMF3 command is AMF0 behind one zero byte, in every encoder seen.
    values = amf.decode(message.payload[1:] if message.kind == Kind.COMMAND_AMF3 else message.payload)
    match values:
        case [str() as name, float() | int() as transaction, *arguments]:
            return Command(name, float(transaction), arguments)
    raise MediaBroken(reason="not a command")


def aggregated(message: Message) -> Iterator[Message]:
    """The messages inside an aggregate, their times moved to the aggregate's own."""
    data, at, first = message.payload, 0, None
    while at + 11 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        time = int.from_bytes(data[at + 4 : at + 7], "big") | data[at + 7] << 24
        first = time if first is None else first
        body = data[at + 11 : at + 11 + size]
        if len(body) < size:
            raise MediaBroken(reason="aggregate cut short")
        yield Message(data[at] & 0x1F, message.timestamp + time - first, message.stream_id, body)
        at += 11 + size + 4


class _Lane:
    """What a chunk stream remembers between its chunks."""

    __slots__ = ("body", "clock", "delta", "extended", "kind", "length", "stream_id", "wire")

    def __init__(self) -> None:
        self.wire = self.delta = self.length = self.kind = self.stream_id = 0
        self.clock: int | None = None
        """The message's time, unwrapped."""
        self.extended = False
        self.body = bytearray()


class ChunkReader:
    """Puts messages together out of interleaved chunks; memory is bounded by `PENDING_BYTES_MAX` and one read."""

    def __init__(self) -> None:
        self.received_bytes = 0
        self._buffer = bytearray()
        self._lanes: dict[int, _Lane] = {}
        self._chunk_bytes = 128
        self._pending = 0

    def feed(self, data: bytes) -> Iterator[Message]:
        """Give each message that is whole now; chunk sizes and aborts are obeyed and not given."""
        self.received_bytes += len(data)
        self._buffer += data
        at = 0
        try:
            while (read := self._chunk(at)) is not None:
                at, message = read
                if message is None:
                    continue
                if message.kind == Kind.SET_CHUNK_SIZE:
                    self._chunk_bytes = _number(message.payload)
                    if not 1 <= self._chunk_bytes <= CHUNK_BYTES_MAX:
                        raise MediaBroken(reason=f"chunk size {self._chunk_bytes}")
                elif message.kind == Kind.ABORT:
                    self._abort(_number(message.payload))
                else:
                    yield message
        finally:
            del self._buffer[:at]

    def _chunk(self, at: int) -> tuple[int, Message | None] | None:
        """The chunk at `at`: where it ends, and the message if it was its last; nothing if it isn't whole yet."""
        buffer, end = self._buffer, len(self._buffer)
        if at >= end:
            return None
        form, lane_id = buffer[at] >> 6, buffer[at] & 0x3F
        at += 1
        if lane_id < 2:
            if at + lane_id + 1 > end:
                return None
            lane_id, at = 64 + int.from_bytes(buffer[at : at + lane_id + 1], "little"), at + lane_id + 1
        header = (11, 7, 3, 0)[form]
        if at + header > end:
            return None
        lane = self._lanes.get(lane_id)
        if lane is None:
            if form == 3 or len(self._lanes) >= CHUNK_STREAMS_MAX:
                raise MediaBroken(reason="chunk of an unknown stream" if form == 3 else "too many chunk streams")
            lane = self._lanes[lane_id] = _Lane()
        if form < 3 and lane.body:
            raise MediaBroken(reason="message begun inside another")

        short = int.from_bytes(buffer[at : at + 3], "big") if form < 3 else 0
        extended = short == EXTENDED if form < 3 else lane.extended
        length = int.from_bytes(buffer[at + 3 : at + 6], "big") if form < 2 else lane.length
        if length > MESSAGE_BYTES_MAX:
            raise MediaBroken(reason=f"message of {length} bytes")
        body_at = at + header
        if extended:
            if body_at + 4 > end:
                return None
            # Some encoders leave the extended field out of form 3 chunks: it is there only if it repeats the time.
            time = int.from_bytes(buffer[body_at : body_at + 4], "big")
            if form < 3 or time == lane.wire:
                body_at += 4
        else:
            time = short
        size = min(self._chunk_bytes, length - len(lane.body))
        if body_at + size > end:
            return None

        if form < 3:
            lane.extended, lane.wire = extended, time
            if form < 2:
                lane.length, lane.kind = length, buffer[at + 6]
            if form == 0:
                lane.stream_id = int.from_bytes(buffer[at + 7 : at + 11], "little")
        if not lane.body:
            self._start(lane, form, time)
        self._pending += size
        if self._pending > PENDING_BYTES_MAX:
            raise MediaBroken(reason="too much unfinished")
        lane.body += buffer[body_at : body_at + size]
        if len(lane.body) < length:
            return body_at + size, None
        message = Message(lane.kind, lane.clock or 0, lane.stream_id, bytes(lane.body))
        self._pending -= len(lane.body)
        lane.body = bytearray()
        return body_at + size, message

    @staticmethod
    def _start(lane: _Lane, form: int, time: int) -> None:
        """Set the time of the message that begins: absolute in form 0, a step in 1 and 2, the same step again in 3."""
        if form == 0:
            lane.delta = 0
            lane.clock = time if lane.clock is None else unwrapped(time, near=lane.clock)
            return
        if form < 3:
            lane.delta = time
        lane.clock = (lane.clock or 0) + lane.delta

    def _abort(self, lane_id: int) -> None:
        lane = self._lanes.get(lane_id)
        if lane is not None:
            self._pending -= len(lane.body)
            lane.body = bytearray()


def unwrapped(time: int, *, near: int) -> int:
    """The instant with these low 32 bits that lies closest to `near`, never below zero."""
    guess = near - near % WRAP + time
    nearest = min((guess - WRAP, guess, guess + WRAP), key=lambda instant: abs(instant - near))
    return nearest if nearest >= 0 else nearest + WRAP


class ChunkWriter:
    """Cuts messages into chunks; one lane for control, one for commands, one a kind of media."""

    def __init__(self) -> None:
        self._chunk_bytes = 128

    def message(self, kind: int, payload: bytes, *, timestamp: int = 0, stream_id: int = 0) -> bytes:
        """One message as chunks: a full header, then continuations."""
        lane = LANES.get(kind, 2)
        time = timestamp % WRAP
        far = pack(">I", time) if time >= EXTENDED else b""
        head = pack(">B", lane) + min(time, EXTENDED).to_bytes(3, "big") + len(payload).to_bytes(3, "big")
        head += bytes([kind]) + stream_id.to_bytes(4, "little") + far
        size = self._chunk_bytes
        parts = [head, payload[:size]]
        for at in range(size, len(payload), size):
            parts += [bytes([0xC0 | lane]) + far, payload[at : at + size]]
        return b"".join(parts)

    def chunk_size(self, size: int) -> bytes:
        """Announce larger chunks and use them from here on."""
        announcement = self.message(Kind.SET_CHUNK_SIZE, pack(">I", size))
        self._chunk_bytes = size
        return announcement

    def command(self, name: str, transaction: float, *arguments: amf.Value, stream_id: int = 0) -> bytes:
        """A command or an answer."""
        return self.message(Kind.COMMAND, amf.encode(name, transaction, *arguments), stream_id=stream_id)

    def status(self, code: str, description: str, *, stream_id: int, level: str = "status") -> bytes:
        """What happened to a stream (`onStatus`)."""
        facts: dict[str, amf.Value] = {"level": level, "code": code, "description": description}
        return self.command("onStatus", 0, None, facts, stream_id=stream_id)


def _number(payload: bytes) -> int:
    if len(payload) < 4:
        raise MediaBroken(reason="control message cut short")
    return int.from_bytes(payload[:4], "big")
