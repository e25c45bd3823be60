"""Following over HTTP. Guests may follow too; what they follow becomes the account's when they sign in."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import delete, get, patch, put

from laotie import fans, live, traffic
from laotie.base.db import Database
from laotie.base.entry import Source
from laotie.base.ids import AccountId, ShowId, ViewerId
from laotie.base.refusals import Unauthenticated
from laotie.base.signer import Signer
from laotie.identity import Actor
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.paging import Page


class FollowAsk(msgspec.Struct, forbid_unknown_fields=True):
    """The visit in which the follow happens, so that it is credited to where the viewer came from."""

    visit: Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)] | None = None


class FollowView(msgspec.Struct):
    """Somebody I follow."""

    streamer: live.Person
    since: datetime
    source: Source
    notify: bool


class FollowChange(msgspec.Struct, forbid_unknown_fields=True):
    """Whether I hear that they go live."""

    notify: bool


class ReminderView(msgspec.Struct):
    """A show that I am reminded of, and since when."""

    show_id: ShowId
    asked_at: datetime


@put("/api/follows/{streamer_id:uuid}", status_code=204)
async def follow(
    streamer_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
    data: JSONBody[FollowAsk | None] = None,
) -> None:
    """Follow a streamer. Following again changes nothing."""
    viewer_id, followed_id = _recognised(actor), AccountId(streamer_id)
    async with db.tx() as tx:
        visit = None
        if data is not None and data.visit is not None:
            visit = await traffic.trace_visit(tx, signer, actor, data.visit, streamer_id=followed_id)
        await fans.follow(tx, viewer_id, followed_id, visit=visit)


@delete("/api/follows/{streamer_id:uuid}", status_code=204)
async def unfollow(streamer_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> None:
    """Follow a streamer no longer."""
    async with db.tx() as tx:
        await fans.unfollow(tx, _recognised(actor), AccountId(streamer_id))


@get("/api/me/follows")
async def list_follows(actor: Given[Actor], db: Given[Database]) -> Page[FollowView]:
    """Everybody I follow, the latest first."""
    async with db.read() as tx:
        follows = await fans.list_follows(tx, actor.viewer_id)
        people = await live.find_people(tx, [one.streamer_id for one in follows])
    return Page(items=[FollowView(people[one.streamer_id], one.since, one.source, one.notify) for one in follows])


@patch("/api/follows/{streamer_id:uuid}", status_code=204)
async def change_follow(
    streamer_id: FromPath[UUID], data: JSONBody[FollowChange], actor: Given[Actor], db: Given[Database]
) -> None:
    """Hear of this streamer's starts, or not."""
    async with db.tx() as tx:
        await fans.set_notify(tx, _recognised(actor), AccountId(streamer_id), notify=data.notify)


@put("/api/shows/{show_id:uuid}/reminder", status_code=204)
async def set_reminder(show_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> None:
    """Remind me ten minutes before the show and when it starts, and tell me when it moves or is called off."""
    async with db.tx() as tx:
        show = await live.get_show(tx, ShowId(show_id))
        await fans.remind(tx, _recognised(actor), show.id)


@delete("/api/shows/{show_id:uuid}/reminder", status_code=204)
async def remove_reminder(show_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> None:
    """Remind me of this show no more."""
    async with db.tx() as tx:
        await fans.forget_reminder(tx, _recognised(actor), ShowId(show_id))


@get("/api/me/reminders")
async def list_reminders(actor: Given[Actor], db: Given[Database]) -> Page[ReminderView]:
    """The shows that I am reminded of, the latest wish first."""
    async with db.read() as tx:
        found = await fans.list_reminders(tx, actor.viewer_id)
    return Page(items=[ReminderView(one.show_id, one.asked_at) for one in found])


def _recognised(actor: Actor) -> ViewerId:
    """A viewer who will be the same one next time, or `Unauthenticated`."""
    if actor.account_id is None and not actor.is_known_guest:
        raise Unauthenticated()
    return actor.viewer_id


ROUTES = [follow, unfollow, change_follow, list_follows, set_reminder, remove_reminder, list_reminders]
