"""Notices, wishes and devices over HTTP. Guests have them too; they become the account's when the guest signs in."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import delete, get, post, put

from laotie import messages, traffic
from laotie.base.db import Database
from laotie.base.ids import ViewerId
from laotie.base.refusals import Unauthenticated
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.identity import Actor
from laotie.messages import Device, DeviceId, MessageId, Notice, Preference
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page


class NoticesView(msgspec.Struct):
    """An inbox, newest first, and how much of it has not been read."""

    items: list[Notice]
    next: str | None
    unread_count: int


class UnreadView(msgspec.Struct):
    """How much has not been read."""

    unread_count: int


class ReadMark(msgspec.Struct, forbid_unknown_fields=True):
    """Everything up to this notice was on the screen."""

    up_to: MessageId


class OpeningView(msgspec.Struct):
    """Where the notice leads, and for a show the token that credits the visit to it."""

    link: str
    entry: str | None


class Keys(msgspec.Struct, forbid_unknown_fields=True):
    """The subscription's keys, base64url."""

    p256dh: Annotated[str, msgspec.Meta(max_length=100)]
    auth: Annotated[str, msgspec.Meta(max_length=40)]


class Subscription(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A browser's `PushSubscription`, as its `toJSON` says it."""

    endpoint: Annotated[str, msgspec.Meta(max_length=2_000)]
    keys: Keys
    expiration_time: float | None = None


class PushKey(msgspec.Struct):
    """What `pushManager.subscribe` takes as `applicationServerKey`, base64url."""

    key: str


@get("/api/me/notices")
async def list_notices(
    actor: Given[Actor], db: Given[Database], after: After = None, limit: Limit = LIMIT_DEFAULT
) -> NoticesView:
    """What I was told, newest first: at most the last 200, for 60 days."""
    async with db.read() as tx:
        found = await messages.list_notices(
            tx, actor.viewer_id, after=MessageId(after) if after is not None else None, limit=limit
        )
    return NoticesView(
        items=found.items, next=str(found.next) if found.next else None, unread_count=found.unread_count
    )


@get("/api/me/notices/unread")
async def count_unread_notices(actor: Given[Actor], db: Given[Database]) -> UnreadView:
    """How much I have not read."""
    async with db.read() as tx:
        return UnreadView(await messages.count_unread(tx, actor.viewer_id))


@put("/api/me/notices/read-mark", status_code=204)
async def mark_notices_read(data: JSONBody[ReadMark], actor: Given[Actor], db: Given[Database]) -> None:
    """I have seen everything up to this notice."""
    async with db.tx() as tx:
        await messages.mark_all_read(tx, _recognised(actor), up_to=data.up_to)


@post("/api/me/notices/{notice_id:uuid}/opening", status_code=200)
async def open_notice(
    notice_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], signer: Given[Signer]
) -> OpeningView:
    """I follow this notice: it is read, and a visit to its show is credited to it."""
    viewer_id = _recognised(actor)
    async with db.tx() as tx:
        link = await messages.open_notice(tx, viewer_id, MessageId(notice_id))
        return OpeningView(link, traffic.credit_notice(tx, signer, viewer_id, link))


@get("/api/me/notice-preferences")
async def get_notice_preferences(actor: Given[Actor], db: Given[Database]) -> Preference:
    """What I do not want to hear, and when my devices stay silent."""
    async with db.read() as tx:
        return await messages.get_preference(tx, actor.viewer_id)


@put("/api/me/notice-preferences")
async def put_notice_preferences(
    data: JSONBody[Preference], actor: Given[Actor], db: Given[Database]
) -> Preference:
    """Say what I do not want to hear."""
    async with db.tx() as tx:
        return await messages.set_preference(tx, _recognised(actor), data)


@get("/api/push-key")
async def get_push_key(settings: Given[Settings]) -> PushKey:
    """The key by which push services know this house."""
    return PushKey(messages.public_key_of(settings))


@get("/api/me/push-devices")
async def list_push_devices(actor: Given[Actor], db: Given[Database]) -> Page[Device]:
    """Browsers of mine that take web push."""
    async with db.read() as tx:
        return Page(items=await messages.list_devices(tx, actor.viewer_id))


@post("/api/me/push-devices", status_code=201)
async def add_push_device(
    data: JSONBody[Subscription], actor: Given[Actor], db: Given[Database], settings: Given[Settings]
) -> Device:
    """Push to this browser. The same subscription again is the same device."""
    viewer_id = _recognised(actor)
    async with db.tx() as tx:
        return await messages.add_device(
            tx,
            viewer_id,
            messages.NewDevice(endpoint=data.endpoint, p256dh=data.keys.p256dh, auth=data.keys.auth),
            session_id=actor.session_id,
            user_agent=actor.user_agent,
            private=settings.push_private,
        )


@delete("/api/me/push-devices/{device_id:uuid}", status_code=204)
async def remove_push_device(device_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> None:
    """Push to this browser no more."""
    async with db.tx() as tx:
        await messages.remove_device(tx, _recognised(actor), DeviceId(device_id))


def _recognised(actor: Actor) -> ViewerId:
    """A viewer who will be the same one next time, or `Unauthenticated`."""
    if actor.account_id is None and not actor.is_known_guest:
        raise Unauthenticated()
    return actor.viewer_id


ROUTES = [
    list_notices,
    count_unread_notices,
    mark_notices_read,
    open_notice,
    get_notice_preferences,
    put_notice_preferences,
    get_push_key,
    list_push_devices,
    add_push_device,
    remove_push_device,
]
