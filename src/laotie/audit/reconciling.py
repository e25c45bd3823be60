"""A provider's statement against payments, and the orders it names against the ledger: three books, one list.

The differences belong to `payments`, which keeps them; audit itself writes nothing of its own.
"""

from datetime import date

from laotie import payments
from laotie.audit.tallies import compare_money
from laotie.base.db import Database
from laotie.base.ids import AccountId


async def reconcile(
    db: Database,
    provider: str,
    content: bytes,
    *,
    name: str,
    day: date | None = None,
    brought_by: AccountId | None = None,
) -> payments.Statement:
    """Keep a statement and match it; the same file again is matched again. Refuses `payments.StatementUnreadable`."""
    async with db.tx() as tx:
        statement = await payments.match_statement(tx, provider, content, name=name, day=day, brought_by=brought_by)
    return await _add_ledger(db, statement)


async def reconcile_again(db: Database, statement_id: payments.StatementId) -> payments.Statement:
    """Match a statement that is kept with the books as they now stand."""
    async with db.tx() as tx:
        statement = await payments.match_again(tx, statement_id)
    return await _add_ledger(db, statement)


async def _add_ledger(db: Database, statement: payments.Statement) -> payments.Statement:
    """What both books say of an order is compared in one snapshot; what is on its way between them is left out."""
    async with db.read() as tx:
        named = await payments.list_orders_of_statement(tx, statement.id)
        differing = [one for one in await compare_money(tx) if one[0] in named] if named else []
    async with db.tx() as tx:
        return await payments.add_ledger_differences(tx, statement.id, differing)
