"""Recordings: every instant and position, gaps, damage, full and slow disks."""

import multiprocessing
import os
import subprocess
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from on_air import decode
from test_packager import fragmented, made

from laotie.media import ChannelId, Limits, recording
from laotie.media.clip import cut
from laotie.media.packager import Packager, Segment
from laotie.media.recorder import Recorder, RecordingLimits, RecordingState
from laotie.media.recording import Archive, Ending, Opening, Piece, Recording, Why, group_window, mend, playlist

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOON_US = recording.microseconds(NOON)
ROOMY = RecordingLimits(reserve_bytes=0, look_s=0)


def second(number: int) -> datetime:
    return NOON + timedelta(seconds=number)


# The mapping, against the slowest obvious one.

stretches = st.lists(
    st.tuples(st.integers(0, 3_000_000), st.integers(1, 2_000_000), st.booleans()), min_size=1, max_size=30
)


def recorded(stretches: list[tuple[int, int, bool]]) -> Recording:
    """Pieces of these (silence before, length, key) in microseconds."""
    made, at, now = Recording(), 100, NOON_US
    assert made.add(Opening(0, 100, 0, "avc1", 90, 160))
    for silence, length, key in stretches:
        now += silence
        broken = silence >= recording.GAP_MIN_US and at > 100
        assert made.add(Piece(at, 10, 0, 0, now, length, key, broken, Why.encoder if broken else ""))
        at, now = at + 10, now + length
    return made


@given(stretches, st.integers(-1_000_000, 120_000_000))
@settings(max_examples=300, deadline=None)
def test_an_instant_lies_where_the_slow_search_finds_it(parts: list[tuple[int, int, bool]], offset: int) -> None:
    tape = recorded(parts)
    at_us, position, expected = NOON_US + offset, 0, None
    for piece in tape.pieces:
        if at_us < piece.ends_us:
            inside = at_us - piece.begins_us
            expected = (position + max(0, inside), inside >= 0)
            break
        position += piece.duration_us
    moment = tape.find_moment(recording.instant(at_us))
    assert moment is not None
    assert (moment.position_us, moment.is_kept) == (expected or (tape.duration_us, False))
    if moment.is_kept:
        assert tape.find_instant(moment.position_us) == recording.instant(at_us)


@given(stretches, st.integers(0, 70_000_000))
@settings(max_examples=300, deadline=None)
def test_position_and_instant_and_spans_agree(parts: list[tuple[int, int, bool]], position: int) -> None:
    tape = recorded(parts)
    at = tape.find_instant(position)
    assert (at is None) == (position >= tape.duration_us)
    if at is not None:
        moment = tape.find_moment(at)
        assert moment is not None and (moment.position_us, moment.is_kept) == (position, True)
        span = next(one for one in tape.spans() if one.position_us <= position < one.position_us + one.duration_us)
        assert span.begins_at + timedelta(microseconds=position - span.position_us) == at
    kept = sum(span.duration_us for span in tape.spans())
    assert kept == tape.duration_us == sum(piece.duration_us for piece in tape.pieces)


@given(stretches)
@settings(max_examples=200, deadline=None)
def test_groups_take_every_piece_once_and_never_change_while_it_grows(parts: list[tuple[int, int, bool]]) -> None:
    growing = Recording()
    told: list[recording.Group] = []
    whole = recorded(parts)
    growing.add(Opening(0, 100, 0, "avc1", 90, 160))
    for piece in whole.pieces:
        growing.add(piece)
        now = growing.groups()
        assert now[: len(told)] == told
        told = now
    growing.add(Ending(growing.pieces[-1].ends_us))
    groups = growing.groups()
    assert groups[: len(told)] == told
    taken = [index for group in groups for index in range(group.first, group.first + group.count)]
    assert taken == list(range(len(growing.pieces)))
    assert sum(group.duration_us for group in groups) == growing.duration_us


def test_gaps_are_told_with_their_reason_and_the_shows_end_is_one() -> None:
    tape = recorded([(0, 1_000_000, True), (100_000, 1_000_000, True), (5_000_000, 1_000_000, True)])
    tape.add(Ending(tape.pieces[-1].ends_us + 9_000_000, Why.disk_full))
    first, last = tape.gaps()
    assert (first.begins_at, first.ends_at, first.position_us) == (
        NOON + timedelta(seconds=2.1),
        NOON + timedelta(seconds=7.1),
        2_000_000,
    )
    assert (first.why, last.why, last.position_us) == (Why.encoder, Why.disk_full, 3_000_000)
    assert last.ends_at - last.begins_at == timedelta(seconds=9)


