"""What people do on pages, told to the lake: visits beside the live room, products seen, baskets filled, links shared, searches.

Told after the answer is certain, never waited for. Only a visit that counts is told: the shop's own people and strangers
whom nobody would know again are no visitors. Reading an address (`GET`) counts nothing but a search: what a page shows is
said by the page itself, so that prefetching and crawling are no visits.
"""

from collections.abc import Iterator
from datetime import datetime, time
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from laotie.base.entry import Credit, Visit, is_of_surface
from laotie.base.ids import ProductId, ShowId, VisitId
from laotie.identity import Actor
from laotie.lake import Carted, Clicked, Entered, Played, Searched, Shared, Stay
from laotie.orders import BasketLine
from laotie.traffic import SHELF, Opened, Span
from laotie.web.house import House

NO_VISIT = VisitId(UUID(int=0))


def tell_visit(house: House, actor: Actor, opened: Opened) -> None:
    """Somebody came to a surface or to the shelf; nothing when the visit only goes on."""
    visit = opened.visit
    if visit.counts and opened.is_new:
        entered = Entered(
            _stay(visit),
            house.clock.now_us(),
            placement=visit.placement,
            is_guest=actor.account_id is None,
            campaign=visit.campaign,
            position=visit.position,
            sharer_id=visit.sharer_id,
            shop_id=visit.shop_id if visit.shop_id != SHELF else None,
            streamer_id=visit.streamer_id,
        )
        house.sink.append(entered)


def tell_click(house: House, opened: Opened, product_id: ProductId) -> None:
    """A product's page was looked at."""
    if opened.visit.counts:
        at_us = house.clock.now_us()
        house.sink.append(Clicked(_stay(opened.visit), at_us, product_id=product_id, shop_id=opened.visit.shop_id))


def tell_play(house: House, visit: Visit, play_id: UUID, span: Span) -> None:
    """A replay, a clip or a video ran in sight."""
    if not visit.counts:
        return
    stay = replace(_stay(visit), connection_id=play_id)
    for since_us, until_us in _by_day(span, ZoneInfo(house.settings.books_zone)):
        played = Played(stay, until_us, visit.placement, since_us, shop_id=visit.shop_id, streamer_id=visit.streamer_id)
        house.sink.append(played)


def tell_search(house: House, opened: Opened, hits: int) -> None:
    """The shelf was searched."""
    if opened.visit.counts:
        house.sink.append(Searched(_stay(opened.visit), house.clock.now_us(), hits))


def tell_cart(house: House, actor: Actor, credit: Credit | None, line: BasketLine, more: int) -> None:
    """So many more pieces are in the basket."""
    if credit is not None and more > 0:
        stay = _stay_of(actor, credit, line.show_id)
        house.sink.append(Carted(stay, house.clock.now_us(), line.product_id, line.sku_id, line.shop_id, more))


def tell_share(house: House, actor: Actor, credit: Credit | None, show_id: ShowId | None, placement: str) -> None:
    """A link was asked for."""
    if credit is not None:
        house.sink.append(Shared(_stay_of(actor, credit, show_id), house.clock.now_us(), placement))


def _by_day(span: Span, zone: ZoneInfo) -> Iterator[Span]:
    """What reaches over midnight is told of either day apart: a row belongs to the day on which it ends."""
    day = datetime.fromtimestamp(span.until_us / 1_000_000, zone).date()
    midnight_us = int(datetime.combine(day, time(), zone).timestamp()) * 1_000_000
    if span.since_us < midnight_us < span.until_us:
        yield Span(span.since_us, midnight_us - 1)
        yield Span(midnight_us, span.until_us)
    else:
        yield span


def _stay(visit: Visit) -> Stay:
    """Beside the live room nobody is in a show: what is bought there is not the show's either."""
    if is_of_surface(visit.placement):
        return Stay(visit.viewer_id, visit.id, visit.source, visit.is_fan, None, visit.id)
    return Stay.of(visit)


def _stay_of(actor: Actor, credit: Credit, show_id: ShowId | None) -> Stay:
    visit_id = credit.visit_id or NO_VISIT
    return Stay(actor.viewer_id, visit_id, credit.source, credit.is_fan, show_id, visit_id)
