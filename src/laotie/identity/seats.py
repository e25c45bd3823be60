"""Seats: who may act for which shop, and how far. Rights on a shop are asked here and nowhere else."""

from uuid import UUID

from laotie.base.db import Tx
from laotie.base.ids import AccountId, ShopId
from laotie.base.refusals import NotFound, Unauthenticated
from laotie.events.identity import SeatGranted, SeatRevoked
from laotie.identity.audit_log import record
from laotie.identity.model import (
    SEATS_MAX,
    Actor,
    LastOwner,
    NoSuchHandle,
    Scope,
    ScopeLacking,
    ScopesRefused,
    Seat,
    SeatHolder,
    TooMany,
    plain_handle,
)

ALL_SCOPES = list(Scope)


async def require_seat(tx: Tx, actor: Actor, shop_id: ShopId, scope: Scope) -> Seat:
    """The actor's seat at a shop, or a refusal.

    `Unauthenticated` for guests, `NotFound` without a seat there, `ScopeLacking` (a `Forbidden`) when the seat or the
    API token does not include the scope.
    """
    seat = await find_seat(tx, actor, shop_id)
    if seat is None:
        raise NotFound()
    _check_reach(actor, seat, scope)
    return seat


async def may(tx: Tx, actor: Actor | None, shop_id: ShopId, scope: Scope) -> bool:
    """Whether `require_seat` would let the actor through; its key, if it came with one, counts too."""
    if actor is None or actor.seat_holder_id is None:
        return False
    seat = await find_seat(tx, actor, shop_id)
    return seat is not None and _reaches(actor, seat, [scope])


async def find_seat(tx: Tx, actor: Actor, shop_id: ShopId) -> Seat | None:
    """The actor's seat at a shop, if there is one; a guest is refused."""
    if actor.seat_holder_id is None:
        raise Unauthenticated()
    if actor.token_shops is not None and shop_id not in actor.token_shops:
        return None
    return await tx.maybe(
        Seat,
        """
        SELECT shop_id, account_id, is_owner, scopes FROM identity.seat
        WHERE shop_id = %(shop_id)s AND account_id = %(account_id)s
        """,
        shop_id=shop_id,
        account_id=actor.seat_holder_id,
    )


async def list_seats(tx: Tx, actor: Actor) -> list[Seat]:
    """Every shop the actor may act for; none for a guest, and for a key those that it is bound to."""
    if actor.seat_holder_id is None:
        return []
    return await tx.all(
        Seat,
        """
        SELECT shop_id, account_id, is_owner, scopes FROM identity.seat
        WHERE account_id = %(account_id)s AND (%(bound)s::uuid[] IS NULL OR shop_id = ANY(%(bound)s))
        ORDER BY shop_id LIMIT %(limit)s
        """,
        account_id=actor.seat_holder_id,
        bound=None if actor.token_shops is None else list(actor.token_shops),
        limit=SEATS_MAX,
    )


async def list_seat_holders(tx: Tx, actor: Actor, shop_id: ShopId) -> list[SeatHolder]:
    """Who sits at a shop, owners first. Needs the scope `staff`."""
    await require_seat(tx, actor, shop_id, Scope.staff)
    return await tx.all(
        SeatHolder,
        """
        SELECT seat.account_id, account.handle, account.name, seat.is_owner, seat.scopes
        FROM identity.seat JOIN identity.account ON account.id = seat.account_id
        WHERE seat.shop_id = %(shop_id)s ORDER BY seat.is_owner DESC, seat.account_id
        """,
        shop_id=shop_id,
    )


async def list_seated(tx: Tx, shop_id: ShopId, scope: Scope) -> list[AccountId]:
    """Who holds a scope at a shop (for telling them something)."""
    return await tx.all(
        AccountId,
        "SELECT account_id FROM identity.seat WHERE shop_id = %(shop_id)s AND %(scope)s = ANY(scopes) ORDER BY account_id",
        shop_id=shop_id,
        scope=scope.value,
    )


async def seat_owner(tx: Tx, shop_id: ShopId, account_id: AccountId) -> None:
    """Give a newly opened shop its owner (called by the room that opens shops, in the same transaction)."""
    await _put_seat(tx, shop_id, account_id, is_owner=True, scopes=ALL_SCOPES)


