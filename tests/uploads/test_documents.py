"""Documents are kept as pictures of their pages, for who brought them, and swept when nothing shows them."""

from pathlib import Path

import pytest

from films import picture
from laotie import uploads
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import AccountId, new_id
from laotie.demo.dealers import ORIGIN, paper
from laotie.media import Limits
from laotie.uploads import Document, DocumentGone, DocumentId
from studio import pieces

ANNA, BOB = AccountId(new_id()), AccountId(new_id())
DAY_S = 24 * 3600


async def bring(db: Database, data: Path, content: bytes, document_id: DocumentId | None = None) -> Document:
    return await uploads.bring_document(
        db, data, ANNA, document_id or DocumentId(new_id()), pieces(content), pixels_max=50_000_000, limits=Limits()
    )


def files(data: Path) -> set[str]:
    return {path.name for path in data.rglob("*") if path.is_file()}


async def test_what_nothing_holds_is_swept_and_what_something_holds_stays(
    db: Database, tmp_path: Path, clock: Clock
) -> None:
    held, loose = await bring(db, tmp_path, paper(ORIGIN)), await bring(db, tmp_path, picture("PNG"))
    assert files(tmp_path) == {f"{held.id}-1.webp", f"{loose.id}-1.webp"}
    async with db.tx() as tx:
        await uploads.hold_documents(tx, ANNA, "batch:1", [held.id])
        with pytest.raises(DocumentGone):
            await uploads.hold_documents(tx, BOB, "batch:2", [held.id])
    assert await uploads.sweep_documents(db, tmp_path) == 0
    clock.advance(seconds=DAY_S + 1)
    assert await uploads.sweep_documents(db, tmp_path) == 1
    assert files(tmp_path) == {f"{held.id}-1.webp"}
    async with db.tx() as tx:
        with pytest.raises(DocumentGone):
            await uploads.hold_documents(tx, ANNA, "batch:1", [loose.id])


async def test_pages_that_a_crash_left_out_are_drawn_by_the_next_try(db: Database, tmp_path: Path) -> None:
    document = await bring(db, tmp_path, paper(ORIGIN))
    uploads.page_place(tmp_path, document.id, 1).unlink()
    assert await bring(db, tmp_path, paper(ORIGIN), document.id) == document
    assert files(tmp_path) == {f"{document.id}-1.webp"}
