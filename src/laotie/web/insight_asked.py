"""What a question about figures says: whose, and of which days. And who may ask it."""

from datetime import date, datetime, timedelta
from typing import Annotated, Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from litestar.params import QueryParameter

from laotie import identity, live
from laotie.base.clock import Clock
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, ShopId, ShowId
from laotie.base.refusals import Forbidden, Invalid, NotFound
from laotie.base.settings import Settings
from laotie.identity import Actor, Role, Scope
from laotie.insight.identities import Level

DAYS_MAX = 1_100
"""Three years."""
DAYS_USUAL = 30


class PeriodRefused(Invalid, code="period-refused"):
    """`until` is the day after the last one, so it is later than `since`; three years at most."""

    days_max: int


InLevel = Annotated[Level, QueryParameter(name="level", description="Whose figures: a show's, a streamer's, a shop's, or all.")]
InOf = Annotated[
    UUID | None,
    QueryParameter(name="of", description="The show or shop; a streamer's own account, which may be left out."),
]
InSince = Annotated[
    date | None, QueryParameter(name="since", description="First day, in the books' zone. Usually thirty days; a show's first.")
]
InUntil = Annotated[date | None, QueryParameter(name="until", description="The day after the last one. Usually tomorrow.")]


class Days(NamedTuple):
    """From `since` to the day before `until`, in the books' zone."""

    since: date
    until: date


class Asked(NamedTuple):
    """Whose figures, and, for a show, the day it began."""

    level: Level
    of: UUID | None
    began_on: date | None = None

    def days(self, since: date | None, until: date | None, *, now: datetime, zone: str) -> Days:
        """The days that are meant, or `PeriodRefused`."""
        until = until or now.astimezone(ZoneInfo(zone)).date() + timedelta(days=1)
        since = since or self.began_on or until - timedelta(days=DAYS_USUAL)
        if not 0 < (until - since).days <= DAYS_MAX:
            raise PeriodRefused(days_max=DAYS_MAX)
        return Days(since, until)


class FigureAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer is about, from `since` to the day before `until`. `as_of`: everything before is counted."""

    level: Level
    of: UUID | None
    since: date
    until: date
    zone: str
    as_of: datetime


def about(asked: Asked, days: Days, settings: Settings, as_of: datetime) -> dict[str, Any]:
    """The fields of `FigureAnswer`."""
    return {
        "level": asked.level, "of": asked.of, "since": days.since, "until": days.until, "zone": settings.books_zone, "as_of": as_of,
    }  # fmt: skip


def find_today(clock: Clock, settings: Settings) -> date:
    """The day that it is in the books' zone."""
    return clock.now().astimezone(ZoneInfo(settings.books_zone)).date()


def share_of(part: int, whole: int) -> float | None:
    """A part of a whole; of nothing there is none."""
    return part / whole if whole else None


async def admit(db: Database, actor: Actor, level: Level, of: UUID | None, *, zone: str) -> Asked:
    """Whose figures the actor asks for, if they may see them.

    A shop's: a seat with the scope `orders`. A streamer's: that streamer. A show's: its streamer, or a seat at its shop
    with `orders` or `show`. The platform's: operators, who may see all of these too.
    """
    if level is Level.platform:
        actor.require_operator()
        return Asked(level, None)
    if level is Level.streamer:
        own = actor.seat_holder_id if Role.operator in actor.roles else actor.signed_in()
        if of not in (None, own) and Role.operator not in actor.roles:
            raise NotFound()
        return Asked(level, of or own)
    if of is None:
        raise NotFound()
    async with db.read() as tx:
        return await (_admit_show if level is Level.show else _admit_shop)(tx, actor, of, zone)


def who_enters(actor: Actor) -> AccountId:
    """Who enters what people know and no figure says. They were admitted, so they have a seat or are an operator."""
    assert actor.seat_holder_id is not None
    return actor.seat_holder_id


async def _admit_shop(tx: Tx, actor: Actor, of: UUID, _zone: str) -> Asked:
    if Role.operator not in actor.roles:
        await identity.require_seat(tx, actor, ShopId(of), Scope.orders)
    return Asked(Level.shop, of)


async def _admit_show(tx: Tx, actor: Actor, of: UUID, zone: str) -> Asked:
    show = await live.get_show(tx, ShowId(of))
    if Role.operator not in actor.roles and (actor.account_id is None or actor.account_id != show.streamer.id):
        try:
            await identity.require_seat(tx, actor, show.shop_id, Scope.orders)
        except Forbidden:
            await identity.require_seat(tx, actor, show.shop_id, Scope.show)
    began = show.started_at
    return Asked(Level.show, of, began.astimezone(ZoneInfo(zone)).date() if began else None)
