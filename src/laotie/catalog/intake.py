"""Intake: many products and SKUs at once, made or brought up to date by SKU code, set-based.

Serves the sheet and the importers. The rules are those of `products`; what differs is the form: a batch of rows in,
an answer a row out, a bad row beside good ones. A row that changes nothing touches nothing.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from laotie import identity
from laotie.base.db import Tx, encode
from laotie.base.ids import ProductId, SkuId, new_id
from laotie.base.refusals import Refusal
from laotie.catalog import prices
from laotie.catalog.brand_model import BrandId, BrandUnknown
from laotie.catalog.brands import find_brands_named
from laotie.catalog.covering import Rules, brand_facts, load_rules
from laotie.catalog.listing import find_products
from laotie.catalog.model import (
    LENGTH_MAX,
    SKUS_PER_PRODUCT_MAX,
    PriceMissing,
    Product,
    ProductDiffers,
    ProductState,
    Shop,
    Sku,
    SkuState,
    TextRefused,
    check_choice,
    check_next_state,
    fold,
)
from laotie.catalog.stock import set_many, stock_changed_of
from laotie.events.catalog import ProductChanged


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One SKU with its product, already cleaned. `None` leaves a value as it is (or at its default when new).

    `product` names the product: its id or its code. Rows of one batch with the same name, or with a SKU that is
    already there, meet in one product.
    """

    code: str
    product: str | None = None
    title: str | None = None
    description: str | None = None
    images: list[str] | None = None
    category: str | None = None
    state: ProductState | None = None
    options: dict[str, str] | None = None
    price_amount: int | None = None
    list_price_amount: int | None = None
    keep_list_price: bool = False
    sku_state: SkuState | None = None
    stock: int | None = None
    tax_bps: int | None = None
    shipping_template_id: UUID | None = None
    keep_shipping_template: bool = True
    weight_grams: int | None = None
    brand: str | None = None
    """A verified brand's name or id; empty: none."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of a row."""

    sku_id: SkuId
    product_id: ProductId
    did: str
    """`created`, `updated` or `unchanged`."""


async def take_in(tx: Tx, shop: Shop, rows: list[Row], *, set_stock: bool = False) -> list[Outcome | Refusal]:
    """Make or update; answers in the order of the rows. Tells `ProductChanged` once a product.

    `stock` is received with a new SKU; for one that is there it counts only with `set_stock`. Locks the products.
    """
    present = await _lock(tx, shop, rows, skus_too=set_stock)
    brands = await find_brands_named(tx, {row.brand for row in rows if row.brand})
    concerned = {BrandId(product.brand_id) for product in present if product.brand_id is not None} | {*brands.values()}
    rules = await load_rules(tx, shop.id, concerned, [product.id for product in present])
    plan = _Plan(shop, present, tx.now, brands, rules)
    answers = [plan.add(row) for row in rows]
    await _write(tx, plan)
    if set_stock:
        counted = {
            answer.sku_id: row.stock
            for row, answer in zip(rows, answers, strict=True)
            if isinstance(answer, Outcome) and answer.did != "created" and row.stock is not None
        }
        moved = await set_many(tx, counted, note="counted, by import") if counted else set()
        answers = [
            msgspec.structs.replace(answer, did="updated")
            if isinstance(answer, Outcome) and answer.sku_id in moved and answer.did == "unchanged"
            else answer
            for answer in answers
        ]
    return answers