async def grant_seat(
    tx: Tx, actor: Actor, shop_id: ShopId, handle: str, *, scopes: list[Scope], is_owner: bool = False
) -> SeatHolder:
    """Seat somebody, or change their scopes. Needs `staff`; nobody gives what they lack, and only owners touch owners.

    Locks the shop's seats. Refuses `NoSuchHandle`, `ScopesRefused`, `LastOwner`, `TooMany`.
    """
    own = await require_seat(tx, actor, shop_id, Scope.staff)
    wanted = ALL_SCOPES if is_owner else [scope for scope in ALL_SCOPES if scope in scopes]
    if not wanted or not _reaches(actor, own, wanted) or (is_owner and not own.is_owner):
        raise ScopesRefused()
    found = await tx.maybe(
        UUID,
        "SELECT id FROM identity.account WHERE handle = %(handle)s AND erased_at IS NULL",
        handle=plain_handle(handle),
    )
    if found is None:
        raise NoSuchHandle()
    account_id = AccountId(found)
    seats = await _lock_seats(tx, shop_id)
    present = next((seat for seat in seats if seat.account_id == account_id), None)
    if present is None and len(seats) >= SEATS_MAX:
        raise TooMany(count_max=SEATS_MAX)
    if present is not None:
        _check_may_take(actor, own, present)
        if present.is_owner and not is_owner:
            _check_not_last_owner(seats, present)
    await _put_seat(tx, shop_id, account_id, is_owner=is_owner, scopes=wanted)
    await record(
        tx, actor, "seat.granted", subject=str(shop_id), account_id=account_id, scopes=wanted, is_owner=is_owner
    )
    return await tx.one(
        SeatHolder,
        """
        SELECT seat.account_id, account.handle, account.name, seat.is_owner, seat.scopes
        FROM identity.seat JOIN identity.account ON account.id = seat.account_id
        WHERE seat.shop_id = %(shop_id)s AND seat.account_id = %(account_id)s
        """,
        shop_id=shop_id,
        account_id=account_id,
    )


async def revoke_seat(tx: Tx, actor: Actor, shop_id: ShopId, account_id: AccountId) -> None:
    """Take a seat back, under the rules of granting; anybody may leave. Refuses `NotFound`, `LastOwner`."""
    own = await find_seat(tx, actor, shop_id)
    if own is None:
        raise NotFound()
    leaving = own.account_id == account_id
    if not leaving or actor.account_id is None:
        _check_reach(actor, own, Scope.staff)
    seats = await _lock_seats(tx, shop_id)
    present = next((seat for seat in seats if seat.account_id == account_id), None)
    if present is None:
        raise NotFound()
    if not leaving:
        _check_may_take(actor, own, present)
    if present.is_owner:
        _check_not_last_owner(seats, present)
    await tx.run(
        "DELETE FROM identity.seat WHERE shop_id = %(shop_id)s AND account_id = %(account_id)s",
        shop_id=shop_id,
        account_id=account_id,
    )
    await record(tx, actor, "seat.revoked", subject=str(shop_id), account_id=account_id)
    tx.tell(SeatRevoked(shop_id=shop_id, account_id=account_id))


async def _put_seat(tx: Tx, shop_id: ShopId, account_id: AccountId, *, is_owner: bool, scopes: list[Scope]) -> None:
    await tx.run(
        """
        INSERT INTO identity.seat (shop_id, account_id, is_owner, scopes, granted_at)
        VALUES (%(shop_id)s, %(account_id)s, %(is_owner)s, %(scopes)s, %(now)s)
        ON CONFLICT (shop_id, account_id) DO UPDATE
        SET is_owner = excluded.is_owner, scopes = excluded.scopes, granted_at = excluded.granted_at
        """,
        shop_id=shop_id,
        account_id=account_id,
        is_owner=is_owner,
        scopes=[scope.value for scope in scopes],
        now=tx.now,
    )
    tx.tell(SeatGranted(shop_id=shop_id, account_id=account_id, scopes=tuple(scopes)))


async def _lock_seats(tx: Tx, shop_id: ShopId) -> list[Seat]:
    return await tx.all(
        Seat,
        """
        SELECT shop_id, account_id, is_owner, scopes FROM identity.seat
        WHERE shop_id = %(shop_id)s ORDER BY account_id FOR UPDATE
        """,
        shop_id=shop_id,
    )


def _check_reach(actor: Actor, seat: Seat, scope: Scope) -> None:
    if not _reaches(actor, seat, [scope]):
        raise ScopeLacking(scope=scope)


def _reaches(actor: Actor, seat: Seat, scopes: list[Scope]) -> bool:
    return all(
        scope in seat.scopes and (actor.token_scopes is None or scope.value in actor.token_scopes) for scope in scopes
    )


def _check_may_take(actor: Actor, own: Seat, other: Seat) -> None:
    """What somebody holds beyond one's own reach is not one's own to take."""
    if other.is_owner and not own.is_owner:
        raise ScopeLacking(scope="owner")
    if not _reaches(actor, own, other.scopes):
        raise ScopeLacking(scope=next(scope for scope in other.scopes if not _reaches(actor, own, [scope])))


def _check_not_last_owner(seats: list[Seat], leaving: Seat) -> None:
    if sum(seat.is_owner for seat in seats) <= 1:
        raise LastOwner(shop_id=leaving.shop_id)
