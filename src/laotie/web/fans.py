"""Following over HTTP. Guests may follow too; what they follow becomes the account's when they sign in."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import delete, get, put

from laotie import fans, live, traffic
from laotie.base.db import Database
from laotie.base.entry import Source
from laotie.base.ids import AccountId, ViewerId
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
    return Page(items=[FollowView(people[one.streamer_id], one.since, one.source) for one in follows])


def _recognised(actor: Actor) -> ViewerId:
    """A viewer who will be the same one next time, or `Unauthenticated`."""
    if actor.account_id is None and not actor.is_known_guest:
        raise Unauthenticated()
    return actor.viewer_id


ROUTES = [follow, unfollow, list_follows]
