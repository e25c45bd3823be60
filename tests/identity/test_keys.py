"""Keys: what their secrets look like, where they reach, how one takes over from another, who is told of their end."""

from datetime import timedelta
from uuid import UUID

import pytest

from laotie import identity, messages
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import ShopId, ViewerId, new_id
from laotie.base.refusals import NotFound
from laotie.identity import Actor, Scope, ScopeLacking, TokenId, TokenScope
from laotie.identity.model import KeyReplaced, ShopsRefused
from market import make_account


async def make_key(
    db: Database, holder: Actor, *scopes: TokenScope, shops: list[ShopId] | None = None, days: int = 30
) -> identity.MadeKey:
    async with db.tx() as tx:
        return await identity.create_token(
            tx,
            holder,
            TokenId(new_id()),
            name="robot",
            scopes=list(scopes),
            expires_at=tx.now + timedelta(days=days),
            shop_ids=shops,
        )


async def recognise(db: Database, made: identity.MadeKey) -> Actor | None:
    assert made.secret is not None
    async with db.tx() as tx:
        return await identity.find_by_token(tx, made.secret)


async def seated(db: Database, *handles: str) -> tuple[list[Actor], list[ShopId]]:
    """An owner a shop."""
    owners, shops = [], []
    for handle in handles:
        owner, shop = await make_account(db, f"{handle}-keys"), ShopId(new_id())
        async with db.tx() as tx:
            await identity.seat_owner(tx, shop, owner.signed_in())
        owners.append(owner)
        shops.append(shop)
    return owners, shops


async def test_a_secret_is_known_when_it_is_seen(db: Database) -> None:
    made = await make_key(db, await make_account(db, "dev"), TokenScope.catalog)
    assert made.secret is not None and identity.is_secret(made.secret) and made.token.hint == made.secret[-4:]
    swapped = made.secret[:10] + ("0" if made.secret[10] != "0" else "1") + made.secret[11:]
    assert not identity.is_secret(swapped) and not identity.is_secret("laotie_" + "x" * 10)


async def test_a_key_reaches_its_own_shops_alone(db: Database) -> None:
    (owner, other), (shop, foreign) = await seated(db, "a", "b")
    async with db.tx() as tx:
        second = ShopId(new_id())
        await identity.seat_owner(tx, second, owner.signed_in())
    actor = await recognise(db, await make_key(db, owner, TokenScope.catalog, shops=[shop]))
    assert actor is not None
    async with db.read() as tx:
        assert (await identity.require_seat(tx, actor, shop, Scope.catalog)).shop_id == shop
        assert [seat.shop_id for seat in await identity.list_seats(tx, actor)] == [shop]
        with pytest.raises(NotFound):
            await identity.require_seat(tx, actor, second, Scope.catalog)
    with pytest.raises(ShopsRefused):
        await make_key(db, owner, TokenScope.catalog, shops=[foreign])
    with pytest.raises(ShopsRefused):
        await make_key(db, other, TokenScope.catalog, shops=[])


async def test_a_key_cannot_make_one_that_reaches_further(db: Database) -> None:
    (owner,), (shop,) = await seated(db, "a")
    scopes = (TokenScope.account, TokenScope.catalog)
    actor = await recognise(db, await make_key(db, owner, *scopes, shops=[shop]))
    assert actor is not None
    assert (await make_key(db, actor, TokenScope.catalog_read, shops=[shop])).secret
    for wider in ({"shops": None}, {"shops": [shop], "scope": TokenScope.orders}):
        with pytest.raises((ShopsRefused, identity.model.ScopesRefused)):
            await make_key(db, actor, wider.get("scope", TokenScope.catalog), shops=wider["shops"])  # type: ignore[arg-type]


async def test_a_reading_scope_reads_and_does_no_more(db: Database) -> None:
    (owner,), (shop,) = await seated(db, "a")
    actor = await recognise(db, await make_key(db, owner, TokenScope.orders_read, shops=[shop]))
    assert actor is not None
    async with db.read() as tx:
        assert (await identity.require_seat(tx, actor.reading(), shop, Scope.orders)).shop_id == shop
        for one, scope in ((actor, Scope.orders), (actor.reading(), Scope.catalog)):
            with pytest.raises(ScopeLacking) as lacking:
                await identity.require_seat(tx, one, shop, scope)
            assert lacking.value.facts() == {"scope": scope}


