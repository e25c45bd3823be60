"""Catalog: shops, their products and SKUs, and the stock.

Owns what is for sale, at which price on the shelf, and how many pieces there are. Promises: no stock figure ever falls
below zero, and each equals the sum of its movements; what is set aside (`aside`) is sold to nobody else and comes
back once; an edit from an old version is refused (`ChangedMeanwhile`);
`StockChanged` and `ProductChanged` are told in the transaction of the change. Not here: show prices and carts (`live`),
orders (`orders`), who may act for a shop (`identity`).
"""

from laotie.catalog import authorisations, batches, brand_model, brands, covering, exporting
from laotie.catalog.aside import Aside, Portion, find_asides, put_back, send_asides, set_aside
from laotie.catalog.brand_model import BatchId, BrandId, BrandNotNamed, NotAuthorised
from laotie.catalog.covering import check_may_list
from laotie.catalog.dispatch import (
    Dispatch,
    DispatchRefused,
    ProductPromise,
    find_dispatch,
    get_dispatch,
    get_product_dispatch,
    set_dispatch,
    set_product_dispatch,
)
from laotie.catalog.evidence import Tally, list_facts, sum_facts, tally
from laotie.catalog.finding import (
    ShelfCard,
    find_on_shelf,
    find_silent_shops,
    read_documents,
    read_documents_behind,
)
from laotie.catalog.intake import Outcome, Row, take_in
from laotie.catalog.listing import (
    find_cards,
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
    Card,
    ChangedMeanwhile,
    CodeTaken,
    ImageRefused,
    ListPriceGap,
    Movement,
    MovementKind,
    MovementRefused,
    NoSandboxShop,
    NothingToSell,
    OptionsTaken,
    Page,
    PriceRefused,
    Product,
    ProductChange,
    ProductDraft,
    ProductState,
    SandboxShop,
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
from laotie.catalog.pledges import find_pledge_ids, find_shop_pledge, limit_shop, list_pledge_ids, set_pledge
from laotie.catalog.prices import Step, bring_history, find_reference_prices
from laotie.catalog.products import add_product, add_sku, edit_product, edit_sku
from laotie.catalog.sandboxes import find_sandboxes, require_public
from laotie.catalog.sheet import (
    COLUMNS,
    RowError,
    SheetRefused,
    SheetReport,
    export_sheet,
    import_sheet,
    template,
)
from laotie.catalog.shipping import (
    Measure,
    NotDelivered,
    Place,
    Rule,
    ShippingDraft,
    ShippingTemplate,
    ShippingTemplateId,
    delete_template,
    list_templates,
    price_shipping,
    put_template,
)
from laotie.catalog.shops import (
    edit_shop,
    find_own_shops,
    find_shops,
    find_shops_named,
    get_shop,
    list_own_shops,
    mark_own_shop,
    open_shop,
)
from laotie.catalog.stock import (
    Line,
    aside_changed,
    find_shelves,
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
)

__all__ = [
    "COLUMNS", "Aside", "AsideShort", "BatchId", "BrandId", "BrandNotNamed", "Card", "ChangedMeanwhile",
    "CodeTaken", "Dispatch", "DispatchRefused", "ImageRefused", "Line", "ListPriceGap", "Measure", "Movement",
    "MovementKind", "MovementRefused", "NoSandboxShop", "NotAuthorised", "NotDelivered", "NothingToSell",
    "OptionsTaken", "Outcome", "Page", "Place", "Portion", "PriceRefused", "Product", "ProductChange",
    "ProductDraft", "ProductPromise", "ProductState", "Row", "RowError", "Rule", "SandboxShop", "SheetRefused",
    "SheetReport", "Shelf", "ShelfCard", "ShippingDraft", "ShippingTemplate", "ShippingTemplateId", "Shop",
    "ShopChange", "ShopDraft", "Sku", "SkuChange", "SkuDraft", "SkuState", "Step", "StockShort", "Store", "Tally",
    "TextRefused", "add_product", "add_sku", "aside_changed", "authorisations", "batches", "brand_model", "brands",
    "bring_history", "check_may_list", "check_price", "clean_images", "clean_text", "covering", "delete_template",
    "digest_of", "draw_picture", "edit_product", "edit_shop", "edit_sku", "export_sheet", "exporting",
    "find_asides", "find_cards", "find_dispatch", "find_on_shelf", "find_own_shops", "find_pledge_ids",
    "find_products", "find_reference_prices", "find_sandboxes", "find_shelves", "find_shop_pledge", "find_shops",
    "find_shops_named", "find_silent_shops", "find_skus", "get_dispatch", "get_product", "get_product_dispatch",
    "get_shop", "import_sheet", "limit_shop", "list_categories", "list_codes", "list_facts", "list_movements",
    "list_own_products", "list_own_shops", "list_pledge_ids", "list_products", "list_templates", "lock_many",
    "mark_own_shop", "move_stock", "open_shop", "picture_of", "price_shipping", "put_back", "put_template",
    "read_documents", "read_documents_behind", "record_past_sales", "release_many", "require_public",
    "reserve_many", "return_many", "sell_many", "send_asides", "send_locks", "set_aside", "set_dispatch",
    "set_many", "set_pledge", "set_product_dispatch", "stock_changed", "sum_facts", "take_in", "tally", "template",
]  # fmt: skip
