"""Rooms, shows and their carts over HTTP, and the way into a show."""

from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from litestar import Response, delete, get, patch, post, put
from litestar.params import QueryParameter

from laotie import identity, live, traffic
from laotie.base.db import Database
from laotie.base.ids import AccountId, CartItemId, RoomId, ShopId, ShowId, SkuId
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.catalog import Store
from laotie.identity import Actor, Scope
from laotie.live import (
    CartItem,
    CartItemChange,
    CartItemDraft,
    Promise,
    PromiseDraft,
    RoomChange,
    Show,
    ShowCard,
    ShowChange,
    ShowDraft,
    ShowState,
    Wave,
    WaveDraft,
)
from laotie.media import ChannelId, MediaServer, State, Stats
from laotie.web import acts
from laotie.web.catalog import ShopView, view_shop
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.house import House
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page

InState = Annotated[ShowState | None, QueryParameter(name="state", description="Only shows in this state.")]
"""Litestar keeps the name `state` for itself."""

Token = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing needs to be said."""


class NewRoom(msgspec.Struct, forbid_unknown_fields=True):
    """A room of one's own, in a shop where one may hold shows."""

    id: RoomId
    shop_id: ShopId
    title: str
    cover: str | None = None


class Ingest(msgspec.Struct):
    """What an encoder is set to. The key is there in full once, when it was just made; no key was made when `null`."""

    rtmp_url: str
    key: str | None
    issued_at: datetime | None
    refusals: list[live.IngestRefusal] = []
    """Who was refused lately at this room's doors, newest first."""


class OwnRoom(msgspec.Struct):
    """A room as its streamer sees it."""

    id: RoomId
    streamer_id: AccountId
    shop_id: ShopId
    title: str
    cover: str | None
    records: bool
    created_at: datetime
    ingest: Ingest


class RoomView(msgspec.Struct):
    """A room as everybody sees it."""

    id: RoomId
    streamer_id: AccountId
    shop_id: ShopId
    title: str
    cover: str | None


class StreamerView(msgspec.Struct):
    """A streamer's page: who they are, their shop, how many follow, what is on and what was."""

    id: AccountId
    name: str
    avatar: str | None
    headline: str
    about: str
    room_id: RoomId
    shop: ShopView
    stores: list[Store]
    follower_count: int
    following: bool
    live_show: ShowCard | None
    next_show: ShowCard | None
    past_shows: list[ShowCard]


class Cart(msgspec.Struct):
    """A show's cart in its order. What is off the shelf is in it and says so."""

    items: list[CartItem]


class Pin(msgspec.Struct, forbid_unknown_fields=True):
    """The item that is explained from now on, or none."""

    item_id: CartItemId | None


class MorePieces(msgspec.Struct, forbid_unknown_fields=True):
    """Pieces of one of the wave's SKUs, under an id of the client's own."""

    id: UUID
    sku_id: SkuId
    pieces: int


class Waves(msgspec.Struct):
    """A show's waves in the order they were planned, those of items that are gone, too."""

    items: list[Wave]


class Promises(msgspec.Struct):
    """What was promised in a show, in the order of time: its truth record."""

    items: list[Promise]


class Entrance(msgspec.Struct, forbid_unknown_fields=True):
    """The entry token of the placement that led here; none is a direct visit. `visit`: the one that the page has, or comes from."""

    entry: Token | None = None
    visit: Token | None = None


class TicketView(msgspec.Struct):
    """Admission to the show's socket, once, within a minute; the visit is good for a day."""

    ticket: str
    visit: str
    ws_path: str
    expires_at: datetime


class PublicationView(msgspec.Struct):
    """Permission to send the show's picture from this browser: one connection, begun before it expires."""

    ticket: str
    ws_path: str
    expires_at: datetime


class IngestStats(msgspec.Struct):
    """What arrives from the show's encoder, and who was refused lately at the room's doors."""

    state: str
    door: str
    transcoding: bool
    lag_ms: int | None
    bits_per_s: int
    frames_per_s: float
    width: int
    height: int
    codecs: str
    last_packet_age_s: float | None
    interruptions: int
    live_since: datetime | None
    away_since: datetime | None
    encoder_restarts: int
    key_frame_interval_s: float | None
    refusals: list[live.IngestRefusal]


@post("/api/rooms/mine", status_code=201)
async def open_room(
    data: JSONBody[NewRoom], actor: Given[Actor], db: Given[Database], settings: Given[Settings]
) -> OwnRoom:
    """Open my room; it makes me a streamer. Said again, it is the same room."""
    async with db.tx() as tx:
        room = await live.open_room(tx, actor, data.id, shop_id=data.shop_id, title=data.title, cover=data.cover)
    return _own_room(room, settings)


