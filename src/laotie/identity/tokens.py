"""API tokens: keys for programs, with a name, a reach and an end."""

import secrets
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from psycopg import errors

from laotie.base.db import Tx
from laotie.base.refusals import IdReused, NotFound
from laotie.events.identity import SessionsEnded
from laotie.identity.audit_log import record
from laotie.identity.model import (
    TOKEN_DAYS_MAX,
    TOKENS_MAX,
    Actor,
    Role,
    ScopesRefused,
    Token,
    TokenId,
    TokenScope,
    TokenTermRefused,
    TooMany,
)
from laotie.identity.sessions import TOKEN_PREFIX, hash_secret


class Made(msgspec.Struct, frozen=True):
    """A token and, only when it was made just now, its secret."""

    token: Token
    secret: str | None


async def create_token(
    tx: Tx, actor: Actor, token_id: TokenId, *, name: str, scopes: list[TokenScope], expires_at: datetime
) -> Made:
    """Make a token under the client's id; said again it answers without the secret.

    A token never reaches further than the one who makes it. Refuses `ScopesRefused`, `TokenTermRefused`, `TooMany`,
    `IdReused`. Locks the account.
    """
    account_id = actor.signed_in()
    wanted = [scope for scope in TokenScope if scope in scopes]
    beyond = actor.token_scopes is not None and not actor.token_scopes.issuperset(wanted)
    if not wanted or beyond or (TokenScope.operator in wanted and Role.operator not in actor.roles):
        raise ScopesRefused()
    await tx.run("SELECT FROM identity.account WHERE id = %(id)s FOR NO KEY UPDATE", id=account_id)
    present = await list_tokens(tx, actor)
    before = next((token for token in present if token.id == token_id), None)
    if before is not None:
        if (before.name, before.scopes, before.expires_at) != (name, wanted, expires_at):
            raise IdReused()
        return Made(before, None)
    if not tx.now < expires_at <= tx.now + timedelta(days=TOKEN_DAYS_MAX):
        raise TokenTermRefused()
    if len(present) >= TOKENS_MAX:
        raise TooMany(count_max=TOKENS_MAX)
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    try:
        async with tx.savepoint():
            token = await tx.one(
                Token,
                """
                INSERT INTO identity.token (id, account_id, name, secret_hash, scopes, created_at, expires_at)
                VALUES (%(id)s, %(account_id)s, %(name)s, %(secret_hash)s, %(scopes)s, %(now)s, %(expires_at)s)
                RETURNING id, name, scopes, created_at, expires_at, last_used_at
                """,
                id=token_id,
                account_id=account_id,
                name=name,
                secret_hash=hash_secret(secret),
                scopes=[scope.value for scope in wanted],
                now=tx.now,
                expires_at=expires_at,
            )
    except errors.UniqueViolation:
        raise IdReused() from None
    await record(tx, actor, "token.created", subject=str(token_id), scopes=wanted)
    return Made(token, secret)


async def list_tokens(tx: Tx, actor: Actor) -> list[Token]:
    """The actor's tokens that still work, oldest first."""
    return await tx.all(
        Token,
        """
        SELECT id, name, scopes, created_at, expires_at, last_used_at FROM identity.token
        WHERE account_id = %(account_id)s AND expires_at > %(now)s ORDER BY id LIMIT %(limit)s
        """,
        account_id=actor.signed_in(),
        now=tx.now,
        limit=TOKENS_MAX,
    )


async def revoke_token(tx: Tx, actor: Actor, token_id: TokenId) -> None:
    """End a token at once, or `NotFound`."""
    ended = await tx.all(
        UUID,
        "DELETE FROM identity.token WHERE id = %(id)s AND account_id = %(account_id)s RETURNING id",
        id=token_id,
        account_id=actor.signed_in(),
    )
    if not ended:
        raise NotFound()
    await record(tx, actor, "token.revoked", subject=str(token_id))
    tx.tell(SessionsEnded(account_id=actor.signed_in(), session_ids=tuple(ended)))
