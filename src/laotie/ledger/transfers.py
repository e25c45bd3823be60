"""Moving money: hold, post, void, transfer; set-based, append-only, each held amount settled once."""

from typing import Any, LiteralString
from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import TransferId, new_id
from laotie.ledger.accounts import open_many
from laotie.ledger.model import BATCH_SIZE_MAX, Account, HoldNotOpen, Phase, Transfer


class _Settled(msgspec.Struct, frozen=True):
    settles_id: UUID
    debit_id: UUID
    credit_id: UUID
    amount: int
    currency: str


async def hold_many(tx: Tx, transfers: list[Transfer]) -> None:
    """Reserve amounts; each is later posted or voided, once, as a whole."""
    await _insert(tx, transfers, Phase.pending)


async def transfer_many(tx: Tx, transfers: list[Transfer]) -> None:
    """Move amounts at once and for good."""
    await _insert(tx, transfers, Phase.posted)


async def post_many(tx: Tx, hold_ids: list[TransferId], *, reason: str) -> None:
    """Make held amounts final; refuses with `HoldNotOpen` when any is not open, and then moves nothing."""
    await _settle(tx, hold_ids, Phase.posted, reason)


async def void_many(tx: Tx, hold_ids: list[TransferId], *, reason: str) -> None:
    """Give held amounts back; refuses with `HoldNotOpen` when any is not open, and then moves nothing."""
    await _settle(tx, hold_ids, Phase.voided, reason)


async def _insert(tx: Tx, transfers: list[Transfer], phase: Phase) -> None:
    if not transfers:
        return
    assert len(transfers) <= BATCH_SIZE_MAX
    assert all(transfer.debit.currency == transfer.credit.currency for transfer in transfers)
    await open_for(tx, transfers)
    debit_ids = _ids_of([one.debit for one in transfers])
    credit_ids = _ids_of([one.credit for one in transfers])
    await tx.run(
        """
        INSERT INTO ledger.transfer
            (id, debit_id, credit_id, amount, currency, phase, reason, subject_id, made_at)
        SELECT id, debit_id, credit_id, amount, currency, %(phase)s, reason, subject_id, %(now)s
        FROM unnest(%(ids)s::uuid[], %(debits)s::uuid[], %(credits)s::uuid[], %(amounts)s::bigint[],
                    %(currencies)s::text[], %(reasons)s::text[], %(subjects)s::uuid[])
          AS asked (id, debit_id, credit_id, amount, currency, reason, subject_id)
        """,
        ids=[transfer.id for transfer in transfers],
        debits=debit_ids,
        credits=credit_ids,
        amounts=[transfer.amount for transfer in transfers],
        currencies=[transfer.debit.currency for transfer in transfers],
        reasons=[transfer.reason for transfer in transfers],
        subjects=[transfer.subject_id for transfer in transfers],
        phase=phase,
        now=tx.now,
    )
    column = 0 if phase is Phase.pending else 2
    await _add_deltas(
        tx,
        [
            (debit, credit, one.amount, column, one.debit.currency)
            for debit, credit, one in zip(debit_ids, credit_ids, transfers, strict=True)
        ],
    )


async def transfer_from(tx: Tx, legs: LiteralString, answer: LiteralString, **params: Any) -> list[tuple[Any, ...]]:
    """Move amounts that a statement of the caller's own reckons, in that statement, however many they are.

    `legs` is the beginning of a statement, `WITH ..., leg AS (...)`; each row of `leg` is a transfer: (id, debit_id,
    credit_id, amount, currency, reason, subject_id). `answer` ends it, a `SELECT` from the caller's own parts, and is
    what is returned. The accounts exist (`open_many`), each of the currency that its transfers have; the database
    refuses others.
    """
    return await tx.tuples(
        legs  # noqa: S608 (LiteralString both: nothing of a row or a request)
        + """
        , moved AS (
            INSERT INTO ledger.transfer
                (id, debit_id, credit_id, amount, currency, phase, reason, subject_id, made_at)
            SELECT id, debit_id, credit_id, amount, currency, 'posted', reason, subject_id, %(made_at)s FROM leg
        ), side AS (
            SELECT debit_id AS account_id, currency, sum(amount) AS debit, 0 AS credit FROM leg GROUP BY 1, 2
            UNION ALL
            SELECT credit_id, currency, 0, sum(amount) FROM leg GROUP BY 1, 2
        ), added AS (
            INSERT INTO ledger.delta
                (id, account_id, currency, debits_pending, credits_pending, debits_posted, credits_posted)
            SELECT gen_random_uuid(), account_id, currency, 0, 0, sum(debit)::bigint, sum(credit)::bigint
            FROM side GROUP BY account_id, currency
        )
        """
        + answer,
        made_at=tx.now,
        **params,
    )