class _Plan:
    """What is to be written, worked out row by row without I/O."""

    def __init__(
        self, shop: Shop, present: list[Product], now: datetime, brands: dict[str, BrandId], rules: Rules
    ) -> None:
        self.shop = shop
        self.now = now
        self.brands = brands
        self.rules = rules
        self.before = {product.id: product for product in present}
        self.products = dict(self.before)
        self.by_code = {product.code: product.id for product in present if product.code is not None}
        self.skus: dict[SkuId, Sku] = {sku.id: sku for product in present for sku in product.skus}
        self.skus_before = dict(self.skus)
        self.sku_by_code = {sku.code: sku.id for sku in self.skus.values()}
        self.by_product: dict[ProductId, list[SkuId]] = {
            product.id: [sku.id for sku in product.skus] for product in present
        }

    def add(self, row: Row) -> Outcome | Refusal:
        """Fit one row into the plan, or say why not (then the plan is as before)."""
        try:
            return self._add(row)
        except Refusal as refusal:
            return refusal

    def _add(self, row: Row) -> Outcome:
        known_id = self.sku_by_code.get(row.code)
        known = self.skus[known_id] if known_id is not None else None
        product = self._product_of(row, known)
        sku = self._sku_of(row, known, product)
        others = [self.skus[id_] for id_ in self.by_product.get(product.id, []) if id_ != sku.id]
        if known is None and len(others) >= SKUS_PER_PRODUCT_MAX:
            raise identity.TooMany(count_max=SKUS_PER_PRODUCT_MAX)
        if sku.state is SkuState.active:
            check_choice(sku.options, others)
        if row.state is not None and row.state is not product.state:
            check_next_state(product.state, row.state, [*others, sku])
            product = msgspec.structs.replace(product, state=row.state, delisted_why=None)
        was = self.products.get(product.id)
        if product.state is ProductState.listed and (was is None or brand_facts(was) != brand_facts(product)):
            self.rules.check(product)
        did = "created" if known is None else "unchanged"
        if known is not None and (sku != known or product != self.products.get(product.id)):
            did = "updated"
        self.products[product.id] = product
        if product.code is not None:
            self.by_code[product.code] = product.id
        self.skus[sku.id] = sku
        self.sku_by_code[sku.code] = sku.id
        if known is None:
            self.by_product.setdefault(product.id, []).append(sku.id)
        return Outcome(sku.id, product.id, did)

    def _product_of(self, row: Row, known: Sku | None) -> Product:
        """The product of the row with what the row says of it; the state is settled later."""
        named = self._find_named(row.product)
        if known is not None and row.product is not None and named not in (known.product_id, None):
            raise ProductDiffers(sku_code=row.code)
        product_id = known.product_id if known is not None else named
        if product_id is None:
            if not row.title:
                raise TextRefused(field="title", length_max=LENGTH_MAX["title"])
            return Product(
                id=ProductId(new_id()),
                shop_id=self.shop.id,
                code=row.product,
                title=row.title,
                description=row.description or "",
                images=row.images or [],
                category=row.category or "",
                state=ProductState.draft,
                version=1,
                created_at=self.now,
                updated_at=self.now,
                tax_bps=row.tax_bps or 0,
                shipping_template_id=row.shipping_template_id,
                brand_id=self._brand_of(row, None),
            )
        product = self.products[product_id]
        return msgspec.structs.replace(
            product,
            title=row.title or product.title,
            description=product.description if row.description is None else row.description,
            images=product.images if row.images is None else row.images,
            category=product.category if row.category is None else row.category,
            tax_bps=product.tax_bps if row.tax_bps is None else row.tax_bps,
            shipping_template_id=(
                product.shipping_template_id if row.keep_shipping_template else row.shipping_template_id
            ),
            brand_id=self._brand_of(row, product.brand_id),
        )

    def _brand_of(self, row: Row, now: UUID | None) -> UUID | None:
        if row.brand is None:
            return now
        if row.brand and row.brand not in self.brands:
            raise BrandUnknown(brand=row.brand)
        return self.brands[row.brand] if row.brand else None

    def _find_named(self, name: str | None) -> ProductId | None:
        if name is None:
            return None
        product_id = _as_id(name)
        if product_id is not None and product_id in self.products:
            return ProductId(product_id)
        return self.by_code.get(name)

    def _sku_of(self, row: Row, known: Sku | None, product: Product) -> Sku:
        if known is None:
            if row.price_amount is None:
                raise PriceMissing()
            stock = row.stock or 0
            return Sku(
                id=SkuId(new_id()),
                product_id=product.id,
                shop_id=self.shop.id,
                code=row.code,
                options=row.options or {},
                price_amount=row.price_amount,
                list_price_amount=row.list_price_amount,
                currency=self.shop.currency,
                state=row.sku_state or SkuState.active,
                available=stock,
                aside=0,
                reserved=0,
                sold=0,
                received=stock,
                weight_grams=row.weight_grams or 0,
            )
        return msgspec.structs.replace(
            known,
            options=known.options if row.options is None else row.options,
            price_amount=known.price_amount if row.price_amount is None else row.price_amount,
            list_price_amount=known.list_price_amount if row.keep_list_price else row.list_price_amount,
            state=known.state if row.sku_state is None else row.sku_state,
            weight_grams=known.weight_grams if row.weight_grams is None else row.weight_grams,
        )


