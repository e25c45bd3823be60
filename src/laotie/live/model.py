"""The words of live: rooms, shows, the cart of a show, and what is refused. No I/O here."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from laotie.base.entry import Visit
from laotie.base.ids import AccountId, CartItemId, ProductId, RoomId, ShopId, ShowId, SkuId, ViewerId
from laotie.base.money import Money
from laotie.base.refusals import Conflict, Forbidden, Invalid
from laotie.catalog import Shop
from laotie.catalog.brand_model import Origin

TITLE_LENGTH_MAX = 80
CART_SIZE_MAX = 200
LIMIT_PER_PERSON_MAX = 10_000
WAVES_READY_MAX = 10
WAVES_OF_ITEM_MAX = 1_000
WAVE_LASTS_S_MAX = 24 * 3600
PROMISES_OF_ITEM_MAX = 1_000
PROMISED_PIECES_MAX = 10**9
PROMISE_LENGTH_MAX = {"gift": 80, "guarantee": 80, "note": 200}
SHOWS_SCHEDULED_MAX = 100
PAGE_SIZE_MAX = 100
LIVE_SHOWS_MAX = 2_000
PAST_SHOWS_SHOWN_MAX = 20
COUNT_FRESH_S = 45
"""How long what a gateway counted is taken for the present: it counts every ten seconds."""
TICKET_AGE_MAX_S = 60


class ShowState(StrEnum):
    """Where a show stands. It never goes back; an ended show stays as it was."""

    scheduled = "scheduled"
    live = "live"
    ended = "ended"


class WaveState(StrEnum):
    """Where a wave stands: its pieces wait, are sold, or are back. It never goes back."""

    ready = "ready"
    open = "open"
    ended = "ended"


class WaveEnd(StrEnum):
    """What ended a wave."""

    time = "time"
    closed = "closed"
    next = "next"
    off_shelf = "off-shelf"
    removed = "removed"
    show = "show"


class StreamAction(StrEnum):
    """What a media door asks permission for."""

    publish = "publish"
    play = "play"


class Person(msgspec.Struct, frozen=True):
    """Somebody, as a card shows them."""

    id: AccountId
    name: str
    avatar: str | None


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """The place a streamer goes live from; one a streamer."""

    id: RoomId
    streamer_id: AccountId
    shop_id: ShopId
    title: str
    cover: str | None
    records: bool
    """Whether its live shows are recorded."""
    ingest_key_issued_at: datetime | None
    created_at: datetime


class RoomChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different about a room; what is left out stays. Another shop counts for later shows.

    `records` counts for shows that begin later.
    """

    title: str | UnsetType = UNSET
    cover: str | UnsetType | None = UNSET
    shop_id: ShopId | UnsetType = UNSET
    records: bool | UnsetType = UNSET


class StreamPermit(msgspec.Struct, frozen=True, kw_only=True):
    """The show that a stream key may publish to, or that may be played."""

    action: StreamAction
    show_id: ShowId
    room_id: RoomId
    streamer_id: AccountId
    shop_id: ShopId


class Playback(msgspec.Struct, frozen=True):
    """Where the picture is, and since when it stands still because the encoder is lost."""

    hls: str
    away_since: datetime | None = None


class Show(msgspec.Struct, frozen=True, kw_only=True):
    """One live show. `viewer_count` and `playback` are the doors' to fill in: they know what is on air."""

    id: ShowId
    room_id: RoomId
    shop_id: ShopId
    streamer: Person
    title: str
    cover: str | None
    state: ShowState
    planned_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    viewer_count: int
    viewer_peak: int
    like_count: int
    pinned_item_id: CartItemId | None
    version: int
    playback: Playback | None = None


class ShowDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said to plan a show. Without a room it is held in one's own."""

    id: ShowId
    room_id: RoomId | None = None
    title: str
    cover: str | None = None
    planned_at: datetime | None = None


class ShowChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different about a show; what is left out stays."""

    title: str | UnsetType = UNSET
    cover: str | UnsetType | None = UNSET
    planned_at: datetime | UnsetType | None = UNSET
    expected_version: int | None = None


class PinnedOffer(msgspec.Struct, frozen=True):
    """The product being explained, as a card shows it, at its lowest show price."""

    title: str
    image: str | None
    price: Money


class ShowCard(msgspec.Struct, frozen=True, kw_only=True):
    """A show as lists present it. Whoever places the card adds the entry token and says why it stands there."""

    show_id: ShowId
    streamer: Person
    title: str
    cover: str | None
    state: ShowState
    viewer_count: int
    planned_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    pinned: PinnedOffer | None
    entry: str | None = None
    why: str | None = None


class CartSku(msgspec.Struct, frozen=True, kw_only=True):
    """One choice of a product with its price in this show and what is left of it.

    `list_price` may be crossed out: it is of the shelf's price history (`catalog.prices`).
    With a wave: the wave's price, and what can be bought of its pieces; `aside` says how many are set aside for it.
    """

    sku_id: SkuId
    options: dict[str, str]
    price: Money
    list_price: Money | None
    available: int
    aside: int = 0


class CartWave(msgspec.Struct, frozen=True, kw_only=True):
    """The wave that an item sells in, or (`ready`) waits for. `pieces` is all that was ever set aside for it."""

    id: UUID
    no: int
    state: WaveState
    limit_per_person: int | None
    lasts_s: int | None
    opened_at: datetime | None
    ends_at: datetime | None
    pieces: int


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """What the streamer promised of an item, and at which instant: it is never changed, only followed by another.

    `price`: no piece costs more. `pieces`: this many there are. With a wave, it stands while that wave is open.
    """

    id: UUID
    show_id: ShowId
    item_id: CartItemId
    product_id: ProductId
    wave_id: UUID | None
    version: int
    price: Money | None
    gift: str
    pieces: int | None
    guarantee: str
    note: str
    said_at: datetime


class CartItem(msgspec.Struct, frozen=True, kw_only=True):
    """A product in the show's cart."""

    id: CartItemId
    product_id: ProductId
    position: int
    title: str
    image: str | None
    on_shelf: bool
    pinned: bool
    explaining_since: datetime | None
    limit_per_person: int | None
    sale_ends_at: datetime | None
    skus: list[CartSku]
    version: int
    wave: CartWave | None = None
    promise: Promise | None = None
    origin: Origin | None = None
    """Whose brand it is, by whose right it is sold, and whether there is a batch to look at."""


class Snapshot(msgspec.Struct, frozen=True):
    """A show with its cart, all of one instant."""

    show: Show
    cart: list[CartItem]


