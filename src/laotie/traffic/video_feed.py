"""The feed of videos: what is new, what people care for, whom one follows, what is about to begin. Each says why.

value = 4 · 2^(-age / 24 h) + log2(1 + likes + 2 · comments + 4 · orders) + log2(1 + plays) / 2
        + 3 if one follows the streamer + 2 if it warms up a show of the next 24 hours,
rounded to a millionth; of equal ones the younger first. It can be recomputed by hand from public figures.
"""

import math
from datetime import UTC, datetime, timedelta

import msgspec

from laotie import fans, live, videos
from laotie.base.db import Tx
from laotie.base.entry import Entry, Source, mint_entry
from laotie.base.ids import AccountId, ShowId
from laotie.base.refusals import Refusal
from laotie.base.signer import Signer
from laotie.identity import Actor
from laotie.live import ShowCard, ShowState
from laotie.traffic.model import CursorRefused, bound_entry
from laotie.videos import Merits, Video, VideoId

CURSOR_AGE_MAX_S = 3600
VIDEO_PAGE_MAX = 20
FRESH_HALF_LIFE = timedelta(hours=24)
FRESH_WEIGHT = 4.0
FOLLOWED_WEIGHT = 3.0
WARMING_WEIGHT = 2.0
WARMING_AHEAD = timedelta(hours=24)
VIDEO_LINK = "video-link"
"""The placement of the ways from a video into a show."""


class VideoSlot(msgspec.Struct, frozen=True, kw_only=True):
    """A video in the feed: why it stands here, and the ways on: its entry, the streamer's live show, the one it warms up.

    `entry` is exchanged for the visit that orders made from the video carry.
    """

    video: Video
    why: str
    entry: str
    is_following: bool
    live_show: ShowCard | None
    warms_up: ShowCard | None


class VideoFeedPage(msgspec.Struct, frozen=True):
    """A part of the feed, and the cursor to its next part."""

    items: list[VideoSlot]
    next: str | None


class Weight(msgspec.Struct, frozen=True, kw_only=True):
    """A video's place in the feed, and the terms that gave it."""

    id: VideoId
    streamer_id: AccountId
    value: float
    age: timedelta
    likes: int
    orders: int
    is_followed: bool
    is_warming: bool


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    at_ms: int
    value: float
    video_id: VideoId
    shown: int


async def list_videos(
    tx: Tx, signer: Signer, actor: Actor, *, after: str | None = None, limit: int = 10, locale: str = "zh-CN"
) -> VideoFeedPage:
    """Videos by value. A later page is weighed as of the first page's instant, so time alone moves nothing."""
    limit = max(1, min(limit, VIDEO_PAGE_MAX))
    cursor = _read_cursor(signer, after)
    at = datetime.fromtimestamp(cursor.at_ms / 1000, UTC) if cursor else tx.now
    merits = await videos.list_merits(tx)
    followed = {bond.streamer_id for bond in await fans.list_bonds(tx, actor.viewer_id)}
    shows = await live.find_shows(tx, list({one.warms_up for one in merits if one.warms_up is not None}))
    soon = {show.id for show in shows.values() if _is_soon(show.state, show.planned_at, at)}
    weights = weigh_videos(merits, followed=followed, soon=soon, at=at)
    if cursor is not None:
        weights = [one for one in weights if (one.value, one.id) < (cursor.value, cursor.video_id)]
    shown, page = cursor.shown if cursor else 0, weights[:limit]
    items = await show_slots(tx, signer, actor, page, position=shown, locale=locale)
    if len(weights) <= limit:
        return VideoFeedPage(items, None)
    last = page[-1]
    following = _Cursor(int(at.timestamp() * 1000), last.value, last.id, shown + limit)
    return VideoFeedPage(items, signer.sign("video-cursor", following))


async def get_video_slot(tx: Tx, signer: Signer, actor: Actor, video_id: VideoId, *, locale: str) -> VideoSlot:
    """One video as the feed shows it, for who opens its address: that is `direct`. Refuses `NotFound`."""
    video = await videos.get_video(tx, actor.viewer_id, video_id)
    follows = await fans.is_following(tx, actor.viewer_id, video.streamer.id)
    weight = Weight(
        id=video.id,
        streamer_id=video.streamer.id,
        value=0.0,
        age=tx.now - video.published_at,
        likes=video.likes,
        orders=0,
        is_followed=follows,
        is_warming=False,
    )
    return (await show_slots(tx, signer, actor, [weight], position=0, locale=locale, source=Source.direct))[0]


