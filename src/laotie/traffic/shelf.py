"""The shelf's search and its categories as traffic of their own: each hit bears an entry signed for who was shown it.

An entry leads to one product. It is exchanged for a visit that the order from that product's page carries, so that the
order's source is `shelf` and its placement `search` or `category`, whatever the page says.
"""

from uuid import UUID

import msgspec

from laotie import catalog, live, search
from laotie.base.db import Tx
from laotie.base.entry import Entry, Source, mint_entry
from laotie.base.ids import ProductId, ShopId, ShowId, new_id
from laotie.base.refusals import NotFound, Refusal
from laotie.base.signer import Signer
from laotie.catalog import ShelfCard
from laotie.identity import Actor
from laotie.search import Ask, Place, Shelf
from laotie.traffic.attribution import SHELF, is_fan_of_shop
from laotie.traffic.model import CursorRefused
from laotie.traffic.visits import Opened, open_visit, scopes_at
from laotie.traffic.visits import Place as VisitPlace

SEARCH = "search"
CATEGORY = "category"
PRODUCT = "product"
SHOP = "shop"
CURSOR_AGE_MAX_S = 3600
ROUNDS_MAX = 4
SPELLED_FROM = 5


class LiveOffer(msgspec.Struct, frozen=True):
    """A live show that offers the product at this moment, and the entry into it."""

    show_id: ShowId
    entry: str


class ShelfHit(msgspec.Struct, frozen=True, kw_only=True):
    """A product that was found, as it is now. `entry` is exchanged for the visit that orders from its page carry."""

    product: ShelfCard
    entry: str
    live: LiveOffer | None


class ShelfPage(msgspec.Struct, frozen=True, kw_only=True):
    """A part of what was found. `instead`: the nearest spelling of what was typed, when that is not on the shelf."""

    items: list[ShelfHit]
    next: str | None
    query_id: UUID
    instead: str | None
    is_complete: bool
    """False while the index is being built: what is shown then is found by its plain words alone, newest first."""


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    query_id: UUID
    asked: int
    position: int
    place: Place | None
    plain: UUID | None


async def search_shelf(
    tx: Tx, signer: Signer, actor: Actor, shelf: Shelf | None, ask: Ask, *, after: str | None = None, limit: int = 20
) -> ShelfPage:
    """Products on the shelf in the written order of `search`; each is there at this instant, whatever the index says."""
    limit = max(1, min(limit, search.PAGE_MAX))
    asked = _digest(ask)
    cursor = _read_cursor(signer, after, asked)
    query_id = cursor.query_id if cursor else new_id()
    position = cursor.position if cursor else 0
    is_complete = shelf is not None and shelf.is_ready and (cursor is None or cursor.plain is None)
    following: _Cursor | None
    if shelf is not None and is_complete:
        cards, place = await _find(tx, shelf, ask, cursor.place if cursor else None, limit)
        following = _Cursor(query_id, asked, position + len(cards), place, None) if place else None
    else:
        cards, last = await _find_plainly(tx, ask, ProductId(cursor.plain) if cursor and cursor.plain else None, limit)
        following = _Cursor(query_id, asked, position + len(cards), None, last) if last else None
    placement = SEARCH if ask.text.strip() else CATEGORY
    offered = await live.find_offered(tx, [card.id for card in cards]) if cards else {}

    def entry(subject: str, number: int) -> str:
        return mint_entry(signer, _entry(actor, subject, placement, query_id, position + number, tx))

    hits = [
        ShelfHit(
            product=card,
            entry=entry(_subject(card.id), number),
            live=LiveOffer(show_id, entry(str(show_id), number)) if (show_id := offered.get(card.id)) else None,
        )
        for number, card in enumerate(cards)
    ]
    instead = search.nearest(ask.text, [card.title for card in cards[:SPELLED_FROM]]) if cursor is None else None
    return ShelfPage(
        items=hits,
        next=signer.sign("shelf-cursor", following) if following is not None else None,
        query_id=query_id,
        instead=instead if cards else None,
        is_complete=is_complete,
    )


async def open_shelf_visit(
    tx: Tx, signer: Signer, actor: Actor, product_id: ProductId, *, entry: str | None = None, visit: str | None = None
) -> Opened:
    """A visit to a product's page, by the entry of a hit, by the visit one comes from, or just like that.

    Without either it goes on with what brought the viewer to the shop in the last half hour, else it is the shelf's.
    Refuses an entry that is forged, expired, was shown to somebody else or leads to another product, and `NotFound`.
    """
    product = (await catalog.find_products(tx, [product_id])).get(product_id)
    if product is None:
        raise NotFound()
    return await _open(
        *(tx, signer, actor, product.shop_id, PRODUCT, (_subject(product_id),)), entry=entry, visit=visit
    )


