"""Batches of payouts and what is in them, for screens and for those who move them."""

from uuid import UUID

from laotie.base.db import Tx
from laotie.base.refusals import NotFound
from laotie.identity import Actor
from laotie.settlement.accounts import require_owner
from laotie.settlement.payout_model import Batch, BatchId, Owner, Payout, PayoutId


async def find_batch(tx: Tx, batch_id: BatchId, *, lock: bool = False) -> Batch | None:
    """A batch with its sums, if there is one."""
    if lock:
        await tx.run("SELECT FROM settlement.payout_batch WHERE id = %(id)s FOR UPDATE", id=batch_id)
    return await tx.maybe(Batch, "SELECT * FROM settlement.payout_batch_shown WHERE id = %(id)s", id=batch_id)


async def get_batch(tx: Tx, batch_id: BatchId) -> Batch:
    """A batch with its sums, or `NotFound`. Asks for no right."""
    batch = await find_batch(tx, batch_id)
    if batch is None:
        raise NotFound()
    return batch


async def hold_batch(tx: Tx, batch_id: BatchId) -> Batch:
    """A batch with its row locked, or `NotFound`."""
    batch = await find_batch(tx, batch_id, lock=True)
    if batch is None:
        raise NotFound()
    return batch


async def list_batches(tx: Tx, actor: Actor, *, after: BatchId | None = None, limit: int) -> list[Batch]:
    """Batches, the latest first. For operators."""
    actor.require_operator()
    return await tx.all(
        Batch,
        """
        SELECT * FROM settlement.payout_batch_shown
        WHERE %(after)s::uuid IS NULL
           OR (drafted_at, id) < (SELECT drafted_at, id FROM settlement.payout_batch WHERE id = %(after)s)
        ORDER BY drafted_at DESC, id DESC LIMIT %(limit)s
        """,
        after=after,
        limit=limit,
    )


async def find_payout(tx: Tx, id_: PayoutId) -> Payout | None:
    """A payout, if there is one."""
    return await tx.maybe(Payout, "SELECT * FROM settlement.payout_shown WHERE id = %(id)s", id=id_)


async def get_payout(tx: Tx, id_: PayoutId) -> Payout:
    """A payout, or `NotFound`. Asks for no right."""
    payout = await find_payout(tx, id_)
    if payout is None:
        raise NotFound()
    return payout


async def list_in_batch(tx: Tx, actor: Actor, batch_id: BatchId, *, after: UUID | None = None, limit: int) -> list[Payout]:
    """What is in a batch, by owner, continued after an owner. For operators."""
    actor.require_operator()
    await get_batch(tx, batch_id)
    return await tx.all(
        Payout,
        """
        SELECT * FROM settlement.payout_shown
        WHERE batch_id = %(batch_id)s AND (%(after)s::uuid IS NULL OR owner_id > %(after)s)
        ORDER BY owner_id LIMIT %(limit)s
        """,
        batch_id=batch_id,
        after=after,
        limit=limit,
    )


async def list_of_owner(
    tx: Tx, actor: Actor, owner: Owner, *, after: PayoutId | None = None, limit: int
) -> list[Payout]:
    """An owner's payouts that went out or are going to, the latest first."""
    await require_owner(tx, actor, owner)
    return await tx.all(
        Payout,
        """
        SELECT * FROM settlement.payout_shown
        WHERE owner_id = %(owner_id)s AND (%(after)s::uuid IS NULL
           OR (drafted_at, id) < (SELECT drafted_at, id FROM settlement.payout WHERE id = %(after)s))
        ORDER BY drafted_at DESC, id DESC LIMIT %(limit)s
        """,
        owner_id=owner.id,
        after=after,
        limit=limit,
    )
