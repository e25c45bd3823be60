"""Accounts: opened, signed in to, shown, changed.

Where a password is hashed or checked, no transaction is open: it takes longer than any statement. Those functions take
the database instead of a transaction, and say so.
"""

from collections.abc import Collection
from datetime import timedelta

import msgspec
from psycopg import errors

from laotie import uploads
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, ViewerId
from laotie.base.refusals import IdReused, NotFound
from laotie.events.identity import AccountRegistered, ProfileChanged
from laotie.identity.attempts import Attempts
from laotie.identity.audit_log import record
from laotie.identity.guests import merge_guest
from laotie.identity.model import (
    ABOUT_LENGTH_MAX,
    LOCALES,
    NAME_LENGTH_MAX,
    URL_LENGTH_MAX,
    Account,
    Actor,
    CredentialsWrong,
    HandleTaken,
    PasswordWrong,
    Profile,
    ProfileRefused,
    Role,
    check_password,
    is_plain_text,
    plain_handle,
)
from laotie.identity.passwords import hash_password, is_outdated, is_password
from laotie.identity.sessions import Opened, end_session, end_sessions, open_session

PROFILES_MAX = 1_000


class SignedIn(msgspec.Struct, frozen=True):
    """An account and the session just opened for it."""

    account: Account
    session: Opened
    fresh: bool


class _Credentials(msgspec.Struct, frozen=True):
    id: AccountId
    handle: str
    name: str
    password_hash: str


async def register(
    db: Database,
    actor: Actor,
    account_id: AccountId,
    *,
    handle: str,
    password: str,
    name: str,
    attempts: Attempts,
    lasts: timedelta,
) -> SignedIn:
    """Open an account under the client's own id and sign it in; a guest becomes it.

    Said again with the same content it signs in again. Refuses `HandleTaken`, `HandleRefused`, `PasswordRefused`,
    `ProfileRefused`, `IdReused`, `TooFast`. Opens its own transactions.
    """
    handle = plain_handle(handle)
    check_password(password, handle=handle)
    name = _checked_name(name)
    async with db.read() as tx:
        before = await _find_credentials(tx, account_id=account_id)
    if before is not None:
        return await _register_again(db, actor, before, handle=handle, password=password, name=name, lasts=lasts)
    attempts.count_registration(address=actor.address or "")
    password_hash = await hash_password(password)
    async with db.tx() as tx:
        await create_account(tx, account_id, handle=handle, password_hash=password_hash, name=name)
        await record(tx, None, "account.registered", subject=str(account_id))
        return await _enter(tx, actor, account_id, lasts=lasts, fresh=True)


async def create_account(
    tx: Tx,
    account_id: AccountId,
    *,
    handle: str,
    password_hash: str,
    name: str,
    roles: Collection[Role] = (),
    about: str = "",
    avatar: str | None = None,
) -> None:
    """Write an account (for registration, set-up and imports), or refuse with `HandleTaken` or `IdReused`."""
    try:
        async with tx.savepoint():
            await tx.run(
                """
                INSERT INTO identity.account (id, handle, name, avatar, about, password_hash, roles, created_at)
                VALUES (%(id)s, %(handle)s, %(name)s, %(avatar)s, %(about)s, %(password_hash)s, %(roles)s, %(now)s)
                """,
                id=account_id,
                handle=plain_handle(handle),
                name=_checked_name(name),
                avatar=avatar,
                about=about,
                password_hash=password_hash,
                roles=sorted(role.value for role in roles),
                now=tx.now,
            )
    except errors.UniqueViolation as taken:
        if taken.diag.constraint_name == "account_pkey":
            raise IdReused() from None
        raise HandleTaken() from None
    tx.tell(AccountRegistered(account_id=account_id, name=name))


async def _register_again(
    db: Database, actor: Actor, before: _Credentials, *, handle: str, password: str, name: str, lasts: timedelta
) -> SignedIn:
    same = before.handle == handle and before.name == name
    if not await is_password(before.password_hash, password) or not same:
        raise IdReused()
    async with db.tx() as tx:
        return await _enter(tx, actor, before.id, lasts=lasts, fresh=False)


