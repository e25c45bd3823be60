"""From passers-by to people who come back and buy: the funnel, and who of the new fans stays (the measure D3).

The funnel begins with *public viewers*: people whose first visit of the period came neither by a private entry (follow page,
message, subscription) nor as a fan. They are counted once, where that first visit came from, so sources (and campaigns) add
up; by show everybody counts once in each show. What they did after that visit until the period's end is counted: followed
the streamer, paid for an order, paid for a second. People buy without following, so the steps are counted one by one, and
once more among those who took the step before.
"""

from collections.abc import Collection, Sequence
from datetime import date
from uuid import UUID

import ibis
import ibis.expr.types as ir

from laotie.insight.model import Definition, Measure, Unit, Words
from laotie.insight.people import US_PER_DAY, among, counted, known, of_one, within

PRIVATE = "private"
RETENTION_DAYS = (1, 7, 30)


def deposition(
    visit: ir.Table,
    follow: ir.Table,
    money: ir.Table,
    person: ir.Table,
    *,
    column: str = "shop_id",
    of: UUID | None = None,
    since: date | None = None,
    until: date | None = None,
    by: Sequence[str] = ("source",),
) -> ir.Table:
    """The columns `by` (of source, campaign, show_id), then how many came, followed, bought, bought again, and how many of the
    buyers had followed. Of one shop, streamer or show (`column`, `of`), or of all.
    """
    each = ["who", "show_id"] if "show_id" in by else ["who"]
    visits = known(within(of_one(visit, column, of), since, until), person)
    visits = visits.mutate(campaign=ibis.coalesce(visits.campaign, ""))
    first = visits.mutate(no=ibis.row_number().over(group_by=each, order_by=["at_us", "id"]))
    first = first.filter(first.no == 0, first.source != PRIVATE, ~first.is_fan)
    came = first.select("who", "source", "campaign", "show_id", "streamer_id", "shop_id", came_us="at_us", came_id="id")

    begun = known(within(follow.filter(follow.begins), since, until), person)
    begun = begun.select(fan="who", followed="streamer_id", followed_us="at_us")
    followers = came.inner_join(
        begun, [came.who == begun.fan, came.streamer_id == begun.followed, begun.followed_us >= came.came_us]
    )
    followers = followers.select(fan_id="came_id").distinct()

    paid = known(within(of_one(money.filter(money.kind == "paid"), column, of), since, until), person, "buyer_id")
    paid = paid.select("order_id", buyer="who", bought_in="show_id", bought_us="at_us")
    theirs = [came.who == paid.buyer, paid.bought_us >= came.came_us]
    if "show_id" in by:
        theirs.append(came.show_id == paid.bought_in)
    bought = came.inner_join(paid, theirs).group_by("came_id").agg(order_count=ibis._.order_id.nunique())
    bought = bought.rename(buying="came_id")

    told = came.left_join(followers, came.came_id == followers.fan_id)
    told = told.left_join(bought, told.came_id == bought.buying)
    is_fan, orders = told.fan_id.notnull(), ibis.coalesce(told.order_count, 0)
    return counted(
        told,
        by,
        viewers=told.count(),
        followers=is_fan.cast("int64").sum(),
        buyers=(orders >= 1).cast("int64").sum(),
        repeat_buyers=(orders >= 2).cast("int64").sum(),
        follower_buyers=(is_fan & (orders >= 1)).cast("int64").sum(),
        follower_repeat_buyers=(is_fan & (orders >= 2)).cast("int64").sum(),
    )


def retention(
    follow: ir.Table,
    visit: ir.Table,
    person: ir.Table,
    *,
    streamers: Collection[UUID] | None = None,
    since: date | None = None,
    until: date | None = None,
    as_of_us: int | None = None,
    by: Sequence[str] = ("source",),
) -> ir.Table:
    """The columns `by`, then fans won in the period, and for 1, 7 and 30 days: whose days are over (`due_7`), who of them
    still followed then (`kept_7`), who had come to the streamer again on a later day by then (`back_7`).

    A fan is a person and a streamer, from the first follow of the period; ceasing and beginning again is staying.
    `follow` and `visit` reach beyond the period to today.
    """
    follows = known(among(follow, "streamer_id", streamers), person)
    begun = within(follows.filter(follows.begins), since, until)
    begun = begun.mutate(no=ibis.row_number().over(group_by=["who", "streamer_id"], order_by=["at_us", "id"]))
    fans = begun.filter(begun.no == 0).select("who", "streamer_id", "source", "day", fan_id="id", won_us="at_us")

    later = follows.select(one="who", theirs="streamer_id", then_us="at_us", then="begins")
    moves = fans.inner_join(
        later, [fans.who == later.one, fans.streamer_id == later.theirs, later.then_us > fans.won_us]
    )
    stands = moves.group_by("fan_id").agg(
        **{
            f"stands_{days}": moves.then.argmax(moves.then_us, where=moves.then_us <= moves.won_us + days * US_PER_DAY)
            for days in RETENTION_DAYS
        }
    )
    stands = stands.rename(stander="fan_id")

    visits = known(among(visit, "streamer_id", streamers), person)
    visits = visits.select(one="who", theirs="streamer_id", then_us="at_us", then_on="day")
    again = fans.inner_join(
        visits, [fans.who == visits.one, fans.streamer_id == visits.theirs, visits.then_on > fans.day]
    )
    backs = again.group_by("fan_id").agg(back_us=again.then_us.min() - again.won_us.min())
    backs = backs.rename(comer="fan_id")

    told = fans.left_join(stands, fans.fan_id == stands.stander)
    told = told.left_join(backs, told.fan_id == backs.comer)
    figures: dict[str, ir.Value] = {}
    for days in RETENTION_DAYS:
        due = told.won_us + days * US_PER_DAY <= as_of_us if as_of_us is not None else told.who.notnull()
        kept = ibis.coalesce(told[f"stands_{days}"], True)
        back = ibis.coalesce(told.back_us <= days * US_PER_DAY, False)
        figures[f"due_{days}"] = due.cast("int64").sum()
        figures[f"kept_{days}"] = (due & kept).cast("int64").sum()
        figures[f"back_{days}"] = (due & back).cast("int64").sum()
    return counted(told, by, fans=told.count(), **figures)


