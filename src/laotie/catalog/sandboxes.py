"""Sandbox shops: a developer's own, to try things in. What the public sees, and what real money pays, asks here first."""

from collections.abc import Collection

from laotie import identity
from laotie.base.db import Tx
from laotie.base.ids import AccountId, ShopId
from laotie.catalog.model import SANDBOXES_PER_OWNER_MAX, SandboxShop


async def require_public(tx: Tx, shop_id: ShopId) -> None:
    """Refuse `SandboxShop` for what the public would see, or real money would pay."""
    if await find_sandboxes(tx, [shop_id]):
        raise SandboxShop()


async def find_sandboxes(tx: Tx, shop_ids: Collection[ShopId]) -> set[ShopId]:
    """Those of the shops that are sandboxes."""
    return set(
        await tx.all(ShopId, "SELECT id FROM catalog.shop WHERE id = ANY(%(ids)s) AND is_sandbox", ids=list(shop_ids))
    )


async def check_count(tx: Tx, owner_id: AccountId) -> None:
    """Refuse `TooMany` for one sandbox too many."""
    count = await tx.one(
        int, "SELECT count(*) FROM catalog.shop WHERE owner_id = %(owner_id)s AND is_sandbox", owner_id=owner_id
    )
    if count >= SANDBOXES_PER_OWNER_MAX:
        raise identity.TooMany(count_max=SANDBOXES_PER_OWNER_MAX)
