"""Payouts: batches that are drafted, approved by a second person, sent, and ended one by one.

drafting → drafted → approved → sending → sent → closed; or, before it is sent, discarding → discarded.

Money leaves what an owner is owed when their payout is drafted, so nobody is drafted twice, and comes back when it is
withheld or returned. Who drafted or changed a batch does not approve it, who approved it does not send it (`CHECK`s
hold both). Drafting, sending and discarding go in chunks, a transaction each, under the batch's row; ids follow from the
batch and the owner, so whatever a crash left is gone on with by the worker, and nothing happens twice.
Lock order: the advisory lock of drafting, the batch, its payouts.
"""

from collections.abc import Iterable
from uuid import UUID, uuid5

import msgspec
from psycopg.types.json import Jsonb

from laotie import identity, ledger, payments
from laotie.base import jobs
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, ShopId, TransferId
from laotie.base.money import Money
from laotie.base.settings import Settings
from laotie.events.payments import ReleaseDone, ReleaseFailed
from laotie.events.settlement import PayoutPaid, PayoutReturned, PayoutSent
from laotie.identity import Actor
from laotie.ledger import Account, AccountKind, Transfer
from laotie.settlement.accounts import find_current, notify_owner
from laotie.settlement.batches import find_payout, get_batch, get_payout, hold_batch
from laotie.settlement.drafting import draft_day, draft_some, on_its_way
from laotie.settlement.lines import book_owner, payable
from laotie.settlement.model import LineKind
from laotie.settlement.payees import find_holds, is_payable_to
from laotie.settlement.payout_model import (
    CHUNK,
    Batch,
    BatchId,
    BatchMoved,
    BatchState,
    Channel,
    NothingToPay,
    Owner,
    Payer,
    PayerUnknown,
    Payout,
    PayoutId,
    PayoutMoved,
    PayoutState,
    ResultRow,
    Route,
    checked_text,
)

WORKED_AT_ONCE_MAX = 4


async def withhold(tx: Tx, actor: Actor, settings: Settings, id_: PayoutId, reason: str) -> Payout:
    """Take one payout out of a batch that is not approved yet; the money is owed as before. For operators.

    Who does so has changed the batch. Refuses `BatchMoved`, `PayoutMoved`, `PayoutTextRefused`.
    """
    operator_id = actor.require_operator()
    reason = checked_text("reason", reason)
    payout = await get_payout(tx, id_)
    batch = await hold_batch(tx, payout.batch_id)
    if batch.state is not BatchState.drafted:
        raise BatchMoved(state=batch.state)
    if not await _withhold_many(tx, settings, [payout], reason):
        raise PayoutMoved(state=(await get_payout(tx, id_)).state)
    await tx.run(
        """
        UPDATE settlement.payout_batch SET changed_by = array_append(array_remove(changed_by, %(by)s), %(by)s)
        WHERE id = %(id)s
        """,
        id=batch.id,
        by=operator_id,
    )
    await identity.record(tx, actor, "payout.withheld", subject=str(payout.owner_id), payout_id=id_, reason=reason)
    return await get_payout(tx, id_)


async def approve_batch(tx: Tx, actor: Actor, batch_id: BatchId) -> Batch:
    """Approve what another operator drafted or changed. Said again by the same person, it changes nothing.

    Refuses `identity.SecondPersonNeeded`, `BatchMoved`, `NothingToPay` when all of it was withheld.
    """
    operator_id = actor.require_operator()
    batch = await hold_batch(tx, batch_id)
    if batch.state is BatchState.approved and batch.approved_by == operator_id:
        return batch
    if batch.state is not BatchState.drafted:
        raise BatchMoved(state=batch.state)
    identity.require_other(actor, batch.drafted_by, *batch.changed_by)
    if not batch.counts.get(PayoutState.drafted):
        raise NothingToPay()
    await tx.run(
        """
        UPDATE settlement.payout_batch SET state = 'approved', approved_by = %(by)s, approved_at = %(now)s
        WHERE id = %(id)s
        """,
        id=batch_id,
        by=operator_id,
        now=tx.now,
    )
    await _record(tx, actor, "payout_batch.approved", batch)
    return await get_batch(tx, batch_id)


