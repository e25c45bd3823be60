"""The film of a video: prepared by a job that may be killed at any instant, kept under a name that nobody can guess.

The job works in a directory of its own, and puts film and poster in their place before the row says so. Killed in the
middle, it is given to another process half a minute later and begins anew; after `ATTEMPTS_MAX` beginnings the film has
failed, and nothing of it is left.
"""

import asyncio
import shutil
import time
from pathlib import Path
from uuid import UUID

import msgspec

from laotie import media, uploads
from laotie.base import jobs
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, ShopId, ShowId
from laotie.base.logs import log
from laotie.base.refusals import Invalid, NotFound
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.events.videos import VideoPublished
from laotie.uploads import UploadId
from laotie.videos.model import ATTEMPTS_MAX, FILM_PATH, PREVIEW_AGE_MAX_S, VideoId, VideoState

DEVELOP = "videos.develop"
DISCARD = "videos.discard"
PROGRESS_EVERY_S = 1.0
GROWTH_BYTES = 256 * 1024 * 1024
"""A film may come out this much larger than it came in; encoding anew can do that to a short one."""


class Work(msgspec.Struct, frozen=True):
    """What a job has to do."""

    id: VideoId
    upload_id: UploadId
    film_id: UUID
    attempts: int


class ShownFilm(msgspec.Struct, frozen=True):
    """A film as it lies on disk."""

    film_id: UUID
    state: VideoState
    size_bytes: int


def check_head(head: bytes) -> None:
    """Refuse `NotAFilm` for a file that does not begin as a film does. Its name and type are not asked."""
    if media.container_of(head) is None:
        raise media.NotAFilm()


def lane_of(video_id: UUID, lanes: int) -> str:
    """Jobs in one lane wait for each other, so that at most `lanes` films are prepared at once."""
    return f"{DEVELOP}.{video_id.int % max(1, lanes)}"


def film_place(data: Path, film_id: UUID, suffix: str = ".mp4") -> Path:
    """Where a finished film or its poster (`.jpg`) is."""
    return data / "videos" / film_id.hex[-2:] / f"{film_id}{suffix}"


def film_address(film_id: UUID) -> str:
    """Where players get it."""
    return f"{FILM_PATH}{film_id}.mp4"


def poster_address(film_id: UUID) -> str:
    """Where pages get its poster."""
    return f"{FILM_PATH}{film_id}.jpg"


def preview_address(signer: Signer, address: str, film_id: UUID) -> str:
    """The same for those who may see what is not published: signed, for a day."""
    return f"{address}?preview={signer.sign('film', str(film_id))}"


async def find_film(tx: Tx, signer: Signer, film_id: UUID, *, preview: str | None) -> ShownFilm:
    """A finished film: of a published video for everybody, of another for who has a preview. Else `NotFound`."""
    film = await tx.maybe(
        ShownFilm,
        """
        SELECT film_id, state, size_bytes FROM videos.video
        WHERE film_id = %(film_id)s AND film_state = 'ready' AND state <> 'removed'
        """,
        film_id=film_id,
    )
    if film is None:
        raise NotFound()
    if film.state is not VideoState.published:
        named = signer.open("film", preview, str, age_max_s=PREVIEW_AGE_MAX_S) if preview else None
        if named != str(film_id):
            raise NotFound()
    return film


async def announce(tx: Tx, video_id: VideoId) -> None:
    """If it can be seen now and never could before: note when, and tell `VideoPublished`."""
    seen = await tx.maybe(
        _Seen,
        """
        UPDATE videos.video SET published_at = %(now)s
        WHERE id = %(id)s AND state = 'published' AND film_state = 'ready' AND published_at IS NULL
        RETURNING shop_id, streamer_id, title, warms_up
        """,
        id=video_id,
        now=tx.now,
    )
    if seen is not None:
        tx.tell(
            VideoPublished(
                video_id=video_id,
                shop_id=seen.shop_id,
                streamer_id=seen.streamer_id,
                title=seen.title,
                warms_up=seen.warms_up,
                published_at=tx.now,
            )
        )


class _Seen(msgspec.Struct, frozen=True):
    shop_id: ShopId
    streamer_id: AccountId
    title: str
    warms_up: ShowId | None


