"""Replays over HTTP: what is kept of a show, played again, talked along, and sold from.

What is played never changes under its name, so caches keep it; whether it may be seen is asked of the database, and
remembered for a few seconds. Positions on the wire are seconds of media, exact to the microsecond.
"""

import asyncio
import re
import time
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.params import QueryParameter

from laotie import identity, live, orders, traffic
from laotie.base.db import Database
from laotie.base.ids import AccountId, CartItemId, ProductId, ShopId, ShowId, ViewerId
from laotie.base.money import Money
from laotie.base.refusals import NotFound
from laotie.base.signer import Signer
from laotie.identity import Actor, Scope
from laotie.live import Person, ShowState
from laotie.media import Archive, ChannelId, MediaServer, RecordingState, Why, recording
from laotie.web import acts
from laotie.web.clips import Arrival, ClipView, FileName, answer_playlist, position_s, surface_of, view_clip
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.house import House
from laotie.web.paging import Page
from laotie.web.ranges import answer_bytes

CHAT_S_MAX = 600.0
CHATS_MAX = 500
SEEN_S = 5.0
SEEN_MAX = 10_000

FOREVER = "public, max-age=31536000, immutable"
NAME = re.compile(r"i(\d{1,15})\.mp4|s(\d{1,9})\.(\d{1,5})\.m4s", re.ASCII)

Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e7)]


class ReplaySpan(msgspec.Struct):
    """A stretch without a break: the instant of a position in it is `begins_at` and as much more."""

    from_s: float
    to_s: float
    begins_at: datetime


class ReplayGap(msgspec.Struct):
    """A stretch of the show that was not kept, and where on the recording it lies."""

    at_s: float
    begins_at: datetime
    ends_at: datetime
    why: Why


class ReplayPrice(msgspec.Struct):
    """What the product cost at the least, from that position on."""

    from_s: float
    price: Money


class ReplayMark(msgspec.Struct):
    """A product as it was explained. No end: it is being explained now."""

    id: UUID
    item_id: CartItemId
    product_id: ProductId
    title: str
    image: str | None
    from_at: datetime
    to_at: datetime | None
    from_s: float
    to_s: float | None
    prices: list[ReplayPrice]


class ReplayView(msgspec.Struct):
    """A show as it was: the recording, its gaps, and what was explained when. `recording`: the show goes on."""

    show_id: ShowId
    shop_id: ShopId
    title: str
    cover: str | None
    streamer: Person
    state: str
    published: bool
    hls_url: str
    starts_at: datetime
    ends_at: datetime
    duration_s: float
    spans: list[ReplaySpan]
    gaps: list[ReplayGap]
    marks: list[ReplayMark]
    clips: list[ClipView]


class SaidView(msgspec.Struct):
    """What somebody said, and where on the recording."""

    id: UUID
    viewer_id: ViewerId
    name: str
    level: int
    text: str
    at: datetime
    at_s: float


class ReplayCard(msgspec.Struct):
    """A replay as lists show it."""

    show_id: ShowId
    title: str
    cover: str | None
    started_at: datetime | None
    duration_s: float


class RecordingView(msgspec.Struct):
    """A show's recording, for the shop's people. `paused`: nothing is being kept now, `why` says the reason."""

    state: str
    why: Why | None
    published: bool
    duration_s: float
    size_bytes: int
    dropped_count: int
    free_bytes: int | None
    keep_until: datetime | None
    gaps: list[ReplayGap]


class ReplayPublication(msgspec.Struct, forbid_unknown_fields=True):
    """Whether everybody may see it."""

    published: bool


class SharedMoment(msgspec.Struct, forbid_unknown_fields=True):
    """The second that the link opens."""

    at_s: Seconds = 0.0


class SurfaceSalesView(msgspec.Struct):
    """What a replay or a clip sold. `title` is a clip's."""

    placement: str
    kind: str
    title: str | None
    orders: int
    paid: int
    gmv_placed: Money
    gmv_paid: Money


