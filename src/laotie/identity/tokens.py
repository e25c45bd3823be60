"""API keys: made for programs, with a name, scopes, shops and an end; taken over by others, ended, told of in time.

A secret is `laotie_`, 40 letters and digits, and six more that check them: `laotie_[0-9A-Za-z]{46}`, so that scanners of
source code know one when they see it. The database keeps its hash and its last four characters.
"""

import secrets
import string
import zlib
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from psycopg import errors

from laotie import messages
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, ShopId, ViewerId
from laotie.base.refusals import IdReused, NotFound
from laotie.events.identity import SessionsEnded
from laotie.identity.audit_log import record
from laotie.identity.model import (
    TOKEN_DAYS_MAX,
    TOKEN_SHOPS_MAX,
    TOKENS_MAX,
    Actor,
    KeyReplaced,
    Role,
    Scope,
    ScopesRefused,
    ShopKey,
    ShopsRefused,
    Token,
    TokenId,
    TokenScope,
    TokenTermRefused,
    TooMany,
)
from laotie.identity.seats import list_seats, require_seat
from laotie.identity.sessions import hash_secret

PREFIX = "laotie_"
SECRET_LENGTH, CHECK_LENGTH, HINT_LENGTH = 40, 6, 4
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
TOLD_BEFORE = timedelta(days=7)
LONG_LIVED = timedelta(days=14)
"""Of a key that was made for a shorter time nobody has to be reminded."""
TOLD_AT_ONCE = 100


class MadeKey(msgspec.Struct, frozen=True):
    """A token and, only when it was made just now, its secret."""

    token: Token
    secret: str | None


async def create_token(
    tx: Tx,
    actor: Actor,
    token_id: TokenId,
    *,
    name: str,
    scopes: list[TokenScope],
    expires_at: datetime,
    shop_ids: list[ShopId] | None = None,
) -> MadeKey:
    """Make a token under the client's id; said again it answers without the secret.

    A token never reaches further than the one who makes it. Refuses `ScopesRefused`, `ShopsRefused`,
    `TokenTermRefused`, `TooMany`, `IdReused`. Locks the account.
    """
    account_id = actor.signed_in()
    wanted = [scope for scope in TokenScope if scope in scopes]
    beyond = actor.token_scopes is not None and any(
        scope not in actor.token_scopes and scope.whole not in actor.token_scopes for scope in wanted
    )
    if not wanted or beyond or (TokenScope.operator in wanted and Role.operator not in actor.roles):
        raise ScopesRefused()
    bound = None if shop_ids is None else sorted(set(shop_ids))
    before = await _lock_and_find(tx, account_id, token_id)
    if before is not None:
        if (before.name, before.scopes, before.shop_ids, before.expires_at) != (name, wanted, bound, expires_at):
            raise IdReused()
        return MadeKey(before, None)
    await _check_shops(tx, actor, bound)
    if not tx.now < expires_at <= tx.now + timedelta(days=TOKEN_DAYS_MAX):
        raise TokenTermRefused()
    made = await _write(tx, account_id, token_id, name=name, scopes=wanted, shop_ids=bound, expires_at=expires_at)
    await record(tx, actor, "token.created", subject=str(token_id), scopes=wanted, shop_ids=bound)
    return made


async def rotate_token(
    tx: Tx, actor: Actor, token_id: TokenId, new_id: TokenId, *, overlap_h: int, expires_at: datetime | None = None
) -> MadeKey:
    """Make the key that takes over from another one, which works on for so many hours. Said again: no secret.

    Name, scopes and shops stay; without `expires_at` the new key lasts as long as the old one was made for.
    Refuses `KeyReplaced`, `NotFound`, `TokenTermRefused`, `TooMany`. Locks the account.
    """
    account_id = actor.signed_in()
    before = await _lock_and_find(tx, account_id, new_id)
    old = await _lock_and_find(tx, account_id, token_id)
    if old is None or old.expires_at <= tx.now:
        raise NotFound()
    if old.replaced_by is not None:
        if old.replaced_by != new_id or before is None:
            raise KeyReplaced()
        return MadeKey(before, None)
    if actor.token_scopes is not None and not actor.token_scopes.issuperset(old.scopes):
        raise ScopesRefused()
    await _check_shops(tx, actor, old.shop_ids)
    lasts = old.expires_at - old.created_at
    until = expires_at or tx.now + lasts
    if not tx.now < until <= tx.now + timedelta(days=TOKEN_DAYS_MAX):
        raise TokenTermRefused()
    made = await _write(
        tx, account_id, new_id, name=old.name, scopes=old.scopes, shop_ids=old.shop_ids, expires_at=until
    )
    await tx.run(
        "UPDATE identity.token SET replaced_by = %(new_id)s, expires_at = %(expires_at)s WHERE id = %(id)s",
        id=token_id,
        new_id=new_id,
        expires_at=min(old.expires_at, tx.now + timedelta(hours=overlap_h)),
    )
    await record(tx, actor, "token.rotated", subject=str(token_id), replaced_by=str(new_id), overlap_h=overlap_h)
    if not overlap_h:
        tx.tell(SessionsEnded(account_id=account_id, session_ids=(token_id,)))
    return made


