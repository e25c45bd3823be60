"""What live must hold, for the audit: a wave has its pieces set aside as long as it is not over, and ends in time."""

from datetime import datetime
from uuid import UUID

from laotie.base.db import Tx

SHOWN_MAX = 100


async def list_waves(tx: Tx) -> dict[UUID, bool]:
    """Every wave, and whether it is over."""
    return dict(await tx.tuples("SELECT id, state = 'ended' FROM live.wave"))


async def list_waves_overdue(tx: Tx, before: datetime) -> list[UUID]:
    """Waves that are still open though their time was over before an instant."""
    return await tx.all(
        UUID,
        "SELECT id FROM live.wave WHERE state = 'open' AND ends_at < %(before)s ORDER BY id LIMIT %(limit)s",
        before=before,
        limit=SHOWN_MAX,
    )
