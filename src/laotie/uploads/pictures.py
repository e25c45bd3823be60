"""Pictures that people bring: written to disk, made anew by `media`, shown by their id, kept while somebody shows them."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, new_id
from laotie.base.refusals import IdReused, NotFound
from laotie.media import Limits, PictureBounds, Print, print_picture
from laotie.uploads.intake import check_disk
from laotie.uploads.model import (
    PICTURES_PER_DAY_MAX,
    UNUSED_AGE_MAX,
    USES_MAX,
    DiskFull,
    Picture,
    PictureGone,
    PictureId,
    PicturesTooMany,
    Purpose,
    UploadEmpty,
    UploadTooLarge,
    picture_id_in,
)


async def bring_picture(
    db: Database,
    data: Path,
    owner_id: AccountId,
    picture_id: PictureId,
    pieces: AsyncIterator[bytes],
    *,
    purpose: Purpose,
    bytes_max: int,
    bounds: PictureBounds,
    limits: Limits,
) -> Picture:
    """Take a picture's bytes, make it anew, keep it. The same bytes under the same id again: the same picture.

    Refuses what is too large, no picture, broken or beyond the bounds, and leaves nothing of it. The row is written
    before the file, so a crash between them leaves no file that nobody knows; the client's next try puts it there.
    """
    async with received(data, pieces, bytes_max=bytes_max) as (path, digest):
        async with db.read() as tx:
            picture = await _find_same(tx, owner_id, picture_id, digest=digest)
            await _check_count(tx, owner_id)
        place = place_for(data, picture_id, purpose)
        if picture is not None and place.exists():
            return picture
        made = await print_picture(path, bounds, limits)
        async with db.tx() as tx:
            picture = await _add(tx, owner_id, picture_id, made, purpose=purpose, digest=digest)
        await asyncio.to_thread(store_print, place, made)
        return picture


@asynccontextmanager
async def received(data: Path, pieces: AsyncIterator[bytes], *, bytes_max: int) -> AsyncIterator[tuple[Path, bytes]]:
    """The bytes in a file of their own, with their digest, for as long as they are needed."""
    directory = data / "uploads"
    await asyncio.to_thread(check_disk, directory, wanted_bytes=bytes_max)
    path = directory / f"{new_id()}.picture"
    seen, digest = 0, hashlib.blake2b(digest_size=16)
    try:
        with path.open("xb", buffering=256 * 1024) as file:
            async for piece in pieces:
                seen += len(piece)
                if seen > bytes_max:
                    raise UploadTooLarge(bytes_max=bytes_max)
                digest.update(piece)
                _write(file, piece)
        if not seen:
            raise UploadEmpty()
        yield path, digest.digest()
    finally:
        path.unlink(missing_ok=True)


def _write(file: BinaryIO, piece: bytes) -> None:
    try:
        file.write(piece)
    except OSError:
        raise DiskFull() from None


async def _find_same(tx: Tx, owner_id: AccountId, picture_id: PictureId, *, digest: bytes) -> Picture | None:
    known = await tx.maybe(bytes, "SELECT digest FROM uploads.picture WHERE id = %(id)s", id=picture_id)
    if known is None:
        return None
    picture = await get_picture(tx, picture_id)
    if known != digest or picture.owner_id != owner_id:
        raise IdReused()
    return picture


async def _check_count(tx: Tx, owner_id: AccountId) -> None:
    brought = await tx.one(
        int,
        "SELECT count(*) FROM uploads.picture WHERE owner_id = %(owner_id)s AND created_at > %(since)s",
        owner_id=owner_id,
        since=tx.now - UNUSED_AGE_MAX,
    )
    if brought >= PICTURES_PER_DAY_MAX:
        raise PicturesTooMany(count_max=PICTURES_PER_DAY_MAX)


async def _add(
    tx: Tx, owner_id: AccountId, picture_id: PictureId, made: Print, *, purpose: Purpose, digest: bytes
) -> Picture:
    await tx.run(
        """
        INSERT INTO uploads.picture (id, owner_id, purpose, width, height, size_bytes, digest, created_at)
        VALUES (%(id)s, %(owner_id)s, %(purpose)s, %(width)s, %(height)s, %(size_bytes)s, %(digest)s, %(now)s)
        ON CONFLICT DO NOTHING
        """,
        id=picture_id,
        owner_id=owner_id,
        purpose=purpose,
        width=made.width,
        height=made.height,
        size_bytes=len(made.data),
        digest=digest,
        now=tx.now,
    )
    picture = await _find_same(tx, owner_id, picture_id, digest=digest)
    assert picture is not None
    return picture


async def get_picture(tx: Tx, picture_id: PictureId) -> Picture:
    """A picture, or `NotFound`."""
    picture = await tx.maybe(
        Picture,
        """
        SELECT id, owner_id, purpose, width, height, size_bytes, created_at FROM uploads.picture
        WHERE id = %(id)s
        """,
        id=picture_id,
    )
    if picture is None:
        raise NotFound()
    return picture


async def show_pictures(tx: Tx, holder: str, images: Iterable[str | None]) -> None:
    """Say what `holder` (`product:<id>`, `account:<id>`, …) shows from now on; of its other pictures it lets go.

    Addresses elsewhere are none of ours. A picture that was swept meanwhile is `PictureGone`.
    """
    wanted = {found: image for image in images if image and (found := picture_id_in(image)) is not None}
    assert len(wanted) <= USES_MAX
    await tx.run(
        "DELETE FROM uploads.picture_use WHERE holder = %(holder)s AND NOT picture_id = ANY(%(ids)s)",
        holder=holder,
        ids=list(wanted),
    )
    if not wanted:
        return
    there = await tx.all(
        UUID,
        "SELECT id FROM uploads.picture WHERE id = ANY(%(ids)s) ORDER BY id FOR KEY SHARE",
        ids=list(wanted),
    )
    gone = next((image for picture_id, image in wanted.items() if picture_id not in there), None)
    if gone is not None:
        raise PictureGone(image=gone)
    await tx.run(
        """
        INSERT INTO uploads.picture_use (holder, picture_id)
        SELECT %(holder)s, id FROM unnest(%(ids)s::uuid[]) AS shown (id) ON CONFLICT DO NOTHING
        """,
        holder=holder,
        ids=list(wanted),
    )


def store_print(path: Path, made: Print) -> None:
    """The whole file in its place, or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{new_id()}.draft")
    try:
        with draft.open("xb") as file:
            file.write(made.data)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise DiskFull() from None


def picture_place(data: Path, picture_id: PictureId) -> Path:
    """Where its file is; the last two digits of its id, which are random, spread the files over directories."""
    return data / "pictures" / picture_id.hex[-2:] / f"{picture_id}.webp"


def evidence_place(data: Path, picture_id: PictureId) -> Path:
    """Where a picture's file is that not everybody may see."""
    return data / "evidence" / picture_id.hex[-2:] / f"{picture_id}.webp"


def place_for(data: Path, picture_id: PictureId, purpose: Purpose) -> Path:
    """Where a picture's file is, by what it is for."""
    return (evidence_place if purpose is Purpose.evidence else picture_place)(data, picture_id)
