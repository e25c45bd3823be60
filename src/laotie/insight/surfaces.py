"""Where it was bought and watched: in live rooms, at replays, clips and short videos, on the shelf. The identity of each.

A visit or an order in a show is the live room's. Beside it the placement says the surface (`replay:…`, `clip:…`,
`video:…`), and everything else is the shelf's. Replays, clips and videos are watched too, as `play` tells: merged for each
person as watch time of the live room is, by what was played, and kept apart from it. The surfaces' GMV adds up to the ledger's.
"""

from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from laotie.insight.identities import FIVE, Level, Row, decompose
from laotie.insight.model import Definition, Measure, Unit, Words
from laotie.insight.people import known
from laotie.insight.terms import GmvKind
from laotie.insight.watch import USUAL_ZONE, credit

LIVE, SHELF = "live", "shelf"
PLAYED = ("replay", "clip", "video")
SURFACES = (LIVE, *PLAYED, SHELF)

KEYS = ("day", "surface", "placement", "shop_id", "streamer_id", "source", "is_fan", "viewer_id")
SURFACE_DAYS = pa.schema(
    {"day": pa.date32(), "surface": pa.string(), "placement": pa.string()}
    | dict.fromkeys(("shop_id", "streamer_id", "viewer_id"), pa.binary())
    | {"source": pa.string(), "is_fan": pa.bool_(), "visits": pa.int64(), "watch_us": pa.int64()}
)


class SurfaceRow(Row, frozen=True, kw_only=True):
    """The whole numbers of a surface, and of one thing played there where it is asked for."""

    surface: str = ""
    placement: str | None = None


def surface_days(visit: ir.Table, play: ir.Table, person: ir.Table, *, zone: ZoneInfo = USUAL_ZONE) -> ir.Table:
    """Who was where beside live rooms on a day: `SURFACE_DAYS`, each once. `placement` names what was played, on the shelf nothing."""
    beside = visit.filter(visit.show_id.isnull())
    came = known(beside.mutate(surface=_surface(beside.placement)), person)
    came = came.mutate(
        viewer_id=came.who, placement=_of_played(came), visits=ibis.literal(1, "int64"), watch_us=ibis.literal(0, "int64")
    )
    seen = credit(play, person, zone=zone, apart={"played": "placement"})
    whose = play.group_by("placement").agg(shop_id=play.shop_id.max(), streamer_id=play.streamer_id.max())
    seen = seen.inner_join(whose, seen.played == whose.placement)
    seen = seen.mutate(surface=_surface(seen.placement), visits=ibis.literal(0, "int64"))
    rows = ibis.union(*(one.select(*KEYS, "visits", "watch_us") for one in (came, seen)))
    return sum_surfaces(rows)


def sum_surfaces(rows: ir.Table) -> ir.Table:
    """Each once."""
    summed = rows.group_by(*KEYS).agg(visits=rows.visits.sum().cast("int64"), watch_us=rows.watch_us.sum().cast("int64"))
    return summed.filter((summed.visits > 0) | (summed.watch_us > 0)).select(SURFACE_DAYS.names)


def viewers_at(viewer_days: ir.Table, surface_days: ir.Table) -> ir.Table:
    """Who was where, in live rooms and beside them: `viewer_days` with the columns `surface` and `placement`."""
    inside = viewer_days.filter(viewer_days.show_id.notnull())
    inside = inside.mutate(surface=ibis.literal(LIVE), placement=ibis.null("string"))
    beside = surface_days.mutate(show_id=ibis.null("binary"))
    return ibis.union(inside, beside.select(inside.columns))


def orders_at(order_days: ir.Table, money: ir.Table) -> ir.Table:
    """What each order added, with the columns `surface` and `placement`; `money` is of the same days."""
    told = money.filter(money.show_id.isnull()).select(of_order="order_id", placement="placement")
    told = told.filter(_surface(told.placement) != SHELF).distinct()
    rows = order_days.left_join(told, order_days.order_id == told.of_order)
    surface = ibis.ifelse(
        rows.show_id.notnull(), LIVE, ibis.ifelse(rows.placement.isnull(), SHELF, _surface(ibis.coalesce(rows.placement, "")))
    )
    return rows.mutate(surface=surface).select(*order_days.columns, "surface", "placement")


def _surface(placement: ir.StringValue) -> ir.StringValue:
    return ibis.cases(*((placement.startswith(f"{one}:"), one) for one in PLAYED), else_=SHELF)


def _of_played(rows: ir.Table) -> ir.StringValue:
    return ibis.ifelse(rows.surface == SHELF, ibis.null("string"), rows.placement)


DEFINITIONS = (
    Definition(
        key="surface",
        name=Words("场域", "Surface"),
        about=Words(
            "在哪里发生:直播间、回放、切片、短视频,其余归货架。直播间内的访问与订单归直播间;场外按带签名的入口归属。"
            "各场域的 GMV 相加等于账本。",
            "Where it happened: in live rooms, at replays, clips or short videos; all the rest is the shelf's. What was done in a show"
            " is the live room's; beside it the signed entry says where. The GMV of all surfaces adds up to the ledger's.",
        ),
        unit=Unit.rows,
        terms=("gmv_placed", "gmv_paid", "gmv_net", "surface_watch", *FIVE),
        measure="gmv_by_surface",
    ),
    Definition(
        key="surface_watch",
        name=Words("场域观看时长", "Watch time at a surface"),
        about=Words(
            "直播间为观看时长;回放、切片、短视频为画面在屏幕上播放、且服务器确认过的时间:不超过服务器自己的时钟所走过的时间,"
            "同一人多个标签页播放同一内容只算一次。它不计入直播的观看时长,货架没有观看。",
            "Of live rooms, their watch time. Of replays, clips and videos, time in which they ran in sight and the server"
            " acknowledged it: never more than passed by the server's clock, and several tabs of one person with the same thing"
            " count once. It is no part of the live room's watch time; nobody watches on the shelf.",
        ),
        unit=Unit.duration,
        measure="surface_days",
    ),
)


def _measure(name: str, by: tuple[str, ...], kind: GmvKind = GmvKind.paid) -> Measure:
    return Measure(
        name,
        lambda lake: decompose(
            viewers_at(lake["viewer_days"], lake["surface_days"]), orders_at(lake["order_days"], lake["money"]),
            level=Level.platform, kind=kind, by=by,
        ),
    )  # fmt: skip


MEASURES = (
    Measure("surface_days", lambda lake: surface_days(lake["visit"], lake["play"], lake["person"], zone=lake.zone).order_by(*KEYS)),
    _measure("gmv_by_surface", ("surface",)),
    _measure("gmv_by_surface_and_source", ("surface", "source")),
    _measure("gmv_by_played", ("surface", "placement")),
)
