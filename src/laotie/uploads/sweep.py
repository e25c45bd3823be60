"""What nobody came back for: uploads that broke off, pictures that nothing shows, files that no row knows."""

import time
from pathlib import Path
from uuid import UUID

from laotie.base.db import Database
from laotie.base.logs import log
from laotie.uploads.intake import discard
from laotie.uploads.model import (
    STRAY_AGE_MAX,
    SWEPT_AT_ONCE_MAX,
    UNUSED_AGE_MAX,
    UPLOAD_AGE_MAX,
    PictureId,
    Purpose,
    UploadId,
)
from laotie.uploads.pictures import place_for


async def sweep(db: Database, data: Path) -> int:
    """Throw away one bounded batch; returns how many. Rows go first, so that no row outlives its file."""
    async with db.tx() as tx:
        uploads = await tx.all(
            UUID,
            """
            DELETE FROM uploads.upload WHERE id IN (
                SELECT id FROM uploads.upload WHERE created_at < %(before)s AND taken_by IS NULL
                ORDER BY created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
            RETURNING id
            """,
            before=tx.now - UPLOAD_AGE_MAX,
            limit=SWEPT_AT_ONCE_MAX,
        )
        pictures = await tx.tuples(
            """
            DELETE FROM uploads.picture WHERE id IN (
                SELECT id FROM uploads.picture WHERE created_at < %(before)s
                  AND NOT EXISTS (SELECT FROM uploads.picture_use WHERE picture_use.picture_id = picture.id)
                ORDER BY created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
            RETURNING id, purpose
            """,
            before=tx.now - UNUSED_AGE_MAX,
            limit=SWEPT_AT_ONCE_MAX,
        )
    for upload_id in uploads:
        discard(data, UploadId(upload_id))
    for picture_id, purpose in pictures:
        place_for(data, PictureId(picture_id), Purpose(purpose)).unlink(missing_ok=True)
    if uploads or pictures:
        log.info("swept uploads", uploads=len(uploads), pictures=len(pictures))
    return len(uploads) + len(pictures)


async def sweep_strays(db: Database, data: Path) -> int:
    """Throw away files that no row knows: what a crash left between the two. Returns how many."""
    stale = [
        path
        for path in (data / "uploads").glob("*")
        if path.is_file() and time.time() - path.stat().st_mtime > STRAY_AGE_MAX.total_seconds()
    ][:SWEPT_AT_ONCE_MAX]
    named = {id_: path for path in stale if (id_ := _id_of(path)) is not None and path.suffix == ".part"}
    async with db.read() as tx:
        known = set(await tx.all(UUID, "SELECT id FROM uploads.upload WHERE id = ANY(%(ids)s)", ids=list(named)))
    strays = [path for path in stale if path not in named.values()]
    strays += [path for id_, path in named.items() if id_ not in known]
    for path in strays:
        path.unlink(missing_ok=True)
    return len(strays)


def _id_of(path: Path) -> UUID | None:
    try:
        return UUID(path.stem)
    except ValueError:
        return None
