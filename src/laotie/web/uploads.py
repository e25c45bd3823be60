"""Files that people bring: the bytes of a video piece by piece, pictures in one go, and the pictures for everybody.

An upload is announced where it belongs (`web.videos`). Bodies are streamed to disk as they come. A file's name and type
are never sent: what it is, its content says.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, put
from litestar.params import QueryParameter

from laotie import uploads, videos
from laotie.base.db import Database
from laotie.base.refusals import NotFound
from laotie.base.settings import Settings
from laotie.identity import Actor
from laotie.media import Limits, PictureBounds
from laotie.uploads import PictureId, Purpose, Upload, UploadId
from laotie.web.files import FOR_EVER, send_file
from laotie.web.given import FromPath, Given

Offset = Annotated[int, QueryParameter(name="offset", ge=0, description="Where in the file this piece begins.")]
For = Annotated[Purpose, QueryParameter(name="purpose", description="What the picture is for.")]
FileName = FromPath[Annotated[str, QueryParameter(max_length=64)]]


class UploadView(msgspec.Struct):
    """A file on its way here. Go on from `received_bytes`; what nobody goes on with is gone after a day."""

    id: UploadId
    size_bytes: int
    received_bytes: int
    created_at: datetime


class PictureView(msgspec.Struct):
    """A picture as it is shown: WebP, upright, without metadata. One that nothing shows is gone after a day."""

    id: PictureId
    url: str
    width: int
    height: int


@get("/api/uploads/{upload_id:uuid}")
async def get_upload(
    upload_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], settings: Given[Settings]
) -> UploadView:
    """How far an upload of mine has come."""
    async with db.read() as tx:
        upload = await uploads.get_own(tx, actor.signed_in(), UploadId(upload_id))
    return view_of_upload(upload, uploads.received_bytes(settings.data_path, upload))


@patch("/api/uploads/{upload_id:uuid}")
async def append_upload(
    upload_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
    offset: Offset = 0,
) -> UploadView:
    """Send the bytes from `offset` on, all or some of them, as `application/octet-stream`."""
    async with db.read() as tx:
        upload = await uploads.get_own(tx, actor.signed_in(), UploadId(upload_id))
    received = await uploads.append(
        settings.data_path, upload, offset=offset, pieces=_pieces(request), check_head=videos.check_head
    )
    return view_of_upload(upload, received)


@delete("/api/uploads/{upload_id:uuid}", status_code=204)
async def cancel_upload(
    upload_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], settings: Given[Settings]
) -> None:
    """Call an upload off; what has arrived is thrown away."""
    async with db.tx() as tx:
        await uploads.forget(tx, actor.signed_in(), UploadId(upload_id))
    uploads.discard(settings.data_path, UploadId(upload_id))


@put("/api/pictures/{picture_id:uuid}")
async def put_picture(
    picture_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
    purpose: For = Purpose.product,
) -> PictureView:
    """Bring a picture as `application/octet-stream`; the same bytes under the same id are the same picture."""
    picture = await uploads.bring_picture(
        db,
        settings.data_path,
        actor.signed_in(),
        PictureId(picture_id),
        _pieces(request),
        purpose=purpose,
        bytes_max=settings.picture_bytes_max,
        bounds=PictureBounds(pixels_max=settings.picture_pixels_max),
        limits=Limits(ffmpeg=settings.ffmpeg or ""),
    )
    return PictureView(picture.id, picture.url, picture.width, picture.height)


@get("/media/uploads/{name:str}", include_in_schema=False)
async def show_picture(name: FileName, request: Request[Any, Any, Any], settings: Given[Settings]) -> Response[Any]:
    """A picture that somebody brought."""
    picture_id = uploads.picture_id_in(f"/media/uploads/{name}")
    if picture_id is None:
        raise NotFound()
    path = uploads.picture_place(settings.data_path, picture_id)
    return await send_file(request, path, media_type="image/webp", cache_control=FOR_EVER)


def view_of_upload(upload: Upload, received: int) -> UploadView:
    """An upload as its owner sees it."""
    return UploadView(upload.id, upload.size_bytes, received, upload.created_at)


async def _pieces(request: Request[Any, Any, Any]) -> AsyncIterator[bytes]:
    async for piece in request.stream():
        yield piece


ROUTES = [get_upload, append_upload, cancel_upload, put_picture, show_picture]