async def _lock(tx: Tx, shop: Shop, rows: list[Row], *, skus_too: bool) -> list[Product]:
    """The products that the rows speak of, each row held, with all their SKUs."""
    names = [row.product for row in rows if row.product is not None]
    ids = await tx.all(
        UUID,
        """
        SELECT id FROM catalog.product
        WHERE id IN (
            SELECT id FROM catalog.product WHERE shop_id = %(shop_id)s AND code = ANY(%(names)s)
            UNION SELECT id FROM catalog.product WHERE shop_id = %(shop_id)s AND id = ANY(%(ids)s)
            UNION SELECT product_id FROM catalog.sku WHERE shop_id = %(shop_id)s AND code = ANY(%(codes)s)
        )
        ORDER BY id FOR NO KEY UPDATE
        """,
        shop_id=shop.id,
        names=names,
        ids=[id_ for id_ in map(_as_id, names) if id_ is not None],
        codes=[row.code for row in rows],
    )
    if skus_too:
        await tx.run(
            "SELECT FROM catalog.sku WHERE product_id = ANY(%(ids)s) ORDER BY id FOR NO KEY UPDATE",
            ids=ids,
        )
    return list((await find_products(tx, [ProductId(id_) for id_ in ids])).values())


async def _write(tx: Tx, plan: _Plan) -> None:
    made = [product for id_, product in plan.products.items() if id_ not in plan.before]
    edited = [product for id_, product in plan.products.items() if plan.before.get(id_, product) != product]
    new_skus = [sku for id_, sku in plan.skus.items() if id_ not in plan.skus_before]
    edited_skus = [sku for id_, sku in plan.skus.items() if plan.skus_before.get(id_, sku) != sku]
    await _insert_products(tx, made)
    await _insert_skus(tx, new_skus)
    await _update_skus(tx, edited_skus)
    touched = {product.id for product in edited} | {sku.product_id for sku in [*new_skus, *edited_skus]}
    touched -= {product.id for product in made}
    await _update_products(tx, [plan.products[id_] for id_ in touched])
    await prices.record(tx, [*(product.id for product in made), *touched])
    for product in made:
        _tell(tx, product)
    for id_ in touched:
        _tell(tx, msgspec.structs.replace(plan.products[id_], version=plan.products[id_].version + 1))
    for sku in new_skus:
        tx.tell(stock_changed_of(sku))


async def _insert_products(tx: Tx, products: list[Product]) -> None:
    if not products:
        return
    await tx.run(
        """
        INSERT INTO catalog.product (id, shop_id, code, title, description, images, category, state, search_text,
                                     tax_bps, shipping_template_id, brand_id, created_at, updated_at)
        SELECT id, shop_id, code, title, description, images::jsonb, category, state, search_text, tax_bps, shipping,
               brand_id, %(now)s, %(now)s
        FROM unnest(%(ids)s::uuid[], %(shops)s::uuid[], %(codes)s::text[], %(titles)s::text[],
                    %(descriptions)s::text[], %(images)s::text[], %(categories)s::text[], %(states)s::text[],
                    %(searches)s::text[], %(taxes)s::integer[], %(shippings)s::uuid[], %(brands)s::uuid[])
          AS product (id, shop_id, code, title, description, images, category, state, search_text, tax_bps, shipping,
                      brand_id)
        """,
        shops=[product.shop_id for product in products],
        codes=[product.code for product in products],
        **_product_arrays(products),
        now=tx.now,
    )


