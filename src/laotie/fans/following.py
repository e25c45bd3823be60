"""Following: begun, ended, counted, merged, exported, erased.

A streamer's count is kept in the transaction of the follow itself, in sixteen slots by viewer: a storm of follows does
not queue for one row, and since a viewer's follow and unfollow meet in one slot, each slot is guarded by its `CHECK`.
Locks: follow rows, then slots by streamer and number.
"""

from collections import Counter
from datetime import datetime
from uuid import UUID

import msgspec

from laotie import identity
from laotie.base.db import Tx
from laotie.base.entry import Source, Visit
from laotie.base.ids import AccountId, ViewerId
from laotie.base.refusals import NotFound
from laotie.events.fans import Followed, Unfollowed
from laotie.fans.model import (
    FOLLOW_WARMTH,
    FOLLOWS_MAX,
    Bond,
    Follow,
    FollowChange,
    FollowsFull,
    SelfFollow,
    Tally,
    decayed,
    level_of,
    slot_of,
)
from laotie.fans.relationship import hand_over, warm

EXPORTED_MAX = 10_000


async def follow(tx: Tx, viewer_id: ViewerId, streamer_id: AccountId, *, visit: Visit | None = None) -> bool:
    """Follow somebody; whether that is new. Following again changes nothing, the first source stays. Tells `Followed`.

    `visit` is one that the caller has found to be this viewer's, in a show of this streamer. Refuses `NotFound`,
    `SelfFollow`, `FollowsFull`.
    """
    if viewer_id == streamer_id:
        raise SelfFollow()
    if not await identity.find_profiles(tx, [streamer_id]):
        raise NotFound()
    source = visit.source if visit else Source.direct
    placement = visit.placement if visit else "direct"
    visit_id = visit.id if visit else None
    fresh = await tx.run(
        """
        WITH made AS (
            INSERT INTO fans.follow (viewer_id, streamer_id, since, source, placement, visit_id)
            VALUES (%(viewer_id)s, %(streamer_id)s, %(now)s, %(source)s, %(placement)s, %(visit_id)s)
            ON CONFLICT DO NOTHING RETURNING viewer_id, streamer_id, since, source, placement, visit_id
        )
        INSERT INTO fans.follow_change (viewer_id, streamer_id, kind, source, placement, visit_id, changed_at, is_fan,
                                        campaign, show_id)
        SELECT viewer_id, streamer_id, 'followed', source, placement, visit_id, since, %(is_fan)s, %(campaign)s,
               %(show_id)s FROM made
        """,
        viewer_id=viewer_id,
        streamer_id=streamer_id,
        now=tx.now,
        source=source,
        placement=placement,
        visit_id=visit_id,
        is_fan=visit.is_fan if visit else False,
        campaign=visit.campaign if visit else None,
        show_id=visit.show_id if visit else None,
    )
    if not fresh:
        return False
    if await tx.one(int, "SELECT count(*) FROM fans.follow WHERE viewer_id = %(id)s", id=viewer_id) > FOLLOWS_MAX:
        raise FollowsFull(count_max=FOLLOWS_MAX)
    await _count(tx, [(streamer_id, viewer_id, 1)])
    await warm(tx, viewer_id, streamer_id, FOLLOW_WARMTH, at=tx.now)
    tx.tell(
        Followed(
            viewer_id=viewer_id,
            streamer_id=streamer_id,
            source=source,
            placement=placement,
            visit_id=visit_id,
            at=tx.now,
            campaign=visit.campaign if visit else None,
            show_id=visit.show_id if visit else None,
            is_fan=visit.is_fan if visit else False,
            rule_version=visit.rule_version if visit else 1,
        )
    )
    return True


async def unfollow(tx: Tx, viewer_id: ViewerId, streamer_id: AccountId) -> bool:
    """Follow somebody no longer; whether anything changed. Tells `Unfollowed`."""
    gone = await tx.run(
        """
        WITH gone AS (
            DELETE FROM fans.follow WHERE viewer_id = %(viewer_id)s AND streamer_id = %(streamer_id)s
            RETURNING viewer_id, streamer_id, source, placement, visit_id
        )
        INSERT INTO fans.follow_change (viewer_id, streamer_id, kind, source, placement, visit_id, changed_at)
        SELECT viewer_id, streamer_id, 'unfollowed', source, placement, visit_id, %(now)s FROM gone
        """,
        viewer_id=viewer_id,
        streamer_id=streamer_id,
        now=tx.now,
    )
    if not gone:
        return False
    await _count(tx, [(streamer_id, viewer_id, -1)])
    tx.tell(Unfollowed(viewer_id=viewer_id, streamer_id=streamer_id, at=tx.now))
    return True


