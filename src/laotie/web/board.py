"""The room board over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get
from litestar.params import QueryParameter

from laotie import orders
from laotie.base.db import Database
from laotie.base.ids import CartItemId, ProductId, ShowId
from laotie.base.money import Money
from laotie.identity import Actor
from laotie.orders.board import Explained, Minute, Product, Sold
from laotie.orders.minutes import MarkSales
from laotie.web.given import FromPath, Given
from laotie.web.orders import Gmv

Since = Annotated[
    datetime | None, QueryParameter(name="since", description="Only minutes that begin then or later (ISO 8601, UTC).")
]


class BoardSold(msgspec.Struct):
    """Placed: in this minute, cancelled orders included. Paid: in this minute, whenever they were placed."""

    orders: int
    paid_orders: int
    units: int
    paid_units: int
    gmv: Gmv


class BoardAudience(msgspec.Struct, kw_only=True):
    """People. `viewers_filtered` is null: the figure without robots and paid crowds is not made yet."""

    viewers_max: int
    viewers_mean: float
    viewers_filtered: int | None = None
    watch_s: float
    joins: int
    likes: int
    chats_sent: int
    chats_shown: int
    follows: int
    clicks: int


class BoardMinute(msgspec.Struct):
    """One minute of a show, from its first to its last without gaps."""

    at: datetime
    audience: BoardAudience
    sold: BoardSold


class BoardProduct(msgspec.Struct):
    """One product in the whole show: what was sold of it, whatever was being explained. `watch_s`: watched while it was."""

    product_id: ProductId
    title: str
    clicks: int
    explained_s: float
    watch_s: float
    orders: int
    units: int
    paid_units: int
    gmv: Gmv


class BoardOrders(msgspec.Struct):
    """Orders of a part of the show, and what of them is paid by now."""

    orders: int
    paid_orders: int
    units: int
    gmv: Gmv


class BoardMark(msgspec.Struct):
    """One time that a product was explained: the most viewers and what was watched, everything ordered meanwhile, and
    `own`, what of it was this product.
    """

    id: UUID
    item_id: CartItemId
    product_id: ProductId
    begins_at: datetime
    ends_at: datetime | None
    viewers_max: int
    watch_s: float
    ordered: BoardOrders
    own_units: int
    own_gmv: Money


class BoardTotals(msgspec.Struct):
    """The whole show. `viewers_max` is its highest moment."""

    duration_s: float
    audience: BoardAudience
    sold: BoardSold


class BoardView(msgspec.Struct):
    """A show's board at the instant `at`. `unexplained`: what was ordered while nothing was explained."""

    at: datetime
    minutes: list[BoardMinute]
    products: list[BoardProduct]
    marks: list[BoardMark]
    unexplained: BoardOrders
    totals: BoardTotals


@get("/api/shows/{show_id:uuid}/board")
async def get_show_board(
    show_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], since: Since = None
) -> BoardView:
    """The show by the minute, by product and by what was explained, for its streamer and the shop's staff.

    Sums of the minutes, of the products and of the marks with `unexplained` are the show's sales, to the cent.
    """
    async with db.read() as tx:
        return _view(await orders.get_board(tx, actor, ShowId(show_id), since=since))


def _view(board: orders.Board) -> BoardView:
    currency = board.currency
    return BoardView(
        at=board.at,
        minutes=[_minute(one, currency) for one in board.minutes],
        products=[_product(one, currency) for one in board.products],
        marks=[_mark(one, currency) for one in board.marks],
        unexplained=_ordered(board.unexplained, currency),
        totals=BoardTotals(
            duration_s=board.totals.duration_ms / 1000,
            audience=BoardAudience(
                viewers_max=board.totals.viewers_peak,
                viewers_mean=board.totals.viewers_mean,
                watch_s=board.totals.watch_ms / 1000,
                **{name: getattr(board.totals, name) for name in COUNTS},
            ),
            sold=_sold(board.totals.sold, currency),
        ),
    )


COUNTS = ("joins", "likes", "chats_sent", "chats_shown", "follows", "clicks")


def _minute(one: Minute, currency: str) -> BoardMinute:
    return BoardMinute(
        at=one.at,
        audience=BoardAudience(
            viewers_max=one.viewers_max,
            viewers_mean=one.viewers_mean,
            watch_s=one.watch_ms / 1000,
            **{name: getattr(one, name) for name in COUNTS},
        ),
        sold=_sold(one.sold, currency),
    )


def _sold(sold: Sold, currency: str) -> BoardSold:
    return BoardSold(
        sold.orders,
        sold.paid_orders,
        sold.units,
        sold.paid_units,
        Gmv(Money(sold.amount, currency), Money(sold.paid_amount, currency)),
    )


def _product(one: Product, currency: str) -> BoardProduct:
    return BoardProduct(
        product_id=one.product_id,
        title=one.title,
        clicks=one.clicks,
        explained_s=one.explained_ms / 1000,
        watch_s=one.watch_ms / 1000,
        orders=one.sales.orders,
        units=one.sales.units,
        paid_units=one.sales.paid_units,
        gmv=Gmv(Money(one.sales.amount, currency), Money(one.sales.paid_amount, currency)),
    )


def _mark(one: Explained, currency: str) -> BoardMark:
    return BoardMark(
        id=one.mark.id,
        item_id=one.mark.item_id,
        product_id=one.mark.product_id,
        begins_at=one.mark.begins_at,
        ends_at=one.mark.ends_at,
        viewers_max=one.viewers_max,
        watch_s=one.watch_ms / 1000,
        ordered=_ordered(one.sales, currency),
        own_units=one.sales.own_units,
        own_gmv=Money(one.sales.own_amount, currency),
    )


def _ordered(sales: MarkSales, currency: str) -> BoardOrders:
    gmv = Gmv(Money(sales.amount, currency), Money(sales.paid_amount, currency))
    return BoardOrders(sales.orders, sales.paid_orders, sales.units, gmv)


ROUTES = [get_show_board]
