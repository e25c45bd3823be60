"""The words of brands: trademarks, authorisations, what a title owes a brand, batches, and what is refused. No I/O."""

from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NewType
from uuid import UUID

import msgspec

from laotie.base.ids import AccountId, ProductId, ShopId
from laotie.base.refusals import Conflict, Invalid
from laotie.catalog.model import clean_text
from laotie.uploads import DocumentId

BrandId = NewType("BrandId", UUID)
TrademarkId = NewType("TrademarkId", UUID)
AuthorisationId = NewType("AuthorisationId", UUID)
BatchId = NewType("BatchId", UUID)

BRANDS_PER_OWNER_MAX = 20
TRADEMARKS_PER_BRAND_MAX = 45
AUTHORISATIONS_PER_SHOP_MAX = 500
CATEGORIES_MAX = 50
STORES_NAMED_MAX = 100
BATCHES_PER_PRODUCT_MAX = 1_000
DOCUMENTS_PER_BATCH_MAX = 10
QUANTITY_MAX = 10**9
CLOCK_AHEAD_MAX = timedelta(minutes=5)
"""What begins so soon was meant to begin now, by a clock that is ahead of ours."""
WARN_DAYS = (30, 7, 1)
"""So many days before an authorisation or a trademark ends, who rests on it is told."""


class Verdict(StrEnum):
    """Where a brand or a trademark stands with the operators."""

    asked = "asked"
    verified = "verified"
    refused = "refused"


class AuthorisationState(StrEnum):
    """Where an authorisation stands. That one is over is not a state: time says it."""

    asked = "asked"
    granted = "granted"
    refused = "refused"
    revoked = "revoked"


class ContestState(StrEnum):
    """What became of a shop's word that its title means something else."""

    open = "open"
    accepted = "accepted"
    refused = "refused"


class BatchState(StrEnum):
    """A batch is being sold, sold out, or called back. The last two are for good."""

    open = "open"
    closed = "closed"
    recalled = "recalled"


class DocumentKind(StrEnum):
    """What a batch's document is."""

    inspection = "inspection"
    certificate = "certificate"
    customs = "customs"
    other = "other"


class Trademark(msgspec.Struct, frozen=True, kw_only=True):
    """A registration in one class of goods. Renewed, it is another row of the same office, number and class."""

    id: TrademarkId
    brand_id: BrandId
    office: str
    number: str
    class_no: int
    name: str
    ends_at: datetime
    document_id: DocumentId | None
    state: Verdict
    reason: str


class Brand(msgspec.Struct, frozen=True, kw_only=True):
    """A brand, as its owner and the operators know it."""

    id: BrandId
    owner_id: AccountId
    name_zh: str
    name_en: str
    logo: str | None
    state: Verdict
    reason: str
    created_at: datetime
    trademarks: list[Trademark] = []

    @property
    def name(self) -> str:
        """What it is called where there is room for one name."""
        return self.name_zh or self.name_en


class TrademarkDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said of a trademark."""

    id: TrademarkId
    office: str
    number: str
    class_no: int
    name: str
    ends_at: datetime
    document_id: DocumentId | None = None


class BrandDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said to have a brand verified."""

    name_zh: str = ""
    name_en: str = ""
    logo: str | None = None
    trademarks: list[TrademarkDraft] = []


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a shop may sell of a brand: all or some categories, online and in named stores, from when until when."""

    categories: list[str] = []
    is_online: bool = True
    stores: list[str] = []
    starts_at: datetime
    ends_at: datetime
    document_id: DocumentId | None = None
    note: str = ""


class Authorisation(msgspec.Struct, frozen=True, kw_only=True):
    """A brand's word that a shop may sell its goods, or a shop's asking for it."""

    id: AuthorisationId
    brand_id: BrandId
    brand: str
    shop_id: ShopId
    shop: str
    trademark_id: TrademarkId | None
    categories: list[str]
    is_online: bool
    stores: list[str]
    starts_at: datetime
    ends_at: datetime
    document_id: DocumentId | None
    note: str
    state: AuthorisationState
    reason: str
    is_live: bool
    created_at: datetime


class Cover(msgspec.Struct, frozen=True, kw_only=True):
    """What lets a shop sell a brand's goods at this moment. No categories: all of them."""

    brand_id: BrandId
    categories: list[str]
    ends_at: datetime
    is_owner: bool

    def reaches(self, category: str) -> bool:
        """Whether a product of this category is among them."""
        return not self.categories or category in self.categories


