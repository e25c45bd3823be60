"""The words of the catalogue: shops, products, SKUs, movements, and what is refused. No I/O here."""

import hashlib
import re
import unicodedata
from datetime import datetime
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from laotie.base.ids import AccountId, OrderId, ProductId, ShopId, SkuId
from laotie.base.money import Money
from laotie.base.refusals import Conflict, Invalid

T = TypeVar("T")

SHOPS_PER_OWNER_MAX = 20
SANDBOXES_PER_OWNER_MAX = 3
STORES_MAX = 100
SKUS_PER_PRODUCT_MAX = 200
IMAGES_MAX = 9
OPTIONS_MAX = 5
PAGE_SIZE_MAX = 100
PRICE_MAX = 10**11
STOCK_MAX = 10**9
NUMBER_MAX = {"tax_bps": 5_000, "weight_grams": 1_000_000, "price_protection_days": 90}
DRAWN_PATH = "/media/pictures/"
LENGTH_MAX = {
    "name": 80,
    "about": 2_000,
    "city": 80,
    "address": 200,
    "title": 200,
    "description": 20_000,
    "category": 60,
    "code": 64,
    "image": 500,
    "option": 60,
    "note": 200,
    "query": 100,
}


class ProductState(StrEnum):
    """Where a product stands: being prepared, on the shelf, off the shelf."""

    draft = "draft"
    listed = "listed"
    delisted = "delisted"


class SkuState(StrEnum):
    """Whether a SKU is still sold; a retired one keeps its history."""

    active = "active"
    retired = "retired"


class ListPriceGap(StrEnum):
    """Why a list price is not shown, or not as it was typed."""

    not_above = "not-above"
    """It is not above the price."""
    no_history = "no-history"
    """In the 30 days before this price began, the SKU was on the shelf for less than seven."""
    no_reduction = "no-reduction"
    """In these 30 days it was on the shelf at this price or a lower one."""
    above_reference = "above-reference"
    """In these 30 days it was on the shelf at a lower price than the list price: that one is shown."""


class MovementKind(StrEnum):
    """Why pieces moved. Quantities are positive; only a correction may be negative."""

    received = "received"
    reserved = "reserved"
    released = "released"
    sold = "sold"
    returned = "returned"
    corrected = "corrected"
    set_aside = "set_aside"
    put_back = "put_back"


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Part of a list; `next` is what to ask `after`, or `None` at the end."""

    items: list[T]
    next: UUID | None


class Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place of bricks where the shop can be visited."""

    name: str
    city: str = ""
    address: str = ""


class Shop(msgspec.Struct, frozen=True, kw_only=True):
    """A seller's shop. All its prices are in one currency."""

    id: ShopId
    owner_id: AccountId
    name: str
    about: str
    currency: str
    state: str
    created_at: datetime
    stores: list[Store] = []
    price_protection_days: int = 0
    """For so many days after a purchase, a buyer gets the difference when the shelf price fell."""
    is_sandbox: bool = False
    """A developer's own, to try things in: only its people see it, and only the sandbox provider pays in it."""


