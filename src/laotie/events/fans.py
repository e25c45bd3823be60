"""Who begins and ceases to follow whom."""

from datetime import datetime

from laotie.base.events import Event
from laotie.base.ids import AccountId, ViewerId, VisitId


class Followed(Event, tag="fans.followed", frozen=True, kw_only=True):
    """A viewer follows a streamer from now on."""

    viewer_id: ViewerId
    streamer_id: AccountId
    source: str
    placement: str
    visit_id: VisitId | None
    at: datetime


class Unfollowed(Event, tag="fans.unfollowed", frozen=True, kw_only=True):
    """A viewer no longer follows a streamer."""

    viewer_id: ViewerId
    streamer_id: AccountId
    at: datetime
