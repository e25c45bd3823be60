"""The room board: a show by the minute, by product and by mark, for those who run it.

Composes what gateways counted (`live`), who began to follow (`fans`), and what was sold (`minutes`, `feed`). Its sums
are the show's sales to the cent. Viewers are raw: the filtered figure has its place and stays empty until there is a
filter. A minute in which nothing happened is there with zeros, from the show's first to its last; after the show only
minutes in which somebody paid.
"""

from bisect import bisect_left
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec.structs import replace

from laotie import catalog, fans, identity, live
from laotie.base.db import Tx
from laotie.base.ids import ProductId, ShowId
from laotie.base.refusals import Forbidden
from laotie.identity import Actor, Scope
from laotie.orders import feed, minutes
from laotie.orders.minutes import NO_MARK, MarkSales, SoldMinute

MINUTE = timedelta(minutes=1)
MINUTES_MAX = 2_880
"""Two days; of a longer show the board has the last of them, and the totals of all."""


class Sold(msgspec.Struct, frozen=True, kw_only=True):
    """Orders, pieces and money: placed (cancelled ones included), and paid. Minor units of the board's currency."""

    orders: int = 0
    units: int = 0
    amount: int = 0
    paid_orders: int = 0
    paid_units: int = 0
    paid_amount: int = 0


class Minute(msgspec.Struct, frozen=True, kw_only=True):
    """One minute. `viewers_mean` is over the part of the minute that has passed."""

    at: datetime
    viewers_max: int
    viewers_mean: float
    watch_ms: int
    joins: int
    likes: int
    chats_sent: int
    chats_shown: int
    follows: int
    clicks: int
    sold: Sold


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """What was sold of one product in the whole show, whenever; `explained_ms` is how long it was explained, `watch_ms` how
    much was watched meanwhile.
    """

    product_id: ProductId
    title: str
    clicks: int
    explained_ms: int
    watch_ms: int
    sales: feed.ItemSales


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """One mark with everything ordered while it was open, the most viewers of its minutes, and what was watched of it."""

    mark: live.Mark
    viewers_max: int
    watch_ms: int
    sales: MarkSales


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The whole show. `viewers_peak` is the highest minute's; `duration_ms` is how long it has been on."""

    duration_ms: int
    viewers_peak: int
    viewers_mean: float
    watch_ms: int
    joins: int
    likes: int
    chats_sent: int
    chats_shown: int
    follows: int
    clicks: int
    sold: Sold


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """A show's board at an instant. `unexplained`: what was ordered while nothing was explained."""

    at: datetime
    currency: str
    minutes: list[Minute]
    products: list[Product]
    marks: list[Explained]
    unexplained: MarkSales
    totals: Totals


async def get_board(tx: Tx, actor: Actor, show_id: ShowId, *, since: datetime | None) -> Board:
    """A show's board, for its streamer and the shop's staff with the scope `show` or `orders`. Call it in a snapshot.

    With `since` only minutes that begin then or later; everything else is whole.
    """
    show = await live.get_show(tx, show_id)
    await _require_eye(tx, actor, show)
    heard = await live.list_audience_minutes(tx, show_id)
    sold = await minutes.list_minutes(tx, show_id)
    begins_at, ends_at = show.started_at, show.ended_at or tx.now
    gains: list[fans.FollowMinute] = []
    if begins_at is not None:
        gains = await fans.list_gains(tx, show.streamer.id, from_at=begins_at, to_at=ends_at)
    marks = await live.list_marks(tx, show_id)
    explained = [
        Explained(mark=mark, viewers_max=most, watch_ms=watch_ms, sales=_no_sales(mark.id))
        for mark, (most, watch_ms) in zip(marks, hear_marks(marks, heard, now=tx.now), strict=True)
    ]
    by_mark = await minutes.list_mark_sales(tx, show_id, marks)
    sales = await feed.sum_show(tx, show_id)
    return Board(
        at=tx.now,
        currency=sales.currency or (await catalog.get_shop(tx, show.shop_id)).currency,
        minutes=fill_minutes(heard, sold, gains, begins_at=begins_at, ends_at=ends_at, since=since, now=tx.now),
        products=await _list_products(tx, show_id, sales, explained),
        marks=[replace(one, sales=by_mark.get(one.mark.id, one.sales)) for one in explained],
        unexplained=by_mark.get(NO_MARK, _no_sales(NO_MARK)),
        totals=_total(heard, sold, gains, duration_ms=_ms(ends_at - begins_at) if begins_at else 0),
    )


async def _require_eye(tx: Tx, actor: Actor, show: live.Show) -> None:
    if actor.account_id is not None and actor.account_id == show.streamer.id:
        return
    try:
        await identity.require_seat(tx, actor, show.shop_id, Scope.show)
    except Forbidden:
        await identity.require_seat(tx, actor, show.shop_id, Scope.orders)


