"""Fans: who follows whom, since when, where it came from, and how close they are.

Owns follows with their source and full history, follower counts, and the relationship score.
Promises: following is idempotent and keeps its first source; a count is changed in the transaction of the follow and
never falls below zero; what a guest followed, the account follows. Not here: where a visit came from (`traffic` vouches
for it), the order in which a page shows streamers (`traffic`), fan groups and levels.
"""

from laotie import identity
from laotie.fans.following import (
    Export,
    count_followers,
    erase,
    export,
    follow,
    is_following,
    is_following_many,
    list_bonds,
    list_follows,
    merge,
    tally,
    unfollow,
)
from laotie.fans.model import (
    FOLLOWS_MAX,
    PURCHASE_WARMTH,
    Bond,
    Follow,
    FollowChange,
    FollowsFull,
    SelfFollow,
    Tally,
)
from laotie.fans.relationship import warm

identity.add_to_export("fans", export)

__all__ = [
    "FOLLOWS_MAX",
    "PURCHASE_WARMTH",
    "Bond",
    "Export",
    "Follow",
    "FollowChange",
    "FollowsFull",
    "SelfFollow",
    "Tally",
    "count_followers",
    "erase",
    "export",
    "follow",
    "is_following",
    "is_following_many",
    "list_bonds",
    "list_follows",
    "merge",
    "tally",
    "unfollow",
    "warm",
]
