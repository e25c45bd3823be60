"""A document that somebody brought, made safe to show: a picture, or a PDF of which the pages become pictures.

What a file is, its first bytes say. A PDF is drawn in a confined process (`copyroom`) and never served itself, so that
no reader ever runs what is in it.
"""

import asyncio
import sys
from pathlib import Path

from laotie.base.refusals import Invalid
from laotie.media.encoder import end, spawn
from laotie.media.model import Limits
from laotie.media.picture import NotAPicture, PictureBounds, Print, facts_in, print_picture

COPYROOM = Path(__file__).with_name("copyroom.py")
COPY_S_MAX = 40
PAGES_MAX = 20
COPY_BYTES_MAX = 40 * 1024 * 1024
PDF = b"%PDF-"


class NotADocument(Invalid, code="not-a-document"):
    """This is not a document that can be shown; bring a PDF or a picture (JPEG, PNG, WebP)."""


class DocumentTooLong(Invalid, code="document-too-long"):
    """The document has too many pages; bring the ones that matter."""

    pages_max: int


class DocumentLocked(Invalid, code="document-locked"):
    """The document asks for a password; bring it without one."""


class DocumentBroken(Invalid, code="document-broken"):
    """The document cannot be read to its end; open it, save it anew and try again."""


_places = asyncio.Semaphore(1)


async def print_document(path: Path, bounds: PictureBounds, limits: Limits | None = None) -> list[Print]:
    """The pages of the document in a file, made anew.

    Refuses `NotADocument`, `DocumentTooLong`, `DocumentLocked`, `DocumentBroken`, and what `print_picture` refuses.
    """
    with path.open("rb") as file:
        head = file.read(len(PDF))
    if head == PDF:
        return await _print_pdf(path, bounds, limits or Limits())
    try:
        return [await print_picture(path, bounds, limits)]
    except NotAPicture:
        raise NotADocument() from None


async def _print_pdf(path: Path, bounds: PictureBounds, limits: Limits) -> list[Print]:
    async with _places:
        process = await spawn(
            [sys.executable, "-I", str(COPYROOM), str(path), str(bounds.side_max), str(PAGES_MAX)],
            limits,
            cpu_s=COPY_S_MAX,
            niceness=10,
        )
        try:
            async with asyncio.timeout(COPY_S_MAX * 2):
                data, said = await process.communicate()
        except TimeoutError:
            raise DocumentBroken() from None
        finally:
            await asyncio.shield(end(process))
    facts = facts_in(said)
    match facts.get("refused"):
        case "too-long":
            raise DocumentTooLong(pages_max=PAGES_MAX)
        case "locked":
            raise DocumentLocked()
    sizes = facts.get("sizes")
    if process.returncode or not isinstance(sizes, list) or not sizes or len(data) > COPY_BYTES_MAX:
        raise DocumentBroken()
    pages, at = [], 0
    for width, height in sizes:
        length = int.from_bytes(data[at : at + 4], "big")
        pages.append(Print(data[at + 4 : at + 4 + length], int(width), int(height)))
        at += 4 + length
    if at != len(data):
        raise DocumentBroken()
    return pages
