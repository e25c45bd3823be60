"""What fun must hold, for the audit: each activity's money is given, given back, or still there, to the cent."""

from uuid import UUID

import msgspec

from laotie.base.db import Tx

SHOWN_MAX = 100


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Counts, and the activities that break a promise; those lists must be empty (`SHOWN_MAX` are listed)."""

    activities: int
    entries: int
    kept: dict[UUID, int]
    """By activity, what its escrow must hold now; ended ones hold nothing and are not here."""
    paid_off: list[UUID]
    """What was paid is not the sum of what its entries got."""
    count_off: list[UUID]
    """The count of entries is not how many there are."""
    overdue: list[UUID]
    """Its deadline passed more than five minutes ago and nothing has happened."""


async def tally(tx: Tx) -> Tally:
    """The room's own audit: a full read, in the caller's snapshot."""
    kept = dict(
        await tx.tuples(
            """
            SELECT id, amount - paid_amount - returned_amount FROM fun.activity
            WHERE funded_at IS NOT NULL AND amount > paid_amount + returned_amount
            """
        )
    )
    return Tally(
        activities=await tx.one(int, "SELECT count(*) FROM fun.activity"),
        entries=await tx.one(int, "SELECT count(*) FROM fun.entry"),
        kept=kept,
        paid_off=await tx.all(
            UUID,
            """
            SELECT id FROM fun.activity LEFT JOIN (
                SELECT activity_id, sum(amount) AS amount FROM fun.entry GROUP BY activity_id
            ) AS got ON got.activity_id = id
            WHERE funded_at IS NOT NULL AND paid_amount <> coalesce(got.amount, 0) LIMIT %(limit)s
            """,
            limit=SHOWN_MAX,
        ),
        count_off=await tx.all(
            UUID,
            """
            SELECT id FROM fun.activity LEFT JOIN (
                SELECT activity_id, count(*) AS count, max(no) AS last FROM fun.entry GROUP BY activity_id
            ) AS there ON there.activity_id = id
            WHERE (entry_count, entry_count) <> (coalesce(there.count, 0), coalesce(there.last, 0)) LIMIT %(limit)s
            """,
            limit=SHOWN_MAX,
        ),
        overdue=await tx.all(
            UUID,
            """
            SELECT id FROM fun.activity WHERE due_at < %(now)s::timestamptz - interval '5 minutes' LIMIT %(limit)s
            """,
            now=tx.now,
            limit=SHOWN_MAX,
        ),
    )
