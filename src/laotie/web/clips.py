"""Clips over HTTP: listed, cut, renamed, played, taken along as a file, and sold from.

A file is made of a clip when it is first asked for, few at a time, and kept beside the recording.
"""

import asyncio
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.params import QueryParameter

from laotie import live, traffic
from laotie.base.db import Database
from laotie.base.ids import ProductId, ShowId
from laotie.base.refusals import NotFound
from laotie.base.signer import Signer
from laotie.identity import Actor
from laotie.live import Person, Show
from laotie.live.clips import Clip, ClipChange, ClipDraft, ClipId
from laotie.media import Archive, MediaServer, cut_clip, recording
from laotie.media import Limits as MediaLimits
from laotie.web import acts
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.house import House
from laotie.web.paging import Page
from laotie.web.ranges import answer_file

CUTS_AT_ONCE = 2
PLAYLIST_TYPE = "application/vnd.apple.mpegurl"

Token = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
FileName = Annotated[str, QueryParameter(max_length=64)]


def surface_of(show: Show, placement: str) -> traffic.Surface:
    """What was kept of a show, as a place that people come to."""
    return traffic.Surface(placement=placement, shop_id=show.shop_id, streamer_id=show.streamer.id, show_id=show.id)


class Arrival(msgspec.Struct, forbid_unknown_fields=True):
    """Where the viewer comes from: a placement's entry, or the visit they were on."""

    entry: Token | None = None
    visit: Token | None = None


class ClipView(msgspec.Struct):
    """A clip. There is nothing to play while `hls_url` is null: its last second is still being written."""

    id: ClipId
    show_id: ShowId
    product_id: ProductId | None
    title: str
    from_at: datetime
    to_at: datetime
    from_s: float | None
    duration_s: float
    published: bool
    hls_url: str | None
    file_url: str | None


class ClipPage(ClipView):
    """A clip with what its page shows beside it."""

    show_title: str
    streamer: Person
    has_replay: bool


_cutting = asyncio.Semaphore(CUTS_AT_ONCE)


@get("/api/shows/{show_id:uuid}/clips")
async def list_show_clips(
    show_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], archive: Given[Archive]
) -> Page[ClipView]:
    """A show's clips; hidden ones for the shop's own people alone."""
    async with db.read() as tx:
        clips = await live.clips.list_of_show(tx, actor, ShowId(show_id))
    tape = await asyncio.to_thread(archive.find, str(show_id))
    return Page(items=[view_clip(tape, clip) for clip in clips])


@post("/api/shows/{show_id:uuid}/clips", status_code=201)
async def add_clip(
    show_id: FromPath[UUID],
    data: JSONBody[ClipDraft],
    actor: Given[Actor],
    db: Given[Database],
    archive: Given[Archive],
) -> ClipView:
    """Cut a clip out of a show. Said again, it is the same clip."""
    async with db.tx() as tx:
        clip = await live.clips.add_clip(tx, actor, ShowId(show_id), data)
    return view_clip(await asyncio.to_thread(archive.find, str(show_id)), clip)


@get("/api/products/{product_id:uuid}/clips")
async def list_product_clips(
    product_id: FromPath[UUID], db: Given[Database], archive: Given[Archive]
) -> Page[ClipView]:
    """The clips that explain a product, newest first; those that can be played."""
    async with db.read() as tx:
        clips = await live.clips.list_of_product(tx, ProductId(product_id))
    views = [view_clip(await asyncio.to_thread(archive.find, str(clip.show_id)), clip) for clip in clips]
    return Page(items=[view for view in views if view.hls_url is not None])


@get("/api/clips/{clip_id:uuid}")
async def show_clip(
    clip_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], archive: Given[Archive]
) -> ClipPage:
    """One clip."""
    async with db.read() as tx:
        clip = await live.clips.get_clip(tx, actor, ClipId(clip_id))
        show = await live.get_show(tx, clip.show_id)
    view = view_clip(await asyncio.to_thread(archive.find, str(clip.show_id)), clip)
    fields = {name: getattr(view, name) for name in ClipView.__struct_fields__}
    return ClipPage(**fields, show_title=show.title, streamer=show.streamer, has_replay=view.hls_url is not None)


@patch("/api/clips/{clip_id:uuid}")
async def change_clip(
    clip_id: FromPath[UUID],
    data: JSONBody[ClipChange],
    actor: Given[Actor],
    db: Given[Database],
    archive: Given[Archive],
) -> ClipView:
    """Rename, publish or hide a clip."""
    async with db.tx() as tx:
        clip = await live.clips.change_clip(tx, actor, ClipId(clip_id), data)
    return view_clip(await asyncio.to_thread(archive.find, str(clip.show_id)), clip)


@delete("/api/clips/{clip_id:uuid}", status_code=204)
async def remove_clip(
    clip_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], archive: Given[Archive]
) -> None:
    """Remove a clip for good."""
    async with db.tx() as tx:
        clip = await live.clips.remove_clip(tx, actor, ClipId(clip_id))
    file = archive.directory(str(clip.show_id)) / "clips" / f"{clip.id}.mp4"
    await asyncio.to_thread(file.unlink, missing_ok=True)


