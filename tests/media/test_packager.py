"""Boxes, parts, segments and playlists, from fragments that the real ffmpeg made."""

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from on_air import decode

from laotie.media import Limits, MediaBroken, boxes
from laotie.media.encoder import Recipe, find_ffmpeg, packaging_arguments
from laotie.media.packager import Packager
from laotie.media.playlist import Player, Waiters, live

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def flv() -> bytes:
    """Eight seconds of picture and sound, a key frame a second, 25 frames a second."""
    return made("-r", "25", "-g", "25", "-bf", "2")


def made(*video: str, seconds: int = 8) -> bytes:
    """An FLV file."""
    command = [find_ffmpeg(), "-v", "error", "-f", "lavfi", "-i", f"testsrc2=s=90x160:r=30:d={seconds}", "-f", "lavfi"]
    command += ["-i", f"sine=440:r=44100:d={seconds}", "-c:v", "libx264", "-preset", "ultrafast", *video]
    return subprocess.run([*command, "-c:a", "aac", "-f", "flv", "-"], capture_output=True, check=True).stdout


def fragmented(flv: bytes, limits: Limits) -> bytes:
    """What the packaging ffmpeg makes of it."""
    command = [find_ffmpeg(), *packaging_arguments(Recipe(), limits)]
    return subprocess.run(command, input=flv, capture_output=True, check=True).stdout


def filled(mp4: bytes, limits: Limits, *, step: int = 5000) -> Packager:
    """A window with everything in it."""
    packager = Packager(limits, NOON)
    source = packager.begin()
    for at in range(0, len(mp4), step):
        packager.feed(source, mp4[at : at + step])
    return packager


ALL = Limits(window_s=1000)


@pytest.mark.parametrize(
    ("rate", "keys"), [("25", "25"), ("30", "30"), ("30", "60"), ("24", "24"), ("20", "40"), ("50", "50"), ("60", "60")]
)
def test_parts_keep_to_the_target_and_begin_segments_with_key_frames(rate: str, keys: str) -> None:
    packager = filled(fragmented(made("-r", rate, "-g", keys, "-tune", "zerolatency"), ALL), ALL)
    assert packager.part_target_s == ALL.part_target_s
    assert len(packager.segments) == pytest.approx(8 / (int(keys) / int(rate)), abs=1)
    for segment in packager.segments:
        assert segment.independent
        for part in segment.parts[:-1]:
            assert 0.85 * packager.part_target_s <= part.duration_s <= packager.part_target_s


