"""How the people of a period behave, and how its figures compare with the month and the year before (the measure G10).

All periods are figured by the same expressions. A period that the lake does not reach back to has no figures, and a change
against it has no value: it is said to be missing, never counted as nothing.
"""

from calendar import monthrange
from collections.abc import Callable
from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

import ibis
import ibis.expr.types as ir
import msgspec

from laotie.insight.engine import Engine
from laotie.insight.identities import Level, decompose
from laotie.insight.model import Definition, Measure, Tables, Unit, Words
from laotie.insight.people import of_one, within
from laotie.insight.terms import GmvKind
from laotie.lake import Lake, list_days


class Period(NamedTuple):
    """Days from `since` to the day before `until`."""

    since: date
    until: date

    @property
    def days(self) -> int:
        """How many."""
        return (self.until - self.since).days


class Missing(StrEnum):
    """Why there is no figure."""

    not_recorded = "not_recorded"
    """The lake begins later."""
    from_zero = "from_zero"
    """There was nothing (or less was sold than went back), and from there nothing grows by a share."""
    nobody = "nobody"
    """There was nobody to divide by."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """A period's whole numbers. What people see is their quotients."""

    uv: int
    watch_us: int
    buyers: int
    orders: int
    gmv: int
    active_days: int
    """Days on which each person came, added up."""
    returned: int
    """People who came on two days or more."""
    seen: int
    """People of whom a visit or watching is known."""


RATIOS: dict[str, tuple[str, str]] = {
    "watch_per_viewer": ("watch_us", "uv"),
    "days_active": ("active_days", "seen"),
    "return_rate": ("returned", "seen"),
    "gmv_per_order": ("gmv", "orders"),
    "orders_per_buyer": ("orders", "buyers"),
}
"""The quotients shown beside the counts."""
COUNTS = ("gmv", "orders", "buyers", "uv", "watch_us")


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """A period before, and by what share each figure has changed since. `missing` says why where there is no share."""

    since: date
    until: date
    values: dict[str, float | None]
    changes: dict[str, float | None]
    missing: dict[str, Missing]


def stickiness(
    viewer_days: ir.Table,
    *,
    level: Level = Level.platform,
    of: UUID | None = None,
    since: date | None = None,
    until: date | None = None,
) -> ir.Table:
    """One row: people seen, the days on which they came added up, and how many came on two days or more."""
    rows = within(of_one(viewer_days, f"{level}_id", of), since, until)
    people = rows.group_by("viewer_id").agg(days=rows.day.nunique())
    return people.agg(
        seen=people.count(),
        active_days=ibis.coalesce(people.days.sum().cast("int64"), 0),
        returned=ibis.coalesce((people.days >= 2).cast("int64").sum(), 0),
    )


def figure(
    engine: Engine, tables: Tables, period: Period, *, level: Level, of: UUID | None, kind: GmvKind, currency: str
) -> Figures:
    """A period's figures, of money in one currency."""
    days = {"since": period.since, "until": period.until}
    rows = engine.run(
        decompose(tables["viewer_days"], tables["order_days"], level=level, kind=kind, of=of, by=(), **days)
    ).to_pylist()
    people = engine.run(stickiness(tables["viewer_days"], level=level, of=of, **days)).to_pylist()[0]
    row = next((one for one in rows if one["currency"] == currency), None)
    audience = rows[0] if rows else {"uv": 0, "watch_us": 0}
    money = row or {"buyers": 0, "orders": 0, "gmv": 0}
    return Figures(
        uv=audience["uv"], watch_us=audience["watch_us"] or 0, buyers=money["buyers"], orders=money["orders"], gmv=money["gmv"],
        active_days=people["active_days"], returned=people["returned"], seen=people["seen"],
    )  # fmt: skip