def fill_minutes(
    heard: list[live.AudienceMinute],
    sold: list[SoldMinute],
    gains: list[fans.FollowMinute],
    *,
    begins_at: datetime | None,
    ends_at: datetime,
    since: datetime | None,
    now: datetime,
) -> list[Minute]:
    """Minutes in the order of time, without gaps while the show is on. Pure."""
    by_heard = {one.at: one for one in heard}
    by_gains = {one.at: one.follows for one in gains}
    by_sold: dict[datetime, list[SoldMinute]] = {}
    for one in sold:
        by_sold.setdefault(one.at, []).append(one)
    wanted = set(by_sold)
    if begins_at is not None:
        at, last = _floor(begins_at), _floor(ends_at)
        at = max(at, last - (MINUTES_MAX - 1) * MINUTE)
        while at <= last:
            wanted.add(at)
            at += MINUTE
    return [
        _minute(at, by_heard.get(at), by_sold.get(at, []), by_gains.get(at, 0), now=now)
        for at in sorted(wanted)[-MINUTES_MAX:]
        if since is None or at >= since
    ]


def hear_marks(
    marks: list[live.Mark], heard: list[live.AudienceMinute], *, now: datetime
) -> list[tuple[int, int]]:
    """For each mark the most viewers of its minutes, and its part of what was watched in them (ms), by how much of a minute
    it was open. Marks do not overlap, so the parts never add up to more than the show's. Pure.
    """
    heard = sorted(heard, key=lambda one: one.at)
    found = []
    for mark in marks:
        ends_at = mark.ends_at or now
        most = watch_ms = 0
        for one in heard[bisect_left(heard, _floor(mark.begins_at), key=lambda one: one.at) :]:
            if one.at >= ends_at:
                break
            open_ms = _ms(min(ends_at, one.at + MINUTE) - max(mark.begins_at, one.at))
            most = max(most, one.viewers_max)
            watch_ms += one.watch_ms * open_ms // max(1, min(60_000, _ms(now - one.at)))
        found.append((most, watch_ms))
    return found


def _minute(
    at: datetime, heard: live.AudienceMinute | None, sold: list[SoldMinute], follows: int, *, now: datetime
) -> Minute:
    passed_ms = max(1, min(60_000, _ms(now - at)))
    return Minute(
        at=at,
        viewers_max=heard.viewers_max if heard else 0,
        viewers_mean=round(heard.viewer_ms / passed_ms, 1) if heard else 0.0,
        watch_ms=heard.watch_ms if heard else 0,
        joins=heard.joins if heard else 0,
        likes=heard.likes if heard else 0,
        chats_sent=heard.chats_sent if heard else 0,
        chats_shown=heard.chats_shown if heard else 0,
        follows=follows,
        clicks=heard.clicks if heard else 0,
        sold=_add_up(sold),
    )


def _total(
    heard: list[live.AudienceMinute], sold: list[SoldMinute], gains: list[fans.FollowMinute], *, duration_ms: int
) -> Totals:
    return Totals(
        duration_ms=duration_ms,
        viewers_peak=max((one.viewers_max for one in heard), default=0),
        viewers_mean=round(sum(one.viewer_ms for one in heard) / duration_ms, 1) if duration_ms else 0.0,
        watch_ms=sum(one.watch_ms for one in heard),
        joins=sum(one.joins for one in heard),
        likes=sum(one.likes for one in heard),
        chats_sent=sum(one.chats_sent for one in heard),
        chats_shown=sum(one.chats_shown for one in heard),
        follows=sum(one.follows for one in gains),
        clicks=sum(one.clicks for one in heard),
        sold=_add_up(sold),
    )


def _add_up(sold: list[SoldMinute]) -> Sold:
    assert len({one.currency for one in sold}) <= 1, "a shop has one currency"
    return Sold(**{name: sum(getattr(one, name) for one in sold) for name in Sold.__struct_fields__})


async def _list_products(
    tx: Tx, show_id: ShowId, sales: feed.ShowSales, marks: list[Explained]
) -> list[Product]:
    """What was sold, explained or looked at; the most sold first."""
    sold = {one.product_id: one for one in sales.items}
    clicks = {one.product_id: one.clicks for one in await live.count_clicks(tx, show_id)}
    explained: dict[ProductId, int] = {}
    watched: dict[ProductId, int] = {}
    for one in marks:
        product_id, spent = one.mark.product_id, _ms((one.mark.ends_at or tx.now) - one.mark.begins_at)
        explained[product_id] = explained.get(product_id, 0) + spent
        watched[product_id] = watched.get(product_id, 0) + one.watch_ms
    everything = list(dict.fromkeys([*sold, *explained, *clicks]))
    known = await catalog.find_cards(tx, everything)
    return [
        Product(
            product_id=product_id,
            title=known[product_id].title if product_id in known else "",
            clicks=clicks.get(product_id, 0),
            explained_ms=explained.get(product_id, 0),
            watch_ms=watched.get(product_id, 0),
            sales=sold.get(product_id) or _nothing_sold(product_id),
        )
        for product_id in everything
    ]


def _nothing_sold(product_id: ProductId) -> feed.ItemSales:
    return feed.ItemSales(product_id=product_id, orders=0, units=0, amount=0, paid_units=0, paid_amount=0)


def _no_sales(mark_id: UUID) -> MarkSales:
    return MarkSales(
        mark_id=mark_id, orders=0, units=0, amount=0, own_units=0, own_amount=0, paid_orders=0, paid_units=0, paid_amount=0
    )


def _floor(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _ms(span: timedelta) -> int:
    return max(0, span // timedelta(milliseconds=1))