async def is_following(tx: Tx, viewer_id: ViewerId, streamer_id: AccountId) -> bool:
    """Whether a viewer follows a streamer."""
    return await is_following_many(tx, [(viewer_id, streamer_id)]) == [True]


async def find_follow_since(tx: Tx, viewer_id: ViewerId, streamer_id: AccountId) -> datetime | None:
    """Since when a viewer follows a streamer, if they do."""
    return await tx.maybe(
        datetime,
        "SELECT since FROM fans.follow WHERE viewer_id = %(viewer_id)s AND streamer_id = %(streamer_id)s",
        viewer_id=viewer_id,
        streamer_id=streamer_id,
    )


async def is_following_many(tx: Tx, pairs: list[tuple[ViewerId, AccountId]]) -> list[bool]:
    """The same for several, in the order asked."""
    return await tx.all(
        bool,
        """
        SELECT follow.viewer_id IS NOT NULL
        FROM unnest(%(viewers)s::uuid[], %(streamers)s::uuid[])
          WITH ORDINALITY AS asked (viewer_id, streamer_id, number)
        LEFT JOIN fans.follow ON follow.viewer_id = asked.viewer_id AND follow.streamer_id = asked.streamer_id
        ORDER BY asked.number
        """,
        viewers=[viewer_id for viewer_id, _ in pairs],
        streamers=[streamer_id for _, streamer_id in pairs],
    )


async def find_since(tx: Tx, pairs: list[tuple[ViewerId, AccountId]]) -> dict[tuple[ViewerId, AccountId], datetime]:
    """Since when each of these viewers has followed each streamer; who does not is left out."""
    rows = await tx.tuples(
        """
        SELECT viewer_id, streamer_id, since FROM fans.follow
        JOIN unnest(%(viewers)s::uuid[], %(streamers)s::uuid[]) AS asked (viewer_id, streamer_id)
          USING (viewer_id, streamer_id)
        """,
        viewers=[viewer_id for viewer_id, _ in pairs],
        streamers=[streamer_id for _, streamer_id in pairs],
    )
    return {(viewer_id, streamer_id): since for viewer_id, streamer_id, since in rows}


async def count_followers(tx: Tx, streamer_ids: list[AccountId]) -> dict[AccountId, int]:
    """How many follow each streamer asked about."""
    counts = await tx.tuples(
        """
        SELECT streamer_id, sum(count)::bigint FROM fans.follower_count
        WHERE streamer_id = ANY(%(ids)s) GROUP BY streamer_id
        """,
        ids=streamer_ids,
    )
    return dict.fromkeys(streamer_ids, 0) | {AccountId(streamer_id): int(count) for streamer_id, count in counts}


async def list_follows(tx: Tx, viewer_id: ViewerId) -> list[Follow]:
    """Everybody a viewer follows, the latest first."""
    return await tx.all(
        Follow,
        """
        SELECT viewer_id, streamer_id, since, source, placement, visit_id, notify FROM fans.follow
        WHERE viewer_id = %(viewer_id)s ORDER BY since DESC, streamer_id
        """,
        viewer_id=viewer_id,
    )


async def list_bonds(tx: Tx, viewer_id: ViewerId) -> list[Bond]:
    """Everybody a viewer follows, the closest first; among equals the latest follow, then by id."""
    rows = await tx.all(
        _Bound,
        """
        SELECT follow.streamer_id, follow.since, coalesce(bond.score, 0) AS score,
               coalesce(bond.scored_at, follow.since) AS scored_at
        FROM fans.follow LEFT JOIN fans.relationship AS bond
          ON bond.viewer_id = follow.viewer_id AND bond.streamer_id = follow.streamer_id
        WHERE follow.viewer_id = %(viewer_id)s
        """,
        viewer_id=viewer_id,
    )
    bonds = [
        Bond(
            streamer_id=row.streamer_id,
            since=row.since,
            closeness=decayed(row.score, since=row.scored_at, now=tx.now),
        )
        for row in rows
    ]
    return sorted(bonds, key=lambda bond: (-bond.closeness, -bond.since.timestamp(), bond.streamer_id))


