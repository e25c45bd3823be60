"""A file on disk as an answer: whole or a range of it (RFC 9110, 14), with its length, never read into memory at once."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO

from litestar import Request, Response
from litestar.response import Stream

from laotie.base.refusals import NotFound, Refusal

FOR_EVER = "public, max-age=31536000, immutable"
RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.ASCII)
READ_AT_ONCE = 256 * 1024


class RangeRefused(Refusal, code="range-refused", status=416):
    """The file does not reach there."""

    size_bytes: int


async def send_file(
    request: Request[Any, Any, Any], path: Path, *, media_type: str, cache_control: str
) -> Response[Any]:
    """The file, or the one range that is asked for; `NotFound` when it is not there. Its name is its version."""
    try:
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound() from None
    size = file.seek(0, 2)
    etag = f'"{path.stem}"'
    headers = {"accept-ranges": "bytes", "cache-control": cache_control, "etag": etag}
    if request.headers.get("if-none-match") == etag:
        file.close()
        return Response(b"", status_code=304, headers=headers, media_type=media_type)
    asked = request.headers.get("range") if request.headers.get("if-range", etag) == etag else None
    found = RANGE.fullmatch(asked) if asked else None
    begin, end = 0, size - 1
    if found is not None and (found[1] or found[2]):
        begin = int(found[1]) if found[1] else max(0, size - int(found[2]))
        end = min(end, int(found[2])) if found[1] and found[2] else end
        if begin > end:
            file.close()
            raise RangeRefused(size_bytes=size)
        headers["content-range"] = f"bytes {begin}-{end}/{size}"
    headers["content-length"] = str(end - begin + 1)
    if request.method == "HEAD":
        file.close()
        return Response(b"", headers=headers, media_type=media_type)
    return Stream(
        _read(file, begin, end - begin + 1),
        status_code=206 if "content-range" in headers else 200,
        headers=headers,
        media_type=media_type,
    )


async def _read(file: BinaryIO, begin: int, count: int) -> AsyncIterator[bytes]:
    with file:
        file.seek(begin)
        while count > 0 and (data := await asyncio.to_thread(file.read, min(READ_AT_ONCE, count))):
            count -= len(data)
            yield data
