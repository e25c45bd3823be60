"""Fans: who follows whom, since when, where it came from, and how close they are.

Owns follows with their source and full history, follower counts, the relationship score, and reminders of shows.
Promises: following is idempotent and keeps its first source; a count is changed in the transaction of the follow and
never falls below zero; what a guest followed, the account follows. Not here: where a visit came from (`traffic` vouches
for it), the order in which a page shows streamers (`traffic`), fan groups. A fan level is a plain function of following
and closeness (`level_of`).
"""

from laotie import identity, messages
from laotie.fans import exporting
from laotie.fans.following import (
    Export,
    count_followers,
    erase,
    export,
    find_follow_since,
    find_levels,
    find_since,
    follow,
    is_following,
    is_following_many,
    list_bonds,
    list_follows,
    merge,
    tally,
    unfollow,
)
from laotie.fans.gains import FollowMinute, list_gains
from laotie.fans.model import (
    FOLLOWS_MAX,
    PURCHASE_WARMTH,
    Bond,
    Follow,
    FollowChange,
    FollowsFull,
    SelfFollow,
    Tally,
    level_of,
)
from laotie.fans.relationship import warm
from laotie.fans.reminders import (
    Reminder,
    RemindersFull,
    ShowNotPlanned,
    count_reminders,
    forget_reminder,
    list_reminders,
    remind,
    set_notify,
    sweep_reminders,
    tell_soon,
)

identity.add_to_export("fans", export)
identity.add_to_export("messages", messages.export)  # an engine, it knows no identity to say so itself

__all__ = [
    "FOLLOWS_MAX",
    "PURCHASE_WARMTH",
    "Bond",
    "Export",
    "Follow",
    "FollowChange",
    "FollowMinute",
    "FollowsFull",
    "Reminder",
    "RemindersFull",
    "SelfFollow",
    "ShowNotPlanned",
    "Tally",
    "count_followers",
    "count_reminders",
    "erase",
    "export",
    "exporting",
    "find_follow_since",
    "find_levels",
    "find_since",
    "follow",
    "forget_reminder",
    "is_following",
    "is_following_many",
    "level_of",
    "list_bonds",
    "list_follows",
    "list_gains",
    "list_reminders",
    "merge",
    "remind",
    "set_notify",
    "sweep_reminders",
    "tally",
    "tell_soon",
    "unfollow",
    "warm",
]
