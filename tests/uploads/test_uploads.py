"""Bytes on their way: one writer at a time, bounds, and the sweeping of what nobody came back for."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from films import picture
from laotie import uploads
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import AccountId, new_id
from laotie.base.refusals import IdReused, NotFound
from laotie.media import Limits, PictureBounds
from laotie.uploads import Picture, PictureId, Purpose, Upload, UploadId
from studio import pieces

ANNA = AccountId(new_id())
DAY_S = 24 * 3600


async def begin(db: Database, size: int, upload_id: UploadId | None = None, owner: AccountId = ANNA) -> Upload:
    async with db.tx() as tx:
        return await uploads.begin(
            tx, owner, upload_id or UploadId(new_id()), size_bytes=size, bytes_max=1_000_000
        )


async def bring(db: Database, data: Path, content: bytes) -> Picture:
    return await uploads.bring_picture(
        db,
        data,
        ANNA,
        PictureId(new_id()),
        pieces(content),
        purpose=Purpose.product,
        bytes_max=1_000_000,
        bounds=PictureBounds(),
        limits=Limits(),
    )


def files(data: Path) -> set[str]:
    return {path.name for path in data.rglob("*") if path.is_file()}


async def test_an_announcement_is_told_by_its_id_and_bounded(db: Database) -> None:
    first = await begin(db, 100)
    assert await begin(db, 100, first.id) == first
    with pytest.raises(IdReused):
        await begin(db, 200, first.id)
    with pytest.raises(uploads.UploadTooLarge):
        await begin(db, 1_000_001)
    with pytest.raises(uploads.UploadEmpty):
        await begin(db, 0)
    for _ in range(4):
        await begin(db, 1)
    with pytest.raises(uploads.UploadsOpen):
        await begin(db, 1)
    async with db.read() as tx:
        with pytest.raises(NotFound):
            await uploads.get_own(tx, AccountId(new_id()), first.id)


async def test_only_one_writes_at_a_time_and_what_arrived_before_a_break_stays(db: Database, tmp_path: Path) -> None:
    upload = await begin(db, 10)
    began, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"12345"
        began.set()
        await go_on.wait()
        raise ConnectionError

    async def write() -> None:
        with pytest.raises(ConnectionError):
            await uploads.append(tmp_path, upload, offset=0, pieces=slow())

    writing = asyncio.create_task(write())
    await began.wait()
    with pytest.raises(uploads.UploadBusy):
        await uploads.append(tmp_path, upload, offset=0, pieces=pieces(b"x"))
    go_on.set()
    await writing
    here = uploads.received_bytes(tmp_path, upload)
    assert await uploads.append(tmp_path, upload, offset=here, pieces=pieces(b"1234567890"[here:])) == 10
    assert uploads.place_of(tmp_path, upload.id).read_bytes() == b"1234567890"


async def test_uploads_that_broke_off_are_swept_after_a_day(db: Database, tmp_path: Path, clock: Clock) -> None:
    left, taken = await begin(db, 4), await begin(db, 4)
    for one in (left, taken):
        await uploads.append(tmp_path, one, offset=0, pieces=pieces(b"1234"))
    async with db.tx() as tx:
        await uploads.take(tx, tmp_path, ANNA, taken.id, taker="a test")
    clock.advance(seconds=DAY_S + 1)
    assert await uploads.sweep(db, tmp_path) == 1
    assert files(tmp_path) == {f"{taken.id}.part"}


async def test_files_that_no_row_knows_are_swept_after_an_hour(db: Database, tmp_path: Path) -> None:
    known = await begin(db, 4)
    await uploads.append(tmp_path, known, offset=0, pieces=pieces(b"1234"))
    stray = tmp_path / "uploads" / f"{new_id()}.part"
    half = tmp_path / "uploads" / f"{new_id()}.picture"
    for path in (stray, half, uploads.place_of(tmp_path, known.id)):
        path.write_bytes(b"1234")
        os.utime(path, (0, 0))
    (tmp_path / "uploads" / f"{new_id()}.part").write_bytes(b"young")
    assert await uploads.sweep_strays(db, tmp_path) == 2
    assert len(files(tmp_path)) == 2


async def test_a_picture_that_nothing_shows_is_swept_and_one_that_is_shown_stays(
    db: Database, tmp_path: Path, clock: Clock
) -> None:
    shown, dropped, never = [await bring(db, tmp_path, picture()) for _ in range(3)]
    async with db.tx() as tx:
        await uploads.show_pictures(tx, "product:1", [shown.url, dropped.url, "https://elsewhere.example/a.png", None])
        await uploads.show_pictures(tx, "product:1", [shown.url])
    clock.advance(seconds=DAY_S + 1)
    assert await uploads.sweep(db, tmp_path) == 2
    assert files(tmp_path) == {f"{shown.id}.webp"}
    with pytest.raises(uploads.PictureGone):
        async with db.tx() as tx:
            await uploads.show_pictures(tx, "product:2", [never.url])


async def test_a_picture_whose_file_a_crash_kept_away_is_put_there_by_the_next_try(db: Database, tmp_path: Path) -> None:
    picture_id, content = PictureId(new_id()), picture()

    async def put() -> Picture:
        return await uploads.bring_picture(
            db,
            tmp_path,
            ANNA,
            picture_id,
            pieces(content),
            purpose=Purpose.avatar,
            bytes_max=1_000_000,
            bounds=PictureBounds(),
            limits=Limits(),
        )

    first = await put()
    place = uploads.picture_place(tmp_path, picture_id)
    place.unlink()
    assert await put() == first and place.exists()