class _Bound(msgspec.Struct, frozen=True):
    streamer_id: AccountId
    since: datetime
    score: float
    scored_at: datetime


async def find_levels(tx: Tx, pairs: list[tuple[ViewerId, AccountId]]) -> dict[tuple[ViewerId, AccountId], int]:
    """The fan level of each viewer with each streamer; 0, who does not follow, is left out."""
    rows = await tx.tuples(
        """
        SELECT follow.viewer_id, follow.streamer_id, coalesce(bond.score, 0), coalesce(bond.scored_at, follow.since)
        FROM fans.follow
        JOIN unnest(%(viewers)s::uuid[], %(streamers)s::uuid[]) AS asked (viewer_id, streamer_id)
          ON asked.viewer_id = follow.viewer_id AND asked.streamer_id = follow.streamer_id
        LEFT JOIN fans.relationship AS bond
          ON bond.viewer_id = follow.viewer_id AND bond.streamer_id = follow.streamer_id
        """,
        viewers=[viewer_id for viewer_id, _ in pairs],
        streamers=[streamer_id for _, streamer_id in pairs],
    )
    return {
        (viewer_id, streamer_id): level_of(decayed(score, since=scored_at, now=tx.now), follows=True)
        for viewer_id, streamer_id, score, scored_at in rows
    }


async def merge(tx: Tx, guest_id: ViewerId, account_id: AccountId) -> None:
    """A guest turned out to be this account: what they followed, the account follows, since the earlier of both days.

    A guest who followed the account itself no longer does. Bonds add up. Safe to repeat; limits do not apply, so that
    nothing is dropped.
    """
    viewer_id = ViewerId(account_id)
    brought = await tx.all(
        Follow,
        """
        WITH brought AS (
            DELETE FROM fans.follow WHERE viewer_id = %(guest_id)s
            RETURNING viewer_id, streamer_id, since, source, placement, visit_id, notify
        ), noted AS (
            INSERT INTO fans.follow_change (viewer_id, streamer_id, kind, source, placement, visit_id, changed_at)
            SELECT viewer_id, streamer_id, 'merged_out', source, placement, visit_id, %(now)s FROM brought
        )
        SELECT viewer_id, streamer_id, since, source, placement, visit_id, notify FROM brought ORDER BY streamer_id
        """,
        guest_id=guest_id,
        now=tx.now,
    )
    kept = [one for one in brought if one.streamer_id != account_id]
    gained = await tx.all(
        UUID,
        """
        WITH brought AS (
            SELECT * FROM unnest(%(streamers)s::uuid[], %(since)s::timestamptz[], %(sources)s::text[],
                                 %(placements)s::text[], %(visits)s::uuid[], %(notify)s::boolean[])
              AS brought (streamer_id, since, source, placement, visit_id, notify)
        ), earlier AS (
            UPDATE fans.follow AS own
            SET since = brought.since, source = brought.source, placement = brought.placement,
                visit_id = brought.visit_id
            FROM brought
            WHERE own.viewer_id = %(viewer_id)s AND own.streamer_id = brought.streamer_id AND own.since > brought.since
        ), gained AS (
            INSERT INTO fans.follow (viewer_id, streamer_id, since, source, placement, visit_id, notify)
            SELECT %(viewer_id)s, streamer_id, since, source, placement, visit_id, notify FROM brought
            ON CONFLICT DO NOTHING RETURNING viewer_id, streamer_id, source, placement, visit_id
        ), noted AS (
            INSERT INTO fans.follow_change (viewer_id, streamer_id, kind, source, placement, visit_id, changed_at)
            SELECT viewer_id, streamer_id, 'merged_in', source, placement, visit_id, %(now)s FROM gained
        )
        SELECT streamer_id FROM gained
        """,
        viewer_id=viewer_id,
        streamers=[one.streamer_id for one in kept],
        since=[one.since for one in kept],
        sources=[one.source for one in kept],
        placements=[one.placement for one in kept],
        visits=[one.visit_id for one in kept],
        notify=[one.notify for one in kept],
        now=tx.now,
    )
    await _count(
        tx,
        [(one.streamer_id, guest_id, -1) for one in brought]
        + [(AccountId(streamer_id), viewer_id, 1) for streamer_id in gained],
    )
    await hand_over(tx, guest_id, viewer_id)


