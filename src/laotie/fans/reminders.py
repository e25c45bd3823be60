"""Reminders: who wants to hear of a planned show, who of every start, and telling them in time.

What fans know of shows they have from the news (`planned_show`, by version, so late news changes nothing). The timer
and the news only decide that something is to be told; telling goes through a job in chunks, each telling and asking for
the next in one transaction. A viewer hears each thing once, whatever is repeated: `messages` keeps that promise.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import msgspec

from laotie import identity, messages
from laotie.base import jobs
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, ShowId, ViewerId
from laotie.base.refusals import Conflict, NotFound
from laotie.events.live import ShowChanged, ShowEnded, ShowScheduled, ShowStarted

SOON = timedelta(minutes=10)
SHOWS_AT_ONCE_MAX = 100
REMINDERS_MAX = 200
REMINDERS_KEPT = timedelta(days=1)
"""After a show's end, so that what is still being told finds its people."""
TELL_TASK = "fans.tell"
LOWEST = UUID(int=0)


class ShowNotPlanned(Conflict, code="show-not-planned"):
    """The show has begun or is over; there is nothing to be reminded of."""


class RemindersFull(Conflict, code="reminders-full"):
    """You have as many reminders as one may; remove one first."""

    count_max: int


class Reminder(msgspec.Struct, frozen=True):
    """A viewer wants to hear of this show."""

    show_id: ShowId
    asked_at: datetime


class _Planned(msgspec.Struct, frozen=True):
    show_id: ShowId
    streamer_id: AccountId
    title: str
    planned_at: datetime | None
    state: str
    version: int


async def remind(tx: Tx, viewer_id: ViewerId, show_id: ShowId) -> None:
    """Tell this viewer ten minutes before the show and when it starts, moves or is called off.

    The caller has found that the show exists. Refuses `ShowNotPlanned`, `RemindersFull`.
    """
    state = await tx.maybe(str, "SELECT state FROM fans.planned_show WHERE show_id = %(id)s FOR SHARE", id=show_id)
    if state not in (None, "scheduled"):
        raise ShowNotPlanned()
    await tx.run(
        """
        INSERT INTO fans.reminder (show_id, viewer_id, asked_at) VALUES (%(show_id)s, %(viewer_id)s, %(now)s)
        ON CONFLICT DO NOTHING
        """,
        show_id=show_id,
        viewer_id=viewer_id,
        now=tx.now,
    )
    if len(await list_reminders(tx, viewer_id)) > REMINDERS_MAX:
        raise RemindersFull(count_max=REMINDERS_MAX)


async def forget_reminder(tx: Tx, viewer_id: ViewerId, show_id: ShowId) -> None:
    """No reminder of this show any more."""
    await tx.run(
        "DELETE FROM fans.reminder WHERE show_id = %(show_id)s AND viewer_id = %(viewer_id)s",
        show_id=show_id,
        viewer_id=viewer_id,
    )


async def list_reminders(tx: Tx, viewer_id: ViewerId) -> list[Reminder]:
    """What a viewer wants to be reminded of, the latest wish first."""
    return await tx.all(
        Reminder,
        """
        SELECT show_id, asked_at FROM fans.reminder WHERE viewer_id = %(viewer_id)s
        ORDER BY asked_at DESC, show_id LIMIT %(limit)s
        """,
        viewer_id=viewer_id,
        limit=REMINDERS_MAX + 1,
    )


async def count_reminders(tx: Tx, show_id: ShowId) -> int:
    """How many wait for this show."""
    return await tx.one(int, "SELECT count(*) FROM fans.reminder WHERE show_id = %(id)s", id=show_id)


async def set_notify(tx: Tx, viewer_id: ViewerId, streamer_id: AccountId, *, notify: bool) -> None:
    """Whether this follower hears of the streamer's starts. Refuses `NotFound` for who does not follow."""
    if not await tx.run(
        """
        UPDATE fans.follow SET notify = %(notify)s
        WHERE viewer_id = %(viewer_id)s AND streamer_id = %(streamer_id)s
        """,
        viewer_id=viewer_id,
        streamer_id=streamer_id,
        notify=notify,
    ):
        raise NotFound()


# What the news brings.


