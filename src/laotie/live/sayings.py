"""What was said in a show: written in batches by the gateways, read by replay, log and welcome, taken back by moderators.

The id is the speaker's own and counts within its show; the first text under it stays. A deletion may come before the
text is written; then it waits for it as a row without one. Texts that wait for review lie beside, and come here with
the moment at which they were let through.
"""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import AccountId, ShowId, ViewerId
from laotie.base.refusals import NotFound
from laotie.events.identity import AccountErased
from laotie.events.live import SayingDeleted, SayingReviewed
from laotie.identity import Actor
from laotie.live.moderation import find_room_of_show, list_rights, log, require_right
from laotie.live.moderation_model import (
    HELD_MAX,
    SPEAKERS_KEPT_DAYS,
    HeldSaying,
    Right,
    Saying,
    Speaker,
    bare_address,
)

SAYINGS_PAGE_MAX = 5_000


async def store_sayings(
    tx: Tx,
    show_id: ShowId,
    *,
    said: list[Saying],
    held: list[HeldSaying] | None = None,
    speakers: list[Speaker] | None = None,
) -> None:
    """Write what one gateway heard in one show, set-based. Written again, it stays as it was."""
    held, speakers = held or [], speakers or []
    if said:
        await tx.run(
            """
            INSERT INTO live.saying AS kept (show_id, id, viewer_id, name, level, text, said_at)
            SELECT %(show_id)s, id, viewer_id, name, level, text, said_at
            FROM unnest(%(ids)s::uuid[], %(viewers)s::uuid[], %(names)s::text[], %(levels)s::int[], %(texts)s::text[],
                        %(ats)s::timestamptz[]) AS heard (id, viewer_id, name, level, text, said_at)
            ON CONFLICT (show_id, id) DO UPDATE
            SET viewer_id = excluded.viewer_id, name = excluded.name, level = excluded.level, text = excluded.text,
                said_at = excluded.said_at
            WHERE kept.viewer_id IS NULL
            """,
            show_id=show_id,
            **_columns(list({one.id: one for one in reversed(said)}.values())),
        )
    if held:
        await tx.run(
            """
            INSERT INTO live.held (show_id, id, viewer_id, name, level, text, why, said_at)
            SELECT %(show_id)s, id, viewer_id, name, level, text, why, said_at
            FROM unnest(%(ids)s::uuid[], %(viewers)s::uuid[], %(names)s::text[], %(levels)s::int[], %(texts)s::text[],
                        %(ats)s::timestamptz[], %(whys)s::text[])
              AS heard (id, viewer_id, name, level, text, said_at, why)
            ON CONFLICT (show_id, id) DO NOTHING
            """,
            show_id=show_id,
            whys=[one.why for one in held],
            **_columns(held),
        )
        await _let_go(tx, show_id)
    if speakers:
        latest = {one.viewer_id: one for one in speakers}.values()
        await tx.run(
            """
            INSERT INTO live.speaker (show_id, viewer_id, device_id, address, seen_at)
            SELECT %(show_id)s, viewer_id, device_id, address, %(now)s
            FROM unnest(%(viewers)s::uuid[], %(devices)s::uuid[], %(addresses)s::inet[])
              AS heard (viewer_id, device_id, address)
            ORDER BY viewer_id
            ON CONFLICT (show_id, viewer_id) DO UPDATE
            SET device_id = excluded.device_id, address = excluded.address, seen_at = excluded.seen_at
            """,
            show_id=show_id,
            viewers=[one.viewer_id for one in latest],
            devices=[one.device_id for one in latest],
            addresses=[bare_address(one.address) for one in latest],
            now=tx.now,
        )


def _columns(heard: list[Saying] | list[HeldSaying]) -> dict[str, list[object]]:
    return {
        "ids": [one.id for one in heard],
        "viewers": [one.viewer_id for one in heard],
        "names": [one.name for one in heard],
        "levels": [one.level for one in heard],
        "texts": [one.text for one in heard],
        "ats": [one.said_at for one in heard],
    }


