"""Rates and terms: who sets them, what they may be, and which would count.

Rows are only ever added: a rate that ends is a row without `bps`, so what counted at any instant stays written, with
who set it and why. The platform sets what it takes, what payments cost and when orders are settled; a shop sets what its
streamers get. Together they never take more than an order has: whoever would make that possible is refused.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType
from uuid import UUID

import msgspec

from laotie import catalog, identity, messages
from laotie.base.db import Tx
from laotie.base.ids import AccountId, ShopId, ViewerId
from laotie.base.money import percent
from laotie.base.refusals import Conflict, IdReused, Invalid
from laotie.identity import Actor, Scope
from laotie.settlement.model import BPS, RateKind, Rates
from laotie.settlement.rating import Asked, Rate, choose, find_delays, pick, read_rates

RateId = NewType("RateId", UUID)

NOTE_LENGTH_MAX = 500
CATEGORY_LENGTH_MAX = 60
AHEAD_MAX = timedelta(days=366)
PAGE_SIZE_MAX = 100
RATES_OF_SHOP_MAX = 200
"""Rates in force or planned that one shop may have of its own."""
SITUATIONS_MAX = 5_000
"""Most combinations of category, streamer and time looked at one by one; beyond it the highest rates decide."""
RATES_LOCK = 0x5E77A7E
NOBODY = UUID(int=0)
"""Stands for every shop or streamer that no rate names."""


class RateState(StrEnum):
    """Whether a rate counts now, will, or did. `ended`: the row that says so, from its instant on."""

    planned = "planned"
    in_force = "in_force"
    past = "past"
    ended = "ended"


class NewRate(msgspec.Struct, frozen=True, kw_only=True):
    """What to set. Without `bps`, what was set so specifically ends. Without `valid_from`: from now on."""

    id: RateId
    kind: RateKind
    shop_id: ShopId | None = None
    category: str | None = None
    streamer_id: AccountId | None = None
    bps: int | None
    valid_from: datetime | None = None
    note: str


class SetRate(msgspec.Struct, frozen=True, kw_only=True):
    """A rate as it was set, and whether it counts."""

    id: RateId
    kind: RateKind
    shop_id: ShopId | None
    category: str | None
    streamer_id: AccountId | None
    bps: int | None
    valid_from: datetime
    note: str
    made_by: AccountId | None
    made_at: datetime
    state: RateState


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What would be taken of an order paid at an instant, by which rates, and how long it would wait."""

    rates: Rates
    by: dict[RateKind, RateId]
    delay: timedelta


class RateRefused(Invalid, code="rate-refused"):
    """This rate cannot be set."""

    field: str
    reason: str


class RateInThePast(Invalid, code="rate-in-the-past"):
    """What is set counts from now on or later, never backwards."""

    now: datetime


class RatesTooHigh(Conflict, code="rates-too-high"):
    """Platform, payment and streamer together would take more than the whole."""

    shop_id: ShopId | None
    category: str | None
    streamer_id: AccountId | None
    at: datetime
    platform_bps: int
    payment_bps: int
    streamer_bps: int


class NothingToEnd(Conflict, code="nothing-to-end"):
    """There is no such rate or term in force or planned."""


class TooManyRates(Conflict, code="too-many-rates"):
    """The shop has too many rates of its own; end some first."""

    max: int


async def set_rate(tx: Tx, actor: Actor, wanted: NewRate) -> SetRate:
    """Set or end a rate. Operators set what the platform and payments take, a shop (scope `money`) what streamers get.

    The same id and content again is the same rate. A streamer who is named is told. Refuses `RateRefused`,
    `RateInThePast`, `RatesTooHigh`, `NothingToEnd`, `TooManyRates`, `IdReused`.
    """
    made_by = await _require_right(tx, actor, wanted)
    await _check(tx, wanted)
    await tx.run("SELECT pg_advisory_xact_lock(%(key)s)", key=RATES_LOCK)
    if (known := await _find(tx, wanted.id)) is not None:
        if not _is_same(known, wanted):
            raise IdReused()
        return known
    valid_from = read_start(wanted.valid_from, tx.now)
    await _insert(tx, wanted, valid_from, made_by)
    await _check_bounds(tx, wanted, valid_from)
    await identity.record(
        tx,
        actor,
        "rate.ended" if wanted.bps is None else "rate.set",
        subject=str(wanted.shop_id or wanted.id),
        rate=str(wanted.id),
        kind=wanted.kind,
        category=wanted.category,
        streamer=str(wanted.streamer_id) if wanted.streamer_id else None,
        bps=wanted.bps,
        valid_from=valid_from.isoformat(),
        note=wanted.note,
    )
    if wanted.streamer_id is not None:
        await _notify(tx, wanted)
    found = await _find(tx, wanted.id)
    assert found is not None
    return found


