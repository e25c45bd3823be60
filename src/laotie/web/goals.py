"""Goals over HTTP: what the platform, a shop or a streamer means to reach, and how far they are by now."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, delete, get, patch, post
from msgspec import Meta

from laotie import identity
from laotie.base import money
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, ShopId
from laotie.base.money import AMOUNT_MAX, Currency
from laotie.base.refusals import NotFound
from laotie.base.settings import Settings
from laotie.identity import Actor, Scope
from laotie.insight import Engine, definitions, goals
from laotie.insight.goals import Goal, GoalId, GoalMeasure, GoalState
from laotie.insight.identities import Level
from laotie.web.figures import figures
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.house import House
from laotie.web.insight_asked import Asked, InLevel, InOf, admit, find_today, who_enters
from laotie.web.insight_exports import FigureForm, InFigureForm, give
from laotie.web.insight_growth import LevelRefused, streamers_of

Target = Annotated[int, Meta(ge=1, le=AMOUNT_MAX, description="Minor units, people, hours or shops, as the measure counts.")]
Threshold = Annotated[int, Meta(ge=1, le=AMOUNT_MAX, description="Minor units of net GMV that a shop must reach to count.")]
GoalNote = Annotated[str, Meta(max_length=goals.NOTE_LENGTH_MAX)]


class NewGoal(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A goal under the client's own id, for the days from `since` to the day before `until`."""

    id: GoalId
    measure: GoalMeasure
    target: Target
    threshold_amount: Threshold | None = None
    currency: Currency | None = None
    since: date
    until: date
    note: GoalNote = ""


class GoalChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a goal is to be from now on; `version` is the one that was read."""

    version: int
    target: Target
    threshold_amount: Threshold | None = None
    since: date
    until: date
    note: GoalNote = ""


class GoalView(msgspec.Struct, frozen=True, kw_only=True):
    """A goal, and how far it is. `due`: where an even pace would be by now; `expected`: where the pace so far would end
    (null before the first day is over).
    """

    id: GoalId
    measure: GoalMeasure
    target: int
    threshold_amount: int | None
    currency: str | None
    since: date
    until: date
    note: str
    version: int
    state: GoalState
    value: int
    share: float
    due: int
    expected: int | None
    days: int
    days_over: int
    made_by: AccountId
    changed_at: datetime


class GoalList(msgspec.Struct, frozen=True, kw_only=True):
    """Goals that were not dropped, those that end last first."""

    level: Level
    of: UUID | None
    zone: str
    today: date
    as_of: datetime
    items: list[GoalView]


@get("/api/insight/goals")
async def list_goals(
    actor: Given[Actor], db: Given[Database], house: Given[House], settings: Given[Settings], level: InLevel,
    of: InOf = None, form: InFigureForm = FigureForm.json,
) -> Response[GoalList]:  # fmt: skip
    """Goals and how far they are, by the measures that pages show."""
    asked = await _whose(db, actor, level, of, settings)
    async with db.read() as tx:
        found = await goals.list_goals(tx, asked.level, asked.of)
    views, as_of = await _measure(house, db, settings, asked, found)
    answer = GoalList(
        level=asked.level, of=asked.of, zone=settings.books_zone, today=find_today(db.clock, settings), as_of=as_of, items=views
    )
    return give(form, answer, views, GoalView, name=f"goals-{level}")


@post("/api/insight/goals")
async def make_goal(
    data: JSONBody[NewGoal], actor: Given[Actor], db: Given[Database], house: Given[House], settings: Given[Settings],
    level: InLevel, of: InOf = None,
) -> GoalView:  # fmt: skip
    """Write a goal down. The same again is the same goal."""
    asked = await _whose(db, actor, level, of, settings)
    if data.currency is not None:
        money.exponent(data.currency)
    now = db.clock.now()
    goal = Goal(
        id=data.id, level=asked.level, of_id=asked.of, measure=data.measure, target=data.target,
        threshold_amount=data.threshold_amount, currency=data.currency, since_on=data.since, until_on=data.until,
        note=data.note, version=1, made_by=who_enters(actor), made_at=now, changed_at=now,
    )  # fmt: skip
    async with db.tx() as tx:
        await _may_set(tx, actor, asked)
        made = await goals.make_goal(tx, goal)
        if made.made_at == tx.now:
            await identity.record(
                tx, actor, "insight.goal_made", subject=str(made.id), level=level, of=str(asked.of), measure=made.measure,
                target=made.target,
            )  # fmt: skip
    return (await _measure(house, db, settings, asked, [made]))[0][0]


@patch("/api/insight/goals/{goal_id:uuid}")
async def change_goal(
    goal_id: FromPath[UUID], data: JSONBody[GoalChange], actor: Given[Actor], db: Given[Database],
    house: Given[House], settings: Given[Settings], level: InLevel, of: InOf = None,
) -> GoalView:  # fmt: skip
    """Change a goal's target, days, threshold or note; what it measures stays. The audit log keeps what it was."""
    asked = await _whose(db, actor, level, of, settings)
    async with db.tx() as tx:
        await _may_set(tx, actor, asked)
        old = await goals.find_goal(tx, asked.level, asked.of, GoalId(goal_id))
        if old is None:
            raise NotFound()
        new = msgspec.structs.replace(
            old, version=data.version, target=data.target, threshold_amount=data.threshold_amount, since_on=data.since,
            until_on=data.until, note=data.note,
        )  # fmt: skip
        changed = await goals.change_goal(tx, new)
        await identity.record(
            tx, actor, "insight.goal_changed", subject=str(goal_id),
            before={"target": old.target, "since": str(old.since_on), "until": str(old.until_on)},
            after={"target": new.target, "since": str(new.since_on), "until": str(new.until_on)},
        )  # fmt: skip
    return (await _measure(house, db, settings, asked, [changed]))[0][0]


