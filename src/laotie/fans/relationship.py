"""How close a viewer and a streamer are: a score that what they do together raises, and that halves every 30 days.

    follow + 1        paid order + 5        score(t) = score(t0) · 2^(-(t - t0) / 30 days)

Kept as of its latest instant; adding commutes, so the order in which news arrives does not matter. It orders a viewer's
own follow page and nothing else; what a fan is worth to a streamer is another question.
"""

from datetime import datetime

from laotie.base.db import Tx
from laotie.base.ids import AccountId, ViewerId
from laotie.fans.model import HALF_LIFE

HALVINGS_MAX = 500
"""Beyond it a score is as good as nothing, and a double would underflow."""


async def warm(tx: Tx, viewer_id: ViewerId, streamer_id: AccountId, warmth: float, *, at: datetime) -> None:
    """Bring a viewer and a streamer closer, as of an instant."""
    await tx.run(
        """
        INSERT INTO fans.relationship AS bond (viewer_id, streamer_id, score, scored_at)
        VALUES (%(viewer_id)s, %(streamer_id)s, %(warmth)s, %(at)s)
        ON CONFLICT (viewer_id, streamer_id) DO UPDATE
        SET score = bond.score * power(2, -least(%(halvings_max)s, extract(epoch FROM
                      greatest(bond.scored_at, excluded.scored_at) - bond.scored_at)::float8 / %(half_life_s)s))
                  + excluded.score * power(2, -least(%(halvings_max)s, extract(epoch FROM
                      greatest(bond.scored_at, excluded.scored_at) - excluded.scored_at)::float8 / %(half_life_s)s)),
            scored_at = greatest(bond.scored_at, excluded.scored_at)
        """,
        viewer_id=viewer_id,
        streamer_id=streamer_id,
        warmth=warmth,
        at=at,
        half_life_s=HALF_LIFE.total_seconds(),
        halvings_max=float(HALVINGS_MAX),
    )


async def hand_over(tx: Tx, guest_id: ViewerId, viewer_id: ViewerId) -> None:
    """What a guest was to streamers, the account is from now on, on top of what it was."""
    for streamer_id, score, scored_at in await tx.tuples(
        "DELETE FROM fans.relationship WHERE viewer_id = %(guest_id)s RETURNING streamer_id, score, scored_at",
        guest_id=guest_id,
    ):
        if streamer_id != viewer_id:
            await warm(tx, viewer_id, streamer_id, score, at=scored_at)
