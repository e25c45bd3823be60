"""Parcels: a shop sends lines, or parts of lines, of a paid order on their way, in as many parcels as it likes.

Promises: no piece is in two parcels, and none is sent that was given back before; a number is used once with its
carrier; the same parcel id again changes nothing. A parcel may be corrected or called off until it moves. What a carrier
has said of a number (`tracking`) counts from the moment at which the number is entered.

Locks: orders by id, then parcels and numbers in order, lines, delivery rows. Everything here is written under the
order's lock.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec
from psycopg.errors import UniqueViolation

from laotie import identity, messages
from laotie.base.db import Tx
from laotie.base.ids import OrderId, ShopId, ViewerId
from laotie.base.refusals import Conflict, NotFound, Refusal
from laotie.events.orders import ParcelDelivered
from laotie.identity import Actor
from laotie.orders import delivery
from laotie.orders.carriers import clean_number, find_carrier
from laotie.orders.changes import Held, hold_many
from laotie.orders.delivery import Terms
from laotie.orders.model import OrderState
from laotie.orders.packing import Consignment, Desk, Fresh, NumberTaken, ParcelId, Piece, Sent
from laotie.orders.teams import may_ship

EVENTS_SHOWN_MAX = 100


class ParcelState(StrEnum):
    """How far a parcel is."""

    registered = "registered"
    """Its number is known; the carrier has not said that it moves."""
    moving = "moving"
    delivered = "delivered"
    returned = "returned"
    """It went back to the shop; its pieces are to be shipped again, or given back."""
    cancelled = "cancelled"


class TrackingKind(StrEnum):
    """What a carrier says of a parcel."""

    collected = "collected"
    in_transit = "in_transit"
    out_for_delivery = "out_for_delivery"
    problem = "problem"
    delivered = "delivered"
    returned = "returned"


class TrackingEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was heard of a parcel."""

    kind: TrackingKind
    at: datetime
    place: str
    note: str
    source: str


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """A parcel with what is in it and what was heard of it, the newest first."""

    id: ParcelId
    order_id: OrderId
    shop_id: ShopId
    carrier: str
    number: str
    state: ParcelState
    made_at: datetime
    moved_at: datetime | None
    delivered_at: datetime | None
    pieces: list[Piece]
    events: list[TrackingEvent]


class ParcelMoves(Conflict, code="parcel-moves"):
    """The parcel is on its way; it can no longer be changed."""

    state: ParcelState


async def ship(tx: Tx, actor: Actor, terms: Terms, shop_id: ShopId, consignment: Consignment) -> ParcelId:
    """Send a parcel of the shop's order. Needs the scope `orders`. Refuses as `ship_many` answers."""
    await identity.require_seat(tx, actor, shop_id, identity.Scope.orders)
    answer = (await ship_many(tx, terms, shop_id, [consignment]))[0]
    if isinstance(answer, Refusal):
        raise answer
    return answer.parcel_id


async def ship_many(
    tx: Tx, terms: Terms, shop_id: ShopId, asks: list[Consignment]
) -> list[Sent | Refusal]:
    """Send these parcels; the answers are in the order of the asks, and one that is refused spoils no other.

    Refusals: `NotFound`, `NotToShip`, `TeamGathering`, `NothingLeft`, `PiecesShort`, `PiecesRefused`, `CarrierUnknown`,
    `TrackingNumberRefused`, `NumberTaken`, `IdReused`, `ParcelsTooMany`. The buyer is told of each parcel.
    """
    held = await hold_many(tx, {ask.order_id for ask in asks})
    desk = await _open_desk(tx, shop_id, held, asks)
    answers = [desk.judge(ask) for ask in asks]
    fresh = [answer for answer in answers if isinstance(answer, Fresh)]
    lost = await _insert(tx, shop_id, fresh)
    made = [one for one in fresh if one.ask.id not in lost]
    if made:
        await _fill(tx, made)
        await _follow(tx, terms, [held[one.ask.order_id] for one in made], [one.ask.id for one in made])
        await _tell_shipped(tx, held, made)
    return [_answer(answer, lost) for answer in answers]