async def plan(tx: Tx, event: ShowScheduled) -> None:
    """A show to keep in mind."""
    await tx.run(
        """
        INSERT INTO fans.planned_show (show_id, streamer_id, title, planned_at, state, version)
        VALUES (%(show_id)s, %(streamer_id)s, %(title)s, %(planned_at)s, 'scheduled', 1) ON CONFLICT DO NOTHING
        """,
        show_id=event.show_id,
        streamer_id=event.streamer_id,
        title=event.title,
        planned_at=event.planned_at,
    )


async def change_plan(tx: Tx, event: ShowChanged) -> None:
    """A show has another name or time; who waits for it hears of the time."""
    if event.streamer_id is None:
        return
    before = await _hold(tx, event.show_id)
    if before is not None and before.version >= event.version:
        return
    now = _Planned(
        event.show_id,
        event.streamer_id,
        event.title,
        event.planned_at,
        before.state if before is not None else "scheduled",
        event.version,
    )
    await _keep(tx, now)
    if before is not None and before.state == "scheduled" and before.planned_at != now.planned_at:
        was = before.planned_at.isoformat() if before.planned_at else None
        await _spread(tx, now, "show_moved", once=tx.cause, was=was)


async def begin(tx: Tx, event: ShowStarted) -> None:
    """A show started: who asked for it and who follows (and wants to) hear of it."""
    before = await _hold(tx, event.show_id)
    if before is not None and before.version >= event.version:
        return
    planned_at = before.planned_at if before is not None else None
    now = _Planned(event.show_id, event.streamer_id, event.title, planned_at, "live", event.version)
    await _keep(tx, now)
    await _spread(tx, now, "show_started", followers=True)


async def finish(tx: Tx, event: ShowEnded) -> None:
    """A show is over; if it never began, who waits for it hears that it will not."""
    before = await _hold(tx, event.show_id)
    if before is None or before.version >= event.version:
        return
    now = msgspec.structs.replace(before, state="ended", version=event.version)
    await _keep(tx, now, ended_at=event.at)
    if event.started_at is None:
        await _spread(tx, now, "show_called_off")


async def _hold(tx: Tx, show_id: ShowId) -> _Planned | None:
    return await tx.maybe(
        _Planned,
        """
        SELECT show_id, streamer_id, title, planned_at, state, version FROM fans.planned_show
        WHERE show_id = %(id)s FOR UPDATE
        """,
        id=show_id,
    )


async def _keep(tx: Tx, show: _Planned, *, ended_at: datetime | None = None) -> None:
    await tx.run(
        """
        INSERT INTO fans.planned_show AS p (show_id, streamer_id, title, planned_at, state, ended_at, version)
        VALUES (%(show_id)s, %(streamer_id)s, %(title)s, %(planned_at)s, %(state)s, %(ended_at)s, %(version)s)
        ON CONFLICT (show_id) DO UPDATE
        SET title = excluded.title, planned_at = excluded.planned_at, state = excluded.state,
            ended_at = excluded.ended_at, version = excluded.version
        WHERE p.version < excluded.version
        """,
        show_id=show.show_id,
        streamer_id=show.streamer_id,
        title=show.title,
        planned_at=show.planned_at,
        state=show.state,
        ended_at=ended_at,
        version=show.version,
    )


# The timer.


async def tell_soon(db: Database) -> int:
    """Have those told who wait for shows that begin within `SOON`; returns how many shows. Safe in any number of workers.

    A plan is told once, a new plan again; a plan that passed while nobody worked is not told any more.
    """
    async with db.tx() as tx:
        due = await tx.all(
            _Planned,
            """
            UPDATE fans.planned_show SET soon_told_for = planned_at
            WHERE show_id IN (
                SELECT show_id FROM fans.planned_show
                WHERE state = 'scheduled' AND planned_at > %(now)s AND planned_at <= %(soon)s
                  AND soon_told_for IS DISTINCT FROM planned_at
                ORDER BY planned_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
            )
            RETURNING show_id, streamer_id, title, planned_at, state, version
            """,
            now=tx.now,
            soon=tx.now + SOON,
            limit=SHOWS_AT_ONCE_MAX,
        )
        for show in due:
            await _spread(tx, show, "show_soon")
        return len(due)


async def sweep_reminders(tx: Tx) -> int:
    """Forget shows that ended a while ago, and who waited for them; how many."""
    return await tx.one(
        int,
        """
        WITH over AS (
            DELETE FROM fans.planned_show WHERE show_id IN (
                SELECT show_id FROM fans.planned_show WHERE ended_at < %(before)s LIMIT %(limit)s
            ) RETURNING show_id
        ), forgotten AS (
            DELETE FROM fans.reminder USING over WHERE reminder.show_id = over.show_id
        )
        SELECT count(*) FROM over
        """,
        before=tx.now - REMINDERS_KEPT,
        limit=SHOWS_AT_ONCE_MAX,
    )


