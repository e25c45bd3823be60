"""Accounts, passwords and guests, through the room's front door."""

from datetime import timedelta

import pytest
from argon2 import PasswordHasher

from laotie import identity
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import AccountId, ViewerId, new_id
from laotie.base.outbox import list_waiting
from laotie.base.refusals import IdReused, TooFast
from laotie.events.identity import AccountErased, AccountRegistered, GuestMerged, SessionsEnded
from laotie.identity import Actor, Attempts, SignedIn
from laotie.identity.model import CredentialsWrong, HandleRefused, HandleTaken, PasswordRefused, plain_handle

LASTS = timedelta(days=30)
PASSWORD = "correct horse battery"


@pytest.fixture
def attempts() -> Attempts:
    return Attempts(registrations_per_hour=5)


def guest(*, known: bool = True) -> Actor:
    return Actor(viewer_id=ViewerId(new_id()), is_known_guest=known, address="192.0.2.1", user_agent="test")


async def register(db: Database, attempts: Attempts, handle: str = "anna", actor: Actor | None = None) -> SignedIn:
    return await identity.register(
        db,
        actor or guest(),
        AccountId(new_id()),
        handle=handle,
        password=PASSWORD,
        name="Anna",
        attempts=attempts,
        lasts=LASTS,
    )


async def sign_in(
    db: Database, attempts: Attempts, *, password: str = PASSWORD, actor: Actor | None = None
) -> SignedIn:
    return await identity.sign_in(
        db, actor or guest(), handle="anna", password=password, attempts=attempts, lasts=LASTS
    )


def owner_of(signed_in: SignedIn) -> Actor:
    account_id = signed_in.account.id
    return Actor(
        viewer_id=ViewerId(account_id),
        account_id=account_id,
        seat_holder_id=account_id,
        session_id=signed_in.session.id,
        address="192.0.2.1",
    )


async def test_registration_is_told_and_the_guest_is_merged_once(db: Database, attempts: Attempts) -> None:
    actor = guest()
    signed_in = await register(db, attempts, actor=actor)
    await sign_in(db, attempts, actor=actor)
    async with db.read() as tx:
        told = [one.event for one in await list_waiting(tx)]
        merged = await identity.merged_guests(tx, ViewerId(signed_in.account.id))
    account_id = signed_in.account.id
    assert told == [
        AccountRegistered(account_id=account_id, name="Anna"),
        GuestMerged(guest_id=actor.viewer_id, account_id=account_id),
    ]
    assert merged == {actor.viewer_id}


async def test_a_guest_belongs_to_the_first_account_that_claims_it(db: Database, attempts: Attempts) -> None:
    shared = guest()
    first = await register(db, attempts, "anna", shared)
    second = await register(db, attempts, "bob", shared)
    async with db.read() as tx:
        assert await identity.merged_guests(tx, ViewerId(first.account.id)) == {shared.viewer_id}
        assert await identity.merged_guests(tx, ViewerId(second.account.id)) == frozenset()


async def test_somebody_without_a_cookie_leaves_no_guest_behind(db: Database, attempts: Attempts) -> None:
    signed_in = await register(db, attempts, actor=guest(known=False))
    async with db.read() as tx:
        assert await identity.merged_guests(tx, ViewerId(signed_in.account.id)) == frozenset()


async def test_an_old_hash_is_renewed_at_sign_in(db: Database, attempts: Attempts) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    async with db.tx() as tx:
        await identity.create_account(tx, AccountId(new_id()), handle="anna", password_hash=weak, name="Anna")
    await sign_in(db, attempts)
    async with db.read() as tx:
        kept = await tx.one(str, "SELECT password_hash FROM identity.account")
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    await sign_in(db, attempts)


async def test_two_cannot_take_one_handle_and_one_id_is_one_account(db: Database) -> None:
    account_id = AccountId(new_id())
    async with db.tx() as tx:
        await identity.create_account(tx, account_id, handle="anna", password_hash="x", name="Anna")
        with pytest.raises(HandleTaken):
            await identity.create_account(tx, AccountId(new_id()), handle="Anna", password_hash="x", name="Anna")
        with pytest.raises(IdReused):
            await identity.create_account(tx, account_id, handle="other", password_hash="x", name="Anna")


async def test_wrong_passwords_are_counted_and_right_ones_are_not(db: Database, attempts: Attempts) -> None:
    await register(db, attempts)
    for _ in range(12):
        await sign_in(db, attempts)
    for _ in range(10):
        with pytest.raises(CredentialsWrong):
            await sign_in(db, attempts, password="a guess")
    with pytest.raises(TooFast) as refused:
        await sign_in(db, attempts)
    assert refused.value.facts()["retry_after_s"] > 0


async def test_one_address_opens_only_so_many_accounts_in_an_hour(db: Database, attempts: Attempts) -> None:
    for number in range(5):
        await register(db, attempts, f"person-{number}")
    with pytest.raises(TooFast):
        await register(db, attempts, "one-too-many")