async def correct_parcel(
    tx: Tx, actor: Actor, terms: Terms, shop_id: ShopId, parcel_id: ParcelId, *, carrier: str, number: str
) -> None:
    """Put another carrier or number on a parcel that does not move yet. Needs the scope `orders`.

    Refuses `NumberTaken`, `TrackingNumberRefused`, `CarrierUnknown`, `ParcelMoves`.
    """
    known = find_carrier(carrier)
    cleaned = clean_number(known, number)
    order, state = await _hold_of_shop(tx, actor, shop_id, parcel_id)
    try:
        async with tx.savepoint():
            changed = await tx.run(
                """
                UPDATE orders.parcel SET carrier = %(carrier)s, number = %(number)s
                WHERE id = %(id)s AND state = 'registered'
                """,
                id=parcel_id,
                carrier=known.code,
                number=cleaned,
            )
    except UniqueViolation:
        raise NumberTaken(carrier=known.code, number=cleaned) from None
    if not changed:
        raise ParcelMoves(state=state)
    await _follow(tx, terms, [order], [parcel_id])


async def cancel_parcel(tx: Tx, actor: Actor, terms: Terms, shop_id: ShopId, parcel_id: ParcelId) -> None:
    """Call a parcel off that does not move yet: its pieces are to be shipped again. Again: nothing more happens.

    Needs the scope `orders`. Refuses `ParcelMoves`.
    """
    order, state = await _hold_of_shop(tx, actor, shop_id, parcel_id)
    if state is ParcelState.cancelled:
        return
    if state is not ParcelState.registered or order.state not in (OrderState.paid, OrderState.shipped):
        raise ParcelMoves(state=state)
    await tx.run("UPDATE orders.parcel SET state = 'cancelled' WHERE id = %(id)s", id=parcel_id)
    await _take_out(tx, [parcel_id])
    await delivery.settle_many(tx, terms, [order])


async def get_parcel(tx: Tx, parcel_id: ParcelId) -> Parcel:
    """One parcel. The caller has looked at who asks."""
    order_id = await tx.maybe(OrderId, "SELECT order_id FROM orders.parcel WHERE id = %(id)s", id=parcel_id)
    for parcel in await list_parcels(tx, order_id) if order_id is not None else []:
        if parcel.id == parcel_id:
            return parcel
    raise NotFound()


async def list_parcels(tx: Tx, order_id: OrderId) -> list[Parcel]:
    """An order's parcels, the oldest first, those called off included."""
    return (await list_parcels_of(tx, [order_id])).get(order_id, [])


async def list_parcels_of(tx: Tx, order_ids: list[OrderId]) -> dict[OrderId, list[Parcel]]:
    """The parcels of several orders."""
    rows = await tx.all(
        _ParcelRow,
        """
        SELECT id, order_id, shop_id, carrier, number, state, made_at, moved_at, delivered_at
        FROM orders.parcel WHERE order_id = ANY(%(ids)s) ORDER BY id
        """,
        ids=order_ids,
    )
    ids = [row.id for row in rows]
    pieces: dict[UUID, list[Piece]] = {}
    for parcel_id, no, quantity in await tx.tuples(
        """
        SELECT parcel_id, line_no, quantity FROM orders.parcel_line
        WHERE parcel_id = ANY(%(ids)s) ORDER BY parcel_id, line_no
        """,
        ids=ids,
    ):
        pieces.setdefault(parcel_id, []).append(Piece(no, quantity))
    events = await _list_events(tx, ids)
    found: dict[OrderId, list[Parcel]] = {}
    for row in rows:
        fields = {name: getattr(row, name) for name in _ParcelRow.__struct_fields__}
        found.setdefault(row.order_id, []).append(
            Parcel(pieces=pieces.get(row.id, []), events=events.get(row.id, []), **fields)
        )
    return found


async def note_returned(tx: Tx, order_id: OrderId, pieces: list[Piece]) -> None:
    """Pieces that had been shipped came back to the shop. The caller holds the order.

    Say it before they are given back: what is given back without having returned is taken from what is still to be
    shipped, so that nothing is sent that was refunded.
    """
    await tx.run(
        """
        UPDATE orders.line AS l SET returned_quantity = least(l.shipped_quantity, l.returned_quantity + back.quantity)
        FROM unnest(%(nos)s::smallint[], %(quantities)s::integer[]) AS back (no, quantity)
        WHERE l.order_id = %(order_id)s AND l.no = back.no
        """,
        order_id=order_id,
        nos=[piece.no for piece in pieces],
        quantities=[piece.quantity for piece in pieces],
    )