async def list_tokens(tx: Tx, actor: Actor) -> list[Token]:
    """The actor's tokens that still work, oldest first."""
    return await tx.all(
        Token,
        """
        SELECT id, name, scopes, shop_ids, hint, created_at, expires_at, last_used_at, replaced_by
        FROM identity.token
        WHERE account_id = %(account_id)s AND expires_at > %(now)s ORDER BY id LIMIT %(limit)s
        """,
        account_id=actor.signed_in(),
        now=tx.now,
        limit=TOKENS_MAX,
    )


async def list_shop_keys(tx: Tx, actor: Actor, shop_id: ShopId) -> list[ShopKey]:
    """Every key by which a program can act for the shop, whoever made it. Needs the scope `staff`."""
    await require_seat(tx, actor, shop_id, Scope.staff)
    return await tx.all(
        ShopKey,
        """
        SELECT token.id, token.name, token.scopes, token.shop_ids, token.hint, token.created_at, token.expires_at,
               token.last_used_at, token.replaced_by, account.id AS holder_id, account.name AS holder_name
        FROM identity.seat
        JOIN identity.token ON token.account_id = seat.account_id
        JOIN identity.account ON account.id = seat.account_id
        WHERE seat.shop_id = %(shop_id)s AND token.expires_at > %(now)s
          AND (token.shop_ids IS NULL OR token.shop_ids @> ARRAY[%(shop_id)s::uuid])
        ORDER BY token.id LIMIT 500
        """,
        shop_id=shop_id,
        now=tx.now,
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


class _Bound(msgspec.Struct, frozen=True):
    account_id: AccountId
    shop_ids: list[ShopId]


async def revoke_shop_key(tx: Tx, actor: Actor, shop_id: ShopId, token_id: TokenId) -> None:
    """Take the shop from a key that is bound to it; one that reaches nothing else ends. Needs the scope `staff`.

    A key that is bound to no shop reaches this one by its holder's seat, and goes with it: `NotFound` here.
    """
    await require_seat(tx, actor, shop_id, Scope.staff)
    bound = await tx.maybe(
        _Bound,
        """
        SELECT account_id, shop_ids FROM identity.token
        WHERE id = %(id)s AND shop_ids @> ARRAY[%(shop_id)s::uuid] FOR UPDATE
        """,
        id=token_id,
        shop_id=shop_id,
    )
    if bound is None:
        raise NotFound()
    if bound.shop_ids == [shop_id]:
        await tx.run("DELETE FROM identity.token WHERE id = %(id)s", id=token_id)
    else:
        await tx.run(
            "UPDATE identity.token SET shop_ids = array_remove(shop_ids, %(shop_id)s) WHERE id = %(id)s",
            id=token_id,
            shop_id=shop_id,
        )
    await record(tx, actor, "token.revoked", subject=str(token_id), shop_id=str(shop_id), holder=str(bound.account_id))
    tx.tell(SessionsEnded(account_id=bound.account_id, session_ids=(token_id,)))


class _Ending(msgspec.Struct, frozen=True):
    id: TokenId
    account_id: AccountId
    name: str
    hint: str
    expires_at: datetime


async def tell_expiring(db: Database) -> int:
    """Tell holders, once a key, that it ends within a week and nothing takes over. How many were told."""
    async with db.tx() as tx:
        ending = await tx.all(
            _Ending,
            """
            UPDATE identity.token SET told_at = %(now)s WHERE id IN (
                SELECT id FROM identity.token
                WHERE told_at IS NULL AND replaced_by IS NULL AND expires_at BETWEEN %(now)s AND %(soon)s
                  AND expires_at - created_at > %(long)s
                ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
            RETURNING id, account_id, name, hint, expires_at
            """,
            now=tx.now,
            soon=tx.now + TOLD_BEFORE,
            long=LONG_LIVED,
            limit=TOLD_AT_ONCE,
        )
        for key in ending:
            facts = {"name": key.name, "hint": key.hint, "on": key.expires_at.date().isoformat()}
            await messages.notify_many(
                tx, [ViewerId(key.account_id)], "key_expiring", facts, "/me", once=key.id
            )
    return len(ending)


async def _check_shops(tx: Tx, actor: Actor, shop_ids: list[ShopId] | None) -> None:
    """A key reaches no shop that its maker does not."""
    if shop_ids is None:
        if actor.token_shops is not None:
            raise ShopsRefused()
        return
    seats = {seat.shop_id for seat in await list_seats(tx, actor)}
    if not 1 <= len(shop_ids) <= TOKEN_SHOPS_MAX or not seats.issuperset(shop_ids):
        raise ShopsRefused()


async def _lock_and_find(tx: Tx, account_id: AccountId, token_id: TokenId) -> Token | None:
    await tx.run("SELECT FROM identity.account WHERE id = %(id)s FOR NO KEY UPDATE", id=account_id)
    return await tx.maybe(
        Token,
        """
        SELECT id, name, scopes, shop_ids, hint, created_at, expires_at, last_used_at, replaced_by
        FROM identity.token WHERE id = %(id)s AND account_id = %(account_id)s
        """,
        id=token_id,
        account_id=account_id,
    )


async def _write(
    tx: Tx,
    account_id: AccountId,
    token_id: TokenId,
    *,
    name: str,
    scopes: list[TokenScope],
    shop_ids: list[ShopId] | None,
    expires_at: datetime,
) -> MadeKey:
    present = await tx.one(
        int,
        "SELECT count(*) FROM identity.token WHERE account_id = %(id)s AND expires_at > %(now)s",
        id=account_id,
        now=tx.now,
    )
    if present >= TOKENS_MAX:
        raise TooMany(count_max=TOKENS_MAX)
    secret = make_secret()
    try:
        async with tx.savepoint():
            token = await tx.one(
                Token,
                """
                INSERT INTO identity.token
                    (id, account_id, name, secret_hash, scopes, shop_ids, hint, created_at, expires_at)
                VALUES (%(id)s, %(account_id)s, %(name)s, %(secret_hash)s, %(scopes)s, %(shop_ids)s, %(hint)s, %(now)s,
                        %(expires_at)s)
                RETURNING id, name, scopes, shop_ids, hint, created_at, expires_at, last_used_at, replaced_by
                """,
                id=token_id,
                account_id=account_id,
                name=name,
                secret_hash=hash_secret(secret),
                scopes=[scope.value for scope in scopes],
                shop_ids=shop_ids,
                hint=secret[-HINT_LENGTH:],
                now=tx.now,
                expires_at=expires_at,
            )
    except errors.UniqueViolation:
        raise IdReused() from None
    return MadeKey(token, secret)


def make_secret() -> str:
    """A fresh secret: 238 random bits and their check."""
    random = "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH))
    return PREFIX + random + _check(random)


def is_secret(text: str) -> bool:
    """Whether this has the form of one of our secrets, check included (for scanners; nothing is looked up)."""
    random, check = text[len(PREFIX) : -CHECK_LENGTH], text[-CHECK_LENGTH:]
    plain = len(random) == SECRET_LENGTH and all(letter in ALPHABET for letter in random)
    return text.startswith(PREFIX) and plain and _check(random) == check


def _check(random: str) -> str:
    number, letters = zlib.crc32(random.encode("ascii")), ""
    for _ in range(CHECK_LENGTH):
        number, place = divmod(number, len(ALPHABET))
        letters = ALPHABET[place] + letters
    return letters
