"""Settling what is due: taken, divided, moved in the ledger and put on statements by one statement a batch.

Everything of a batch is reckoned in the database: no order is fetched, so the memory does not grow with their number.
A batch is a transaction; killed in the middle, nothing of it has happened. That nothing is settled twice follows from
the claim being deleted, and from the line's id, which is made of the order's. Orders go in `LANES` lanes by their ids, side by
side, one settler in a lane at a time (an advisory lock);
whoever looks at orders meanwhile (`claims`) waits for the claim's row or finds it gone.
"""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from laotie import ledger
from laotie.base.db import Database, Tx
from laotie.base.ids import ShopId, new_id
from laotie.base.money import EXPONENTS
from laotie.events.settlement import SettlementBooked
from laotie.settlement.claims import Rules
from laotie.settlement.model import day_of

BATCH_SIZE_MAX = 10_000
LANES = 2
SETTLE_LOCK = 0x5E771E
WORK_MEMORY_MB = 96


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run has come in its lane: after which claim it goes on, and how much it has done."""

    lane: int
    claims: int = 0
    due_at: datetime = datetime.min.replace(tzinfo=UTC)
    order_id: UUID = UUID(int=0)


async def settle_due(db: Database, rules: Rules, *, size: int = BATCH_SIZE_MAX) -> int:
    """Settle everything that is due, batch by batch, each its own transaction; returns how many claims."""
    return sum(await asyncio.gather(*(_settle_lane(db, rules, lane, size) for lane in range(LANES))))


async def _settle_lane(db: Database, rules: Rules, lane: int, size: int) -> int:
    progress = Progress(lane=lane)
    while True:
        async with db.tx() as tx:
            further = await settle_batch(tx, rules, progress, size=size)
        if further.claims - progress.claims < size:
            return further.claims
        progress = further


async def settle_batch(tx: Tx, rules: Rules, progress: Progress, *, size: int = BATCH_SIZE_MAX) -> Progress:
    """Settle at most `size` claims of a lane that are due, in the order of their time.

    Tells `SettlementBooked`, one a shop. Does nothing while somebody else settles in this lane.
    """
    if not await tx.one(
        bool, "SELECT pg_try_advisory_xact_lock(%(key)s, %(lane)s)", key=SETTLE_LOCK, lane=progress.lane
    ):
        return progress
    await tx.run("SELECT set_config('work_mem', %(memory)s, true)", memory=f"{WORK_MEMORY_MB}MB")
    told = await ledger.transfer_from(
        tx,
        """
        WITH taken AS (
            DELETE FROM settlement.due WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM settlement.due
                WHERE due_at <= %(now)s AND NOT paused AND get_byte(uuid_send(order_id), 15) %% %(lanes)s = %(lane)s
                  AND (due_at, order_id) >= (%(due_at)s, %(order_id)s)
                ORDER BY due_at, order_id LIMIT %(size)s
            ))
            -- A rate's part, rounded down (`model.split`); in two steps, since bps x amount may pass 2^63. Ids are made of
            -- the order's (RFC 9562, 5.8: version 8): slot 0 is the line, 1 to 4 are its transfers.
            RETURNING order_id, no, shop_id, streamer_id, currency, goods_amount, shipping_amount, subsidy_amount,
                      platform_bps, payment_bps, streamer_bps, due_at, held_id, payable_id, streamer_payable_id,
                      set_byte(uuid_send(order_id), 7, no) AS key,
                      encode(set_byte(set_byte(uuid_send(order_id), 7, no), 6, 128), 'hex')::uuid AS id,
                      (goods_amount + subsidy_amount) / 10000 * platform_bps
                      + (goods_amount + subsidy_amount) %% 10000 * platform_bps / 10000 AS platform_amount,
                      (goods_amount + shipping_amount) / 10000 * payment_bps
                      + (goods_amount + shipping_amount) %% 10000 * payment_bps / 10000 AS payment_amount,
                      (goods_amount + subsidy_amount) / 10000 * streamer_bps
                      + (goods_amount + subsidy_amount) %% 10000 * streamer_bps / 10000 AS streamer_amount
        ), line AS (
            INSERT INTO settlement.line (id, kind, shop_id, streamer_id, order_id, no, currency, goods_amount,
                shipping_amount, subsidy_amount, platform_bps, payment_bps, streamer_bps, platform_amount,
                payment_amount, streamer_amount, net_amount, booked_on, booked_at, subject_id)
            SELECT id, 'sale', shop_id, streamer_id, order_id, no, currency, goods_amount, shipping_amount,
                   subsidy_amount, platform_bps, payment_bps, streamer_bps, platform_amount, payment_amount,
                   streamer_amount,
                   goods_amount + shipping_amount + subsidy_amount - platform_amount - payment_amount - streamer_amount,
                   %(day)s, %(now)s, order_id
            FROM taken
        ), leg AS (
            SELECT encode(set_byte(key, 6, 128 + part.slot), 'hex')::uuid AS id, held_id AS debit_id, part.credit_id,
                   part.amount, taken.currency, 'settled' AS reason, taken.id AS subject_id
            FROM taken
            JOIN unnest(%(currencies)s::text[], %(commissions)s::uuid[], %(fees)s::uuid[])
              AS house (currency, commission_id, fee_id) ON house.currency = taken.currency
            CROSS JOIN LATERAL (VALUES
                (1, payable_id, goods_amount + shipping_amount + subsidy_amount
                                - platform_amount - payment_amount - streamer_amount),
                (2, house.commission_id, platform_amount),
                (3, house.fee_id, payment_amount),
                (4, streamer_payable_id, streamer_amount)
            ) AS part (slot, credit_id, amount)
            WHERE part.amount > 0
        )
        """,
        """
        SELECT shop_id, currency, count(*),
               sum(goods_amount + shipping_amount + subsidy_amount - platform_amount - payment_amount
                   - streamer_amount)::bigint, max(due_at), NULL::uuid
        FROM taken GROUP BY 1, 2
        UNION ALL
        (SELECT NULL, NULL, NULL, NULL, due_at, order_id FROM taken ORDER BY due_at DESC, order_id DESC LIMIT 1)
        """,
        **_house_accounts(),
        now=tx.now,
        day=day_of(tx.now, rules.zone),
        lane=progress.lane,
        lanes=LANES,
        due_at=progress.due_at,
        order_id=progress.order_id,
        size=size,
    )
    if not told:
        return progress
    batch_id = new_id()
    *shops, (_, _, _, _, due_at, order_id) = sorted(told, key=lambda row: row[0] is None)
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
    count = sum(orders for _, _, orders, _, _, _ in shops)
    return Progress(lane=progress.lane, claims=progress.claims + count, due_at=due_at, order_id=order_id)


def _house_accounts() -> dict[str, list[object]]:
    """The platform's accounts in every currency there is."""
    currencies = sorted(EXPONENTS)
    return {
        "currencies": list(currencies),
        "commissions": [ledger.Account(ledger.AccountKind.commission, one).id for one in currencies],
        "fees": [ledger.Account(ledger.AccountKind.payment_fee, one).id for one in currencies],
    }