async def follow_numbers(tx: Tx, terms: Terms, held: dict[OrderId, Held], parcel_ids: list[ParcelId]) -> None:
    """News of these parcels was written: bring them, and their orders, up to date. The orders are held."""
    await _follow(tx, terms, list(held.values()), parcel_ids)


class _ParcelRow(msgspec.Struct, frozen=True, kw_only=True):
    id: ParcelId
    order_id: OrderId
    shop_id: ShopId
    carrier: str
    number: str
    state: ParcelState
    made_at: datetime
    moved_at: datetime | None
    delivered_at: datetime | None


async def _open_desk(tx: Tx, shop_id: ShopId, held: dict[OrderId, Held], asks: list[Consignment]) -> Desk:
    wanted = {ask.order_id for ask in asks}
    own = {id_: order.state for id_, order in held.items() if id_ in wanted and order.shop_id == shop_id}
    left: dict[OrderId, dict[int, int]] = {id_: {} for id_ in own}
    for order_id, no, quantity in await tx.tuples(
        """
        SELECT order_id, no,
               greatest(0, quantity - shipped_quantity - greatest(0, refunded_quantity - returned_quantity))
        FROM orders.line WHERE order_id = ANY(%(ids)s)
        """,
        ids=list(own),
    ):
        left[order_id][no] = quantity
    numbers = [number for ask in asks if (number := _number_of(ask)) is not None]
    return Desk(
        states=own,
        ready=await may_ship(tx, own),
        left=left,
        counts=dict(
            await tx.tuples(
                "SELECT order_id, count(*) FROM orders.parcel WHERE order_id = ANY(%(ids)s) GROUP BY order_id",
                ids=list(own),
            )
        ),
        known=dict(
            await tx.tuples(
                "SELECT id, digest FROM orders.parcel WHERE id = ANY(%(ids)s)", ids=[ask.id for ask in asks]
            )
        ),
        taken={
            (carrier, number)
            for carrier, number in await tx.tuples(
                """
                SELECT carrier, number FROM orders.parcel
                JOIN unnest(%(carriers)s::text[], %(numbers)s::text[]) AS asked (carrier, number)
                  USING (carrier, number)
                WHERE state <> 'cancelled'
                """,
                carriers=[carrier for carrier, _ in numbers],
                numbers=[number for _, number in numbers],
            )
        },
    )


def _number_of(ask: Consignment) -> tuple[str, str] | None:
    try:
        carrier = find_carrier(ask.carrier)
        return carrier.code, clean_number(carrier, ask.number)
    except Refusal:
        return None


async def _insert(tx: Tx, shop_id: ShopId, fresh: list[Fresh]) -> set[ParcelId]:
    """Enter the parcels, numbers in order; those whose number another transaction took meanwhile."""
    fresh = sorted(fresh, key=lambda one: (one.carrier, one.number))
    made = await tx.all(
        ParcelId,
        """
        INSERT INTO orders.parcel (id, order_id, shop_id, carrier, number, state, digest, made_at)
        SELECT id, order_id, %(shop_id)s, carrier, number, 'registered', digest, %(now)s
        FROM unnest(%(ids)s::uuid[], %(orders)s::uuid[], %(carriers)s::text[], %(numbers)s::text[], %(digests)s::bytea[])
          AS made (id, order_id, carrier, number, digest)
        ON CONFLICT DO NOTHING RETURNING id
        """,
        shop_id=shop_id,
        now=tx.now,
        ids=[one.ask.id for one in fresh],
        orders=[one.ask.order_id for one in fresh],
        carriers=[one.carrier for one in fresh],
        numbers=[one.number for one in fresh],
        digests=[one.digest for one in fresh],
    ) if fresh else []
    return {one.ask.id for one in fresh} - set(made)