async def _let_go(tx: Tx, show_id: ShowId) -> None:
    """Beyond `HELD_MAX` the oldest are refused by nobody: the queue stays one that people can work through."""
    await tx.run(
        """
        UPDATE live.held SET approved = false, decided_at = %(now)s
        WHERE show_id = %(show_id)s AND approved IS NULL AND id IN (
            SELECT id FROM live.held WHERE show_id = %(show_id)s AND approved IS NULL
            ORDER BY said_at DESC, id DESC OFFSET %(held_max)s)
        """,
        show_id=show_id,
        now=tx.now,
        held_max=HELD_MAX,
    )


async def list_sayings(
    tx: Tx, show_id: ShowId, from_at: datetime | None = None, to_at: datetime | None = None, limit: int = 200
) -> list[Saying]:
    """What was said from one instant until before another, in order; what was deleted is left out."""
    return await tx.all(
        Saying,
        """
        SELECT id, viewer_id, name, level, text, said_at FROM live.saying
        WHERE show_id = %(show_id)s AND deleted_at IS NULL
          AND (%(from_at)s::timestamptz IS NULL OR said_at >= %(from_at)s)
          AND (%(to_at)s::timestamptz IS NULL OR said_at < %(to_at)s)
        ORDER BY said_at, id LIMIT %(limit)s
        """,
        show_id=show_id,
        from_at=from_at,
        to_at=to_at,
        limit=max(1, min(limit, SAYINGS_PAGE_MAX)),
    )


async def latest_sayings(tx: Tx, show_id: ShowId, *, limit: int) -> list[Saying]:
    """The last of what was said, oldest first."""
    found = await tx.all(
        Saying,
        """
        SELECT id, viewer_id, name, level, text, said_at FROM live.saying
        WHERE show_id = %(show_id)s AND deleted_at IS NULL ORDER BY said_at DESC, id DESC LIMIT %(limit)s
        """,
        show_id=show_id,
        limit=limit,
    )
    return found[::-1]


class _Told(msgspec.Struct, frozen=True):
    viewer_id: ViewerId | None
    text: str
    deleted_at: datetime | None


async def delete_saying(tx: Tx, actor: Actor, show_id: ShowId, saying_id: UUID, *, reason: str = "") -> None:
    """Take back what was said: from every screen, the history and the replay. Tells `SayingDeleted`.

    One's own may always be taken back; others' with the right `delete`. Deleting again changes nothing.
    """
    room_id = await find_room_of_show(tx, show_id)
    kept = await tx.maybe(
        _Told,
        "SELECT viewer_id, text, deleted_at FROM live.saying WHERE show_id = %(show_id)s AND id = %(id)s FOR UPDATE",
        show_id=show_id,
        id=saying_id,
    )
    if kept is None or actor.account_id is None or kept.viewer_id != actor.viewer_id:
        await require_right(tx, actor, room_id, Right.delete)
    if kept is not None and kept.deleted_at is not None:
        return
    await tx.run(
        """
        INSERT INTO live.saying (show_id, id, said_at, deleted_at, deleted_by)
        VALUES (%(show_id)s, %(id)s, %(now)s, %(now)s, %(by)s)
        ON CONFLICT (show_id, id) DO UPDATE SET deleted_at = excluded.deleted_at, deleted_by = excluded.deleted_by
        """,
        show_id=show_id,
        id=saying_id,
        now=tx.now,
        by=actor.seat_holder_id or actor.account_id,
    )
    await log(
        tx,
        actor,
        room_id,
        "saying.deleted",
        show_id=show_id,
        whom=kept.viewer_id if kept is not None else None,
        reason=reason,
        saying_id=str(saying_id),
        text=kept.text if kept is not None else "",
    )
    tx.tell(SayingDeleted(show_id=show_id, saying_id=saying_id))


