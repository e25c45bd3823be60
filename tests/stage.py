"""A small market to test shows with: people, shops, listed products, rooms, shows."""

from dataclasses import dataclass

from laotie import catalog, identity, live
from laotie.base.db import Database
from laotie.base.ids import AccountId, CartItemId, ProductId, RoomId, ShopId, ShowId, SkuId, ViewerId, new_id
from laotie.base.money import Money
from laotie.identity import Actor


@dataclass(frozen=True)
class Host:
    """A streamer with a shop, a room and a show in it."""

    actor: Actor
    id: AccountId
    shop_id: ShopId
    room_id: RoomId
    show_id: ShowId


async def join(db: Database, handle: str) -> Actor:
    """Somebody with an account."""
    account_id = AccountId(new_id())
    async with db.tx() as tx:
        await identity.create_account(tx, account_id, handle=handle, password_hash="unused", name=handle)
    return act_as(account_id)


def act_as(account_id: AccountId) -> Actor:
    """The holder of an account, asking."""
    return Actor(viewer_id=ViewerId(account_id), account_id=account_id, seat_holder_id=account_id)


def guest() -> Actor:
    """Somebody who watches without an account."""
    return Actor(viewer_id=ViewerId(new_id()), is_known_guest=True)


async def host(db: Database, handle: str = "host", *, is_live: bool = True, currency: str = "CNY") -> Host:
    """A streamer ready to sell, live or with a show planned."""
    actor = await join(db, handle)
    assert actor.account_id is not None
    shop_id, room_id, show_id = ShopId(new_id()), RoomId(new_id()), ShowId(new_id())
    async with db.tx() as tx:
        await catalog.open_shop(tx, actor.account_id, shop_id, catalog.ShopDraft(name=handle, currency=currency))
        await live.open_room(tx, actor, room_id, shop_id=shop_id, title=f"Room of {handle}")
        await live.plan_show(tx, actor, live.ShowDraft(id=show_id, title="Fresh from the sea"))
        if is_live:
            await live.start_show(tx, actor, show_id)
    return Host(actor, actor.account_id, shop_id, room_id, show_id)


async def product(
    db: Database, host: Host, *, title: str = "Sea cucumber", prices: tuple[int, ...] = (9900,), is_listed: bool = True
) -> catalog.Product:
    """A product with a SKU a price, ten pieces each."""
    product_id = ProductId(new_id())
    currency = "CNY"
    async with db.tx() as tx:
        currency = (await catalog.get_shop(tx, host.shop_id)).currency
        await catalog.add_product(tx, host.actor, host.shop_id, product_id, catalog.ProductDraft(title=title))
        for number, price in enumerate(prices):
            await catalog.add_sku(
                tx,
                host.actor,
                product_id,
                SkuId(new_id()),
                catalog.SkuDraft(
                    code=f"{product_id.hex[-6:]}-{number}",
                    options={"size": str(number)},
                    price=Money(price, currency),
                    stock=10,
                ),
            )
        if is_listed:
            change = catalog.ProductChange(state=catalog.ProductState.listed)
            await catalog.edit_product(tx, host.actor, product_id, change)
        return (await catalog.find_products(tx, [product_id]))[product_id]


async def put_in_cart(
    db: Database, host: Host, product: catalog.Product, *, price: int = 6900, limit: int | None = None
) -> live.CartItem:
    """The product in the show's cart, every SKU at one show price."""
    async with db.tx() as tx:
        return await live.add_item(
            tx,
            host.actor,
            host.show_id,
            live.CartItemDraft(
                id=CartItemId(new_id()),
                product_id=product.id,
                prices=[live.PriceTag(sku.id, Money(price, sku.currency)) for sku in product.skus],
                limit_per_person=limit,
            ),
        )
