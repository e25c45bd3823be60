"""Order in a room over HTTP: moderators, rules, sanctions, what was said and what waits for review, and the log."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import delete, get, post, put

from laotie import live
from laotie.base.db import Database
from laotie.base.ids import AccountId, RoomId, ShowId, ViewerId
from laotie.identity import Actor
from laotie.live import (
    ChatRules,
    HeldSaying,
    ModerationEntry,
    Moderator,
    Right,
    RoomRules,
    SanctionDraft,
    SanctionKind,
    Target,
)
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page

Reason = Annotated[str, msgspec.Meta(max_length=200)]


class NewModerator(msgspec.Struct, forbid_unknown_fields=True):
    """Who keeps order, and how far they may go."""

    handle: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    rights: Annotated[list[Right], msgspec.Meta(min_length=1, max_length=10)]


class RulesChange(msgspec.Struct, forbid_unknown_fields=True):
    """The rules from now on, all of them; refused when they are no longer of the version that was seen."""

    rules: ChatRules
    expected_version: int | None = None


class Deletion(msgspec.Struct, forbid_unknown_fields=True):
    """Why something is taken back."""

    reason: Reason = ""


class Review(msgspec.Struct, forbid_unknown_fields=True):
    """What becomes of a text that waited."""

    approved: bool
    reason: Reason = ""


class SanctionView(msgspec.Struct, kw_only=True):
    """What is in force against somebody. Their address and device are not told."""

    id: UUID
    kind: SanctionKind
    target: Target
    viewer_id: ViewerId
    name: str
    reason: str
    for_show: bool
    everywhere: bool
    imposed_by: str
    imposed_at: datetime
    ends_at: datetime | None


class EntryView(msgspec.Struct, kw_only=True):
    """A line of the log, with names."""

    id: UUID
    at: datetime
    show_id: ShowId | None
    actor: str
    act: str
    whom_id: ViewerId | None
    whom: str
    reason: str
    detail: dict[str, object]


class Moderators(msgspec.Struct):
    """Who keeps order in a room, and what the asker may do there."""

    items: list[Moderator]
    rights: list[Right]


class Sanctions(msgspec.Struct):
    """What is in force in a show."""

    items: list[SanctionView]


class HeldSayings(msgspec.Struct):
    """What waits for review."""

    items: list[HeldSaying]


@get("/api/rooms/{room_id:uuid}/moderators")
async def list_moderators(room_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> Moderators:
    """Who keeps order in a room, for who does."""
    async with db.read() as tx:
        items = await live.list_moderators(tx, actor, RoomId(room_id))
        return Moderators(items, await live.list_rights(tx, actor, RoomId(room_id)))


@post("/api/rooms/{room_id:uuid}/moderators", status_code=201)
async def add_moderator(
    room_id: FromPath[UUID], data: JSONBody[NewModerator], actor: Given[Actor], db: Given[Database]
) -> Moderator:
    """Have somebody keep order in a room, or change how far they may go."""
    async with db.tx() as tx:
        return await live.add_moderator(tx, actor, RoomId(room_id), data.handle, data.rights)


@delete("/api/rooms/{room_id:uuid}/moderators/{account_id:uuid}", status_code=204)
async def remove_moderator(
    room_id: FromPath[UUID], account_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]
) -> None:
    """Take a moderator's rights back; one's own can always be laid down."""
    async with db.tx() as tx:
        await live.remove_moderator(tx, actor, RoomId(room_id), AccountId(account_id))


@get("/api/rooms/{room_id:uuid}/rules")
async def show_rules(room_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> RoomRules:
    """A room's rules with its word lists, for who keeps order there."""
    async with db.read() as tx:
        return await live.get_rules(tx, actor, RoomId(room_id))


@put("/api/rooms/{room_id:uuid}/rules")
async def change_rules(
    room_id: FromPath[UUID], data: JSONBody[RulesChange], actor: Given[Actor], db: Given[Database]
) -> RoomRules:
    """Other rules from now on; everybody in the room feels them at once."""
    async with db.tx() as tx:
        return await live.change_rules(tx, actor, RoomId(room_id), data.rules, expected_version=data.expected_version)


