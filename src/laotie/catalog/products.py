"""Products and their SKUs: adding, editing, listing, retiring.

Whoever edits a product or one of its SKUs holds the product's row; SKU rows follow. An edit may say which version it
was made from and is refused with `ChangedMeanwhile` when that is no longer the present one. Stock is not edited: it
moves (see `stock`).
"""

from uuid import UUID

import msgspec
from msgspec import UNSET
from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from laotie import identity, uploads
from laotie.base.db import Tx
from laotie.base.ids import ProductId, ShopId, SkuId, new_id
from laotie.base.refusals import IdReused, NotFound
from laotie.catalog import prices
from laotie.catalog.brand_model import BrandId, BrandUnknown, NotAuthorised
from laotie.catalog.brands import find_brands
from laotie.catalog.covering import brand_facts, check_may_list
from laotie.catalog.listing import find_products
from laotie.catalog.model import (
    SKUS_PER_PRODUCT_MAX,
    STOCK_MAX,
    ChangedMeanwhile,
    CodeTaken,
    MovementRefused,
    Product,
    ProductChange,
    ProductDraft,
    ProductState,
    Sku,
    SkuChange,
    SkuDraft,
    SkuState,
    check_choice,
    check_next_state,
    check_number,
    check_price,
    clean_images,
    clean_options,
    clean_text,
    digest_of,
    fold,
)
from laotie.catalog.shops import get_shop
from laotie.catalog.stock import stock_changed_of
from laotie.events.catalog import ProductChanged


async def add_product(
    tx: Tx, actor: identity.Actor, shop_id: ShopId, product_id: ProductId, draft: ProductDraft
) -> Product:
    """Add a product as a draft. The same id with the same content returns what is there.

    Refuses `IdReused`, `CodeTaken`, `TextRefused`, `ImageRefused`.
    """
    await identity.require_seat(tx, actor, shop_id, identity.Scope.catalog)
    digest = digest_of(shop_id, draft)
    title = clean_text("title", draft.title, required=True)
    category = clean_text("category", draft.category)
    code = clean_text("code", draft.code) or None if draft.code is not None else None
    fresh = await tx.run(
        """
        INSERT INTO catalog.product (id, shop_id, code, title, description, images, category, search_text, created_at,
                                     updated_at, digest, tax_bps, shipping_template_id, brand_id)
        VALUES (%(id)s, %(shop_id)s, %(code)s, %(title)s, %(description)s, %(images)s, %(category)s, %(search)s,
                %(now)s, %(now)s, %(digest)s, %(tax_bps)s, %(shipping)s, %(brand_id)s)
        ON CONFLICT DO NOTHING
        """,
        id=product_id,
        shop_id=shop_id,
        code=code,
        title=title,
        description=clean_text("description", draft.description, lines=True),
        images=Jsonb(clean_images(draft.images)),
        category=category,
        search=fold(f"{title} {category}"),
        now=tx.now,
        digest=digest,
        tax_bps=check_number("tax_bps", draft.tax_bps),
        shipping=await _check_template(tx, shop_id, draft.shipping_template_id),
        brand_id=await _check_brand(tx, draft.brand_id),
    )
    if not fresh:
        known = await tx.maybe(bytes, "SELECT digest FROM catalog.product WHERE id = %(id)s", id=product_id)
        if known is None and code is not None:
            raise CodeTaken(sku_code=code)
        if known != digest:
            raise IdReused()
    product = await _reread(tx, product_id)
    if fresh:
        await uploads.show_pictures(tx, f"product:{product_id}", product.images)
        _tell(tx, product)
    return product


