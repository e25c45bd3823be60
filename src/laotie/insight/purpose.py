"""How many orders nobody had set out for: no search and no product looked at in the hours before (the measure G5).

Two readings, because a show lets people look at what it sells before they buy: `purposeless` counts orders before which the
buyer neither searched nor clicked any product at all, `unprompted` also those whose only clicks were in the very visit of a
show that the order came from.
"""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

import ibis
import ibis.expr.types as ir

from laotie.insight.model import Definition, Measure, Unit, Words
from laotie.insight.people import US_PER_H, counted, known, of_one, within

WITHIN_H_DEFAULT = 24
WITHIN_H_MAX = 24 * 30


def purposeless(
    money: ir.Table,
    search: ir.Table,
    click: ir.Table,
    person: ir.Table,
    *,
    within_h: int = WITHIN_H_DEFAULT,
    column: str = "shop_id",
    of: UUID | None = None,
    since: date | None = None,
    until: date | None = None,
    by: Sequence[str] = ("source",),
) -> ir.Table:
    """The columns `by`, then orders, unprompted, purposeless. Searches and clicks must reach back as far as `within_h`.

    An order counts at the instant it was placed, also when it is never paid; what was looked at counts when it was
    looked at before that, on any device that is known to be the buyer's.
    """
    placed = within(of_one(money.filter(money.kind == "placed"), column, of), since, until)
    orders = known(placed, person, "buyer_id")
    looks = known(
        ibis.union(*(one.select("viewer_id", "visit_id", looked_us=one.at_us) for one in (search, click))), person
    )
    looks = looks.select(viewer="who", looked_in="visit_id", looked_us="looked_us")
    pairs = orders.inner_join(looks, [("who", "viewer")])
    before = pairs.filter(pairs.looked_us < pairs.at_us, pairs.looked_us >= pairs.at_us - within_h * US_PER_H)
    elsewhere = before.show_id.isnull() | before.visit_id.isnull() | (before.looked_in != before.visit_id)
    found = before.group_by("order_id").agg(elsewhere=elsewhere.cast("int64").max())
    found = found.select(looked_for="order_id", elsewhere="elsewhere")
    judged = orders.left_join(found, [("order_id", "looked_for")])
    return counted(
        judged,
        by,
        orders=judged.order_id.nunique(),
        unprompted=judged.order_id.nunique(where=ibis.coalesce(judged.elsewhere, 0) == 0),
        purposeless=judged.order_id.nunique(where=judged.looked_for.isnull()),
    )


DEFINITIONS = (
    Definition(
        key="purposeless",
        name=Words("无目的成交占比", "Purposeless share"),
        about=Words(
            "下单前 N 小时内(默认 24)买家既没有搜索、也没有点开过任何商品的订单,占全部下单的比例。访客登录前后算同一人。",
            "Of all orders placed, those before which the buyer neither searched nor looked at any product for N hours (24"
            " unless said otherwise). What a guest did before signing in counts as the buyer's.",
        ),
        unit=Unit.share,
        formula="orders with neither / orders placed",
        terms=("orders_placed",),
        measure="purposeless",
    ),
    Definition(
        key="unprompted",
        name=Words("进场前无目的占比", "Came for nothing in particular"),
        about=Words(
            "同上,但只在下单所在的那次直播访问里点开的商品不算:人不是为了买东西来的,是直播间让他看了商品。",
            "The same, but products looked at only in the very visit to the show that the order came from do not count: the"
            " show led there, not a purpose.",
        ),
        unit=Unit.share,
        formula="orders with neither before that visit / orders placed",
        terms=("orders_placed",),
        measure="purposeless",
    ),
    Definition(
        key="orders_placed",
        name=Words("下单数", "Orders placed"),
        about=Words("期间内下的单,之后取消的也算。", "Orders placed in the period, also those cancelled later."),
        unit=Unit.orders,
        formula="|orders placed|",
        measure="purposeless",
    ),
)

MEASURES = (
    Measure("purposeless", lambda lake: purposeless(lake["money"], lake["search"], lake["click"], lake["person"])),
)
