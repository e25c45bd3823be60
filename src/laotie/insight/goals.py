"""What people mean to reach, and how far they are: goals of the platform, of shops, of streamers (the measure G8).

A goal names one of the measures that pages show, a target, and days. Its progress is that measure over those days, by the
same expression; it is never kept. Every change is a new version (of an unchanged id), and whoever holds the old one is told.
"""

from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import AccountId
from laotie.base.refusals import Conflict, IdReused, Invalid
from laotie.insight.engine import Engine
from laotie.insight.funnel import fans_won
from laotie.insight.identities import Level, decompose
from laotie.insight.model import Definition, Tables, Unit, Words
from laotie.insight.terms import GmvKind

GoalId = NewType("GoalId", UUID)

OPEN_MAX = 100
"""Goals that one may have at once; those dropped do not count."""
NOTE_LENGTH_MAX = 200
DAYS_MAX = 731


class GoalMeasure(StrEnum):
    """What is to be reached. Amounts are net GMV."""

    gmv = "gmv"
    buyers = "buyers"
    fans = "fans"
    watch = "watch"
    """Hours of watch time."""
    partners = "partners"
    """Shops whose GMV reached a threshold; the platform's alone."""


OF_MONEY = frozenset({GoalMeasure.gmv, GoalMeasure.partners})


class GoalState(StrEnum):
    """How a goal stands. Ahead and behind are measured against an even pace through its days."""

    planned = "planned"
    ahead = "ahead"
    behind = "behind"
    reached = "reached"
    missed = "missed"


class GoalRefused(Invalid, code="goal-refused"):
    """The goal does not fit together."""

    reason: str


class GoalChangedMeanwhile(Conflict, code="goal-changed"):
    """Somebody has changed the goal meanwhile."""

    version: int


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be reached from `since_on` to the day before `until_on`."""

    id: GoalId
    level: Level
    of_id: UUID | None
    measure: GoalMeasure
    target: int
    """Minor units, people, hours or shops, as the measure counts."""
    threshold_amount: int | None
    currency: str | None
    since_on: date
    until_on: date
    note: str
    version: int
    made_by: AccountId
    made_at: datetime
    changed_at: datetime


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a goal is. `due`: where an even pace would be by now; `expected`: where the pace so far would end."""

    value: int
    due: int
    expected: int | None
    state: GoalState
    days: int
    days_over: int


async def make_goal(tx: Tx, goal: Goal) -> Goal:
    """Write a goal down under the client's id; the same again is the same goal."""
    check(goal)
    count = await tx.one(
        int,
        "SELECT count(*) FROM insight.goal WHERE level = %(level)s AND of_id IS NOT DISTINCT FROM %(of_id)s AND dropped_at IS NULL",
        level=goal.level,
        of_id=goal.of_id,
    )
    if count >= OPEN_MAX:
        raise GoalRefused(reason="too-many")
    made = await tx.maybe(
        Goal,
        """
        INSERT INTO insight.goal (id, level, of_id, measure, target, threshold_amount, currency, since_on, until_on, note,
                                  made_by, made_at, changed_at)
        VALUES (%(id)s, %(level)s, %(of_id)s, %(measure)s, %(target)s, %(threshold_amount)s, %(currency)s, %(since_on)s,
                %(until_on)s, %(note)s, %(made_by)s, %(now)s, %(now)s)
        ON CONFLICT (id) DO NOTHING
        RETURNING id, level, of_id, measure, target, threshold_amount, currency, since_on, until_on, note, version, made_by,
                  made_at, changed_at
        """,
        now=tx.now,
        **msgspec.structs.asdict(goal),
    )
    if made is not None:
        return made
    known = await find_goal(tx, goal.level, goal.of_id, goal.id)
    if known is None or _said(known) != _said(goal):
        raise IdReused()
    return known


async def change_goal(tx: Tx, goal: Goal) -> Goal:
    """Write a new version of a goal. `goal.version` is the one that was read; refuses when that is no longer the newest."""
    check(goal)
    changed = await tx.maybe(
        Goal,
        """
        UPDATE insight.goal
        SET target = %(target)s, threshold_amount = %(threshold_amount)s, since_on = %(since_on)s, until_on = %(until_on)s,
            note = %(note)s, version = version + 1, changed_at = %(now)s
        WHERE id = %(id)s AND level = %(level)s AND of_id IS NOT DISTINCT FROM %(of_id)s AND dropped_at IS NULL
          AND version = %(version)s
        RETURNING id, level, of_id, measure, target, threshold_amount, currency, since_on, until_on, note, version, made_by,
                  made_at, changed_at
        """,
        now=tx.now,
        **msgspec.structs.asdict(goal),
    )
    if changed is None:
        known = await find_goal(tx, goal.level, goal.of_id, goal.id)
        raise GoalChangedMeanwhile(version=known.version if known is not None else 0)
    return changed


async def drop_goal(tx: Tx, level: Level, of_id: UUID | None, goal_id: GoalId) -> bool:
    """Give a goal up; it is kept, but listed no more. False when there is none."""
    dropped = await tx.run(
        """
        UPDATE insight.goal SET dropped_at = %(now)s, changed_at = %(now)s
        WHERE id = %(goal_id)s AND level = %(level)s AND of_id IS NOT DISTINCT FROM %(of_id)s AND dropped_at IS NULL
        """,
        now=tx.now,
        goal_id=goal_id,
        level=level,
        of_id=of_id,
    )
    return dropped == 1