async def open_for(tx: Tx, transfers: list[Transfer]) -> None:
    """Make sure that the accounts of these transfers exist (for callers who pipeline the transfers themselves)."""
    accounts = {id(account): account for one in transfers for account in (one.debit, one.credit)}
    await open_many(tx, accounts.values())


def _ids_of(accounts: list[Account]) -> list[UUID]:
    """Their ids; the same object, as batches have it, is asked once."""
    known = {id(account): account.id for account in {id(account): account for account in accounts}.values()}
    return [known[id(account)] for account in accounts]


async def _settle(tx: Tx, hold_ids: list[TransferId], phase: Phase, reason: str) -> None:
    if not hold_ids:
        return
    assert len(hold_ids) <= BATCH_SIZE_MAX
    settled = await tx.all(
        _Settled,
        """
        INSERT INTO ledger.transfer
            (id, debit_id, credit_id, amount, currency, phase, settles_id, reason, subject_id, made_at)
        SELECT asked.id, held.debit_id, held.credit_id, held.amount, held.currency, %(phase)s, held.id, %(reason)s,
               held.subject_id, %(now)s
        FROM unnest(%(ids)s::uuid[], %(holds)s::uuid[]) AS asked (id, hold_id)
        JOIN ledger.transfer AS held ON held.id = asked.hold_id AND held.phase = 'pending'
        ON CONFLICT (settles_id) WHERE settles_id IS NOT NULL DO NOTHING
        RETURNING settles_id, debit_id, credit_id, amount, currency
        """,
        ids=[new_id() for _ in hold_ids],
        holds=hold_ids,
        phase=phase,
        reason=reason,
        now=tx.now,
    )
    missing = set(hold_ids) - {TransferId(row.settles_id) for row in settled}
    if missing:
        raise HoldNotOpen(transfer_ids=sorted(missing))
    moved = [(row.debit_id, row.credit_id, -row.amount, 0, row.currency) for row in settled]
    if phase is Phase.posted:
        moved += [(row.debit_id, row.credit_id, row.amount, 2, row.currency) for row in settled]
    await _add_deltas(tx, moved)


async def _add_deltas(tx: Tx, moved: list[tuple[UUID, UUID, int, int, str]]) -> None:
    """One row an account for the whole transaction: (debits pending, credits pending, debits posted, credits posted)."""
    sums: dict[tuple[int, str], list[int]] = {}
    for debit, credit, amount, column, currency in moved:
        sums.setdefault((debit.int, currency), [0, 0, 0, 0])[column] += amount
        sums.setdefault((credit.int, currency), [0, 0, 0, 0])[column + 1] += amount
    accounts = sorted(sums)
    await tx.run(
        """
        INSERT INTO ledger.delta
            (id, account_id, currency, debits_pending, credits_pending, debits_posted, credits_posted)
        SELECT * FROM unnest(%(ids)s::uuid[], %(accounts)s::uuid[], %(currencies)s::text[], %(a)s::bigint[],
                             %(b)s::bigint[], %(c)s::bigint[], %(d)s::bigint[])
        """,
        ids=[new_id() for _ in accounts],
        accounts=[UUID(int=account) for account, _ in accounts],
        currencies=[currency for _, currency in accounts],
        a=[sums[account][0] for account in accounts],
        b=[sums[account][1] for account in accounts],
        c=[sums[account][2] for account in accounts],
        d=[sums[account][3] for account in accounts],
    )