async def edit_product(tx: Tx, actor: identity.Actor, product_id: ProductId, change: ProductChange) -> Product:
    """Change what the product says, or list and delist it. An edit that changes nothing keeps the version.

    Refuses `ChangedMeanwhile`, `StateRefused`, `NothingToSell`, `CodeTaken`, `TextRefused`, `ImageRefused`, and to list
    what a brand does not let be: `NotAuthorised`, `BrandNotNamed`, `BrandUnknown` (see `covering`).
    """
    product = await _lock(tx, actor, product_id, change.expected_version)
    edited = msgspec.structs.replace(
        product,
        title=product.title if change.title is UNSET else clean_text("title", change.title, required=True),
        description=(
            product.description
            if change.description is UNSET
            else clean_text("description", change.description, lines=True)
        ),
        images=product.images if change.images is UNSET else clean_images(change.images),
        category=product.category if change.category is UNSET else clean_text("category", change.category),
        code=product.code if change.code is UNSET else clean_text("code", change.code or "") or None,
        state=product.state if change.state is UNSET else change.state,
        tax_bps=product.tax_bps if change.tax_bps is UNSET else check_number("tax_bps", change.tax_bps),
        shipping_template_id=(
            product.shipping_template_id
            if change.shipping_template_id is UNSET
            else await _check_template(tx, product.shop_id, change.shipping_template_id)
        ),
        brand_id=product.brand_id if change.brand_id is UNSET else await _check_brand(tx, change.brand_id),
    )
    if edited.state is not product.state:
        check_next_state(product.state, edited.state, product.skus)
    if edited == product:
        return product
    if edited.state is ProductState.listed and brand_facts(edited) != brand_facts(product):
        await check_may_list(tx, edited)
    try:
        written = await tx.run(
            """
            UPDATE catalog.product
            SET title = %(title)s, description = %(description)s, images = %(images)s, category = %(category)s,
                code = %(code)s, state = %(state)s, search_text = %(search)s, updated_at = %(now)s,
                tax_bps = %(tax_bps)s, shipping_template_id = %(shipping)s, brand_id = %(brand_id)s,
                delisted_why = CASE WHEN %(state)s = 'delisted' AND state = 'delisted' THEN delisted_why END,
                version = version + 1
            WHERE id = %(id)s
              AND (%(state)s <> 'listed' OR %(is_as_before)s OR %(brand_id)s::uuid IS NULL
                   OR catalog.cover_until(%(brand_id)s, shop_id, %(category)s, %(now)s) IS NOT NULL)
            """,
            id=product_id,
            title=edited.title,
            description=edited.description,
            images=Jsonb(edited.images),
            category=edited.category,
            code=edited.code,
            state=edited.state,
            search=fold(f"{edited.title} {edited.category}"),
            tax_bps=edited.tax_bps,
            shipping=edited.shipping_template_id,
            brand_id=edited.brand_id,
            is_as_before=brand_facts(edited) == brand_facts(product),
            now=tx.now,
        )
    except UniqueViolation:
        raise CodeTaken(sku_code=edited.code or "") from None
    if not written:
        assert edited.brand_id is not None
        raise NotAuthorised(brand_id=BrandId(edited.brand_id), brand="")
    if edited.state is not product.state:
        await prices.record(tx, [product_id])
    if edited.images != product.images:
        await uploads.show_pictures(tx, f"product:{product_id}", edited.images)
    return _tell(tx, await _reread(tx, product_id))


async def add_sku(tx: Tx, actor: identity.Actor, product_id: ProductId, sku_id: SkuId, draft: SkuDraft) -> Sku:
    """Add a SKU, with the pieces received along with it. The same id with the same content returns what is there.

    Refuses `IdReused`, `CodeTaken`, `OptionsTaken`, `PriceRefused`, `OptionsRefused`, `TooMany`, `MovementRefused`.
    """
    product = await _lock(tx, actor, product_id, UNSET)
    digest = digest_of(product_id, draft)
    known = await tx.maybe(bytes, "SELECT coalesce(digest, '') FROM catalog.sku WHERE id = %(id)s", id=sku_id)
    if known is not None:
        if known != digest:
            raise IdReused()
        return _find_sku(product, sku_id)
    if len(product.skus) >= SKUS_PER_PRODUCT_MAX:
        raise identity.TooMany(count_max=SKUS_PER_PRODUCT_MAX)
    shop = await get_shop(tx, product.shop_id)
    options = clean_options(draft.options)
    check_choice(options, product.skus)
    code = clean_text("code", draft.code, required=True)
    if not 0 <= draft.stock <= STOCK_MAX:
        raise MovementRefused(quantity_max=STOCK_MAX)
    fresh = await tx.run(
        """
        INSERT INTO catalog.sku (id, product_id, shop_id, code, options, price_amount, list_price_amount, currency,
                                 available, received, digest, weight_grams)
        VALUES (%(id)s, %(product_id)s, %(shop_id)s, %(code)s, %(options)s, %(price)s, %(list_price)s, %(currency)s,
                %(stock)s, %(stock)s, %(digest)s, %(weight)s)
        ON CONFLICT DO NOTHING
        """,
        id=sku_id,
        product_id=product_id,
        shop_id=product.shop_id,
        code=code,
        options=Jsonb(options),
        price=check_price(draft.price, currency=shop.currency),
        list_price=None if draft.list_price is None else check_price(draft.list_price, currency=shop.currency),
        currency=shop.currency,
        stock=draft.stock,
        digest=digest,
        weight=check_number("weight_grams", draft.weight_grams),
    )
    if not fresh:
        raise CodeTaken(sku_code=code)
    await prices.record(tx, [product_id])
    if draft.stock:
        await tx.run(
            """
            INSERT INTO catalog.stock_movement (id, sku_id, kind, quantity, note, moved_at)
            VALUES (%(id)s, %(sku_id)s, 'received', %(quantity)s, 'opening stock', %(now)s)
            """,
            id=new_id(),
            sku_id=sku_id,
            quantity=draft.stock,
            now=tx.now,
        )
    sku = _find_sku(await _touch(tx, product_id), sku_id)
    tx.tell(stock_changed_of(sku))
    return sku


