"""A provider's statement against payments, and the orders it names against the ledger: three books, one list.

The differences belong to `payments`, which keeps them; audit itself keeps nothing of its own. What a statement says that
the provider took for its services goes into the ledger, once; what differs is settled by two operators.
"""

from datetime import date

from laotie import identity, ledger, payments
from laotie.audit.tallies import compare_money
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, TransferId
from laotie.base.money import Money
from laotie.identity import Actor


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
        await _book_fees(tx, statement)
    return await _add_ledger(db, statement)


async def reconcile_again(db: Database, statement_id: payments.StatementId) -> payments.Statement:
    """Match a statement that is kept with the books as they now stand."""
    async with db.tx() as tx:
        statement = await payments.match_again(tx, statement_id)
        await _book_fees(tx, statement)
    return await _add_ledger(db, statement)


async def _add_ledger(db: Database, statement: payments.Statement) -> payments.Statement:
    """What both books say of an order is compared in one snapshot; what is on its way between them is left out."""
    async with db.read() as tx:
        named = await payments.list_orders_of_statement(tx, statement.id)
        differing = [one for one in await compare_money(tx) if one[0] in named] if named else []
    async with db.tx() as tx:
        return await payments.add_ledger_differences(tx, statement.id, differing)


async def _book_fees(tx: Tx, statement: payments.Statement) -> None:
    """What the provider took leaves its account as a cost; what it gave back of it comes again."""
    fees = await payments.take_fees(tx, statement.id)
    for start in range(0, len(fees), ledger.BATCH_SIZE_MAX):
        await ledger.transfer_many(tx, [_cost(fee) for fee in fees[start : start + ledger.BATCH_SIZE_MAX]])


def _cost(fee: payments.Fee) -> ledger.Transfer:
    cost = ledger.Account(ledger.AccountKind.provider_cost, fee.currency)
    provider = ledger.Account(ledger.AccountKind.provider, fee.currency)
    return ledger.Transfer(
        TransferId(fee.id),
        debit=cost if fee.amount > 0 else provider,
        credit=provider if fee.amount > 0 else cost,
        amount=abs(fee.amount),
        reason="provider-fee",
        subject_id=fee.statement_id,
    )


async def propose_settling(
    tx: Tx,
    actor: Actor,
    resolution_id: payments.ResolutionId,
    of: payments.Matter,
    *,
    reason: str,
    correction: Money | None = None,
) -> payments.Resolution:
    """Say how a difference is to be settled, for operators; another one decides. Goes into the audit log.

    `correction`: by how much our books of the provider's money are off. Refuses `payments.AlreadyResolved`.
    """
    found, fresh = await payments.propose_resolution(
        tx, resolution_id, of, by=actor.require_operator(), reason=reason, correction=correction
    )
    if fresh:
        await identity.record(tx, actor, "difference.proposed", subject=str(found.id), reason=reason)
    return found


async def decide_settling(
    tx: Tx, actor: Actor, resolution_id: payments.ResolutionId, *, settle: bool
) -> payments.Resolution:
    """Settle a proposed difference, for an operator who did not propose it; or drop it, for any.

    With a correction the money at the provider is put right against the platform's own account. Refuses
    `identity.SecondPersonNeeded`, `payments.AlreadyResolved`.
    """
    actor.require_operator()
    proposed = await payments.get_resolution(tx, resolution_id)
    by = identity.require_other(actor, proposed.proposed_by) if settle else actor.require_operator()
    found, fresh = await payments.decide_resolution(tx, resolution_id, by=by, settle=settle)
    if not fresh:
        return found
    if settle and found.amount is not None and found.currency is not None:
        provider = ledger.Account(ledger.AccountKind.provider, found.currency)
        platform = ledger.Account(ledger.AccountKind.correction, found.currency)
        correction = ledger.Transfer(
            TransferId(found.id),
            debit=provider if found.amount > 0 else platform,
            credit=platform if found.amount > 0 else provider,
            amount=abs(found.amount),
            reason="correction",
            subject_id=found.id,
        )
        await ledger.transfer_many(tx, [correction])
    await identity.record(tx, actor, "difference.settled" if settle else "difference.dropped", subject=str(found.id))
    return found
