"""What counts as GMV, said once: which of an order's money facts make it placed, paid and net, on which day, made of what.

The rows come from the lake's topic `money`, whose facts follow the ledger; `docs/measures.md` says the same in words.
"""

from collections.abc import Mapping
from enum import StrEnum

import ibis
import ibis.expr.types as ir

from laotie.insight.model import Definition, Measure, Unit, Words


class GmvKind(StrEnum):
    """Whose GMV is meant: what was ordered, what was paid, what of that stayed."""

    placed = "placed"
    paid = "paid"
    net = "net"


Kind = GmvKind


FACTS: Mapping[GmvKind, tuple[str, ...]] = {
    GmvKind.placed: ("placed", "repriced"),
    GmvKind.paid: ("paid",),
    GmvKind.net: ("paid", "refunded", "reversed", "restored"),
}
"""Which facts are added up. Their amounts are signed; each counts on its own day (`docs/measures.md`)."""

COMPONENTS = (
    "goods_amount", "shop_discount_amount", "platform_discount_amount", "shipping_amount", "tax_amount",
)  # fmt: skip
"""amount = goods - shop discount - platform discount + shipping; the tax is contained in it."""

BY_ORDER = ("day", "kind", "order_id", "buyer_id", "show_id", "shop_id", "streamer_id", "source", "is_fan", "currency")


def order_days(money: ir.Table) -> ir.Table:
    """What each order added to each kind of GMV on each day: `BY_ORDER`, `amount` and its `COMPONENTS`."""
    columns = [name for name in (*BY_ORDER, "amount", *COMPONENTS) if name != "kind"]
    counted = {fact: [str(kind) for kind, facts in FACTS.items() if fact in facts] for facts in FACTS.values() for fact in facts}
    kinds = ibis.cases(*((money.kind == fact, ibis.array(kinds)) for fact, kinds in counted.items()))
    rows = money.filter(money.kind.isin(list(counted))).select(*columns, kind=kinds).unnest("kind")
    return rows.group_by(BY_ORDER).agg(**{name: rows[name].sum().cast("int64") for name in ("amount", *COMPONENTS)})


def gmv_by_day(orders: ir.Table) -> ir.Table:
    """Each kind's total and components by day, shop and currency."""
    return (
        orders.group_by("day", "kind", "shop_id", "currency")
        .agg(
            orders=orders.order_id.nunique(),
            **{name: orders[name].sum().cast("int64") for name in ("amount", *COMPONENTS)},
        )
        .order_by("day", "kind", "shop_id", "currency")
    )


DEFINITIONS = (
    Definition(
        key="gmv_placed",
        name=Words("下单 GMV", "Placed GMV"),
        about=Words(
            "期间内下单的订单金额:商品减去店铺和平台优惠,加运费;含税。之后未付款而取消的订单仍计入下单当日,改地址引起的运费变化计入改动当日。",
            "What was ordered in the period: goods less shop and platform discounts, plus shipping, tax included. An order"
            " that is cancelled unpaid later stays in the day it was placed; a changed fee counts on the day it changed.",
        ),
        unit=Unit.money,
        formula="Σ amount(placed, repriced)",
        terms=("goods", "shop_discount", "platform_discount", "shipping", "tax"),
        measure="gmv_by_day",
    ),
    Definition(
        key="gmv_paid",
        name=Words("支付 GMV", "Paid GMV"),
        about=Words(
            "期间内到账的订单金额,计入付款当日,与下单日无关。之后的退款不改变它。",
            "What was paid in the period, on the day of payment whenever it was ordered. Later refunds do not change it.",
        ),
        unit=Unit.money,
        formula="Σ amount(paid)",
        terms=("goods", "shop_discount", "platform_discount", "shipping", "tax"),
        measure="gmv_by_day",
    ),
    Definition(
        key="gmv_net",
        name=Words("净 GMV", "Net GMV"),
        about=Words(
            "支付金额减去退款和拒付,加上赢回的拒付;每一笔计入账本实际入账的当日。某日退款多于收款时可为负。",
            "Paid, less refunds and chargebacks, plus chargebacks won, each on the day on which the ledger moved it. Below"
            " zero on a day when more went back than came in.",
        ),
        unit=Unit.money,
        formula="Σ amount(paid, refunded, reversed, restored)",
        terms=("gmv_paid", "refunded", "reversed", "restored"),
        measure="gmv_by_day",
    ),
    Definition(
        key="goods",
        name=Words("商品金额", "Goods"),
        about=Words("件数乘以成交单价,未减优惠。", "Pieces times the price at which they were sold, before discounts."),
        unit=Unit.money,
        measure="gmv_by_day",
    ),
    Definition(
        key="shop_discount",
        name=Words("店铺优惠", "Shop discount"),
        about=Words("由店铺承担的优惠。", "What the shop gives off the price."),
        unit=Unit.money,
        measure="gmv_by_day",
    ),
    Definition(
        key="platform_discount",
        name=Words("平台优惠", "Platform discount"),
        about=Words(
            "由平台承担的优惠。买家没有付这笔钱,所以不计入 GMV;平台另行补给店铺。",
            "What the platform gives off the price. Buyers did not pay it, so GMV leaves it out; the platform makes it up to"
            " the shop.",
        ),
        unit=Unit.money,
        measure="gmv_by_day",
    ),
    Definition(
        key="shipping",
        name=Words("运费", "Shipping"),
        about=Words("买家付的运费,计入 GMV。", "What buyers pay for shipping; part of GMV."),
        unit=Unit.money,
        measure="gmv_by_day",
    ),
    Definition(
        key="tax",
        name=Words("税", "Tax"),
        about=Words("价格中所含的税,已在 GMV 内,不再相加。", "The tax that prices contain: inside GMV, never added to it."),
        unit=Unit.money,
        measure="gmv_by_day",
    ),
    Definition(
        key="refunded",
        name=Words("退款", "Refunded"),
        about=Words(
            "退给买家的钱,计入退款实际完成(账本入账)的当日,而不是下单或付款当日。",
            "Money that went back to buyers, on the day on which the refund was made and the ledger moved it, not on the day of"
            " order or payment.",
        ),
        unit=Unit.money,
        formula="Σ amount(refunded)",
        measure="gmv_by_day",
    ),
    Definition(
        key="reversed",
        name=Words("拒付", "Chargeback"),
        about=Words("银行或支付方从店铺收回的钱,计入收回当日。", "What a bank took back, on the day on which it did."),
        unit=Unit.money,
        formula="Σ amount(reversed)",
        measure="gmv_by_day",
    ),
    Definition(
        key="restored",
        name=Words("赢回的拒付", "Chargeback won"),
        about=Words("争议胜诉后回来的钱,计入回来当日。", "What came back when a dispute was won, on the day on which it came."),
        unit=Unit.money,
        formula="Σ amount(restored)",
        measure="gmv_by_day",
    ),
)

MEASURES = (
    Measure("order_days", lambda lake: order_days(lake["money"]).order_by("day", "kind", "order_id")),
    Measure("gmv_by_day", lambda lake: gmv_by_day(lake["order_days"])),
)
