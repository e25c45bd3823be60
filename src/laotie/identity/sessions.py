"""Sign-ins: opened, found by their secret, listed, ended. The database holds only a hash of the secret."""

import hashlib
import secrets
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import AccountId, ShopId, ViewerId, new_id
from laotie.base.refusals import NotFound
from laotie.events.identity import SessionsEnded
from laotie.identity.model import SESSIONS_MAX, Actor, Role, Session, SessionId, TokenId, TokenScope

SEEN_AGAIN_AFTER_S = 60


class Opened(msgspec.Struct, frozen=True):
    """A fresh sign-in. The secret goes into the cookie and nowhere else."""

    id: SessionId
    secret: str


def hash_secret(secret: str) -> bytes:
    """What the database keeps of a secret. Secrets are 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


async def open_session(tx: Tx, account_id: AccountId, *, user_agent: str, address: str, lasts: timedelta) -> Opened:
    """Sign an account in. The oldest sign-ins give way beyond `SESSIONS_MAX`."""
    opened = Opened(SessionId(new_id()), secrets.token_urlsafe(32))
    await tx.run(
        """
        INSERT INTO identity.session
            (id, account_id, secret_hash, user_agent, address, created_at, last_seen_at, expires_at)
        VALUES (%(id)s, %(account_id)s, %(secret_hash)s, %(user_agent)s, %(address)s, %(now)s, %(now)s, %(expires_at)s)
        """,
        id=opened.id,
        account_id=account_id,
        secret_hash=hash_secret(opened.secret),
        user_agent=user_agent[:300],
        address=address,
        now=tx.now,
        expires_at=tx.now + lasts,
    )
    await _end_where_crowded(tx, account_id)
    return opened


async def _end_where_crowded(tx: Tx, account_id: AccountId) -> None:
    ended = await tx.all(
        UUID,
        """
        DELETE FROM identity.session WHERE account_id = %(account_id)s AND (expires_at <= %(now)s OR id IN (
            SELECT id FROM identity.session WHERE account_id = %(account_id)s
            ORDER BY last_seen_at DESC, id DESC OFFSET %(kept)s))
        RETURNING id
        """,
        account_id=account_id,
        now=tx.now,
        kept=SESSIONS_MAX,
    )
    _tell_ended(tx, account_id, ended)


class _Found(msgspec.Struct, frozen=True):
    id: UUID
    account_id: AccountId
    roles: list[Role]
    has_seats: bool
    seen_at: datetime | None
    scopes: list[TokenScope] | None = None
    shop_ids: list[ShopId] | None = None


async def find_by_session(tx: Tx, secret: str, *, lasts: timedelta) -> Actor | None:
    """Who a session cookie belongs to, or nobody. Being seen renews the sign-in, noted at most once a minute."""
    found = await tx.maybe(
        _Found,
        """
        SELECT session.id, account.id AS account_id, account.roles, session.last_seen_at AS seen_at,
               EXISTS (SELECT FROM identity.seat WHERE seat.account_id = account.id) AS has_seats
        FROM identity.session JOIN identity.account ON account.id = session.account_id
        WHERE session.secret_hash = %(secret_hash)s AND session.expires_at > %(now)s AND account.erased_at IS NULL
        """,
        secret_hash=hash_secret(secret),
        now=tx.now,
    )
    if found is None:
        return None
    if found.seen_at is None or (tx.now - found.seen_at).total_seconds() > SEEN_AGAIN_AFTER_S:
        await tx.run(
            "UPDATE identity.session SET last_seen_at = %(now)s, expires_at = %(expires_at)s WHERE id = %(id)s",
            id=found.id,
            now=tx.now,
            expires_at=tx.now + lasts,
        )
    return Actor(
        viewer_id=ViewerId(found.account_id),
        account_id=found.account_id,
        seat_holder_id=found.account_id,
        roles=_roles(found, operator=True),
        session_id=SessionId(found.id),
    )


async def find_by_token(tx: Tx, secret: str) -> Actor | None:
    """Who an API token belongs to and how far it reaches, or nobody."""
    found = await tx.maybe(
        _Found,
        """
        SELECT token.id, account.id AS account_id, account.roles, token.last_used_at AS seen_at, token.scopes,
               token.shop_ids,
               EXISTS (SELECT FROM identity.seat WHERE seat.account_id = account.id) AS has_seats
        FROM identity.token JOIN identity.account ON account.id = token.account_id
        WHERE token.secret_hash = %(secret_hash)s AND token.expires_at > %(now)s AND account.erased_at IS NULL
        """,
        secret_hash=hash_secret(secret),
        now=tx.now,
    )
    if found is None:
        return None
    if found.seen_at is None or (tx.now - found.seen_at).total_seconds() > SEEN_AGAIN_AFTER_S:
        await tx.run("UPDATE identity.token SET last_used_at = %(now)s WHERE id = %(id)s", id=found.id, now=tx.now)
    scopes = frozenset(found.scopes or ())
    personal = TokenScope.account in scopes
    return Actor(
        viewer_id=ViewerId(found.account_id) if personal else ViewerId(new_id()),
        account_id=found.account_id if personal else None,
        seat_holder_id=found.account_id,
        roles=_roles(found, operator=TokenScope.operator in scopes),
        token_id=TokenId(found.id),
        token_scopes=scopes,
        token_shops=None if found.shop_ids is None else frozenset(found.shop_ids),
    )


def _roles(found: _Found, *, operator: bool) -> frozenset[Role]:
    roles = {Role.viewer, *found.roles}
    if found.has_seats:
        roles.add(Role.shop_staff)
    if not operator:
        roles.discard(Role.operator)
    return frozenset(roles)


async def list_sessions(tx: Tx, actor: Actor) -> list[Session]:
    """The actor's own sign-ins, newest first."""
    return await tx.all(
        Session,
        """
        SELECT id, user_agent, address, created_at, last_seen_at FROM identity.session
        WHERE account_id = %(account_id)s AND expires_at > %(now)s ORDER BY id DESC
        """,
        account_id=actor.signed_in(),
        now=tx.now,
    )


async def end_session(tx: Tx, actor: Actor, session_id: SessionId) -> None:
    """Sign one of the actor's devices out, or `NotFound`."""
    ended = await tx.all(
        UUID,
        "DELETE FROM identity.session WHERE id = %(id)s AND account_id = %(account_id)s RETURNING id",
        id=session_id,
        account_id=actor.signed_in(),
    )
    if not ended:
        raise NotFound()
    _tell_ended(tx, actor.signed_in(), ended)


async def end_sessions(tx: Tx, account_id: AccountId, *, but: SessionId | None = None) -> None:
    """Sign an account out everywhere, or everywhere but here. Told, so that every process forgets."""
    ended = await tx.all(
        UUID,
        """
        DELETE FROM identity.session WHERE account_id = %(account_id)s AND id IS DISTINCT FROM %(but)s RETURNING id
        """,
        account_id=account_id,
        but=but,
    )
    _tell_ended(tx, account_id, ended)


def _tell_ended(tx: Tx, account_id: AccountId, ended: list[UUID]) -> None:
    if ended:
        tx.tell(SessionsEnded(account_id=account_id, session_ids=tuple(ended)))