async def _fill(tx: Tx, made: list[Fresh]) -> None:
    """Put the pieces into their parcels and count them on their lines: the guard is in the statement."""
    rows = [(one.ask.id, one.ask.order_id, piece) for one in made for piece in one.pieces]
    await tx.run(
        """
        INSERT INTO orders.parcel_line (parcel_id, line_no, quantity)
        SELECT * FROM unnest(%(parcels)s::uuid[], %(nos)s::smallint[], %(quantities)s::integer[])
        """,
        parcels=[parcel_id for parcel_id, _, _ in rows],
        nos=[piece.no for _, _, piece in rows],
        quantities=[piece.quantity for _, _, piece in rows],
    )
    sums: dict[tuple[OrderId, int], int] = {}
    for _, order_id, piece in rows:
        sums[order_id, piece.no] = sums.get((order_id, piece.no), 0) + piece.quantity
    counted = await tx.run(
        """
        UPDATE orders.line AS l SET shipped_quantity = l.shipped_quantity + sent.quantity
        FROM unnest(%(orders)s::uuid[], %(nos)s::smallint[], %(quantities)s::integer[]) AS sent (order_id, no, quantity)
        WHERE l.order_id = sent.order_id AND l.no = sent.no
          AND l.shipped_quantity + sent.quantity
              <= l.quantity - greatest(0, l.refunded_quantity - l.returned_quantity)
        """,
        orders=[order_id for order_id, _ in sums],
        nos=[no for _, no in sums],
        quantities=list(sums.values()),
    )
    assert counted == len(sums), "the orders are held, so what was left is still there"


async def _take_out(tx: Tx, parcel_ids: list[ParcelId]) -> None:
    """These parcels' pieces are not on their way any more."""
    await tx.run(
        """
        UPDATE orders.line AS l
        SET shipped_quantity = l.shipped_quantity - held.quantity,
            returned_quantity = least(l.returned_quantity, l.shipped_quantity - held.quantity)
        FROM (
            SELECT p.order_id, pl.line_no, sum(pl.quantity) AS quantity
            FROM orders.parcel AS p JOIN orders.parcel_line AS pl ON pl.parcel_id = p.id
            WHERE p.id = ANY(%(ids)s) GROUP BY p.order_id, pl.line_no
        ) AS held
        WHERE l.order_id = held.order_id AND l.no = held.line_no
        """,
        ids=parcel_ids,
    )


class _Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What has been said of a live parcel's number: the first word that it moves, and the first final word."""

    id: ParcelId
    order_id: OrderId
    carrier: str
    number: str
    state: ParcelState
    moved_at: datetime | None
    final: TrackingKind | None
    final_at: datetime | None


async def _follow(tx: Tx, terms: Terms, orders: list[Held], parcel_ids: list[ParcelId]) -> None:
    """Bring parcels in line with what was heard of their numbers, then the orders. States only go forward.

    Of two final words the one that was first in time counts: a parcel that went back is "delivered" to the shop later.
    """
    await tx.run(
        """
        UPDATE orders.tracking AS t SET is_known = true FROM orders.parcel AS p
        WHERE p.id = ANY(%(ids)s) AND t.carrier = p.carrier AND t.number = p.number AND NOT t.is_known
        """,
        ids=parcel_ids,
    )
    heard = await tx.all(
        _Heard,
        """
        SELECT p.id, p.order_id, p.carrier, p.number, p.state, t.moved_at, t.final, t.final_at
        FROM orders.parcel AS p CROSS JOIN LATERAL (
            SELECT min(at) AS moved_at,
                   (array_agg(kind ORDER BY at, key) FILTER (WHERE kind IN ('delivered', 'returned')))[1] AS final,
                   min(at) FILTER (WHERE kind IN ('delivered', 'returned')) AS final_at
            FROM orders.tracking WHERE carrier = p.carrier AND number = p.number
        ) AS t
        WHERE p.id = ANY(%(ids)s) AND p.state IN ('registered', 'moving') AND t.moved_at IS NOT NULL ORDER BY p.id
        """,
        ids=parcel_ids,
    )
    if heard:
        await tx.run(
            """
            UPDATE orders.parcel AS p
            SET state = coalesce(now.final, 'moving'), moved_at = now.moved_at,
                delivered_at = CASE WHEN now.final = 'delivered' THEN now.final_at END
            FROM unnest(%(ids)s::uuid[], %(moved)s::timestamptz[], %(finals)s::text[], %(final_at)s::timestamptz[])
              AS now (id, moved_at, final, final_at)
            WHERE p.id = now.id
            """,
            ids=[one.id for one in heard],
            moved=[one.moved_at for one in heard],
            finals=[one.final for one in heard],
            final_at=[one.final_at for one in heard],
        )
        back = [one for one in heard if one.final is TrackingKind.returned]
        if back:
            await _take_out(tx, [one.id for one in back])
            await delivery.begin_anew(tx, [one.order_id for one in back])
    held = {order.id: order for order in orders}
    await delivery.settle_many(tx, terms, list(held.values()))
    await _tell_delivered(tx, held, [one for one in heard if one.final is TrackingKind.delivered])


