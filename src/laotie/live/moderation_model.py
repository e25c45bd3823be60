"""The words of order in a room: rights, rules, sanctions, and what is refused for their sake. No I/O here."""

from datetime import datetime
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import Annotated
from uuid import UUID

import msgspec

from laotie.base.ids import AccountId, RoomId, ShowId, ViewerId
from laotie.base.refusals import Conflict, Forbidden, Invalid, TooFast
from laotie.words import LINKS_ALLOWED_MAX, Action, WordList

REASON_LENGTH_MAX = 200
MODERATORS_MAX = 50
LISTS_MAX = 10
SANCTIONS_MAX = 5_000
"""In force in one room; also what a gateway holds of them."""
HELD_MAX = 500
"""Waiting for review in one show; beyond it the oldest decide themselves: they are not shown."""
MINUTES_MAX = 366 * 24 * 60
KICK_MINUTES = 10
PREFIX_V4, PREFIX_V6 = 24, 64
PREFIX_V4_MIN, PREFIX_V6_MIN = 16, 32
"""How wide a network an operator may ban; everybody else bans the usual width at most."""
SPEAKERS_KEPT_DAYS = 30


class Right(StrEnum):
    """What a moderator may do in a room. Deleting includes deciding what waits for review."""

    delete = "delete"
    mute = "mute"
    kick = "kick"
    ban = "ban"
    rules = "rules"


ALL_RIGHTS = tuple(Right)


class SanctionKind(StrEnum):
    """Not to be heard, to leave and come back later, to stay out."""

    mute = "mute"
    kick = "kick"
    ban = "ban"


class Target(StrEnum):
    """What a ban holds on to."""

    account = "account"
    device = "device"
    network = "network"


class ChatRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A room's rules. What is found by a list or a filter is masked, held for review or refused, as it says.

    `slow_s`: seconds between two texts of one viewer. `followed_min`: minutes one has followed before one may speak.
    """

    slow_s: Annotated[int, msgspec.Meta(ge=0, le=3_600)] = 0
    fans_only: bool = False
    followed_min: Annotated[int, msgspec.Meta(ge=0, le=43_200)] = 0
    review_all: bool = False
    house_words: bool = True
    lists: Annotated[tuple[WordList, ...], msgspec.Meta(max_length=LISTS_MAX)] = ()
    links: Action | None = Action.block
    contacts: Action | None = None
    allowed_hosts: Annotated[
        tuple[Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9.-]{1,253}$")], ...],
        msgspec.Meta(max_length=LINKS_ALLOWED_MAX),
    ] = ()


class RoomRules(msgspec.Struct, frozen=True, kw_only=True):
    """A room's rules as they stand. Version 0: nobody has changed them yet."""

    room_id: RoomId
    version: int
    rules: ChatRules


class Moderator(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who keeps order in a room."""

    account_id: AccountId
    name: str
    rights: list[Right]
    added_at: datetime


class SanctionDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be done with somebody. Without minutes: for good, or (`for_show`) until the show ends."""

    id: UUID
    kind: SanctionKind
    viewer_id: ViewerId
    target: Target = Target.account
    minutes: Annotated[int, msgspec.Meta(ge=1, le=MINUTES_MAX)] | None = None
    for_show: bool = False
    everywhere: bool = False
    prefix: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    reason: Annotated[str, msgspec.Meta(max_length=REASON_LENGTH_MAX)] = ""


class Sanction(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force against somebody. Device and network stay inside: a moderator never sees an address."""

    id: UUID
    kind: SanctionKind
    room_id: RoomId | None
    show_id: ShowId | None
    target: Target
    viewer_id: ViewerId
    device_id: UUID | None
    network: str | None
    reason: str
    imposed_by: AccountId
    imposed_at: datetime
    ends_at: datetime | None


class Regulations(msgspec.Struct, frozen=True, kw_only=True):
    """All that a gateway must know to keep order in a show without asking again."""

    room_id: RoomId
    streamer_id: AccountId
    version: int
    rules: ChatRules
    rights: dict[AccountId, list[Right]]
    sanctions: list[Sanction]


class ModerationEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the log: who did what to whom, why, when."""

    id: UUID
    at: datetime
    show_id: ShowId | None
    actor_id: AccountId
    act: str
    whom: ViewerId | None
    reason: str
    detail: dict[str, object]


class Saying(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was said in a show and shown to the room."""

    id: UUID
    viewer_id: ViewerId
    name: str
    level: int
    text: str
    said_at: datetime


class HeldSaying(msgspec.Struct, frozen=True, kw_only=True):
    """A text that waits for a moderator, and why."""

    id: UUID
    viewer_id: ViewerId
    name: str
    level: int
    text: str
    why: str
    said_at: datetime


class Speaker(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody who spoke came from last."""

    viewer_id: ViewerId
    device_id: UUID | None
    address: str | None


class Banned(Forbidden, code="banned"):
    """You are banned from this room."""

    until: datetime | None
    reason: str


class Kicked(Forbidden, code="kicked"):
    """You were sent out of this room for a while."""

    until: datetime | None
    reason: str


class Muted(Forbidden, code="muted"):
    """You are muted in this room."""

    until: datetime | None
    reason: str


class SlowMode(TooFast, code="slow-mode"):
    """The room is in slow mode; wait a moment between two texts."""

    every_s: int


class FollowersOnly(Forbidden, code="followers-only"):
    """Only followers may chat in this room."""

    followed_min: int


class FollowLonger(Forbidden, code="follow-longer"):
    """You may chat here after you have followed for a while."""

    until: datetime


class TextBlocked(Invalid, code="text-blocked"):
    """The room's rules do not let this text through."""

    kind: str
    seen: str


class RightLacking(Forbidden, code="right-lacking"):
    """You may not do this in this room."""

    right: str


class Untouchable(Forbidden, code="untouchable"):
    """The room's own people cannot be muted, sent out or banned by you."""


class WhereaboutsUnknown(Conflict, code="whereabouts-unknown"):
    """Nothing is known of the device or network of this viewer; ban the account."""

    target: str


class SanctionRefused(Invalid, code="sanction-refused"):
    """These parts of a sanction do not go together."""

    reason: str


class RulesRefused(Invalid, code="rules-refused"):
    """A part of the rules cannot be kept."""

    part: str


def network_of(address: str | None, prefix: int | None, *, is_operator: bool) -> str:
    """The network around an address, as wide as one may ban; `WhereaboutsUnknown` where there is none to ban.

    Loopback is where everybody comes from behind a proxy that is not declared: banning it would empty the room.
    """
    bare = bare_address(address)
    if bare is None:
        raise WhereaboutsUnknown(target=Target.network)
    parsed = ip_address(bare)
    if parsed.is_loopback:
        raise WhereaboutsUnknown(target=Target.network)
    usual, widest = (PREFIX_V4, PREFIX_V4_MIN) if parsed.version == 4 else (PREFIX_V6, PREFIX_V6_MIN)
    chosen = min(prefix or usual, parsed.max_prefixlen)
    if chosen < (widest if is_operator else usual):
        raise SanctionRefused(reason="prefix")
    return str(ip_network((parsed, chosen), strict=False))


def bare_address(address: str | None) -> str | None:
    """An address without its zone, IPv4 out of IPv6's clothes; nothing for what is none (a socket file)."""
    try:
        parsed = ip_address((address or "").partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if parsed.version == 6 else None
    return str(mapped or parsed)
