"""Who watches: what each gateway counts in its shows, put down every few seconds, summed when read.

The gateway holds the count of the moment; here is what other processes, lists and the time after the show know of it.
"""

from uuid import UUID

from laotie.base.db import Tx
from laotie.live.model import COUNT_FRESH_S, Audience


async def count_audience(tx: Tx, gateway_id: UUID, counts: list[Audience]) -> None:
    """Put down what one gateway process counts in its shows now. Unknown shows are passed over.

    `gateway_id` is made by the process when it starts: its viewers count as present for `COUNT_FRESH_S` seconds, its
    likes for good. Also keeps the highest number of viewers over all gateways.
    """
    if not counts:
        return
    ordered = sorted(counts, key=lambda count: count.show_id)
    await tx.run(
        """
        INSERT INTO live.audience (show_id, gateway_id, viewer_count, like_count, counted_at)
        SELECT fresh.show_id, %(gateway_id)s, fresh.viewers, fresh.likes, %(now)s
        FROM unnest(%(shows)s::uuid[], %(viewers)s::integer[], %(likes)s::bigint[]) AS fresh (show_id, viewers, likes)
        JOIN live.show ON show.id = fresh.show_id
        ON CONFLICT (show_id, gateway_id) DO UPDATE
        SET viewer_count = excluded.viewer_count, like_count = excluded.like_count, counted_at = excluded.counted_at
        """,
        gateway_id=gateway_id,
        shows=[count.show_id for count in ordered],
        viewers=[count.viewer_count for count in ordered],
        likes=[count.like_count for count in ordered],
        now=tx.now,
    )
    await tx.run(
        """
        INSERT INTO live.audience_peak (show_id, viewer_count, reached_at)
        SELECT show_id, sum(viewer_count), %(now)s FROM live.audience
        WHERE show_id = ANY(%(shows)s) AND counted_at > %(now)s - make_interval(secs => %(fresh_s)s)
        GROUP BY show_id ORDER BY show_id
        ON CONFLICT (show_id) DO UPDATE SET viewer_count = excluded.viewer_count, reached_at = excluded.reached_at
        WHERE audience_peak.viewer_count < excluded.viewer_count
        """,
        shows=[count.show_id for count in ordered],
        fresh_s=COUNT_FRESH_S,
        now=tx.now,
    )
