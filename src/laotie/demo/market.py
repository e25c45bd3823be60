"""The demonstration's market: accounts, shops, goods and a real retailer's history. Made once, then found again."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid5

import msgspec

from laotie import catalog, identity, live, offers
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, ProductId, RoomId, ShopId, SkuId, ViewerId
from laotie.base.money import Money, share
from laotie.demo.coupons import give_coupons, take_coupons
from laotie.demo.goods import FAN_NAMES, PERSONAS, Goods, Persona

NAMESPACE = UUID("5d0c1f5e-6a7b-5c36-9d0e-8f0f6a1d2c3b")
PASSWORD = "laotie-demo"  # noqa: S105  (printed for everybody; the market is for looking around)

GROUP_PRICE_BPS = 8_000
PROTECTED_DAYS = 7
LISTED_SINCE, PRICED_SINCE = timedelta(days=75), timedelta(days=12)
"""The past that the goods are given, marked as told: at the list price first, then at today's."""
VIEWER, STAFF, OPERATOR, RETAILER = "fan1", "xiaomei", "operator", "retailer"
SECOND_OPERATOR = "operator2"
BRAND_OWNER = "chaotou"
DEVELOPER = "developer"


def demo_id(*words: object) -> UUID:
    """The same thing has the same id in every run."""
    return uuid5(NAMESPACE, "/".join(map(str, words)))


def actor_of(handle: str) -> identity.Actor:
    """A demonstration account, acting."""
    account_id = AccountId(demo_id("account", handle))
    return identity.Actor(viewer_id=ViewerId(account_id), account_id=account_id, seat_holder_id=account_id)


async def open_market(db: Database, say: Callable[[str], None]) -> bool:
    """Make what is missing; returns whether anything was. A run that was cut short is simply taken up again."""
    made = await _open_accounts(db, say)
    for persona in PERSONAS:
        made |= await _open_shop(db, persona, say)
    operator = msgspec.structs.replace(actor_of(OPERATOR), roles=frozenset({identity.Role.operator}))
    owners = {persona.handle: actor_of(persona.handle) for persona in PERSONAS}
    shops = {handle: ShopId(demo_id("shop", handle)) for handle in owners}
    await give_coupons(db, shops, operator=operator, owners=owners)
    await take_coupons(db, actor_of(VIEWER))
    return made


async def _open_accounts(db: Database, say: Callable[[str], None]) -> bool:
    wanted: list[tuple[str, str, str, frozenset[identity.Role]]] = [
        (persona.handle, persona.name, persona.about, frozenset()) for persona in PERSONAS
    ]
    wanted += [
        (STAFF, "小美（店员）", "", frozenset()),
        (OPERATOR, "平台运营", "", frozenset({identity.Role.operator})),
        (SECOND_OPERATOR, "平台运营（复核）", "", frozenset({identity.Role.operator})),
    ]
    wanted += [(RETAILER, "Online Retail (UCI data)", "", frozenset())]
    wanted += [(DEVELOPER, "演示开发者 · Demo developer", "", frozenset())]
    wanted += [(BRAND_OWNER, "潮头海产（品牌方）", "", frozenset())]
    wanted += [(f"fan{number}", name, "", frozenset()) for number, name in enumerate(FAN_NAMES, start=1)]
    ids = {AccountId(demo_id("account", handle)) for handle, *_ in wanted}
    async with db.read() as tx:
        found = await identity.find_profiles(tx, list(ids))
    if len(found) == len(ids):
        return False
    say("registering the personas, a staff member, an operator and the fans")
    password_hash = await identity.hash_password(PASSWORD)
    for handle, name, about, roles in wanted:
        account_id = AccountId(demo_id("account", handle))
        if account_id in found:
            continue
        async with db.tx() as tx:
            await identity.create_account(
                tx, account_id, handle=handle, password_hash=password_hash, name=name, about=about, roles=roles
            )
    return True


async def _open_shop(db: Database, persona: Persona, say: Callable[[str], None]) -> bool:
    shop_id = ShopId(demo_id("shop", persona.handle))
    actor = actor_of(persona.handle)
    assert actor.account_id is not None
    async with db.read() as tx:
        if shop_id in await catalog.find_shops(tx, [shop_id]):
            return False
    say(f"opening {persona.shop} with {len(persona.goods)} products and {len(persona.stores)} stores")
    async with db.tx() as tx:
        await catalog.open_shop(
            tx,
            actor.account_id,
            shop_id,
            catalog.ShopDraft(
                name=persona.shop,
                about=persona.shop_about,
                currency="CNY",
                stores=[catalog.Store(name=name, city=city, address=address) for name, city, address in persona.stores],
            ),
        )
        await _price_shipping(tx, actor, shop_id)
        for goods in persona.goods:
            await _add_goods(tx, actor, shop_id, goods, tax_bps=persona.tax_bps)
        await _offer_group(tx, actor, shop_id, persona.goods[-1])
        await live.open_room(tx, actor, RoomId(demo_id("room", persona.handle)), shop_id=shop_id, title=persona.room)
        await identity.grant_seat(
            tx, actor, shop_id, STAFF, scopes=[identity.Scope.show, identity.Scope.orders, identity.Scope.catalog]
        )
    return True


