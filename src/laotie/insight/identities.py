"""GMV taken apart so that the parts multiply back to it, per source, at any level and for any days (the identity 2.0).

    GMV = UV × (watch / UV) × (buyers / watch) × (orders / buyer) × (GMV / order)

Where nobody watches, as on the shelf, the middle three are one factor: GMV = UV × (orders / UV) × (GMV / order), which is
the identity 1.0. A row holds whole numbers and the factors are their quotients, so the product is the GMV exactly, and the
rows of all sources add up to the ledger. People are counted as sets, never estimated and never added up: somebody who came
by two sources is one of each and one in the total.
"""

from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import ibis
import ibis.expr.types as ir
import msgspec
import pyarrow as pa

from laotie.insight.model import Definition, Measure, Unit, Words
from laotie.insight.terms import GmvKind


class Level(StrEnum):
    """Whose figures."""

    show = "show"
    streamer = "streamer"
    shop = "shop"
    platform = "platform"


KEYS = ("day", "show_id", "streamer_id", "shop_id", "source", "is_fan")
"""What figures can be taken apart by."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The whole numbers of one source (or show, day, …) in one currency, which is empty where nothing was sold."""

    day: date | None = None
    show_id: UUID | None = None
    streamer_id: UUID | None = None
    shop_id: UUID | None = None
    source: str | None = None
    is_fan: bool | None = None
    currency: str = ""
    uv: int = 0
    watch_us: int = 0
    buyers: int = 0
    orders: int = 0
    gmv: int = 0

    def factors(self) -> "Factors":
        """What they multiply from."""
        sold, watched = self.orders > 0, self.watch_us > 0
        return Factors(
            uv=Fraction(self.uv),
            watch_per_viewer=Fraction(self.watch_us, self.uv) if watched else None,
            buyers_per_watch=Fraction(self.buyers, self.watch_us) if watched else None,
            orders_per_buyer=Fraction(self.orders, self.buyers) if sold else None,
            conversion=Fraction(self.orders, self.uv) if self.uv else None,
            gmv_per_order=Fraction(self.gmv, self.orders) if sold else None,
        )


R = TypeVar("R", bound=Row)


class Factors(NamedTuple):
    """What multiplies to the GMV; `None` where there is nothing to divide by. Watch time is in microseconds.

    Where somebody watched, `watch_per_viewer × buyers_per_watch × orders_per_buyer` is `conversion`, orders for each viewer;
    where nobody did, `conversion` stands for the three.
    """

    uv: Fraction
    watch_per_viewer: Fraction | None
    buyers_per_watch: Fraction | None
    orders_per_buyer: Fraction | None
    conversion: Fraction | None
    gmv_per_order: Fraction | None

    def product(self) -> Fraction:
        """The GMV again, exactly: of five factors, or of three."""
        if self.conversion is None or self.gmv_per_order is None:
            return Fraction(0)
        if self.watch_per_viewer is None or self.buyers_per_watch is None or self.orders_per_buyer is None:
            return self.uv * self.conversion * self.gmv_per_order
        return self.uv * self.watch_per_viewer * self.buyers_per_watch * self.orders_per_buyer * self.gmv_per_order


