"""The built page: `index.html` for the viewer's routes, `console.html` below /console, hashed assets for ever.

Files are read once and served from memory; a rebuilt page is noticed by its `index.html`. Without a build, the door
says how to make one. The sources are in `ui/`.
"""

import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litestar import Request, Response, route
from litestar.enums import HttpMethod

from laotie.base.refusals import NotFound, Refusal
from laotie.web.given import FromPath

PAGE = Path(__file__).parent / "page"
ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
NOT_PAGES = ("api", "problems", "media", "recordings", "webhooks", "hooks", "ws", "ingest", "assets")


class PageNotBuilt(Refusal, code="page-not-built", status=503):
    """The page has not been built: run `npm ci && npm run build` in ui/ (`make demo` does), or install the wheel."""


@dataclass(frozen=True)
class _File:
    body: bytes
    media_type: str
    etag: str
    cache_control: str
    encoded: dict[str, bytes]


class _Page:
    """The page's files in memory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read_at: float | None = None
        self._files: dict[str, _File] = {}

    def find(self, path: str) -> _File | None:
        """The file for a request's path; app routes get their entry page."""
        self._refresh()
        name = path.strip("/")
        file = self._files.get(name)
        if file is not None:
            return file
        first, _, _ = name.partition("/")
        if first in NOT_PAGES or "." in name.rpartition("/")[2]:
            return None
        return self._files["console.html" if first == "console" else "index.html"]

    def _refresh(self) -> None:
        try:
            read_at = (self._root / "index.html").stat().st_mtime
        except FileNotFoundError:
            raise PageNotBuilt() from None
        if read_at == self._read_at:
            return
        names = [str(path.relative_to(self._root)) for path in self._root.rglob("*") if path.is_file()]
        self._files = {
            name: _read(self._root / name, name)
            for name in names
            if not name.startswith(".") and not name.endswith(tuple(suffix for _, suffix in ENCODINGS))
        }
        self._files.setdefault("console.html", self._files["index.html"])
        self._read_at = read_at


def _read(path: Path, name: str) -> _File:
    body = path.read_bytes()
    return _File(
        body=body,
        media_type=mimetypes.guess_type(name)[0] or "application/octet-stream",
        etag=f'"{hashlib.sha256(body).hexdigest()[:24]}"',
        cache_control="public, max-age=31536000, immutable" if name.startswith("assets/") else "no-cache",
        encoded={
            encoding: packed.read_bytes()
            for encoding, suffix in ENCODINGS
            if (packed := path.with_name(path.name + suffix)).exists()
        },
    )


_page = _Page(PAGE)


@route(
    ["/", "/{path:path}"],
    http_method=[HttpMethod.GET, HttpMethod.HEAD],
    sync_to_thread=False,
    include_in_schema=False,
)
def show_page(request: Request[Any, Any, Any], path: FromPath[str] = "/") -> Response[bytes]:
    """A file of the page, or the entry page that its router starts from."""
    file = _page.find(path)
    if file is None:
        raise NotFound()
    headers = {"cache-control": file.cache_control, "etag": file.etag, "vary": "accept-encoding"}
    if request.headers.get("if-none-match") == file.etag:
        return Response(b"", status_code=304, headers=headers, media_type=file.media_type)
    accepted = request.headers.get("accept-encoding", "")
    for encoding, body in file.encoded.items():
        if encoding in accepted:
            return Response(
                body, status_code=200, headers={**headers, "content-encoding": encoding}, media_type=file.media_type
            )
    return Response(file.body, status_code=200, headers=headers, media_type=file.media_type)


ROUTES = [show_page]
