"""Traffic: who is shown what, and what a visit is credited to.

Owns the follow page, the discover list, a streamer's page, share links, and the exchange of entry tokens for visits
to a show, to a surface beside it (a replay, a clip, a video) or to the shelf; the rule that says what they are credited
with, and the touches that it reads.
Promises: the follow page is complete, without ads, live shows first, by relationship; every card's entry is signed,
bound to the viewer it was shown to, and leads to one show; a shared link credits the share alone; a discover list can
be recomputed from its published formula. Not here: signing itself (`base.entry`), follows (`fans`), shows (`live`).
"""

from laotie import identity
from laotie.traffic.attribution import (
    NOTE_LENGTH_MAX,
    SHELF,
    WINDOW_H_MAX,
    AttributionRule,
    RuleKind,
    Touch,
    add_rule,
    choose,
    export_touches,
    find_rule,
    forget_touches,
    list_rules,
)
from laotie.traffic.entrance import credit_notice, cross_over, enter, invite, share, trace_visit
from laotie.traffic.feeds import DiscoverPage, get_streamer_page, list_discover, list_following
from laotie.traffic.model import SHARE_LINK, Admission, CursorRefused, Followed, ShareLink, StreamerPage
from laotie.traffic.playing import PlayHeard, Span, credit_us, hear_play
from laotie.traffic.shelf import (
    CATEGORY,
    SEARCH,
    SHOP,
    ShelfHit,
    ShelfPage,
    open_shelf_visit,
    open_shop_visit,
    search_shelf,
)
from laotie.traffic.surfaces import SURFACE, Surface, SurfaceVisit, open_surface_visit, share_surface
from laotie.traffic.video_feed import VideoFeedPage, VideoSlot, get_video_slot, list_videos
from laotie.traffic.visits import Opened, credit, credit_at, merged_into, read_own_visit

__all__ = [
    "CATEGORY",
    "NOTE_LENGTH_MAX",
    "SEARCH",
    "SHARE_LINK",
    "SHELF",
    "SHOP",
    "SURFACE",
    "WINDOW_H_MAX",
    "Admission",
    "AttributionRule",
    "CursorRefused",
    "DiscoverPage",
    "Followed",
    "Opened",
    "PlayHeard",
    "RuleKind",
    "ShareLink",
    "ShelfHit",
    "ShelfPage",
    "Span",
    "StreamerPage",
    "Surface",
    "SurfaceVisit",
    "Touch",
    "VideoFeedPage",
    "VideoSlot",
    "add_rule",
    "choose",
    "credit",
    "credit_at",
    "credit_notice",
    "credit_us",
    "cross_over",
    "enter",
    "find_rule",
    "forget_touches",
    "get_streamer_page",
    "get_video_slot",
    "hear_play",
    "invite",
    "list_discover",
    "list_following",
    "list_rules",
    "list_videos",
    "merged_into",
    "open_shelf_visit",
    "open_shop_visit",
    "open_surface_visit",
    "read_own_visit",
    "search_shelf",
    "share",
    "share_surface",
    "trace_visit",
]

identity.add_to_export("traffic", export_touches)
