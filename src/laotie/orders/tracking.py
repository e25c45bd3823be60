"""What carriers say of parcels: by hand, by a signed message, or made up by the sandbox carrier.

News are of a number, kept as they came, once by the teller's own key. They may come twice, in any order, and before the
shop has entered the number: `parcels` reads all that is known of a number whenever something is added, so the order in
which it came never matters. The sandbox carrier moves its parcels along a step at a time, for demonstrations and tests.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Annotated
from uuid import UUID

import msgspec

from laotie import identity
from laotie.base.db import Database, Tx
from laotie.base.ids import OrderId, ShopId
from laotie.base.refusals import Invalid, NotFound, Refusal
from laotie.base.settings import Settings
from laotie.identity import Actor
from laotie.orders.carriers import BY_CODE, SANDBOX, Carrier, clean_number
from laotie.orders.changes import hold_many
from laotie.orders.delivery import Terms, terms_of
from laotie.orders.packing import ParcelId
from laotie.orders.parcels import TrackingKind, follow_numbers
from laotie.payments import signature

BODY_BYTES_MAX = 512 * 1024
NEWS_PER_MESSAGE_MAX = 200
EVENTS_PER_NUMBER_MAX = 200
AHEAD_MAX = timedelta(minutes=10)
BEFORE_MAX = timedelta(days=180)
CATCH_UP = timedelta(minutes=10)
"""Longer than any transaction takes."""
UNKNOWN_KEPT = timedelta(days=30)
SWEPT_AT_ONCE_MAX = 1_000
STEPS = (TrackingKind.collected, TrackingKind.in_transit, TrackingKind.out_for_delivery, TrackingKind.delivered)

Short = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00]*$")]


class Verdict(StrEnum):
    """What became of one piece of news."""

    applied = "applied"
    repeated = "repeated"
    unknown = "unknown"
    """No parcel has this number yet; it counts as soon as one does."""
    refused = "refused"
    """Not one of the carrier's numbers, out of all time, or more than anybody needs to know of one parcel."""


