"""The words of fans: follows, relationships, and what is refused. No I/O here."""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from laotie.base.entry import Source
from laotie.base.ids import AccountId, ViewerId, VisitId
from laotie.base.refusals import Conflict, Invalid

FOLLOWS_MAX = 1_000
SLOTS = 16
HALF_LIFE = timedelta(days=30)
FOLLOW_WARMTH = 1.0
PURCHASE_WARMTH = 5.0
LEVELS = ((2, 4.0), (3, 15.0), (4, 40.0), (5, 100.0))
"""Fan levels beyond following, and the closeness from which on one has them.

A paid order warms by 5 and halves in 30 days, so level 2 says: bought within about the last week, or bought and followed
within about three; level 3: some four orders lately; 4 and 5: ten and more than twenty.
"""


class ChangeKind(StrEnum):
    """What a line of the follow history says. A merge shows on both sides, the guest's and the account's."""

    followed = "followed"
    unfollowed = "unfollowed"
    merged_in = "merged_in"
    merged_out = "merged_out"
    erased = "erased"


class Follow(msgspec.Struct, frozen=True, kw_only=True):
    """One viewer following one streamer, since when and where it came from; `notify`: whether starts are told."""

    viewer_id: ViewerId
    streamer_id: AccountId
    since: datetime
    source: Source
    placement: str
    visit_id: VisitId | None
    notify: bool = True


class Bond(msgspec.Struct, frozen=True, kw_only=True):
    """A followed streamer with how close they are now."""

    streamer_id: AccountId
    since: datetime
    closeness: float


class FollowChange(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a viewer's follow history."""

    streamer_id: AccountId
    kind: ChangeKind
    source: Source
    placement: str
    changed_at: datetime


class Tally(msgspec.Struct, frozen=True):
    """Follows there are against follows counted; every figure agrees with its neighbour, or something is wrong."""

    follows: int
    counted: int
    streamers_wrong: int
    history: int

    @property
    def is_sound(self) -> bool:
        """Whether counts, follows and history agree."""
        return self.follows == self.counted == self.history and self.streamers_wrong == 0


class SelfFollow(Invalid, code="self-follow"):
    """Nobody follows themselves."""


class FollowsFull(Conflict, code="follows-full"):
    """You follow as many streamers as one may; unfollow one first."""

    count_max: int


def slot_of(viewer_id: ViewerId) -> int:
    """Which of a streamer's counters a viewer belongs to: by the random end of the id."""
    return viewer_id.bytes[15] % SLOTS


def decayed(score: float, *, since: datetime, now: datetime) -> float:
    """A score after time has passed: `score · 2^(-elapsed / 30 days)`. Before its instant it is what it was."""
    elapsed = max(timedelta(0), now - since)
    return float(score * 2.0 ** (-(elapsed / HALF_LIFE)))


def level_of(closeness: float, *, follows: bool) -> int:
    """A viewer's fan level with a streamer: 0 who does not follow, 1 who does, 2 to 5 the closer they are (`LEVELS`).

    It falls when nothing is done together for long: closeness halves every 30 days.
    """
    if not follows:
        return 0
    return max((level for level, floor in LEVELS if closeness >= floor), default=1)
