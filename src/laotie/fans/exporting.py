"""All of a streamer's followers, to take away: who they show themselves as, since when, from where, and how close.

What a seller may keep of a fan is what the fan has shown them: the public name and their own dealings. No sign-in name,
no phone number, no address; guests have no name. Who may have it, the caller has asked.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

import msgspec

from laotie import identity
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, ShowId, ViewerId, VisitId
from laotie.fans.model import decayed, level_of
from laotie.lake import facts

PAGE_SIZE = 500


class FanRow(msgspec.Struct, frozen=True, kw_only=True):
    """A follower."""

    streamer_id: AccountId
    fan_id: ViewerId
    name: str
    """Empty for a guest."""
    level: int
    since: datetime
    source: str
    placement: str
    notify: bool
    """Whether the fan wants to hear of shows."""


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    viewer_id: ViewerId
    since: datetime
    source: str
    placement: str
    notify: bool
    score: float
    scored_at: datetime | None


async def export_followers(db: Database, streamer_id: AccountId, as_of: datetime) -> AsyncIterator[list[FanRow]]:
    """A streamer's followers, by id."""
    last = UUID(int=0)
    while True:
        async with db.read() as tx:
            page = await tx.all(
                _Row,
                """
                SELECT f.viewer_id, f.since, f.source, f.placement, f.notify, coalesce(r.score, 0) AS score, r.scored_at
                FROM fans.follow AS f LEFT JOIN fans.relationship AS r USING (viewer_id, streamer_id)
                WHERE f.streamer_id = %(streamer_id)s AND f.viewer_id > %(last)s AND f.since <= %(as_of)s
                ORDER BY f.viewer_id LIMIT %(limit)s
                """,
                streamer_id=streamer_id,
                last=last,
                as_of=as_of,
                limit=PAGE_SIZE,
            )
            names = await identity.find_profiles(tx, [AccountId(row.viewer_id) for row in page])
        yield [
            FanRow(
                streamer_id=streamer_id,
                fan_id=row.viewer_id,
                name=names[AccountId(row.viewer_id)].name if AccountId(row.viewer_id) in names else "",
                level=level_of(_closeness(row, as_of), follows=True),
                since=row.since,
                source=row.source,
                placement=row.placement,
                notify=row.notify,
            )
            for row in page
        ]
        if len(page) < PAGE_SIZE:
            return
        last = page[-1].viewer_id


def _closeness(row: _Row, as_of: datetime) -> float:
    return 0.0 if row.scored_at is None else decayed(row.score, since=row.scored_at, now=as_of)


async def tell_again(tx: Tx, after: int, limit: int) -> tuple[list[facts.Row], int | None]:
    """The next follows that began or ended, as the lake was told of them, and where to go on.

    (What a guest brought into an account, the lake knows by the person; what ended with an erasure, by the erasure.)
    """
    found = await tx.all(
        _Change,
        """
        SELECT id, viewer_id, streamer_id, kind, source, placement, visit_id, changed_at, is_fan, show_id
        FROM fans.follow_change WHERE id > %(after)s ORDER BY id LIMIT %(limit)s
        """,
        after=after,
        limit=limit,
    )
    rows: list[facts.Row] = []
    for one in found:
        if one.kind == "followed":
            rows.append(
                facts.follow_row(
                    at=one.changed_at,
                    viewer_id=one.viewer_id,
                    streamer_id=one.streamer_id,
                    begins=True,
                    visit_id=one.visit_id,
                    source=one.source,
                    is_fan=one.is_fan,
                    show_id=one.show_id,
                    placement=one.placement,
                )
            )
        elif one.kind == "unfollowed":
            rows.append(
                facts.follow_row(
                    at=one.changed_at, viewer_id=one.viewer_id, streamer_id=one.streamer_id, begins=False
                )
            )
    return rows, found[-1].id if len(found) == limit else None


class _Change(msgspec.Struct, frozen=True):
    id: int
    viewer_id: ViewerId
    streamer_id: AccountId
    kind: str
    source: str
    placement: str
    visit_id: VisitId | None
    changed_at: datetime
    is_fan: bool
    show_id: ShowId | None