@post("/api/clips/{clip_id:uuid}/visits", status_code=201)
async def visit_clip(
    clip_id: FromPath[UUID],
    data: JSONBody[Arrival],
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
    house: Given[House],
) -> traffic.SurfaceVisit:
    """A visit to the clip: what is bought with it is credited to it, and to where the viewer came from."""
    async with db.tx() as tx:
        clip = await live.clips.get_clip(tx, actor, ClipId(clip_id))
        show = await live.get_show(tx, clip.show_id)
        surface = surface_of(show, f"clip:{clip_id}")
        opened = await traffic.open_surface_visit(tx, signer, actor, surface, entry=data.entry, visit=data.visit)
    acts.tell_visit(house, actor, opened)
    return traffic.SurfaceVisit.of(opened)


@post("/api/clips/{clip_id:uuid}/share-links", status_code=201)
async def share_clip(
    clip_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], signer: Given[Signer], house: Given[House]
) -> traffic.ShareLink:
    """A link to the clip."""
    placement = f"clip:{clip_id}"
    async with db.read() as tx:
        clip = await live.clips.get_clip(tx, actor, ClipId(clip_id))
        credit = await traffic.credit_at(tx, actor, (await live.get_show(tx, clip.show_id)).shop_id)
        link = traffic.share_surface(signer, actor, placement, path=f"/clips/{clip_id}", at=tx.now)
    acts.tell_share(house, actor, credit, None, placement)
    return link


@get("/recordings/{show_id:uuid}/clips/{name:str}", include_in_schema=False)
async def play_clip(
    show_id: FromPath[UUID],
    name: FromPath[FileName],
    request: Request[Any, Any, Any],
    actor: Given[Actor],
    db: Given[Database],
    archive: Given[Archive],
    media: Given[MediaServer | None],
) -> Response[Any]:
    """A clip's playlist, or the clip as a file that is made when first asked for."""
    stem, _, kind = name.partition(".")
    try:
        clip_id = ClipId(UUID(stem))
    except ValueError:
        raise NotFound() from None
    async with db.read() as tx:
        clip = await live.clips.get_clip(tx, actor, clip_id)
    tape = await asyncio.to_thread(archive.find, str(show_id))
    if clip.show_id != show_id or tape is None or kind not in ("m3u8", "mp4"):
        raise NotFound()
    first, count = tape.window(clip.from_at, clip.to_at)
    if not _is_whole(tape, clip) or not count:
        raise NotFound()
    if kind == "m3u8":
        groups = recording.group_window(tape, first, count)
        return answer_playlist(recording.playlist(tape, groups, over=True, place="../"), over=True)
    target = archive.directory(str(show_id)) / "clips" / f"{clip.id}.mp4"
    async with _cutting:
        if not target.exists():
            await cut_clip(
                archive, str(show_id), first, count, target, media.limits if media is not None else MediaLimits()
            )
    return answer_file(request, target, "video/mp4", name=f"{clip.title or clip.id}.mp4", cache="private, max-age=60")


def answer_playlist(text: bytes, *, over: bool) -> Response[bytes]:
    """A playlist; one that still grows is asked for again."""
    headers = {"cache-control": "public, max-age=60" if over else "no-store"}
    return Response(text, headers=headers, media_type=PLAYLIST_TYPE)


def position_s(tape: recording.Recording, at: datetime) -> float:
    """Where an instant lies, in seconds."""
    moment = tape.find_moment(at)
    return moment.position_us / 1e6 if moment is not None else 0.0


def _is_whole(tape: recording.Recording, clip: Clip) -> bool:
    """Whether its last second is on the disk, or never will be."""
    return tape.ended is not None or (tape.ends_at is not None and tape.ends_at >= clip.to_at)


def view_clip(tape: recording.Recording | None, clip: Clip) -> ClipView:
    """A clip with what is kept of it."""
    first, count = tape.window(clip.from_at, clip.to_at) if tape is not None else (0, 0)
    playable = tape is not None and count > 0 and _is_whole(tape, clip)
    kept_us = sum(piece.duration_us for piece in tape.pieces[first : first + count]) if tape is not None else 0
    base = f"/recordings/{clip.show_id}/clips/{clip.id}"
    return ClipView(
        id=clip.id,
        show_id=clip.show_id,
        product_id=clip.product_id,
        title=clip.title,
        from_at=clip.from_at,
        to_at=clip.to_at,
        from_s=position_s(tape, clip.from_at) if tape is not None else None,
        duration_s=kept_us / 1e6,
        published=clip.published,
        hls_url=f"{base}.m3u8" if playable else None,
        file_url=f"{base}.mp4" if playable else None,
    )


ROUTES = [
    list_show_clips,
    add_clip,
    list_product_clips,
    show_clip,
    change_clip,
    remove_clip,
    visit_clip,
    share_clip,
    play_clip,
]