class _Seen:
    """Which recordings everybody may see, remembered for a moment; one a process, bounded."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, UUID], float] = {}

    async def check(self, db: Database, actor: Actor, show_id: ShowId) -> None:
        """Refuse `NotFound` unless the recording may be seen."""
        key = (db.url, show_id)
        if self._until.get(key, 0) > time.monotonic():
            return
        async with db.read() as tx:
            found = await live.replay.get_recording(tx, actor, show_id)
        if found.published:
            while len(self._until) >= SEEN_MAX:
                self._until.pop(next(iter(self._until)))
            self._until[key] = time.monotonic() + SEEN_S

    def forget(self, db: Database, show_id: ShowId) -> None:
        """Ask again next time."""
        self._until.pop((db.url, show_id), None)


_seen = _Seen()


@get("/api/shows/{show_id:uuid}/replay")
async def show_replay(
    show_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], archive: Given[Archive]
) -> ReplayView:
    """A show again, from its first minute on; absent while nothing was kept, or when it is hidden."""
    async with db.read() as tx:
        kept = await live.replay.get_recording(tx, actor, ShowId(show_id))
        show = await live.get_show(tx, ShowId(show_id))
        explained = await live.replay.list_explained(tx, ShowId(show_id))
        clips = await live.clips.list_of_show(tx, actor, ShowId(show_id))
    tape = await asyncio.to_thread(archive.find, str(show_id))
    if tape is None or tape.begins_at is None or tape.ends_at is None:
        raise NotFound()
    return ReplayView(
        show_id=show.id,
        shop_id=show.shop_id,
        title=show.title,
        cover=show.cover,
        streamer=show.streamer,
        state="recording" if show.state is ShowState.live else "ready",
        published=kept.published,
        hls_url=f"/recordings/{show_id}/replay.m3u8",
        starts_at=tape.begins_at,
        ends_at=tape.ends_at,
        duration_s=tape.duration_us / 1e6,
        spans=[
            ReplaySpan(span.position_us / 1e6, (span.position_us + span.duration_us) / 1e6, span.begins_at)
            for span in tape.spans()
        ],
        gaps=_gaps(tape),
        marks=[_mark(tape, one) for one in explained],
        clips=[view_clip(tape, clip) for clip in clips],
    )


@get("/api/shows/{show_id:uuid}/replay/chat")
async def list_replay_chat(
    show_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    archive: Given[Archive],
    from_s: Annotated[float, QueryParameter(ge=0, le=1e7)] = 0.0,
    to_s: Annotated[float, QueryParameter(ge=0, le=1e7)] = 60.0,
) -> Page[SaidView]:
    """What was said between two positions, ten minutes at most: in its order, with where it was said."""
    tape = await asyncio.to_thread(archive.find, str(show_id))
    begins_at = tape.find_instant(round(from_s * 1e6)) if tape is not None else None
    async with db.read() as tx:
        await live.replay.get_recording(tx, actor, ShowId(show_id))
        if tape is None or begins_at is None or to_s <= from_s:
            return Page(items=[])
        to_us = min(round(min(to_s, from_s + CHAT_S_MAX) * 1e6), tape.duration_us)
        ends_at = (tape.find_instant(to_us - 1) or begins_at) + timedelta(microseconds=1)
        said = await live.list_sayings(tx, ShowId(show_id), begins_at, ends_at, CHATS_MAX)
    return Page(items=[_said(tape, one) for one in said])


@get("/api/streamers/{streamer_id:uuid}/replays")
async def list_replays(streamer_id: FromPath[UUID], db: Given[Database]) -> Page[ReplayCard]:
    """A streamer's shows that can be seen again, newest first."""
    async with db.read() as tx:
        show_ids = await live.replay.list_of_streamer(tx, AccountId(streamer_id))
        shows = await live.find_shows(tx, show_ids)
        kept = {show_id: await live.replay.find_recording(tx, show_id) for show_id in shows}
    return Page(
        items=[
            ReplayCard(show.id, show.title, show.cover, show.started_at, found.duration_ms / 1000)
            for show in shows.values()
            if (found := kept[show.id]) is not None and found.duration_ms
        ]
    )


@patch("/api/shows/{show_id:uuid}/replay")
async def publish_replay(
    show_id: FromPath[UUID], data: JSONBody[ReplayPublication], actor: Given[Actor], db: Given[Database]
) -> ReplayPublication:
    """Show the replay and its clips to everybody, or hide them all."""
    async with db.tx() as tx:
        kept = await live.replay.publish(tx, actor, ShowId(show_id), published=data.published)
    _seen.forget(db, ShowId(show_id))
    return ReplayPublication(kept.published)


@delete("/api/shows/{show_id:uuid}/replay", status_code=204)
async def remove_replay(
    show_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], archive: Given[Archive]
) -> None:
    """Remove a recording whose term is over. Before that it can only be hidden."""
    async with db.tx() as tx:
        await live.replay.remove(tx, actor, ShowId(show_id))
    _seen.forget(db, ShowId(show_id))
    await asyncio.to_thread(archive.remove, str(show_id))


@get("/api/shows/{show_id:uuid}/recording")
async def show_recording(
    show_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    archive: Given[Archive],
    media: Given[MediaServer | None],
) -> RecordingView:
    """How the recording is doing, or what was kept, for the shop's people; `off` when there is none."""
    async with db.read() as tx:
        show = await live.get_show(tx, ShowId(show_id))
        await identity.require_seat(tx, actor, show.shop_id, Scope.show)
        kept = await live.replay.find_recording(tx, ShowId(show_id))
    recorder = media.recorder if media is not None else None
    stats = recorder.stats(ChannelId(show_id)) if recorder is not None else None
    tape = await asyncio.to_thread(archive.find, str(show_id))
    state = "off" if kept is None else kept.state
    if stats is not None and stats.state is RecordingState.paused:
        state = "paused"
    return RecordingView(
        state=state,
        why=stats.why if stats else None,
        published=kept.published if kept else True,
        duration_s=tape.duration_us / 1e6 if tape else 0.0,
        size_bytes=tape.media_size if tape else 0,
        dropped_count=stats.dropped_count if stats else 0,
        free_bytes=stats.free_bytes if stats else None,
        keep_until=kept.keep_until if kept else None,
        gaps=_gaps(tape) if tape else [],
    )


