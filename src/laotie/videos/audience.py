"""Who watched and who liked: plays as the player acknowledges them, likes once a viewer, sums in slots.

Every play is kept as it was, so that a later filter of bought ones has something to look at; the sums here are raw.
"""

from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import ViewerId
from laotie.base.refusals import IdReused, NotFound, TooFast
from laotie.videos.model import PLAYS_PER_MINUTE_MAX, Played, PlayId, VideoId, counts_at_ms, credit_ms, slot_of


class _Play(msgspec.Struct, frozen=True):
    video_id: VideoId
    viewer_id: ViewerId
    elapsed_ms: int
    watched_ms: int
    is_counted: bool


async def acknowledge_play(
    tx: Tx,
    viewer_id: ViewerId,
    video_id: VideoId,
    play_id: PlayId,
    *,
    watched_ms: int,
    source: str,
    placement: str,
) -> Played:
    """Note how much of a play was shown so far; the first acknowledgement begins it. Repeats and stragglers are fine.

    No more is believed than time has passed here since the beginning. It counts from three seconds on, or half of a
    short video. Refuses `NotFound`, `IdReused` (another's play), `TooFast`.
    """
    duration_ms = await _duration_of(tx, video_id)
    play = await _hold_play(tx, play_id, at_most_new=(viewer_id, video_id, source, placement))
    if play.viewer_id != viewer_id or play.video_id != video_id:
        raise IdReused()
    watched = max(play.watched_ms, credit_ms(watched_ms, elapsed_ms=play.elapsed_ms))
    counted = play.is_counted or watched >= counts_at_ms(duration_ms)
    if (watched, counted) != (play.watched_ms, play.is_counted):
        await tx.run(
            """
            UPDATE videos.play SET watched_ms = %(watched)s, is_counted = %(counted)s, heard_at = %(now)s
            WHERE id = %(id)s
            """,
            id=play_id,
            watched=watched,
            counted=counted,
            now=tx.now,
        )
        await count(
            tx, video_id, viewer_id, plays=int(counted and not play.is_counted), watched_ms=watched - play.watched_ms
        )
    return Played(watched, counted)


async def like(tx: Tx, viewer_id: ViewerId, video_id: VideoId) -> None:
    """Like a video; again changes nothing."""
    await _duration_of(tx, video_id)
    if await tx.run(
        """
        INSERT INTO videos.liking (video_id, viewer_id, liked_at) VALUES (%(video_id)s, %(viewer_id)s, %(now)s)
        ON CONFLICT DO NOTHING
        """,
        video_id=video_id,
        viewer_id=viewer_id,
        now=tx.now,
    ):
        await count(tx, video_id, viewer_id, likes=1)


async def unlike(tx: Tx, viewer_id: ViewerId, video_id: VideoId) -> None:
    """Take the like back; none to take back is fine."""
    if await tx.run(
        "DELETE FROM videos.liking WHERE video_id = %(video_id)s AND viewer_id = %(viewer_id)s",
        video_id=video_id,
        viewer_id=viewer_id,
    ):
        await count(tx, video_id, viewer_id, likes=-1)


async def count(
    tx: Tx,
    video_id: VideoId,
    viewer_id: ViewerId,
    *,
    plays: int = 0,
    watched_ms: int = 0,
    likes: int = 0,
    comments: int = 0,
) -> None:
    """Add to the viewer's slot of a video's sums."""
    slot = slot_of(viewer_id)
    await tx.run(
        "INSERT INTO videos.figure (video_id, slot) VALUES (%(video_id)s, %(slot)s) ON CONFLICT DO NOTHING",
        video_id=video_id,
        slot=slot,
    )
    await tx.run(
        """
        UPDATE videos.figure
        SET plays = plays + %(plays)s, watched_ms = watched_ms + %(watched_ms)s, likes = likes + %(likes)s,
            comments = comments + %(comments)s
        WHERE video_id = %(video_id)s AND slot = %(slot)s
        """,
        video_id=video_id,
        slot=slot,
        plays=plays,
        watched_ms=watched_ms,
        likes=likes,
        comments=comments,
    )


async def merge(tx: Tx, guest_id: ViewerId, viewer_id: ViewerId) -> None:
    """A guest became an account: it likes what the guest liked, and the plays are its own."""
    await tx.run(
        "UPDATE videos.play SET viewer_id = %(viewer_id)s WHERE viewer_id = %(guest_id)s",
        guest_id=guest_id,
        viewer_id=viewer_id,
    )
    liked = await tx.all(
        UUID,
        "DELETE FROM videos.liking WHERE viewer_id = %(guest_id)s RETURNING video_id",
        guest_id=guest_id,
    )
    for video_id in sorted(liked):
        await count(tx, VideoId(video_id), guest_id, likes=-1)
        if await tx.run(
            """
            INSERT INTO videos.liking (video_id, viewer_id, liked_at) VALUES (%(video_id)s, %(viewer_id)s, %(now)s)
            ON CONFLICT DO NOTHING
            """,
            video_id=video_id,
            viewer_id=viewer_id,
            now=tx.now,
        ):
            await count(tx, VideoId(video_id), viewer_id, likes=1)


async def _duration_of(tx: Tx, video_id: VideoId) -> int:
    """Of a video that can be seen; any other is not there."""
    duration_ms = await tx.maybe(
        int,
        """
        SELECT duration_ms FROM videos.video
        WHERE id = %(id)s AND state = 'published' AND film_state = 'ready'
        """,
        id=video_id,
    )
    if duration_ms is None:
        raise NotFound()
    return duration_ms


async def _hold_play(tx: Tx, play_id: PlayId, *, at_most_new: tuple[ViewerId, VideoId, str, str]) -> _Play:
    """The play with its row locked; begun now if it is new, and if that is not too fast."""
    query = """
        SELECT video_id, viewer_id, (extract(epoch FROM %(now)s::timestamptz - began_at) * 1000)::int AS elapsed_ms,
               watched_ms, is_counted
        FROM videos.play WHERE id = %(id)s FOR NO KEY UPDATE
        """
    play = await tx.maybe(_Play, query, id=play_id, now=tx.now)
    if play is not None:
        return play
    viewer_id, video_id, source, placement = at_most_new
    begun = await tx.one(
        int,
        """
        SELECT count(*) FROM videos.play
        WHERE viewer_id = %(viewer_id)s AND began_at > %(now)s::timestamptz - interval '1 minute'
        """,
        viewer_id=viewer_id,
        now=tx.now,
    )
    if begun >= PLAYS_PER_MINUTE_MAX:
        raise TooFast(retry_after_s=60)
    await tx.run(
        """
        INSERT INTO videos.play (id, video_id, viewer_id, source, placement, began_at, heard_at)
        VALUES (%(id)s, %(video_id)s, %(viewer_id)s, %(source)s, %(placement)s, %(now)s, %(now)s)
        ON CONFLICT DO NOTHING
        """,
        id=play_id,
        video_id=video_id,
        viewer_id=viewer_id,
        source=source,
        placement=placement,
        now=tx.now,
    )
    return await tx.one(_Play, query, id=play_id, now=tx.now)
