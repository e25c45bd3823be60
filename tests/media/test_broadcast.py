"""Whole broadcasts: a real ffmpeg pushes over RTMP, a player reads back."""

import asyncio
import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from on_air import BRISK, KEY, Stage, decode, exists, on_stage, pushing, stop_hard, until

from laotie.media import ChannelId, ChannelUnknown, EncoderFailed, FFmpegMissing, Limits, MediaServer, State
from laotie.media.encoder import Encoder, Recipe, find_ffmpeg, packaging_arguments


async def watch(stage: Stage, *, parts: int) -> tuple[bytes, list[tuple[int, int]]]:
    """Follow the live edge as a low-latency player does: init, then every part by blocking reload."""
    text = await stage.playlist()
    inits = re.findall(r'URI="(init\.\d+\.mp4)"', text)
    data = await stage.get(inits[0])
    seen: list[tuple[int, int]] = []
    while len(seen) < parts:
        for number, part in re.findall(r'#EXT-X-PART:[^\n]*URI="s(\d+)\.(\d+)\.m4s"', text):
            if (int(number), int(part)) not in seen and (seen or part == "0"):
                seen.append((int(number), int(part)))
                data += await stage.get(f"s{number}.{part}.m4s")
        number, part = seen[-1]
        text = (await stage.get("live.m3u8", _HLS_msn=str(number), _HLS_part=str(part + 1))).decode()
    return data, seen


async def test_a_pushed_stream_is_played_back_whole(tmp_path: Path) -> None:
    async with on_stage() as stage, pushing(stage.url()):
        await until(lambda: stage.news == ["live"])
        master = (await stage.get("master.m3u8")).decode()
        assert re.search(r'CODECS="avc1\.[0-9a-f]{6},mp4a\.40\.2",RESOLUTION=180x320', master)
        data, seen = await watch(stage, parts=20)
        numbers = [number for number, _ in seen]
        assert numbers == sorted(numbers) and len(set(seen)) == len(seen)
        pictures, sounds, times = await asyncio.to_thread(decode, data, tmp_path)
        assert pictures == pytest.approx(len(seen) * 5, abs=3)
        assert sounds == pytest.approx(pictures / 25 * 48000 / 1024, abs=12)
        assert all(0.03 < later - earlier < 0.05 for earlier, later in itertools.pairwise(times))

        stats = stage.media.stats(stage.channel_id)
        assert (stats.state, stats.width, stats.height, stats.key_frame_interval_s) == (State.LIVE, 180, 320, 1.0)
        await until(lambda: stage.media.stats(stage.channel_id).frames_per_s == pytest.approx(25, abs=4))
        assert 100_000 < stats.bits_per_s < 900_000
        assert stats.last_packet_age_s is not None and stats.last_packet_age_s < 1
        assert 0 < stats.memory_bytes < 5_000_000
        stage.media.end(stage.channel_id, "the show is over")
        await until(lambda: stage.news == ["live", "ended"])
        assert (await stage.playlist()).endswith("#EXT-X-ENDLIST\n")
        await until(lambda: stage.media.find_state(stage.channel_id) is None)
    with pytest.raises(ChannelUnknown):
        stage.media.stats(stage.channel_id)


async def test_sound_alone_is_broadcast_too() -> None:
    async with on_stage() as stage, pushing(stage.url(), video=("-vn",)):
        await until(lambda: stage.news == ["live"])
        assert 'CODECS="mp4a.40.2"' in (await stage.get("master.m3u8")).decode()


async def test_picture_without_sound_is_broadcast_too() -> None:
    async with on_stage() as stage, pushing(stage.url(), audio=False):
        await until(lambda: stage.news == ["live"])
        assert re.search(r'CODECS="avc1\.[0-9a-f]{6}"', (await stage.get("master.m3u8")).decode())


async def test_an_encoder_back_within_the_grace_time_continues_the_channel() -> None:
    async with on_stage() as stage:
        async with pushing(stage.url()):
            await until(lambda: stage.news == ["live"])
            await asyncio.sleep(1.5)
        await until(lambda: stage.news == ["live", "away"])
        assert stage.media.find_state(stage.channel_id) is State.AWAY
        before = await stage.playlist()
        async with pushing(stage.url()):
            await until(lambda: stage.news == ["live", "away", "back"])
            await asyncio.sleep(1.2)
            text = await stage.playlist()
            assert text.count("#EXT-X-DISCONTINUITY\n") == 1
            assert len(re.findall("#EXT-X-MAP", text)) == 2
            assert re.findall(r"MEDIA-SEQUENCE:\d+", before) == re.findall(r"MEDIA-SEQUENCE:\d+", text)
            clock = re.findall(r"DATE-TIME:(\S+)", text)
            assert clock == sorted(clock)
            assert stage.media.stats(stage.channel_id).interruptions == 1


async def test_an_encoder_that_stays_away_ends_the_channel() -> None:
    async with on_stage(msgspec.structs.replace(BRISK, grace_s=0.5)) as stage:
        async with pushing(stage.url()):
            await until(lambda: stage.news == ["live"])
        await until(lambda: stage.news == ["live", "away", "ended"])
        async with pushing(stage.url()):
            await until(lambda: stage.news == ["live", "away", "ended", "live"])


async def test_ffmpeg_killed_in_mid_show_is_replaced() -> None:
    async with on_stage() as stage, pushing(stage.url()):
        await until(lambda: stage.news == ["live"])
        channel = stage.media._channels[stage.channel_id]
        first = channel.encoder_pid
        assert first is not None
        stop_hard(first)
        await until(lambda: channel.encoder_pid not in (None, first))
        await until(lambda: channel.stats().encoder_restarts == 1)
        made = channel._packager.part_count
        await until(lambda: channel._packager.part_count > made + 3)
        assert "#EXT-X-DISCONTINUITY\n" in await stage.playlist()
        assert stage.news == ["live"]


