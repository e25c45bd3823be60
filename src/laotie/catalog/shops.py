"""Shops: opening one, saying who it is and where it can be visited."""

from msgspec import UNSET

from laotie import identity
from laotie.base.db import Tx
from laotie.base.ids import AccountId, ShopId
from laotie.base.money import exponent
from laotie.base.refusals import IdReused, NotFound
from laotie.catalog.finding import note_shop
from laotie.catalog.model import (
    SHOPS_PER_OWNER_MAX,
    STORES_MAX,
    Shop,
    ShopChange,
    ShopDraft,
    Store,
    check_number,
    clean_text,
    digest_of,
)
from laotie.catalog.sandboxes import check_count


async def open_shop(
    tx: Tx, owner_id: AccountId, shop_id: ShopId, draft: ShopDraft, *, is_sandbox: bool = False
) -> Shop:
    """Open a shop and give its owner the seat that has every right. Repeating the same call changes nothing.

    Refuses `IdReused`, `TooMany`, `UnknownCurrency`, `TextRefused`.
    """
    exponent(draft.currency)
    digest = digest_of(owner_id, draft, True) if is_sandbox else digest_of(owner_id, draft)
    known = await tx.maybe(bytes, "SELECT digest FROM catalog.shop WHERE id = %(id)s", id=shop_id)
    if known is not None:
        if known != digest:
            raise IdReused()
        return await get_shop(tx, shop_id)
    owned = await tx.one(int, "SELECT count(*) FROM catalog.shop WHERE owner_id = %(owner_id)s", owner_id=owner_id)
    if owned >= SHOPS_PER_OWNER_MAX:
        raise identity.TooMany(count_max=SHOPS_PER_OWNER_MAX)
    if is_sandbox:
        await check_count(tx, owner_id)
    fresh = await tx.run(
        """
        INSERT INTO catalog.shop (id, owner_id, name, about, currency, created_at, digest, is_sandbox)
        VALUES (%(id)s, %(owner_id)s, %(name)s, %(about)s, %(currency)s, %(now)s, %(digest)s, %(is_sandbox)s)
        ON CONFLICT (id) DO NOTHING
        """,
        id=shop_id,
        owner_id=owner_id,
        name=clean_text("name", draft.name, required=True),
        about=clean_text("about", draft.about, lines=True),
        currency=draft.currency,
        now=tx.now,
        digest=digest,
        is_sandbox=is_sandbox,
    )
    if not fresh:
        return await open_shop(tx, owner_id, shop_id, draft, is_sandbox=is_sandbox)
    await _put_stores(tx, shop_id, draft.stores)
    await identity.seat_owner(tx, shop_id, owner_id)
    return await get_shop(tx, shop_id)


async def edit_shop(tx: Tx, actor: identity.Actor, shop_id: ShopId, change: ShopChange) -> Shop:
    """Change what the shop says of itself. Needs the scope `catalog`."""
    await identity.require_seat(tx, actor, shop_id, identity.Scope.catalog)
    shop = await get_shop(tx, shop_id)
    await tx.run(
        """
        UPDATE catalog.shop SET name = %(name)s, about = %(about)s, price_protection_days = %(days)s WHERE id = %(id)s
        """,
        id=shop_id,
        name=shop.name if change.name is UNSET else clean_text("name", change.name, required=True),
        about=shop.about if change.about is UNSET else clean_text("about", change.about, lines=True),
        days=(
            shop.price_protection_days
            if change.price_protection_days is UNSET
            else check_number("price_protection_days", change.price_protection_days)
        ),
    )
    if change.name is not UNSET and change.name != shop.name:
        await note_shop(tx, shop_id)
    if change.stores is not UNSET:
        await _put_stores(tx, shop_id, change.stores)
    return await get_shop(tx, shop_id)


async def get_shop(tx: Tx, shop_id: ShopId) -> Shop:
    """A shop with its stores, or `NotFound`."""
    found = await find_shops(tx, [shop_id])
    if not found:
        raise NotFound()
    return found[shop_id]