def test_every_picture_and_sound_is_in_exactly_one_part(flv: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    packager = filled(fragmented(flv, ALL), ALL)
    packager.end()
    init = packager.segments[0].init
    parts = b"".join(part.data for segment in packager.segments for part in segment.parts)
    directory = tmp_path_factory.mktemp("out")
    pictures, sounds, times = decode(init.data + parts, directory)
    assert (pictures, sounds) == decode(flv, directory)[:2]
    assert pictures >= 8 * 25
    assert times == sorted(set(times))
    assert parts == b"".join(segment.data() for segment in packager.segments)


def test_codecs_and_size_are_read_from_the_init_segment(flv: bytes) -> None:
    init = filled(fragmented(flv, ALL), ALL).segments[0].init
    assert init.codecs.split(",")[0].startswith("avc1.") and len(init.codecs.split(",")[0]) == 11
    assert init.codecs.split(",")[1] == "mp4a.40.2"
    assert init.picture is not None and (init.picture.width, init.picture.height) == (90, 160)


def test_a_stream_of_key_frames_alone_still_makes_whole_parts() -> None:
    packager = filled(fragmented(made("-r", "25", "-g", "1"), ALL), ALL)
    for segment in packager.segments:
        assert {round(part.duration_s, 2) for part in segment.parts[:-1]} == {0.2}


def test_a_stream_without_key_frames_is_cut_anyway() -> None:
    limits = Limits(window_s=1000, segment_s_max=3)
    packager = filled(fragmented(made("-r", "25", "-g", "999", seconds=10), limits), limits)
    assert [segment.independent for segment in packager.segments] == [True, False, False, False]
    assert "INDEPENDENT-SEGMENTS" not in live(packager, hold_back_s=0.9).decode()


def test_the_window_is_bounded_in_time_and_bytes(flv: bytes) -> None:
    mp4 = fragmented(flv, ALL)
    short = filled(mp4, Limits(window_s=3))
    assert sum(segment.duration_s for segment in short.segments) <= 4.1
    small = filled(mp4, Limits(window_s=1000, window_bytes_max=60_000))
    assert small.size <= 60_000 + 30_000
    assert small.size == sum(len(part.data) for segment in small.segments for part in segment.parts)


def test_the_playlist_says_what_the_standard_asks(flv: bytes) -> None:
    packager = filled(fragmented(flv, ALL), ALL)
    first = packager.listed()[0].number
    lines = live(packager, hold_back_s=0.9).decode().splitlines()
    assert lines[:8] == [
        "#EXTM3U",
        "#EXT-X-VERSION:9",
        "#EXT-X-TARGETDURATION:2",
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.900,HOLD-BACK=6",
        "#EXT-X-PART-INF:PART-TARGET=0.235",
        f"#EXT-X-MEDIA-SEQUENCE:{first}",
        "#EXT-X-DISCONTINUITY-SEQUENCE:0",
        "#EXT-X-INDEPENDENT-SEGMENTS",
    ]
    assert f'#EXT-X-MAP:URI="init.{packager.segments[0].number}.mp4"' in lines
    assert lines[-1] == f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="s{packager.next[0]}.{packager.next[1]}.m4s"'
    assert "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T12:00:00.000Z" in lines
    packager.end()
    assert live(packager, hold_back_s=0.9).decode().splitlines()[-1] == "#EXT-X-ENDLIST"


def test_another_ffmpeg_makes_a_discontinuity_and_the_old_one_is_not_heard_any_more(flv: bytes) -> None:
    mp4 = fragmented(flv, ALL)
    packager = filled(mp4, ALL)
    old_source = packager._source
    source = packager.begin()
    count = len(packager.segments)
    packager.feed(old_source, mp4)
    assert len(packager.segments) == count
    packager.feed(source, mp4)
    text = live(packager, hold_back_s=0.9).decode()
    breaks = [segment.number for segment in packager.segments if segment.discontinuous]
    assert breaks == [packager.segments[count].number]
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1 and f"init.{breaks[0]}.mp4" in text


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_mp4_is_refused_or_survived(mp4: bytes, damage: list[tuple[int, int]]) -> None:
    data = bytearray(mp4)
    for where, value in damage:
        data[where % len(data)] = value
    with contextlib.suppress(MediaBroken):
        filled(bytes(data), ALL)


@pytest.fixture(scope="module")
def mp4(flv: bytes) -> Iterator[bytes]:
    """The same, packaged."""
    yield fragmented(flv, ALL)


@pytest.mark.parametrize("byte", [0x01, 0x7F, 0xFF])
def test_a_fragment_out_of_all_time_is_refused(mp4: bytes, byte: int) -> None:
    where = mp4.index(b"tfdt") + 8  # after version and flags: the highest byte of a 64-bit decode time
    assert mp4[where - 4] == 1, "ffmpeg writes long decode times"
    with pytest.raises(MediaBroken):
        filled(mp4[:where] + bytes([byte]) + mp4[where + 1 :], ALL)


def test_a_box_too_large_is_refused() -> None:
    with pytest.raises(MediaBroken):
        list(boxes.BoxReader().feed(b"\x7f\xff\xff\xffmdat"))


async def test_a_blocking_request_waits_for_its_part_and_no_longer_than_allowed(mp4: bytes) -> None:
    limits = Limits(window_s=1000, wait_s_max=0.3)
    packager, waiters = Packager(limits, NOON), Waiters(2)
    player = Player(packager, limits, waiters)
    source = packager.begin()
    fed = 0
    while packager.next[1] != 2 or fed < len(mp4) // 2:
        packager.feed(source, mp4[fed : fed + 500])
        fed += 500
    number, part = packager.next
    query = {"_HLS_msn": str(number), "_HLS_part": str(part)}

    asked = asyncio.create_task(player.answer("live.m3u8", query))
    hinted = asyncio.create_task(player.answer(f"s{number}.{part}.m4s", {}))
    await asyncio.sleep(0.01)
    assert waiters.count == 2
    third = await player.answer("live.m3u8", query)
    assert (third.status, third.headers["retry-after"]) == (503, "1")
    while packager.next == (number, part):
        packager.feed(source, mp4[fed : fed + 500])
        fed += 500
    assert f"s{number}.{part}.m4s".encode() in (await asked).body
    assert (await hinted).status == 200

    late = {"_HLS_msn": str(packager.next[0]), "_HLS_part": str(packager.next[1])}
    began = asyncio.get_running_loop().time()
    answer = await player.answer("live.m3u8", late)
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert 0.25 < asyncio.get_running_loop().time() - began < 1
    assert waiters.count == 0


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("live.m3u8", {"_HLS_msn": "99999999999999"}, 400),
        ("live.m3u8", {"_HLS_msn": "-1"}, 400),
        ("live.m3u8", {"_HLS_msn": "１"}, 400),
        ("live.m3u8", {"_HLS_part": "1"}, 400),
        ("live.m3u8", {"_HLS_msn": "1", "_HLS_part": "1"}, 200),
        ("live.m3u8", {"_HLS_msn": "1" * 4000}, 400),
        ("s1.m4s", {}, 404),
        ("s1.999.m4s", {}, 404),
        ("init.1.mp4", {}, 404),
        ("../secret", {}, 404),
        ("", {}, 404),
    ],
)
async def test_odd_requests_get_plain_answers(mp4: bytes, path: str, query: dict[str, str], status: int) -> None:
    limits = Limits(window_s=1000, wait_s_max=0.1)
    player = Player(filled(mp4, limits), limits, Waiters(10))
    assert (await player.answer(path, query)).status == status


async def test_before_the_first_segment_players_wait_and_are_then_told_to_come_back() -> None:
    limits = Limits(wait_s_max=0.05)
    packager = Packager(limits, NOON)
    player = Player(packager, limits, Waiters(10))
    for path in ("master.m3u8", "live.m3u8"):
        assert (await player.answer(path, {})).status == 404
    packager.end()
    assert (await player.answer("master.m3u8", {})).status == 404