async def test_no_ffmpeg_is_left_when_the_server_stops() -> None:
    async with on_stage() as stage, pushing(stage.url()):
        await until(lambda: stage.news == ["live"])
        pid = stage.media._channels[stage.channel_id].encoder_pid
        assert pid is not None and exists(pid)
    assert not exists(pid)
    assert stage.news[-1] == "ended"


def test_no_ffmpeg_is_left_when_the_server_is_killed() -> None:
    script = textwrap.dedent("""
        import asyncio
        from laotie.media import Limits
        from laotie.media.encoder import Encoder, Recipe, packaging_arguments

        async def main():
            encoder = await Encoder.start(packaging_arguments(Recipe(), Limits()), lambda data: None, Limits())
            await asyncio.sleep(0.5)
            print(encoder.pid, flush=True)
            await asyncio.sleep(60)

        asyncio.run(main())
    """)
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert exists(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while exists(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_ffmpeg_runs_within_bounds() -> None:
    limits = Limits(cpu_share_max=0.5, cpu_period_s=20, memory_bytes_max=2**30, niceness=7)
    encoder = await Encoder.start(packaging_arguments(Recipe(), limits), lambda data: None, limits)
    try:
        await asyncio.sleep(0.4)
        proc = Path(f"/proc/{encoder.pid}")
        bounds = {line[:26].strip(): line[26:].split() for line in (proc / "limits").read_text().splitlines()}
        assert bounds["Max address space"][0] == str(2**30)
        assert bounds["Max cpu time"][0] == "10"
        assert bounds["Max file size"][0] == bounds["Max core file size"][0] == "0"
        assert (proc / "stat").read_text().rpartition(")")[2].split()[16] == "7"
        assert "NoNewPrivs:\t1" in (proc / "status").read_text()
        environment = (proc / "environ").read_bytes()
        assert b"LAOTIE" not in environment and b"HOME" not in environment
    finally:
        await encoder.kill()


async def test_ffmpeg_that_does_not_read_is_killed_in_time() -> None:
    limits = Limits(write_s_max=0.3)
    encoder = await Encoder.start(packaging_arguments(Recipe(), limits), lambda data: None, limits)
    os.kill(encoder.pid, signal.SIGSTOP)
    with pytest.raises(EncoderFailed):
        for _ in range(100):
            await encoder.write(bytes(65536))
    assert not exists(encoder.pid)


async def test_ffmpeg_opens_nothing_but_its_pipes(tmp_path: Path) -> None:
    """A playlist in place of FLV must not make it read files or the network."""
    out: list[bytes] = []
    encoder = await Encoder.start(packaging_arguments(Recipe(), Limits()), out.append, Limits())
    with contextlib.suppress(EncoderFailed):
        await encoder.write(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\nhttp://127.0.0.1:1/\n" * 500)
    await encoder.finish()
    assert not out


def test_a_missing_ffmpeg_is_named() -> None:
    with pytest.raises(FFmpegMissing) as refused:
        find_ffmpeg("/nowhere/ffmpeg")
    assert refused.value.facts()["tried"] == ["/nowhere/ffmpeg"]


async def test_what_ffmpeg_cannot_read_ends_the_feed_and_not_the_server() -> None:
    limits = msgspec.structs.replace(
        BRISK, restarts_max=2, restart_pause_s=0.01, restart_pause_s_max=0.02, first_picture_s=1
    )
    async with MediaServer(limits) as media:
        feed = media.admit(ChannelId(uuid4()), on_cut=lambda reason: None)
        await feed.take(9, 0, b"\x17\0\0\0\0" + b"\xff" * 40)
        await feed.take(8, 0, b"\xaf\0\x11\x90")
        with pytest.raises(EncoderFailed):
            for turn in range(2000):
                await feed.take(9, turn * 40, b"\x17\x01\0\0\0" + b"\x80" * 2000)
                await asyncio.sleep(0.01)


async def test_memory_stays_bounded_when_nobody_reads_and_when_a_player_never_finishes() -> None:
    limits = msgspec.structs.replace(BRISK, window_s=3, waiters_max=50)
    async with on_stage(limits) as stage, pushing(stage.url(), size="360x640"):
        await until(lambda: stage.news == ["live"])
        far = [
            asyncio.create_task(stage.media.playback(stage.channel_id, "live.m3u8", {"_HLS_msn": str(number)}))
            for number in [stage.media._channels[stage.channel_id]._packager.next[0] + 2] * 200
        ]
        await asyncio.sleep(0.05)
        refused = [task for task in far if task.done()]
        assert len(refused) == 150 and {task.result().status for task in refused} == {503}
        sizes = []
        for _ in range(14):
            await asyncio.sleep(0.5)
            sizes.append(stage.media.stats(stage.channel_id).memory_bytes)
        assert max(sizes[8:]) < 1.5 * max(sizes[4:8])
        assert len(stage.media._channels[stage.channel_id]._packager.inits) == 1
        await asyncio.gather(*far)


async def test_a_listener_that_fails_does_not_stop_the_news() -> None:
    stage = Stage()
    failures = 0

    async def failing(change: object) -> None:
        nonlocal failures
        failures += 1
        raise ValueError("not today")

    stage.media = MediaServer(BRISK, on_change=failing)
    stage.door._media = stage.media
    async with stage.media, stage.door, pushing(stage.url(KEY)):
        await until(lambda: failures == 1)
    assert failures >= 2