async def list_held(tx: Tx, actor: Actor, show_id: ShowId) -> list[HeldSaying]:
    """What waits for review, oldest first. Needs the right `delete`."""
    await require_right(tx, actor, await find_room_of_show(tx, show_id), Right.delete)
    return await tx.all(
        HeldSaying,
        """
        SELECT id, viewer_id, name, level, text, why, said_at FROM live.held
        WHERE show_id = %(show_id)s AND approved IS NULL ORDER BY said_at, id LIMIT %(limit)s
        """,
        show_id=show_id,
        limit=HELD_MAX,
    )


async def review(tx: Tx, actor: Actor, show_id: ShowId, saying_id: UUID, *, approved: bool, reason: str = "") -> None:
    """Let a text through, or not. The first decision stays. Tells `SayingReviewed`; `NotFound` when nothing waits."""
    room_id = await find_room_of_show(tx, show_id)
    await require_right(tx, actor, room_id, Right.delete)
    held = await tx.maybe(
        HeldSaying,
        """
        UPDATE live.held SET approved = %(approved)s, decided_by = %(by)s, decided_at = %(now)s
        WHERE show_id = %(show_id)s AND id = %(id)s AND approved IS NULL
        RETURNING id, viewer_id, name, level, text, why, said_at
        """,
        show_id=show_id,
        id=saying_id,
        approved=approved,
        by=actor.seat_holder_id or actor.account_id,
        now=tx.now,
    )
    if held is None:
        raise NotFound()
    if approved:
        shown = Saying(
            id=held.id, viewer_id=held.viewer_id, name=held.name, level=held.level, text=held.text, said_at=tx.now
        )
        await store_sayings(tx, show_id, said=[shown])
    await log(
        tx,
        actor,
        room_id,
        "saying.approved" if approved else "saying.refused",
        show_id=show_id,
        whom=held.viewer_id,
        reason=reason,
        saying_id=str(saying_id),
        text=held.text,
        why=held.why,
    )
    tx.tell(
        SayingReviewed(
            show_id=show_id,
            saying_id=saying_id,
            viewer_id=held.viewer_id,
            name=held.name,
            level=held.level,
            text=held.text,
            approved=approved,
            at=tx.now,
        )
    )


async def may_moderate(tx: Tx, actor: Actor, show_id: ShowId) -> list[Right]:
    """What the actor may do for order in a show's room."""
    return await list_rights(tx, actor, await find_room_of_show(tx, show_id))


async def forget_speakers(tx: Tx) -> int:
    """Forget where people spoke from after `SPEAKERS_KEPT_DAYS`."""
    return await tx.run(
        "DELETE FROM live.speaker WHERE seen_at < %(before)s",
        before=tx.now - timedelta(days=SPEAKERS_KEPT_DAYS),
    )


async def forget_person(tx: Tx, event: AccountErased) -> None:
    """What somebody said goes with them; that moderators acted stays, without the words."""
    viewer_id = AccountId(event.account_id)
    await tx.run(
        """
        UPDATE live.saying SET name = '', text = '', deleted_at = coalesce(deleted_at, %(now)s)
        WHERE viewer_id = %(viewer_id)s
        """,
        viewer_id=viewer_id,
        now=tx.now,
    )
    await tx.run(
        """
        UPDATE live.held SET name = '', text = '', approved = coalesce(approved, false),
            decided_at = coalesce(decided_at, %(now)s)
        WHERE viewer_id = %(viewer_id)s
        """,
        viewer_id=viewer_id,
        now=tx.now,
    )
    await tx.run("DELETE FROM live.speaker WHERE viewer_id = %(viewer_id)s", viewer_id=viewer_id)
    await tx.run("DELETE FROM live.moderator WHERE account_id = %(viewer_id)s", viewer_id=viewer_id)
    await tx.run(
        "UPDATE live.moderation_entry SET detail = '{}' WHERE whom = %(viewer_id)s AND detail ? 'text'",
        viewer_id=viewer_id,
    )
