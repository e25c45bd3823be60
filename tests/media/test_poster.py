"""Posters: a frame of the channel's own picture, made seldom and within bounds."""

import asyncio
import subprocess

import msgspec
import pytest
from on_air import BRISK, on_stage, pushing, until

from laotie.media import ChannelUnknown, EncoderFailed, Limits
from laotie.media.encoder import find_ffmpeg
from laotie.media.poster import Studio


def size_of(picture: bytes) -> str:
    """What ffmpeg makes of the file, as `180x320`."""
    command = [find_ffmpeg(), "-v", "error", "-xerror", "-f", "mjpeg", "-i", "pipe:0", "-f", "rawvideo"]
    raw = subprocess.run([*command, "-pix_fmt", "gray", "pipe:1"], input=picture, capture_output=True, check=True)
    told = subprocess.run([find_ffmpeg(), "-f", "mjpeg", "-i", "pipe:0"], input=picture, capture_output=True)
    size = next(word for word in told.stderr.decode().replace(",", " ").split() if word[:2].isdigit() and "x" in word)
    width, height = map(int, size.split("x"))
    assert len(raw.stdout) == width * height
    return size


async def test_a_poster_is_made_of_the_picture_once_however_many_ask() -> None:
    async with on_stage() as stage, pushing(stage.url(), size="720x1280"):
        await until(lambda: stage.news == ["live"])
        first, *others = await asyncio.gather(*(stage.media.poster(stage.channel_id) for _ in range(5)))
        assert all(other is first for other in others)
        assert await asyncio.to_thread(size_of, first) == "540x960"
        assert await stage.media.poster(stage.channel_id) is first


async def test_a_stale_poster_gives_way_to_another() -> None:
    async with on_stage(msgspec.structs.replace(BRISK, poster_fresh_s=0.1)) as stage, pushing(stage.url()):
        await until(lambda: stage.news == ["live"])
        first = await stage.media.poster(stage.channel_id)
        assert await asyncio.to_thread(size_of, first) == "180x320"
        await asyncio.sleep(1.5)
        assert await stage.media.poster(stage.channel_id) != first


async def test_what_is_dark_or_over_or_only_sounds_has_no_poster() -> None:
    async with on_stage() as stage:
        with pytest.raises(ChannelUnknown):
            await stage.media.poster(stage.channel_id)
        async with pushing(stage.url(), video=("-vn",)):
            await until(lambda: stage.news == ["live"])
            with pytest.raises(ChannelUnknown):
                await stage.media.poster(stage.channel_id)
            stage.media.end(stage.channel_id)
            with pytest.raises(ChannelUnknown):
                await stage.media.poster(stage.channel_id)


async def test_what_is_no_picture_is_refused_and_leaves_no_process() -> None:
    before = set(asyncio.all_tasks())
    with pytest.raises(EncoderFailed):
        await Studio(Limits()).develop(b"\0\0\0\x08moov" + b"x" * 100_000)
    slow = Studio(msgspec.structs.replace(BRISK, poster_s_max=0.001))
    with pytest.raises(EncoderFailed):
        await slow.develop(b"")
    assert set(asyncio.all_tasks()) == before