async def list_rates(
    tx: Tx,
    actor: Actor,
    *,
    kind: RateKind | None = None,
    shop_id: ShopId | None = None,
    all_time: bool = False,
    after: UUID | None = None,
    limit: int = PAGE_SIZE_MAX,
) -> list[SetRate]:
    """Rates for an operator, the last set first: those in force and planned, or all that ever were."""
    actor.require_operator()
    return await _list(tx, kind=kind, shop_id=shop_id, streamer_id=None, all_time=all_time, after=after, limit=limit)


async def list_shop_rates(
    tx: Tx,
    actor: Actor,
    shop_id: ShopId,
    *,
    all_time: bool = False,
    after: UUID | None = None,
    limit: int = PAGE_SIZE_MAX,
) -> list[SetRate]:
    """What a shop has agreed with its streamers, the last set first. Needs the scope `money`."""
    await identity.require_seat(tx, actor, shop_id, Scope.money)
    return await _list(
        tx, kind=RateKind.streamer, shop_id=shop_id, streamer_id=None, all_time=all_time, after=after, limit=limit
    )


async def list_own_rates(
    tx: Tx, actor: Actor, *, all_time: bool = False, after: UUID | None = None, limit: int = PAGE_SIZE_MAX
) -> list[SetRate]:
    """What shops have agreed with this streamer by name, the last set first."""
    return await _list(
        tx,
        kind=RateKind.streamer,
        shop_id=None,
        streamer_id=actor.signed_in(),
        all_time=all_time,
        after=after,
        limit=limit,
    )


async def preview_rates(
    tx: Tx,
    actor: Actor,
    shop_id: ShopId,
    *,
    category: str,
    streamer_id: AccountId | None,
    default_delay: timedelta,
    at: datetime | None = None,
) -> Preview:
    """What would be taken of an order of this shop paid now (or then). For operators, and for seats with `money`."""
    if identity.Role.operator in actor.roles:
        await catalog.get_shop(tx, shop_id)
    else:
        await identity.require_seat(tx, actor, shop_id, Scope.money)
    rates = await read_rates(tx, [shop_id])
    asked = Asked(shop_id, category, streamer_id, at or tx.now)
    delays = await find_delays(tx, [shop_id], default=default_delay)
    return Preview(
        rates=choose(rates, asked),
        by={
            kind: RateId(rate.id)
            for kind, rate in pick(rates, asked).items()
            if kind is not RateKind.streamer or streamer_id is not None
        },
        delay=delays[shop_id],
    )


async def _require_right(tx: Tx, actor: Actor, wanted: NewRate) -> AccountId:
    if wanted.kind is not RateKind.streamer:
        return actor.require_operator()
    if wanted.shop_id is None:
        raise RateRefused(field="shop_id", reason="needed")
    return (await identity.require_seat(tx, actor, wanted.shop_id, Scope.money)).account_id


async def _check(tx: Tx, wanted: NewRate) -> None:
    check_note(wanted.note)
    if wanted.bps is not None and not 0 <= wanted.bps <= BPS:
        raise RateRefused(field="bps", reason="out-of-range")
    if wanted.category is not None and not 1 <= len(wanted.category) <= CATEGORY_LENGTH_MAX:
        raise RateRefused(field="category", reason="length")
    if wanted.kind is not RateKind.streamer and wanted.streamer_id is not None:
        raise RateRefused(field="streamer_id", reason="not-of-this-kind")
    if wanted.streamer_id is not None and not await identity.find_profiles(tx, [wanted.streamer_id]):
        raise RateRefused(field="streamer_id", reason="unknown")
    if wanted.shop_id is not None and not await catalog.find_shops(tx, [wanted.shop_id]):
        raise RateRefused(field="shop_id", reason="unknown")