async def _update_products(tx: Tx, products: list[Product]) -> None:
    if not products:
        return
    await tx.run(
        """
        UPDATE catalog.product
        SET title = said.title, description = said.description, images = said.images::jsonb,
            category = said.category, state = said.state, search_text = said.search_text, updated_at = %(now)s,
            tax_bps = said.tax_bps, shipping_template_id = said.shipping, brand_id = said.brand_id,
            delisted_why = said.delisted_why, version = version + 1
        FROM unnest(%(ids)s::uuid[], %(titles)s::text[], %(descriptions)s::text[], %(images)s::text[],
                    %(categories)s::text[], %(states)s::text[], %(searches)s::text[],
                    %(taxes)s::integer[], %(shippings)s::uuid[], %(brands)s::uuid[], %(whys)s::text[])
          AS said (id, title, description, images, category, state, search_text, tax_bps, shipping, brand_id,
                   delisted_why)
        WHERE product.id = said.id
        """,
        **_product_arrays(products),
        now=tx.now,
    )


def _product_arrays(products: list[Product]) -> dict[str, list[object]]:
    return {
        "ids": [product.id for product in products],
        "titles": [product.title for product in products],
        "descriptions": [product.description for product in products],
        "images": [encode(product.images).decode() for product in products],
        "categories": [product.category for product in products],
        "states": [product.state for product in products],
        "searches": [fold(f"{product.title} {product.category}") for product in products],
        "taxes": [product.tax_bps for product in products],
        "shippings": [product.shipping_template_id for product in products],
        "brands": [product.brand_id for product in products],
        "whys": [product.delisted_why for product in products],
    }


async def _insert_skus(tx: Tx, skus: list[Sku]) -> None:
    if not skus:
        return
    await tx.run(
        """
        WITH fresh AS (
            SELECT * FROM unnest(%(ids)s::uuid[], %(products)s::uuid[], %(shops)s::uuid[], %(codes)s::text[],
                                 %(options)s::text[], %(prices)s::bigint[], %(list_prices)s::bigint[],
                                 %(currencies)s::text[], %(states)s::text[], %(stocks)s::bigint[],
                                 %(weights)s::integer[], %(movements)s::uuid[])
              AS fresh (id, product_id, shop_id, code, options, price, list_price, currency, state, stock, weight,
                        movement_id)
        ), made AS (
            INSERT INTO catalog.sku (id, product_id, shop_id, code, options, price_amount, list_price_amount, currency,
                                     state, available, received, weight_grams)
            SELECT id, product_id, shop_id, code, options::jsonb, price, list_price, currency, state, stock, stock,
                   weight
            FROM fresh
        )
        INSERT INTO catalog.stock_movement (id, sku_id, kind, quantity, note, moved_at)
        SELECT movement_id, id, 'received', stock, 'opening stock', %(now)s FROM fresh WHERE stock > 0
        """,
        products=[sku.product_id for sku in skus],
        shops=[sku.shop_id for sku in skus],
        codes=[sku.code for sku in skus],
        currencies=[sku.currency for sku in skus],
        stocks=[sku.available for sku in skus],
        movements=[new_id() for _ in skus],
        **_sku_arrays(skus),
        now=tx.now,
    )


async def _update_skus(tx: Tx, skus: list[Sku]) -> None:
    if not skus:
        return
    await tx.run(
        """
        WITH held AS MATERIALIZED (
            SELECT id FROM catalog.sku WHERE id = ANY(%(ids)s) ORDER BY id FOR NO KEY UPDATE
        )
        UPDATE catalog.sku
        SET options = said.options::jsonb, price_amount = said.price, list_price_amount = said.list_price,
            state = said.state, weight_grams = said.weight
        FROM unnest(%(ids)s::uuid[], %(options)s::text[], %(prices)s::bigint[], %(list_prices)s::bigint[],
                    %(states)s::text[], %(weights)s::integer[]) AS said (id, options, price, list_price, state, weight)
        JOIN held ON held.id = said.id
        WHERE sku.id = held.id
        """,
        **_sku_arrays(skus),
    )


def _sku_arrays(skus: list[Sku]) -> dict[str, list[object]]:
    return {
        "ids": [sku.id for sku in skus],
        "options": [encode(sku.options).decode() for sku in skus],
        "prices": [sku.price_amount for sku in skus],
        "list_prices": [sku.list_price_amount for sku in skus],
        "states": [sku.state for sku in skus],
        "weights": [sku.weight_grams for sku in skus],
    }


def _tell(tx: Tx, product: Product) -> None:
    tx.tell(
        ProductChanged(
            product_id=product.id, shop_id=product.shop_id, version=product.version, state=product.state.value
        )
    )


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None