async def test_a_key_takes_over_while_the_old_one_works_on(db: Database, clock: Clock) -> None:
    (owner,), (shop,) = await seated(db, "a")
    old = await make_key(db, owner, TokenScope.orders, shops=[shop])
    following = TokenId(new_id())
    async with db.tx() as tx:
        fresh = await identity.rotate_token(tx, owner, old.token.id, following, overlap_h=24)
        again = await identity.rotate_token(tx, owner, old.token.id, following, overlap_h=24)
    assert fresh.secret and again.secret is None and again.token == fresh.token
    assert (fresh.token.name, fresh.token.scopes, fresh.token.shop_ids) == ("robot", [TokenScope.orders], [shop])
    with pytest.raises(KeyReplaced):
        async with db.tx() as tx:
            await identity.rotate_token(tx, owner, old.token.id, TokenId(new_id()), overlap_h=0)
    assert await recognise(db, old) and await recognise(db, fresh)
    clock.advance(seconds=25 * 3_600)
    assert await recognise(db, old) is None and await recognise(db, fresh)


async def test_whoever_keeps_the_staff_sees_and_ends_every_key_to_the_shop(db: Database) -> None:
    (owner, clerk), (shop, own) = await seated(db, "owner", "clerk")
    async with db.tx() as tx:
        await identity.grant_seat(tx, owner, shop, "clerk-keys", scopes=[Scope.orders])
    both = await make_key(db, clerk, TokenScope.orders, shops=[shop, own])
    wide = await make_key(db, clerk, TokenScope.orders)
    async with db.tx() as tx:
        seen = await identity.list_shop_keys(tx, owner, shop)
        assert [(key.id, key.holder_name) for key in seen] == [(both.token.id, "clerk-keys"), (wide.token.id, "clerk-keys")]
        await identity.revoke_shop_key(tx, owner, shop, both.token.id)
        with pytest.raises(NotFound):
            await identity.revoke_shop_key(tx, owner, shop, wide.token.id)
        with pytest.raises(ScopeLacking):
            await identity.list_shop_keys(tx, clerk, shop)
    actor = await recognise(db, both)
    assert actor is not None and actor.token_shops == frozenset({own})
    async with db.tx() as tx:
        await identity.revoke_shop_key(tx, clerk, own, both.token.id)
    assert await recognise(db, both) is None


async def test_the_end_of_a_key_is_told_a_week_before_and_once(db: Database, clock: Clock) -> None:
    dev = await make_account(db, "dev")
    await make_key(db, dev, TokenScope.catalog, days=30)
    await make_key(db, dev, TokenScope.catalog, days=3)
    replaced = await make_key(db, dev, TokenScope.catalog, days=30)
    async with db.tx() as tx:
        await identity.rotate_token(tx, dev, replaced.token.id, TokenId(UUID(int=7)), overlap_h=168)
    clock.advance(seconds=22 * 86_400)
    assert await identity.tell_expiring(db) == 0
    clock.advance(seconds=2 * 86_400)
    assert (await identity.tell_expiring(db), await identity.tell_expiring(db)) == (2, 0)
    async with db.read() as tx:
        notices = await messages.list_notices(tx, ViewerId(dev.signed_in()), after=None, limit=9)
    assert {notice.kind for notice in notices.items} == {"key_expiring"}


async def test_a_key_sees_no_more_of_its_holder_s_shop_than_its_scopes(db: Database) -> None:
    (owner,), (shop,) = await seated(db, "a")
    for scope, sees in ((TokenScope.catalog_read, True), (TokenScope.orders, False)):
        actor = await recognise(db, await make_key(db, owner, scope))
        assert actor is not None
        async with db.read() as tx:
            assert await identity.may(tx, actor.reading(), shop, Scope.catalog) is sees
            assert not await identity.may(tx, actor, shop, Scope.catalog)
