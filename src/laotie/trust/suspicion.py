"""Signals of abuse: claims of a buyer that look unlike others'. Told as facts, once a month and signal; nobody is punished.

How much somebody buys is known above (`orders` says how to count it), so a share of orders is looked at when it can be.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from laotie.base.db import Tx
from laotie.base.ids import AccountId
from laotie.events.trust import GuaranteeAbuseSuspected
from laotie.trust.model import month_of

WINDOW = timedelta(days=30)
CLAIMS_MANY = 6
CLAIMS_ALIKE = 4
CLAIMS_FOR_SHARE = 3
SHARE_BPS = 5_000

OrderCounter = Callable[[Tx, AccountId, datetime], Awaitable[int]]
_order_counter: OrderCounter | None = None


def count_orders_with(counter: OrderCounter) -> None:
    """Have the orders that a buyer paid since an instant counted by whoever knows them."""
    global _order_counter
    _order_counter = counter


class _Claims(msgspec.Struct, frozen=True):
    claims: int
    orders_claimed: int
    kinds: list[str]
    shops: int


async def look_at_claims(tx: Tx, buyer_id: AccountId) -> None:
    """Tell what stands out about a buyer's claims of the last 30 days."""
    since = tx.now - WINDOW
    claims = await tx.one(
        _Claims,
        """
        SELECT count(*) AS claims, count(DISTINCT order_id) AS orders_claimed, count(DISTINCT shop_id) AS shops,
               array_agg(DISTINCT kind ORDER BY kind) AS kinds
        FROM trust.payout WHERE buyer_id = %(buyer_id)s AND made_at > %(since)s
        """,
        buyer_id=buyer_id,
        since=since,
    )
    if claims.claims < CLAIMS_FOR_SHARE:
        return
    facts: dict[str, Any] = {"window_days": WINDOW.days, **msgspec.to_builtins(claims)}
    signals = {
        "many-claims": claims.claims >= CLAIMS_MANY,
        "always-the-same": claims.claims >= CLAIMS_ALIKE and len(claims.kinds) == 1,
    }
    if _order_counter is not None:
        facts["orders"] = max(await _order_counter(tx, buyer_id, since), claims.orders_claimed)
        signals["share-of-orders"] = claims.orders_claimed * 10_000 >= facts["orders"] * SHARE_BPS
    for signal, stands_out in signals.items():
        if stands_out:
            await _tell(tx, buyer_id, signal, facts)


async def _tell(tx: Tx, buyer_id: AccountId, signal: str, facts: dict[str, Any]) -> None:
    fresh = await tx.run(
        """
        INSERT INTO trust.suspicion (buyer_id, month_on, signal, facts, told_at)
        VALUES (%(buyer_id)s, %(month_on)s, %(signal)s, %(facts)s, %(now)s) ON CONFLICT DO NOTHING
        """,
        buyer_id=buyer_id,
        month_on=month_of(tx.now),
        signal=signal,
        facts=Jsonb(facts),
        now=tx.now,
    )
    if fresh:
        tx.tell(GuaranteeAbuseSuspected(buyer_id=buyer_id, signal=signal, facts=facts, suspected_at=tx.now))