async def send_batch(db: Database, actor: Actor, settings: Settings, batch_id: BatchId) -> Batch:
    """Send what another operator approved: freeze it for the bank's file, or have the provider let it go.

    What became wrong meanwhile stays behind: an account that was changed, an owner who is held or owes us. Opens its own
    transactions. Refuses `identity.SecondPersonNeeded`, `BatchMoved`, `PayerUnknown`.
    """
    operator_id = actor.require_operator()
    async with db.tx() as tx:
        batch = await hold_batch(tx, batch_id)
        if batch.sent_by != operator_id:
            if batch.state is not BatchState.approved:
                raise BatchMoved(state=batch.state)
            identity.require_other(actor, batch.approved_by)
            payer = _payer(settings) if batch.channel == Channel.iban else None
            await tx.run(
                """
                UPDATE settlement.payout_batch SET state = 'sending', sent_by = %(by)s, sent_at = %(now)s, payer = %(payer)s
                WHERE id = %(id)s
                """,
                id=batch_id,
                by=operator_id,
                payer=Jsonb(payer) if payer else None,
                now=tx.now,
            )
            await _record(tx, actor, "payout_batch.sent", batch)
    while await _send_some(db, settings, batch_id):
        pass
    async with db.read() as tx:
        return await get_batch(tx, batch_id)


async def discard_batch(db: Database, actor: Actor, settings: Settings, batch_id: BatchId) -> Batch:
    """Give up a batch that was not sent; all of it is owed as before. Any operator may. Opens its own transactions."""
    actor.require_operator()
    async with db.tx() as tx:
        batch = await hold_batch(tx, batch_id)
        if batch.state in (BatchState.drafted, BatchState.approved):
            await tx.run("UPDATE settlement.payout_batch SET state = 'discarding' WHERE id = %(id)s", id=batch_id)
            await _record(tx, actor, "payout_batch.discarded", batch)
        elif batch.state not in (BatchState.discarding, BatchState.discarded):
            raise BatchMoved(state=batch.state)
    while await _discard_some(db, settings, batch_id):
        pass
    async with db.read() as tx:
        return await get_batch(tx, batch_id)


async def note_result(
    tx: Tx,
    actor: Actor,
    settings: Settings,
    id_: PayoutId,
    outcome: PayoutState,
    *,
    reason: str = "",
    bank_reference: str = "",
) -> Payout:
    """Write down what the bank says of a payout: `paid`, or `returned` (also after it was paid). For operators.

    Said again, it changes nothing. Refuses `PayoutMoved`, `PayoutTextRefused`.
    """
    actor.require_operator()
    payout = await get_payout(tx, id_)
    reference = checked_text("bank_reference", bank_reference, required=False)
    because = checked_text("reason", reason, required=outcome is PayoutState.returned)
    if await _end(tx, settings, payout, outcome, reason=because, bank_reference=reference or None):
        act = f"payout.{outcome.value}"
        await identity.record(
            tx, actor, act, subject=str(payout.owner_id), payout_id=id_, reason=because, bank_reference=reference
        )
    return await get_payout(tx, id_)


async def bring_results(
    db: Database, actor: Actor, settings: Settings, batch_id: BatchId, rows: list[ResultRow], *, digest: str, name: str = ""
) -> list[tuple[ResultRow, str]]:
    """Apply the rows of a bank's result file to a batch, one by one; those that could not be, each with the reason.

    A row that says what is known already counts as applied, so a file may be brought again, or after a crash. For
    operators; opens its own transactions.
    """
    actor.require_operator()
    refused: list[tuple[ResultRow, str]] = []
    async with db.tx() as tx:
        batch = await get_batch(tx, batch_id)
        await identity.record(
            tx, actor, "payout_results.brought", subject=str(batch_id), digest=digest, name=name, row_count=len(rows)
        )
    for start in range(0, len(rows), CHUNK):
        async with db.tx() as tx:
            await hold_batch(tx, batch_id)
            for row in rows[start : start + CHUNK]:
                why = await _take_row(tx, settings, batch, row)
                if why is not None:
                    refused.append((row, why))
    return refused


