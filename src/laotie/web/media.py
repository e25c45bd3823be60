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


ROUTES = [play_show]
