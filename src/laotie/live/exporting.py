"""All of a shop's shows, to take away, a page a snapshot; and of all shows, for the lake. Who may have it, the caller has asked."""

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

import msgspec

from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, ShopId, ShowId
from laotie.lake import facts

PAGE_SIZE = 500
STREAMERS_MAX = 1_000


class ShowRow(msgspec.Struct, frozen=True, kw_only=True):
    """A show."""

    id: ShowId
    streamer_id: AccountId
    title: str
    state: str
    planned_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    most_viewers: int


async def page_shows(db: Database, shop_id: ShopId, as_of: datetime) -> AsyncIterator[tuple[Tx, list[ShowRow]]]:
    """The shop's shows by id, each page with the snapshot it was read in."""
    last = UUID(int=0)
    while True:
        async with db.read() as tx:
            page = await tx.all(
                ShowRow,
                """
                SELECT show.id, streamer_id, title, state, planned_at, started_at, ended_at,
                       coalesce(peak.viewer_count, 0) AS most_viewers
                FROM live.show LEFT JOIN live.audience_peak AS peak ON peak.show_id = show.id
                WHERE shop_id = %(shop_id)s AND show.id > %(last)s AND created_at <= %(as_of)s
                ORDER BY show.id LIMIT %(limit)s
                """,
                shop_id=shop_id,
                last=last,
                as_of=as_of,
                limit=PAGE_SIZE,
            )
            yield tx, page
        if len(page) < PAGE_SIZE:
            return
        last = page[-1].id


async def list_streamers(tx: Tx, shop_id: ShopId) -> list[AccountId]:
    """Who streams for the shop, by its rooms."""
    return await tx.all(
        AccountId,
        "SELECT streamer_id FROM live.room WHERE shop_id = %(shop_id)s ORDER BY streamer_id LIMIT %(limit)s",
        shop_id=shop_id,
        limit=STREAMERS_MAX,
    )


async def tell_again(tx: Tx, after: UUID, limit: int) -> tuple[list[facts.Row], UUID | None]:
    """Beginnings and ends of the next shows by id, as the lake was told of them, and where to go on.

    A show that was renamed while it was live began under its opening title.
    """
    found = await tx.all(
        _Told,
        """
        SELECT id, shop_id, streamer_id, title, coalesce(opening_title, title) AS opening_title, started_at, ended_at
        FROM live.show WHERE id > %(after)s ORDER BY id LIMIT %(limit)s
        """,
        after=after,
        limit=limit,
    )
    rows: list[facts.Row] = []
    for show in found:
        rows += [
            facts.show_row(
                show_id=show.id,
                shop_id=show.shop_id,
                streamer_id=show.streamer_id,
                title=show.title if ended_at else show.opening_title,
                started_at=show.started_at,
                ended_at=ended_at,
            )
            for ended_at in {None, show.ended_at}
            if show.started_at or ended_at
        ]
    return rows, found[-1].id if len(found) == limit else None


class _Told(msgspec.Struct, frozen=True):
    id: ShowId
    shop_id: ShopId
    streamer_id: AccountId
    title: str
    opening_title: str
    started_at: datetime | None
    ended_at: datetime | None