@jobs.task(DEVELOP)
async def develop(context: jobs.Context, *, video_id: str) -> None:
    """Prepare a video's film. What is wrong with it is noted; what is wrong with the machine is tried again."""
    db, settings = context.db, context.settings
    async with db.tx() as tx:
        work = await _begin(tx, VideoId(UUID(video_id)))
    if work is None:
        return
    staging = settings.data_path / "videos" / "staging" / video_id
    try:
        await asyncio.to_thread(_clear, staging)
        if work.attempts > ATTEMPTS_MAX:
            raise media.FilmTooHard()
        finished = await _finish(db, settings, work, staging)
        await asyncio.to_thread(_put_in_place, settings.data_path, finished, work.film_id)
        is_kept = await _note_ready(db, work, finished)
        if not is_kept:
            remove_film(settings.data_path, work.film_id)
    except Invalid as refusal:
        log.info("a film was refused", video=video_id, code=refusal.code, facts=refusal.facts())
        await _note_failed(db, work, refusal)
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, staging, ignore_errors=True))
    uploads.discard(settings.data_path, work.upload_id)


@jobs.task(DISCARD)
async def discard(context: jobs.Context, *, film_id: str) -> None:
    """Remove the files of a video that was removed."""
    await asyncio.to_thread(remove_film, context.settings.data_path, UUID(film_id))


def remove_film(data: Path, film_id: UUID) -> None:
    """Remove film and poster, if they are there."""
    for suffix in (".mp4", ".jpg"):
        film_place(data, film_id, suffix).unlink(missing_ok=True)


def bounds_of(settings: Settings) -> media.FilmBounds:
    """What a film may be, as it is set."""
    return media.FilmBounds(
        seconds_max=settings.video_seconds_max,
        side_max=settings.video_side_max,
        kbits_max=settings.video_kbits_max,
        cpu_s_max=settings.video_cpu_s_max,
        bytes_max=settings.video_bytes_max + GROWTH_BYTES,
    )


async def _begin(tx: Tx, video_id: VideoId) -> Work | None:
    return await tx.maybe(
        Work,
        """
        UPDATE videos.video SET attempts = attempts + 1, progress_bps = 0
        WHERE id = %(id)s AND film_state = 'processing' RETURNING id, upload_id, film_id, attempts
        """,
        id=video_id,
    )


async def _finish(db: Database, settings: Settings, work: Work, staging: Path) -> media.Finished:
    source = uploads.place_of(settings.data_path, work.upload_id)
    if not source.exists():
        raise media.FilmBroken(reason="its file is gone")
    await asyncio.to_thread(uploads.check_disk, staging, wanted_bytes=source.stat().st_size)
    bounds, limits = bounds_of(settings), media.Limits(ffmpeg=settings.ffmpeg or "")
    film = await media.examine(source, bounds, limits)
    told_at = 0.0

    async def progress(share: float) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= PROGRESS_EVERY_S:
            told_at = time.monotonic()
            async with db.tx() as tx:
                await _note_progress(tx, work.id, share)

    return await media.finish(source, film, staging, bounds, limits, progress=progress)


async def _note_progress(tx: Tx, video_id: VideoId, share: float) -> None:
    await tx.run(
        "UPDATE videos.video SET progress_bps = %(bps)s WHERE id = %(id)s AND film_state = 'processing'",
        id=video_id,
        bps=round(share * 10_000),
    )


async def _note_ready(db: Database, work: Work, finished: media.Finished) -> bool:
    """Whether the video still wants its film."""
    async with db.tx() as tx:
        await uploads.release(tx, work.upload_id)
        ready = await tx.run(
            """
            UPDATE videos.video
            SET film_state = 'ready', progress_bps = 10000, problem = NULL, duration_ms = %(duration_ms)s,
                width = %(width)s, height = %(height)s, size_bytes = %(size_bytes)s
            WHERE id = %(id)s AND film_state = 'processing' AND state <> 'removed'
            """,
            id=work.id,
            duration_ms=finished.duration_ms,
            width=finished.width,
            height=finished.height,
            size_bytes=finished.size_bytes,
        )
        await announce(tx, work.id)
    return bool(ready)


async def _note_failed(db: Database, work: Work, refusal: Invalid) -> None:
    async with db.tx() as tx:
        await uploads.release(tx, work.upload_id)
        await tx.run(
            """
            UPDATE videos.video
            SET film_state = 'failed', problem = %(problem)s,
                state = CASE WHEN state = 'published' THEN 'draft' ELSE state END
            WHERE id = %(id)s AND film_state = 'processing'
            """,
            id=work.id,
            problem=refusal.code,
        )


def _clear(staging: Path) -> None:
    """What a killed attempt left is not built upon."""
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)


def _put_in_place(data: Path, finished: media.Finished, film_id: UUID) -> None:
    for made, suffix in ((finished.poster, ".jpg"), (finished.film, ".mp4")):
        place = film_place(data, film_id, suffix)
        place.parent.mkdir(parents=True, exist_ok=True)
        made.rename(place)
