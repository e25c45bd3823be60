"""A process that moves a batch of payouts, one payout a transaction, until it is done or killed.

    python -m tests.races.payer URL draft|send|results|discard BATCH OPERATOR
"""

import asyncio
import sys
from uuid import UUID

from laotie import settlement
from laotie.base.db import Database
from laotie.base.ids import AccountId, ViewerId
from laotie.base.settings import Settings
from laotie.identity import Actor, Role
from laotie.settlement import BatchId, PayoutState, ResultRow

RETURNED_EVERY = 3


async def main(url: str, act: str, batch: str, operator: str) -> None:
    for module in (settlement.drafting, settlement.payouts):
        module.CHUNK = 1  # type: ignore[attr-defined]
    settings, batch_id, account_id = Settings(), BatchId(UUID(batch)), AccountId(UUID(operator))
    actor = Actor(
        viewer_id=ViewerId(account_id), account_id=account_id, seat_holder_id=account_id, roles=frozenset({Role.operator})
    )
    db = await Database.open(url, pool_max=2)
    try:
        if act == "draft":
            await settlement.drafting.draft_batch(db, actor, settings, batch_id, channel="cn", currency="CNY")
        elif act == "send":
            await settlement.payouts.send_batch(db, actor, settings, batch_id)
        elif act == "discard":
            await settlement.payouts.discard_batch(db, actor, settings, batch_id)
        else:
            rows = await results(db, actor, batch_id)
            await settlement.payouts.bring_results(db, actor, settings, batch_id, rows, digest="of the bank's file")
    finally:
        await db.close()


async def results(db: Database, actor: Actor, batch_id: BatchId) -> list[ResultRow]:
    """What the bank says: every third comes back."""
    async with db.read() as tx:
        found = await settlement.batches.list_in_batch(tx, actor, batch_id, limit=1_000)
    return [
        ResultRow(
            line_no=no,
            reference=one.id.hex,
            payout_id=one.id,
            outcome=PayoutState.paid if no % RETURNED_EVERY else PayoutState.returned,
            amount=one.amount,
            reason="退汇",
            bank_reference=None,
        )
        for no, one in enumerate(found)
    ]


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5]))
