"""Playback: what hls.js and iPhones fetch of a show on air. Public, and cacheable as `media` says."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get
from litestar.params import QueryParameter

from laotie.base.refusals import NotFound
from laotie.media import ChannelId, MediaServer
from laotie.web.given import FromPath, Given


@get("/media/{show_id:uuid}/{name:str}", include_in_schema=False)
async def play_show(
    show_id: FromPath[UUID],
    name: FromPath[Annotated[str, QueryParameter(max_length=64)]],
    request: Request[Any, Any, Any],
    media: Given[MediaServer | None],
) -> Response[bytes]:
    """A playlist, an init segment, a segment or a part; a blocking request waits a few seconds at most."""
    if media is None:
        raise NotFound()
    answer = await media.playback(ChannelId(show_id), name, request.query_params)
    headers = dict(answer.headers)
    kind = headers.pop("content-type")
    return Response(answer.body, status_code=answer.status, headers=headers, media_type=kind)


@get("/media/{show_id:uuid}/poster.jpg", include_in_schema=False)
async def show_poster(show_id: FromPath[UUID], media: Given[MediaServer | None]) -> Response[bytes]:
    """A frame of the show's own picture, for its cards; absent while there is none."""
    if media is None:
        raise NotFound()
    picture = await media.poster(ChannelId(show_id))
    headers = {"cache-control": f"public, max-age={media.limits.poster_fresh_s:.0f}"}
    return Response(picture, headers=headers, media_type="image/jpeg")


ROUTES = [play_show, show_poster]
