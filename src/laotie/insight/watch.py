"""Watch time: how long each person saw each show, tabs and devices together.

The gateway writes a span for each heartbeat that acknowledged what was sent while the picture was in sight; a page in the
background writes none. Spans of one person (a guest who signed in is the account) in one show are joined: what several
cover counts once. An instant belongs to the span that began first, of two that began together to the older connection's;
so a second tab from elsewhere earns its source nothing while the first is open. Spans are cut where a day ends. What lies
between two spans, such as a lost connection, is not watched.

Sorting every span is the obvious way and a slow one. In a lake that keeps its promise, that a span is there once and those
of one connection are one viewer's in one show by one source and never overlap (the gateway measures each from the one
before), only people with two connections open at once can overlap at all, and only their spans are sorted: see `merge`.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir

from laotie.insight.people import US_PER_DAY, known

USUAL_ZONE = ZoneInfo("Asia/Shanghai")
ROW = ("day", "show_id", "viewer_id", "source", "is_fan")
_ZONES_SINCE, _ZONES_UNTIL = date(2015, 1, 1), date(2046, 1, 1)
"""The days for which a zone's own changes of time are known; beyond them, the nearest one's."""


def merge(
    watch: ir.Table,
    person: ir.Table,
    *,
    zone: ZoneInfo = USUAL_ZONE,
    is_orderly: bool = False,
    apart: Mapping[str, str] | None = None,
) -> ir.Table:
    """`ROW` and `watch_us`: what each viewer (an account, where a guest became one) watched of a show on a day, by source.

    Rows of the lake's topics `watch` (any days) and `person`; `zone` is that of the days. A span that began the day before
    counts there too; before that it does not reach. `is_orderly` says that the lake's promise holds; then a connection
    none of whose time meets another's of the same person is summed up as it is. The answer is the same. Rows that differ in
    one of the columns `apart`, which the answer has under the names given, are not joined.
    """
    rows = credit(watch, person, zone=zone, is_orderly=is_orderly, apart=apart)
    summed = rows.group_by(*(apart or ()), *ROW).agg(watch_us=rows.watch_us.sum().cast("int64"))
    return summed.filter(summed.watch_us > 0)


def credit(
    watch: ir.Table,
    person: ir.Table,
    *,
    zone: ZoneInfo = USUAL_ZONE,
    is_orderly: bool = False,
    apart: Mapping[str, str] | None = None,
) -> ir.Table:
    """What `merge` adds up, in pieces: for whoever adds it to something else at once."""
    if not is_orderly:
        watch = watch.filter(watch.at_us > watch.since_us)
    stays = list_stays(watch, person, zone=zone, is_orderly=is_orderly, apart=apart)
    return credit_stays(watch, stays, number(stays, zone=zone, apart=apart), is_orderly=is_orderly, apart=apart)


def list_stays(
    watch: ir.Table,
    person: ir.Table,
    *,
    zone: ZoneInfo = USUAL_ZONE,
    is_orderly: bool = False,
    apart: Mapping[str, str] | None = None,
) -> ir.Table:
    """The first step: a row for each connection's day, from when to when, how long of it was watched, and whether it `meets`."""
    apart = apart or {}
    return _mark(_stays(watch, person, zone, apart), is_orderly, apart)


def number(stays: ir.Table, *, zone: ZoneInfo = USUAL_ZONE, apart: Mapping[str, str] | None = None) -> ir.Table:
    """The second step: of those that meet, a number for each person in a show and one for each stay."""
    return _number(stays.filter(stays.meets), zone, apart or {})


def credit_stays(
    watch: ir.Table, stays: ir.Table, meeting: ir.Table, *, is_orderly: bool = False, apart: Mapping[str, str] | None = None
) -> ir.Table:
    """The last step. Whoever computes may keep what the steps before it gave; joins of known sizes are planned better."""
    apart = apart or {}
    alone = stays.filter(~stays.meets)
    columns = [*apart, "day", "show_id", "source", "is_fan", "who", "watch_us"]
    joined = _join(watch, meeting, is_orderly, apart)
    return ibis.union(alone.rename(watch_us="lasted_us").select(columns), joined.select(columns)).rename(viewer_id="who")


def midnight_us(day: ir.DateValue, zone: ZoneInfo) -> ir.IntegerValue:
    """The first instant of a day in a zone."""
    first, *changes = _offsets(zone)
    offset: ir.IntegerValue = ibis.literal(first[1], "int64")
    if changes:
        offset = ibis.cases(*((day >= since, us) for since, us in reversed(changes)), else_=offset)
    return day.epoch_days().cast("int64") * US_PER_DAY - offset


def _stays(watch: ir.Table, person: ir.Table, zone: ZoneInfo, apart: Mapping[str, str]) -> ir.Table:
    """Each connection's day: from when to when, how long of it was watched, by whom."""
    stays = watch.group_by(*ROW, "connection_id", **{name: watch[column] for name, column in apart.items()}).agg(
        begins_us=watch.since_us.min(),
        ends_us=watch.at_us.max(),
        lasted_us=(watch.at_us.sum() - watch.since_us.sum()).cast("int64"),
    )
    return known(stays, person).mutate(midnight_us=midnight_us(stays.day, zone))


