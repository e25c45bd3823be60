"""Short videos over HTTP: brought, published, found, watched, liked, spoken about, bought from."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, post, put
from litestar.params import HeaderParameter, QueryParameter
from msgspec import UNSET
from msgspec.structs import replace

from laotie import live, traffic, uploads, videos
from laotie.base.db import Database, Tx
from laotie.base.entry import Source, read_visit
from laotie.base.ids import AccountId, ShopId, ShowId, ViewerId
from laotie.base.refusals import NotFound, Refusal, Unauthenticated
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.identity import Actor
from laotie.live import ShowState
from laotie.media import MediaServer
from laotie.uploads import UploadId
from laotie.videos import CommentId, PlayId, VideoId, VideoState
from laotie.web import acts
from laotie.web.files import FOR_EVER, send_file
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.house import House
from laotie.web.live import with_cover
from laotie.web.paging import LIMIT_DEFAULT, After, Cursor, Limit, Page
from laotie.web.uploads import FileName, UploadView, view_of_upload

Language = Annotated[str | None, HeaderParameter(name="accept-language", max_length=200)]
OfState = Annotated[VideoState | None, QueryParameter(name="state", description="Only videos in this state.")]
Preview = Annotated[
    str | None, QueryParameter(name="preview", max_length=500, description="Lets see what is not published.")
]
Token = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
FEED_LIMIT = 10
FILM_TYPES = {".mp4": "video/mp4", ".jpg": "image/jpeg"}


class NewUpload(msgspec.Struct, forbid_unknown_fields=True):
    """A file that is about to be sent, under the client's own id. Neither its name nor its type is asked."""

    id: UploadId
    size_bytes: int


class Acknowledgement(msgspec.Struct, forbid_unknown_fields=True):
    """How much of the play the player has shown so far. `visit` is what the way here gave."""

    watched_ms: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
    visit: Token | None = None


class NewComment(msgspec.Struct, forbid_unknown_fields=True):
    """Something to say, under the client's own id. `parent_id` is the comment that it answers."""

    id: CommentId
    text: Annotated[str, msgspec.Meta(max_length=20_000)]
    parent_id: CommentId | None = None


class VideoEntrance(msgspec.Struct, forbid_unknown_fields=True):
    """Where the viewer came from: a feed's entry, or the visit that led here."""

    entry: Token | None = None
    visit: Token | None = None


class VideoVisit(msgspec.Struct):
    """What follows and orders from this video carry."""

    visit: str
    expires_at: datetime