@get("/api/rooms/mine")
async def show_own_room(actor: Given[Actor], db: Given[Database], settings: Given[Settings]) -> OwnRoom:
    """My room, with the stream key masked."""
    async with db.read() as tx:
        room = await live.get_own_room(tx, actor)
        return _own_room(room, settings, await live.list_refusals(tx, room.id))


@patch("/api/rooms/mine")
async def change_room(
    data: JSONBody[RoomChange], actor: Given[Actor], db: Given[Database], settings: Given[Settings]
) -> OwnRoom:
    """Change my room. Another shop counts for shows planned later."""
    async with db.tx() as tx:
        return _own_room(await live.change_room(tx, actor, data), settings)


@post("/api/rooms/mine/ingest-key", status_code=201)
async def rotate_ingest_key(
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
    settings: Given[Settings],
    data: JSONBody[Nothing | None] = None,
) -> Response[Ingest]:
    """Make a new stream key, shown this once; the old one stops working."""
    async with db.tx() as tx:
        key = await live.rotate_ingest_key(tx, signer, actor)
    ingest = Ingest(rtmp_url=_rtmp_url(settings), key=key, issued_at=tx.now)
    return Response(ingest, headers={"cache-control": "no-store"})


@get("/api/rooms/{room_id:uuid}")
async def show_room(room_id: FromPath[UUID], db: Given[Database]) -> RoomView:
    """A streamer's room."""
    async with db.read() as tx:
        room = await live.get_room(tx, RoomId(room_id))
    return RoomView(room.id, room.streamer_id, room.shop_id, room.title, room.cover)


@get("/api/streamers/{streamer_id:uuid}")
async def show_streamer(
    streamer_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
    media: Given[MediaServer | None],
) -> StreamerView:
    """A streamer's page."""
    async with db.read() as tx:
        page = await traffic.get_streamer_page(tx, signer, actor, AccountId(streamer_id))
    return StreamerView(
        id=page.id,
        name=page.name,
        avatar=page.avatar,
        headline=page.headline,
        about=page.about,
        room_id=page.room_id,
        shop=view_shop(page.shop),
        stores=page.shop.stores,
        follower_count=page.follower_count,
        following=page.following,
        live_show=None if page.live_show is None else with_cover(page.live_show, media),
        next_show=page.next_show,
        past_shows=page.past_shows,
    )


@get("/api/shops/{shop_id:uuid}/shows")
async def list_shows(
    shop_id: FromPath[UUID],
    db: Given[Database],
    media: Given[MediaServer | None],
    in_state: InState = None,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[Show]:
    """A shop's shows, newest first."""
    async with db.read() as tx:
        page = await live.list_shows(
            tx, ShopId(shop_id), state=in_state, after=None if after is None else ShowId(after), limit=limit
        )
    return Page(
        items=[_with_playback(show, media) for show in page.items],
        next=None if page.next is None else str(page.next),
    )


@post("/api/shows", status_code=201)
async def plan_show(data: JSONBody[ShowDraft], actor: Given[Actor], db: Given[Database]) -> Show:
    """Plan a show. Said again, it is the same show."""
    async with db.tx() as tx:
        return await live.plan_show(tx, actor, data)


@get("/api/shows/{show_id:uuid}")
async def show_show(show_id: FromPath[UUID], db: Given[Database], media: Given[MediaServer | None]) -> Show:
    """One show."""
    async with db.read() as tx:
        return _with_playback(await live.get_show(tx, ShowId(show_id)), media)


@patch("/api/shows/{show_id:uuid}")
async def change_show(
    show_id: FromPath[UUID],
    data: JSONBody[ShowChange],
    actor: Given[Actor],
    db: Given[Database],
    media: Given[MediaServer | None],
) -> Show:
    """Change a show's title, cover or plan."""
    async with db.tx() as tx:
        return _with_playback(await live.change_show(tx, actor, ShowId(show_id), data), media)


@post("/api/shows/{show_id:uuid}/start", status_code=200)
async def start_show(
    show_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    media: Given[MediaServer | None],
    data: JSONBody[Nothing | None] = None,
) -> Show:
    """Go live."""
    async with db.tx() as tx:
        return _with_playback(await live.start_show(tx, actor, ShowId(show_id)), media)


@post("/api/shows/{show_id:uuid}/end", status_code=200)
async def end_show(
    show_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], data: JSONBody[Nothing | None] = None
) -> Show:
    """End a show for good, or call off a planned one."""
    async with db.tx() as tx:
        return await live.end_show(tx, actor, ShowId(show_id))


