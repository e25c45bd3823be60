"""Settling what is due: taken, divided, moved in the ledger and put on statements by one statement a batch.

Everything of a batch is reckoned in the database: no order is fetched, so the memory does not grow with their number.
A batch is a transaction; killed in the middle, nothing of it has happened. That nothing is settled twice follows from
the claim being deleted, and from the line's id, which is made of the order's. One settler at a time (an advisory lock);
whoever looks at orders meanwhile (`claims`) waits for the claim's row or finds it gone.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from laotie import ledger
from laotie.base.db import Database, Tx
from laotie.base.ids import ShopId, new_id
from laotie.events.settlement import SettlementBooked
from laotie.settlement.claims import Rules
from laotie.settlement.model import day_of

BATCH_SIZE_MAX = 20_000
SETTLE_LOCK = 0x5E771E
WORK_MEMORY_MB = 96


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run has come: after which claim it goes on, and how much it has done."""

    claims: int = 0
    due_at: datetime | None = None
    order_id: UUID | None = None


async def settle_due(db: Database, rules: Rules, *, size: int = BATCH_SIZE_MAX) -> int:
    """Settle everything that is due, batch by batch, each its own transaction; returns how many claims."""
    progress = Progress()
    while True:
        async with db.tx() as tx:
            further = await settle_batch(tx, rules, progress, size=size)
        if further.claims - progress.claims < size:
            return further.claims
        progress = further


async def settle_batch(tx: Tx, rules: Rules, progress: Progress, *, size: int = BATCH_SIZE_MAX) -> Progress:
    """Settle at most `size` claims that are due, in the order of their time. Tells `SettlementBooked`, one a shop."""
    if not await tx.one(bool, "SELECT pg_try_advisory_xact_lock(%(key)s)", key=SETTLE_LOCK):
        return progress
    await tx.run("SELECT set_config('work_mem', %(memory)s, true)", memory=f"{WORK_MEMORY_MB}MB")
    told = await ledger.transfer_from(
        tx,
        """
        WITH taken AS (
            DELETE FROM settlement.due WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM settlement.due
                WHERE due_at <= %(now)s AND NOT paused
                  AND (%(order_id)s::uuid IS NULL OR (due_at, order_id) >= (%(due_at)s, %(order_id)s))
                ORDER BY due_at, order_id LIMIT %(size)s
            ))
            RETURNING order_id, no, shop_id, streamer_id, currency, goods_amount, shipping_amount, subsidy_amount,
                      platform_bps, payment_bps, streamer_bps, due_at,
                      -- A rate's part, rounded down (`model.split`); in two steps, since bps x amount may pass 2^63.
                      (goods_amount + subsidy_amount) / 10000 * platform_bps
                      + (goods_amount + subsidy_amount) %% 10000 * platform_bps / 10000 AS platform_amount,
                      (goods_amount + shipping_amount) / 10000 * payment_bps
                      + (goods_amount + shipping_amount) %% 10000 * payment_bps / 10000 AS payment_amount,
                      (goods_amount + subsidy_amount) / 10000 * streamer_bps
                      + (goods_amount + subsidy_amount) %% 10000 * streamer_bps / 10000 AS streamer_amount
        ), line AS (
            -- Ids are made of the order's (RFC 9562, 5.8: version 8): slot 0 is the line, 1 to 4 are its transfers.
            INSERT INTO settlement.line (id, kind, shop_id, streamer_id, order_id, no, currency, goods_amount,
                shipping_amount, subsidy_amount, platform_bps, payment_bps, streamer_bps, platform_amount,
                payment_amount, streamer_amount, net_amount, booked_on, booked_at, subject_id)
            SELECT encode(set_byte(set_byte(uuid_send(order_id), 6, 128), 7, no), 'hex')::uuid, 'sale', shop_id,
                   streamer_id, order_id, no, currency, goods_amount, shipping_amount, subsidy_amount, platform_bps,
                   payment_bps, streamer_bps, platform_amount, payment_amount, streamer_amount,
                   goods_amount + shipping_amount + subsidy_amount - platform_amount - payment_amount
                   - streamer_amount, %(day)s, %(now)s, order_id
            FROM taken
            RETURNING id, shop_id, streamer_id, order_id, no, currency, platform_amount, payment_amount,
                      streamer_amount, net_amount
        ), leg AS (
            SELECT encode(set_byte(uuid_send(line.id), 6, 128 + part.slot), 'hex')::uuid AS id,
                   shop.held_id AS debit_id, part.credit_id, part.amount, line.currency, 'settled' AS reason,
                   line.id AS subject_id
            FROM line
            JOIN settlement.party AS shop ON shop.owner_id = line.shop_id AND shop.currency = line.currency
            LEFT JOIN settlement.party AS streamer
              ON streamer.owner_id = line.streamer_id AND streamer.currency = line.currency
            JOIN unnest(%(currencies)s::text[], %(commissions)s::uuid[], %(fees)s::uuid[])
              AS house (currency, commission_id, fee_id) ON house.currency = line.currency
            CROSS JOIN LATERAL (VALUES
                (1, shop.payable_id, line.net_amount),
                (2, house.commission_id, line.platform_amount),
                (3, house.fee_id, line.payment_amount),
                (4, streamer.payable_id, line.streamer_amount)
            ) AS part (slot, credit_id, amount)
            WHERE part.amount > 0
        )
        """,
        """
        SELECT shop_id, currency, count(*), sum(net_amount)::bigint, NULL::timestamptz, NULL::uuid
        FROM line GROUP BY 1, 2
        UNION ALL
        (SELECT NULL, NULL, count(*) OVER (), 0, due_at, order_id FROM taken ORDER BY due_at DESC, order_id DESC LIMIT 1)
        """,
        **await _house_accounts(tx),
        now=tx.now,
        day=day_of(tx.now, rules.zone),
        due_at=progress.due_at,
        order_id=progress.order_id,
        size=size,
    )
    if not told:
        return progress
    batch_id = new_id()
    *shops, (_, _, count, _, due_at, order_id) = sorted(told, key=lambda row: row[0] is None)
    for shop_id, currency, orders, net, _, _ in shops:
        tx.tell(
            SettlementBooked(
                batch_id=batch_id,
                shop_id=ShopId(shop_id),
                currency=currency,
                order_count=orders,
                net_amount=net,
                booked_at=tx.now,
            )
        )
    return Progress(claims=progress.claims + count, due_at=due_at, order_id=order_id)


async def _house_accounts(tx: Tx) -> dict[str, list[object]]:
    """The platform's accounts in every currency that anything is due in."""
    currencies = sorted(await tx.all(str, "SELECT DISTINCT currency FROM settlement.party"))
    return {
        "currencies": list(currencies),
        "commissions": [ledger.Account(ledger.AccountKind.commission, one).id for one in currencies],
        "fees": [ledger.Account(ledger.AccountKind.payment_fee, one).id for one in currencies],
    }
