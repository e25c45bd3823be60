"""Accounts and their balances: what a transaction adds lies in `delta` until the fold moves it into `balance`.

So no account row is touched by a sale, and a balance is exact at any instant: the folded row plus its deltas.
"""

from collections.abc import Iterable
from uuid import UUID

from laotie.base.db import Tx
from laotie.ledger.model import Account, Balance

FOLD_LOCK = 0x1ED6E4

_seen: set[tuple[str, UUID]] = set()


async def open_many(tx: Tx, accounts: Iterable[Account]) -> None:
    """Make sure the accounts exist. Costs nothing once this process has seen them committed."""
    database = tx.database
    wanted = {account.id: account for account in accounts if (database, account.id) not in _seen}
    if not wanted:
        return
    ids = sorted(wanted)
    for found, own in await tx.tuples(
        "SELECT id, opened_at = %(now)s FROM ledger.account WHERE id = ANY(%(ids)s)", ids=ids, now=tx.now
    ):
        if len(_seen) > 200_000:
            _seen.clear()
        if not own:  # what this transaction opened is not committed yet
            _seen.add((database, found))
        del wanted[found]
    if not wanted:
        return
    new = [wanted[key] for key in sorted(wanted)]
    await tx.run(
        """
        WITH opened AS (
            INSERT INTO ledger.account (id, kind, owner_id, currency, opened_at)
            SELECT id, kind, owner_id, currency, %(now)s
            FROM unnest(%(ids)s::uuid[], %(kinds)s::text[], %(owners)s::uuid[], %(currencies)s::text[])
              AS wanted (id, kind, owner_id, currency)
            ON CONFLICT DO NOTHING
            RETURNING id
        )
        INSERT INTO ledger.balance (account_id) SELECT id FROM opened
        """,
        ids=[account.id for account in new],
        kinds=[str(account.kind) for account in new],
        owners=[account.owner_id for account in new],
        currencies=[account.currency for account in new],
        now=tx.now,
    )


async def get_balance(tx: Tx, account: Account) -> Balance:
    """The exact balance at this instant; an account nobody used has none."""
    return await tx.one(
        Balance,
        """
        SELECT coalesce(sum(debits_pending), 0)::bigint AS debits_pending,
               coalesce(sum(credits_pending), 0)::bigint AS credits_pending,
               coalesce(sum(debits_posted), 0)::bigint AS debits_posted,
               coalesce(sum(credits_posted), 0)::bigint AS credits_posted
        FROM (
            SELECT debits_pending, credits_pending, debits_posted, credits_posted
            FROM ledger.balance WHERE account_id = %(id)s
            UNION ALL
            SELECT debits_pending, credits_pending, debits_posted, credits_posted
            FROM ledger.delta WHERE account_id = %(id)s
        ) AS part
        """,
        id=account.id,
    )


async def fold(tx: Tx) -> int:
    """Move all deltas into the balances; returns how many. One folder at a time, others return 0 at once."""
    if not await tx.one(bool, "SELECT pg_try_advisory_xact_lock(%(key)s)", key=FOLD_LOCK):
        return 0
    return await tx.one(
        int,
        """
        WITH gone AS (
            DELETE FROM ledger.delta
            RETURNING account_id, debits_pending, credits_pending, debits_posted, credits_posted
        ), summed AS (
            SELECT account_id, count(*) AS deltas, sum(debits_pending)::bigint AS dp, sum(credits_pending)::bigint AS cp,
                   sum(debits_posted)::bigint AS dd, sum(credits_posted)::bigint AS cc
            FROM gone GROUP BY account_id
        ), folded AS (
            UPDATE ledger.balance AS b SET
                debits_pending = b.debits_pending + dp,
                credits_pending = b.credits_pending + cp,
                debits_posted = b.debits_posted + dd,
                credits_posted = b.credits_posted + cc
            FROM summed WHERE b.account_id = summed.account_id
        )
        SELECT coalesce(sum(deltas), 0)::bigint FROM summed
        """,
    )
