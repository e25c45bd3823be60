"""Evidence: pictures and short films that go with an entry. Whoever is a side of the case may see them, nobody else.

A picture is brought as any other (`uploads`, purpose `evidence`) and made anew; a film is brought as an upload and made
one that browsers play by a job, which may be killed at any instant. Both lie apart from what everybody may see.
"""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import msgspec

from laotie import media, uploads
from laotie.aftersales.model import (
    EXHIBITS_PER_CASE_MAX,
    EXHIBITS_PER_ENTRY_MAX,
    CaseFull,
    CaseId,
    ExhibitId,
    ExhibitRefused,
    StepRefused,
)
from laotie.base import jobs
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId
from laotie.base.logs import log
from laotie.base.refusals import Invalid, NotFound
from laotie.base.settings import Settings
from laotie.uploads import PictureId, Purpose, UploadId

DEVELOP = "aftersales.develop"
FILM_BYTES_MAX = 64 * 1024 * 1024
FILM_SECONDS_MAX = 90
ATTEMPTS_MAX = 3


class Exhibit(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a case: `picture` or `film`; a film can be seen when it is `ready`."""

    id: ExhibitId
    case_id: CaseId
    entry_no: int
    kind: str
    state: str
    width: int | None
    height: int | None


async def begin_film(tx: Tx, owner_id: AccountId, upload_id: UploadId, *, size_bytes: int) -> uploads.Upload:
    """Announce a film that will be evidence."""
    return await uploads.begin(tx, owner_id, upload_id, size_bytes=size_bytes, bytes_max=FILM_BYTES_MAX)


async def attach(
    tx: Tx, case_id: CaseId, entry_no: int, owner_id: AccountId, files: Sequence[ExhibitId], *, data: Path
) -> None:
    """Put files with an entry: each one's own, brought for evidence, and in one case only."""
    if len(files) > EXHIBITS_PER_ENTRY_MAX or len(set(files)) < len(files):
        raise StepRefused(field="exhibits")
    if not files:
        return
    there = await tx.one(int, "SELECT count(*) FROM aftersales.exhibit WHERE case_id = %(id)s", id=case_id)
    if there + len(files) > EXHIBITS_PER_CASE_MAX:
        raise CaseFull(count_max=EXHIBITS_PER_CASE_MAX)
    shown = []
    for file_id in files:
        if await _is_taken(tx, file_id):
            raise ExhibitRefused(id=file_id)
        if await uploads.find(tx, UploadId(file_id)) is not None:
            await uploads.take(tx, data, owner_id, UploadId(file_id), taker=f"case:{case_id}")
            film = Exhibit(
                id=file_id,
                case_id=case_id,
                entry_no=entry_no,
                kind="film",
                state="processing",
                width=None,
                height=None,
            )
            await _add(tx, film)
            await jobs.defer(tx, DEVELOP, {"exhibit_id": file_id})
            continue
        try:
            picture = await uploads.get_picture(tx, PictureId(file_id))
        except NotFound:
            raise ExhibitRefused(id=file_id) from None
        if picture.owner_id != owner_id or picture.purpose is not Purpose.evidence:
            raise ExhibitRefused(id=file_id)
        shown.append(f"{uploads.PICTURE_PATH}{file_id}.webp")
        await _add(
            tx,
            Exhibit(
                id=file_id,
                case_id=case_id,
                entry_no=entry_no,
                kind="picture",
                state="ready",
                width=picture.width,
                height=picture.height,
            ),
        )
    await uploads.show_pictures(tx, f"case:{case_id}:{entry_no}", shown)


async def find_exhibit(tx: Tx, exhibit_id: ExhibitId) -> Exhibit | None:
    """A file of whatever case."""
    return await tx.maybe(
        Exhibit,
        "SELECT id, case_id, entry_no, kind, state, width, height FROM aftersales.exhibit WHERE id = %(id)s",
        id=exhibit_id,
    )


async def list_exhibits(tx: Tx, case_id: CaseId) -> list[Exhibit]:
    """All files of a case, in the order of its log."""
    return await tx.all(
        Exhibit,
        """
        SELECT id, case_id, entry_no, kind, state, width, height FROM aftersales.exhibit
        WHERE case_id = %(id)s ORDER BY entry_no, id
        """,
        id=case_id,
    )


def exhibit_place(data: Path, exhibit: Exhibit, *, poster: bool = False) -> Path:
    """Where its file is, or a film's poster."""
    if exhibit.kind == "picture":
        return uploads.evidence_place(data, PictureId(exhibit.id))
    return _film_place(data, exhibit.id, ".jpg" if poster else ".mp4")


@jobs.task(DEVELOP)
async def develop(context: jobs.Context, *, exhibit_id: str) -> None:
    """Prepare a film. What is wrong with it is noted; what is wrong with the machine is tried again."""
    id_ = ExhibitId(UUID(exhibit_id))
    async with context.db.tx() as tx:
        attempts = await tx.maybe(
            int,
            """
            UPDATE aftersales.exhibit SET attempts = attempts + 1
            WHERE id = %(id)s AND state = 'processing' RETURNING attempts
            """,
            id=id_,
        )
    if attempts is None:
        return
    staging = context.settings.data_path / "evidence" / "staging" / exhibit_id
    try:
        await asyncio.to_thread(_clear, staging)
        if attempts > ATTEMPTS_MAX:
            raise media.FilmTooHard()
        finished = await _finish(context.settings, id_, staging)
        await asyncio.to_thread(_put_in_place, context.settings.data_path, finished, id_)
        await _note(context.db, id_, "ready", finished.width, finished.height)
    except Invalid as refusal:
        log.info("evidence was refused", exhibit=exhibit_id, code=refusal.code, facts=refusal.facts())
        await _note(context.db, id_, "failed", None, None)
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, staging, ignore_errors=True))
    uploads.discard(context.settings.data_path, UploadId(id_))