async def _tell_delivered(tx: Tx, held: dict[OrderId, Held], delivered: list[_Heard]) -> None:
    for one in delivered:
        order = held[one.order_id]
        stands = await delivery.find_delivery(tx, order.id)
        assert one.final_at is not None and stands is not None
        tx.tell(
            ParcelDelivered(
                parcel_id=one.id,
                order_id=order.id,
                buyer_id=order.buyer_id,
                shop_id=order.shop_id,
                carrier=one.carrier,
                number=one.number,
                whole=stands.stage is delivery.Stage.delivered,
                delivered_at=one.final_at,
            )
        )
        await messages.notify_many(
            tx,
            [ViewerId(order.buyer_id)],
            "parcel_delivered",
            {"carrier": one.carrier, "number": one.number},
            f"/orders/{order.id}/parcels",
            once=one.id,
        )


async def _tell_shipped(tx: Tx, held: dict[OrderId, Held], made: list[Fresh]) -> None:
    for one in made:
        await messages.notify_many(
            tx,
            [ViewerId(held[one.ask.order_id].buyer_id)],
            "parcel_shipped",
            {
                "carrier": one.carrier,
                "number": one.number,
                "pieces": sum(piece.quantity for piece in one.pieces),
            },
            f"/orders/{one.ask.order_id}/parcels",
            once=one.ask.id,
        )


async def _hold_of_shop(
    tx: Tx, actor: Actor, shop_id: ShopId, parcel_id: ParcelId
) -> tuple[Held, ParcelState]:
    """The order of the shop's parcel, locked, and the parcel's state as it is then."""
    await identity.require_seat(tx, actor, shop_id, identity.Scope.orders)
    order_id = await tx.maybe(
        OrderId,
        "SELECT order_id FROM orders.parcel WHERE id = %(id)s AND shop_id = %(shop_id)s",
        id=parcel_id,
        shop_id=shop_id,
    )
    if order_id is None:
        raise NotFound()
    order = (await hold_many(tx, [order_id]))[order_id]
    return order, ParcelState(await tx.one(str, "SELECT state FROM orders.parcel WHERE id = %(id)s", id=parcel_id))


async def _list_events(tx: Tx, parcel_ids: Iterable[ParcelId]) -> dict[UUID, list[TrackingEvent]]:
    found: dict[UUID, list[TrackingEvent]] = {}
    for parcel_id, kind, at, place, note, source in await tx.tuples(
        """
        SELECT p.id, t.kind, t.at, t.place, t.note, t.source
        FROM orders.parcel AS p CROSS JOIN LATERAL (
            SELECT kind, at, place, note, source, key FROM orders.tracking
            WHERE carrier = p.carrier AND number = p.number ORDER BY at DESC, key DESC LIMIT %(shown)s
        ) AS t
        WHERE p.id = ANY(%(ids)s) AND p.state <> 'cancelled' ORDER BY p.id, t.at DESC, t.key DESC
        """,
        ids=list(parcel_ids),
        shown=EVENTS_SHOWN_MAX,
    ):
        found.setdefault(parcel_id, []).append(
            TrackingEvent(kind=TrackingKind(kind), at=at, place=place, note=note, source=source)
        )
    return found


def _answer(answer: Sent | Fresh | Refusal, lost: set[ParcelId]) -> Sent | Refusal:
    if not isinstance(answer, Fresh):
        return answer
    if answer.ask.id in lost:
        return NumberTaken(carrier=answer.carrier, number=answer.number)
    return Sent(answer.ask.id, again=False)