@post("/api/shows/{show_id:uuid}/publications", status_code=201)
async def permit_publication(
    show_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
    settings: Given[Settings],
    data: JSONBody[Nothing | None] = None,
) -> Response[PublicationView]:
    """Go live from this browser: a ticket to the ingest socket."""
    async with db.read() as tx:
        ticket = await live.permit_publication(tx, signer, actor, ShowId(show_id))
        expires_at = tx.now + timedelta(seconds=live.TICKET_AGE_MAX_S)
    view = PublicationView(ticket, _ws_path(settings, "/ingest"), expires_at)
    return Response(view, headers={"cache-control": "no-store"})


@get("/api/shows/{show_id:uuid}/ingest")
async def show_ingest(
    show_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], media: Given[MediaServer | None]
) -> IngestStats:
    """What arrives from the encoder; idle and zeros while nothing does."""
    async with db.read() as tx:
        show = await live.get_show(tx, ShowId(show_id))
        await identity.require_seat(tx, actor, show.shop_id, Scope.show)
        refusals = await live.list_refusals(tx, show.room_id)
    channel_id = ChannelId(show_id)
    stats = Stats(channel_id=channel_id, state=State.IDLE)
    if media is not None and media.find_state(channel_id) is not None:
        stats = media.stats(channel_id)
    told = {name: getattr(stats, name) for name in IngestStats.__struct_fields__ if name != "refusals"}
    return IngestStats(**told, refusals=refusals)


@get("/api/shows/{show_id:uuid}/cart")
async def list_cart(show_id: FromPath[UUID], db: Given[Database]) -> Cart:
    """The show's cart, with prices and stock."""
    async with db.read() as tx:
        return Cart((await live.snapshot(tx, ShowId(show_id))).cart)


@post("/api/shows/{show_id:uuid}/cart", status_code=201)
async def add_cart_item(
    show_id: FromPath[UUID], data: JSONBody[CartItemDraft], actor: Given[Actor], db: Given[Database]
) -> CartItem:
    """Put a product in the cart; without prices, each SKU at its own. Said again, it is the same item."""
    async with db.tx() as tx:
        return await live.add_item(tx, actor, ShowId(show_id), data)


@patch("/api/cart-items/{item_id:uuid}")
async def change_cart_item(
    item_id: FromPath[UUID], data: JSONBody[CartItemChange], actor: Given[Actor], db: Given[Database]
) -> CartItem:
    """Change an item's prices, limit, shelf, end of sale or place."""
    async with db.tx() as tx:
        return await live.change_item(tx, actor, CartItemId(item_id), data)


@delete("/api/cart-items/{item_id:uuid}", status_code=204)
async def remove_cart_item(item_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> None:
    """Take an item out of the cart."""
    async with db.tx() as tx:
        await live.remove_item(tx, actor, CartItemId(item_id))


@put("/api/shows/{show_id:uuid}/pin", status_code=204)
async def pin_item(show_id: FromPath[UUID], data: JSONBody[Pin], actor: Given[Actor], db: Given[Database]) -> None:
    """Explain an item from now on, or none."""
    async with db.tx() as tx:
        await live.pin_item(tx, actor, ShowId(show_id), data.item_id)


@post("/api/cart-items/{item_id:uuid}/promises", status_code=201)
async def say_promise(
    item_id: FromPath[UUID], data: JSONBody[PromiseDraft], actor: Given[Actor], db: Given[Database]
) -> Promise:
    """Promise something of an item; while a wave is open, for that wave. A promised price binds at once."""
    async with db.tx() as tx:
        return await live.say_promise(tx, actor, CartItemId(item_id), data)


@get("/api/shows/{show_id:uuid}/promises")
async def list_promises(show_id: FromPath[UUID], db: Given[Database]) -> Promises:
    """The truth record of a show: what was promised, and when."""
    async with db.read() as tx:
        await live.get_show(tx, ShowId(show_id))
        return Promises(await live.list_promises(tx, ShowId(show_id)))


@post("/api/cart-items/{item_id:uuid}/waves", status_code=201)
async def plan_wave(
    item_id: FromPath[UUID], data: JSONBody[WaveDraft], actor: Given[Actor], db: Given[Database]
) -> Wave:
    """Set pieces aside for a wave of this item, and open it unless it waits. Said again, it is the same wave."""
    async with db.tx() as tx:
        return await live.plan_wave(tx, actor, CartItemId(item_id), data)


@get("/api/shows/{show_id:uuid}/waves")
async def list_waves(show_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> Waves:
    """All waves of a show with their figures."""
    async with db.read() as tx:
        return Waves(await live.list_waves(tx, actor, ShowId(show_id)))


@post("/api/waves/{wave_id:uuid}/opening", status_code=200)
async def open_wave(
    wave_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], data: JSONBody[Nothing | None] = None
) -> Wave:
    """Open a wave that waits; the one before it ends."""
    async with db.tx() as tx:
        return await live.open_wave(tx, actor, wave_id)


@post("/api/waves/{wave_id:uuid}/closing", status_code=200)
async def close_wave(
    wave_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], data: JSONBody[Nothing | None] = None
) -> Wave:
    """End a wave, or give up one that waits; what is left goes back to the shelf."""
    async with db.tx() as tx:
        return await live.close_wave(tx, actor, wave_id)