class Sku(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that can be bought: a product in one choice of options, with its price and its pieces."""

    id: SkuId
    product_id: ProductId
    shop_id: ShopId
    code: str
    options: dict[str, str]
    price_amount: int
    list_price_amount: int | None
    currency: str
    state: SkuState
    available: int
    aside: int
    reserved: int
    sold: int
    received: int
    weight_grams: int = 0
    reference_amount: int | None = None
    """The lowest price on the shelf in the 30 days before this one began (`catalog.prices`); read with products alone."""
    recent_amount: int | None = None
    """The same for a price that begins now, as in a show."""

    @property
    def price(self) -> Money:
        """What one piece costs on the shelf."""
        return Money(self.price_amount, self.currency)

    @property
    def list_price(self) -> Money | None:
        """What the seller typed as list price; nobody is shown it unless the history bears it out."""
        return None if self.list_price_amount is None else Money(self.list_price_amount, self.currency)

    @property
    def crossed_price(self) -> Money | None:
        """What may be crossed out beside the shelf's price: the list price, up to the reference."""
        if self.list_price_amount is None or self.reference_amount is None:
            return None
        amount = min(self.list_price_amount, self.reference_amount)
        return Money(amount, self.currency) if amount > self.price_amount else None

    def crossed_beside(self, price_amount: int) -> Money | None:
        """What may be crossed out beside another price than the shelf's, such as a show's."""
        if price_amount >= self.price_amount:
            crossed = self.crossed_price
            return crossed if crossed is not None and crossed.amount > price_amount else None
        if self.recent_amount is None:
            return None
        amount = min(self.list_price_amount or self.recent_amount, self.recent_amount)
        return Money(amount, self.currency) if amount > price_amount else None

    @property
    def list_price_gap(self) -> ListPriceGap | None:
        """Why the list price is not shown as it was typed, for the seller."""
        if self.list_price_amount is None:
            return None
        if self.list_price_amount <= self.price_amount:
            return ListPriceGap.not_above
        if self.reference_amount is None:
            return ListPriceGap.no_history
        if self.reference_amount <= self.price_amount:
            return ListPriceGap.no_reduction
        return ListPriceGap.above_reference if self.list_price_amount > self.reference_amount else None


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """Goods as the shop presents them, with their SKUs."""

    id: ProductId
    shop_id: ShopId
    code: str | None
    title: str
    description: str
    images: list[str]
    category: str
    state: ProductState
    version: int
    created_at: datetime
    updated_at: datetime
    tax_bps: int = 0
    """The rate of the tax that the prices contain."""
    shipping_template_id: UUID | None = None
    brand_id: UUID | None = None
    batch_id: UUID | None = None
    delisted_why: str | None = None
    """Why the platform took it off the shelf, if it did: `not_authorised`, `brand_not_named`."""
    skus: list[Sku] = []


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A product as lists show it."""

    id: ProductId
    title: str
    category: str
    image: str
    """Its first, or the picture that is drawn for it."""


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a SKU's stock ledger."""

    id: UUID
    kind: MovementKind
    quantity: int
    order_id: OrderId | None
    note: str | None
    moved_at: datetime


class Shelf(NamedTuple):
    """A SKU as the till sees it, with its row locked."""

    sku_id: SkuId
    product_id: ProductId
    shop_id: ShopId
    available: int
    price_amount: int
    currency: str
    sellable: bool
    title: str
    options: str
    image: str
    tax_bps: int = 0
    """Ten-thousandths of the price without tax that the price contains."""
    pledge_id: UUID | None = None
    batch_id: UUID | None = None
    is_sandbox: bool = False


class ShopDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said to open a shop."""

    name: str
    about: str = ""
    currency: str
    stores: list[Store] = []


class ShopChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different about a shop; what is left out stays. `stores` replaces the whole list."""

    name: str | UnsetType = UNSET
    about: str | UnsetType = UNSET
    stores: list[Store] | UnsetType = UNSET
    price_protection_days: int | UnsetType = UNSET


class SkuDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said to add a SKU. `stock` pieces are received with it."""

    code: str
    options: dict[str, str] = {}
    price: Money
    list_price: Money | None = None
    stock: int = 0
    weight_grams: int = 0


class SkuChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different about a SKU. `expected_version` is the product's, as the editor saw it."""

    code: str | UnsetType = UNSET
    options: dict[str, str] | UnsetType = UNSET
    price: Money | UnsetType = UNSET
    list_price: Money | UnsetType | None = UNSET
    weight_grams: int | UnsetType = UNSET
    state: SkuState | UnsetType = UNSET
    expected_version: int | UnsetType = UNSET


class ProductDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said to add a product; it begins as a draft."""

    title: str
    description: str = ""
    images: list[str] = []
    category: str = ""
    code: str | None = None
    tax_bps: int = 0
    shipping_template_id: UUID | None = None
    brand_id: UUID | None = None


class ProductChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different about a product; what is left out stays."""

    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    images: list[str] | UnsetType = UNSET
    category: str | UnsetType = UNSET
    code: str | UnsetType | None = UNSET
    tax_bps: int | UnsetType = UNSET
    shipping_template_id: UUID | UnsetType | None = UNSET
    brand_id: UUID | UnsetType | None = UNSET
    state: ProductState | UnsetType = UNSET
    expected_version: int | UnsetType = UNSET


class ChangedMeanwhile(Conflict, code="changed-meanwhile"):
    """Somebody else changed this since you loaded it; load it again."""

    version: int


class CodeTaken(Conflict, code="code-taken"):
    """Another SKU or product of the shop has this code."""

    sku_code: str


class OptionsTaken(Conflict, code="options-taken"):
    """Another SKU of the product has the same options."""

    options: dict[str, str]


class NothingToSell(Conflict, code="nothing-to-sell"):
    """A product needs a SKU that is not retired before it is listed."""


class StateRefused(Conflict, code="state-refused"):
    """A product that was listed once does not become a draft again; delist it."""

    state: str


class SandboxShop(Conflict, code="sandbox-shop"):
    """A sandbox shop has no public side: no room, no videos, no group offers, no real payments."""


class NoSandboxShop(Conflict, code="no-sandbox-shop"):
    """Only in a sandbox shop can orders be simulated."""


class StockShort(Conflict, code="stock-short"):
    """Fewer pieces are available than the correction takes away."""

    available: int


class AsideShort(Conflict, code="aside-short"):
    """Fewer pieces are on the shelf than are to be set aside."""

    sku_id: SkuId
    available: int


class TextRefused(Invalid, code="text-refused"):
    """A text is missing, too long, or has characters that cannot be shown."""

    field: str
    length_max: int


class ImageRefused(Invalid, code="image-refused"):
    """An image is an http(s) address or a path of this service; a product has nine at most."""

    image: str


class OptionsRefused(Invalid, code="options-refused"):
    """A SKU has at most five options, each with a name and a value."""

    options_max: int


class PriceRefused(Invalid, code="price-refused"):
    """A price is above zero, in the shop's currency, and not beyond all measure."""

    currency: str


class NumberRefused(Invalid, code="number-refused"):
    """A whole number is out of range."""

    field: str
    number_max: int


class PriceMissing(Invalid, code="price-missing"):
    """A new SKU needs a price."""


class ProductDiffers(Conflict, code="product-differs"):
    """The SKU is there already, and under another product than the row says."""

    sku_code: str


class MovementRefused(Invalid, code="movement-refused"):
    """By hand, stock is received (a positive number) or corrected (any but zero)."""

    quantity_max: int


def clean_text(field: str, text: str, *, kind: str = "", required: bool = False, lines: bool = False) -> str:
    """The text without stray blanks, or `TextRefused`. `lines` keeps line breaks; `kind` names the limit."""
    length_max = LENGTH_MAX[kind or field]
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = "\n".join(line.rstrip() for line in text.split("\n")).strip() if lines else " ".join(text.split())
    if len(text) > length_max or (required and not text) or _UNSHOWABLE.search(text):
        raise TextRefused(field=field, length_max=length_max)
    return text


# Controls but tab and line break, surrogates, and the marks that turn the direction of the text around them.
_UNSHOWABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def clean_images(images: list[str]) -> list[str]:
    """Addresses that a page may load, or `ImageRefused`. The picture that is drawn for want of one is no image."""
    images = [image for image in images if not image.startswith(DRAWN_PATH)]
    if len(images) > IMAGES_MAX:
        raise ImageRefused(image=images[IMAGES_MAX][:80])
    for image in images:
        if len(image) > LENGTH_MAX["image"] or not _IMAGE.fullmatch(image) or _UNSHOWABLE.search(image):
            raise ImageRefused(image=image[:80])
    return images


_IMAGE = re.compile(r"(https?://[^\s\"'<>\\|]+|/[^\s\"'<>\\|/][^\s\"'<>\\|]*)", re.ASCII)


def clean_options(options: dict[str, str]) -> dict[str, str]:
    """Names and values of the choice, or `OptionsRefused`."""
    try:
        cleaned = {
            clean_text("option", name, required=True): clean_text("option", value, required=True)
            for name, value in options.items()
        }
    except TextRefused:
        raise OptionsRefused(options_max=OPTIONS_MAX) from None
    if len(cleaned) > OPTIONS_MAX or len(cleaned) < len(options):
        raise OptionsRefused(options_max=OPTIONS_MAX)
    return cleaned


def check_price(price: Money, *, currency: str) -> int:
    """Minor units, or `PriceRefused`."""
    if price.currency != currency or not 0 < price.amount <= PRICE_MAX:
        raise PriceRefused(currency=currency)
    return price.amount


def check_number(field: str, number: int) -> int:
    """The number, or `NumberRefused`."""
    if not 0 <= number <= NUMBER_MAX[field]:
        raise NumberRefused(field=field, number_max=NUMBER_MAX[field])
    return number


def check_next_state(now: ProductState, then: ProductState, skus: list[Sku]) -> None:
    """Refuse a step that makes no sense."""
    if then is ProductState.draft and now is not ProductState.draft:
        raise StateRefused(state=now)
    if then is ProductState.listed and not any(sku.state is SkuState.active for sku in skus):
        raise NothingToSell()


def check_choice(options: dict[str, str], others: list[Sku]) -> None:
    """Refuse a SKU that a buyer could not tell from another one that is sold."""
    if any(other.options == options and other.state is SkuState.active for other in others):
        raise OptionsTaken(options=options)


def fold(text: str) -> str:
    """Text as it is searched: width, case and blanks do not matter."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def digest_of(*said: object) -> bytes:
    """A short digest of what a client said, to tell a repetition from another request under the same id."""
    try:
        form = msgspec.json.encode(said, order="sorted")
    except UnicodeEncodeError:
        raise TextRefused(field="text", length_max=0) from None
    return hashlib.blake2b(form, digest_size=16).digest()