async def find_goal(tx: Tx, level: Level, of_id: UUID | None, goal_id: GoalId) -> Goal | None:
    """One goal of the platform, of a shop, of a streamer."""
    return await tx.maybe(
        Goal,
        """
        SELECT id, level, of_id, measure, target, threshold_amount, currency, since_on, until_on, note, version, made_by, made_at,
               changed_at
        FROM insight.goal
        WHERE id = %(goal_id)s AND level = %(level)s AND of_id IS NOT DISTINCT FROM %(of_id)s AND dropped_at IS NULL
        """,
        goal_id=goal_id,
        level=level,
        of_id=of_id,
    )


async def list_goals(tx: Tx, level: Level, of_id: UUID | None) -> list[Goal]:
    """Goals that were not dropped, those that end last first."""
    return await tx.all(
        Goal,
        """
        SELECT id, level, of_id, measure, target, threshold_amount, currency, since_on, until_on, note, version, made_by, made_at,
               changed_at
        FROM insight.goal
        WHERE level = %(level)s AND of_id IS NOT DISTINCT FROM %(of_id)s AND dropped_at IS NULL
        ORDER BY until_on DESC, id DESC LIMIT %(limit)s
        """,
        level=level,
        of_id=of_id,
        limit=OPEN_MAX,
    )


def check(goal: Goal) -> None:
    """Refuse what does not fit together."""
    if not 0 < (goal.until_on - goal.since_on).days <= DAYS_MAX:
        raise GoalRefused(reason="days")
    if (goal.measure is GoalMeasure.partners) != (goal.threshold_amount is not None):
        raise GoalRefused(reason="threshold")
    if goal.measure is GoalMeasure.partners and goal.level is not Level.platform:
        raise GoalRefused(reason="level")
    if (goal.measure in OF_MONEY) != (goal.currency is not None):
        raise GoalRefused(reason="currency")


def measure_goal(engine: Engine, tables: Tables, goal: Goal, *, streamers: Sequence[UUID] | None = None) -> int:
    """What the goal's measure comes to over its days. `streamers`: whose fans count (unset: anybody's)."""
    days = {"since": goal.since_on, "until": goal.until_on}
    if goal.measure is GoalMeasure.fans:
        won = fans_won(tables["follow"], tables["person"], streamers=streamers, **days)
        return int(engine.run(won).to_pylist()[0]["fans"] or 0)
    by = ("shop_id",) if goal.measure is GoalMeasure.partners else ()
    rows = engine.run(
        decompose(
            tables["viewer_days"], tables["order_days"], level=goal.level, of=goal.of_id, kind=GmvKind.net, by=by, **days
        )
    ).to_pylist()
    match goal.measure:
        case GoalMeasure.gmv:
            return sum(row["gmv"] for row in rows if row["currency"] == goal.currency)
        case GoalMeasure.buyers:
            return max((row["buyers"] for row in rows), default=0)
        case GoalMeasure.watch:
            return max((row["watch_us"] or 0 for row in rows), default=0) // 3_600_000_000
        case _:
            assert goal.threshold_amount is not None
            return sum(row["gmv"] >= goal.threshold_amount for row in rows if row["currency"] == goal.currency)


def judge(goal: Goal, value: int, today: date) -> Progress:
    """How a goal stands when its measure has come to `value` and `today` has begun: whole days that are over count."""
    days = (goal.until_on - goal.since_on).days
    over = min(max((today - goal.since_on).days, 0), days)
    due = goal.target * over // days
    if value >= goal.target:
        state = GoalState.reached
    elif over == days:
        state = GoalState.missed
    elif today < goal.since_on:
        state = GoalState.planned
    else:
        state = GoalState.ahead if value >= due else GoalState.behind
    return Progress(
        value=value, due=due, expected=value * days // over if over else None, state=state, days=days, days_over=over
    )


def _said(goal: Goal) -> tuple[object, ...]:
    return (
        goal.level, goal.of_id, goal.measure, goal.target, goal.threshold_amount, goal.currency, goal.since_on,
        goal.until_on, goal.note,
    )  # fmt: skip


DEFINITIONS = (
    Definition(
        key="goal",
        name=Words("目标进度", "Progress of a goal"),
        about=Words(
            "目标所选指标在目标天数内的数值,除以目标值;净 GMV、买家、沉淀粉丝、观看小时,或净 GMV 达到门槛的店铺数(平台)。",
            "What the goal's measure came to over the goal's days, divided by its target: net GMV, buyers, fans won, hours"
            " watched, or (the platform's) shops whose net GMV reached a threshold.",
        ),
        unit=Unit.share,
        formula="value / target",
        terms=("gmv_net", "buyers", "fans_won", "watch"),
    ),
    Definition(
        key="pace",
        name=Words("应达进度", "Pace"),
        about=Words(
            "按天数匀速,到今天为止(只算已过完的整天)应达到的数值;照目前速度的期末预计为当前数值除以已过天数乘以总天数。",
            "Where an even pace through the days would be by now (whole days that are over). What is expected at the end is the"
            " value so far divided by the days over, times all days.",
        ),
        unit=Unit.ratio,
        formula="target × days over / days",
        terms=("goal",),
    ),
)

MEASURES = ()
