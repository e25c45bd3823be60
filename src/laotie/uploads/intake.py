"""Bytes on their way here: streamed to disk piece by piece, resumed where they broke off, thrown away when they stop.

How much has arrived is the file's own size, so a crash between two pieces can't make the two disagree. The path is made
of the id alone; nothing that a client says becomes part of it.
"""

import asyncio
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO

from laotie.base.db import Tx
from laotie.base.ids import AccountId
from laotie.base.refusals import IdReused, Invalid, NotFound
from laotie.uploads.model import (
    DISK_LEFT_BYTES_MIN,
    OPEN_MAX,
    DiskFull,
    OffsetWrong,
    Upload,
    UploadBusy,
    UploadEmpty,
    UploadId,
    UploadIncomplete,
    UploadOverflow,
    UploadsOpen,
    UploadTaken,
    UploadTooLarge,
)

WRITTEN_AT_ONCE = 512 * 1024
HEAD_BYTES = 64


async def begin(tx: Tx, owner_id: AccountId, upload_id: UploadId, *, size_bytes: int, bytes_max: int) -> Upload:
    """Announce a file. The same announcement again is the same upload; another under its id is `IdReused`.

    Refuses `UploadEmpty`, `UploadTooLarge`, `UploadsOpen`.
    """
    if size_bytes <= 0:
        raise UploadEmpty()
    if size_bytes > bytes_max:
        raise UploadTooLarge(bytes_max=bytes_max)
    known = await find(tx, upload_id)
    if known is None:
        await tx.run("SELECT pg_advisory_xact_lock(hashtextextended(%(key)s, 0))", key=f"uploads.owner.{owner_id}")
        on_their_way = await tx.one(
            int,
            "SELECT count(*) FROM uploads.upload WHERE owner_id = %(owner_id)s AND taken_by IS NULL",
            owner_id=owner_id,
        )
        if on_their_way >= OPEN_MAX:
            raise UploadsOpen(count_max=OPEN_MAX)
        await tx.run(
            """
            INSERT INTO uploads.upload (id, owner_id, size_bytes, created_at)
            VALUES (%(id)s, %(owner_id)s, %(size_bytes)s, %(now)s) ON CONFLICT DO NOTHING
            """,
            id=upload_id,
            owner_id=owner_id,
            size_bytes=size_bytes,
            now=tx.now,
        )
        known = await find(tx, upload_id)
        assert known is not None
    if (known.owner_id, known.size_bytes) != (owner_id, size_bytes):
        raise IdReused()
    return known


async def find(tx: Tx, upload_id: UploadId) -> Upload | None:
    """An upload, whoever's it is."""
    return await tx.maybe(
        Upload,
        "SELECT id, owner_id, size_bytes, taken_by, created_at FROM uploads.upload WHERE id = %(id)s",
        id=upload_id,
    )


async def get_own(tx: Tx, owner_id: AccountId, upload_id: UploadId) -> Upload:
    """One's own upload; anybody else's is not there."""
    upload = await find(tx, upload_id)
    if upload is None or upload.owner_id != owner_id:
        raise NotFound()
    return upload


def received_bytes(data: Path, upload: Upload) -> int:
    """How much of it is here."""
    try:
        return place_of(data, upload.id).stat().st_size
    except FileNotFoundError:
        return 0


async def append(
    data: Path,
    upload: Upload,
    *,
    offset: int,
    pieces: AsyncIterator[bytes],
    check_head: Callable[[bytes], None] = lambda _head: None,
) -> int:
    """Write what comes from `offset` on; returns how much is here then. What arrived before a break stays.

    One writer at a time, over all processes (`UploadBusy`). Refuses `OffsetWrong`, `UploadTaken`, `DiskFull`, and more
    than was announced (`UploadOverflow`), of which nothing is kept. `check_head` gets the first bytes of the file and
    may refuse, so that a file of the wrong kind does not travel to its end.
    """
    if upload.taken_by is not None:
        raise UploadTaken()
    file = await asyncio.to_thread(_open, data, upload, offset)
    try:
        held = bytearray()
        at = offset
        async for piece in pieces:
            held += piece
            if at + len(held) > upload.size_bytes:
                raise UploadOverflow(size_bytes=upload.size_bytes)
            if at == 0 and len(held) >= HEAD_BYTES:
                check_head(bytes(held[:HEAD_BYTES]))
            if len(held) >= WRITTEN_AT_ONCE:
                at += await asyncio.to_thread(_write, file, held)
        at += await asyncio.to_thread(_write, file, held)
        if at == upload.size_bytes:
            await asyncio.to_thread(os.fsync, file.fileno())
        return at
    except Invalid:
        await asyncio.to_thread(discard, data, upload.id)
        raise
    except UploadOverflow:
        await asyncio.to_thread(file.truncate, offset)
        raise
    finally:
        file.close()


async def take(tx: Tx, data: Path, owner_id: AccountId, upload_id: UploadId, *, taker: str) -> Path:
    """Claim a complete upload for what is made of it; again by the same taker is fine.

    Refuses `NotFound`, `UploadIncomplete`, `UploadTaken`. The taker discards it when done.
    """
    upload = await get_own(tx, owner_id, upload_id)
    here = received_bytes(data, upload)
    if upload.taken_by is None and here != upload.size_bytes:
        raise UploadIncomplete(received_bytes=here, size_bytes=upload.size_bytes)
    taken = await tx.run(
        """
        UPDATE uploads.upload SET taken_by = %(taker)s
        WHERE id = %(id)s AND (taken_by IS NULL OR taken_by = %(taker)s)
        """,
        id=upload_id,
        taker=taker,
    )
    if not taken:
        raise UploadTaken()
    return place_of(data, upload_id)


async def forget(tx: Tx, owner_id: AccountId, upload_id: UploadId) -> None:
    """Call an upload off. One of which something is being made stays. `discard` the file after the commit."""
    upload = await get_own(tx, owner_id, upload_id)
    if upload.taken_by is not None:
        raise UploadTaken()
    await tx.run("DELETE FROM uploads.upload WHERE id = %(id)s AND taken_by IS NULL", id=upload_id)


async def release(tx: Tx, upload_id: UploadId) -> None:
    """What was made of it is done, or will never be. `discard` the file after the commit."""
    await tx.run("DELETE FROM uploads.upload WHERE id = %(id)s", id=upload_id)


def discard(data: Path, upload_id: UploadId) -> None:
    """Remove the file, if it is there."""
    place_of(data, upload_id).unlink(missing_ok=True)


def place_of(data: Path, upload_id: UploadId) -> Path:
    """Where its bytes are."""
    return data / "uploads" / f"{upload_id}.part"


def check_disk(directory: Path, *, wanted_bytes: int = 0) -> None:
    """Refuse `DiskFull` before the disk is so full that the database suffers."""
    directory.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(directory).free < DISK_LEFT_BYTES_MIN + wanted_bytes:
        raise DiskFull()


def _open(data: Path, upload: Upload, offset: int) -> BinaryIO:
    path = place_of(data, upload.id)
    check_disk(path.parent, wanted_bytes=upload.size_bytes - offset)
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise UploadBusy() from None
    here = file.seek(0, os.SEEK_END)
    if here != offset:
        file.close()
        raise OffsetWrong(received_bytes=here)
    return file


def _write(file: BinaryIO, held: bytearray) -> int:
    try:
        file.write(held)
        file.flush()
    except OSError:
        raise DiskFull() from None
    count = len(held)
    held.clear()
    return count