async def _finish(settings: Settings, exhibit_id: ExhibitId, staging: Path) -> media.Finished:
    source = uploads.place_of(settings.data_path, UploadId(exhibit_id))
    if not source.exists():
        raise media.FilmBroken(reason="its file is gone")
    await asyncio.to_thread(uploads.check_disk, staging, wanted_bytes=source.stat().st_size)
    bounds = media.FilmBounds(seconds_max=FILM_SECONDS_MAX, bytes_max=4 * FILM_BYTES_MAX, cpu_s_max=300)
    limits = media.Limits(ffmpeg=settings.ffmpeg or "")
    film = await media.examine(source, bounds, limits)

    async def progress(_share: float) -> None:
        return None

    return await media.finish(source, film, staging, bounds, limits, progress=progress)


async def _note(db: Database, exhibit_id: ExhibitId, state: str, width: int | None, height: int | None) -> None:
    async with db.tx() as tx:
        await uploads.release(tx, UploadId(exhibit_id))
        await tx.run(
            """
            UPDATE aftersales.exhibit SET state = %(state)s, width = %(width)s, height = %(height)s
            WHERE id = %(id)s AND state = 'processing'
            """,
            id=exhibit_id,
            state=state,
            width=width,
            height=height,
        )


async def _add(tx: Tx, exhibit: Exhibit) -> None:
    await tx.run(
        """
        INSERT INTO aftersales.exhibit (case_id, id, entry_no, kind, state, width, height)
        VALUES (%(case_id)s, %(id)s, %(entry_no)s, %(kind)s, %(state)s, %(width)s, %(height)s)
        """,
        **msgspec.structs.asdict(exhibit),
    )


async def _is_taken(tx: Tx, file_id: ExhibitId) -> bool:
    return await tx.one(bool, "SELECT EXISTS (SELECT FROM aftersales.exhibit WHERE id = %(id)s)", id=file_id)


def _film_place(data: Path, exhibit_id: ExhibitId, suffix: str) -> Path:
    return data / "evidence" / exhibit_id.hex[-2:] / f"{exhibit_id}{suffix}"


def _clear(staging: Path) -> None:
    """What a killed attempt left is not built upon."""
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)


def _put_in_place(data: Path, finished: media.Finished, exhibit_id: ExhibitId) -> None:
    place = _film_place(data, exhibit_id, ".mp4")
    place.parent.mkdir(parents=True, exist_ok=True)
    finished.poster.replace(_film_place(data, exhibit_id, ".jpg"))
    finished.film.replace(place)
