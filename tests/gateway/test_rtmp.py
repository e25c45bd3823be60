"""The RTMP door: who gets in, who is sent away, and what hostile bytes do (nothing)."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from struct import pack
from uuid import uuid4

import msgspec
import pytest
import structlog

sys.path.insert(0, str(Path(__file__).parent.parent / "media"))

from on_air import BRISK, KEY, on_stage, pushing, until

from laotie.gateway.rtmp import RtmpLimits
from laotie.media import ChannelId, EncoderFailed, rtmp
from laotie.media.encoder import find_ffmpeg
from laotie.media.rtmp import ChunkReader, ChunkWriter, Kind
from laotie.media.sender import send

OTHER = "another-room-key-0123456789"
QUICK = RtmpLimits(refusal_pause_s=0.05, publish_s_max=0.5, silence_s_max=1.0)


async def shake(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection after the handshake."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(rtmp.hello() + bytes(1536))
    await reader.readexactly(1 + 2 * 1536)
    return reader, writer


async def closed(reader: asyncio.StreamReader, *, within_s: float = 3) -> bytes:
    """What still comes before the server closes, which it must."""
    async with asyncio.timeout(within_s):
        try:
            return await reader.read(-1)
        except ConnectionError:
            return b""


def opening(key: str = KEY) -> bytes:
    """connect, createStream, publish."""
    chunks = ChunkWriter()
    return (
        chunks.command("connect", 1, {"app": "live"})
        + chunks.command("createStream", 2, None)
        + chunks.command("publish", 3, None, key, "live", stream_id=1)
    )


async def test_a_wrong_key_is_refused_and_logged_masked() -> None:
    with structlog.testing.capture_logs() as lines:
        async with on_stage() as stage:
            async with pushing(stage.url("wrong-key-with-secrets")) as encoder:
                await until(lambda: encoder.poll() is not None)
            assert encoder.returncode != 0
            assert stage.media.find_state(stage.channel_id) is None
            assert stage.news == []
    refused = [line for line in lines if line["event"] == "rtmp.refused"]
    assert [(line["code"], line["key"]) for line in refused] == [("wrong-stream-key", "wro…")]
    assert "secrets" not in str(refused)


async def test_the_refusal_names_the_reason_to_the_encoder() -> None:
    async with on_stage() as stage:
        reader, writer = await shake(stage.door.port)
        writer.write(opening("nonsense"))
        answers = [rtmp.command(one) for one in ChunkReader().feed(await closed(reader)) if one.kind == Kind.COMMAND]
        assert [(answer.name, answer.member(1, "code")) for answer in answers] == [
            ("_result", "NetConnection.Connect.Success"),
            ("_result", ""),
            ("onStatus", "NetStream.Publish.BadName"),
        ]
        assert "wrong-stream-key" in answers[2].member(1, "description")
        writer.close()


async def test_a_second_encoder_on_the_key_is_refused_and_the_first_goes_on() -> None:
    async with on_stage() as stage, pushing(stage.url()) as first:
        await until(lambda: stage.news == ["live"])
        async with pushing(stage.url()) as second:
            await until(lambda: second.poll() is not None)
        assert first.poll() is None
        assert stage.news == ["live"]


async def test_an_encoder_that_went_silent_gives_way_to_its_return() -> None:
    limits = RtmpLimits(refusal_pause_s=0.05, silence_s_max=30)
    async with on_stage(msgspec.structs.replace(BRISK, takeover_s=0.5), limits) as stage:
        reader, writer = await shake(stage.door.port)
        writer.write(opening())
        await until(lambda: stage.media.find_state(stage.channel_id) is not None)
        await asyncio.sleep(0.6)
        async with pushing(stage.url()):
            assert b"took over" in await closed(reader)
            await until(lambda: stage.news == ["live"])
        writer.close()


async def test_room_and_key_may_be_given_apart() -> None:
    async with on_stage() as stage, pushing(stage.url(f"room-7?key={KEY}")):
        await until(lambda: stage.news == ["live"])
        assert stage.asked == [("publish", "room-7", "127.0.0.1")]


FOREIGN = {
    "hevc": (
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-x265-params",
        "keyint=25:log-level=none:pools=1",
        "-b:v",
        "200k",
    ),
    "h263": ("-c:v", "flv1", "-g", "25", "-b:v", "200k"),
    "vp9": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "25", "-b:v", "200k"),
    "av1": ("-c:v", "libsvtav1", "-preset", "12", "-g", "25", "-svtav1-params", "lp=1:pred-struct=1"),
    "h264-422": ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-profile:v", "high422", "-pix_fmt", "yuv422p"),
}


@pytest.mark.parametrize(
    "codec",
    [codec if codec in ("hevc", "h264-422") else pytest.param(codec, marks=pytest.mark.prove) for codec in FOREIGN],
)
async def test_what_phones_do_not_play_is_transcoded(codec: str) -> None:
    """Enhanced RTMP (HEVC, AV1, VP9), Flash's H.263, H.264 in a profile for studios."""
    async with on_stage() as stage, pushing(stage.url(), video=FOREIGN[codec]):
        await until(lambda: stage.news == ["live"])
        master = (await stage.get("master.m3u8")).decode()
        assert re.search(r'CODECS="avc1\.64[0-9a-f]{4},mp4a\.40\.2",RESOLUTION=180x320', master)
        assert stage.media.stats(stage.channel_id).transcoding


@pytest.mark.parametrize("sound", ["libmp3lame", "libopus"])
async def test_sound_that_is_not_aac_is_transcoded_and_the_picture_copied(sound: str) -> None:
    async with on_stage() as stage, pushing(stage.url(), sound=sound):
        await until(lambda: stage.news == ["live"])
        assert 'mp4a.40.2"' in (await stage.get("master.m3u8")).decode()
        assert not stage.media.stats(stage.channel_id).transcoding