@get("/api/shows/{show_id:uuid}/replay/sales")
async def get_replay_sales(show_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> Page[SurfaceSalesView]:
    """What the replay and each clip sold, most paid first."""
    async with db.read() as tx:
        found = await orders.get_replay_sales(tx, actor, ShowId(show_id))
    return Page(
        items=[
            SurfaceSalesView(
                placement=one.placement,
                kind=one.placement.partition(":")[0],
                title=found.clips.get(UUID(one.placement.partition(":")[2])),
                orders=one.orders,
                paid=one.paid_orders,
                gmv_placed=Money(one.amount, one.currency),
                gmv_paid=Money(one.paid_amount, one.currency),
            )
            for one in found.surfaces
        ]
    )


@post("/api/shows/{show_id:uuid}/replay/visits", status_code=201)
async def visit_replay(
    show_id: FromPath[UUID],
    data: JSONBody[Arrival],
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
    house: Given[House],
) -> traffic.SurfaceVisit:
    """A visit to the replay: what is bought with it is credited to it, and to where the viewer came from."""
    async with db.tx() as tx:
        await live.replay.get_recording(tx, actor, ShowId(show_id))
        surface = surface_of(await live.get_show(tx, ShowId(show_id)), f"replay:{show_id}")
        opened = await traffic.open_surface_visit(tx, signer, actor, surface, entry=data.entry, visit=data.visit)
    acts.tell_visit(house, actor, opened)
    return traffic.SurfaceVisit.of(opened)


@post("/api/shows/{show_id:uuid}/replay/share-links", status_code=201)
async def share_replay(
    show_id: FromPath[UUID],
    data: JSONBody[SharedMoment],
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
    house: Given[House],
) -> traffic.ShareLink:
    """A link that opens the replay at a second."""
    placement, path = f"replay:{show_id}", f"/replay/{show_id}?t={data.at_s:.0f}"
    async with db.read() as tx:
        await live.replay.get_recording(tx, actor, ShowId(show_id))
        credit = await traffic.credit_at(tx, actor, (await live.get_show(tx, ShowId(show_id))).shop_id)
        link = traffic.share_surface(signer, actor, placement, path=path, at=tx.now)
    acts.tell_share(house, actor, credit, None, placement)
    return link


# What is played.


@get("/recordings/{show_id:uuid}/{name:str}", include_in_schema=False)
async def play_recording(
    show_id: FromPath[UUID],
    name: FromPath[FileName],
    request: Request[Any, Any, Any],
    actor: Given[Actor],
    db: Given[Database],
    archive: Given[Archive],
) -> Response[bytes]:
    """The replay's playlist, an init segment, or some pieces in one."""
    await _seen.check(db, actor, ShowId(show_id))
    if name == "replay.m3u8":
        async with db.read() as tx:
            over = (await live.get_show(tx, ShowId(show_id))).state is ShowState.ended
        tape = await asyncio.to_thread(archive.find, str(show_id))
        groups = tape.groups() if tape is not None else []
        if tape is None or not groups:
            raise NotFound()
        over = over and tape.ended is not None
        return answer_playlist(recording.playlist(tape, groups, over=over), over=over)
    named = NAME.fullmatch(name)
    if named is None:
        raise NotFound()
    opening, first, count = named.groups()
    if opening is not None:
        media = await asyncio.to_thread(archive.fetch_opening, str(show_id), int(opening))
    else:
        media = await asyncio.to_thread(archive.fetch_pieces, str(show_id), int(first), int(count))
    if media is None:
        raise NotFound()
    return answer_bytes(request, media, "video/mp4", cache=FOREVER)


def _gaps(tape: recording.Recording) -> list[ReplayGap]:
    return [ReplayGap(gap.position_us / 1e6, gap.begins_at, gap.ends_at, gap.why) for gap in tape.gaps()]


def _said(tape: recording.Recording, one: live.Saying) -> SaidView:
    return SaidView(
        id=one.id,
        viewer_id=one.viewer_id,
        name=one.name,
        level=one.level,
        text=one.text,
        at=one.said_at,
        at_s=position_s(tape, one.said_at),
    )


def _mark(tape: recording.Recording, one: live.replay.Explained) -> ReplayMark:
    return ReplayMark(
        id=one.id,
        item_id=one.item_id,
        product_id=one.product_id,
        title=one.title,
        image=one.image,
        from_at=one.begins_at,
        to_at=one.ends_at,
        from_s=position_s(tape, one.begins_at),
        to_s=None if one.ends_at is None else position_s(tape, one.ends_at),
        prices=[ReplayPrice(position_s(tape, noted.at), noted.price) for noted in one.prices],
    )


ROUTES = [
    show_replay,
    list_replay_chat,
    list_replays,
    publish_replay,
    remove_replay,
    show_recording,
    get_replay_sales,
    visit_replay,
    share_replay,
    play_recording,
]