async def hear_release(tx: Tx, event: ReleaseDone | ReleaseFailed) -> None:
    """The provider has let money go, or will not (a reaction). Not every release is a payout's; a job does the rest."""
    if await find_payout(tx, PayoutId(event.release_id)) is not None:
        reason = None if isinstance(event, ReleaseDone) else (event.reason or "provider")
        await jobs.defer(tx, "settlement.end_release", {"payout_id": event.release_id, "reason": reason})


@jobs.task("settlement.end_release")
async def _end_release(context: jobs.Context, payout_id: str, reason: str | None) -> None:
    async with context.db.tx() as tx:
        payout = await get_payout(tx, PayoutId(UUID(payout_id)))
        outcome = PayoutState.paid if reason is None else PayoutState.returned
        await _end(tx, context.settings, payout, outcome, reason=reason or "", bank_reference=None)


async def work_payouts(db: Database, settings: Settings) -> int:
    """Go on with what is under way, and draft the day's batches when its hour has come; how much there was to do."""
    async with db.read() as tx:
        under_way = await tx.all(
            _UnderWay,
            """
            SELECT id, state, channel, currency FROM settlement.payout_batch
            WHERE state IN ('drafting', 'sending', 'discarding') ORDER BY id LIMIT %(limit)s
            """,
            limit=WORKED_AT_ONCE_MAX,
        )
    for one in under_way:
        if one.state is BatchState.drafting:
            await draft_some(db, settings, one.id, channel=one.channel, currency=one.currency)
        elif one.state is BatchState.sending:
            await _send_some(db, settings, one.id)
        else:
            await _discard_some(db, settings, one.id)
    return len(under_way) or await draft_day(db, settings)


class _UnderWay(msgspec.Struct, frozen=True):
    id: BatchId
    state: BatchState
    channel: str
    currency: str


async def _send_some(db: Database, settings: Settings, batch_id: BatchId) -> bool:
    """Send some payouts of a batch that is being sent; whether there may be more."""
    async with db.tx() as tx:
        batch = await hold_batch(tx, batch_id)
        if batch.state is not BatchState.sending:
            return False
        waiting = await _list_drafted(tx, batch_id)
        stopped = await _find_stopped(tx, batch, waiting)
        for why in sorted(set(stopped.values())):
            await _withhold_many(tx, settings, [one for one in waiting if stopped.get(one.id) == why], why)
        good = [one for one in waiting if one.id not in stopped]
        await tx.run(
            "UPDATE settlement.payout SET state = 'sent', sent_at = %(now)s WHERE id = ANY(%(ids)s)",
            ids=[one.id for one in good],
            now=tx.now,
        )
        for one in good:
            shop_id, streamer_id = _sides(one)
            tx.tell(
                PayoutSent(
                    payout_id=one.id,
                    batch_id=batch_id,
                    shop_id=shop_id,
                    streamer_id=streamer_id,
                    amount=one.amount,
                    currency=one.currency,
                    sent_at=tx.now,
                )
            )
            if batch.route is Route.provider:
                await payments.release(
                    tx, one.id, provider=batch.channel, owner_id=one.owner_id, amount=one.amount, currency=one.currency
                )
        if len(waiting) == CHUNK:
            return True
        await tx.run("UPDATE settlement.payout_batch SET state = 'sent' WHERE id = %(id)s", id=batch_id)
        await _close(tx, batch_id)
        return False


