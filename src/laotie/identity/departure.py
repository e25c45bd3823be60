"""Leaving: everything that is held about a person, as JSON, and its erasure.

Other rooms add their part to the export when they are imported, and blank what names a person on `AccountErased`.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec

from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, ShopId, ViewerId
from laotie.events.identity import AccountErased, SessionsEnded
from laotie.identity.accounts import confirm_password, get_account
from laotie.identity.addresses import list_addresses
from laotie.identity.attempts import Attempts
from laotie.identity.audit_log import record
from laotie.identity.guests import merged_guests
from laotie.identity.model import Account, Actor, Address, LastOwner, Seat, Session, Token
from laotie.identity.seats import list_seats
from laotie.identity.sessions import end_sessions, list_sessions
from laotie.identity.tokens import list_tokens

ACTS_MAX = 10_000

Export = Callable[[Tx, AccountId], Awaitable[object]]

_exports: dict[str, Export] = {}


class Act(msgspec.Struct, frozen=True):
    """What the audit log holds of the person's own doing."""

    at: datetime
    act: str
    subject: str
    address: str | None


class IdentityExport(msgspec.Struct, frozen=True, kw_only=True):
    """What this room holds about a person."""

    account: Account
    addresses: list[Address]
    sessions: list[Session]
    tokens: list[Token]
    seats: list[Seat]
    acts: list[Act]


def add_to_export(room: str, export: Export) -> None:
    """Have a room's own records about a person in their export, under the room's name."""
    assert room not in _exports and room != "identity", f"{room} is exported already"
    _exports[room] = export


async def export_account(tx: Tx, actor: Actor) -> dict[str, object]:
    """Everything held about the actor, by room. Recorded in the audit log."""
    account_id = actor.signed_in()
    own = IdentityExport(
        account=await get_account(tx, actor),
        addresses=await list_addresses(tx, actor),
        sessions=await list_sessions(tx, actor),
        tokens=await list_tokens(tx, actor),
        seats=await list_seats(tx, actor),
        acts=await tx.all(
            Act,
            """
            SELECT at, act, subject, address FROM identity.audit_entry
            WHERE actor_id = %(account_id)s ORDER BY id DESC LIMIT %(limit)s
            """,
            account_id=account_id,
            limit=ACTS_MAX,
        ),
    )
    await record(tx, actor, "account.exported", subject=str(account_id))
    others = {room: await export(tx, account_id) for room, export in sorted(_exports.items())}
    return {"exported_at": tx.now, "identity": own, **others}


async def erase_account(db: Database, actor: Actor, *, password: str, attempts: Attempts) -> None:
    """Remove what names the person and end their sign-ins, tokens and seats; their id stays, as a pseudonym.

    Tells `AccountErased`. Refuses `PasswordWrong`, `TooFast`, and `LastOwner` while a shop would be left without an
    owner. Locks the account and the seats of its shops. Opens its own transactions.
    """
    account_id = (await confirm_password(db, actor, password, attempts=attempts)).id
    async with db.tx() as tx:
        await tx.run("SELECT FROM identity.account WHERE id = %(id)s FOR UPDATE", id=account_id)
        await _leave_shops(tx, account_id)
        await tx.run(
            """
            UPDATE identity.account
            SET handle = NULL, password_hash = NULL, name = '—', avatar = NULL, about = '', roles = '{}',
                erased_at = %(now)s
            WHERE id = %(id)s AND erased_at IS NULL
            """,
            id=account_id,
            now=tx.now,
        )
        await tx.run("DELETE FROM identity.address WHERE account_id = %(id)s", id=account_id)
        await tx.run("DELETE FROM identity.token WHERE account_id = %(id)s", id=account_id)
        await end_sessions(tx, account_id)
        tx.tell(SessionsEnded(account_id=account_id, session_ids=()))
        await record(tx, None, "account.erased", subject=str(account_id))
        await tx.run(
            "UPDATE identity.audit_entry SET address = NULL WHERE actor_id = %(id)s AND address IS NOT NULL",
            id=account_id,
        )
        guests = await merged_guests(tx, ViewerId(account_id))
        tx.tell(AccountErased(account_id=account_id, guest_ids=tuple(sorted(guests))))


class _Owned(msgspec.Struct, frozen=True):
    shop_id: ShopId
    owners: int


async def _leave_shops(tx: Tx, account_id: AccountId) -> None:
    owned = await tx.all(
        _Owned,
        """
        WITH locked AS (
            SELECT shop_id, account_id, is_owner FROM identity.seat
            WHERE shop_id IN (SELECT shop_id FROM identity.seat WHERE account_id = %(id)s)
            ORDER BY shop_id, account_id FOR UPDATE
        )
        SELECT shop_id, count(*) FILTER (WHERE is_owner) AS owners FROM locked
        GROUP BY shop_id HAVING bool_or(is_owner AND account_id = %(id)s)
        """,
        id=account_id,
    )
    for shop in owned:
        if shop.owners <= 1:
            raise LastOwner(shop_id=shop.shop_id)
    await tx.run("DELETE FROM identity.seat WHERE account_id = %(id)s", id=account_id)
