"""How soon a shop ships, and how long its buyers have to object: what it promises of all that is bought from now on.

Orders keep what was promised when they were paid (`orders.delivery`); a change here is for later ones.
"""

from collections.abc import Collection

import msgspec

from laotie import identity
from laotie.base.db import Tx
from laotie.base.ids import ProductId, ShopId
from laotie.base.refusals import Invalid, NotFound

SHIP_WITHIN_H_MAX = 2_160
CONFIRM_DAYS_MAX = 90


class DispatchRefused(Invalid, code="dispatch-refused"):
    """A shop promises to ship within 1 to 2,160 hours, and orders complete 1 to 90 days after delivery."""

    field: str


class Dispatch(msgspec.Struct, frozen=True):
    """A shop's word: `ship_within_h` from payment, complete `confirm_days` after delivery. Missing: the house's rule."""

    ship_within_h: int | None
    confirm_days: int | None


class ProductPromise(msgspec.Struct, frozen=True):
    """A product's own hours, and those that hold: its own, else its shop's."""

    own_h: int | None
    ship_within_h: int | None


async def get_dispatch(tx: Tx, shop_id: ShopId) -> Dispatch:
    """What a shop promises."""
    found = await tx.maybe(
        Dispatch, "SELECT ship_within_h, confirm_days FROM catalog.shop WHERE id = %(id)s", id=shop_id
    )
    if found is None:
        raise NotFound()
    return found


async def set_dispatch(tx: Tx, actor: identity.Actor, shop_id: ShopId, dispatch: Dispatch) -> Dispatch:
    """Promise this from now on. Needs the scope `orders`; refuses `DispatchRefused`."""
    await identity.require_seat(tx, actor, shop_id, identity.Scope.orders)
    _check("ship_within_h", dispatch.ship_within_h, SHIP_WITHIN_H_MAX)
    _check("confirm_days", dispatch.confirm_days, CONFIRM_DAYS_MAX)
    await tx.run(
        "UPDATE catalog.shop SET ship_within_h = %(hours)s, confirm_days = %(days)s WHERE id = %(id)s",
        id=shop_id,
        hours=dispatch.ship_within_h,
        days=dispatch.confirm_days,
    )
    return dispatch


async def set_product_dispatch(
    tx: Tx, actor: identity.Actor, product_id: ProductId, ship_within_h: int | None
) -> None:
    """A product's own promise goes before its shop's; `None` takes it away. Needs the scope `catalog`."""
    shop_id = await tx.maybe(ShopId, "SELECT shop_id FROM catalog.product WHERE id = %(id)s", id=product_id)
    if shop_id is None:
        raise NotFound()
    await identity.require_seat(tx, actor, shop_id, identity.Scope.catalog)
    _check("ship_within_h", ship_within_h, SHIP_WITHIN_H_MAX)
    await tx.run(
        "UPDATE catalog.product SET ship_within_h = %(hours)s WHERE id = %(id)s", id=product_id, hours=ship_within_h
    )


async def get_product_dispatch(tx: Tx, product_id: ProductId) -> ProductPromise:
    """What is promised of one product."""
    found = await tx.maybe(
        ProductPromise,
        """
        SELECT p.ship_within_h AS own_h, coalesce(p.ship_within_h, s.ship_within_h) AS ship_within_h
        FROM catalog.product AS p JOIN catalog.shop AS s ON s.id = p.shop_id WHERE p.id = %(id)s
        """,
        id=product_id,
    )
    if found is None:
        raise NotFound()
    return found


async def find_dispatch(tx: Tx, product_ids: Collection[ProductId]) -> dict[ProductId, Dispatch]:
    """What is promised of these products."""
    rows = await tx.tuples(
        """
        SELECT p.id, coalesce(p.ship_within_h, s.ship_within_h), s.confirm_days
        FROM catalog.product AS p JOIN catalog.shop AS s ON s.id = p.shop_id WHERE p.id = ANY(%(ids)s)
        """,
        ids=list(product_ids),
    )
    return {id_: Dispatch(hours, days) for id_, hours, days in rows}


def _check(field: str, value: int | None, value_max: int) -> None:
    if value is not None and not 1 <= value <= value_max:
        raise DispatchRefused(field=field)