class News(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a carrier says. `key` is the carrier's own name for it, unique for the number."""

    number: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
    kind: TrackingKind
    at: datetime
    place: Short = ""
    note: Short = ""


class Message(msgspec.Struct, frozen=True):
    """A carrier's message: some news."""

    events: Annotated[list[News], msgspec.Meta(max_length=NEWS_PER_MESSAGE_MAX)]


class MessageRefused(Invalid, code="message-refused"):
    """The message is signed, but it is not in the agreed form."""

    reason: str


class NoSuchCarrier(NotFound, code="no-such-carrier"):
    """No carrier of this name sends messages to this house."""


class TrackingRefused(Invalid, code="tracking-refused"):
    """This cannot be noted: a time that lies out of all reason, or too much about one parcel."""


async def hear_carrier(
    db: Database, settings: Settings, *, name: str, headers: Mapping[str, str], body: bytes
) -> list[Verdict]:
    """Check a carrier's message and take it in; one verdict a piece of news, in order. Names of headers in lower case.

    Refuses `NoSuchCarrier`, `payments.SignatureRefused`, `MessageRefused`.
    """
    secrets = carrier_secrets(settings, name)
    if not secrets:
        raise NoSuchCarrier()
    signature.verify(secrets, headers, body, now=db.clock.now())
    try:
        message = msgspec.json.decode(body, type=Message)
    except msgspec.MsgspecError as error:
        raise MessageRefused(reason=str(error)[:200]) from None
    async with db.tx() as tx:
        return await hear_many(tx, terms_of(settings), BY_CODE[name], message.events, source=name)


async def hear_many(
    tx: Tx, terms: Terms, carrier: Carrier, news: list[News], *, source: str
) -> list[Verdict]:
    """Take news of a carrier's numbers in. Locks the orders concerned; tells what changed (`parcels`)."""
    numbers = [_clean(carrier, one, tx.now) for one in news]
    parcels = await _find_parcels(tx, carrier, sorted({number for number in numbers if number is not None}))
    held = await hold_many(tx, {order_id for _, order_id in parcels.values()})
    counts = await _count(tx, carrier, numbers)
    verdicts: list[Verdict] = []
    fresh: dict[tuple[str, str], News] = {}
    for one, number in zip(news, numbers, strict=True):
        if number is None or counts.get(number, 0) >= EVENTS_PER_NUMBER_MAX:
            verdicts.append(Verdict.refused)
            continue
        verdicts.append(Verdict.applied if number in parcels else Verdict.unknown)
        if (number, one.key) in fresh:
            verdicts[-1] = Verdict.repeated
            continue
        fresh[number, one.key] = one
        counts[number] = counts.get(number, 0) + 1
    entered = await _enter(tx, carrier, fresh, known=set(parcels), source=source)
    moved = {number for number, _ in entered if number in parcels}
    await follow_numbers(tx, terms, held, [parcels[number][0] for number in sorted(moved)])
    return [
        Verdict.repeated
        if verdict in (Verdict.applied, Verdict.unknown) and (number, one.key) not in entered
        else verdict
        for verdict, one, number in zip(verdicts, news, numbers, strict=True)
    ]


async def note_by_hand(
    tx: Tx, actor: Actor, terms: Terms, shop_id: ShopId, parcel_id: ParcelId, news_id: UUID, kind: TrackingKind,
    *, at: datetime | None, place: str, note: str,
) -> Verdict:  # fmt: skip
    """Write down what the shop knows of its parcel, under the client's id. Needs the scope `orders`.

    Refuses `NotFound`, `TrackingRefused`.
    """
    await identity.require_seat(tx, actor, shop_id, identity.Scope.orders)
    found = await tx.tuples(
        """
        SELECT carrier, number FROM orders.parcel
        WHERE id = %(id)s AND shop_id = %(shop_id)s AND state <> 'cancelled'
        """,
        id=parcel_id,
        shop_id=shop_id,
    )
    if not found:
        raise NotFound()
    carrier, number = found[0]
    news = News(number=number, key=str(news_id), kind=kind, at=at or tx.now, place=place, note=note)
    verdict = (await hear_many(tx, terms, BY_CODE[carrier], [news], source="shop"))[0]
    if verdict is Verdict.refused:
        raise TrackingRefused()
    return verdict


async def move_sandbox(db: Database, terms: Terms, *, step_s: int, size: int = 100) -> int:
    """Let the sandbox carrier's parcels take their next step, `step_s` after the last one; how many did."""
    if not step_s:
        return 0
    async with db.tx() as tx:
        due = await tx.tuples(
            """
            SELECT p.number, t.steps FROM orders.parcel AS p CROSS JOIN LATERAL (
                SELECT count(*) AS steps, coalesce(max(at), p.made_at) AS last_at FROM orders.tracking
                WHERE carrier = p.carrier AND number = p.number
            ) AS t
            WHERE p.carrier = %(sandbox)s AND p.state IN ('registered', 'moving') AND t.last_at <= %(before)s
              AND t.steps < %(steps)s
            ORDER BY p.id LIMIT %(size)s
            """,
            sandbox=SANDBOX,
            before=tx.now - timedelta(seconds=step_s),
            steps=len(STEPS),
            size=size,
        )
        news = [
            News(number=number, key=f"step-{steps + 1}", kind=STEPS[steps], at=tx.now, place=_place(number, steps))
            for number, steps in due
        ]
        if news:
            await hear_many(tx, terms, BY_CODE[SANDBOX], news, source=SANDBOX)
        return len(news)


async def catch_up(db: Database, terms: Terms, *, size: int = 100) -> int:
    """Parcels entered in the very moment at which news of their number came, so that neither saw the other."""
    async with db.tx() as tx:
        missed = await tx.tuples(
            """
            SELECT DISTINCT p.id, p.order_id FROM orders.tracking AS t
            JOIN orders.parcel AS p ON p.carrier = t.carrier AND p.number = t.number AND p.state <> 'cancelled'
            WHERE NOT t.is_known AND t.heard_at > %(since)s LIMIT %(size)s
            """,
            since=tx.now - CATCH_UP,
            size=size,
        )
        if missed:
            held = await hold_many(tx, {order_id for _, order_id in missed})
            await follow_numbers(tx, terms, held, [parcel_id for parcel_id, _ in missed])
        return len(missed)


async def sweep_unknown(tx: Tx) -> int:
    """Forget some news of numbers that nobody ever entered; how many went."""
    return await tx.run(
        """
        DELETE FROM orders.tracking WHERE (carrier, number, key) IN (
            SELECT carrier, number, key FROM orders.tracking
            WHERE NOT is_known AND heard_at < %(before)s LIMIT %(limit)s
        )
        """,
        before=tx.now - UNKNOWN_KEPT,
        limit=SWEPT_AT_ONCE_MAX,
    )


@lru_cache(maxsize=64)
def carrier_secrets(settings: Settings, name: str) -> tuple[bytes, ...]:
    """The webhook secrets of a carrier, oldest first; none: it does not send messages here."""
    if name not in BY_CODE:
        return ()
    if name == SANDBOX:
        if not settings.sandbox_carrier_step_s:
            return ()
        return tuple(
            hmac.new(key.encode(), b"laotie.sandbox-carrier", hashlib.sha256).digest()
            for key in settings.signing_keys()
        )
    pairs = [pair.partition("=") for pair in (settings.carrier_secrets or "").split(",")]
    return tuple(secret.strip().encode() for code, _, secret in pairs if code.strip() == name and secret.strip())


def _clean(carrier: Carrier, news: News, now: datetime) -> str | None:
    if news.at.tzinfo is None or not now - BEFORE_MAX <= news.at <= now + AHEAD_MAX:
        return None
    try:
        return clean_number(carrier, news.number)
    except Refusal:
        return None


async def _find_parcels(tx: Tx, carrier: Carrier, numbers: list[str]) -> dict[str, tuple[ParcelId, OrderId]]:
    return {
        number: (parcel_id, order_id)
        for number, parcel_id, order_id in await tx.tuples(
            """
            SELECT number, id, order_id FROM orders.parcel
            WHERE carrier = %(carrier)s AND number = ANY(%(numbers)s) AND state <> 'cancelled'
            """,
            carrier=carrier.code,
            numbers=numbers,
        )
    }


async def _count(tx: Tx, carrier: Carrier, numbers: list[str | None]) -> dict[str, int]:
    return dict(
        await tx.tuples(
            """
            SELECT number, count(*) FROM orders.tracking
            WHERE carrier = %(carrier)s AND number = ANY(%(numbers)s) GROUP BY number
            """,
            carrier=carrier.code,
            numbers=[number for number in numbers if number is not None],
        )
    )


async def _enter(
    tx: Tx, carrier: Carrier, fresh: dict[tuple[str, str], News], *, known: set[str], source: str
) -> set[tuple[str, str]]:
    """Those that had not been heard before."""
    keys = sorted(fresh)
    rows = await tx.tuples(
        """
        INSERT INTO orders.tracking (carrier, number, key, kind, at, place, note, source, is_known, heard_at)
        SELECT %(carrier)s, number, key, kind, at, place, note, %(source)s, is_known, %(now)s
        FROM unnest(%(numbers)s::text[], %(keys)s::text[], %(kinds)s::text[], %(ats)s::timestamptz[], %(places)s::text[],
                    %(notes)s::text[], %(known)s::boolean[]) AS news (number, key, kind, at, place, note, is_known)
        ON CONFLICT DO NOTHING RETURNING number, key
        """,
        carrier=carrier.code,
        source=source,
        now=tx.now,
        numbers=[number for number, _ in keys],
        keys=[key for _, key in keys],
        kinds=[fresh[one].kind for one in keys],
        ats=[min(fresh[one].at, tx.now) for one in keys],
        places=[fresh[one].place for one in keys],
        notes=[fresh[one].note for one in keys],
        known=[number in known for number, _ in keys],
    )
    return {(number, key) for number, key in rows}


def _place(number: str, step: int) -> str:
    """Somewhere between here and there, by the number, so that a repetition tells the same."""
    ways = (("杭州转运中心", "上海分拨中心", "上海浦东营业部"), ("广州转运中心", "武汉分拨中心", "武汉江岸营业部"))
    way = ways[int(number[-1]) % len(ways)]
    return way[min(step, len(way) - 1)]