@delete("/api/insight/goals/{goal_id:uuid}", status_code=204)
async def drop_goal(
    goal_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], settings: Given[Settings], level: InLevel,
    of: InOf = None,
) -> None:  # fmt: skip
    """Give a goal up."""
    asked = await _whose(db, actor, level, of, settings)
    async with db.tx() as tx:
        await _may_set(tx, actor, asked)
        if not await goals.drop_goal(tx, asked.level, asked.of, GoalId(goal_id)):
            raise NotFound()
        await identity.record(tx, actor, "insight.goal_dropped", subject=str(goal_id))


async def _whose(db: Database, actor: Actor, level: Level, of: UUID | None, settings: Settings) -> Asked:
    if level is Level.show:
        raise LevelRefused(level=level)
    return await admit(db, actor, level, of, zone=settings.books_zone)


async def _may_set(tx: Tx, actor: Actor, asked: Asked) -> None:
    """Operators see everybody's goals; they set the platform's alone."""
    if asked.level is Level.shop and asked.of is not None:
        await identity.require_seat(tx, actor, ShopId(asked.of), Scope.orders)
    elif asked.level is Level.streamer and asked.of != actor.signed_in():
        raise NotFound()


async def _measure(
    house: House, db: Database, settings: Settings, asked: Asked, found: list[Goal]
) -> tuple[list[GoalView], datetime]:
    """What each goal's measure came to. Goals that have not begun ask nothing of the lake."""
    today = find_today(db.clock, settings)
    begun = [goal for goal in found if goal.since_on <= today]
    values: dict[GoalId, int] = {}
    as_of = None
    if begun:
        streamers = await streamers_of(db, asked)

        def ask(engine: Engine) -> dict[GoalId, int]:
            return {
                goal.id: goals.measure_goal(
                    engine, definitions.Computed(engine, goal.since_on, goal.until_on), goal, streamers=streamers
                )
                for goal in begun
            }

        values, as_of = await figures(house).run(ask)
    views = [_view(goal, values.get(goal.id, 0), today) for goal in found]
    return views, as_of or await figures(house).as_of()


def _view(goal: Goal, value: int, today: date) -> GoalView:
    progress = goals.judge(goal, value, today)
    return GoalView(
        id=goal.id, measure=goal.measure, target=goal.target, threshold_amount=goal.threshold_amount, currency=goal.currency,
        since=goal.since_on, until=goal.until_on, note=goal.note, version=goal.version, state=progress.state,
        value=progress.value, share=progress.value / goal.target, due=progress.due, expected=progress.expected,
        days=progress.days, days_over=progress.days_over, made_by=goal.made_by, changed_at=goal.changed_at,
    )  # fmt: skip


ROUTES = [list_goals, make_goal, change_goal, drop_goal]
