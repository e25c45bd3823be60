"""Pictures that people bring: made anew without metadata, and every hostile file turned away."""

import io
import struct
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image

from films import picture, zipped
from laotie import media
from laotie.base.refusals import Refusal
from laotie.media import PictureBounds, Print

BOUNDS = PictureBounds(pixels_max=4_000_000, side_max=256)


async def print_it(path: Path, data: bytes) -> Print:
    source = path / "upload.picture"
    source.write_bytes(data)
    return await media.print_picture(source, BOUNDS)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
async def test_a_picture_of_any_common_kind_becomes_webp(tmp_path: Path, form: str) -> None:
    made = await print_it(tmp_path, picture(form))
    assert made.data[:4] == b"RIFF" and made.data[8:12] == b"WEBP"
    assert (made.width, made.height) == (256, 160)


async def test_where_and_by_what_it_was_taken_is_left_behind_and_it_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "A camera that tells tales"
    exif[0x0112] = 6  # lies on its side
    exif.get_ifd(0x8825)[2] = (38.0, 55.0, 0.0)
    made = await print_it(tmp_path, picture("JPEG", exif=exif))
    assert (made.width, made.height) == (160, 256)
    shown = Image.open(io.BytesIO(made.data))
    assert not shown.getexif() and "tales" not in repr(made.data)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that is gigabytes when opened."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(1_000_000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IEND", b"")


HOSTILE = {
    "a bomb": (bomb(50_000, 50_000), media.PictureTooLarge),
    "a bomb that lies about its data": (bomb(1_000, 1_000), media.PictureBroken),
    "cut in the middle": (picture("PNG", (400, 400))[:2_000], media.PictureBroken),
    "a drawing with a script": (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', media.NotAPicture),
    "a page": (b"<!doctype html><script>alert(1)</script>", media.NotAPicture),
    "a script for a printer": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\n", media.NotAPicture),
    "an archive": (zipped(), media.NotAPicture),
    "noise behind an honest beginning": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), media.NotAPicture),
    "a page behind a GIF's beginning": (b"GIF89a/*<script>alert(1)</script>*/", Refusal),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_is_no_picture_or_too_much_of_one_is_refused(tmp_path: Path, name: str) -> None:
    data, refusal = HOSTILE[name]
    began = time.monotonic()
    with pytest.raises(refusal):
        await print_it(tmp_path, data)
    assert time.monotonic() - began < 10


async def test_a_page_behind_a_picture_is_left_behind(tmp_path: Path) -> None:
    made = await print_it(tmp_path, picture("JPEG") + b"<script>alert(1)</script>")
    assert b"script" not in made.data
