"""Traffic: who is shown what, and what a visit is credited to.

Owns the follow page, the discover list, a streamer's page, share links, and the exchange of entry tokens for visits.
Promises: the follow page is complete, without ads, live shows first, by relationship; every card's entry is signed,
bound to the viewer it was shown to, and leads to one show; a shared link credits the share alone; a discover list can
be recomputed from its published formula. Not here: signing itself (`base.entry`), follows (`fans`), shows (`live`).
"""

from laotie.traffic.entrance import enter, share, trace_visit
from laotie.traffic.feeds import DiscoverPage, get_streamer_page, list_discover, list_following
from laotie.traffic.model import Admission, CursorRefused, Followed, ShareLink, StreamerPage

__all__ = [
    "Admission",
    "CursorRefused",
    "DiscoverPage",
    "Followed",
    "ShareLink",
    "StreamerPage",
    "enter",
    "get_streamer_page",
    "list_discover",
    "list_following",
    "share",
    "trace_visit",
]