async def _price_shipping(tx: Tx, actor: identity.Actor, shop_id: ShopId) -> None:
    """By weight, cheaper nearby, dearer far away, free from 99 yuan on; and differences are given back for a week."""
    near, far = ("辽宁", "吉林", "黑龙江", "北京", "天津", "河北", "山东"), ("西藏", "新疆", "青海", "内蒙古")
    far_too = ("香港", "澳门", "台湾")
    draft = catalog.ShippingDraft(
        name="普通快递",
        measure=catalog.Measure.weight,
        rules=[
            catalog.Rule(first=1_000, first_fee=1_000, further=1_000, further_fee=300, free_from_amount=9_900),
            catalog.Rule(
                places=[catalog.Place("CN", one) for one in near],
                first=1_000,
                first_fee=600,
                further=1_000,
                further_fee=200,
                free_from_amount=5_900,
            ),
            catalog.Rule(
                places=[catalog.Place("CN", one) for one in far],
                first=1_000,
                first_fee=2_000,
                further=500,
                further_fee=800,
                free_from_amount=29_900,
            ),
            catalog.Rule(places=[catalog.Place("CN", one) for one in far_too], delivered=False),
        ],
        is_default=True,
    )
    await catalog.put_template(
        tx, actor, shop_id, catalog.ShippingTemplateId(demo_id("shipping", shop_id)), draft
    )
    await catalog.edit_shop(tx, actor, shop_id, catalog.ShopChange(price_protection_days=PROTECTED_DAYS))


async def _add_goods(tx: Tx, actor: identity.Actor, shop_id: ShopId, goods: Goods, *, tax_bps: int) -> None:
    product_id = ProductId(demo_id("product", goods.code))
    await catalog.add_product(
        tx,
        actor,
        shop_id,
        product_id,
        catalog.ProductDraft(
            title=goods.title, description=goods.about, category=goods.category, tax_bps=tax_bps
        ),
    )
    past: dict[SkuId, list[catalog.Step]] = {}
    for number, (value, price) in enumerate(zip(goods.values, goods.prices, strict=True), start=1):
        await catalog.add_sku(
            tx,
            actor,
            product_id,
            SkuId(demo_id("sku", goods.code, number)),
            catalog.SkuDraft(
                code=f"{goods.code}-{number}",
                options={goods.option: value},
                price=Money(price, "CNY"),
                list_price=Money(max(goods.list_price, price), "CNY"),
                stock=goods.stock,
                weight_grams=goods.weight_grams,
            ),
        )
        past[SkuId(demo_id("sku", goods.code, number))] = [
            catalog.Step(tx.now - LISTED_SINCE, max(goods.list_price, price), on_shelf=True),
            catalog.Step(tx.now - PRICED_SINCE, price, on_shelf=True),
        ]
    await catalog.bring_history(tx, past)
    await catalog.edit_product(tx, actor, product_id, catalog.ProductChange(state=catalog.ProductState.listed))


async def _offer_group(tx: Tx, actor: identity.Actor, shop_id: ShopId, goods: Goods) -> None:
    """Cheaper for two who buy it together."""
    draft = offers.GroupDraft(
        id=offers.GroupOfferId(demo_id("group", goods.code)),
        product_id=ProductId(demo_id("product", goods.code)),
        prices=[
            offers.GroupPrice(
                SkuId(demo_id("sku", goods.code, number)),
                Money(max(1, share(price, bps=GROUP_PRICE_BPS) // 100 * 100 - 10), "CNY"),
            )
            for number, price in enumerate(goods.prices, start=1)
        ],
        size=2,
        limit_per_person=2,
        ends_at=tx.now + timedelta(days=180),
    )
    await offers.offer_group(tx, actor, shop_id, draft)


def show_price(goods: Goods, price: int) -> int:
    """What a SKU costs in the show: the discount, in whole yuan less ten fen."""
    return max(100, share(price, bps=goods.show_discount_bps) // 100 * 100 - 10)
