"""What has changed since an instant, as the rooms tell it: what the short cycle looks at.

Found by the rooms' own marks of time, so that what went through the house is found. What somebody changes in a table past
the house leaves no mark: that is what whole cycles are for.
"""

from datetime import datetime
from uuid import UUID

from laotie import catalog, orders, payments, settlement
from laotie.audit.model import Touched
from laotie.base.db import Tx
from laotie.ledger import checking


async def find_touched(tx: Tx, since: datetime) -> Touched:
    """Orders with all of their purchases, cases that moved stock, SKUs, payments, and accounts of the ledger."""
    moved = await checking.find_moved(tx, since)
    skus, moved_for = await catalog.evidence.find_moved(tx, since)
    changed_payments, paid_for = await payments.evidence.find_changed(tx, since)
    known: set[UUID] = moved.subjects | moved_for | paid_for
    known |= await orders.evidence.find_changed(tx, since)
    known |= await settlement.evidence.find_changed(tx, since)
    known |= await orders.evidence.find_purchases(tx, sorted(known))
    return Touched(
        since=since,
        orders=frozenset(known),
        skus=frozenset(skus),
        payments=frozenset(changed_payments),
        accounts=frozenset(moved.accounts),
    )
