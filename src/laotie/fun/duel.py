"""PK: two rooms against each other. Likes and paid orders score, bounded a viewer, so that no one person decides it.

Gateways add what their rooms liked once a second; orders come by event. Only accounts score. After the deadline nothing
counts: the clock is the server's.
"""

from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import ShowId, ViewerId
from laotie.fun import rows
from laotie.fun.model import LIKES_PER_VIEWER_MAX, ORDERS_PER_VIEWER_MAX, ActivityId, Kind, State

BATCH_SIZE_MAX = 5_000


class Cheer(msgspec.Struct, frozen=True):
    """What one viewer did for one side."""

    activity_id: ActivityId
    show_id: ShowId
    viewer_id: ViewerId
    likes: int = 0
    orders: int = 0


class _Gain(msgspec.Struct, frozen=True):
    activity_id: ActivityId
    likes: int
    orders: int


async def cheer_many(tx: Tx, cheers: list[Cheer]) -> None:
    """Add up what was done for the sides of running duels; beyond a viewer's bound it counts no more."""
    assert len(cheers) <= BATCH_SIZE_MAX
    held = await rows.hold_many(tx, sorted({one.activity_id for one in cheers}))
    running = {
        one.id: one
        for one in held.values()
        if one.kind is Kind.pk and one.state is State.open and one.closes_at is not None and tx.now < one.closes_at
    }
    sums: dict[tuple[UUID, UUID, UUID], list[int]] = {}
    for one in cheers:
        duel = running.get(one.activity_id)
        if duel is None or one.show_id not in (duel.show_id, duel.rival_show_id):
            continue
        given = sums.setdefault((one.activity_id, one.show_id, one.viewer_id), [0, 0])
        given[0] = min(LIKES_PER_VIEWER_MAX, given[0] + one.likes)
        given[1] = min(ORDERS_PER_VIEWER_MAX, given[1] + one.orders)
    if not sums:
        return
    keys = sorted(sums)
    gains = await tx.all(
        _Gain,
        """
        WITH given AS (
            SELECT * FROM unnest(%(activities)s::uuid[], %(shows)s::uuid[], %(viewers)s::uuid[], %(likes)s::integer[],
                                 %(orders)s::integer[]) AS given (activity_id, show_id, viewer_id, likes, orders)
        ), before AS (
            SELECT activity_id, show_id, viewer_id, point.likes, point.orders
            FROM fun.pk_point AS point JOIN given USING (activity_id, show_id, viewer_id)
        ), gained AS (
            SELECT activity_id, show_id, viewer_id,
                   least(%(likes_max)s, coalesce(before.likes, 0) + given.likes) - coalesce(before.likes, 0) AS likes,
                   least(%(orders_max)s, coalesce(before.orders, 0) + given.orders) - coalesce(before.orders, 0) AS orders
            FROM given LEFT JOIN before USING (activity_id, show_id, viewer_id)
        ), noted AS (
            INSERT INTO fun.pk_point AS point (activity_id, show_id, viewer_id, likes, orders)
            SELECT activity_id, show_id, viewer_id, likes, orders FROM gained
            ON CONFLICT (activity_id, show_id, viewer_id) DO UPDATE
            SET likes = point.likes + excluded.likes, orders = point.orders + excluded.orders
        ), summed AS (
            SELECT activity_id, show_id, sum(likes) AS likes, sum(orders) AS orders FROM gained GROUP BY 1, 2
        )
        UPDATE fun.pk_side AS side SET likes = side.likes + summed.likes, orders = side.orders + summed.orders
        FROM summed WHERE side.activity_id = summed.activity_id AND side.show_id = summed.show_id
          AND summed.likes + summed.orders > 0
        RETURNING side.activity_id, summed.likes::bigint AS likes, summed.orders::bigint AS orders
        """,
        activities=[key[0] for key in keys],
        shows=[key[1] for key in keys],
        viewers=[key[2] for key in keys],
        likes=[sums[key][0] for key in keys],
        orders=[sums[key][1] for key in keys],
        likes_max=LIKES_PER_VIEWER_MAX,
        orders_max=ORDERS_PER_VIEWER_MAX,
    )
    for activity_id in sorted({gain.activity_id for gain in gains}):
        await tx.run("UPDATE fun.activity SET version = version + 1 WHERE id = %(id)s", id=activity_id)
        rows.tell(tx, running[activity_id])


async def find_running_duels(tx: Tx, show_ids: list[ShowId]) -> dict[ShowId, ActivityId]:
    """The duel that each of these shows is in."""
    found = await tx.tuples(
        """
        SELECT asked.show_id, activity.id FROM fun.activity
        JOIN unnest(%(ids)s::uuid[]) AS asked (show_id)
          ON asked.show_id IN (activity.show_id, activity.rival_show_id)
        WHERE activity.kind = 'pk' AND activity.state = 'open'
        ORDER BY activity.id
        """,
        ids=show_ids,
    )
    return dict(found)
