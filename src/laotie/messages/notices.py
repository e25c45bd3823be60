"""Notices: written set-based, once per (cause, content, viewer), listed, read, and forgotten in time.

What is told is kept once (`message`); a notice is a viewer's share in it. Its primary key is the promise that nobody is
told the same thing twice.
"""

import hashlib
from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from laotie.base import jobs
from laotie.base.db import Tx
from laotie.base.ids import AccountId, ViewerId, lowest_id_at, new_id
from laotie.base.refusals import NotFound
from laotie.events.messages import Noticed
from laotie.messages.devices import forget_devices, hand_over_devices, list_devices
from laotie.messages.model import (
    FACTS_BYTES_MAX,
    LINK_LENGTH_MAX,
    NOTICES_KEPT,
    NOTICES_KEPT_MAX,
    VIEWERS_AT_ONCE_MAX,
    Device,
    MessageId,
    Notice,
    NoticePage,
    Preference,
)
from laotie.messages.preferences import get_preference
from laotie.messages.push import PUSH_TASK

PAGE_SIZE_MAX = 100
PUSHES_PER_JOB = 100
FORGOTTEN_AT_ONCE_MAX = 5_000
LAST_ID = UUID(int=2**128 - 1)

_encode = msgspec.json.Encoder(order="sorted").encode


async def notify_many(
    tx: Tx,
    viewer_ids: Collection[ViewerId],
    kind: str,
    facts: dict[str, Any],
    link: str,
    *,
    once: UUID | None = None,
) -> int:
    """Tell these viewers, at most `VIEWERS_AT_ONCE_MAX`; how many had not been told yet. Tells `Noticed`.

    `kind` names the words (the page has them, `notices.kinds.<kind>` in its catalogues), `facts` fill them in, `link`
    is where a tap leads, a path of the viewer's page. The same kind, facts and link for the same `once` (default: the
    event a reaction hears, else this call) reach a viewer once, however often they are asked for. Who switched the kind
    off is passed over. Pushes to devices are deferred with the same commit.
    """
    assert len(viewer_ids) <= VIEWERS_AT_ONCE_MAX, "go through more viewers in chunks, in a job"
    assert link.startswith("/") and not link.startswith("//") and len(link) <= LINK_LENGTH_MAX
    content = _encode([kind, facts, link])
    assert len(content) <= FACTS_BYTES_MAX, "facts are a few words, not a text"
    if not viewer_ids:
        return 0
    digest = hashlib.sha256((once or tx.cause or new_id()).bytes + content).digest()
    message = await tx.one(
        _Message,
        """
        INSERT INTO messages.message AS m (id, digest, kind, facts, link, at)
        VALUES (%(id)s, %(digest)s, %(kind)s, %(facts)s, %(link)s, %(now)s)
        ON CONFLICT (digest) DO UPDATE SET kind = m.kind RETURNING id, at
        """,
        id=new_id(),
        digest=digest,
        kind=kind,
        facts=Jsonb(facts),
        link=link,
        now=tx.now,
    )
    told = await tx.all(
        ViewerId,
        """
        INSERT INTO messages.notice (viewer_id, message_id)
        SELECT viewer_id, %(message_id)s FROM unnest(%(viewers)s::uuid[]) AS asked (viewer_id)
        WHERE NOT EXISTS (SELECT FROM messages.preference AS p
                          WHERE p.viewer_id = asked.viewer_id AND %(kind)s = ANY(p.off_kinds))
        ON CONFLICT DO NOTHING RETURNING viewer_id
        """,
        message_id=message.id,
        viewers=sorted(set(viewer_ids)),
        kind=kind,
    )
    if not told:
        return 0
    await _trim(tx, told)
    await _push(tx, message.id, told)
    tx.tell(
        Noticed(
            message_id=message.id, viewer_ids=tuple(told), kind=kind, facts=facts, link=link, at=message.at
        )
    )
    return len(told)


class _Message(msgspec.Struct, frozen=True):
    id: MessageId
    at: datetime


async def _trim(tx: Tx, viewer_ids: list[ViewerId]) -> None:
    """An inbox holds so many; the oldest go."""
    await tx.run(
        """
        DELETE FROM messages.notice AS n USING unnest(%(viewers)s::uuid[]) AS told (viewer_id)
        CROSS JOIN LATERAL (
            SELECT message_id FROM messages.notice AS own WHERE own.viewer_id = told.viewer_id
            ORDER BY message_id DESC OFFSET %(kept)s LIMIT 1
        ) AS last
        WHERE n.viewer_id = told.viewer_id AND n.message_id <= last.message_id
        """,
        viewers=viewer_ids,
        kept=NOTICES_KEPT_MAX,
    )


async def _push(tx: Tx, message_id: MessageId, viewer_ids: list[ViewerId]) -> None:
    """Put the viewers' devices on the way, some a job."""
    devices = await tx.all(
        UUID,
        "SELECT id FROM messages.device WHERE viewer_id = ANY(%(viewers)s) ORDER BY id",
        viewers=viewer_ids,
    )
    for start in range(0, len(devices), PUSHES_PER_JOB):
        batch_id = new_id()
        await tx.run(
            """
            INSERT INTO messages.delivery (batch_id, device_id, message_id)
            SELECT %(batch_id)s, id, %(message_id)s FROM unnest(%(devices)s::uuid[]) AS device (id)
            """,
            batch_id=batch_id,
            message_id=message_id,
            devices=devices[start : start + PUSHES_PER_JOB],
        )
        await jobs.defer(tx, PUSH_TASK, {"batch_id": str(batch_id)})


