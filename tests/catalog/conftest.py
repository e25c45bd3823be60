"""A shop to sell from and the people around it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from laotie import catalog, identity
from laotie.base.db import Database
from laotie.base.ids import AccountId, ProductId, ShopId, SkuId, ViewerId, new_id
from laotie.base.money import Money


@dataclass(frozen=True)
class Seller:
    """An open shop with its owner, and somebody who has no business there."""

    shop: catalog.Shop
    owner: identity.Actor
    stranger: identity.Actor


async def _actor(db: Database, handle: str) -> identity.Actor:
    account_id = AccountId(new_id())
    async with db.tx() as tx:
        await identity.create_account(tx, account_id, handle=handle, password_hash="unused", name=handle)
    return identity.Actor(viewer_id=ViewerId(account_id), account_id=account_id, seat_holder_id=account_id)


@pytest.fixture
async def seller(db: Database) -> Seller:
    """A shop in yuan."""
    owner = await _actor(db, "owner")
    stranger = await _actor(db, "stranger")
    assert owner.account_id is not None
    async with db.tx() as tx:
        shop = await catalog.open_shop(
            tx, owner.account_id, ShopId(new_id()), catalog.ShopDraft(name="海边人家", currency="CNY")
        )
    return Seller(shop, owner, stranger)


@pytest.fixture
def add_sku(db: Database, seller: Seller) -> Callable[..., Awaitable[catalog.Sku]]:
    """Adds a listed product with one SKU."""

    async def add(title: str = "Sea cucumber", *, code: str = "A-1", price: int = 9900, stock: int = 10) -> catalog.Sku:
        product_id = ProductId(new_id())
        async with db.tx() as tx:
            await catalog.add_product(
                tx, seller.owner, seller.shop.id, product_id, catalog.ProductDraft(title=title, category="海产")
            )
            sku = await catalog.add_sku(
                tx,
                seller.owner,
                product_id,
                SkuId(new_id()),
                catalog.SkuDraft(code=code, price=Money(price, "CNY"), stock=stock),
            )
            await catalog.edit_product(
                tx, seller.owner, product_id, catalog.ProductChange(state=catalog.ProductState.listed)
            )
        return sku

    return add