async def test_what_nothing_here_can_read_is_refused_by_name() -> None:
    """Codec 12: some encoders' own idea of HEVC in FLV."""
    async with on_stage() as stage:
        reader, writer = await shake(stage.door.port)
        writer.write(opening() + ChunkWriter().message(9, b"\x1c\0\0\0\0" + bytes(40), stream_id=1))
        answers = [rtmp.command(one) for one in ChunkReader().feed(await closed(reader)) if one.kind == Kind.COMMAND]
        assert answers[-1].member(1, "code") == "NetStream.Publish.Failed"
        assert "codec-unsupported" in answers[-1].member(1, "description")
        assert "hevc" in answers[-1].member(1, "description")
        writer.close()


async def test_a_revoked_key_sends_the_encoder_away_at_once() -> None:
    async with on_stage() as stage, pushing(stage.url()) as encoder:
        await until(lambda: stage.news == ["live"])
        del stage.keys[KEY]
        stage.media.cut(stage.channel_id, "the key was revoked")
        await until(lambda: encoder.poll() is not None and stage.news == ["live", "away"])


async def test_what_stays_silent_is_closed_in_time() -> None:
    async with on_stage(rtmp_limits=QUICK) as stage:
        reader, writer = await asyncio.open_connection("127.0.0.1", stage.door.port)
        assert await closed(reader, within_s=2) == b""
        writer.close()
        reader, writer = await shake(stage.door.port)
        assert await closed(reader, within_s=2) == b""
        writer.close()
        reader, writer = await shake(stage.door.port)
        writer.write(opening())
        await closed(reader, within_s=3)
        writer.close()


async def test_trickling_bytes_do_not_keep_a_connection_open() -> None:
    async with on_stage(rtmp_limits=QUICK) as stage:
        reader, writer = await shake(stage.door.port)
        writer.write(opening())
        ending = asyncio.create_task(closed(reader, within_s=4))
        while not ending.done():
            writer.write(ChunkWriter().message(Kind.ACKNOWLEDGEMENT, pack(">I", 1)))
            await asyncio.sleep(0.05)
        writer.close()


@pytest.mark.parametrize(
    "wire",
    [
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\n" + b"x" * 4000,
        b"\x16\x03\x01" + os.urandom(3000),
        rtmp.hello() + bytes(1536) + os.urandom(5000),
        rtmp.hello() + bytes(1536) + b"\x06\0\0\0\xff\xff\xff\x09\1\0\0\0" + bytes(100_000),
        rtmp.hello() + bytes(1536) + ChunkWriter().message(Kind.COMMAND, b"\x02\0\x07connect"),
        rtmp.hello() + bytes(1536) + ChunkWriter().message(Kind.COMMAND, b"\xff" * 50),
        rtmp.hello() + bytes(1536) + ChunkWriter().command("publish", 1, None, "k" * 100_000, "live"),
        rtmp.hello() + bytes(1536) + ChunkWriter().command("publish", 1, None, {"no": "text"}),
        rtmp.hello() + bytes(1536) + ChunkWriter().command("play", 1, None, KEY),
        rtmp.hello() + bytes(1536) + ChunkWriter().command("connect", 1, {"app": "elsewhere"}),
        rtmp.hello() + bytes(1536) + opening(OTHER) + opening(OTHER),
        rtmp.hello()
        + bytes(1536)
        + opening(OTHER)
        + ChunkWriter().message(9, b"", stream_id=1)
        + ChunkWriter().message(9, b"\x17"),
        rtmp.hello() + bytes(1536) + opening(OTHER) + ChunkWriter().message(Kind.AGGREGATE, b"\x09" * 40, stream_id=1),
    ],
)
async def test_hostile_bytes_close_their_own_connection_only(wire: bytes) -> None:
    with structlog.testing.capture_logs() as lines:
        async with on_stage(rtmp_limits=QUICK) as stage, pushing(stage.url()):
            await until(lambda: stage.news == ["live"])
            stage.keys[OTHER] = ChannelId(uuid4())
            reader, writer = await asyncio.open_connection("127.0.0.1", stage.door.port)
            writer.write(wire)
            await closed(reader)
            writer.close()
            assert stage.media.find_state(stage.channel_id) == "live"
    assert not [line for line in lines if line["log_level"] in ("error", "critical")]


async def test_connections_are_limited_and_come_free_again() -> None:
    limits = RtmpLimits(connections_max=4, connections_per_address_max=3, publish_s_max=20)
    async with on_stage(rtmp_limits=limits) as stage:
        held = [await shake(stage.door.port) for _ in range(3)]
        reader, fourth = await asyncio.open_connection("127.0.0.1", stage.door.port)
        assert await closed(reader) == b""
        fourth.close()
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.1)
        _, writer = await shake(stage.door.port)
        writer.close()


async def test_our_own_sender_is_an_encoder_like_any_other() -> None:
    async with on_stage() as stage:
        process = await asyncio.create_subprocess_exec(
            *(find_ffmpeg(), "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=s=90x160:r=25:d=3"),
            *("-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p", "-f", "flv", "-"),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        sound = process.stdout

        async def pieces() -> AsyncIterator[bytes]:
            while data := await sound.read(4096):
                yield data

        await send(f"rtmp://127.0.0.1:{stage.door.port}/live", KEY, pieces())
        await process.wait()
        await until(lambda: stage.news == ["live", "away"])

        async def nothing() -> AsyncIterator[bytes]:
            yield b"FLV"

        with pytest.raises(EncoderFailed, match="wrong-stream-key"):
            await send(f"rtmp://127.0.0.1:{stage.door.port}/live", "guess", nothing())
