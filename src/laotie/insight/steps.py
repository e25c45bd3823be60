"""From coming to paying: how many people of each source took each step, in a show or anywhere.

Steps are counted one by one, each of different people; nobody has to take the one before (people buy without opening the
product first). Whoever took any step came. A step belongs to the source of the visit, or order, in which it was taken.
"""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

import ibis
import ibis.expr.types as ir

from laotie.insight.model import Definition, Measure, Unit, Words
from laotie.insight.people import known, of_one, within
from laotie.insight.terms import FACTS, GmvKind

STEPS = ("came", "watched", "clicked", "ordered", "paid")


def take_steps(
    visit: ir.Table,
    watch: ir.Table,
    click: ir.Table,
    money: ir.Table,
    person: ir.Table,
    *,
    column: str = "show_id",
    of: UUID | None = None,
    since: date | None = None,
    until: date | None = None,
    by: Sequence[str] = ("source",),
) -> ir.Table:
    """The columns `by`, then a column a step: different people. Of one show, shop or streamer (`column`, `of`), or of all.

    `watch` and `click` know their show only; the other levels are reached through the visit they belong to.
    """

    def of_visits(acts: ir.Table) -> ir.Table:
        if column in acts.columns:
            return of_one(acts, column, of)
        return acts if of is None else acts.semi_join(of_one(visit, column, of), "visit_id")

    told = {
        "came": known(of_one(visit, column, of), person),
        "watched": known(of_visits(watch.filter(watch.at_us > watch.since_us)), person),
        "clicked": known(of_visits(click), person),
        "ordered": known(of_one(money.filter(money.kind.isin(FACTS[GmvKind.placed])), column, of), person, "buyer_id"),
        "paid": known(of_one(money.filter(money.kind.isin(FACTS[GmvKind.paid])), column, of), person, "buyer_id"),
    }
    acts = ibis.union(
        *(
            within(table, since, until).select(*by, "who", step=ibis.literal(step), whole=ibis.literal(0, "int8"))
            for step, table in told.items()
        )
    )
    return (
        acts.group_by([*by, "whole"])
        .agg(
            came=acts.who.nunique(),
            **{step: acts.who.nunique(where=acts.step == step) for step in STEPS[1:]},
        )
        .drop("whole")
        .order_by(*by, "came")
    )


DEFINITIONS = (
    Definition(
        key="steps",
        name=Words("成交路径", "Steps to a purchase"),
        about=Words(
            "来访 → 观看 → 点开商品 → 下单 → 支付,每一步数不同的人,不要求先走过前一步。",
            "Came → watched → opened a product → ordered → paid: different people at each step; nobody has to take the one before.",
        ),
        unit=Unit.rows,
        terms=("step_came", "step_watched", "step_clicked", "step_ordered", "step_paid"),
        measure="steps",
    ),
    Definition(
        key="step_came",
        name=Words("来访", "Came"),
        about=Words("来过的不同的人;走过任何一步的人都算来过。", "Different people who came; whoever took any step did."),
        unit=Unit.people,
        measure="steps",
    ),
    Definition(
        key="step_watched",
        name=Words("观看", "Watched"),
        about=Words("画面曾在屏幕上、且收到确认的人。", "Who had the picture in sight, acknowledged."),
        unit=Unit.people,
        measure="steps",
    ),
    Definition(
        key="step_clicked",
        name=Words("点开商品", "Opened a product"),
        about=Words("在小黄车或商品页看过商品的人。", "Who looked at a product, in the cart of a show or on its page."),
        unit=Unit.people,
        measure="steps",
    ),
    Definition(
        key="step_ordered",
        name=Words("下单", "Ordered"),
        about=Words("下过单的人,无论是否付款。", "Who placed an order, paid or not."),
        unit=Unit.people,
        measure="steps",
    ),
    Definition(
        key="step_paid",
        name=Words("支付", "Paid"),
        about=Words("付过款的人。", "Who paid."),
        unit=Unit.people,
        measure="steps",
    ),
)

MEASURES = (
    Measure(
        "steps",
        lambda lake: take_steps(lake["visit"], lake["watch"], lake["click"], lake["money"], lake["person"]),
    ),
)