def test_what_is_counted_fits_in_a_fixed_number_of_buckets() -> None:
    attempts = Attempts(registrations_per_hour=5)
    buckets = {attempts._bucket(f"handle-{number}") for number in range(1_000)}
    assert all(0 <= int(bucket) < 65_536 for bucket in buckets)
    assert len(buckets) > 950


async def test_erasure_ends_everything_and_is_told(db: Database, attempts: Attempts) -> None:
    signed_in = await register(db, attempts)
    actor = owner_of(signed_in)
    await identity.erase_account(db, actor, password=PASSWORD, attempts=attempts)
    async with db.read() as tx:
        told = [one.event for one in await list_waiting(tx)]
        profile = (await identity.find_profiles(tx, [signed_in.account.id]))[signed_in.account.id]
        assert await tx.all(str, "SELECT address FROM identity.audit_entry WHERE address IS NOT NULL") == []
    (guest_id,) = [event.guest_id for event in told if isinstance(event, GuestMerged)]
    assert AccountErased(account_id=signed_in.account.id, guest_ids=(guest_id,)) in told
    assert SessionsEnded(account_id=signed_in.account.id, session_ids=(signed_in.session.id,)) in told
    assert (profile.name, profile.avatar, profile.about) == ("—", None, "")


async def test_other_rooms_add_their_part_to_the_export(
    db: Database, attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    from laotie.identity import departure

    async def export(_tx: object, account_id: AccountId) -> object:
        return [str(account_id)]

    monkeypatch.setattr(departure, "_exports", {})
    identity.add_to_export("orders", export)
    signed_in = await register(db, attempts)
    async with db.tx() as tx:
        exported = await identity.export_account(tx, owner_of(signed_in))
    assert exported["orders"] == [str(signed_in.account.id)]
    assert set(exported) == {"exported_at", "identity", "orders"}


async def test_a_session_is_seen_at_most_once_a_minute_and_renewed(
    db: Database, attempts: Attempts, clock: Clock
) -> None:
    secret = (await register(db, attempts)).session.secret

    async def look() -> bool:
        async with db.tx() as tx:
            return await identity.find_by_session(tx, secret, lasts=LASTS) is not None

    async def seen() -> float:
        async with db.read() as tx:
            return await tx.one(float, "SELECT extract(epoch FROM last_seen_at)::float8 FROM identity.session")

    first = await seen()
    clock.advance(seconds=30)
    assert await look()
    assert await seen() == first
    for _ in range(3):
        clock.advance(seconds=20 * 86_400)
        assert await look()
    assert await seen() > first + 59 * 86_400
    clock.advance(seconds=31 * 86_400)
    assert not await look()


async def test_the_database_holds_no_secret(db: Database, attempts: Attempts) -> None:
    secret = (await register(db, attempts)).session.secret
    async with db.read() as tx:
        rows = await tx.all(str, "SELECT session::text FROM identity.session")
        rows += await tx.all(str, "SELECT account::text FROM identity.account")
    assert not any(secret in row or PASSWORD in row for row in rows)


async def test_the_oldest_of_too_many_sign_ins_gives_way(db: Database, attempts: Attempts, clock: Clock) -> None:
    from laotie.identity.model import SESSIONS_MAX
    from laotie.identity.sessions import open_session

    signed_in = await register(db, attempts)
    for _ in range(SESSIONS_MAX):
        clock.advance(seconds=1)
        async with db.tx() as tx:
            await open_session(tx, signed_in.account.id, user_agent="", address="", lasts=LASTS)
    async with db.read() as tx:
        sessions = await identity.list_sessions(tx, owner_of(signed_in))
    assert len(sessions) == SESSIONS_MAX
    assert signed_in.session.id not in {session.id for session in sessions}


@pytest.mark.parametrize(
    ("written", "plain"), [(" Anna ", "anna"), ("ＡＮＮＡ", "anna"), ("STRASSE", "strasse"), ("老铁号", "老铁号")]
)
def test_handles_are_compared_however_they_are_written(written: str, plain: str) -> None:
    assert plain_handle(written) == plain


@pytest.mark.parametrize("handle", ["", "ab", "x" * 65, "a b c", "a\0bc", "zero\u200bwidth", "line\nbreak"])
def test_handles_that_cannot_be_used(handle: str) -> None:
    with pytest.raises(HandleRefused):
        plain_handle(handle)


@pytest.mark.parametrize("password", ["short", "x" * 201, "ANNA-LONG", "nul\0nul-nul"])
async def test_passwords_that_cannot_be_used(db: Database, attempts: Attempts, password: str) -> None:
    with pytest.raises(PasswordRefused):
        await identity.register(
            db,
            guest(),
            AccountId(new_id()),
            handle="anna-long",
            password=password,
            name="Anna",
            attempts=attempts,
            lasts=LASTS,
        )