async def list_notices(tx: Tx, viewer_id: ViewerId, *, after: MessageId | None, limit: int) -> NoticePage:
    """An inbox, newest first."""
    limit = min(limit, PAGE_SIZE_MAX)
    found = await tx.all(
        Notice,
        """
        SELECT id, kind, facts, link, at, read_at
        FROM messages.notice JOIN messages.message ON message.id = notice.message_id
        WHERE viewer_id = %(viewer_id)s AND message_id < %(before)s ORDER BY message_id DESC LIMIT %(limit)s
        """,
        viewer_id=viewer_id,
        before=after or LAST_ID,
        limit=limit + 1,
    )
    return NoticePage(
        found[:limit], found[limit - 1].id if len(found) > limit else None, await count_unread(tx, viewer_id)
    )


async def count_unread(tx: Tx, viewer_id: ViewerId) -> int:
    """How many notices a viewer has not read."""
    return await tx.one(
        int,
        "SELECT count(*) FROM messages.notice WHERE viewer_id = %(viewer_id)s AND read_at IS NULL",
        viewer_id=viewer_id,
    )


async def open_notice(tx: Tx, viewer_id: ViewerId, message_id: MessageId) -> str:
    """One's own notice was read (the first time counts); where it leads. Refuses `NotFound`."""
    link = await tx.maybe(
        str,
        """
        UPDATE messages.notice SET read_at = coalesce(read_at, %(now)s)
        FROM messages.message
        WHERE viewer_id = %(viewer_id)s AND message_id = %(message_id)s AND message.id = message_id
        RETURNING link
        """,
        viewer_id=viewer_id,
        message_id=message_id,
        now=tx.now,
    )
    if link is None:
        raise NotFound()
    return link


async def mark_all_read(tx: Tx, viewer_id: ViewerId, *, up_to: MessageId) -> None:
    """Everything up to this notice was read: what came since was not on the screen."""
    await tx.run(
        """
        UPDATE messages.notice SET read_at = %(now)s
        WHERE viewer_id = %(viewer_id)s AND message_id <= %(up_to)s AND read_at IS NULL
        """,
        viewer_id=viewer_id,
        up_to=up_to,
        now=tx.now,
    )


async def sweep_notices(tx: Tx) -> int:
    """Forget some of what is older than `NOTICES_KEPT`; how many notices went."""
    bound = lowest_id_at(tx.now - NOTICES_KEPT)
    gone = await tx.run(
        """
        DELETE FROM messages.notice WHERE (viewer_id, message_id) IN (
            SELECT viewer_id, message_id FROM messages.notice WHERE message_id < %(bound)s LIMIT %(limit)s
        )
        """,
        bound=bound,
        limit=FORGOTTEN_AT_ONCE_MAX,
    )
    if gone < FORGOTTEN_AT_ONCE_MAX:
        await tx.run(
            "DELETE FROM messages.delivery WHERE message_id < %(bound)s", bound=bound
        )
        await tx.run("DELETE FROM messages.message WHERE id < %(bound)s", bound=bound)
    return gone


async def merge(tx: Tx, guest_id: ViewerId, account_id: AccountId) -> None:
    """A guest turned out to be this account: their notices and devices are its own. Safe to repeat."""
    await tx.run(
        """
        WITH brought AS (
            DELETE FROM messages.notice WHERE viewer_id = %(guest_id)s RETURNING message_id, read_at
        )
        INSERT INTO messages.notice (viewer_id, message_id, read_at)
        SELECT %(account_id)s, message_id, read_at FROM brought ON CONFLICT DO NOTHING
        """,
        guest_id=guest_id,
        account_id=account_id,
    )
    await tx.run(
        """
        WITH brought AS (
            DELETE FROM messages.preference WHERE viewer_id = %(guest_id)s
            RETURNING off_kinds, quiet_from, quiet_to, time_zone
        )
        INSERT INTO messages.preference (viewer_id, off_kinds, quiet_from, quiet_to, time_zone)
        SELECT %(account_id)s, off_kinds, quiet_from, quiet_to, time_zone FROM brought ON CONFLICT DO NOTHING
        """,
        guest_id=guest_id,
        account_id=account_id,
    )
    await hand_over_devices(tx, guest_id, ViewerId(account_id))


async def erase(tx: Tx, account_id: AccountId) -> None:
    """A person left: what they were told, wanted and used is gone."""
    viewer_id = ViewerId(account_id)
    await forget_devices(tx, viewer_id)
    await tx.run("DELETE FROM messages.notice WHERE viewer_id = %(viewer_id)s", viewer_id=viewer_id)
    await tx.run("DELETE FROM messages.preference WHERE viewer_id = %(viewer_id)s", viewer_id=viewer_id)


class Export(msgspec.Struct, frozen=True):
    """What this room holds about a person."""

    notices: list[Notice]
    preference: Preference
    devices: list[Device]


async def export(tx: Tx, account_id: AccountId) -> Export:
    """What this room holds about a person (for their export): an inbox is at most `NOTICES_KEPT_MAX` long."""
    viewer_id = ViewerId(account_id)
    notices: list[Notice] = []
    after: MessageId | None = None
    while True:
        page = await list_notices(tx, viewer_id, after=after, limit=PAGE_SIZE_MAX)
        notices += page.items
        after = page.next
        if after is None:
            return Export(notices, await get_preference(tx, viewer_id), await list_devices(tx, viewer_id))
