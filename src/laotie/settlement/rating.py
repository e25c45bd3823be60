"""Which rate counts: the most specific that had begun when the order was paid, among equals the one made last."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import AccountId, ShopId
from laotie.settlement.model import RateKind, Rates


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of who takes how much (ten-thousandths); without `bps` there is none so specific from `valid_from` on."""

    id: UUID
    kind: RateKind
    shop_id: ShopId | None
    category: str | None
    streamer_id: AccountId | None
    bps: int | None
    valid_from: datetime


class Asked(msgspec.Struct, frozen=True):
    """Whose rates are wanted, and for when."""

    shop_id: ShopId
    category: str
    streamer_id: AccountId | None
    at: datetime


async def read_rates(tx: Tx, shop_ids: Iterable[ShopId]) -> list[Rate]:
    """All rates that may count for orders of these shops."""
    return await tx.all(
        Rate,
        """
        SELECT id, kind, shop_id, category, streamer_id, bps, valid_from FROM settlement.rate
        WHERE shop_id IS NULL OR shop_id = ANY(%(shop_ids)s)
        """,
        shop_ids=list(set(shop_ids)),
    )


def choose(rates: Iterable[Rate], asked: Asked) -> Rates:
    """What counts for one part of an order. Pure. A streamer's rate is only asked for where there is a streamer."""
    chosen = {kind: rate.bps or 0 for kind, rate in pick(rates, asked).items()}
    return Rates(
        platform_bps=chosen.get(RateKind.platform, 0),
        payment_bps=chosen.get(RateKind.payment, 0),
        streamer_bps=chosen.get(RateKind.streamer, 0) if asked.streamer_id is not None else 0,
    )


def pick(rates: Iterable[Rate], asked: Asked) -> dict[RateKind, Rate]:
    """The rates themselves that count, of the kinds that have one. Pure.

    Specific before general: shop, then streamer, then category. Of the same, the one that began last, then the last made.
    """
    best: dict[RateKind, dict[tuple[bool, bool, bool], Rate]] = {}
    for rate in rates:
        if (
            rate.valid_from <= asked.at
            and rate.shop_id in (None, asked.shop_id)
            and rate.category in (None, asked.category)
            and rate.streamer_id in (None, asked.streamer_id)
        ):
            known = best.setdefault(rate.kind, {})
            key = (rate.shop_id is not None, rate.streamer_id is not None, rate.category is not None)
            if key not in known or (known[key].valid_from, known[key].id) < (rate.valid_from, rate.id):
                known[key] = rate
    return {
        kind: next(found[key] for key in sorted(found, reverse=True) if found[key].bps is not None)
        for kind, found in best.items()
        if any(rate.bps is not None for rate in found.values())
    }


async def find_delays(tx: Tx, shop_ids: Iterable[ShopId], *, default: timedelta) -> dict[ShopId, timedelta]:
    """How long after completion each shop's orders are settled, by the rules as they are now."""
    wanted = list(set(shop_ids))
    rows = await tx.tuples(
        """
        SELECT DISTINCT ON (shop_id) shop_id, delay_h FROM settlement.term
        WHERE valid_from <= %(now)s AND (shop_id IS NULL OR shop_id = ANY(%(shop_ids)s))
        ORDER BY shop_id, valid_from DESC, id DESC
        """,
        now=tx.now,
        shop_ids=wanted,
    )
    own = {shop_id: timedelta(hours=hours) for shop_id, hours in rows if hours is not None}  # none: it was ended
    return {shop_id: own.get(shop_id, own.get(None, default)) for shop_id in wanted}
