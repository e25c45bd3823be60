"""What a shop may send: consignments judged one after the other against what is left of their orders. Pure."""

import hashlib
from typing import NamedTuple, NewType
from uuid import UUID

import msgspec

from laotie.base.ids import OrderId
from laotie.base.refusals import Conflict, IdReused, Invalid, NotFound, Refusal
from laotie.orders.carriers import clean_number, find_carrier
from laotie.orders.model import OrderState

ParcelId = NewType("ParcelId", UUID)

PARCELS_PER_ORDER_MAX = 50


class Piece(msgspec.Struct, frozen=True):
    """So many pieces of an order's line."""

    no: int
    quantity: int


class Consignment(msgspec.Struct, frozen=True, kw_only=True):
    """A parcel to be made, under the client's own id. Without `pieces`: everything that is still to be shipped."""

    id: ParcelId
    order_id: OrderId
    carrier: str
    number: str
    pieces: tuple[Piece, ...] | None = None


class NotToShip(Conflict, code="not-to-ship"):
    """Only a paid order of which something is left can be shipped."""

    state: OrderState


class TeamGathering(Conflict, code="team-gathering"):
    """The group that this order belongs to is not complete yet."""


class PiecesShort(Conflict, code="pieces-short"):
    """So many pieces of this line are not there to be shipped any more."""

    line_no: int
    left: int


class NothingLeft(Conflict, code="nothing-left-to-ship"):
    """Everything of this order is on its way already."""


class NumberTaken(Conflict, code="number-taken"):
    """This tracking number belongs to another parcel."""

    carrier: str
    number: str


class ParcelsTooMany(Conflict, code="parcels-too-many"):
    """So many parcels for one order are enough."""

    parcels_max: int


class PiecesRefused(Invalid, code="pieces-refused"):
    """A parcel holds pieces of the order's lines, each line named once."""


class Sent(NamedTuple):
    """What became of a consignment: the parcel's id, and whether it was there before."""

    parcel_id: ParcelId
    again: bool


class Fresh(NamedTuple):
    """A consignment that may go."""

    ask: Consignment
    carrier: str
    number: str
    digest: bytes
    pieces: tuple[Piece, ...]


class Desk:
    """What is known of the orders of a batch; judges consignments one after the other. Pure."""

    def __init__(
        self,
        *,
        states: dict[OrderId, OrderState],
        ready: set[OrderId],
        left: dict[OrderId, dict[int, int]],
        counts: dict[OrderId, int],
        known: dict[ParcelId, bytes],
        taken: set[tuple[str, str]],
    ) -> None:
        self._states = states
        self._ready = ready
        self._left = left
        self._counts = counts
        self._known = known
        self._taken = taken

    def judge(self, ask: Consignment) -> Sent | Fresh | Refusal:
        """Whether it may go; what it takes is no longer there for the next one."""
        try:
            return self._judge(ask)
        except Refusal as refusal:
            return refusal

    def _judge(self, ask: Consignment) -> Sent | Fresh:
        carrier = find_carrier(ask.carrier)
        number = clean_number(carrier, ask.number)
        digest = digest_of(ask, carrier.code, number)
        if ask.id in self._known:
            if self._known[ask.id] != digest:
                raise IdReused()
            return Sent(ask.id, again=True)
        state = self._states.get(ask.order_id)
        if state is None:
            raise NotFound()
        left = self._left[ask.order_id]
        if state is OrderState.shipped:
            raise NothingLeft()
        if state is not OrderState.paid:
            raise NotToShip(state=state)
        if ask.order_id not in self._ready:
            raise TeamGathering()
        if not any(left.values()):
            raise NothingLeft()
        if self._counts.get(ask.order_id, 0) >= PARCELS_PER_ORDER_MAX:
            raise ParcelsTooMany(parcels_max=PARCELS_PER_ORDER_MAX)
        if (carrier.code, number) in self._taken:
            raise NumberTaken(carrier=carrier.code, number=number)
        pieces = self._pieces(ask, left)
        for piece in pieces:
            left[piece.no] -= piece.quantity
        self._taken.add((carrier.code, number))
        self._known[ask.id] = digest
        self._counts[ask.order_id] = self._counts.get(ask.order_id, 0) + 1
        return Fresh(ask, carrier.code, number, digest, pieces)

    def _pieces(self, ask: Consignment, left: dict[int, int]) -> tuple[Piece, ...]:
        if ask.pieces is None:
            return tuple(Piece(no, quantity) for no, quantity in sorted(left.items()) if quantity)
        nos = {piece.no for piece in ask.pieces}
        if not ask.pieces or len(nos) < len(ask.pieces) or any(piece.quantity < 1 for piece in ask.pieces):
            raise PiecesRefused()
        for piece in ask.pieces:
            if piece.no not in left:
                raise PiecesRefused()
            if piece.quantity > left[piece.no]:
                raise PiecesShort(line_no=piece.no, left=left[piece.no])
        return tuple(sorted(ask.pieces, key=lambda piece: piece.no))


def digest_of(ask: Consignment, carrier: str, number: str) -> bytes:
    """What makes two consignments of one id the same."""
    pieces = None if ask.pieces is None else sorted((piece.no, piece.quantity) for piece in ask.pieces)
    said = msgspec.json.encode((str(ask.order_id), carrier, number, pieces))
    return hashlib.blake2b(said, digest_size=12).digest()
