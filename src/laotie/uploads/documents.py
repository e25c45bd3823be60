"""Documents that people bring (certificates, inspections, contracts): kept as pictures of their pages, nothing else.

The file itself is gone when its pages are made; its SHA-256 stays, so that whoever holds the original can prove it is
the one. Who may see a document is for the room above to say.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec

from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId
from laotie.base.refusals import Conflict, IdReused, Invalid
from laotie.media import Limits, PictureBounds, print_document
from laotie.uploads.model import SWEPT_AT_ONCE_MAX, UNUSED_AGE_MAX, DocumentId
from laotie.uploads.pictures import received, store_print

DOCUMENT_BYTES_MAX = 20 * 1024 * 1024
DOCUMENTS_PER_DAY_MAX = 100
DOCUMENT_SIDE_MAX = 1800


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A document as it is kept: so many pages, each a WebP picture."""

    id: DocumentId
    owner_id: AccountId
    page_count: int
    size_bytes: int
    digest: bytes
    created_at: datetime


class DocumentsTooMany(Conflict, code="documents-too-many"):
    """You brought too many documents today; go on tomorrow."""

    count_max: int


class DocumentGone(Invalid, code="document-gone"):
    """This document is not here, or not yours to show; bring it again."""

    document_id: UUID


async def bring_document(
    db: Database,
    data: Path,
    owner_id: AccountId,
    document_id: DocumentId,
    pieces: AsyncIterator[bytes],
    *,
    pixels_max: int,
    limits: Limits,
) -> Document:
    """Take a document's bytes, draw its pages, keep those. The same bytes under the same id again: the same document."""
    async with received(data, pieces, bytes_max=DOCUMENT_BYTES_MAX) as (path, _):
        size, digest = await asyncio.to_thread(_measure, path)
        async with db.read() as tx:
            known = await _find_same(tx, owner_id, document_id, digest)
            await _check_count(tx, owner_id)
        if known is not None and page_place(data, document_id, known.page_count).exists():
            return known
        bounds = PictureBounds(pixels_max=pixels_max, side_max=DOCUMENT_SIDE_MAX)
        pages = await print_document(path, bounds, limits)
        async with db.tx() as tx:
            await tx.run(
                """
                INSERT INTO uploads.document (id, owner_id, page_count, size_bytes, digest, created_at)
                VALUES (%(id)s, %(owner_id)s, %(pages)s, %(size)s, %(digest)s, %(now)s) ON CONFLICT DO NOTHING
                """,
                id=document_id,
                owner_id=owner_id,
                pages=len(pages),
                size=size,
                digest=digest,
                now=tx.now,
            )
            document = await _find_same(tx, owner_id, document_id, digest)
        assert document is not None
        for number, page in enumerate(pages, start=1):
            await asyncio.to_thread(store_print, page_place(data, document_id, number), page)
        return document


async def find_documents(tx: Tx, document_ids: Iterable[DocumentId]) -> dict[DocumentId, Document]:
    """Those of the documents that are here, by id."""
    found = await tx.all(
        Document,
        """
        SELECT id, owner_id, page_count, size_bytes, digest, created_at FROM uploads.document WHERE id = ANY(%(ids)s)
        """,
        ids=list(document_ids),
    )
    return {document.id: document for document in found}


async def hold_documents(tx: Tx, owner_id: AccountId, holder: str, document_ids: Iterable[DocumentId]) -> None:
    """Say that `holder` (`batch:<id>`, …) shows these for good. Only one's own: another's is `DocumentGone`."""
    wanted = list(dict.fromkeys(document_ids))
    if not wanted:
        return
    own = await tx.all(
        UUID,
        "SELECT id FROM uploads.document WHERE id = ANY(%(ids)s) AND owner_id = %(owner)s ORDER BY id FOR KEY SHARE",
        ids=wanted,
        owner=owner_id,
    )
    gone = next((document_id for document_id in wanted if document_id not in own), None)
    if gone is not None:
        raise DocumentGone(document_id=gone)
    await tx.run(
        """
        INSERT INTO uploads.document_use (holder, document_id)
        SELECT %(holder)s, id FROM unnest(%(ids)s::uuid[]) AS held (id) ON CONFLICT DO NOTHING
        """,
        holder=holder,
        ids=wanted,
    )


async def sweep_documents(db: Database, data: Path) -> int:
    """Throw away one bounded batch of what nothing shows for a day; returns how many."""
    async with db.tx() as tx:
        gone = await tx.tuples(
            """
            DELETE FROM uploads.document WHERE id IN (
                SELECT id FROM uploads.document WHERE created_at < %(before)s
                  AND NOT EXISTS (SELECT FROM uploads.document_use WHERE document_use.document_id = document.id)
                ORDER BY created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
            RETURNING id, page_count
            """,
            before=tx.now - UNUSED_AGE_MAX,
            limit=SWEPT_AT_ONCE_MAX,
        )
    for document_id, count in gone:
        for number in range(1, count + 1):
            page_place(data, document_id, number).unlink(missing_ok=True)
    return len(gone)


def page_place(data: Path, document_id: DocumentId, number: int) -> Path:
    """Where a page's file is."""
    return data / "documents" / document_id.hex[-2:] / f"{document_id}-{number}.webp"


def _measure(path: Path) -> tuple[int, bytes]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    return path.stat().st_size, digest


async def _find_same(tx: Tx, owner_id: AccountId, document_id: DocumentId, digest: bytes) -> Document | None:
    document = (await find_documents(tx, [document_id])).get(document_id)
    if document is not None and (document.digest, document.owner_id) != (digest, owner_id):
        raise IdReused()
    return document


async def _check_count(tx: Tx, owner_id: AccountId) -> None:
    brought = await tx.one(
        int,
        "SELECT count(*) FROM uploads.document WHERE owner_id = %(owner_id)s AND created_at > %(since)s",
        owner_id=owner_id,
        since=tx.now - UNUSED_AGE_MAX,
    )
    if brought >= DOCUMENTS_PER_DAY_MAX:
        raise DocumentsTooMany(count_max=DOCUMENTS_PER_DAY_MAX)
