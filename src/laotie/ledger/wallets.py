"""Wallets: accounts that somebody disposes of, so one may not fall below zero, and has a statement.

A wallet's owner is an account or a shop. Every transfer in or out of one has a reason that begins with `wallet.`: the
statement's indexes hold those alone, so that a sale costs nothing more.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import TransferId
from laotie.base.money import Money
from laotie.ledger.accounts import get_balance, open_many
from laotie.ledger.model import Account, AccountKind, InsufficientFunds, Transfer
from laotie.ledger.transfers import transfer_many

REASON_PREFIX = "wallet."
PAGE_SIZE_MAX = 100
CURRENCIES_MAX = 20


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a wallet's statement; what went out is negative."""

    id: TransferId
    at: datetime
    amount: int
    currency: str
    reason: str
    subject_id: UUID


async def spend(tx: Tx, transfer: Transfer) -> None:
    """Move money out of a wallet, or refuse with `InsufficientFunds`. Locks the wallet until the transaction's end."""
    wallet = transfer.debit
    assert wallet.kind is AccountKind.wallet and transfer.reason.startswith(REASON_PREFIX)
    await open_many(tx, [wallet])
    await tx.run("SELECT FROM ledger.balance WHERE account_id = %(id)s FOR UPDATE", id=wallet.id)
    balance = await get_balance(tx, wallet)
    if balance.posted < transfer.amount:
        raise InsufficientFunds(
            needed=Money(transfer.amount, wallet.currency), balance=Money(balance.posted, wallet.currency)
        )
    await transfer_many(tx, [transfer])


async def list_balances(
    tx: Tx,
    kind: AccountKind,
    owner_id: UUID | None = None,
    *,
    currency: str | None = None,
    after: UUID | None = None,
    limit: int | None = None,
) -> dict[Account, int]:
    """What each account of a kind (of one owner) holds, zeros left out; exact at this instant.

    By owner and currency; of one currency, a page of `limit` may be continued after an owner.
    """
    rows = await tx.tuples(
        """
        SELECT account.owner_id, account.currency, sum(part.credits_posted - part.debits_posted)::bigint
        FROM ledger.account
        JOIN (SELECT account_id, credits_posted, debits_posted FROM ledger.balance
              UNION ALL SELECT account_id, credits_posted, debits_posted FROM ledger.delta) AS part
          ON part.account_id = account.id
        WHERE account.kind = %(kind)s AND (%(owner_id)s::uuid IS NULL OR account.owner_id = %(owner_id)s)
          AND (%(currency)s::text IS NULL OR account.currency = %(currency)s)
          AND (%(after)s::uuid IS NULL OR account.owner_id > %(after)s)
        GROUP BY account.owner_id, account.currency
        HAVING sum(part.credits_posted - part.debits_posted) <> 0
        ORDER BY account.owner_id, account.currency LIMIT %(limit)s
        """,
        kind=kind,
        owner_id=owner_id,
        currency=currency,
        after=after,
        limit=limit,
    )
    return {Account(kind, currency, owner): amount for owner, currency, amount in rows}


async def list_movements(
    tx: Tx, owner_id: UUID, *, after: TransferId | None = None, limit: int = PAGE_SIZE_MAX
) -> list[Movement]:
    """The owner's statement, the latest first, continued after a line."""
    accounts = await tx.all(
        UUID,
        """
        SELECT id FROM ledger.account WHERE kind = 'wallet' AND owner_id = %(owner_id)s
        ORDER BY id LIMIT %(limit)s
        """,
        owner_id=owner_id,
        limit=CURRENCIES_MAX,
    )
    return await tx.all(
        Movement,
        """
        WITH mark AS (SELECT made_at, id FROM ledger.transfer WHERE id = %(after)s)
        SELECT id, made_at AS at, amount, currency, substr(reason, 8) AS reason, subject_id FROM (
            SELECT id, made_at, amount, currency, reason, subject_id FROM ledger.transfer
            WHERE credit_id = ANY(%(accounts)s::uuid[]) AND reason LIKE 'wallet.%%'
            UNION ALL
            SELECT id, made_at, -amount, currency, reason, subject_id FROM ledger.transfer
            WHERE debit_id = ANY(%(accounts)s::uuid[]) AND reason LIKE 'wallet.%%'
        ) AS line
        WHERE %(after)s::uuid IS NULL OR (made_at, id) < (SELECT made_at, id FROM mark)
        ORDER BY made_at DESC, id DESC LIMIT %(limit)s
        """,
        accounts=accounts,
        after=after,
        limit=min(limit, PAGE_SIZE_MAX),
    )
