"""The words of traffic: placements, what a feed shows, how a show's value is reckoned. No I/O here."""

import math
from datetime import datetime, timedelta

import msgspec

from laotie.base.entry import Entry, Source
from laotie.base.ids import AccountId, RoomId, ShowId, ViewerId
from laotie.base.refusals import Invalid
from laotie.catalog import Shop
from laotie.fans import Bond
from laotie.live import OnAir, Person, ShowCard, StreamerBrief

FOLLOW_PAGE = "follow-page"
STREAMER_PAGE = "streamer-page"
DISCOVER = "discover"
SHARE_LINK = "share-link"
PK = "pk"

DISCOVER_PAGE_MAX = 50
ORDERS_HALF_LIFE = timedelta(minutes=10)
FRESHNESS_HALF_LIFE = timedelta(minutes=20)
ORDERS_WEIGHT = 2.0
FRESHNESS_WEIGHT = 3.0


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the follow page."""

    streamer: Person
    headline: str
    since: datetime
    live: ShowCard | None
    entry: str | None
    last_live_at: datetime | None


class StreamerPage(msgspec.Struct, frozen=True, kw_only=True):
    """A streamer as visitors see them: who, what shop, how many follow, what is on, what was."""

    id: AccountId
    name: str
    avatar: str | None
    headline: str
    about: str
    room_id: RoomId
    shop: Shop
    follower_count: int
    following: bool
    live_show: ShowCard | None
    next_show: ShowCard | None
    past_shows: list[ShowCard]


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """What lets a viewer into a show: the ticket for the socket, and the visit that follows and orders carry."""

    ticket: str
    visit: str
    expires_at: datetime


class ShareLink(msgspec.Struct, frozen=True, kw_only=True):
    """An address to pass on, and the entry in it."""

    url: str
    entry: str


class Merit(msgspec.Struct, frozen=True, kw_only=True):
    """A show's place in the discover list, and the terms that gave it."""

    show_id: ShowId
    value: float
    viewer_count: int
    orders: float
    age: timedelta


class Momentum(msgspec.Struct, frozen=True):
    """Paid orders of a show, decaying, as of an instant."""

    show_id: ShowId
    orders: float
    counted_at: datetime


class CursorRefused(Invalid, code="cursor-refused"):
    """This is not a place in the list; begin from its top."""


def bound_entry(
    source: Source, placement: str, viewer_id: ViewerId, show_id: ShowId, *, at: datetime, position: int | None = None
) -> Entry:
    """An entry that only this viewer can use, into this show."""
    return Entry(
        source=source, placement=placement, at=at, viewer_id=viewer_id, position=position, subject=str(show_id)
    )


def arrange(bonds: list[Bond], briefs: dict[AccountId, StreamerBrief]) -> list[Bond]:
    """The follow page's order: who is live first, each part in the order of the bonds. Nobody is dropped."""
    live_now = [bond for bond in bonds if _is_live(bond, briefs)]
    return live_now + [bond for bond in bonds if not _is_live(bond, briefs)]


def _is_live(bond: Bond, briefs: dict[AccountId, StreamerBrief]) -> bool:
    brief = briefs.get(bond.streamer_id)
    return brief is not None and brief.live_show_id is not None


def weigh(shows: list[OnAir], momenta: dict[ShowId, Momentum], *, at: datetime) -> list[Merit]:
    """The discover list's order: highest value first; of equal ones the higher id, which is the younger show.

    value = log2(1 + viewers) + 2 · log2(1 + orders) + 3 · 2^(-age / 20 min), rounded to a millionth; `orders` are the
    show's paid ones, each counting half as much every 10 minutes. Deterministic: the same figures, the same list.
    """
    merits = [_merit(show, momenta.get(show.show_id), at=at) for show in shows]
    return sorted(merits, key=lambda merit: (merit.value, merit.show_id), reverse=True)


def _merit(show: OnAir, momentum: Momentum | None, *, at: datetime) -> Merit:
    age = max(timedelta(0), at - show.started_at)
    orders = 0.0
    if momentum is not None:
        orders = momentum.orders * _halved(max(timedelta(0), at - momentum.counted_at), ORDERS_HALF_LIFE)
    value = (
        math.log2(1 + show.viewer_count)
        + ORDERS_WEIGHT * math.log2(1 + orders)
        + FRESHNESS_WEIGHT * _halved(age, FRESHNESS_HALF_LIFE)
    )
    return Merit(
        show_id=show.show_id, value=round(value, 6), viewer_count=show.viewer_count, orders=orders, age=age
    )


def _halved(elapsed: timedelta, half_life: timedelta) -> float:
    return float(2.0 ** -(elapsed / half_life))


WORDS = {
    "zh": {
        "viewers": "{}人在看",
        "orders": "刚刚成交{}单",
        "fresh": "刚刚开播",
        "minutes": "开播{}分钟",
        "hours": "开播{}小时",
    },
    "en": {
        "viewers": "{} watching",
        "orders": "orders just now: {}",
        "fresh": "just started",
        "minutes": "on air for {} min",
        "hours": "on air for {} h",
    },
}


def explain(merit: Merit, *, locale: str) -> str:
    """Why a show stands where it stands, in words: the terms that count for it."""
    words = WORDS["zh" if locale.lower().startswith("zh") else "en"]
    minutes, orders = int(merit.age.total_seconds() // 60), round(merit.orders)
    parts: list[str] = []
    if merit.viewer_count:
        parts.append(words["viewers"].format(merit.viewer_count))
    if orders:
        parts.append(words["orders"].format(orders))
    if minutes < 1:
        parts.append(words["fresh"])
    elif minutes < 60:
        parts.append(words["minutes"].format(minutes))
    elif not parts:
        parts.append(words["hours"].format(minutes // 60))
    return " · ".join(parts)
