"""Which products changed since an index last asked: noted with the change itself, numbered under a lock.

A number is given in a transaction of its own while no other gives any, so whoever has read up to a number has missed
nothing before it, whatever order the changes were committed in.
"""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

import msgspec

from laotie.base.db import Database, Tx

NUMBERED_MAX = 5_000
REFRESH_AFTER = timedelta(minutes=10)
"""Sales move a product's merit; it is indexed anew for them no more often."""


class Change(msgspec.Struct, frozen=True):
    """A product to look at again."""

    product_id: UUID
    no: int


async def note_changed(tx: Tx, product_ids: Iterable[UUID]) -> None:
    """These are to be indexed anew."""
    await tx.run(
        """
        INSERT INTO search.change (product_id, noted_at)
        SELECT DISTINCT product_id, %(now)s::timestamptz FROM unnest(%(ids)s::uuid[]) AS product_id ORDER BY product_id
        ON CONFLICT (product_id) DO UPDATE SET no = NULL, noted_at = excluded.noted_at
        """,
        ids=list(product_ids),
        now=tx.now,
    )


async def note_stock(tx: Tx, is_short: dict[UUID, bool]) -> None:
    """Something was sold or came in, and by product whether a choice of it is sold out.

    Indexed anew when that is news, else for the sales, now and then.
    """
    await tx.run(
        """
        INSERT INTO search.change (product_id, is_short, noted_at)
        SELECT product_id, is_short, %(now)s FROM unnest(%(ids)s::uuid[], %(short)s::boolean[]) AS said (product_id, is_short)
        ORDER BY product_id
        ON CONFLICT (product_id) DO UPDATE
        SET no = NULL, is_short = excluded.is_short, noted_at = excluded.noted_at
        WHERE change.is_short OR excluded.is_short OR change.noted_at < %(refresh_before)s
        """,
        ids=list(is_short),
        short=list(is_short.values()),
        now=tx.now,
        refresh_before=tx.now - REFRESH_AFTER,
    )


async def number_changes(db: Database) -> int:
    """Number what was noted; returns how many."""
    async with db.read() as tx:
        if not await tx.maybe(bool, "SELECT true FROM search.change WHERE no IS NULL LIMIT 1"):
            return 0
    async with db.tx() as tx:
        await tx.run("SELECT pg_advisory_xact_lock(hashtext('search.change'))")
        return await tx.run(
            """
            UPDATE search.change SET no = nextval('search.change_no')
            WHERE product_id IN (SELECT product_id FROM search.change WHERE no IS NULL
                                 ORDER BY product_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
            """,
            limit=NUMBERED_MAX,
        )


async def list_changes(tx: Tx, *, after: int, limit: int) -> list[Change]:
    """What changed behind this number, in order."""
    return await tx.all(
        Change,
        "SELECT product_id, no FROM search.change WHERE no > %(after)s ORDER BY no LIMIT %(limit)s",
        after=after,
        limit=limit,
    )


async def find_last_no(tx: Tx) -> int:
    """The highest number given so far."""
    return await tx.one(int, "SELECT coalesce(max(no), 0)::bigint FROM search.change")


async def find_origin(tx: Tx) -> UUID:
    """Which database this is."""
    return await tx.one(UUID, "SELECT id FROM search.origin")

