"""Sellers' accounts with the sandbox: opened, judged on its page, filled by transfers that may be refused or late.

Reads and writes the sandbox's own books alone, like `sandbox`.
"""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from laotie.base import jobs
from laotie.base.db import Tx
from laotie.base.ids import AccountId, new_id
from laotie.base.money import Money
from laotie.base.refusals import IdReused, NotFound
from laotie.payments.model import ProviderRefused, ReleaseId, SellerState
from laotie.payments.provider import Applicant, Handover
from laotie.payments.sandbox_post import Trouble, Word, tell

TRANSFERS_MAX = 50
REFUSED = "the account cannot take money"


class SandboxTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """Money into a seller's account, as the sandbox's page shows it."""

    number: str
    amount: int
    currency: str
    state: str
    reason: str
    made_at: datetime


class SandboxAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A seller's account with the sandbox. The next `refusals` transfers are refused, each is `delay_s` late."""

    id: UUID
    number: str
    holder_id: AccountId
    name: str
    state: SellerState
    reason: str
    refusals: int
    delay_s: int


async def open_account(tx: Tx, applicant: Applicant) -> str:
    """Its number; the merchant's id of the seller is the idempotency key. It waits until its page is visited."""
    await tx.run(
        """
        INSERT INTO payments.sandbox_account (id, number, holder_id, name, state, made_at)
        VALUES (%(id)s, %(number)s, %(holder_id)s, %(name)s, 'pending', %(now)s)
        ON CONFLICT (id) DO NOTHING
        """,
        id=applicant.seller_id,
        number=f"sba_{new_id().hex}",
        holder_id=applicant.asked_by,
        name=applicant.name,
        now=tx.now,
    )
    return await tx.one(
        str, "SELECT number FROM payments.sandbox_account WHERE id = %(id)s", id=applicant.seller_id
    )


async def find_by_number(tx: Tx, number: str) -> SandboxAccount | None:
    """The account of that number, if there is one."""
    return await tx.maybe(
        SandboxAccount,
        """
        SELECT id, number, holder_id, name, state, reason, refusals, delay_s
        FROM payments.sandbox_account WHERE number = %(number)s
        """,
        number=number,
    )


async def get_account(tx: Tx, account_id: UUID, *, holder_id: AccountId | None) -> SandboxAccount:
    """What the page shows whoever asked for the account, or without a holder anybody; `NotFound` for anyone else."""
    account = await tx.maybe(
        SandboxAccount,
        """
        SELECT id, number, holder_id, name, state, reason, refusals, delay_s
        FROM payments.sandbox_account
        WHERE id = %(id)s AND (%(holder_id)s::uuid IS NULL OR holder_id = %(holder_id)s)
        """,
        id=account_id,
        holder_id=holder_id,
    )
    if account is None:
        raise NotFound()
    return account


async def judge(
    tx: Tx,
    account_id: UUID,
    *,
    holder_id: AccountId | None,
    state: SellerState,
    reason: str = "",
    refusals: int = 0,
    delay_s: int = 0,
) -> SandboxAccount:
    """The provider decides on the account, and (to try things out) on what goes wrong in it; the merchant is told."""
    before = await get_account(tx, account_id, holder_id=holder_id)
    await tx.run(
        """
        UPDATE payments.sandbox_account
        SET state = %(state)s, reason = %(reason)s, refusals = %(refusals)s, delay_s = %(delay_s)s WHERE id = %(id)s
        """,
        state=state,
        reason="" if state is SellerState.ready else reason[:200],
        refusals=refusals,
        delay_s=delay_s,
        id=account_id,
    )
    await tell(tx, [Word(type="account.updated", account=before.number)], Trouble.none)
    return await get_account(tx, account_id, holder_id=holder_id)