async def edit_sku(tx: Tx, actor: identity.Actor, sku_id: SkuId, change: SkuChange) -> Sku:
    """Change code, options or price, retire a SKU or take it back. The product's version grows with it.

    Refuses `ChangedMeanwhile`, `CodeTaken`, `OptionsTaken`, `PriceRefused`, `OptionsRefused`.
    """
    product_id = await tx.maybe(ProductId, "SELECT product_id FROM catalog.sku WHERE id = %(id)s", id=sku_id)
    if product_id is None:
        raise NotFound()
    product = await _lock(tx, actor, product_id, change.expected_version)
    sku = _find_sku(product, sku_id)
    edited = msgspec.structs.replace(
        sku,
        code=sku.code if change.code is UNSET else clean_text("code", change.code, required=True),
        options=sku.options if change.options is UNSET else clean_options(change.options),
        price_amount=(
            sku.price_amount if change.price is UNSET else check_price(change.price, currency=sku.currency)
        ),
        list_price_amount=(
            sku.list_price_amount
            if change.list_price is UNSET
            else None
            if change.list_price is None
            else check_price(change.list_price, currency=sku.currency)
        ),
        weight_grams=(
            sku.weight_grams if change.weight_grams is UNSET else check_number("weight_grams", change.weight_grams)
        ),
        state=sku.state if change.state is UNSET else change.state,
    )
    if edited == sku:
        return sku
    if edited.state is SkuState.active:
        check_choice(edited.options, [other for other in product.skus if other.id != sku_id])
    try:
        await tx.run(
            """
            UPDATE catalog.sku
            SET code = %(code)s, options = %(options)s, price_amount = %(price)s, list_price_amount = %(list_price)s,
                weight_grams = %(weight)s, state = %(state)s
            WHERE id = %(id)s
            """,
            id=sku_id,
            code=edited.code,
            options=Jsonb(edited.options),
            price=edited.price_amount,
            list_price=edited.list_price_amount,
            weight=edited.weight_grams,
            state=edited.state,
        )
    except UniqueViolation:
        raise CodeTaken(sku_code=edited.code) from None
    await prices.record(tx, [product_id])
    return _find_sku(await _touch(tx, product_id), sku_id)


async def _check_brand(tx: Tx, brand_id: UUID | None) -> UUID | None:
    """A brand that exists; whether it lets the product be listed is asked when it is."""
    if brand_id is not None and BrandId(brand_id) not in await find_brands(tx, [BrandId(brand_id)]):
        raise BrandUnknown(brand=str(brand_id))
    return brand_id


async def _lock(
    tx: Tx, actor: identity.Actor, product_id: ProductId, expected_version: int | msgspec.UnsetType
) -> Product:
    """The product as it is, with its row held and the actor's right checked."""
    shop_id = await tx.maybe(
        ShopId, "SELECT shop_id FROM catalog.product WHERE id = %(id)s FOR NO KEY UPDATE", id=product_id
    )
    if shop_id is None:
        raise NotFound()
    await identity.require_seat(tx, actor, shop_id, identity.Scope.catalog)
    product = await _reread(tx, product_id)
    if expected_version is not UNSET and product.version != expected_version:
        raise ChangedMeanwhile(version=product.version)
    return product


async def _check_template(tx: Tx, shop_id: ShopId, template_id: UUID | None) -> UUID | None:
    """The shop's own shipping template, or `NotFound`."""
    if template_id is not None and not await tx.maybe(
        bool,
        "SELECT true FROM catalog.shipping_template WHERE id = %(id)s AND shop_id = %(shop_id)s FOR KEY SHARE",
        id=template_id,
        shop_id=shop_id,
    ):
        raise NotFound()
    return template_id


async def _touch(tx: Tx, product_id: ProductId) -> Product:
    await tx.run(
        "UPDATE catalog.product SET version = version + 1, updated_at = %(now)s WHERE id = %(id)s",
        id=product_id,
        now=tx.now,
    )
    return _tell(tx, await _reread(tx, product_id))


async def _reread(tx: Tx, product_id: ProductId) -> Product:
    return (await find_products(tx, [product_id]))[product_id]


def _tell(tx: Tx, product: Product) -> Product:
    tx.tell(
        ProductChanged(
            product_id=product.id, shop_id=product.shop_id, version=product.version, state=product.state.value
        )
    )
    return product


def _find_sku(product: Product, sku_id: SkuId) -> Sku:
    found = next((sku for sku in product.skus if sku.id == sku_id), None)
    if found is None:
        raise IdReused()
    return found