@post("/api/waves/{wave_id:uuid}/pieces", status_code=201)
async def add_pieces(
    wave_id: FromPath[UUID], data: JSONBody[MorePieces], actor: Given[Actor], db: Given[Database]
) -> Wave:
    """Set more pieces aside for a wave. Said again, it adds nothing more."""
    async with db.tx() as tx:
        return await live.add_pieces(tx, actor, wave_id, data.id, sku_id=data.sku_id, pieces=data.pieces)


@post("/api/shows/{show_id:uuid}/tickets", status_code=201)
async def issue_ticket(
    show_id: FromPath[UUID],
    data: JSONBody[Entrance],
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
    settings: Given[Settings],
) -> Response[TicketView]:
    """Enter a show: exchange the entry token for a visit, and get a ticket to the socket."""
    async with db.tx() as tx:
        admission = await traffic.enter(tx, signer, actor, ShowId(show_id), entry=data.entry, visit=data.visit)
    view = TicketView(**msgspec.structs.asdict(admission), ws_path=_ws_path(settings))
    return Response(view, headers={"cache-control": "no-store"})


@post("/api/shows/{show_id:uuid}/share-links", status_code=201)
async def share_show(
    show_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
    house: Given[House],
    data: JSONBody[Nothing | None] = None,
) -> traffic.ShareLink:
    """A link to pass on."""
    async with db.read() as tx:
        link = await traffic.share(tx, signer, actor, ShowId(show_id))
        credit = await traffic.credit_at(tx, actor, (await live.get_show(tx, ShowId(show_id))).shop_id)
    acts.tell_share(house, actor, credit, ShowId(show_id), traffic.SHARE_LINK)
    return link


def with_cover(card: ShowCard, media: MediaServer | None) -> ShowCard:
    """The card with the picture that stands for the show now."""
    return msgspec.structs.replace(card, cover=live.cover_of(media, card))


def _own_room(room: live.Room, settings: Settings, refusals: list[live.IngestRefusal] | None = None) -> OwnRoom:
    return OwnRoom(
        id=room.id,
        streamer_id=room.streamer_id,
        shop_id=room.shop_id,
        title=room.title,
        cover=room.cover,
        records=room.records,
        created_at=room.created_at,
        ingest=Ingest(
            rtmp_url=_rtmp_url(settings),
            key=None if room.ingest_key_issued_at is None else f"{room.id.hex[:6]}…",
            issued_at=room.ingest_key_issued_at,
            refusals=refusals or [],
        ),
    )


def _with_playback(show: Show, media: MediaServer | None) -> Show:
    return msgspec.structs.replace(show, playback=live.playback_of(media, show), cover=live.cover_of(media, show))


def _rtmp_url(settings: Settings) -> str:
    if settings.media_external_rtmp_url:
        return settings.media_external_rtmp_url.rstrip("/")
    return f"rtmp://{urlsplit(settings.base_url).hostname}:{settings.rtmp_port}/live"


def _ws_path(settings: Settings, path: str = "/ws") -> str:
    """Where a socket is: here, or at the gateway's own port."""
    if settings.gateway_port is None:
        return path
    base = urlsplit(settings.base_url)
    return f"{'wss' if base.scheme == 'https' else 'ws'}://{base.hostname}:{settings.gateway_port}{path}"


ROUTES = [
    open_room,
    show_own_room,
    change_room,
    rotate_ingest_key,
    show_room,
    show_streamer,
    list_shows,
    plan_show,
    show_show,
    change_show,
    start_show,
    end_show,
    permit_publication,
    show_ingest,
    list_cart,
    add_cart_item,
    change_cart_item,
    remove_cart_item,
    pin_item,
    say_promise,
    list_promises,
    plan_wave,
    list_waves,
    open_wave,
    close_wave,
    add_pieces,
    issue_ticket,
    share_show,
]
