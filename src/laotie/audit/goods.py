"""Promises about goods: stock, waves, parcels, teams, reviews, and what shows and shops are told they sold."""

from datetime import timedelta
from uuid import UUID

from laotie import aftersales, catalog, live, offers, orders
from laotie.audit.model import Look, Seen, Wrong, forgotten, wrong_of
from laotie.base.ids import OrderId, SkuId
from laotie.orders.model import LATER_STATES, OrderState

GRACE = timedelta(minutes=15)
"""What time brings is done by then, or it has been forgotten."""
SEATS_AT_ONCE = 1_000


async def check_stock(look: Look) -> Seen:
    """Every SKU against its movements."""
    if look.touched is not None:
        skus = sorted(SkuId(one) for one in look.touched.skus)
        return Seen(len(skus), _stock_wrong(await catalog.evidence.list_stock_off(look.tx, skus) if skus else []))
    tally = await catalog.tally(look.tx)
    facts = {
        "received": tally.received,
        "available": tally.available,
        "aside": tally.aside,
        "reserved": tally.reserved,
        "sold": tally.sold,
        "movements": tally.movement_count,
    }
    return Seen(tally.sku_count, _stock_wrong(tally.differences), facts)


def _stock_wrong(found: list[catalog.evidence.Difference]) -> list[Wrong]:
    return [
        Wrong(
            str(one.sku_id),
            f"{one.available_moved} {one.aside_moved} {one.reserved_moved} {one.sold_moved} of {one.received_moved}",
            f"{one.available} {one.aside} {one.reserved} {one.sold} of {one.received}",
        )
        for one in found
    ]


async def check_asides(look: Look) -> Seen:
    """What is set aside against its movements."""
    asides = await catalog.evidence.list_asides(look.tx)
    off = await catalog.evidence.list_asides_off(look.tx)
    return Seen(
        len(asides),
        [Wrong(f"{one.sku_id} {one.aside_id or 'all'}", str(one.remaining_moved), str(one.remaining)) for one in off],
    )


async def check_waves(look: Look) -> Seen:
    """Waves against what is set aside for them."""
    waves, asides = await live.evidence.list_waves(look.tx), await catalog.evidence.list_asides(look.tx)
    wrong = [
        Wrong(str(wave_id), "its pieces are back on the shelf" if over else "its pieces are set aside", "they are not")
        for wave_id, over in sorted(waves.items())
        if (wave_id in asides or not over) and asides.get(wave_id) is not over
    ]
    wrong += forgotten(sorted(asides.keys() - waves.keys()), "a wave that the pieces are set aside for", "none")
    overdue = await live.evidence.list_waves_overdue(look.tx, look.tx.now - GRACE)
    return Seen(len(waves), wrong + forgotten(overdue, "ended in time", "still open"))


async def check_parcels(look: Look) -> Seen:
    """Pieces sent against pieces in parcels."""
    ids = None if look.touched is None else sorted(look.touched.orders)
    rows = await orders.evidence.count_parcels(look.tx) if ids is None else len(ids)
    return Seen(rows, wrong_of(await orders.evidence.list_parcels_off(look.tx, ids)))


async def check_teams(look: Look) -> Seen:
    """Teams against their seats, seats against the orders they were taken with, deadlines against the time."""
    wrong = wrong_of(await offers.evidence.list_teams_off(look.tx, look.tx.now - GRACE))
    after: OrderId | None = None
    while seats := await offers.evidence.list_seated(look.tx, after=after, limit=SEATS_AT_ONCE):
        after = seats[-1][0]
        states = await orders.evidence.find_states(look.tx, [order_id for order_id, _ in seats])
        for order_id, seat in seats:
            state = states.get(order_id)
            if state not in ((OrderState.placed,) if seat == "held" else LATER_STATES):
                wrong.append(Wrong(str(order_id), f"an order that a seat is {seat} with", state or "no order"))
    return Seen(await offers.evidence.count_teams(look.tx), wrong)


async def check_reviews(look: Look) -> Seen:
    """Sums of products and shops against their shown reviews."""
    off = await aftersales.evidence.list_reviews_off(look.tx)
    return Seen(await aftersales.evidence.count_reviews(look.tx), wrong_of(off))


async def check_shows(look: Look) -> Seen:
    """What shows are told they sold against the orders."""
    off = await orders.evidence.list_shows_off(look.tx)
    return Seen(await orders.evidence.count_shows(look.tx), wrong_of(off))


async def check_lists(look: Look) -> Seen:
    """Shops' lists against the orders."""
    ids = None if look.touched is None else sorted(look.touched.orders)
    off = await orders.evidence.list_feed_off(look.tx, ids)
    return Seen(await count_orders(look, ids), forgotten(off, "listed in its state"))


async def check_invoices(look: Look) -> Seen:
    """The numbers of shops' invoices."""
    off = await orders.evidence.list_numbers_off(look.tx)
    return Seen(await orders.evidence.count_invoices(look.tx), wrong_of(off))


async def check_claims(look: Look) -> Seen:
    """No piece is claimed twice or after it was given back, no case gave more than its order did."""
    tally = await aftersales.tally(look.tx)
    order_ids = sorted({one.order_id for one in tally.claimed} | tally.given.keys())
    off: dict[str, tuple[int, int]] = {}
    for start in range(0, len(order_ids), SEATS_AT_ONCE // 2):
        found = await orders.find_orders(look.tx, order_ids[start : start + SEATS_AT_ONCE // 2])
        left = {
            (order.id, line.no): line.quantity - line.refunded_quantity
            for order in found.values()
            for line in order.lines
        }
        for one in tally.claimed:
            if one.order_id in found and one.pieces > left[one.order_id, one.no]:
                off[f"{one.order_id} {one.no}"] = (left[one.order_id, one.no], one.pieces)
        for order_id, order in found.items():
            if tally.given.get(order_id, 0) > order.refunded_amount:
                off[str(order_id)] = (order.refunded_amount, tally.given[order_id])
    wrong = [Wrong(subject, f"at most {most}", str(there)) for subject, (most, there) in sorted(off.items())]
    return Seen(len(order_ids), wrong, {"open": tally.open})


async def check_cases(look: Look) -> Seen:
    """Each case stands where its log says, and no term is over without consequence."""
    tally = await aftersales.tally(look.tx)
    return Seen(
        tally.cases,
        forgotten(tally.log_off, "where its log ends") + forgotten(tally.overdue, "decided by its term"),
    )


async def count_orders(look: Look, ids: list[UUID] | None) -> int:
    """How many orders are looked at."""
    if ids is not None:
        return len(ids)
    return sum((await orders.evidence.count_states(look.tx)).values())