# The files, from pictures that the real ffmpeg made.


@pytest.fixture(scope="module")
def segments() -> list[Segment]:
    """Eight whole segments of a second, with sound."""
    limits = Limits(window_s=1000)
    packager = Packager(limits, NOON)
    source = packager.begin()
    packager.feed(source, fragmented(made("-r", "25", "-g", "25"), limits))
    packager.end()
    assert len(packager.segments) >= 8
    return list(packager.segments)[:8]


@pytest.fixture
def channel() -> ChannelId:
    return ChannelId(uuid4())


def later(segment: Segment, seconds: float, *, discontinuous: bool = True) -> Segment:
    """The same picture at another time, as after an absence."""
    moved = Segment(
        segment.number + 1000,
        segment.init,
        segment.begins_at + timedelta(seconds=seconds),
        discontinuous=discontinuous,
        discontinuities=1,
    )
    moved.parts, moved.duration_s, moved.size, moved.open = segment.parts, segment.duration_s, segment.size, False
    return moved


async def record(root: Path, channel: ChannelId, segments: list[Segment], limits: RecordingLimits = ROOMY) -> Recorder:
    recorder = Recorder(root, limits)
    recorder.start()
    recorder.begin(channel, segments)
    await recorder.settle()
    return recorder


def kept(root: Path, channel: ChannelId) -> Recording:
    found = Archive(root).find(str(channel))
    assert found is not None
    return found


async def test_what_was_shown_is_what_is_played_again(
    tmp_path: Path, channel: ChannelId, segments: list[Segment]
) -> None:
    recorder = await record(tmp_path, channel, segments)
    stats = recorder.stats(channel)
    assert stats is not None and stats.state is RecordingState.on and stats.dropped_count == 0
    recorder.end(channel)
    await recorder.close()
    archive = Archive(tmp_path)
    tape = archive.find(str(channel))
    assert tape is not None and tape.ended is not None and tape.gaps() == []
    assert tape.begins_at == segments[0].begins_at
    text = playlist(tape, tape.groups(), over=True).decode()
    assert text.count("#EXTINF") == len(tape.groups()) == 2
    assert text.endswith("#EXT-X-ENDLIST\n") and "DISCONTINUITY" not in text
    media = archive.fetch_opening(str(channel), tape.pieces[0].opening) or b""
    for group in tape.groups():
        media += archive.fetch_pieces(str(channel), group.first, group.count) or b""
    assert media == segments[0].init.data + b"".join(segment.data() for segment in segments)
    pictures, sounds, _ = decode(media, tmp_path)
    assert pictures >= 190 and sounds > 300
    assert archive.disk_use() > len(media)
    archive.remove(str(channel))
    assert archive.find(str(channel)) is None and not (tmp_path / str(channel)).exists()


async def test_a_segment_told_twice_or_of_another_channel_is_kept_once_or_not(
    tmp_path: Path, channel: ChannelId, segments: list[Segment]
) -> None:
    recorder = await record(tmp_path, channel, segments[:3])
    recorder.begin(channel, segments[:3])
    for segment in segments[1:5]:
        recorder.take(channel, segment)
        recorder.take(ChannelId(uuid4()), segment)
    await recorder.close()
    assert len(kept(tmp_path, channel).pieces) == 5
    assert Archive(tmp_path).list_names() == [str(channel)]


async def test_an_encoder_that_was_away_leaves_a_gap_with_its_instants(
    tmp_path: Path, channel: ChannelId, segments: list[Segment]
) -> None:
    recorder = await record(
        tmp_path, channel, [*segments[:3], later(segments[3], 30), later(segments[4], 30, discontinuous=False)]
    )
    await recorder.close()
    tape = kept(tmp_path, channel)
    (gap,) = tape.gaps()
    assert gap.why is Why.encoder and gap.ends_at == segments[3].begins_at + timedelta(seconds=30)
    assert tape.find_moment(gap.begins_at + timedelta(seconds=5)) == recording.Moment(gap.position_us, False)
    assert tape.find_instant(gap.position_us) == gap.ends_at
    text = playlist(tape, group_window(tape, 0, 5), over=True).decode()
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1 and text.count("#EXT-X-PROGRAM-DATE-TIME") == 2


def reopened(root: Path, channel: ChannelId) -> Recording:
    return mend(root / str(channel))


