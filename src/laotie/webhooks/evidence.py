"""What webhooks must hold, for the audit: every message has its deliveries, each its attempts, and none lies about."""

from datetime import timedelta
from uuid import UUID

import msgspec

from laotie.base.db import Tx

SHOWN_MAX = 100
OVERDUE = timedelta(minutes=10)


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Counts, and what breaks a promise; those lists must be empty (`SHOWN_MAX` are listed)."""

    messages: int
    deliveries: int
    waiting: int
    given_up: int
    """After all attempts, as promised; people may send them again."""
    lost: list[UUID]
    """Messages with fewer (or more) deliveries than were written when the fact was told."""
    attempts_off: list[UUID]
    """Deliveries whose count is not that of their attempts, or that are said to have arrived and did not."""
    overdue: list[UUID]
    """Deliveries due for more than ten minutes to an endpoint that nobody serves although it is not at rest."""


async def tally(tx: Tx) -> Tally:
    """The room's own audit: a full read, in the caller's snapshot."""
    return Tally(
        messages=await tx.one(int, "SELECT count(*) FROM webhooks.message"),
        deliveries=await tx.one(int, "SELECT count(*) FROM webhooks.delivery"),
        waiting=await tx.one(int, "SELECT count(*) FROM webhooks.delivery WHERE state = 'waiting'"),
        given_up=await tx.one(int, "SELECT count(*) FROM webhooks.delivery WHERE state = 'given_up'"),
        lost=await tx.all(
            UUID,
            """
            SELECT event_id FROM webhooks.message LEFT JOIN (
                SELECT event_id, count(*) AS count FROM webhooks.delivery GROUP BY event_id
            ) AS there USING (event_id)
            WHERE delivery_count <> coalesce(there.count, 0) LIMIT %(limit)s
            """,
            limit=SHOWN_MAX,
        ),
        attempts_off=await tx.all(
            UUID,
            """
            SELECT id FROM webhooks.delivery LEFT JOIN (
                SELECT delivery_id, count(*) AS count, max(no) AS last, bool_or(status BETWEEN 200 AND 299) AS taken
                FROM webhooks.attempt GROUP BY delivery_id
            ) AS made ON made.delivery_id = id
            WHERE (attempts, attempts) <> (coalesce(made.count, 0), coalesce(made.last, 0))
               OR state = 'delivered' AND made.taken IS NOT TRUE OR state = 'given_up' AND made.taken IS NULL
            LIMIT %(limit)s
            """,
            limit=SHOWN_MAX,
        ),
        overdue=await tx.all(
            UUID,
            """
            SELECT d.id FROM webhooks.delivery AS d JOIN webhooks.endpoint AS e ON e.id = d.endpoint_id
            WHERE d.state = 'waiting' AND d.due_at < %(then)s AND e.state = 'active'
              AND e.resting_until < %(then)s AND e.leased_until < %(then)s
            ORDER BY d.id LIMIT %(limit)s
            """,
            then=tx.now - OVERDUE,
            limit=SHOWN_MAX,
        ),
    )
