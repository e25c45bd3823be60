"""Catalog: shops, their products and SKUs, and the stock.

Owns what is for sale, at which price on the shelf, and how many pieces there are. Promises: no stock figure ever falls
below zero, and each equals the sum of its movements; what is set aside (`aside`) is sold to nobody else and comes
back once; an edit from an old version is refused (`ChangedMeanwhile`);
`StockChanged` and `ProductChanged` are told in the transaction of the change. Not here: show prices and carts (`live`),
orders (`orders`), who may act for a shop (`identity`).
"""

from laotie.catalog.aside import Aside, Portion, find_asides, put_back, send_asides, set_aside
from laotie.catalog.evidence import list_facts, sum_facts
from laotie.catalog.intake import Outcome, Row, take_in
from laotie.catalog.listing import (
    find_products,
    find_skus,
    get_product,
    list_categories,
    list_codes,
    list_movements,
    list_own_products,
    list_products,
    picture_of,
)
from laotie.catalog.model import (
    AsideShort,
    ChangedMeanwhile,
    CodeTaken,
    ImageRefused,
    Movement,
    MovementKind,
    MovementRefused,
    NothingToSell,
    OptionsTaken,
    Page,
    PriceRefused,
    Product,
    ProductChange,
    ProductDraft,
    ProductState,
    Shelf,
    Shop,
    ShopChange,
    ShopDraft,
    Sku,
    SkuChange,
    SkuDraft,
    SkuState,
    StockShort,
    Store,
    TextRefused,
    check_price,
    clean_images,
    clean_text,
    digest_of,
)
from laotie.catalog.pictures import draw_picture
from laotie.catalog.products import add_product, add_sku, edit_product, edit_sku
from laotie.catalog.sheet import (
    COLUMNS,
    RowError,
    SheetRefused,
    SheetReport,
    export_sheet,
    guard,
    import_sheet,
    template,
)
from laotie.catalog.shops import edit_shop, find_shops, find_shops_named, get_shop, open_shop
from laotie.catalog.stock import (
    Line,
    Tally,
    aside_changed,
    lock_many,
    move_stock,
    record_past_sales,
    release_many,
    reserve_many,
    return_many,
    sell_many,
    send_locks,
    set_many,
    stock_changed,
    tally,
)

__all__ = [
    "COLUMNS", "Aside", "AsideShort", "ChangedMeanwhile", "CodeTaken", "ImageRefused", "Line", "Movement",
    "MovementKind", "MovementRefused", "NothingToSell", "OptionsTaken", "Outcome", "Page", "Portion",
    "PriceRefused", "Product", "ProductChange", "ProductDraft", "ProductState", "Row", "RowError", "SheetRefused",
    "SheetReport", "Shelf", "Shop", "ShopChange", "ShopDraft", "Sku", "SkuChange", "SkuDraft", "SkuState",
    "StockShort", "Store", "Tally", "TextRefused", "add_product", "add_sku", "aside_changed", "check_price",
    "clean_images", "clean_text", "digest_of", "draw_picture", "edit_product", "edit_shop", "edit_sku",
    "export_sheet", "find_asides", "find_products", "find_shops", "find_shops_named", "find_skus", "get_product",
    "get_shop", "guard", "import_sheet", "list_categories", "list_codes", "list_facts", "list_movements",
    "list_own_products", "list_products", "lock_many", "move_stock", "open_shop", "picture_of", "put_back",
    "record_past_sales", "release_many", "reserve_many", "return_many", "sell_many", "send_asides", "send_locks",
    "set_aside", "set_many", "stock_changed", "sum_facts", "take_in", "tally", "template",
]  # fmt: skip