def decompose(
    viewer_days: ir.Table,
    order_days: ir.Table,
    *,
    level: Level,
    kind: GmvKind,
    since: date | None = None,
    until: date | None = None,
    of: UUID | None = None,
    by: Sequence[str] = ("source",),
) -> ir.Table:
    """The whole numbers from `since` to the day before `until`: the columns `by`, then currency, uv, watch_us, buyers, orders, gmv.

    `of` is the show, streamer or shop; without it everything at that level (then `by` should name it). A source without
    sales has one row with an empty currency; where there are several currencies each has the same people. A buyer is
    among the UV of the order's source also when no visit of those days is known.
    """
    keys = [*by, "whole"]
    seen = _within(viewer_days, level, of, since, until)
    sold = _within(order_days, level, of, since, until)
    sold = sold.filter(sold.kind == kind.value)
    people = ibis.union(
        seen.select(*keys, who=seen.viewer_id, watch_us=seen.watch_us),
        sold.select(*keys, who=sold.buyer_id, watch_us=ibis.literal(0, "int64")),
    )
    came = people.group_by(keys).agg(uv=people.who.nunique(), watch_us=people.watch_us.sum().cast("int64"))
    bought = sold.group_by(*(sold[name].name(f"sold_{name}") for name in keys), "currency").agg(
        buyers=sold.buyer_id.nunique(), orders=sold.order_id.nunique(), gmv=sold.amount.sum().cast("int64")
    )
    both = came.left_join(bought, [came[name].identical_to(bought[f"sold_{name}"]) for name in keys])
    return both.select(
        *by,
        currency=ibis.coalesce(both.currency, ""),
        uv=both.uv,
        watch_us=both.watch_us,
        **{name: ibis.coalesce(both[name], 0) for name in ("buyers", "orders", "gmv")},
    ).order_by(*by, "currency")


def read_rows(found: pa.Table, row: type[R] = Row) -> list[R]:  # type: ignore[assignment]
    """What an engine found for `decompose`."""
    return [row(**{name: _plain(name, value) for name, value in one.items()}) for one in found.to_pylist()]


def _plain(name: str, value: Any) -> Any:
    return UUID(bytes=bytes(value)) if name.endswith("_id") and value is not None else value


def _within(table: ir.Table, level: Level, of: UUID | None, since: date | None, until: date | None) -> ir.Table:
    if of is not None:
        table = table.filter(table[f"{level}_id"] == ibis.literal(of.bytes, "binary"))
    if since is not None:
        table = table.filter(table.day >= since)
    if until is not None:
        table = table.filter(table.day < until)
    return table.mutate(whole=ibis.literal(0, "int8"))


FIVE = ("uv", "watch_per_viewer", "buyers_per_watch", "orders_per_buyer", "gmv_per_order")

