"""What a new buyer costs and brings (the measure G6).

A new buyer is somebody whose first paid order ever (with this shop, in this streamer's shows, or on the whole platform)
falls into the period; that order's source and campaign won them. What they cost is what was spent on that source and
campaign (`spend`, entered by hand or from a file) and what their first order was subsidised with by whoever asks: the shop
counts its own discounts, the platform its own. What they bring is the net GMV of all their orders in the first 30 and 90
days; a buyer of less than that many days' standing is left out of that figure, never counted as if no more came.
"""

from datetime import date
from uuid import UUID

import ibis
import ibis.expr.types as ir

from laotie.insight.model import Definition, Measure, Unit, Words
from laotie.insight.people import US_PER_DAY, known, of_one
from laotie.insight.terms import FACTS, GmvKind

VALUE_DAYS = (30, 90)


def new_buyers(
    money: ir.Table,
    person: ir.Table,
    *,
    column: str = "shop_id",
    of: UUID | None = None,
    since: date | None = None,
    until: date | None = None,
    as_of_us: int | None = None,
) -> ir.Table:
    """By source, campaign (empty: none) and currency: new_buyers, their first orders' amounts and discounts, for each of
    `VALUE_DAYS` how many are that old (`due_30`) and what these brought (`value_30`). `money` is all of it, from the beginning.
    """
    first, moved = win(money, person, column=column, of=of, since=since, until=until)
    joined = first.left_join(moved, [first.buyer == moved.who, first.currency == moved.moved_in])
    brought = joined.group_by("buyer").agg(
        **{
            f"brought_{days}": joined.moved.sum(where=joined.moved_us < joined.won_us + days * US_PER_DAY)
            for days in VALUE_DAYS
        }
    )
    brought = brought.rename(bringer="buyer")
    both = first.left_join(brought, first.buyer == brought.bringer)
    due = {
        days: both.won_us + days * US_PER_DAY <= as_of_us if as_of_us is not None else both.buyer.notnull()
        for days in VALUE_DAYS
    }
    counted: dict[str, ir.Value] = {}
    for days in VALUE_DAYS:
        counted[f"due_{days}"] = due[days].cast("int64").sum()
        counted[f"value_{days}"] = _whole(both[f"brought_{days}"].sum(where=due[days]))
    keys = ("source", "campaign", "currency")
    return (
        both.group_by(keys)
        .agg(
            new_buyers=both.buyer.nunique(),
            first_amount=_whole(both.amount.sum()),
            shop_subsidy=_whole(both.shop_discount_amount.sum()),
            platform_subsidy=_whole(both.platform_discount_amount.sum()),
            **counted,
        )
        .order_by(keys)
    )


def win(
    money: ir.Table,
    person: ir.Table,
    *,
    column: str = "shop_id",
    of: UUID | None = None,
    since: date | None = None,
    until: date | None = None,
) -> tuple[ir.Table, ir.Table]:
    """The new buyers' first orders (`buyer`, source, campaign, currency, `won_us`, …), and all money that anybody's orders moved
    (`who`, `moved_us`, `moved`, `moved_in`).
    """
    rows = known(of_one(money, column, of), person, "buyer_id")
    paid = rows.filter(rows.kind == "paid")
    first = paid.mutate(no=ibis.row_number().over(group_by="who", order_by=["at_us", "order_id"])).filter(
        ibis._.no == 0
    )
    if since is not None:
        first = first.filter(first.day >= since)
    if until is not None:
        first = first.filter(first.day < until)
    first = first.select(
        "source", "currency", "shop_discount_amount", "platform_discount_amount", "amount",
        campaign=ibis.coalesce(first.campaign, ""), buyer="who", won_us="at_us",
    )  # fmt: skip
    moved = rows.filter(rows.kind.isin(FACTS[GmvKind.net])).select(
        "who", moved_us="at_us", moved="amount", moved_in="currency"
    )
    return first, moved


def _whole(amount: ir.Value) -> ir.Value:
    return ibis.coalesce(amount.cast("int64"), 0)


DEFINITIONS = (
    Definition(
        key="new_buyers",
        name=Words("新买家", "New buyers"),
        about=Words(
            "首笔支付订单落在期间内的人:店铺口径指在本店的首单,主播口径指在其直播间的首单,平台口径指全平台首单。归属首单的来源和活动。",
            "People whose first paid order falls into the period: with this shop, in this streamer's shows, or on the whole"
            " platform. That order's source and campaign won them.",
        ),
        unit=Unit.people,
        measure="new_buyers",
    ),
    Definition(
        key="cac",
        name=Words("获客成本 CAC", "Acquisition cost (CAC)"),
        about=Words(
            "该来源(活动)的投入,加上新买家首单上由自己承担的优惠,除以新买家数。店铺算店铺优惠,平台算平台补贴。没有新买家时无值。",
            "What was spent on the source (and campaign) plus what one gave off the new buyers' first orders oneself, divided"
            " by the new buyers: the shop counts its discounts, the platform its own. No value without new buyers.",
        ),
        unit=Unit.money,
        formula="(spend + own discount on first orders) / new buyers",
        terms=("spend", "new_buyers", "shop_discount", "platform_discount"),
        measure="new_buyers",
    ),
    Definition(
        key="spend",
        name=Words("投放花费", "Spend"),
        about=Words(
            "为带来观众而花的钱,按天、来源、活动登记,手工录入或导入 CSV;同一天同一来源同一活动只有一个数,再次登记即替换。",
            "What was paid to bring viewers, by day, source and campaign, entered by hand or from a CSV file. One figure a day,"
            " source and campaign: saying it again replaces it.",
        ),
        unit=Unit.money,
    ),
    Definition(
        key="realised_value",
        name=Words("已实现价值(30/90 天)", "Realised value (30/90 days)"),
        about=Words(
            "新买家首单起 30(90)天内的净 GMV,除以已满 30(90)天的新买家数;未满的不计入。是成交额,不是毛利。",
            "Net GMV of new buyers within 30 (90) days of their first order, divided by those whose 30 (90) days are over;"
            " others are left out. Turnover, not margin.",
        ),
        unit=Unit.money,
        formula="Σ net GMV within N days / new buyers of N days' standing",
        terms=("gmv_net", "new_buyers"),
        measure="new_buyers",
    ),
    Definition(
        key="ltv_cac",
        name=Words("LTV/CAC", "LTV/CAC"),
        about=Words(
            "每位新买家的价值除以获客成本。用已实现的 90 天价值,不足 90 天时用 30 天;均未满时无值。",
            "A new buyer's value divided by what it cost to win them. The value is what was realised in 90 days, in 30 where 90"
            " are not over for anybody, and there is none before that.",
        ),
        unit=Unit.ratio,
        formula="realised value / CAC",
        terms=("realised_value", "cac"),
        measure="new_buyers",
    ),
)

MEASURES = (Measure("new_buyers", lambda lake: new_buyers(lake["money"], lake["person"])),)
