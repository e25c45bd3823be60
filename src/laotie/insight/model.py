"""Insight's words: definitions that people read, measures that engines run.

A module of measures exports `DEFINITIONS` and `MEASURES`; `definitions` puts all of them together. A measure is a function
of tables (the lake's topics and the roll-ups, by name) that gives one Ibis expression, so that it runs on any engine and its
SQL can be shown.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir
import msgspec

_WHERE = {"show_id": "binary", "shop_id": "binary", "streamer_id": "binary", "source": "string", "is_fan": "boolean"}
_PARTS = ("goods_amount", "shop_discount_amount", "platform_discount_amount", "shipping_amount", "tax_amount")

ROLLUPS = {
    "viewer_days": ibis.schema({"day": "date", **_WHERE, "viewer_id": "binary", "visits": "int64", "watch_us": "int64"}),
    "order_days": ibis.schema(
        {"day": "date", "kind": "string", "order_id": "binary", "buyer_id": "binary", **_WHERE, "currency": "string"}
        | dict.fromkeys(("amount", *_PARTS), "int64")
    ),
    "surface_days": ibis.schema(
        {"day": "date", "surface": "string", "placement": "string", "shop_id": "binary", "streamer_id": "binary"}
        | {"viewer_id": "binary", "source": "string", "is_fan": "boolean", "visits": "int64", "watch_us": "int64"}
    ),
}
"""Measures that others read by name, as they read topics: who was where on a day, what an order added on a day,
who was where beside live rooms."""


class Unit(StrEnum):
    """What a figure counts."""

    people = "people"
    orders = "orders"
    shows = "shows"
    money = "money"
    """Minor units of a currency."""
    duration = "duration"
    """Whole microseconds."""
    days = "days"
    share = "share"
    """Of one."""
    ratio = "ratio"
    rows = "rows"
    """Not one figure: a table of them."""


class Words(msgspec.Struct, frozen=True):
    """The same in both languages."""

    zh: str
    en: str


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """What a number means. `terms` are the keys of what the formula is made of; `measure` names what computes it."""

    key: str
    name: Words
    about: Words
    unit: Unit
    formula: str = ""
    terms: tuple[str, ...] = ()
    measure: str | None = None


class Tables(Protocol):
    """Topics of the lake and roll-ups (`ROLLUPS`) by name, of the days that are asked for."""

    @property
    def zone(self) -> ZoneInfo:
        """The books' zone, which days are of."""

    def __getitem__(self, name: str) -> ir.Table: ...


class Measure(NamedTuple):
    """One expression. Its rows come in an order that leaves no choice, so that two engines can be compared."""

    name: str
    compute: Callable[[Tables], ir.Table]
