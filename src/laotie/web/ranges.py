"""Parts of a body, as players and downloads ask for them (RFC 9110, one range; several get the whole)."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from litestar import Request, Response
from litestar.response import Stream

CHUNK_BYTES = 256 * 1024
RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.ASCII)


def find_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last of what a Range header asks; None when it asks for the whole.

    One that lies outside is empty: the answer to it is 416.
    """
    asked = RANGE.fullmatch(header.strip()) if header else None
    if asked is None or asked.groups() == ("", ""):
        return None
    first, last = asked.groups()
    if not first:
        return max(0, size - int(last)), size
    end = min(size, int(last) + 1) if last else size
    return (int(first), end) if int(first) < end else (size, size)


def answer_bytes(request: Request[Any, Any, Any], body: bytes, kind: str, *, cache: str) -> Response[bytes]:
    """The body, or the range of it that was asked for."""
    headers = {"cache-control": cache, "accept-ranges": "bytes"}
    part = find_range(request.headers.get("range"), len(body))
    if part is None:
        return Response(body, headers=headers, media_type=kind)
    status, headers["content-range"] = _say(part, len(body))
    return Response(body[slice(*part)], status_code=status, headers=headers, media_type=kind)


def answer_file(request: Request[Any, Any, Any], path: Path, kind: str, *, name: str, cache: str) -> Stream:
    """A file, or the range of it that was asked for, read as it is sent; saved under `name`."""
    size = path.stat().st_size
    part = find_range(request.headers.get("range"), size)
    headers = {
        "cache-control": cache,
        "accept-ranges": "bytes",
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
    }
    status = 200
    if part is not None:
        status, headers["content-range"] = _say(part, size)
    begin, end = part or (0, size)
    headers["content-length"] = str(end - begin)
    return Stream(lambda: _read(path, begin, end), status_code=status, headers=headers, media_type=kind)


def _say(part: tuple[int, int], size: int) -> tuple[int, str]:
    begin, end = part
    return (206, f"bytes {begin}-{end - 1}/{size}") if begin < end else (416, f"bytes */{size}")


async def _read(path: Path, begin: int, end: int) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        file.seek(begin)
        while begin < end:
            data = await asyncio.to_thread(file.read, min(CHUNK_BYTES, end - begin))
            if not data:
                return
            begin += len(data)
            yield data
