"""The words of search: what is indexed of a product, what may be asked, how hits are ordered. No I/O here.

Hits come by tier, the better first, and in a tier by merit:

 1 the title is what was typed · 2 all words in the title · 3 in title, category, brand or shop · 4 the characters of each
 Chinese word side by side in the title, however it is cut · 5 as 3, by words that mean the same · 6 the last word only
 begun, in the title · 7 the same as 3 · 8 all words there or in the description · 9 by sound (pinyin) · 10 each word within
 one edit, in the title · 11 the same as 3 · 12 all words but one.

Tier 8 is asked only while fewer than `ENOUGH` were found, 9 to 12 only while there are fewer still.
merit = 8 if it can be bought + log2(1 + sold) / 2 + (stars − 3) · min(1, log2(1 + reviews) / 5), in thousandths;
of equal ones the one whose id ends higher. Anybody can recompute it from public figures.
"""

import math
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from laotie.base.refusals import Conflict, Invalid

TEXT_MAX = 200
WORDS_MAX = 12
PAGE_MAX = 50
FACET_MAX = 20
ENOUGH = 10
MERIT_BITS, SALES_BITS, PRICE_BITS, TIME_BITS = 24, 24, 37, 42


class ShelfSort(StrEnum):
    """In which order hits come."""

    relevance = "relevance"
    sales = "sales"
    price_up = "price_up"
    price_down = "price_down"
    newest = "newest"


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What is found of a product that is on the shelf. `price_amount` is the lowest of what can be chosen."""

    id: UUID
    shop_id: UUID
    shop_name: str = ""
    title: str
    category: str = ""
    brand_id: UUID | None = None
    brand: str = ""
    description: str = ""
    currency: str
    price_amount: int
    in_stock: bool
    is_guaranteed: bool = False
    sold: int = 0
    review_count: int = 0
    star_sum: int = 0
    created_at: datetime


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for. Without a text it is everything that the filters let through."""

    text: str = ""
    category: str | None = None
    shop_id: UUID | None = None
    brand_id: UUID | None = None
    currency: str | None = None
    price_min: int | None = None
    price_max: int | None = None
    in_stock: bool = False
    is_guaranteed: bool = False
    among: frozenset[UUID] | None = None
    """Only these products (what is in a live show now)."""
    without_shops: frozenset[UUID] = frozenset()
    """Shops that sell nothing at the moment."""
    sort: ShelfSort = ShelfSort.relevance


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: after the hit of this tier and key, `shown` hits from the top."""

    tier: int
    key: int
    shown: int


class Hit(msgspec.Struct, frozen=True):
    """A product that was found, and where."""

    id: UUID
    tier: int
    key: int


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Hits in order. `is_over`: there is nothing behind them."""

    hits: list[Hit]
    is_over: bool


class Facets(msgspec.Struct, frozen=True, kw_only=True):
    """How many products were found, and of what: the most frequent values of each kind with their counts."""

    total: int
    categories: list[tuple[str, int]]
    shops: list[tuple[UUID, int]]
    brands: list[tuple[UUID, int]]
    currencies: list[tuple[str, int]]


class SynonymsRefused(Invalid, code="synonyms-refused"):
    """A group holds two to twenty words, each of at most forty characters and found in no other group."""

    word: str


class SynonymsFull(Conflict, code="synonyms-full"):
    """There are as many groups of synonyms as can be kept."""

    groups_max: int


def merit_of(document: Document) -> int:
    """What makes a product come before its equals, in thousandths (see the module)."""
    stars = document.star_sum / document.review_count - 3.0 if document.review_count else 0.0
    merit = (
        8.0 * document.in_stock
        + math.log2(1 + max(0, document.sold)) / 2
        + stars * min(1.0, math.log2(1 + document.review_count) / 5)
    )
    return max(0, round(1_000 * (merit + 2.0)))


def order_key(value: int, bits: int, id_: UUID) -> int:
    """The value, and behind it the end of the id, so that no two products share a key."""
    rest = 63 - bits
    return min(max(value, 0), (1 << bits) - 1) << rest | (id_.int & ((1 << rest) - 1))
