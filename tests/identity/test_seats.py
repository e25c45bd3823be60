"""Seats and the audit log: rights on a shop, also when two change them at once."""

import asyncio

import psycopg
import pytest

from laotie import identity
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, ShopId, ViewerId, new_id
from laotie.base.refusals import Forbidden, NotFound, Refusal, Unauthenticated
from laotie.identity import Actor, Scope, TokenScope
from laotie.identity.model import LastOwner, ScopeLacking, ScopesRefused

SHOP = ShopId(new_id())


async def account(tx: Tx, handle: str) -> Actor:
    account_id = AccountId(new_id())
    await identity.create_account(tx, account_id, handle=handle, password_hash="x", name=handle)
    return Actor(viewer_id=ViewerId(account_id), account_id=account_id, seat_holder_id=account_id)


async def test_a_right_is_a_seat_with_the_scope(db: Database) -> None:
    async with db.tx() as tx:
        owner, clerk, stranger = [await account(tx, name) for name in ("owner", "clerk", "stranger")]
        await identity.seat_owner(tx, SHOP, owner.signed_in())
        await identity.grant_seat(tx, owner, SHOP, "clerk", scopes=[Scope.orders])
        for scope in Scope:
            assert (await identity.require_seat(tx, owner, SHOP, scope)).is_owner
        await identity.require_seat(tx, clerk, SHOP, Scope.orders)
        with pytest.raises(ScopeLacking):
            await identity.require_seat(tx, clerk, SHOP, Scope.money)
        with pytest.raises(NotFound):
            await identity.require_seat(tx, stranger, SHOP, Scope.orders)
        with pytest.raises(NotFound):
            await identity.require_seat(tx, owner, ShopId(new_id()), Scope.orders)
        with pytest.raises(Unauthenticated):
            await identity.require_seat(tx, Actor(viewer_id=ViewerId(new_id())), SHOP, Scope.orders)


async def test_a_token_narrows_a_seat(db: Database) -> None:
    async with db.tx() as tx:
        owner = await account(tx, "owner")
        await identity.seat_owner(tx, SHOP, owner.signed_in())
        robot = Actor(
            viewer_id=ViewerId(new_id()),
            seat_holder_id=owner.account_id,
            token_id=identity.TokenId(new_id()),
            token_scopes=frozenset({TokenScope.catalog, TokenScope.staff}),
        )
        await identity.require_seat(tx, robot, SHOP, Scope.catalog)
        with pytest.raises(ScopeLacking):
            await identity.require_seat(tx, robot, SHOP, Scope.money)
        await account(tx, "clerk")
        with pytest.raises(ScopesRefused):
            await identity.grant_seat(tx, robot, SHOP, "clerk", scopes=[Scope.money])
        with pytest.raises(Forbidden):
            robot.signed_in()


async def test_two_owners_leaving_at_once_leave_one_behind(db: Database) -> None:
    async with db.tx() as tx:
        owners = [await account(tx, name) for name in ("one", "two")]
        for owner in owners:
            await identity.seat_owner(tx, SHOP, owner.signed_in())

    async def leave(owner: Actor) -> Refusal | None:
        try:
            async with db.tx() as tx:
                await identity.revoke_seat(tx, owner, SHOP, owner.signed_in())
        except Refusal as refusal:
            return refusal
        return None

    answers = await asyncio.gather(*(leave(owner) for owner in owners))
    assert sorted(type(answer).__name__ for answer in answers) == ["LastOwner", "NoneType"]


async def test_an_owner_does_not_demote_himself_when_he_is_the_last(db: Database) -> None:
    async with db.tx() as tx:
        owner = await account(tx, "owner")
        await identity.seat_owner(tx, SHOP, owner.signed_in())
        with pytest.raises(LastOwner):
            await identity.grant_seat(tx, owner, SHOP, "owner", scopes=[Scope.orders])


async def test_staff_take_no_seat_that_reaches_further_than_theirs(db: Database) -> None:
    async with db.tx() as tx:
        owner, clerk, teller = [await account(tx, name) for name in ("owner", "clerk", "teller")]
        await identity.seat_owner(tx, SHOP, owner.signed_in())
        await identity.grant_seat(tx, owner, SHOP, "clerk", scopes=[Scope.staff])
        await identity.grant_seat(tx, owner, SHOP, "teller", scopes=[Scope.money])
        for other in (owner, teller):
            with pytest.raises(ScopeLacking):
                await identity.revoke_seat(tx, clerk, SHOP, other.signed_in())
        with pytest.raises(ScopeLacking):
            await identity.grant_seat(tx, clerk, SHOP, "teller", scopes=[Scope.staff])
        with pytest.raises(ScopesRefused):
            await identity.grant_seat(tx, clerk, SHOP, "clerk", scopes=[], is_owner=True)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM identity.audit_entry",
        "UPDATE identity.audit_entry SET act = 'nothing.happened'",
        "UPDATE identity.audit_entry SET detail = '{}', address = NULL",
        "TRUNCATE identity.audit_entry",
    ],
)
async def test_the_audit_log_cannot_be_changed(db: Database, statement: str) -> None:
    async with db.tx() as tx:
        await identity.record(tx, None, "thing.happened", subject="x", much="detail")
    with pytest.raises(psycopg.errors.RaiseException):
        async with db.tx() as tx:
            await tx.run(statement)
