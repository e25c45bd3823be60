"""What happened to goods: products changed, pieces came and went."""

from datetime import datetime
from uuid import UUID

from laotie.base.events import Event
from laotie.base.ids import ProductId, ShopId, SkuId


class ProductChanged(Event, tag="catalog.product_changed", frozen=True, kw_only=True):
    """A product or one of its SKUs was made or edited; `version` only grows."""

    product_id: ProductId
    shop_id: ShopId
    version: int
    state: str


class StockChanged(Event, tag="catalog.stock_changed", frozen=True, kw_only=True):
    """This many pieces of a SKU can be bought now: told once a SKU and transaction, an absolute figure.

    Sales say the instant `at` of their batch, so that who hears of several out of order knows the newest.
    """

    sku_id: SkuId
    product_id: ProductId
    shop_id: ShopId
    available: int
    at: datetime | None = None


class AuthorisationGranted(Event, tag="catalog.authorisation_granted", frozen=True, kw_only=True):
    """A brand lets a shop sell its goods until then."""

    authorisation_id: UUID
    brand_id: UUID
    shop_id: ShopId
    ends_at: datetime


class AuthorisationRevoked(Event, tag="catalog.authorisation_revoked", frozen=True, kw_only=True):
    """A brand took an authorisation back. Running out tells nothing: time says it."""

    authorisation_id: UUID
    brand_id: UUID
    shop_id: ShopId


class BatchRecalled(Event, tag="catalog.batch_recalled", frozen=True, kw_only=True):
    """A batch is called back, and why."""

    batch_id: UUID
    product_id: ProductId
    shop_id: ShopId
    reason: str


class AsideChanged(Event, tag="catalog.aside_changed", frozen=True, kw_only=True):
    """This many pieces of a SKU can be bought from what was set aside under this id: an absolute figure."""

    aside_id: UUID
    sku_id: SkuId
    available: int
    at: datetime | None = None