def check_note(note: str) -> None:
    """Why something is set has to be said, in a sentence or so."""
    if not 1 <= len(note.strip()) <= NOTE_LENGTH_MAX:
        raise RateRefused(field="note", reason="length")


def read_start(wanted: datetime | None, now: datetime) -> datetime:
    """From when on it is to count: now, or later, but not a year and more."""
    if wanted is None:
        return now
    if wanted < now:
        raise RateInThePast(now=now)
    if wanted > now + AHEAD_MAX:
        raise RateRefused(field="valid_from", reason="too-far")
    return wanted


def _is_same(known: SetRate, wanted: NewRate) -> bool:
    return (known.kind, known.shop_id, known.category, known.streamer_id, known.bps, known.note) == (
        wanted.kind, wanted.shop_id, wanted.category, wanted.streamer_id, wanted.bps, wanted.note
    ) and wanted.valid_from in (None, known.valid_from)  # fmt: skip


async def _insert(tx: Tx, wanted: NewRate, valid_from: datetime, made_by: AccountId) -> None:
    ended = await tx.run(
        """
        INSERT INTO settlement.rate (id, kind, shop_id, category, streamer_id, bps, valid_from, note, made_by, made_at)
        SELECT %(id)s, %(kind)s, %(shop_id)s::uuid, %(category)s::text, %(streamer_id)s::uuid, %(bps)s::integer,
               %(valid_from)s, %(note)s, %(made_by)s, %(now)s
        WHERE %(bps)s::integer IS NOT NULL OR (
            SELECT bps IS NOT NULL FROM settlement.rate
            WHERE kind = %(kind)s AND shop_id IS NOT DISTINCT FROM %(shop_id)s::uuid
              AND category IS NOT DISTINCT FROM %(category)s::text
              AND streamer_id IS NOT DISTINCT FROM %(streamer_id)s::uuid
            ORDER BY valid_from DESC, id DESC LIMIT 1)
        """,
        id=wanted.id,
        kind=wanted.kind,
        shop_id=wanted.shop_id,
        category=wanted.category,
        streamer_id=wanted.streamer_id,
        bps=wanted.bps,
        valid_from=valid_from,
        note=wanted.note,
        made_by=made_by,
        now=tx.now,
    )
    if not ended:
        raise NothingToEnd()


async def _check_bounds(tx: Tx, wanted: NewRate, since: datetime) -> None:
    """Refuse what would let the three kinds together take more than the whole, at any instant from `since` on."""
    shops = [wanted.shop_id] if wanted.shop_id is not None else await tx.all(
        ShopId, "SELECT DISTINCT shop_id FROM settlement.rate WHERE shop_id IS NOT NULL"
    )  # fmt: skip
    by_shop: dict[ShopId | None, list[Rate]] = {}
    for rate in _still_count(await read_rates(tx, shops), tx.now):
        by_shop.setdefault(rate.shop_id, []).append(rate)
    if wanted.shop_id is not None and len(by_shop.get(wanted.shop_id, [])) > RATES_OF_SHOP_MAX:
        raise TooManyRates(max=RATES_OF_SHOP_MAX)
    general = by_shop.get(None, [])
    for shop_id in [*shops, *([] if wanted.shop_id is not None else [ShopId(NOBODY)])]:
        clash = find_clash([*general, *by_shop.get(shop_id, [])], shop_id, since)
        if clash is not None:
            raise clash


def _still_count(rates: Iterable[Rate], now: datetime) -> list[Rate]:
    """Those in force at an instant or later: of each rule the last that has begun, and all that are planned."""
    begun: dict[tuple[object, ...], Rate] = {}
    planned = []
    for rate in rates:
        key = (rate.kind, rate.shop_id, rate.category, rate.streamer_id)
        if rate.valid_from > now:
            planned.append(rate)
        elif key not in begun or (begun[key].valid_from, begun[key].id) < (rate.valid_from, rate.id):
            begun[key] = rate
    return [*begun.values(), *planned]


