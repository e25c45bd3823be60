"""An activity's row: read, held, and moved on. Every move raises the version and is told."""

import hashlib
from uuid import UUID

import msgspec

from laotie import ledger
from laotie.base.db import Tx
from laotie.base.ids import TransferId, new_id
from laotie.base.refusals import NotFound
from laotie.events.fun import ActivityChanged
from laotie.fun.draw import FORMAT, Rules
from laotie.fun.model import ActivityId, Held, Kind, State


async def hold(tx: Tx, activity_id: ActivityId) -> Held:
    """Lock an activity, or `NotFound`."""
    held = (await hold_many(tx, [activity_id])).get(activity_id)
    if held is None:
        raise NotFound()
    return held


async def hold_many(tx: Tx, activity_ids: list[ActivityId]) -> dict[ActivityId, Held]:
    """Lock those that exist, by id."""
    found = await tx.all(
        Held,
        """
        SELECT id, kind, state, show_id, shop_id, host_id, maker_id, rival_show_id, rival_host_id, title, plan,
               followers_only, follow_minutes, duration_s, digest, version, funder_id, currency, amount, funded_at,
               paid_amount, returned_amount, seed, rules, commitment, head, entry_count, left_count, counts, created_at,
               opens_at, closes_at, closed_at, settled_at
        FROM fun.activity WHERE id = ANY(%(ids)s) ORDER BY id FOR UPDATE
        """,
        ids=activity_ids,
    )
    return {held.id: held for held in found}


async def find_many(tx: Tx, activity_ids: list[ActivityId]) -> list[Held]:
    """Those that exist, in the order asked."""
    return await tx.all(
        Held,
        """
        SELECT id, kind, state, show_id, shop_id, host_id, maker_id, rival_show_id, rival_host_id, title, plan,
               followers_only, follow_minutes, duration_s, digest, version, funder_id, currency, amount, funded_at,
               paid_amount, returned_amount, seed, rules, commitment, head, entry_count, left_count, counts, created_at,
               opens_at, closes_at, closed_at, settled_at
        FROM fun.activity JOIN unnest(%(ids)s::uuid[]) WITH ORDINALITY AS asked (asked_id, number) ON id = asked_id
        ORDER BY number
        """,
        ids=activity_ids,
    )


def tell(tx: Tx, held: Held, *, state: State | None = None, version: int | None = None) -> None:
    """Tell that an activity changed; an invitation concerns the rival's people, not the rival's room."""
    shows = [held.show_id]
    if held.rival_show_id is not None:
        shows.append(held.rival_show_id)
    tx.tell(
        ActivityChanged(
            activity_id=held.id,
            show_ids=tuple(shows),
            state=state or held.state,
            version=version or held.version + 1,
        )
    )


async def move(tx: Tx, held: Held, state: State, *, due_in_s: float | None = None) -> None:
    """Let a held activity go to a state, with its next deadline so many seconds from now."""
    await tx.run(
        """
        UPDATE fun.activity
        SET state = %(state)s, version = version + 1,
            due_at = %(now)s::timestamptz + make_interval(secs => %(due_in_s)s),
            closed_at = CASE WHEN %(state)s = 'closed' THEN %(now)s ELSE closed_at END,
            settled_at = CASE WHEN %(state)s IN ('settled', 'cancelled') THEN %(now)s ELSE settled_at END
        WHERE id = %(id)s
        """,
        id=held.id,
        state=state,
        due_in_s=due_in_s,
        now=tx.now,
    )
    tell(tx, held, state=state)


def escrow_of(activity_id: ActivityId, currency: str) -> ledger.Account:
    """Where an activity's money lies."""
    return ledger.Account(ledger.AccountKind.escrow, currency, activity_id)


def wallet_of(owner_id: UUID, currency: str) -> ledger.Account:
    """What somebody has with us."""
    return ledger.Account(ledger.AccountKind.wallet, currency, owner_id)


def payout(held: Held, owner_id: UUID, amount: int, reason: str) -> ledger.Transfer:
    """Out of an activity's escrow into a wallet."""
    return ledger.Transfer(
        TransferId(new_id()),
        debit=escrow_of(held.id, held.currency),
        credit=wallet_of(owner_id, held.currency),
        amount=amount,
        reason=f"wallet.{reason}",
        subject_id=held.id,
    )


async def return_rest(tx: Tx, held: Held, *, paid: int) -> None:
    """Give the funder back what nobody got, once: the row says how much went where, and is ours.

    `paid` is what is given out in this transaction, beyond `held.paid_amount`.
    """
    if held.funded_at is None:
        return
    rest = held.amount - held.paid_amount - held.returned_amount - paid
    assert rest >= 0 and held.funder_id is not None
    await tx.run(
        """
        UPDATE fun.activity SET paid_amount = paid_amount + %(paid)s, returned_amount = returned_amount + %(rest)s
        WHERE id = %(id)s
        """,
        id=held.id,
        paid=paid,
        rest=rest,
    )
    if rest:
        await ledger.transfer_many(tx, [payout(held, held.funder_id, rest, "escrow-back")])


def rules_of(held: Held, *, opens_ms: int, closes_ms: int) -> Rules:
    """What is committed to."""
    plan = held.plan
    return Rules(
        format=FORMAT,
        activity=held.id,
        kind=held.kind,
        opens_ms=opens_ms,
        closes_ms=closes_ms,
        currency=held.currency,
        amount=held.amount,
        split=plan.split or "",
        count=plan.count,
        prizes=plan.prizes,
        options=plan.options,
        price=plan.price if held.kind is Kind.bargain else 0,
        floor=plan.floor,
        helpers=plan.helpers,
    )


def digest_of(draft: msgspec.Struct) -> bytes:
    """What makes two drafts the same."""
    return hashlib.blake2b(msgspec.msgpack.encode(draft), digest_size=16).digest()