class Contest(msgspec.Struct, frozen=True, kw_only=True):
    """A shop's word that a brand's name in a title means something else."""

    product_id: ProductId
    product: str
    shop_id: ShopId
    shop: str
    brand_id: BrandId
    brand: str
    statement: str
    state: ContestState
    reason: str
    said_at: datetime


class Badge(msgspec.Struct, frozen=True, kw_only=True):
    """By whose right a product is sold: the brand's own shop, or a dealer until then."""

    brand_id: BrandId
    name_zh: str
    name_en: str
    logo: str | None
    is_owner: bool
    until: datetime


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What a card has room for: the brand, and whether there is a batch to look at."""

    brand: str | None
    is_owner: bool
    until: datetime | None
    batch: str | None


class BatchDocumentDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A document that a batch shows."""

    document_id: DocumentId
    kind: DocumentKind
    title: str


class BatchDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said of a batch, once and for good. `video_id` is a published video of the shop."""

    code: str
    made_on: date
    best_before_on: date | None = None
    origin: str
    quantity: int
    documents: list[BatchDocumentDraft] = []
    video_id: UUID | None = None


class BatchDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document of a batch; `digest` is the SHA-256 of the file as it was brought."""

    document_id: DocumentId
    kind: DocumentKind
    title: str
    page_count: int
    digest: str


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Pieces of one making."""

    id: BatchId
    product_id: ProductId
    shop_id: ShopId
    code: str
    made_on: date
    best_before_on: date | None
    origin: str
    quantity: int
    video_id: UUID | None
    state: BatchState
    reason: str
    is_current: bool
    created_at: datetime
    documents: list[BatchDocument] = []


class BatchLogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What was done with a batch."""

    act: str
    reason: str
    actor_id: AccountId
    at: datetime


class BrandTaken(Conflict, code="brand-taken"):
    """A verified brand bears this name, or one that looks like it; ask its owner for an authorisation."""

    brand_id: BrandId
    brand: str


class BrandUnknown(Invalid, code="brand-unknown"):
    """There is no verified brand of this name."""

    brand: str


class NotAuthorised(Conflict, code="not-authorised"):
    """To list goods of this brand, the shop needs its owner's authorisation; ask for one."""

    brand_id: BrandId
    brand: str


class BrandNotNamed(Conflict, code="brand-not-named"):
    """The title holds a verified brand's name; name the brand, or say what else the word means."""

    brand_id: BrandId
    brand: str
    seen: str


class TrademarkTaken(Conflict, code="trademark-taken"):
    """This trademark is verified for another brand."""

    number: str


class TrademarkMissing(Conflict, code="trademark-missing"):
    """A brand rests on a verified trademark that has not ended; bring one."""


class TrademarkEndsFirst(Conflict, code="trademark-ends-first"):
    """An authorisation cannot outlive the trademark that it rests on."""

    ends_at: datetime


class DecidedAlready(Conflict, code="decided-already"):
    """This has been decided already."""

    state: str


class TermsRefused(Invalid, code="terms-refused"):
    """Something about this is not possible."""

    field: str
    reason: str


class BatchOver(Conflict, code="batch-over"):
    """A closed or recalled batch stays so."""

    state: str


class BatchCodeTaken(Conflict, code="batch-code-taken"):
    """The product has a batch of this code already."""

    batch_code: str


def clean_terms(terms: Terms, *, now: datetime) -> Terms:
    """The terms as they are kept, or a refusal."""
    if len(terms.categories) > CATEGORIES_MAX:
        raise TermsRefused(field="categories", reason="too-many")
    if len(terms.stores) > STORES_NAMED_MAX:
        raise TermsRefused(field="stores", reason="too-many")
    if not terms.is_online and not terms.stores:
        raise TermsRefused(field="stores", reason="nowhere")
    check_span(terms.starts_at, terms.ends_at, now=now)
    categories = {clean_text("category", one, required=True) for one in terms.categories}
    stores = {clean_text("name", one, required=True) for one in terms.stores}
    return msgspec.structs.replace(
        terms,
        categories=sorted(categories),
        stores=sorted(stores),
        starts_at=now if now < terms.starts_at <= now + CLOCK_AHEAD_MAX else terms.starts_at,
        note=clean_text("note", terms.note),
    )


def check_span(starts_at: datetime, ends_at: datetime, *, now: datetime) -> None:
    """Refuse what ends before it begins, or is over."""
    if starts_at.tzinfo is None or ends_at.tzinfo is None:
        raise TermsRefused(field="ends_at", reason="no-zone")
    if ends_at <= starts_at or ends_at <= now:
        raise TermsRefused(field="ends_at", reason="too-early")