async def test_a_torn_last_write_costs_that_piece_alone(
    tmp_path: Path, channel: ChannelId, segments: list[Segment]
) -> None:
    await (await record(tmp_path, channel, segments)).close()
    index, media = tmp_path / str(channel) / "index", tmp_path / str(channel) / "media"
    whole_index, whole_media = index.read_bytes(), media.read_bytes()
    last = whole_index.rstrip(b"\n").rfind(b"\n") + 1
    for torn in range(last, len(whole_index), 7):
        index.write_bytes(whole_index[:torn])
        media.write_bytes(whole_media)
        assert len(kept(tmp_path, channel).pieces) == 7, "who reads sees it without repair"
        assert len(reopened(tmp_path, channel).pieces) == 7
        assert media.stat().st_size == kept(tmp_path, channel).media_size
    for lost in (1, 1000):
        index.write_bytes(whole_index)
        media.write_bytes(whole_media[:-lost])
        assert len(reopened(tmp_path, channel).pieces) == 7
    index.write_bytes(whole_index)
    media.write_bytes(whole_media[:-2000] + bytes(2000))  # a power cut: the length is there, the bytes are not
    assert len(reopened(tmp_path, channel).pieces) == 7


async def test_rubbish_at_the_end_of_the_index_is_cut_off_and_a_bad_line_within_is_a_gap(
    tmp_path: Path, channel: ChannelId, segments: list[Segment]
) -> None:
    await (await record(tmp_path, channel, segments)).close()
    index = tmp_path / str(channel) / "index"
    lines = index.read_bytes().splitlines(keepends=True)
    index.write_bytes(b"".join([*lines, b"\0" * 300, b"\n", b'["s",1,2\n', os.urandom(50)]))
    assert len(reopened(tmp_path, channel).pieces) == 8
    assert index.read_bytes() == b"".join(lines)
    lines[4] = b"X" + lines[4][1:]
    index.write_bytes(b"".join(lines))
    tape = reopened(tmp_path, channel)
    assert len(tape.pieces) == 7 and [gap.why for gap in tape.gaps()] == [Why.damaged]
    assert len(index.read_bytes().splitlines()) == 9


async def test_a_recording_is_gone_on_with_after_a_restart_and_says_what_is_missing(
    tmp_path: Path, channel: ChannelId, segments: list[Segment]
) -> None:
    await (await record(tmp_path, channel, segments[:3])).close()
    reader = Archive(tmp_path)
    before = reader.find(str(channel))
    assert before is not None and before.ended is None
    recorder = await record(tmp_path, channel, [later(segments[5], 0)])
    recorder.end(channel)
    await recorder.close()
    tape = reader.find(str(channel))
    assert tape is not None and [gap.why for gap in tape.gaps()] == [Why.server]
    assert tape.ended is not None and len(tape.pieces) == 4


