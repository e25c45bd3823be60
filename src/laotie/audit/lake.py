"""The promises that the lake's money is the ledger's, and that it keeps up: what dashboards and settlements of figures rest on."""

import asyncio
from datetime import UTC, date, datetime, timedelta

from laotie import ledger
from laotie.audit.model import Look, Seen, Wrong, differences
from laotie.base.logs import log
from laotie.lake import facts, holders, sums
from laotie.lake.facts import MoneyKind
from laotie.lake.watermark import find_oldest_fact

LAG = timedelta(minutes=2)
"""No transaction of ours lives that long, so what is older is in the snapshot if it is anywhere."""
BEHIND_S = 900
HELD = (MoneyKind.placed, MoneyKind.repriced, MoneyKind.cancelled)


async def check_money(look: Look) -> Seen:
    """Sums by day, currency and what it was; narrowly, of the days since something changed.

    Without a lake, or where it is behind, there is nothing to compare: that is said, and is no finding.
    """
    lake = look.lake
    if lake is None:
        return Seen(0, [], {"lake_absent": 1}, is_blind=True)
    since = (await facts.list_complete(look.tx))["money"]
    if look.touched is not None:
        day = lake.day_of(facts.microseconds(look.touched.since))
        since = max(since, datetime.fromtimestamp(lake.bounds_of(day)[0] / 1_000_000, UTC))
    oldest = await find_oldest_fact(look.tx)
    until = look.tx.now - LAG if oldest is None else min(look.tx.now - LAG, oldest)
    said = {"lake_behind_s": behind} if (behind := int((look.tx.now - until).total_seconds())) > BEHIND_S else {}
    if until <= since:
        return Seen(0, [], said, is_blind=True)
    books = await ledger.evidence.sum_days(look.tx, since, until, zone=lake.zone.key)
    try:
        told = await asyncio.to_thread(sums.sum_money, lake, since, until)
    except Exception as error:  # whatever a store fails with: no books are wrong because a disk is away
        log.warning("the lake cannot be read", error=repr(error)[:300])
        return Seen(0, [], said | {"lake_unreadable": 1}, is_blind=True)
    if told is None:
        return Seen(0, [], said | {"lake_absent": int(bool(books))}, is_blind=True)
    return Seen(len(books), differences(_words(books), _words(_as_booked(told))), said)


async def check_current(look: Look) -> Seen:
    """Nothing keeps the watermark back for longer than `lake_behind_s_max`: figures that wait for it would wait for ever."""
    if look.lake is None:
        return Seen(0, [], {"lake_absent": 1}, is_blind=True)
    by_the_wall = await look.tx.one(datetime, "SELECT now()")  # nobody moves the database's clock
    late = timedelta(seconds=look.lake.behind_s_max)
    held = await holders.list_holders(look.tx)
    wrong = [
        Wrong(f"{one.kind} {one.name}", f"in the lake within {late}", f"since {one.since:%Y-%m-%d %H:%M}: {holders.advise(one)}")
        for one in held
        if one.since < by_the_wall - late
    ]
    return Seen(len(held), wrong)


def _as_booked(told: sums.Sums) -> dict[tuple[date, str, str], int]:
    booked: dict[tuple[date, str, str], int] = {}
    for (day, currency, kind), amount in told.items():
        key = (day, currency, "held" if kind in HELD else kind.value)
        booked[key] = booked.get(key, 0) + amount
    return booked


def _words(booked: dict[tuple[date, str, str], int]) -> dict[str, int]:
    return {f"{day} {currency} {what}": amount for (day, currency, what), amount in booked.items()}