async def open_shop_visit(
    tx: Tx, signer: Signer, actor: Actor, shop_id: ShopId, *, placement: str, visit: str | None = None
) -> Opened:
    """A visit to a shop's own page, or to the shelf as a whole (`attribution.SHELF`) by searching it or by a category."""
    return await _open(tx, signer, actor, shop_id, placement, (), entry=None, visit=visit)


async def _open(
    tx: Tx,
    signer: Signer,
    actor: Actor,
    shop_id: ShopId,
    placement: str,
    subjects: tuple[str, ...],
    *,
    entry: str | None,
    visit: str | None,
) -> Opened:
    place = VisitPlace(shop_id=shop_id, subjects=subjects, source=Source.shelf, placement=placement, is_shelf=True)
    return await open_visit(
        *(tx, signer, actor, place),
        entry=entry,
        visit=visit,
        is_fan=shop_id != SHELF and await is_fan_of_shop(tx, actor.viewer_id, shop_id),
        is_staff=shop_id != SHELF and bool(await scopes_at(tx, actor, shop_id)),
    )


async def _find(
    tx: Tx, shelf: Shelf, ask: Ask, after: Place | None, limit: int
) -> tuple[list[ShelfCard], Place | None]:
    """Hits that are true, and where to go on; a hit that has left the shelf makes room for the next."""
    cards: list[ShelfCard] = []
    for _ in range(ROUNDS_MAX):
        found = await shelf.find(ask, after=after, limit=limit - len(cards))
        true = await catalog.find_on_shelf(tx, [ProductId(hit.id) for hit in found.hits])
        cards += [true[id_] for hit in found.hits if (id_ := ProductId(hit.id)) in true and _fits(true[id_], ask)]
        if found.hits:
            last = found.hits[-1]
            after = Place(last.tier, last.key, (after.shown if after else 0) + len(found.hits))
        if found.is_over:
            return cards, None
        if len(cards) >= limit:
            break
    return cards, after


def _fits(card: ShelfCard, ask: Ask) -> bool:
    """Whether what is true now is still what was asked for."""
    amount = card.price.amount
    return (
        (not ask.in_stock or card.in_stock)
        and (not ask.is_guaranteed or card.is_guaranteed)
        and (ask.price_min is None or amount >= ask.price_min)
        and (ask.price_max is None or amount <= ask.price_max)
    )


async def _find_plainly(
    tx: Tx, ask: Ask, after: ProductId | None, limit: int
) -> tuple[list[ShelfCard], ProductId | None]:
    """Without an index: the catalogue's own list, newest first, by plain words, category and shop."""
    page = await catalog.list_products(
        tx,
        query=ask.text,
        category=ask.category,
        shop_id=ShopId(ask.shop_id) if ask.shop_id is not None else None,
        after=after,
        limit=limit,
    )
    true = await catalog.find_on_shelf(tx, [product.id for product in page.items])
    cards = [true[product.id] for product in page.items if product.id in true and _fits(true[product.id], ask)]
    return cards, ProductId(page.next) if page.next is not None else None


def _entry(actor: Actor, subject: str, placement: str, query_id: UUID, position: int, tx: Tx) -> Entry:
    return Entry(
        source=Source.shelf,
        placement=placement,
        at=tx.now,
        viewer_id=actor.viewer_id,
        campaign=str(query_id),
        position=position,
        subject=subject,
    )


def _subject(product_id: ProductId) -> str:
    return f"product:{product_id}"


def _digest(ask: Ask) -> int:
    """Tells one question from another, so that a cursor is not used for another one's pages."""
    return int.from_bytes(catalog.digest_of(msgspec.structs.replace(ask, among=None))[:6], "big")


def _read_cursor(signer: Signer, after: str | None, asked: int) -> _Cursor | None:
    if after is None:
        return None
    try:
        cursor = signer.open("shelf-cursor", after, _Cursor, age_max_s=CURSOR_AGE_MAX_S)
    except Refusal:
        raise CursorRefused() from None
    if cursor.asked != asked:
        raise CursorRefused()
    return cursor