async def find_own_shops(tx: Tx, shop_ids: list[ShopId]) -> set[ShopId]:
    """Those of the shops that are the house's own: marked so, or an operator's."""
    rows = await tx.tuples(
        "SELECT id, owner_id, self_operated FROM catalog.shop WHERE id = ANY(%(ids)s)", ids=shop_ids
    )
    return {
        shop_id
        for shop_id, owner_id, marked in rows
        if marked or await identity.has_role(tx, owner_id, identity.Role.operator)
    }


async def list_own_shops(tx: Tx) -> list[ShopId]:
    """The shops that are marked as the house's own."""
    return await tx.all(ShopId, "SELECT id FROM catalog.shop WHERE self_operated ORDER BY id")


async def mark_own_shop(tx: Tx, actor: identity.Actor, shop_id: ShopId, *, own: bool) -> None:
    """Say whether a shop is the house's own, for operators; goes into the audit log."""
    actor.require_operator()
    changed = await tx.run(
        "UPDATE catalog.shop SET self_operated = %(own)s WHERE id = %(id)s AND self_operated <> %(own)s",
        own=own,
        id=shop_id,
    )
    await get_shop(tx, shop_id)
    if changed:
        await identity.record(tx, actor, "shop.marked_own" if own else "shop.unmarked_own", subject=str(shop_id))


async def find_shops_named(tx: Tx, name: str) -> list[Shop]:
    """The shops of that name or id; several may have the same name (for the operator's command line)."""
    ids = await tx.all(
        ShopId,
        "SELECT id FROM catalog.shop WHERE name = %(name)s OR id::text = %(name)s ORDER BY id LIMIT 10",
        name=name.strip(),
    )
    return list((await find_shops(tx, ids)).values())


async def find_shops(tx: Tx, shop_ids: list[ShopId]) -> dict[ShopId, Shop]:
    """Those of the shops that exist, by id."""
    stores: dict[ShopId, list[Store]] = {}
    for shop_id, name, city, address in await tx.tuples(
        """
        SELECT shop_id, name, city, address FROM catalog.store
        WHERE shop_id = ANY(%(ids)s) ORDER BY shop_id, no
        """,
        ids=shop_ids,
    ):
        stores.setdefault(shop_id, []).append(Store(name, city, address))
    rows = await tx.tuples(
        """
        SELECT id, owner_id, name, about, currency, state, created_at, price_protection_days, is_sandbox
        FROM catalog.shop WHERE id = ANY(%(ids)s)
        """,
        ids=shop_ids,
    )
    return {
        id_: Shop(
            id=id_,
            owner_id=owner_id,
            name=name,
            about=about,
            currency=currency,
            state=state,
            created_at=created_at,
            stores=stores.get(id_, []),
            price_protection_days=days,
            is_sandbox=is_sandbox,
        )
        for id_, owner_id, name, about, currency, state, created_at, days, is_sandbox in rows
    }


async def _put_stores(tx: Tx, shop_id: ShopId, stores: list[Store]) -> None:
    if len(stores) > STORES_MAX:
        raise identity.TooMany(count_max=STORES_MAX)
    await tx.run("SELECT FROM catalog.shop WHERE id = %(id)s FOR NO KEY UPDATE", id=shop_id)
    await tx.run("DELETE FROM catalog.store WHERE shop_id = %(id)s", id=shop_id)
    await tx.run(
        """
        INSERT INTO catalog.store (shop_id, no, name, city, address)
        SELECT %(id)s, no, name, city, address
        FROM unnest(%(names)s::text[], %(cities)s::text[], %(addresses)s::text[])
          WITH ORDINALITY AS store (name, city, address, no)
        """,
        id=shop_id,
        names=[clean_text("name", store.name, required=True) for store in stores],
        cities=[clean_text("city", store.city) for store in stores],
        addresses=[clean_text("address", store.address) for store in stores],
    )
