"""A picture that somebody brought, made safe to show: decoded in a confined process, encoded anew without metadata."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from laotie.base.refusals import Invalid
from laotie.media.encoder import end, spawn
from laotie.media.model import Limits

DARKROOM = Path(__file__).with_name("darkroom.py")
PICTURE_S_MAX = 20
PICTURE_BYTES_MAX = 4 * 1024 * 1024
AT_ONCE_MAX = 2


class NotAPicture(Invalid, code="not-a-picture"):
    """This is not a picture that can be shown; bring a JPEG, PNG, WebP, AVIF or GIF."""


class PictureTooLarge(Invalid, code="picture-too-large"):
    """The picture has too many pixels; make it smaller and try again."""

    pixels_max: int


class PictureBroken(Invalid, code="picture-broken"):
    """The picture cannot be read to its end; open it, save it anew and try again."""


class PictureBounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a picture may be, and what is made of it."""

    pixels_max: int = 50_000_000
    side_max: int = 1600


class Print(msgspec.Struct, frozen=True):
    """A picture fit to be shown: WebP."""

    data: bytes
    width: int
    height: int


_places = asyncio.Semaphore(AT_ONCE_MAX)


async def print_picture(path: Path, bounds: PictureBounds, limits: Limits | None = None) -> Print:
    """The picture in a file, made anew. Refuses `NotAPicture`, `PictureTooLarge`, `PictureBroken`."""
    limits = limits or Limits()
    async with _places:
        process = await spawn(
            [sys.executable, "-I", str(DARKROOM), str(path), str(bounds.side_max), str(bounds.pixels_max)],
            limits,
            cpu_s=PICTURE_S_MAX,
            niceness=10,
        )
        try:
            async with asyncio.timeout(PICTURE_S_MAX * 2):
                data, said = await process.communicate()
        except TimeoutError:
            raise PictureBroken() from None
        finally:
            await asyncio.shield(end(process))
    facts = facts_in(said)
    match facts.get("refused"):
        case "not-a-picture":
            raise NotAPicture()
        case "too-large":
            raise PictureTooLarge(pixels_max=bounds.pixels_max)
        case _ if process.returncode or "width" not in facts or not 0 < len(data) <= PICTURE_BYTES_MAX:
            raise PictureBroken()
    return Print(data, int(facts["width"]), int(facts["height"]))


def facts_in(said: bytes) -> dict[str, Any]:
    """The last line of JSON that a confined program said."""
    for line in reversed(said.decode("utf-8", "replace").splitlines()):
        try:
            facts = json.loads(line)
        except ValueError:
            continue
        return facts if isinstance(facts, dict) else {}
    return {}
