"""In which currency an answer is. People and watch time are the same in each; sales are that currency's, and never added up."""

from collections.abc import Callable, Iterable
from typing import Annotated

import msgspec
from litestar.params import QueryParameter

from laotie import catalog
from laotie.base.db import Database
from laotie.base.ids import ShopId
from laotie.insight.identities import Level, R
from laotie.web.insight_asked import Asked

CURRENCY_USUAL = "CNY"

InCurrency = Annotated[
    str | None,
    QueryParameter(name="currency", pattern="^[A-Z]{3}$", description="Usually what most was sold in; of nothing, the shop's."),
]


def rank_currencies(sold: Iterable[tuple[str | None, int]]) -> list[str]:
    """Those of currencies and their orders that were sold in, the one of most orders first."""
    orders: dict[str, int] = {}
    for currency, count in sold:
        if currency:
            orders[currency] = orders.get(currency, 0) + count
    return sorted(orders, key=lambda one: (-orders[one], one))


async def usual_currency(db: Database, asked: Asked) -> str:
    """A shop's own currency, else the usual one."""
    if asked.level is Level.shop and asked.of is not None:
        async with db.read() as tx:
            return (await catalog.get_shop(tx, ShopId(asked.of))).currency
    return CURRENCY_USUAL


async def choose_currency(db: Database, asked: Asked, given: str | None, sold_in: list[str]) -> str:
    """The one that is asked for, else that of most orders, else the usual one."""
    return given or next(iter(sold_in), None) or await usual_currency(db, asked)


def of_currency(rows: Iterable[R], currency: str, key: Callable[[R], object]) -> list[R]:
    """One row a key: that currency's sales, or none with the same people."""
    chosen: dict[object, R] = {}
    for row in rows:
        if row.currency == currency:
            chosen[key(row)] = row
        else:
            chosen.setdefault(key(row), msgspec.structs.replace(row, currency=currency, buyers=0, orders=0, gmv=0))
    return list(chosen.values())
