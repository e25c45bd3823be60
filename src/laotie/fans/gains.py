"""How many begin to follow a streamer, by the minute: every new follow counts, also one that did not last."""

from datetime import datetime

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import AccountId


class FollowMinute(msgspec.Struct, frozen=True):
    """New followers of one minute."""

    at: datetime
    follows: int


async def list_gains(tx: Tx, streamer_id: AccountId, *, from_at: datetime, to_at: datetime) -> list[FollowMinute]:
    """Minutes in which somebody began to follow, from the one instant up to but without the other."""
    return await tx.all(
        FollowMinute,
        """
        SELECT date_trunc('minute', changed_at, 'UTC') AS at, count(*) AS follows FROM fans.follow_change
        WHERE streamer_id = %(streamer_id)s AND kind = 'followed'
          AND changed_at >= %(from_at)s AND changed_at < %(to_at)s
        GROUP BY 1 ORDER BY 1
        """,
        streamer_id=streamer_id,
        from_at=from_at,
        to_at=to_at,
    )