def _mark(stays: ir.Table, is_orderly: bool, apart: Mapping[str, str]) -> ir.Table:
    """Which of them meet: their time and another's of the same person in the same show, or yesterday.

    When each began and ended is enough to know. Time that adds up to more than lies between the two breaks the promise, and
    is looked at closely.
    """
    columns = [*apart, *ROW, "connection_id", "who", "begins_us", "ends_us", "lasted_us"]
    if not is_orderly:
        return stays.select(*columns, meets=ibis.literal(True))
    odd = (stays.begins_us < stays.midnight_us) | (stays.lasted_us > stays.ends_us - stays.begins_us)
    stays = stays.mutate(is_odd=odd)
    pair = [*apart, "who", "show_id"]
    of_pair = stays.group_by(*(stays[name].name(f"of_{name}") for name in pair)).agg(
        stays=stays.count(),
        spread_us=stays.ends_us.max() - stays.begins_us.min(),
        stayed_us=(stays.ends_us.sum() - stays.begins_us.sum()).cast("int64"),
    )
    found = stays.inner_join(of_pair, [_same(stays, name, of_pair, f"of_{name}") for name in pair])
    few, several = found.filter(found.stays < 3), found.filter(found.stays >= 3)
    order: dict[str, Any] = {"group_by": pair, "order_by": ["begins_us", "connection_id", "day"]}
    several = several.mutate(
        reached_us=several.ends_us.max().over(ibis.window(**order, preceding=(None, 1))),
        next_us=several.begins_us.lead().over(ibis.window(**order)),
    )
    meets = ibis.coalesce(several.reached_us > several.begins_us, False) | ibis.coalesce(several.next_us < several.ends_us, False)
    return ibis.union(
        # One, or two: these meet if they lasted longer than lies between the first beginning and the last end.
        few.select(*columns, meets=few.is_odd | (few.stayed_us > few.spread_us)),
        several.select(*columns, meets=several.is_odd | meets),
    )


def _number(meeting: ir.Table, zone: ZoneInfo, apart: Mapping[str, str]) -> ir.Table:
    """A number for each person in a show and one for each stay: narrow rows sort in half the time."""
    yesterday = (meeting.day.cast("timestamp") - ibis.interval(days=1)).cast("date")
    numbered = meeting.mutate(
        yesterday=yesterday,
        pair=ibis.dense_rank().over(order_by=[*apart, "who", "show_id"]),
        number=ibis.row_number().over(
            order_by=[*apart, "who", "show_id", "connection_id", "viewer_id", "day", "source", "is_fan"]
        ),
    )
    return numbered.mutate(
        midnight_us=midnight_us(numbered.day, zone), yesterday_us=midnight_us(numbered.yesterday, zone)
    )


def _join(watch: ir.Table, meeting: ir.Table, is_orderly: bool, apart: Mapping[str, str]) -> ir.Table:
    """Of each stay, how far its spans reach beyond those that began before them: on the day, and on the day before."""
    told = ("day", "connection_id") if is_orderly else (*ROW, "connection_id")
    places = {name: name for name in told} | {column: name for name, column in apart.items()}
    spans = watch.inner_join(meeting, [_same(watch, column, meeting, name) for column, name in places.items()])
    spans = spans.select("pair", "number", "midnight_us", "yesterday_us", "since_us", "at_us")
    spans = spans.filter(spans.at_us > spans.since_us)
    before = ibis.window(group_by="pair", order_by=["since_us", "number"], preceding=(None, 1))
    spans = spans.mutate(reached_us=spans.at_us.max().over(before))
    begins_us = ibis.greatest(spans.since_us, ibis.coalesce(spans.reached_us, spans.since_us))
    within_us = spans.at_us - ibis.greatest(begins_us, spans.midnight_us)
    before_us = ibis.least(spans.at_us, spans.midnight_us) - ibis.greatest(begins_us, spans.yesterday_us)
    joined = spans.group_by("number").agg(
        within_us=ibis.greatest(within_us, 0).sum().cast("int64"), before_us=ibis.greatest(before_us, 0).sum().cast("int64")
    )
    # Two rows of each, for the two days; to use the sum twice would be to work it out twice.
    found = meeting.inner_join(joined, "number").mutate(is_late=ibis.array([False, True])).unnest("is_late")
    return found.mutate(
        day=ibis.ifelse(found.is_late, found.yesterday, found.day),
        watch_us=ibis.ifelse(found.is_late, found.before_us, found.within_us),
    )


def _same(one: ir.Table, name: str, other: ir.Table, other_name: str) -> ir.BooleanValue:
    """Equal, or both null where a column may be."""
    if name == "show_id":
        return one[name].identical_to(other[other_name])
    return one[name] == other[other_name]


@cache
def _offsets(zone: ZoneInfo) -> list[tuple[date, int]]:
    """From which day on a zone's midnight is how far from UTC's, in microseconds."""
    days = (_ZONES_SINCE + timedelta(days=number) for number in range((_ZONES_UNTIL - _ZONES_SINCE).days))
    found: list[tuple[date, int]] = []
    for day in days:
        midnight = int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * 1_000_000
        offset = (day - date(1970, 1, 1)).days * US_PER_DAY - midnight
        if not found or found[-1][1] != offset:
            found.append((day, offset))
    return found