class PriceTag(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The price of a SKU in a show."""

    sku_id: SkuId
    price: Money


class CartItemDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said to put a product in the cart. No prices: every SKU that is sold, at its own price."""

    id: CartItemId
    product_id: ProductId
    prices: list[PriceTag] = []
    limit_per_person: int | None = None
    sale_ends_at: datetime | None = None
    on_shelf: bool = True


class CartItemChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different about a cart item; what is left out stays.

    `prices` replaces all prices; `position` counts from zero, and beyond the end means last.
    """

    position: int | UnsetType = UNSET
    on_shelf: bool | UnsetType = UNSET
    prices: list[PriceTag] | UnsetType = UNSET
    limit_per_person: int | UnsetType | None = UNSET
    sale_ends_at: datetime | UnsetType | None = UNSET
    expected_version: int | None = None


class PromiseDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said to promise something. All empty: nothing is promised any more."""

    id: UUID
    price: Money | None = None
    gift: str = ""
    pieces: int | None = None
    guarantee: str = ""
    note: str = ""


class WaveSku(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pieces of a SKU for a wave, and what one costs in it; without a price, what it costs in the cart."""

    sku_id: SkuId
    pieces: int
    price: Money | None = None


class WaveDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said to plan a wave. It opens at once, or (`opens` false) when the streamer calls."""

    id: UUID
    skus: list[WaveSku]
    limit_per_person: int | None = None
    lasts_s: int | None = None
    opens: bool = True
    promise: PromiseDraft | None = None


class WavePieces(msgspec.Struct, frozen=True, kw_only=True):
    """A SKU in a wave: its price, what was ever set aside, what is there, what went back when the wave ended."""

    sku_id: SkuId
    price: Money
    pieces: int
    remaining: int
    returned: int | None


class Wave(msgspec.Struct, frozen=True, kw_only=True):
    """A wave with its figures, as the console and history see it."""

    id: UUID
    show_id: ShowId
    item_id: CartItemId
    product_id: ProductId
    no: int
    state: WaveState
    limit_per_person: int | None
    lasts_s: int | None
    created_at: datetime
    opened_at: datetime | None
    ends_at: datetime | None
    ended_at: datetime | None
    end_reason: WaveEnd | None
    skus: list[WavePieces]


class Streamer(msgspec.Struct, frozen=True, kw_only=True):
    """A streamer's page, but for what only fans and traffic know."""

    person: Person
    about: str
    headline: str
    room_id: RoomId
    shop: Shop
    live_show: ShowCard | None
    next_show: ShowCard | None
    past_shows: list[ShowCard]


class StreamerBrief(msgspec.Struct, frozen=True, kw_only=True):
    """A streamer as the follow page needs them."""

    person: Person
    headline: str
    live_show_id: ShowId | None
    last_live_at: datetime | None


class OnAir(msgspec.Struct, frozen=True):
    """A live show in brief."""

    show_id: ShowId
    streamer_id: AccountId
    started_at: datetime
    viewer_count: int


class Audience(msgspec.Struct, frozen=True):
    """What one gateway counts in a show: viewers now, likes since it began counting."""

    show_id: ShowId
    viewer_count: int
    like_count: int


class ShowCounts(msgspec.Struct, frozen=True):
    """How many shows there are in each state."""

    scheduled: int
    live: int
    ended: int


class ShowQuote(NamedTuple):
    """A show, as the till judges it."""

    state: str


class Quote(NamedTuple):
    """What a cart item says of one SKU, as the till judges it.

    With a wave: it sells from what is set aside for the wave, at the wave's price, limit and end, once that is open.
    The promise is the one that stands, and `price_max` the price that it allows at most.
    """

    show_id: ShowId
    on_shelf: bool
    price_amount: int
    currency: str
    limit_per_person: int | None
    sale_ends_at: datetime | None
    wave_id: UUID | None = None
    is_open: bool = True
    promise_id: UUID | None = None
    price_max: int | None = None


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """Admission of one viewer to one show's socket, once, within a minute."""

    jti: UUID
    viewer_id: ViewerId
    account_id: AccountId | None
    name: str
    show_id: ShowId
    shop_id: ShopId
    visit: Visit
    scopes: frozenset[str] = frozenset()
    follows: bool = False
    followed_at: datetime | None = None
    fan_level: int = 0
    device_id: UUID | None = None


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """Permission to send one show's picture from a browser: one connection, begun within a minute."""

    jti: UUID
    show_id: ShowId
    account_id: AccountId


class IngestRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody was refused who wanted to send this room's picture; `count` times, last at `at`."""

    door: str
    code: str
    title: str
    key: str
    address: str
    count: int
    at: datetime


class StreamRefused(Forbidden, code="stream-refused"):
    """This stream key is wrong, was replaced, or has no show to publish to."""


class RoomTaken(Conflict, code="room-taken"):
    """You have a room already; there is one a streamer."""

    room_id: RoomId


class ShowEnded(Conflict, code="show-ended"):
    """The show has ended, or has not begun."""

    show_id: ShowId


class AnotherShowLive(Conflict, code="another-show-live"):
    """The room is live with another show; end that one first."""

    show_id: ShowId


class CartFull(Conflict, code="cart-full"):
    """The cart holds as many products as it may."""

    count_max: int


class AlreadyInCart(Conflict, code="already-in-cart"):
    """The product is in this cart already."""

    item_id: CartItemId


class NotOnSale(Invalid, code="not-on-sale"):
    """Only listed products of the show's own shop can be sold in it."""

    product_id: ProductId


class PricesRefused(Invalid, code="prices-refused"):
    """Each price names another SKU of the product that is still sold; there is at least one."""


class LimitRefused(Invalid, code="limit-refused"):
    """A limit per person is one piece or more."""

    limit_max: int


class SaleEndRefused(Invalid, code="sale-end-refused"):
    """A sale ends in the future."""


class WaveRefused(Invalid, code="wave-refused"):
    """A wave has pieces of at least one SKU of the item, each named once, and lasts a day at most."""

    lasts_s_max: int


class WaveOver(Conflict, code="wave-over"):
    """The wave has ended."""

    wave_id: UUID


class TooManyWaves(Conflict, code="too-many-waves"):
    """So many waves of one item are enough."""

    count_max: int


class NotOnShelf(Conflict, code="not-on-shelf"):
    """The item is off the shelf; put it on the shelf first."""

    item_id: CartItemId


class PromiseStands(Conflict, code="promise-stands"):
    """The streamer promised a lower price; say a new promise first."""

    price_max: Money


class PromiseRefused(Invalid, code="promise-refused"):
    """What is promised is too long, too much, or in another currency."""

    field: str


class TooManyPromises(Conflict, code="too-many-promises"):
    """So many promises of one item are enough."""

    count_max: int


class PlanRefused(Invalid, code="plan-refused"):
    """A show is planned for a time that is still to come."""


def check_limit(limit: int | None) -> int | None:
    """A limit per person that can be kept, or `LimitRefused`."""
    if limit is not None and not 0 < limit <= LIMIT_PER_PERSON_MAX:
        raise LimitRefused(limit_max=LIMIT_PER_PERSON_MAX)
    return limit


def check_sale_end(ends_at: datetime | None, *, now: datetime) -> datetime | None:
    """An end that is still to come, or `SaleEndRefused`."""
    if ends_at is not None and (ends_at.tzinfo is None or ends_at <= now):
        raise SaleEndRefused()
    return ends_at


def moved(order: list[CartItemId], item_id: CartItemId, position: int) -> list[CartItemId]:
    """The same items with one of them at another place."""
    others = [other for other in order if other != item_id]
    others.insert(max(0, position), item_id)
    return others