async def _find_stopped(tx: Tx, batch: Batch, waiting: list[Payout]) -> dict[PayoutId, str]:
    """Which payouts must not go out after all, and why."""
    owners = [one.owner_id for one in waiting]
    held = await find_holds(tx, owners)
    accounts = await find_current(tx, owners, batch.currency)
    stopped: dict[PayoutId, str] = {}
    for one in waiting:
        account = accounts.get(one.owner_id)
        if one.owner_id in held:
            stopped[one.id] = "held"
        elif batch.route is Route.bank and (
            account is None or account.id != one.account_id or not is_payable_to(account, tx.now)
        ):
            stopped[one.id] = "account-changed"
        elif (await ledger.get_balance(tx, payable(one.owner_id, one.currency))).posted < 0:
            stopped[one.id] = "below-zero"
    return stopped


async def _discard_some(db: Database, settings: Settings, batch_id: BatchId) -> bool:
    async with db.tx() as tx:
        batch = await hold_batch(tx, batch_id)
        if batch.state is not BatchState.discarding:
            return False
        waiting = await _list_drafted(tx, batch_id)
        await _withhold_many(tx, settings, waiting, "discarded")
        if len(waiting) == CHUNK:
            return True
        await tx.run(
            "UPDATE settlement.payout_batch SET state = 'discarded', ended_at = %(now)s WHERE id = %(id)s",
            id=batch_id,
            now=tx.now,
        )
        return False


async def _list_drafted(tx: Tx, batch_id: BatchId) -> list[Payout]:
    return await tx.all(
        Payout,
        """
        SELECT * FROM settlement.payout_shown WHERE batch_id = %(batch_id)s AND state = 'drafted'
        ORDER BY owner_id LIMIT %(limit)s
        """,
        batch_id=batch_id,
        limit=CHUNK,
    )


async def _withhold_many(tx: Tx, settings: Settings, payouts: Iterable[Payout], reason: str) -> int:
    """Put drafted payouts' money back to what is owed; how many there were. Under the batch's lock."""
    count = 0
    for one in payouts:
        moved = await tx.run(
            """
            UPDATE settlement.payout SET state = 'withheld', reason = %(reason)s, ended_at = %(now)s
            WHERE id = %(id)s AND state = 'drafted'
            """,
            id=one.id,
            reason=reason,
            now=tx.now,
        )
        if moved:
            await _book_back(tx, settings, one)
        count += moved
    return count


async def _take_row(tx: Tx, settings: Settings, batch: Batch, row: ResultRow) -> str | None:
    """Apply a row; what is wrong with it, if it could not be."""
    payout = await find_payout(tx, row.payout_id) if row.payout_id is not None else None
    if payout is None or payout.batch_id != batch.id:
        return "unknown"
    if row.amount is not None and row.amount != payout.amount:
        return "amount"
    if row.outcome is PayoutState.returned and not row.reason:
        return "reason"
    try:
        await _end(tx, settings, payout, row.outcome, reason=row.reason, bank_reference=row.bank_reference)
    except (PayoutMoved, BatchMoved):
        return "moved"
    return None


async def _end(
    tx: Tx, settings: Settings, payout: Payout, outcome: PayoutState, *, reason: str, bank_reference: str | None
) -> bool:
    """Move a payout to how it ended, with its money; false when it is there already. Holds the batch."""
    assert outcome in (PayoutState.paid, PayoutState.returned)
    batch = await hold_batch(tx, payout.batch_id)
    if batch.state not in (BatchState.sending, BatchState.sent, BatchState.closed):
        raise BatchMoved(state=batch.state)
    before = (await get_payout(tx, payout.id)).state
    if before is outcome:
        return False
    if before is not PayoutState.sent and (before, outcome) != (PayoutState.paid, PayoutState.returned):
        raise PayoutMoved(state=before)
    await tx.run(
        """
        UPDATE settlement.payout SET state = %(state)s, reason = %(reason)s, ended_at = %(now)s,
            bank_reference = coalesce(%(bank_reference)s, bank_reference)
        WHERE id = %(id)s
        """,
        id=payout.id,
        state=outcome,
        reason=reason if outcome is PayoutState.returned else None,
        bank_reference=bank_reference,
        now=tx.now,
    )
    way, out = on_its_way(payout.owner_id, payout.currency), Account(AccountKind.provider, payout.currency)
    if outcome is PayoutState.paid:
        await _move(tx, payout, "done", debit=way, credit=out)
    else:
        if before is PayoutState.paid:
            await _move(tx, payout, "undone", debit=out, credit=way)
        await _book_back(tx, settings, payout)
    await _tell_end(tx, payout, outcome, reason)
    await _close(tx, batch.id)
    return True