async def sign_in(
    db: Database, actor: Actor, *, handle: str, password: str, attempts: Attempts, lasts: timedelta
) -> SignedIn:
    """Open a session for whoever knows the password; a guest becomes the account.

    Refuses `CredentialsWrong` (in the same time for handles that nobody has) and `TooFast`. Opens its own transactions.
    """
    plain = plain_handle(handle)
    address = actor.address or ""
    attempts.check_sign_in(handle=plain, address=address)
    async with db.read() as tx:
        found = await _find_credentials(tx, handle=plain)
    if not await is_password(None if found is None else found.password_hash, password) or found is None:
        attempts.count_wrong(handle=plain, address=address)
        raise CredentialsWrong()
    renewed = await hash_password(password) if is_outdated(found.password_hash) else None
    async with db.tx() as tx:
        if renewed is not None:
            await tx.run(
                """
                UPDATE identity.account SET password_hash = %(renewed)s
                WHERE id = %(id)s AND password_hash = %(before)s
                """,
                id=found.id,
                renewed=renewed,
                before=found.password_hash,
            )
        return await _enter(tx, actor, found.id, lasts=lasts, fresh=True, password_hash=renewed or found.password_hash)


async def _enter(
    tx: Tx,
    actor: Actor,
    account_id: AccountId,
    *,
    lasts: timedelta,
    fresh: bool,
    password_hash: str | None = None,
) -> SignedIn:
    """Open the session in place of the present one, if the password that was checked is still the password."""
    account = await tx.maybe(
        Account,
        """
        SELECT id, handle, name, avatar, about, locale, roles, created_at FROM identity.account
        WHERE id = %(id)s AND erased_at IS NULL
          AND (%(password_hash)s::text IS NULL OR password_hash = %(password_hash)s)
        FOR SHARE
        """,
        id=account_id,
        password_hash=password_hash,
    )
    if account is None:
        raise CredentialsWrong()
    if actor.is_known_guest:
        await merge_guest(tx, actor.viewer_id, account_id)
    if actor.session_id is not None:
        await end_session(tx, actor, actor.session_id)
    session = await open_session(tx, account_id, user_agent=actor.user_agent, address=actor.address or "", lasts=lasts)
    return SignedIn(account, session, fresh)


async def change_password(db: Database, actor: Actor, *, old: str, new: str, attempts: Attempts) -> None:
    """Replace the password and sign every other device out. Refuses `PasswordWrong`, `PasswordRefused`, `TooFast`.

    Opens its own transactions.
    """
    found = await confirm_password(db, actor, old, attempts=attempts)
    check_password(new, handle=found.handle)
    password_hash = await hash_password(new)
    async with db.tx() as tx:
        changed = await tx.run(
            "UPDATE identity.account SET password_hash = %(new)s WHERE id = %(id)s AND password_hash = %(before)s",
            id=found.id,
            new=password_hash,
            before=found.password_hash,
        )
        if not changed:
            raise PasswordWrong()
        await end_sessions(tx, found.id, but=actor.session_id)
        await record(tx, actor, "password.changed", subject=str(found.id))


async def confirm_password(db: Database, actor: Actor, password: str, *, attempts: Attempts) -> _Credentials:
    """Make sure that it is the account's owner who asks, or refuse with `PasswordWrong` or `TooFast`."""
    async with db.read() as tx:
        found = await _find_credentials(tx, account_id=actor.signed_in())
    if found is None:
        raise NotFound()
    address = actor.address or ""
    attempts.check_sign_in(handle=found.handle, address=address)
    if not await is_password(found.password_hash, password):
        attempts.count_wrong(handle=found.handle, address=address)
        raise PasswordWrong()
    return found


async def _find_credentials(
    tx: Tx, *, account_id: AccountId | None = None, handle: str | None = None
) -> _Credentials | None:
    return await tx.maybe(
        _Credentials,
        """
        SELECT id, handle, name, password_hash FROM identity.account
        WHERE (id = %(account_id)s OR handle = %(handle)s) AND erased_at IS NULL
        """,
        account_id=account_id,
        handle=handle,
    )