def find_clash(rates: list[Rate], shop_id: ShopId, since: datetime) -> RatesTooHigh | None:
    """A situation of a shop, from an instant on, in which its rates take more than the whole; `None`: there is none.

    Pure. When even the highest of each kind fit together there is nothing to look at; that is nearly always so.
    """
    highest = {kind: max((rate.bps or 0 for rate in rates if rate.kind is kind), default=0) for kind in RateKind}
    if sum(highest.values()) <= BPS:
        return None
    categories = [None, *sorted({rate.category for rate in rates if rate.category is not None})]
    streamers = [AccountId(NOBODY), *sorted({rate.streamer_id for rate in rates if rate.streamer_id is not None})]
    times = [since, *sorted({rate.valid_from for rate in rates if rate.valid_from > since})]
    if len(categories) * len(streamers) * len(times) > SITUATIONS_MAX:
        return _clash(shop_id, None, None, since, Rates(**{f"{kind}_bps": bps for kind, bps in highest.items()}))
    for at in times:
        for streamer_id in streamers:
            for category in categories:
                found = choose(rates, Asked(shop_id, category or "", streamer_id, at))
                if found.platform_bps + found.payment_bps + found.streamer_bps > BPS:
                    return _clash(shop_id, category, streamer_id, at, found)
    return None


def _clash(
    shop_id: ShopId, category: str | None, streamer_id: AccountId | None, at: datetime, rates: Rates
) -> RatesTooHigh:
    return RatesTooHigh(
        shop_id=None if shop_id == NOBODY else shop_id,
        category=category,
        streamer_id=None if streamer_id == NOBODY else streamer_id,
        at=at,
        platform_bps=rates.platform_bps,
        payment_bps=rates.payment_bps,
        streamer_bps=rates.streamer_bps,
    )


async def _notify(tx: Tx, wanted: NewRate) -> None:
    """Tell a streamer by name what has been agreed."""
    assert wanted.shop_id is not None and wanted.streamer_id is not None
    shop = await catalog.get_shop(tx, wanted.shop_id)
    kind = "streamer_rate_ended" if wanted.bps is None else "streamer_rate_set"
    facts: dict[str, object] = {"shop": shop.name}
    if wanted.bps is not None:
        facts["percent"] = percent(wanted.bps)
    await messages.notify_many(tx, [ViewerId(wanted.streamer_id)], kind, facts, "/console/earnings", once=wanted.id)


async def _find(tx: Tx, rate_id: RateId) -> SetRate | None:
    found = await _list(tx, rate_id=rate_id, all_time=True, limit=1)
    return found[0] if found else None


async def _list(
    tx: Tx,
    *,
    rate_id: RateId | None = None,
    kind: RateKind | None = None,
    shop_id: ShopId | None = None,
    streamer_id: AccountId | None = None,
    all_time: bool,
    after: UUID | None = None,
    limit: int,
) -> list[SetRate]:
    return await tx.all(
        SetRate,
        """
        SELECT * FROM (
            SELECT id, kind, shop_id, category, streamer_id, bps, valid_from, note, made_by, made_at,
                   CASE WHEN valid_from > %(now)s THEN 'planned'
                        WHEN EXISTS (
                            SELECT FROM settlement.rate AS later
                            WHERE later.kind = rate.kind AND later.valid_from <= %(now)s
                              AND later.shop_id IS NOT DISTINCT FROM rate.shop_id
                              AND later.category IS NOT DISTINCT FROM rate.category
                              AND later.streamer_id IS NOT DISTINCT FROM rate.streamer_id
                              AND (later.valid_from, later.id) > (rate.valid_from, rate.id)
                        ) THEN 'past'
                        WHEN bps IS NULL THEN 'ended'
                        ELSE 'in_force' END AS state
            FROM settlement.rate
            WHERE (%(id)s::uuid IS NULL OR id = %(id)s) AND (%(kind)s::text IS NULL OR kind = %(kind)s)
              AND (%(shop_id)s::uuid IS NULL OR shop_id = %(shop_id)s)
              AND (%(streamer_id)s::uuid IS NULL OR streamer_id = %(streamer_id)s)
              AND (%(after)s::uuid IS NULL OR id < %(after)s)
        ) AS found
        WHERE %(all_time)s OR state IN ('planned', 'in_force')
        ORDER BY id DESC LIMIT %(limit)s
        """,
        now=tx.now,
        id=rate_id,
        kind=kind,
        shop_id=shop_id,
        streamer_id=streamer_id,
        all_time=all_time,
        after=after,
        limit=min(limit, PAGE_SIZE_MAX),
    )