async def _tell_end(tx: Tx, payout: Payout, outcome: PayoutState, reason: str) -> None:
    shop_id, streamer_id = _sides(payout)
    owner = Owner(payout.owner_id, payout.is_shop)
    facts: dict[str, object] = {
        "amount": Money(payout.amount, payout.currency), "digits": payout.last_digits or "", "reason": reason
    }  # fmt: skip
    if outcome is PayoutState.paid:
        tx.tell(
            PayoutPaid(
                payout_id=payout.id,
                batch_id=payout.batch_id,
                shop_id=shop_id,
                streamer_id=streamer_id,
                amount=payout.amount,
                currency=payout.currency,
                paid_at=tx.now,
            )
        )
        await notify_owner(tx, owner, "payout_paid", facts, once=uuid5(payout.id, "paid"))
        return
    tx.tell(
        PayoutReturned(
            payout_id=payout.id,
            batch_id=payout.batch_id,
            shop_id=shop_id,
            streamer_id=streamer_id,
            amount=payout.amount,
            currency=payout.currency,
            reason=reason,
            returned_at=tx.now,
        )
    )
    await notify_owner(tx, owner, "payout_returned", facts, once=uuid5(payout.id, "returned"))


async def _close(tx: Tx, batch_id: BatchId) -> None:
    """A batch that was sent is closed when each of its payouts has ended."""
    await tx.run(
        """
        UPDATE settlement.payout_batch AS batch SET state = 'closed', ended_at = %(now)s
        WHERE id = %(id)s AND state = 'sent' AND NOT EXISTS (
            SELECT FROM settlement.payout WHERE batch_id = batch.id AND state IN ('drafted', 'sent'))
        """,
        id=batch_id,
        now=tx.now,
    )


async def _book_back(tx: Tx, settings: Settings, payout: Payout) -> None:
    await book_owner(
        tx,
        line_id=uuid5(payout.id, "back"),
        kind=LineKind.payout_back,
        owner_id=payout.owner_id,
        is_shop=payout.is_shop,
        currency=payout.currency,
        amount=payout.amount,
        against=on_its_way(payout.owner_id, payout.currency),
        reason="payout-back",
        subject_id=payout.id,
        zone=settings.books_zone,
    )


async def _move(tx: Tx, payout: Payout, step: str, *, debit: Account, credit: Account) -> None:
    id_ = TransferId(uuid5(payout.id, step))
    await ledger.transfer_many(tx, [Transfer(id_, debit, credit, payout.amount, f"payout-{step}", payout.id)])


def _sides(payout: Payout) -> tuple[ShopId | None, AccountId | None]:
    return (ShopId(payout.owner_id), None) if payout.is_shop else (None, AccountId(payout.owner_id))


def _payer(settings: Settings) -> Payer:
    if not settings.payout_payer_name or not settings.payout_payer_iban:
        raise PayerUnknown()
    return Payer(settings.payout_payer_name, settings.payout_payer_iban.replace(" ", ""), settings.payout_payer_bic)


async def _record(tx: Tx, actor: Actor, act: str, batch: Batch) -> None:
    amount = batch.amounts.get(PayoutState.drafted, 0)
    count = batch.counts.get(PayoutState.drafted, 0)
    await identity.record(
        tx, actor, act, subject=str(batch.id), payout_count=count, amount=amount, currency=batch.currency
    )