@get("/api/rooms/{room_id:uuid}/moderation-log")
async def list_room_log(
    room_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[EntryView]:
    """Who did what to whom in a room, why and when; newest first."""
    async with db.read() as tx:
        page = await live.list_moderation_entries(tx, actor, RoomId(room_id), after=after, limit=limit)
        people = await live.find_people(tx, _named(page.items))
    return Page(items=[_entry(one, people) for one in page.items], next=None if page.next is None else str(page.next))


@get("/api/shows/{show_id:uuid}/moderation-log")
async def list_show_log(
    show_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[EntryView]:
    """The same of one show."""
    async with db.read() as tx:
        room_id = (await live.get_show(tx, ShowId(show_id))).room_id
        page = await live.list_moderation_entries(tx, actor, room_id, show_id=ShowId(show_id), after=after, limit=limit)
        people = await live.find_people(tx, _named(page.items))
    return Page(items=[_entry(one, people) for one in page.items], next=None if page.next is None else str(page.next))


@post("/api/shows/{show_id:uuid}/sayings/{saying_id:uuid}/deletion", status_code=204)
async def delete_saying(
    show_id: FromPath[UUID],
    saying_id: FromPath[UUID],
    data: JSONBody[Deletion],
    actor: Given[Actor],
    db: Given[Database],
) -> None:
    """Take back what was said, everywhere. One's own always; others' with the right to."""
    async with db.tx() as tx:
        await live.delete_saying(tx, actor, ShowId(show_id), saying_id, reason=data.reason)


@get("/api/shows/{show_id:uuid}/held")
async def list_held(show_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> HeldSayings:
    """What waits for review, oldest first."""
    async with db.read() as tx:
        return HeldSayings(await live.list_held(tx, actor, ShowId(show_id)))


@post("/api/shows/{show_id:uuid}/held/{saying_id:uuid}/review", status_code=204)
async def review_saying(
    show_id: FromPath[UUID],
    saying_id: FromPath[UUID],
    data: JSONBody[Review],
    actor: Given[Actor],
    db: Given[Database],
) -> None:
    """Let a text through, or not."""
    async with db.tx() as tx:
        await live.review(tx, actor, ShowId(show_id), saying_id, approved=data.approved, reason=data.reason)


@get("/api/shows/{show_id:uuid}/sanctions")
async def list_sanctions(show_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> Sanctions:
    """Who is muted, sent out or banned here now, newest first."""
    async with db.read() as tx:
        found = await live.list_sanctions(tx, actor, ShowId(show_id))
        people = await live.find_people(
            tx, [AccountId(id_) for one in found for id_ in (one.viewer_id, one.imposed_by)]
        )
    return Sanctions([_sanction(one, people) for one in found])


@post("/api/shows/{show_id:uuid}/sanctions", status_code=201)
async def impose_sanction(
    show_id: FromPath[UUID], data: JSONBody[SanctionDraft], actor: Given[Actor], db: Given[Database]
) -> SanctionView:
    """Mute somebody, send them out for a while, or ban account, device or network. Said again, it is the same."""
    async with db.tx() as tx:
        made = await live.impose(tx, actor, ShowId(show_id), data)
        people = await live.find_people(tx, [AccountId(made.viewer_id), made.imposed_by])
    return _sanction(made, people)


@delete("/api/sanctions/{sanction_id:uuid}", status_code=204)
async def lift_sanction(sanction_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> None:
    """End a sanction before its time."""
    async with db.tx() as tx:
        await live.lift(tx, actor, sanction_id)


def _named(entries: list[ModerationEntry]) -> list[AccountId]:
    return [AccountId(id_) for one in entries for id_ in (one.actor_id, one.whom) if id_ is not None]


def _entry(one: ModerationEntry, people: dict[AccountId, live.Person]) -> EntryView:
    return EntryView(
        id=one.id,
        at=one.at,
        show_id=one.show_id,
        actor=people[one.actor_id].name,
        act=one.act,
        whom_id=one.whom,
        whom=people[AccountId(one.whom)].name if one.whom is not None else "",
        reason=one.reason,
        detail=one.detail,
    )


def _sanction(one: live.Sanction, people: dict[AccountId, live.Person]) -> SanctionView:
    return SanctionView(
        id=one.id,
        kind=one.kind,
        target=one.target,
        viewer_id=one.viewer_id,
        name=people[AccountId(one.viewer_id)].name,
        reason=one.reason,
        for_show=one.show_id is not None,
        everywhere=one.room_id is None,
        imposed_by=people[one.imposed_by].name,
        imposed_at=one.imposed_at,
        ends_at=one.ends_at,
    )


ROUTES = [
    list_moderators,
    add_moderator,
    remove_moderator,
    show_rules,
    change_rules,
    list_room_log,
    list_show_log,
    delete_saying,
    list_held,
    review_saying,
    list_sanctions,
    impose_sanction,
    lift_sanction,
]
