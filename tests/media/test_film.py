"""Films that people bring: what is played afterwards, and every hostile file turned away within its bounds."""

import struct
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from films import film, sound_alone, with_box, zipped
from laotie import media
from laotie.base.refusals import Refusal
from laotie.media import FilmBounds, Finished, Limits

BOUNDS = FilmBounds(seconds_max=60, side_max=1024, streams_max=4)


async def develop(path: Path, data: bytes, bounds: FilmBounds = BOUNDS) -> Finished:
    source = path / "upload.part"
    source.write_bytes(data)
    out = path / "out"
    out.mkdir(exist_ok=True)
    heard: list[float] = []

    async def progress(share: float) -> None:
        heard.append(share)

    found = await media.examine(source, bounds, Limits())
    finished = await media.finish(source, found, out, bounds, Limits(), progress=progress)
    assert heard == sorted(heard)
    return finished


async def test_h264_and_aac_are_copied_and_the_index_stands_in_front(tmp_path: Path) -> None:
    finished = await develop(tmp_path, film())
    data = finished.film.read_bytes()
    assert (finished.width, finished.height, finished.duration_ms) == (90, 160, 2000)
    assert data.index(b"moov") < data.index(b"mdat")
    original = film()
    at = original.index(b"mdat")
    assert original[at + 4 : at + 404] in data, "the very packets that came"
    assert finished.poster.read_bytes().startswith(b"\xff\xd8")


async def test_anything_else_is_encoded_into_what_every_browser_plays(tmp_path: Path) -> None:
    finished = await develop(tmp_path, film(video="libvpx", suffix="webm"))
    again = await media.examine(finished.film, BOUNDS, Limits())
    assert (again.video, again.audio, again.plain_pixels) == ("h264", "aac", True)


async def test_a_film_of_too_many_bits_is_encoded_anew(tmp_path: Path) -> None:
    tight = FilmBounds(seconds_max=60, kbits_max=60)
    finished = await develop(tmp_path, film(size="320x240", rate=25), tight)
    assert finished.size_bytes < len(film(size="320x240", rate=25)) / 2


async def test_a_film_without_sound_is_fine(tmp_path: Path) -> None:
    assert (await develop(tmp_path, film(sounds=0))).duration_ms == 2000


async def test_an_archive_behind_a_film_is_left_behind(tmp_path: Path) -> None:
    finished = await develop(tmp_path, film() + zipped())
    assert b"PK\x05\x06" not in finished.film.read_bytes()


HEAD = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41"
STRANGERS = {
    "a page": b"<!doctype html><script>alert(1)</script>" * 10,
    "a drawing": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>' * 5,
    "an archive": zipped(),
    "a playlist that names a file": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
    "a list of files": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "a program": b"\x7fELF" + bytes(200),
    "nothing but zeros": bytes(4096),
}


@pytest.mark.parametrize("name", STRANGERS)
async def test_what_is_no_film_is_told_so_without_starting_a_program(tmp_path: Path, name: str) -> None:
    with pytest.raises(media.NotAFilm):
        await develop(tmp_path, STRANGERS[name])


def two_thousand_million_samples() -> bytes:
    return with_box(film(), b"stsz", struct.pack(">II", 1, 0x7FFFFFFF), 4)


BROKEN: dict[str, tuple[Callable[[], bytes], type[Refusal]]] = {
    "noise behind an honest beginning": (lambda: HEAD + bytes(range(256)) * 40, media.FilmBroken),
    "a page that begins like a film": (
        lambda: b"\x00\x00\x00\x20ftyp<html><script>alert(1)</script>" * 20,
        media.FilmBroken,
    ),
    "cut before its index": (lambda: film()[: len(film()) // 2], media.FilmBroken),
    "sound alone": (sound_alone, media.NotAFilm),
    "too long": (partial(film, seconds=70, rate=1, size="16x16", sounds=0), media.FilmTooLong),
    "too short": (partial(film, seconds=0.4, sounds=0), media.FilmTooShort),
    "too wide": (partial(film, size="1600x16", sounds=0), media.FilmTooLarge),
    "too many pictures a second": (partial(film, rate=900, size="16x16", sounds=0), media.FilmTooDense),
    "too many tracks": (partial(film, sounds=6), media.FilmCrowded),
    "two thousand million samples announced": (two_thousand_million_samples, Refusal),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_film_that_is_broken_or_beyond_bounds_is_refused_for_what_it_is(tmp_path: Path, name: str) -> None:
    make, refusal = BROKEN[name]
    data = make()
    began = time.monotonic()
    with pytest.raises(refusal) as refused:
        await develop(tmp_path, data)
    assert refused.value.title
    assert time.monotonic() - began < 15


async def test_the_size_that_a_file_claims_is_not_believed(tmp_path: Path) -> None:
    lying = with_box(film(), b"avc1", struct.pack(">HH", 65535, 65535), 24)
    finished = await develop(tmp_path, lying)
    assert (finished.width, finished.height) == (90, 160)


async def test_a_film_cut_in_the_middle_is_found_out_by_reading_it(tmp_path: Path) -> None:
    whole = (await develop(tmp_path, film(size="320x240", rate=25))).film.read_bytes()
    with pytest.raises(media.FilmBroken):
        await develop(tmp_path, whole[: len(whole) // 2])


async def test_a_program_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    tight = FilmBounds(seconds_max=60, cpu_s_max=1, kbits_max=500, threads=1)
    with pytest.raises(media.FilmTooHard):
        await develop(tmp_path, film(seconds=40, size="640x480", rate=25), tight)