async def test_a_slow_disk_costs_segments_and_no_memory(
    tmp_path: Path, channel: ChannelId, segments: list[Segment]
) -> None:
    limits = RecordingLimits(reserve_bytes=0, look_s=0, queue_bytes_max=segments[0].size + segments[1].size + 1000)
    recorder = Recorder(tmp_path, limits)
    recorder.begin(channel, segments[:5])  # nobody writes yet
    recorder.start()
    await recorder.settle()
    recorder.take(channel, segments[5])
    await recorder.settle()
    stats = recorder.stats(channel)
    assert stats is not None and stats.dropped_count == 3 and stats.state is RecordingState.on
    await recorder.close()
    tape = kept(tmp_path, channel)
    assert len(tape.pieces) == 3 and [gap.why for gap in tape.gaps()] == [Why.disk_slow]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MB."""
    if os.geteuid() != 0:
        pytest.skip("a file system of its own is mounted, which only root may do")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


async def test_a_full_disk_pauses_the_recording_which_goes_on_when_there_is_room(
    small_disk: Path, channel: ChannelId, segments: list[Segment]
) -> None:
    recorder = await record(small_disk, channel, segments[:2])
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"\0" * 4096)
    for segment in segments[2:5]:
        recorder.take(channel, segment)
    await recorder.settle()
    stats = recorder.stats(channel)
    assert stats is not None
    assert (stats.state, stats.why, stats.dropped_count) == (RecordingState.paused, Why.disk_full, 3)
    ballast.unlink()
    for segment in segments[5:]:
        recorder.take(channel, segment)
    await recorder.settle()
    stats = recorder.stats(channel)
    assert stats is not None and (stats.state, stats.why) == (RecordingState.on, None)
    recorder.end(channel)
    await recorder.close()
    tape = kept(small_disk, channel)
    assert len(tape.pieces) == 5 and [gap.why for gap in tape.gaps()] == [Why.disk_full]
    assert (small_disk / str(channel) / "media").stat().st_size == tape.media_size


async def test_it_stops_before_the_reserve_of_others_is_touched(
    tmp_path: Path, channel: ChannelId, segments: list[Segment]
) -> None:
    recorder = await record(tmp_path, channel, segments, RecordingLimits(reserve_bytes=2**60, look_s=0))
    stats = recorder.stats(channel)
    assert stats is not None and (stats.state, stats.why) == (RecordingState.paused, Why.disk_full)
    assert stats.free_bytes > 0
    recorder.end(channel)
    await recorder.close()
    assert not (tmp_path / str(channel)).exists()


async def test_a_clip_is_a_file_of_whole_pieces(tmp_path: Path, channel: ChannelId, segments: list[Segment]) -> None:
    await (await record(tmp_path, channel, segments)).close()
    archive = Archive(tmp_path)
    tape = archive.find(str(channel))
    assert tape is not None and tape.begins_at is not None
    window = tape.window(tape.begins_at + timedelta(seconds=2.5), tape.begins_at + timedelta(seconds=4.5))
    assert window == (2, 3)
    target = tmp_path / "clips" / "one.mp4"
    await cut(archive, str(channel), *window, target, Limits())
    assert target.read_bytes()[4:8] == b"ftyp"
    pictures, sounds, times = decode(target.read_bytes(), tmp_path)
    assert pictures == 75 and sounds >= 125 and times[-1] - times[0] < 3.1
    assert [path.name for path in target.parent.iterdir()] == ["one.mp4"]


async def test_a_clip_over_a_gap_joins_both_sides(tmp_path: Path, channel: ChannelId, segments: list[Segment]) -> None:
    limits = Limits(window_s=1000)
    packager = Packager(limits, second(60))
    other = fragmented(made("-r", "25", "-g", "25", "-preset", "veryfast", seconds=4), limits)
    packager.feed(packager.begin(), other)
    packager.end()
    after = [later(segment, 0, discontinuous=False) for segment in list(packager.segments)[:3]]
    assert after[0].init.data != segments[0].init.data, "another encoder"
    await (await record(tmp_path, channel, [*segments[:3], *after])).close()
    tape = kept(tmp_path, channel)
    (gap,) = tape.gaps()
    window = tape.window(gap.begins_at - timedelta(seconds=1.5), gap.ends_at + timedelta(seconds=1.5))
    assert window == (1, 4)
    assert tape.window(gap.begins_at + timedelta(seconds=1), gap.ends_at - timedelta(seconds=1))[1] == 0
    target = tmp_path / "clips" / "over.mp4"
    await cut(Archive(tmp_path), str(channel), *window, target, Limits())
    pictures, _, times = decode(target.read_bytes(), tmp_path)
    assert pictures == 100 and times == sorted(times) and times[-1] - times[0] < 4.3


def record_for_ever(root: Path, channel: ChannelId, segments: list[Segment]) -> None:
    """In a process of its own, until it is killed."""
    recorder = Recorder(root, ROOMY)
    recorder.start()
    recorder.begin(channel)
    for number in range(100_000):
        turn, place = divmod(number, len(segments))
        moved = later(segments[place], turn * len(segments), discontinuous=False)
        moved.number = number
        recorder.take(channel, moved)
        time.sleep(0.0005)


@pytest.mark.parametrize("number", range(5))
def test_kill_9_in_the_middle_of_writing_leaves_whole_pieces(
    tmp_path: Path, channel: ChannelId, segments: list[Segment], number: int
) -> None:
    process = multiprocessing.get_context("fork").Process(target=record_for_ever, args=(tmp_path, channel, segments))
    process.start()
    media = tmp_path / str(channel) / "media"
    deadline = time.monotonic() + 20
    while not media.exists() or media.stat().st_size < (2 + number) * 300_000:
        assert time.monotonic() < deadline
    process.kill()
    process.join()
    written = media.stat().st_size
    tape = reopened(tmp_path, channel)
    assert written - tape.media_size <= max(segment.size for segment in segments), "one piece at most"
    archive = Archive(tmp_path)
    for index, piece in enumerate(tape.pieces):
        data = archive.fetch_pieces(str(channel), index, 1)
        assert data is not None and zlib.crc32(data) == piece.sum
    assert tape.gaps() == []