def fans_won(
    follow: ir.Table,
    person: ir.Table,
    *,
    streamers: Collection[UUID] | None = None,
    since: date | None = None,
    until: date | None = None,
) -> ir.Table:
    """How many people began to follow one of the streamers in the period and followed at its end: one row, `fans`."""
    moves = within(known(among(follow, "streamer_id", streamers), person), since, until)
    ends = moves.group_by("who", "streamer_id").agg(
        began=moves.begins.cast("int64").max(), follows=moves.begins.argmax(moves.at_us)
    )
    return ends.agg(fans=ends.who.nunique(where=(ends.began == 1) & ends.follows))


def _deposition(name: str, by: tuple[str, ...]) -> Measure:
    return Measure(name, lambda lake: deposition(lake["visit"], lake["follow"], lake["money"], lake["person"], by=by))


DEFINITIONS = (
    Definition(
        key="deposition",
        name=Words("沉淀漏斗", "Deposition funnel"),
        about=Words(
            "公域观众 → 关注 → 购买 → 复购。每一步都数首次访问之后、期间结束之前做过的人;粉丝团尚未开通,故无数字。",
            "Public viewer → follower → buyer → repeat buyer: who did it after their first visit, before the period's end. There"
            " are no fan groups yet, so that step has no figure.",
        ),
        unit=Unit.rows,
        terms=("public_viewers", "new_followers", "funnel_buyers", "repeat_buyers"),
        measure="deposition",
    ),
    Definition(
        key="public_viewers",
        name=Words("公域观众", "Public viewers"),
        about=Words(
            "期间内首次访问不是经私域入口、且当时还不是粉丝的人,归属那次访问的来源和活动;按场看时每场各算一次。",
            "People whose first visit of the period came neither by a private entry nor as a fan, counted where that visit came"
            " from; by show, once in each show.",
        ),
        unit=Unit.people,
        measure="deposition",
    ),
    Definition(
        key="new_followers",
        name=Words("转粉", "Followed"),
        about=Words("其中之后关注了该主播的人。", "Of these, who followed that streamer afterwards."),
        unit=Unit.people,
        measure="deposition",
    ),
    Definition(
        key="funnel_buyers",
        name=Words("购买", "Bought"),
        about=Words(
            "其中之后支付过订单的人,无论是否关注。", "Of these, who paid for an order afterwards, following or not."
        ),
        unit=Unit.people,
        measure="deposition",
    ),
    Definition(
        key="repeat_buyers",
        name=Words("复购", "Bought again"),
        about=Words("其中之后支付过两笔及以上订单的人。", "Of these, who paid for two orders or more."),
        unit=Unit.people,
        measure="deposition",
    ),
    Definition(
        key="fan_retention",
        name=Words("粉丝留存", "Fan retention"),
        about=Words(
            "期间内新增的粉丝,在关注满 1、7、30 天时仍在关注的比例;未满该天数的不计入分母。",
            "Of the fans won in the period whose 1, 7 or 30 days are over, those who still followed then.",
        ),
        unit=Unit.share,
        formula="still following after N days / fans of N days' standing",
        measure="fan_retention",
    ),
    Definition(
        key="fan_return",
        name=Words("粉丝回访", "Fans who came back"),
        about=Words(
            "同一批粉丝中,关注之后的某一天、在 N 天之内又来看过该主播的比例。",
            "Of the same fans, those who came to the streamer again on a later day, within N days.",
        ),
        unit=Unit.share,
        formula="came again within N days / fans of N days' standing",
        measure="fan_retention",
    ),
    Definition(
        key="fans_won",
        name=Words("沉淀粉丝", "Fans won"),
        about=Words(
            "期间内开始关注、到期末仍在关注的不同的人。",
            "Different people who began to follow in the period and still followed at its end.",
        ),
        unit=Unit.people,
        measure="fans_won",
    ),
)

MEASURES = (
    _deposition("deposition", ("source",)),
    _deposition("deposition_by_campaign", ("source", "campaign")),
    _deposition("deposition_by_show", ("show_id",)),
    Measure("fan_retention", lambda lake: retention(lake["follow"], lake["visit"], lake["person"])),
    Measure("fans_won", lambda lake: fans_won(lake["follow"], lake["person"])),
)
