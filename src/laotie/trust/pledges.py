"""Pledges: what a shop promises, made as immutable rows, and put on a shop or one of its products.

The shelf has the pointer (`catalog.set_pledge`), and the till copies it into each order line; so whatever the shop
promises later, an order goes by what it was placed under.
"""

from uuid import UUID

from psycopg.types.json import Jsonb

from laotie import catalog, identity
from laotie.base.db import Tx
from laotie.base.ids import ProductId, ShopId
from laotie.base.refusals import IdReused, NotFound
from laotie.events.trust import PledgeChanged
from laotie.identity import Actor, Scope
from laotie.trust.deposits import find_terms, hold, settle
from laotie.trust.model import PLEDGES_MAX, Deposit, Guarantee, Offered, Pledge, check_promises


async def set_pledge(
    tx: Tx,
    actor: Actor,
    shop_id: ShopId,
    pledge_id: UUID,
    promises: list[Guarantee],
    *,
    product_id: ProductId | None = None,
) -> Pledge:
    """Promise this to whoever orders from now on: of the whole shop, or of one product instead of what the shop says.

    Needs the scope `money`, for the deposit answers for it. No promises at all is a pledge too: a product's own
    nothing. The same id with the same content puts the same pledge in place. Refuses `GuaranteeRefused`, `IdReused`.
    """
    await _check_right(tx, actor, shop_id, product_id)
    held = await hold(tx, shop_id)
    promises = check_promises(promises)
    digest = catalog.digest_of(shop_id, promises)
    await tx.run(
        """
        INSERT INTO trust.pledge (id, shop_id, currency, promises, digest, made_by, made_at)
        VALUES (%(id)s, %(shop_id)s, %(currency)s, %(promises)s, %(digest)s, %(by)s, %(now)s)
        ON CONFLICT DO NOTHING
        """,
        id=pledge_id,
        shop_id=shop_id,
        currency=held.currency,
        promises=Jsonb(promises),
        digest=digest,
        by=actor.seat_holder_id,
        now=tx.now,
    )
    if await tx.one(bytes, "SELECT digest FROM trust.pledge WHERE id = %(id)s", id=pledge_id) != digest:
        raise IdReused()
    await _put(tx, held, product_id, pledge_id)
    return (await find_pledges(tx, [pledge_id]))[pledge_id]


async def clear_pledge(tx: Tx, actor: Actor, shop_id: ShopId, *, product_id: ProductId | None = None) -> None:
    """Promise nothing of its own any more: the product goes by its shop's pledge, the shop has none."""
    await _check_right(tx, actor, shop_id, product_id)
    held = await hold(tx, shop_id)
    await _put(tx, held, product_id, None)


async def find_pledges(tx: Tx, pledge_ids: list[UUID]) -> dict[UUID, Pledge]:
    """Those of the pledges that exist, by id."""
    assert len(pledge_ids) <= PLEDGES_MAX
    if not pledge_ids:
        return {}
    found = await tx.all(
        Pledge,
        "SELECT id, shop_id, currency, promises, made_at FROM trust.pledge WHERE id = ANY(%(ids)s)",
        ids=pledge_ids,
    )
    return {pledge.id: pledge for pledge in found}


async def find_offered(tx: Tx, product_ids: list[ProductId]) -> dict[ProductId, Offered]:
    """What whoever orders these now is promised; products that no pledge stands for are left out."""
    standing = await catalog.find_pledge_ids(tx, product_ids)
    pledges = await find_pledges(tx, sorted({pledge_id for pledge_id, _ in standing.values()}))
    return {
        product_id: Offered(pledges[pledge_id], is_own)
        for product_id, (pledge_id, is_own) in standing.items()
        if pledge_id in pledges
    }


async def find_of_shop(tx: Tx, shop_id: ShopId) -> Pledge | None:
    """What the shop promises of everything that has no pledge of its own."""
    pledge_id = await catalog.find_shop_pledge(tx, shop_id)
    return (await find_pledges(tx, [pledge_id])).get(pledge_id) if pledge_id is not None else None


async def _check_right(tx: Tx, actor: Actor, shop_id: ShopId, product_id: ProductId | None) -> None:
    await identity.require_seat(tx, actor, shop_id, Scope.money)
    if product_id is not None:
        product = (await catalog.find_products(tx, [product_id])).get(product_id)
        if product is None or product.shop_id != shop_id:
            raise NotFound()


async def _put(tx: Tx, held: Deposit, product_id: ProductId | None, pledge_id: UUID | None) -> None:
    """Put it on the shelf, and have the deposit (its row is held) stand for whatever the shop promises now.

    What is no longer promised counts for the rule's tail yet: its orders are under way.
    """
    await catalog.set_pledge(tx, held.shop_id, pledge_id, product_id=product_id)
    kinds = await tx.all(
        str,
        """
        SELECT DISTINCT promise ->> 'kind' FROM trust.pledge, jsonb_array_elements(promises) AS promise
        WHERE pledge.id = ANY(%(ids)s)
        """,
        ids=await catalog.list_pledge_ids(tx, held.shop_id),
    )
    await tx.run(
        """
        INSERT INTO trust.obligation (shop_id, kind) SELECT %(shop_id)s, kind FROM unnest(%(kinds)s::text[]) AS k (kind)
        ON CONFLICT (shop_id, kind) DO UPDATE SET ends_at = NULL
        """,
        shop_id=held.shop_id,
        kinds=sorted(kinds),
    )
    await tx.run(
        """
        UPDATE trust.obligation SET ends_at = %(ends_at)s
        WHERE shop_id = %(shop_id)s AND ends_at IS NULL AND NOT kind = ANY(%(kinds)s::text[])
        """,
        shop_id=held.shop_id,
        kinds=kinds,
        ends_at=tx.now + (await find_terms(tx, held.currency)).tail,
    )
    tx.tell(PledgeChanged(shop_id=held.shop_id, product_id=product_id, pledge_id=pledge_id))
    await settle(tx, held)
