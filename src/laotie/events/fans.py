"""Who begins and ceases to follow whom."""

from datetime import datetime

from laotie.base.events import Event
from laotie.base.ids import AccountId, ShowId, ViewerId, VisitId


class Followed(Event, tag="fans.followed", frozen=True, kw_only=True):
    """A viewer follows a streamer from now on."""

    viewer_id: ViewerId
    streamer_id: AccountId
    source: str
    placement: str
    visit_id: VisitId | None
    at: datetime
    campaign: str | None = None
    show_id: ShowId | None = None
    is_fan: bool = False
    """They had come as a fan, ceased to be one, and follow again."""
    rule_version: int = 1


class Unfollowed(Event, tag="fans.unfollowed", frozen=True, kw_only=True):
    """A viewer no longer follows a streamer."""

    viewer_id: ViewerId
    streamer_id: AccountId
    at: datetime