def values_of(figures: Figures) -> dict[str, float | None]:
    """Counts and quotients by name; a quotient of nobody has no value."""
    found: dict[str, float | None] = {name: getattr(figures, name) for name in COUNTS}
    for name, (over, under) in RATIOS.items():
        divisor = getattr(figures, under)
        found[name] = getattr(figures, over) / divisor if divisor else None
    return found


def compare(now: Figures, period: Period, before: Figures | None) -> Growth:
    """What has changed since `before`, the figures of `period`; `None` when the lake does not hold them."""
    values = values_of(now)
    old: dict[str, float | None] = values_of(before) if before is not None else dict.fromkeys(values)
    changes: dict[str, float | None] = {}
    missing: dict[str, Missing] = {}
    for name, value in values.items():
        was = old[name]
        if before is None:
            missing[name] = Missing.not_recorded
        elif value is None or was is None:
            missing[name] = Missing.nobody
        elif was <= 0:
            missing[name] = Missing.from_zero
        changes[name] = None if name in missing or value is None or not was else (value - was) / was
    return Growth(since=period.since, until=period.until, values=old, changes=changes, missing=missing)


def grow(
    engine: Engine,
    tables: Callable[[Period], Tables],
    period: Period,
    *,
    level: Level,
    of: UUID | None,
    kind: GmvKind,
    currency: str,
) -> tuple[Figures, Growth, Growth]:
    """A period's figures, and against the month and the year before."""

    def look(one: Period) -> Figures:
        return figure(engine, tables(one), one, level=level, of=of, kind=kind, currency=currency)

    now = look(period)
    begins = first_day(engine.lake)
    month, year = (shift(period, months) for months in (1, 12))
    compared = [
        compare(now, one, look(one) if begins is not None and begins <= one.since else None) for one in (month, year)
    ]
    return now, compared[0], compared[1]


def shift(period: Period, months: int) -> Period:
    """The same days so many months earlier; a period of whole months stays one of whole months."""
    last = period.until - timedelta(days=1)
    whole = period.since.day == 1 and period.until.day == 1
    return Period(_earlier(period.since, months), _earlier(last, months, to_end=whole) + timedelta(days=1))


def first_day(lake: Lake) -> date | None:
    """From which day on both people and money are recorded."""
    begins = [days[0] for topic in ("visit", "money") if (days := list_days(lake, topic))]
    return max(begins) if begins else None


def _earlier(day: date, months: int, *, to_end: bool = False) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    days = monthrange(year, month + 1)[1]
    return date(year, month + 1, days if to_end else min(day.day, days))


DEFINITIONS = (
    Definition(
        key="days_active",
        name=Words("人均活跃天数", "Days active per viewer"),
        about=Words("期间内来过的人,平均在几天里来过。", "On how many days of the period a visitor came, on average."),
        unit=Unit.days,
        formula="Σ days with a visit / visitors",
        measure="stickiness",
    ),
    Definition(
        key="return_rate",
        name=Words("回访率", "Return rate"),
        about=Words(
            "期间内来过的人中,在两天及以上来过的比例。", "Of the period's visitors, those who came on two days or more."
        ),
        unit=Unit.share,
        formula="visitors of two days or more / visitors",
        measure="stickiness",
    ),
    Definition(
        key="month_on_month",
        name=Words("环比", "Month on month"),
        about=Words(
            "与提前一个月的相同日子相比(整月对整月),口径相同。湖中没有那段记录时写明缺失,基数为零时没有比例。",
            "Against the same days a month earlier (whole months against whole months), by the same definitions. Where the lake"
            " does not reach back it says so, and nothing grows from zero by a share.",
        ),
        unit=Unit.share,
        formula="(now - then) / then",
    ),
    Definition(
        key="year_on_year",
        name=Words("同比", "Year on year"),
        about=Words(
            "与一年前的相同日子相比,口径相同。", "Against the same days a year earlier, by the same definitions."
        ),
        unit=Unit.share,
        formula="(now - then) / then",
    ),
)

MEASURES = (Measure("stickiness", lambda lake: stickiness(lake["viewer_days"])),)