# Telling.


async def _spread(
    tx: Tx,
    show: _Planned,
    kind: str,
    *,
    once: UUID | None = None,
    followers: bool = False,
    was: str | None = None,
) -> None:
    """Have this told to everybody concerned, by a job of the same commit."""
    profiles = await identity.find_profiles(tx, [show.streamer_id])
    planned_at = show.planned_at.isoformat() if show.planned_at else None
    facts: dict[str, Any] = {
        "title": show.title,
        "streamer": profiles[show.streamer_id].name if show.streamer_id in profiles else "",
        "planned_at": planned_at,
    }
    if kind == "show_moved":
        facts["was"] = was
    live = kind == "show_started"
    await _next_chunk(
        tx,
        _Chunk(
            show_id=show.show_id,
            kind=kind,
            facts=facts,
            link=f"/shows/{show.show_id}" if live else f"/streamers/{show.streamer_id}",
            once=once or uuid5(show.show_id, f"{kind} {planned_at if kind == 'show_soon' else ''}"),
            followers_of=show.streamer_id if followers else None,
        ),
    )


class _Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """What to tell, and after which viewer to go on: first those who asked, then the followers."""

    show_id: ShowId
    kind: str
    facts: dict[str, Any]
    link: str
    once: UUID
    followers_of: AccountId | None
    among_followers: bool = False
    after: UUID = LOWEST


async def _next_chunk(tx: Tx, chunk: _Chunk) -> None:
    await jobs.defer(tx, TELL_TASK, {"chunk": msgspec.to_builtins(chunk)})


@jobs.task(TELL_TASK)
async def tell_chunk(context: jobs.Context, *, chunk: dict[str, Any]) -> None:
    """Tell the next viewers, and ask for the rest."""
    asked = msgspec.convert(chunk, _Chunk)
    async with context.db.tx() as tx:
        viewers = await (_list_followers if asked.among_followers else _list_waiting)(tx, asked)
        await messages.notify_many(tx, viewers, asked.kind, asked.facts, asked.link, once=asked.once)
        if len(viewers) == messages.VIEWERS_AT_ONCE_MAX:
            await _next_chunk(tx, msgspec.structs.replace(asked, after=viewers[-1]))
        elif asked.followers_of is not None and not asked.among_followers:
            await _next_chunk(tx, msgspec.structs.replace(asked, among_followers=True, after=LOWEST))


async def _list_waiting(tx: Tx, chunk: _Chunk) -> list[ViewerId]:
    return await tx.all(
        ViewerId,
        """
        SELECT viewer_id FROM fans.reminder WHERE show_id = %(show_id)s AND viewer_id > %(after)s
        ORDER BY viewer_id LIMIT %(limit)s
        """,
        show_id=chunk.show_id,
        after=chunk.after,
        limit=messages.VIEWERS_AT_ONCE_MAX,
    )


async def _list_followers(tx: Tx, chunk: _Chunk) -> list[ViewerId]:
    return await tx.all(
        ViewerId,
        """
        SELECT viewer_id FROM fans.follow WHERE streamer_id = %(streamer_id)s AND viewer_id > %(after)s AND notify
        ORDER BY viewer_id LIMIT %(limit)s
        """,
        streamer_id=chunk.followers_of,
        after=chunk.after,
        limit=messages.VIEWERS_AT_ONCE_MAX,
    )


# People come together, or leave.


async def merge_reminders(tx: Tx, guest_id: ViewerId, account_id: AccountId) -> None:
    """What the guest wanted to be reminded of, the account is."""
    await tx.run(
        """
        WITH brought AS (
            DELETE FROM fans.reminder WHERE viewer_id = %(guest_id)s RETURNING show_id, asked_at
        )
        INSERT INTO fans.reminder (show_id, viewer_id, asked_at)
        SELECT show_id, %(account_id)s, asked_at FROM brought ON CONFLICT DO NOTHING
        """,
        guest_id=guest_id,
        account_id=account_id,
    )


async def erase_reminders(tx: Tx, account_id: AccountId) -> None:
    """A person left."""
    await tx.run("DELETE FROM fans.reminder WHERE viewer_id = %(id)s", id=account_id)