async def get_account(tx: Tx, actor: Actor) -> Account:
    """The actor's own account."""
    account = await tx.maybe(
        Account,
        """
        SELECT id, handle, name, avatar, about, locale, roles, created_at FROM identity.account
        WHERE id = %(id)s AND erased_at IS NULL
        """,
        id=actor.signed_in(),
    )
    if account is None:
        raise NotFound()
    return account


async def change_profile(
    tx: Tx,
    actor: Actor,
    *,
    name: str | None = None,
    avatar: str | None = None,
    about: str | None = None,
    locale: str | None = None,
) -> Account:
    """Change what is given; an empty avatar removes it. Told when the public face changed."""
    if avatar and not (
        len(avatar) <= URL_LENGTH_MAX and is_plain_text(avatar) and avatar.startswith(("https://", "/"))
    ):
        raise ProfileRefused(part="avatar")
    if about is not None and not (len(about) <= ABOUT_LENGTH_MAX and is_plain_text(about.replace("\n", " "))):
        raise ProfileRefused(part="about")
    if locale is not None and locale not in LOCALES:
        raise ProfileRefused(part="locale")
    before = await get_account(tx, actor)
    after = await tx.one(
        Account,
        """
        UPDATE identity.account
        SET name = COALESCE(%(name)s, name), avatar = NULLIF(COALESCE(%(avatar)s, avatar), ''),
            about = COALESCE(%(about)s, about), locale = COALESCE(%(locale)s, locale)
        WHERE id = %(id)s
        RETURNING id, handle, name, avatar, about, locale, roles, created_at
        """,
        id=before.id,
        name=None if name is None else _checked_name(name),
        avatar=avatar,
        about=about,
        locale=locale,
    )
    if before.avatar != after.avatar:
        await uploads.show_pictures(tx, f"account:{after.id}", [after.avatar])
    if (before.name, before.avatar) != (after.name, after.avatar):
        tx.tell(ProfileChanged(account_id=after.id, name=after.name, avatar=after.avatar))
    return after


async def find_profiles(tx: Tx, account_ids: Collection[AccountId]) -> dict[AccountId, Profile]:
    """The public faces of accounts, by id; ids of guests are left out."""
    assert len(account_ids) <= PROFILES_MAX
    found = await tx.all(
        Profile,
        "SELECT id, name, avatar, about FROM identity.account WHERE id = ANY(%(ids)s)",
        ids=list(account_ids),
    )
    return {profile.id: profile for profile in found}


async def get_profile(tx: Tx, account_id: AccountId | ViewerId) -> Profile:
    """One public face, or `NotFound`."""
    found = await find_profiles(tx, [AccountId(account_id)])
    if not found:
        raise NotFound()
    return found[AccountId(account_id)]


async def has_role(tx: Tx, account_id: AccountId, role: Role) -> bool:
    """Whether an account has a role of its own (`streamer`, `operator`)."""
    return bool(
        await tx.all(
            bool,
            "SELECT true FROM identity.account WHERE id = %(id)s AND %(role)s = ANY(roles)",
            id=account_id,
            role=role.value,
        )
    )


async def list_with_role(tx: Tx, role: Role, *, limit: int) -> list[AccountId]:
    """Accounts that have a role of their own, at most `limit` (for telling them something)."""
    return await tx.all(
        AccountId,
        """
        SELECT id FROM identity.account WHERE %(role)s = ANY(roles) AND erased_at IS NULL ORDER BY id LIMIT %(limit)s
        """,
        role=role.value,
        limit=limit,
    )


async def give_role(tx: Tx, account_id: AccountId, role: Role) -> None:
    """Make an account a streamer or an operator (set-up, and the platform's own acts)."""
    assert role in (Role.streamer, Role.operator)
    changed = await tx.run(
        """
        UPDATE identity.account SET roles = array_append(array_remove(roles, %(role)s), %(role)s)
        WHERE id = %(id)s AND erased_at IS NULL
        """,
        id=account_id,
        role=role.value,
    )
    if not changed:
        raise NotFound()
    await record(tx, None, "role.given", subject=str(account_id), role=role)


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= NAME_LENGTH_MAX or not is_plain_text(name):
        raise ProfileRefused(part="name")
    return name
