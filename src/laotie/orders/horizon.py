"""How far along the order key nothing can appear any more: the bound for everything that walks the orders once.

Ids grow with time, but an order is visible only when its till's transaction has committed, so a walker could pass over
an id that commits later. The till makes its ids inside the transaction, after taking row locks, which give the
transaction a number (`backend_xid`). So an order that is not visible yet belongs to a transaction that either has a
number now, and then its ids are younger than its `xact_start`, or gets one later, and then its ids are younger than
this look. What is older than the oldest of these is complete. A look costs well under a millisecond.

Limits: every process connects as the same database role (others' transactions are hidden by PostgreSQL), and the
clocks of application and database servers differ by less than `SKEW_S`.
"""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import lowest_id_at

SKEW_S = 2.0
NONE_YET = UUID(int=0)


class _Look(msgspec.Struct, frozen=True):
    known: bool
    oldest_at: datetime


async def find_horizon(tx: Tx, *, skew_s: float = SKEW_S) -> UUID:
    """The id below which every order that will ever be is visible to the statements that follow in `tx`.

    `tx` must be READ COMMITTED, and this its first look at pg_stat_activity.
    """
    look = await tx.one(
        _Look,
        """
        SELECT coalesce(bool_and(xact_start IS NOT NULL), true) AS known,
               least(min(xact_start), clock_timestamp()) AS oldest_at
        FROM pg_stat_activity
        WHERE datname = current_database() AND backend_xid IS NOT NULL AND pid <> pg_backend_pid()
        """,
    )
    return lowest_id_at(look.oldest_at - timedelta(seconds=skew_s)) if look.known else NONE_YET