DEFINITIONS = (
    Definition(
        key="gmv",
        name=Words("GMV 恒等式 2.0", "GMV identity 2.0"),
        about=Words(
            "每个来源的 GMV 等于五个因子之积;没有观看的来源(如货架)等于三个因子之积。各来源相加等于账本,一分不差。",
            "The GMV of a source is the product of five factors, of three where nobody watches (as on the shelf). The sum over"
            " all sources is the ledger's, to the cent.",
        ),
        unit=Unit.rows,
        formula="GMV = UV × (watch / UV) × (buyers / watch) × (orders / buyer) × (GMV / order)",
        terms=("gmv_placed", "gmv_paid", "gmv_net", *FIVE),
        measure="gmv_by_source",
    ),
    Definition(
        key="gmv_shelf",
        name=Words("GMV 恒等式 1.0", "GMV identity 1.0"),
        about=Words("货架流量:访客乘以转化率乘以客单价。", "Shelf traffic: visitors times conversion times the average order."),
        unit=Unit.rows,
        formula="GMV = UV × conversion × AOV",
        terms=("uv", "conversion", "gmv_per_order"),
        measure="gmv_by_source",
    ),
    Definition(
        key="uv",
        name=Words("访客数", "UV"),
        about=Words(
            "期间内来过的不同的人,精确去重:访客登录后与其账号算同一人;从两个来源来的人各算一次,总计只算一次。"
            "成交的人即使当期没有访问记录也计入订单的来源。",
            "Different people who came in the period, counted exactly: a guest who signs in is the account. Who came by two"
            " sources is one of each and one in the total, so sources do not add up to the total. A buyer counts for the"
            " order's source also when no visit of that period is known.",
        ),
        unit=Unit.people,
        formula="|visitors ∪ buyers|",
        measure="gmv_by_source",
    ),
    Definition(
        key="watch",
        name=Words("观看时长", "Watch time"),
        about=Words(
            "直播间画面在屏幕上、且收到确认的时间。同一人多个标签页或设备重叠的时间只算一次。回放、切片、短视频另计(见场域)。",
            "Time in live rooms with the picture in sight, acknowledged. Overlapping tabs and devices of one person count once."
            " Replays, clips and short videos are counted apart (see surface).",
        ),
        unit=Unit.duration,
        measure="viewer_days",
    ),
    Definition(
        key="watch_per_viewer",
        name=Words("人均观看时长", "Watch time per viewer"),
        about=Words("观看时长除以访客数。", "Watch time divided by UV."),
        unit=Unit.ratio,
        formula="watch / UV",
        terms=("watch", "uv"),
        measure="gmv_by_source",
    ),
    Definition(
        key="buyers_per_watch",
        name=Words("单位观看时长买家数", "Buyers per watch time"),
        about=Words("不同买家数除以观看时长(页面按小时显示)。", "Different buyers divided by watch time (pages show it by the hour)."),
        unit=Unit.ratio,
        formula="buyers / watch",
        terms=("buyers", "watch"),
        measure="gmv_by_source",
    ),
    Definition(
        key="buyers",
        name=Words("买家数", "Buyers"),
        about=Words(
            "期间内有订单金额发生(按所选口径)的不同的人。净额口径下,仅发生退款的人也在内。",
            "Different people of whose orders money of the chosen kind moved in the period; for net, also who only got"
            " something back.",
        ),
        unit=Unit.people,
        measure="gmv_by_source",
    ),
    Definition(
        key="orders",
        name=Words("订单数", "Orders"),
        about=Words(
            "期间内有金额发生(按所选口径)的不同订单。",
            "Different orders of which money of the chosen kind moved in the period.",
        ),
        unit=Unit.orders,
        measure="gmv_by_source",
    ),
    Definition(
        key="orders_per_buyer",
        name=Words("人均订单数", "Orders per buyer"),
        about=Words("订单数除以买家数。", "Orders divided by buyers."),
        unit=Unit.ratio,
        formula="orders / buyers",
        terms=("orders", "buyers"),
        measure="gmv_by_source",
    ),
    Definition(
        key="conversion",
        name=Words("转化率", "Conversion"),
        about=Words(
            "订单数除以访客数;有观看时等于中间三个因子之积。",
            "Orders divided by UV; where somebody watched it is the product of the three factors in the middle.",
        ),
        unit=Unit.ratio,
        formula="orders / UV",
        terms=("orders", "uv"),
        measure="gmv_by_source",
    ),
    Definition(
        key="gmv_per_order",
        name=Words("客单价", "Average order (AOV)"),
        about=Words("GMV 除以订单数。", "GMV divided by orders."),
        unit=Unit.money,
        formula="GMV / orders",
        terms=("gmv", "orders"),
        measure="gmv_by_source",
    ),
    Definition(
        key="source",
        name=Words("来源", "Source"),
        about=Words(
            "这次访问从哪里来:由签名的入口带来,无法伪造。私域、公域自然、公域付费、顶号、货架、分享、直接。是否粉丝是另一个维度。",
            "Where the visit came from, carried by a signed entry that nobody can forge: private, public organic, public paid,"
            " slot, shelf, share, direct. Fan or not is another axis.",
        ),
        unit=Unit.rows,
        measure="gmv_by_source",
    ),
)


def _measure(name: str, by: tuple[str, ...], kind: GmvKind = GmvKind.paid) -> Measure:
    return Measure(
        name,
        lambda lake: decompose(lake["viewer_days"], lake["order_days"], level=Level.platform, kind=kind, by=by),
    )


MEASURES = (
    _measure("gmv_total", ()),
    _measure("gmv_by_source", ("source",)),
    _measure("gmv_by_source_placed", ("source",), GmvKind.placed),
    _measure("gmv_by_source_net", ("source",), GmvKind.net),
    _measure("gmv_by_source_and_fan", ("source", "is_fan")),
    _measure("gmv_by_show_and_source", ("show_id", "source")),
    _measure("gmv_by_streamer_and_source", ("streamer_id", "source")),
    _measure("gmv_by_shop_and_source", ("shop_id", "source")),
    _measure("gmv_by_day_and_source", ("day", "source")),
)
