"""Sends a stream of FLV to an RTMP server, as an encoder does (the demonstration shows; later, restreaming).

ffmpeg could do it, but only with the stream key in its arguments, where every user of the machine reads it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from laotie.media import rtmp
from laotie.media.model import EncoderFailed, MediaBroken
from laotie.media.rtmp import HANDSHAKE_BYTES, ChunkReader, ChunkWriter, Kind

CONNECT_S_MAX = 10.0
WRITE_S_MAX = 10.0
CHUNK_BYTES = 16 * 1024
TAG_BYTES_MAX = rtmp.MESSAGE_BYTES_MAX
STREAM = 1


async def send(url: str, key: str, pieces: AsyncIterator[bytes]) -> None:
    """Publish FLV, given in pieces of any size, under `url` and `key` until it ends or the server closes.

    Raises `EncoderFailed` with the server's reason when it refuses.
    """
    address = urlsplit(url)
    if address.scheme != "rtmp" or not address.hostname:
        raise EncoderFailed(reason="not an rtmp:// address")
    async with asyncio.timeout(CONNECT_S_MAX):
        reader, writer = await asyncio.open_connection(address.hostname, address.port or 1935)
    listening: asyncio.Task[None] | None = None
    try:
        chunks, answers = ChunkWriter(), ChunkReader()
        async with asyncio.timeout(CONNECT_S_MAX):
            await _publish(reader, writer, chunks, answers, url, address.path.strip("/"), key)
        listening = asyncio.create_task(_until_refused(reader, answers))
        async for kind, timestamp, payload in tags(pieces):
            if listening.done():
                break
            writer.write(chunks.message(kind, payload, timestamp=timestamp, stream_id=STREAM))
            async with asyncio.timeout(WRITE_S_MAX):
                await writer.drain()
        if listening.done():
            listening.result()
        writer.write(chunks.command("deleteStream", 5, None, STREAM))
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError) as failure:
        raise EncoderFailed(reason=f"connection lost: {failure}") from failure
    finally:
        if listening is not None:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def tags(pieces: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, int, bytes]]:
    """(kind, time in ms, payload) of every tag in a stream of FLV."""
    buffer, began = bytearray(), False
    async for piece in pieces:
        buffer += piece
        if not began:
            if len(buffer) < 13:
                continue
            if buffer[:3] != b"FLV":
                raise MediaBroken(reason="not FLV")
            del buffer[:13]
            began = True
        at = 0
        while at + 11 <= len(buffer):
            size = int.from_bytes(buffer[at + 1 : at + 4], "big")
            if size > TAG_BYTES_MAX:
                raise MediaBroken(reason=f"tag of {size} bytes")
            end = at + 11 + size
            if end + 4 > len(buffer):
                break
            timestamp = int.from_bytes(buffer[at + 4 : at + 7], "big") | buffer[at + 7] << 24
            yield buffer[at] & 0x1F, timestamp, bytes(buffer[at + 11 : end])
            at = end + 4
        del buffer[:at]


async def _publish(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    chunks: ChunkWriter,
    answers: ChunkReader,
    url: str,
    app: str,
    key: str,
) -> None:
    """Handshake, connect, createStream, publish; returns when the server said that publishing has started."""
    writer.write(rtmp.hello())
    theirs = await reader.readexactly(1 + 2 * HANDSHAKE_BYTES)
    writer.write(theirs[1 : 1 + HANDSHAKE_BYTES] + chunks.chunk_size(CHUNK_BYTES))
    writer.write(chunks.command("connect", 1, {"app": app, "type": "nonprivate", "flashVer": "Laotie", "tcUrl": url}))
    while data := await reader.read(65536):
        for message in answers.feed(data):
            if message.kind != Kind.COMMAND:
                continue
            answer = rtmp.command(message)
            if answer.name == "_result" and answer.transaction == 1:
                writer.write(chunks.command("createStream", 2, None))
            elif answer.name == "_result" and answer.transaction == 2:
                writer.write(chunks.command("publish", 3, None, key, "live", stream_id=STREAM))
            elif answer.member(1, "code") == "NetStream.Publish.Start":
                return
            else:
                _check(answer)
    raise EncoderFailed(reason="the server closed the connection")


async def _until_refused(reader: asyncio.StreamReader, answers: ChunkReader) -> None:
    """Read what the server says while media flows; raises what it refuses with."""
    while data := await reader.read(65536):
        for message in answers.feed(data):
            if message.kind == Kind.COMMAND:
                _check(rtmp.command(message))
    raise EncoderFailed(reason="the server closed the connection")


def _check(answer: rtmp.Command) -> None:
    if answer.name == "_error" or answer.member(1, "level") == "error":
        raise EncoderFailed(reason=answer.member(1, "description") or answer.member(1, "code") or "refused")
