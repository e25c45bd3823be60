"""Traffic: who is shown what, and what a visit is credited to.

Owns the follow page, the discover list, a streamer's page, share links, and the exchange of entry tokens for visits
to a show, or to a surface beside it (a replay, a clip, a video).
Promises: the follow page is complete, without ads, live shows first, by relationship; every card's entry is signed,
bound to the viewer it was shown to, and leads to one show; a shared link credits the share alone; a discover list can
be recomputed from its published formula. Not here: signing itself (`base.entry`), follows (`fans`), shows (`live`).
"""

from laotie.traffic.entrance import credit_notice, enter, share, trace_visit
from laotie.traffic.feeds import DiscoverPage, get_streamer_page, list_discover, list_following
from laotie.traffic.model import Admission, CursorRefused, Followed, ShareLink, StreamerPage
from laotie.traffic.shelf import ShelfHit, ShelfPage, open_shelf_visit, search_shelf
from laotie.traffic.surfaces import SURFACE, SurfaceVisit, open_surface_visit, share_surface
from laotie.traffic.video_feed import VideoFeedPage, VideoSlot, get_video_slot, list_videos

__all__ = [
    "SURFACE",
    "Admission",
    "CursorRefused",
    "DiscoverPage",
    "Followed",
    "ShareLink",
    "ShelfHit",
    "ShelfPage",
    "StreamerPage",
    "SurfaceVisit",
    "VideoFeedPage",
    "VideoSlot",
    "credit_notice",
    "enter",
    "get_streamer_page",
    "get_video_slot",
    "list_discover",
    "list_following",
    "list_videos",
    "open_shelf_visit",
    "open_surface_visit",
    "search_shelf",
    "share",
    "share_surface",
    "trace_visit",
]