async def transfer(tx: Tx, handover: Handover) -> str:
    """Money into an account, now or later; the merchant's id is the idempotency key, and its message says how it ended."""
    account = await tx.maybe(
        SandboxAccount,
        """
        SELECT id, number, holder_id, name, state, reason, refusals, delay_s
        FROM payments.sandbox_account WHERE number = %(number)s FOR UPDATE
        """,
        number=handover.seller_ref,
    )
    if account is None:
        raise ProviderRefused(reason="there is no such account")
    known = await tx.maybe(
        _Transfer,
        "SELECT number, amount, currency FROM payments.sandbox_transfer WHERE reference = %(id)s",
        id=handover.release_id,
    )
    if known is not None:
        if Money(known.amount, known.currency) != handover.money:
            raise IdReused()
        return known.number
    if account.state is not SellerState.ready:
        raise ProviderRefused(reason=REFUSED)
    number = f"sbt_{new_id().hex}"
    refused = account.refusals > 0
    await tx.run(
        """
        WITH one AS (
            INSERT INTO payments.sandbox_transfer (reference, number, account_id, amount, currency, state, reason, made_at)
            VALUES (%(id)s, %(number)s, %(account_id)s, %(amount)s, %(currency)s, 'pending', %(reason)s, %(now)s)
        )
        UPDATE payments.sandbox_account SET refusals = refusals - %(refused)s::integer WHERE id = %(account_id)s
        """,
        id=handover.release_id,
        number=number,
        account_id=account.id,
        amount=handover.money.amount,
        currency=handover.money.currency,
        reason=REFUSED if refused else "",
        refused=refused,
        now=tx.now,
    )
    at = tx.now + timedelta(seconds=account.delay_s) if account.delay_s else None
    await jobs.defer(tx, "payments.sandbox_transfer", {"release_id": handover.release_id}, at=at)
    return number


class _Transfer(msgspec.Struct, frozen=True):
    number: str
    amount: int
    currency: str


@jobs.task("payments.sandbox_transfer")
async def _carry_out(context: jobs.Context, release_id: str) -> None:
    async with context.db.tx() as tx:
        changed = await tx.run(
            """
            UPDATE payments.sandbox_transfer
            SET state = CASE WHEN reason = '' THEN 'done' ELSE 'failed' END, decided_at = %(now)s
            WHERE reference = %(id)s AND state = 'pending'
            """,
            id=UUID(release_id),
            now=tx.now,
        )
        word = await find_word(tx, ReleaseId(UUID(release_id)))
        if changed and word is not None:
            await tell(tx, [word], Trouble.none)


async def find_word(tx: Tx, release_id: ReleaseId) -> Word | None:
    """What there is to say of a transfer; of one that is still on its way, nothing."""
    return await tx.maybe(
        Word,
        """
        SELECT CASE t.state WHEN 'done' THEN 'transfer.succeeded' ELSE 'transfer.failed' END AS type,
               a.number AS account, t.number, t.reference AS release, t.amount, t.currency, t.reason
        FROM payments.sandbox_transfer AS t JOIN payments.sandbox_account AS a ON a.id = t.account_id
        WHERE t.reference = %(id)s AND t.state <> 'pending'
        """,
        id=release_id,
    )


async def list_transfers(tx: Tx, account_id: UUID) -> list[SandboxTransfer]:
    """The latest transfers into an account."""
    return await tx.all(
        SandboxTransfer,
        """
        SELECT number, amount, currency, state, reason, made_at FROM payments.sandbox_transfer
        WHERE account_id = %(id)s ORDER BY number DESC LIMIT %(limit)s
        """,
        id=account_id,
        limit=TRANSFERS_MAX,
    )


async def sum_balances(tx: Tx, account_id: UUID) -> list[Money]:
    """What lies in an account, by currency."""
    rows = await tx.tuples(
        """
        SELECT sum(amount)::bigint, currency FROM payments.sandbox_transfer
        WHERE account_id = %(id)s AND state = 'done' GROUP BY currency ORDER BY currency
        """,
        id=account_id,
    )
    return [Money(amount, currency) for amount, currency in rows]