@post("/api/shops/{shop_id:uuid}/uploads", status_code=201)
async def announce_upload(
    shop_id: FromPath[UUID],
    data: JSONBody[NewUpload],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> UploadView:
    """Announce the file of a video; then send its bytes with `PATCH /api/uploads/{id}`."""
    async with db.tx() as tx:
        upload = await videos.begin_upload(
            *(tx, actor, ShopId(shop_id), data.id), size_bytes=data.size_bytes, bytes_max=settings.video_bytes_max
        )
    return view_of_upload(upload, uploads.received_bytes(settings.data_path, upload))


@post("/api/shops/{shop_id:uuid}/videos", status_code=201)
async def create_video(
    shop_id: FromPath[UUID],
    data: JSONBody[videos.VideoDraft],
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
    settings: Given[Settings],
) -> videos.OwnVideo:
    """Make a video of a complete upload. Its film is prepared now; published, it is seen when that is done."""
    async with db.tx() as tx:
        await _check_warm_up(tx, ShopId(shop_id), data.warms_up)
        await videos.make_video(
            *(tx, actor, ShopId(shop_id), data), data=settings.data_path, lanes=settings.video_jobs_max
        )
        return await videos.get_own(tx, data.id, signer)


@get("/api/shops/{shop_id:uuid}/videos")
async def list_shop_videos(
    shop_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
    of_state: OfState = None,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[videos.OwnVideo]:
    """The shop's videos, newest first, with what became of them, for its staff."""
    async with db.read() as tx:
        page = await videos.list_of_shop(
            *(tx, signer, actor, ShopId(shop_id)), state=of_state, after=_video_id(after), limit=limit
        )
    return Page(items=page.items, next=str(page.next) if page.next else None)


@patch("/api/videos/{video_id:uuid}")
async def change_video(
    video_id: FromPath[UUID],
    data: JSONBody[videos.VideoChange],
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
) -> videos.OwnVideo:
    """Describe a video, publish it, hide it, remove it for good."""
    async with db.tx() as tx:
        changed = await videos.change_video(tx, actor, VideoId(video_id), data)
        if data.warms_up is not UNSET:
            await _check_warm_up(tx, changed.shop_id, data.warms_up)
        return await videos.get_own(tx, changed.id, signer)


@get("/api/feed/videos")
async def list_feed_videos(
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
    media: Given[MediaServer | None],
    after: Cursor = None,
    limit: Limit = FEED_LIMIT,
    language: Language = None,
) -> Page[traffic.VideoSlot]:
    """Videos by value, each with why it stands there (in Chinese or English, as `Accept-Language` says)."""
    async with db.read() as tx:
        page = await traffic.list_videos(tx, signer, actor, after=after, limit=limit, locale=language or "zh-CN")
    return Page(items=[_with_covers(slot, media) for slot in page.items], next=page.next)


@get("/api/videos/{video_id:uuid}")
async def get_video(
    video_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
    media: Given[MediaServer | None],
    language: Language = None,
) -> traffic.VideoSlot:
    """One video, as the feed shows it."""
    async with db.read() as tx:
        slot = await traffic.get_video_slot(tx, signer, actor, VideoId(video_id), locale=language or "zh-CN")
    return _with_covers(slot, media)


@get("/api/streamers/{streamer_id:uuid}/videos")
async def list_streamer_videos(
    streamer_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[videos.Video]:
    """A streamer's videos, newest first."""
    async with db.read() as tx:
        page = await videos.list_of_streamer(
            *(tx, actor.viewer_id, AccountId(streamer_id)), after=_video_id(after), limit=limit
        )
    return Page(items=page.items, next=str(page.next) if page.next else None)


@post("/api/videos/{video_id:uuid}/visits", status_code=201)
async def visit_video(
    video_id: FromPath[UUID],
    data: JSONBody[VideoEntrance],
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
    house: Given[House],
) -> VideoVisit:
    """Exchange an entry for the visit that follows and orders from this video carry."""
    async with db.tx() as tx:
        video = await videos.get_video(tx, actor.viewer_id, VideoId(video_id))
        surface = traffic.Surface(
            placement=videos.placement_of(video.id), shop_id=video.shop_id, streamer_id=video.streamer.id
        )
        opened = await traffic.open_surface_visit(tx, signer, actor, surface, entry=data.entry, visit=data.visit)
    acts.tell_visit(house, actor, opened)
    visit = traffic.SurfaceVisit.of(opened)
    return VideoVisit(visit.visit, visit.expires_at)


@post("/api/videos/{video_id:uuid}/share-links", status_code=201)
async def share_video(
    video_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], signer: Given[Signer], house: Given[House]
) -> traffic.ShareLink:
    """A link to the video that anybody may open; it credits the share alone."""
    async with db.read() as tx:
        video = await videos.get_video(tx, actor.viewer_id, VideoId(video_id))
        placement = videos.placement_of(video.id)
        credit = await traffic.credit_at(tx, actor, video.shop_id)
        link = traffic.share_surface(signer, actor, placement, path=f"/videos/{video.id}", at=tx.now)
    acts.tell_share(house, actor, credit, None, placement)
    return link


@put("/api/videos/{video_id:uuid}/plays/{play_id:uuid}")
async def acknowledge_play(
    video_id: FromPath[UUID],
    play_id: FromPath[UUID],
    data: JSONBody[Acknowledgement],
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
) -> videos.Played:
    """Acknowledge what a player has shown, every few seconds and at the end. It counts from three seconds on."""
    source, placement = _came_from(signer, data.visit)
    async with db.tx() as tx:
        return await videos.acknowledge_play(
            *(tx, _recognised(actor), VideoId(video_id), PlayId(play_id)),
            watched_ms=data.watched_ms,
            source=source,
            placement=placement,
        )


@put("/api/videos/{video_id:uuid}/like", status_code=204)
async def like_video(video_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> None:
    """Like a video; again changes nothing."""
    async with db.tx() as tx:
        await videos.like(tx, _recognised(actor), VideoId(video_id))


@delete("/api/videos/{video_id:uuid}/like", status_code=204)
async def unlike_video(video_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> None:
    """Take the like back."""
    async with db.tx() as tx:
        await videos.unlike(tx, _recognised(actor), VideoId(video_id))


@get("/api/videos/{video_id:uuid}/comments")
async def list_video_comments(
    video_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[videos.Comment]:
    """What was said under a video, newest first; answers are with each comment."""
    async with db.read() as tx:
        page = await videos.list_comments(tx, actor, VideoId(video_id), after=_comment_id(after), limit=limit)
    return Page(items=page.items, next=str(page.next) if page.next else None)


@post("/api/videos/{video_id:uuid}/comments", status_code=201)
async def add_video_comment(
    video_id: FromPath[UUID], data: JSONBody[NewComment], actor: Given[Actor], db: Given[Database]
) -> videos.Comment:
    """Say something under a video, or answer a comment. The same again is the same comment."""
    async with db.tx() as tx:
        return await videos.add_comment(
            *(tx, actor, VideoId(video_id), data.id), text=data.text, parent_id=data.parent_id
        )


@get("/api/video-comments/{comment_id:uuid}/answers")
async def list_comment_answers(
    comment_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[videos.Comment]:
    """The answers to a comment, oldest first."""
    async with db.read() as tx:
        page = await videos.list_answers(tx, actor, CommentId(comment_id), after=_comment_id(after), limit=limit)
    return Page(items=page.items, next=str(page.next) if page.next else None)


@post("/api/video-comments/{comment_id:uuid}/approval", status_code=200)
async def approve_comment(comment_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> videos.Comment:
    """Let everybody see a comment that the word lists hold back; for the shop's staff."""
    async with db.tx() as tx:
        return await videos.let_pass(tx, actor, CommentId(comment_id))


@delete("/api/video-comments/{comment_id:uuid}", status_code=204)
async def remove_comment(comment_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> None:
    """Take a comment away, with its answers: one's own, or any under one's shop's videos."""
    async with db.tx() as tx:
        await videos.remove_comment(tx, actor, CommentId(comment_id))


@put("/api/video-comments/{comment_id:uuid}/like", status_code=204)
async def like_comment(comment_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> None:
    """Like a comment."""
    async with db.tx() as tx:
        await videos.like_comment(tx, actor, CommentId(comment_id), is_liked=True)


@delete("/api/video-comments/{comment_id:uuid}/like", status_code=204)
async def unlike_comment(comment_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> None:
    """Take the like of a comment back."""
    async with db.tx() as tx:
        await videos.like_comment(tx, actor, CommentId(comment_id), is_liked=False)


@get("/media/videos/{name:str}", include_in_schema=False)
async def play_film(
    name: FileName,
    request: Request[Any, Any, Any],
    db: Given[Database],
    signer: Given[Signer],
    settings: Given[Settings],
    preview: Preview = None,
) -> Response[Any]:
    """A film or its poster, whole or in ranges. Its name is never used again, so it may be kept for ever."""
    asked = Path(name)
    try:
        film_id = UUID(asked.stem)
    except ValueError:
        raise NotFound() from None
    if asked.suffix not in FILM_TYPES:
        raise NotFound()
    async with db.read() as tx:
        film = await videos.find_film(tx, signer, film_id, preview=preview)
    return await send_file(
        request,
        videos.film_place(settings.data_path, film.film_id, asked.suffix),
        media_type=FILM_TYPES[asked.suffix],
        cache_control=FOR_EVER if film.state is VideoState.published else "private, no-store",
    )


async def _check_warm_up(tx: Tx, shop_id: ShopId, show_id: ShowId | None) -> None:
    """A video warms up a show of its own shop that is still to come."""
    if show_id is None:
        return
    show = (await live.find_shows(tx, [show_id])).get(show_id)
    if show is None or show.shop_id != shop_id or show.state is not ShowState.scheduled:
        raise videos.WarmUpRefused()


def _recognised(actor: Actor) -> ViewerId:
    """Somebody of whom there is a trace: an account, or a guest who has been here before."""
    if actor.account_id is None and not actor.is_known_guest:
        raise Unauthenticated()
    return actor.viewer_id


def _came_from(signer: Signer, token: str | None) -> tuple[str, str]:
    """What a play is credited to; a visit that is worth nothing any more is `direct`."""
    try:
        visit = read_visit(signer, token) if token is not None else None
    except Refusal:
        visit = None
    return (visit.source, visit.placement) if visit is not None else (Source.direct, "direct")


def _with_covers(slot: traffic.VideoSlot, media: MediaServer | None) -> traffic.VideoSlot:
    return replace(
        slot,
        live_show=with_cover(slot.live_show, media) if slot.live_show else None,
        warms_up=with_cover(slot.warms_up, media) if slot.warms_up else None,
    )


def _video_id(after: UUID | None) -> VideoId | None:
    return VideoId(after) if after is not None else None


def _comment_id(after: UUID | None) -> CommentId | None:
    return CommentId(after) if after is not None else None


ROUTES = [
    announce_upload,
    create_video,
    list_shop_videos,
    change_video,
    list_feed_videos,
    get_video,
    list_streamer_videos,
    visit_video,
    share_video,
    acknowledge_play,
    like_video,
    unlike_video,
    list_video_comments,
    add_video_comment,
    list_comment_answers,
    approve_comment,
    remove_comment,
    like_comment,
    unlike_comment,
    play_film,
]