async def erase(tx: Tx, account_id: AccountId) -> None:
    """A person left: they follow nobody, and nobody follows them. The history keeps ids that name nobody."""
    gone = await tx.all(
        _Pair,
        """
        WITH gone AS (
            DELETE FROM fans.follow WHERE viewer_id = %(id)s OR streamer_id = %(id)s
            RETURNING viewer_id, streamer_id, source, placement, visit_id
        ), noted AS (
            INSERT INTO fans.follow_change (viewer_id, streamer_id, kind, source, placement, visit_id, changed_at)
            SELECT viewer_id, streamer_id, 'erased', source, placement, visit_id, %(now)s FROM gone
        )
        SELECT viewer_id, streamer_id FROM gone WHERE streamer_id <> %(id)s
        """,
        id=account_id,
        now=tx.now,
    )
    await _count(tx, [(pair.streamer_id, pair.viewer_id, -1) for pair in gone])
    await tx.run("DELETE FROM fans.follower_count WHERE streamer_id = %(id)s", id=account_id)
    await tx.run("DELETE FROM fans.relationship WHERE viewer_id = %(id)s OR streamer_id = %(id)s", id=account_id)


class _Pair(msgspec.Struct, frozen=True):
    viewer_id: ViewerId
    streamer_id: AccountId


class Export(msgspec.Struct, frozen=True):
    """What this room holds about a person."""

    follows: list[Follow]
    history: list[FollowChange]


async def export(tx: Tx, account_id: AccountId) -> Export:
    """What this room holds about a person (for their export)."""
    history = await tx.all(
        FollowChange,
        """
        SELECT streamer_id, kind, source, placement, changed_at FROM fans.follow_change
        WHERE viewer_id = %(id)s ORDER BY id DESC LIMIT %(limit)s
        """,
        id=account_id,
        limit=EXPORTED_MAX,
    )
    return Export(await list_follows(tx, ViewerId(account_id)), history)


async def tally(tx: Tx) -> Tally:
    """Whether the counts agree with the follows, and both with the history (for the audit, in one snapshot)."""
    return await tx.one(
        Tally,
        """
        SELECT (SELECT count(*) FROM fans.follow) AS follows,
               (SELECT coalesce(sum(count), 0)::bigint FROM fans.follower_count) AS counted,
               (SELECT count(*) FROM (SELECT streamer_id, count(*) AS count FROM fans.follow GROUP BY 1) AS there
                FULL JOIN (SELECT streamer_id, sum(count) AS count FROM fans.follower_count GROUP BY 1) AS counted
                  USING (streamer_id)
                WHERE coalesce(there.count, 0) <> coalesce(counted.count, 0)) AS streamers_wrong,
               (SELECT coalesce(sum(CASE WHEN kind IN ('followed', 'merged_in') THEN 1 ELSE -1 END), 0)::bigint
                FROM fans.follow_change) AS history
        """,
    )


async def _count(tx: Tx, changes: list[tuple[AccountId, ViewerId, int]]) -> None:
    """Add to (or take from) the counters of these follows, locked by streamer and slot."""
    sums: Counter[tuple[AccountId, int]] = Counter()
    for streamer_id, viewer_id, by in changes:
        sums[streamer_id, slot_of(viewer_id)] += by
    slots = sorted(key for key, by in sums.items() if by)
    if not slots:
        return
    asked = {
        "streamers": [streamer_id for streamer_id, _ in slots],
        "slots": [slot for _, slot in slots],
        "changes": [sums[key] for key in slots],
    }
    async with tx.pipelined():
        await tx.run(
            """
            INSERT INTO fans.follower_count (streamer_id, slot, count)
            SELECT streamer_id, slot, 0
            FROM unnest(%(streamers)s::uuid[], %(slots)s::smallint[]) AS asked (streamer_id, slot)
            ON CONFLICT DO NOTHING
            """,
            **asked,
        )
        await tx.run(
            """
            WITH held AS (
                SELECT streamer_id, slot, asked.change
                FROM unnest(%(streamers)s::uuid[], %(slots)s::smallint[], %(changes)s::bigint[])
                  AS asked (streamer_id, slot, change)
                JOIN fans.follower_count USING (streamer_id, slot)
                ORDER BY streamer_id, slot FOR NO KEY UPDATE OF follower_count
            )
            UPDATE fans.follower_count AS counter SET count = counter.count + held.change
            FROM held WHERE counter.streamer_id = held.streamer_id AND counter.slot = held.slot
            """,
            **asked,
        )