async def show_slots(
    tx: Tx,
    signer: Signer,
    actor: Actor,
    weights: list[Weight],
    *,
    position: int,
    locale: str,
    source: Source = Source.public_organic,
) -> list[VideoSlot]:
    """These videos with the ways on; one that was withdrawn meanwhile is left out."""
    found = await videos.find_videos(tx, actor.viewer_id, [one.id for one in weights])
    streamers = await live.find_streamers(tx, list({one.streamer_id for one in weights}))
    on_air = {brief.person.id: brief.live_show_id for brief in streamers.values() if brief.live_show_id is not None}
    warmed = {video.warms_up for video in found.values() if video.warms_up is not None}
    cards = await live.find_cards(tx, [*on_air.values(), *(warmed - set(on_air.values()))])

    def way_to(show_id: ShowId | None, *, states: set[ShowState]) -> ShowCard | None:
        card = cards.get(show_id) if show_id is not None else None
        if card is None or card.state not in states:
            return None
        placed = bound_entry(source, VIDEO_LINK, actor.viewer_id, card.show_id, at=tx.now)
        return msgspec.structs.replace(card, entry=mint_entry(signer, placed))

    slots = []
    for number, one in enumerate(weights):
        video = found.get(one.id)
        if video is None:
            continue
        slots.append(
            VideoSlot(
                video=video,
                why=explain_video(one, locale=locale),
                entry=mint_entry(signer, _entry(actor, video, source, at=tx.now, position=position + number)),
                is_following=one.is_followed,
                live_show=way_to(on_air.get(video.streamer.id), states={ShowState.live}),
                warms_up=way_to(video.warms_up, states={ShowState.scheduled, ShowState.live}),
            )
        )
    return slots


def _entry(actor: Actor, video: Video, source: Source, *, at: datetime, position: int) -> Entry:
    """An entry that only this viewer can use, for this video."""
    return Entry(
        source=source,
        placement=videos.placement_of(video.id),
        at=at,
        viewer_id=actor.viewer_id,
        position=position,
        subject=videos.placement_of(video.id),
    )


def weigh_videos(
    merits: list[Merits], *, followed: set[AccountId], soon: set[ShowId], at: datetime
) -> list[Weight]:
    """The feed's order by the published formula (see the module). Deterministic."""
    weights = []
    for one in merits:
        age = max(timedelta(0), at - one.published_at)
        is_followed, is_warming = one.streamer_id in followed, one.warms_up in soon
        value = (
            FRESH_WEIGHT * 2.0 ** -(age / FRESH_HALF_LIFE)
            + math.log2(1 + one.likes + 2 * max(0, one.comments) + 4 * one.orders)
            + math.log2(1 + one.plays) / 2
            + FOLLOWED_WEIGHT * is_followed
            + WARMING_WEIGHT * is_warming
        )
        weights.append(
            Weight(
                id=one.id,
                streamer_id=one.streamer_id,
                value=round(value, 6),
                age=age,
                likes=one.likes,
                orders=one.orders,
                is_followed=is_followed,
                is_warming=is_warming,
            )
        )
    return sorted(weights, key=lambda one: (one.value, one.id), reverse=True)


VIDEO_WORDS = {
    "zh": {
        "followed": "你关注的主播",
        "warming": "即将开播",
        "orders": "{}人买过",
        "likes": "{}人点赞",
        "minutes": "{}分钟前发布",
        "hours": "{}小时前发布",
        "days": "{}天前发布",
    },
    "en": {
        "followed": "you follow them",
        "warming": "show starting soon",
        "orders": "bought by {}",
        "likes": "likes: {}",
        "minutes": "posted {} min ago",
        "hours": "posted {} h ago",
        "days": "posted {} d ago",
    },
}


def explain_video(weight: Weight, *, locale: str) -> str:
    """Why a video stands where it stands, in words: the terms that count for it."""
    words = VIDEO_WORDS["zh" if locale.lower().startswith("zh") else "en"]
    parts = [words["followed"]] if weight.is_followed else []
    if weight.is_warming:
        parts.append(words["warming"])
    if weight.orders:
        parts.append(words["orders"].format(weight.orders))
    if weight.likes:
        parts.append(words["likes"].format(weight.likes))
    if not parts:
        minutes = int(weight.age.total_seconds() // 60)
        unit, number = ("minutes", max(1, minutes)) if minutes < 60 else ("hours", minutes // 60)
        parts.append(words[unit].format(number) if number < 48 or unit == "minutes" else words["days"].format(number // 24))
    return " · ".join(parts)


def _is_soon(state: ShowState, planned_at: datetime | None, at: datetime) -> bool:
    return state is ShowState.scheduled and planned_at is not None and planned_at - at < WARMING_AHEAD


def _read_cursor(signer: Signer, after: str | None) -> _Cursor | None:
    if after is None:
        return None
    try:
        return signer.open("video-cursor", after, _Cursor, age_max_s=CURSOR_AGE_MAX_S)
    except Refusal:
        raise CursorRefused() from None
