"""What a viewer is shown: the follow page, the discover list, a streamer's page. Each card carries the way in."""

from datetime import UTC, datetime

import msgspec

from laotie import fans, live
from laotie.base.db import Tx
from laotie.base.entry import Source, mint_entry
from laotie.base.ids import AccountId, ShowId, ViewerId
from laotie.base.refusals import Refusal
from laotie.base.signer import Signer
from laotie.identity import Actor
from laotie.live import ShowCard, StreamerBrief
from laotie.traffic.model import (
    DISCOVER,
    DISCOVER_PAGE_MAX,
    FOLLOW_PAGE,
    STREAMER_PAGE,
    CursorRefused,
    Followed,
    Merit,
    Momentum,
    StreamerPage,
    arrange,
    bound_entry,
    explain,
    weigh,
)

CURSOR_AGE_MAX_S = 3600


async def list_following(tx: Tx, signer: Signer, actor: Actor) -> list[Followed]:
    """The follow page: everybody whom the actor follows, all of them, without ads; who is live first, then by bond."""
    bonds = await fans.list_bonds(tx, actor.viewer_id)
    briefs = await live.find_streamers(tx, [bond.streamer_id for bond in bonds])
    on_air = [brief.live_show_id for brief in briefs.values() if brief.live_show_id is not None]
    cards = await live.find_cards(tx, on_air)
    return [
        _followed(signer, actor.viewer_id, briefs[bond.streamer_id], cards, bond.since, position=position, at=tx.now)
        for position, bond in enumerate(arrange(bonds, briefs))
    ]


def _followed(
    signer: Signer,
    viewer_id: ViewerId,
    brief: StreamerBrief,
    cards: dict[ShowId, ShowCard],
    since: datetime,
    *,
    position: int,
    at: datetime,
) -> Followed:
    card = cards.get(brief.live_show_id) if brief.live_show_id is not None else None
    entry = None
    if card is not None:
        placed = bound_entry(Source.private, FOLLOW_PAGE, viewer_id, card.show_id, at=at, position=position)
        entry = mint_entry(signer, placed)
        card = msgspec.structs.replace(card, entry=entry)
    return Followed(
        streamer=brief.person,
        headline=brief.headline,
        since=since,
        live=card,
        entry=entry,
        last_live_at=brief.last_live_at,
    )


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: the instant the list was weighed at, the last value and show, and how many were shown."""

    at_ms: int
    value: float
    show_id: ShowId
    shown: int


class DiscoverPage(msgspec.Struct, frozen=True):
    """A part of the discover list, and the cursor to its next part."""

    items: list[ShowCard]
    next: str | None


async def list_discover(
    tx: Tx, signer: Signer, actor: Actor, *, after: str | None = None, limit: int = 20, locale: str = "zh-CN"
) -> DiscoverPage:
    """Live shows by value (see `model.weigh`), each with its entry and with why it stands there.

    A later page is weighed as of the first page's instant, so that time alone moves nothing between pages.
    """
    limit = max(1, min(limit, DISCOVER_PAGE_MAX))
    cursor = _read_cursor(signer, after)
    at = datetime.fromtimestamp(cursor.at_ms / 1000, UTC) if cursor else tx.now
    shows = await live.list_on_air(tx)
    merits = weigh(shows, await _find_momenta(tx, [show.show_id for show in shows]), at=at)
    if cursor is not None:
        merits = [merit for merit in merits if (merit.value, merit.show_id) < (cursor.value, cursor.show_id)]
    shown, page = cursor.shown if cursor else 0, merits[:limit]
    cards = await live.find_cards(tx, [merit.show_id for merit in page])
    items = [
        _discovered(signer, actor.viewer_id, cards[merit.show_id], merit, at=tx.now, position=shown + i, locale=locale)
        for i, merit in enumerate(page)
        if merit.show_id in cards
    ]
    if len(merits) <= limit:
        return DiscoverPage(items, None)
    last = page[-1]
    following = _Cursor(int(at.timestamp() * 1000), last.value, last.show_id, shown + limit)
    return DiscoverPage(items, signer.sign("discover-cursor", following))


def _discovered(
    signer: Signer, viewer_id: ViewerId, card: ShowCard, merit: Merit, *, at: datetime, position: int, locale: str
) -> ShowCard:
    placed = bound_entry(Source.public_organic, DISCOVER, viewer_id, card.show_id, at=at, position=position)
    return msgspec.structs.replace(card, entry=mint_entry(signer, placed), why=explain(merit, locale=locale))


def _read_cursor(signer: Signer, after: str | None) -> _Cursor | None:
    if after is None:
        return None
    try:
        return signer.open("discover-cursor", after, _Cursor, age_max_s=CURSOR_AGE_MAX_S)
    except Refusal:
        raise CursorRefused() from None


async def _find_momenta(tx: Tx, show_ids: list[ShowId]) -> dict[ShowId, Momentum]:
    momenta = await tx.all(
        Momentum,
        "SELECT show_id, orders, counted_at FROM traffic.momentum WHERE show_id = ANY(%(ids)s)",
        ids=show_ids,
    )
    return {momentum.show_id: momentum for momentum in momenta}


async def get_streamer_page(tx: Tx, signer: Signer, actor: Actor, streamer_id: AccountId) -> StreamerPage:
    """A streamer's page, or `NotFound` when they have no room. It is the streamer's own place: private traffic."""
    streamer = await live.get_streamer(tx, streamer_id)
    counts = await fans.count_followers(tx, [streamer_id])

    def with_entry(card: ShowCard | None) -> ShowCard | None:
        if card is None:
            return None
        placed = bound_entry(Source.private, STREAMER_PAGE, actor.viewer_id, card.show_id, at=tx.now)
        return msgspec.structs.replace(card, entry=mint_entry(signer, placed))

    return StreamerPage(
        id=streamer.person.id,
        name=streamer.person.name,
        avatar=streamer.person.avatar,
        headline=streamer.headline,
        about=streamer.about,
        room_id=streamer.room_id,
        shop=streamer.shop,
        follower_count=counts[streamer_id],
        following=await fans.is_following(tx, actor.viewer_id, streamer_id),
        live_show=with_entry(streamer.live_show),
        next_show=with_entry(streamer.next_show),
        past_shows=streamer.past_shows,
    )
