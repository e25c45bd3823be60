"""Batches: pieces of one making, with where they are from, what was tested, and the film of it.

What a batch says it says once (a trigger holds it); it is closed or recalled, and each act stands in its log. One batch
of a product is current: new orders bear it (`orders.line.batch_id`). A recalled one is never current.
"""

from collections.abc import Collection, Iterable
from uuid import UUID

import msgspec
from psycopg.errors import UniqueViolation

from laotie import identity, uploads
from laotie.base.db import Tx
from laotie.base.ids import AccountId, ProductId, ShopId, new_id
from laotie.base.refusals import IdReused, NotFound
from laotie.catalog.brand_model import (
    BATCHES_PER_PRODUCT_MAX,
    DOCUMENTS_PER_BATCH_MAX,
    QUANTITY_MAX,
    Batch,
    BatchCodeTaken,
    BatchDocument,
    BatchDraft,
    BatchId,
    BatchLogEntry,
    BatchOver,
    BatchState,
    DocumentKind,
    TermsRefused,
)
from laotie.catalog.model import PAGE_SIZE_MAX, Page, clean_text, digest_of
from laotie.events.catalog import BatchRecalled, ProductChanged
from laotie.uploads import DocumentId


async def add_batch(
    tx: Tx, actor: identity.Actor, product_id: ProductId, batch_id: BatchId, draft: BatchDraft
) -> Batch:
    """Enter a batch of a product. The same id with the same content returns what is there.

    The door has seen to it that `video_id` is a published video of the shop. Refuses `BatchCodeTaken`, `TermsRefused`,
    `DocumentGone`, `TooMany`. Needs the scope `catalog`.
    """
    shop_id = await tx.maybe(ShopId, "SELECT shop_id FROM catalog.product WHERE id = %(id)s", id=product_id)
    if shop_id is None:
        raise NotFound()
    seat = await identity.require_seat(tx, actor, shop_id, identity.Scope.catalog)
    digest = digest_of(product_id, draft)
    known = await tx.maybe(bytes, "SELECT digest FROM catalog.batch WHERE id = %(id)s", id=batch_id)
    if known is not None:
        if known != digest:
            raise IdReused()
        return (await find_batches(tx, [batch_id]))[batch_id]
    _check(draft)
    count = await tx.one(int, "SELECT count(*) FROM catalog.batch WHERE product_id = %(id)s", id=product_id)
    if count >= BATCHES_PER_PRODUCT_MAX:
        raise identity.TooMany(count_max=BATCHES_PER_PRODUCT_MAX)
    code = clean_text("code", draft.code, required=True)
    try:
        await tx.run(
            """
            INSERT INTO catalog.batch (id, product_id, shop_id, code, made_on, best_before_on, origin, quantity, video_id,
                                       created_by, created_at, digest)
            VALUES (%(id)s, %(product_id)s, %(shop_id)s, %(code)s, %(made_on)s, %(best_before_on)s, %(origin)s,
                    %(quantity)s, %(video_id)s, %(by)s, %(now)s, %(digest)s)
            """,
            id=batch_id,
            product_id=product_id,
            shop_id=shop_id,
            code=code,
            made_on=draft.made_on,
            best_before_on=draft.best_before_on,
            origin=clean_text("address", draft.origin, required=True),
            quantity=draft.quantity,
            video_id=draft.video_id,
            by=seat.account_id,
            now=tx.now,
            digest=digest,
        )
    except UniqueViolation:
        raise BatchCodeTaken(batch_code=code) from None
    ids = [one.document_id for one in draft.documents]
    await uploads.hold_documents(tx, seat.account_id, f"batch:{batch_id}", ids)
    await tx.run(
        """
        INSERT INTO catalog.batch_document (batch_id, no, document_id, kind, title)
        SELECT %(batch_id)s, no, document_id, kind, title
        FROM unnest(%(ids)s::uuid[], %(kinds)s::text[], %(titles)s::text[])
          WITH ORDINALITY AS document (document_id, kind, title, no)
        """,
        batch_id=batch_id,
        ids=ids,
        kinds=[one.kind for one in draft.documents],
        titles=[clean_text("name", one.title, required=True) for one in draft.documents],
    )
    await _log(tx, batch_id, "entered", seat.account_id)
    return (await find_batches(tx, [batch_id]))[batch_id]


async def make_current(tx: Tx, actor: identity.Actor, batch_id: BatchId) -> Batch:
    """New orders of the product bear this batch from now on. Tells `ProductChanged`; refuses `BatchOver`."""
    batch, by = await _hold(tx, actor, batch_id)
    if batch.state is not BatchState.open:
        raise BatchOver(state=batch.state)
    if batch.is_current:
        return batch
    await _set_current(tx, batch, batch_id)
    await _log(tx, batch_id, "current", by)
    return (await find_batches(tx, [batch_id]))[batch_id]


async def close_batch(tx: Tx, actor: identity.Actor, batch_id: BatchId, *, reason: str = "") -> Batch:
    """The batch is sold out or done with; it stays to be seen on its orders."""
    batch, by = await _hold(tx, actor, batch_id)
    if batch.state is BatchState.closed:
        return batch
    if batch.state is not BatchState.open:
        raise BatchOver(state=batch.state)
    return await _end(tx, batch, BatchState.closed, reason=clean_text("note", reason), by=by)


async def recall_batch(tx: Tx, actor: identity.Actor, batch_id: BatchId, *, reason: str) -> Batch:
    """The batch is called back, and why: shown wherever it is shown. Tells `BatchRecalled`."""
    batch, by = await _hold(tx, actor, batch_id, or_operator=True)
    if batch.state is BatchState.recalled:
        return batch
    reason = clean_text("note", reason, required=True)
    await identity.record(tx, actor, "batch.recalled", subject=str(batch_id), code=batch.code, reason=reason)
    tx.tell(BatchRecalled(batch_id=batch_id, product_id=batch.product_id, shop_id=batch.shop_id, reason=reason))
    return await _end(tx, batch, BatchState.recalled, reason=reason, by=by)


async def list_batches(
    tx: Tx, actor: identity.Actor, product_id: ProductId, *, after: BatchId | None = None, limit: int = 20
) -> Page[Batch]:
    """A product's batches, newest first. Needs the scope `catalog`."""
    shop_id = await tx.maybe(ShopId, "SELECT shop_id FROM catalog.product WHERE id = %(id)s", id=product_id)
    if shop_id is None:
        raise NotFound()
    await identity.require_seat(tx, actor, shop_id, identity.Scope.catalog)
    limit = min(limit, PAGE_SIZE_MAX)
    ids = await tx.all(
        BatchId,
        """
        SELECT id FROM catalog.batch WHERE product_id = %(product_id)s AND (%(after)s::uuid IS NULL OR id < %(after)s)
        ORDER BY id DESC LIMIT %(limit)s
        """,
        product_id=product_id,
        after=after,
        limit=limit + 1,
    )
    found = await find_batches(tx, ids[:limit])
    return Page([found[batch_id] for batch_id in ids[:limit]], ids[limit - 1] if len(ids) > limit else None)


async def list_batch_log(tx: Tx, actor: identity.Actor, batch_id: BatchId) -> list[BatchLogEntry]:
    """What was done with a batch, oldest first. Needs the scope `catalog`."""
    batch = (await find_batches(tx, [batch_id])).get(batch_id)
    if batch is None:
        raise NotFound()
    await identity.require_seat(tx, actor, batch.shop_id, identity.Scope.catalog)
    return await tx.all(
        BatchLogEntry,
        "SELECT act, reason, actor_id, at FROM catalog.batch_log WHERE batch_id = %(id)s ORDER BY id LIMIT 100",
        id=batch_id,
    )


async def find_batches(tx: Tx, batch_ids: Iterable[BatchId]) -> dict[BatchId, Batch]:
    """Those of the batches that exist, by id, with their documents."""
    ids = list(batch_ids)
    if not ids:
        return {}
    documents: dict[BatchId, list[BatchDocument]] = {}
    named = await tx.all(
        _Named,
        """
        SELECT batch_id, document_id, kind, title FROM catalog.batch_document WHERE batch_id = ANY(%(ids)s)
        ORDER BY batch_id, no
        """,
        ids=ids,
    )
    kept = await uploads.find_documents(tx, {one.document_id for one in named})
    for one in named:
        document = kept.get(one.document_id)
        if document is not None:
            documents.setdefault(one.batch_id, []).append(
                BatchDocument(
                    document_id=one.document_id,
                    kind=one.kind,
                    title=one.title,
                    page_count=document.page_count,
                    digest=document.digest.hex(),
                )
            )
    batches = await tx.all(
        Batch,
        """
        SELECT batch.id, batch.product_id, batch.shop_id, batch.code, made_on, best_before_on, origin, quantity, video_id,
               batch.state, reason, batch.created_at, product.batch_id IS NOT DISTINCT FROM batch.id AS is_current
        FROM catalog.batch JOIN catalog.product ON product.id = batch.product_id WHERE batch.id = ANY(%(ids)s)
        """,
        ids=ids,
    )
    return {batch.id: msgspec.structs.replace(batch, documents=documents.get(batch.id, [])) for batch in batches}


async def may_see_document(tx: Tx, actor: identity.Actor | None, document_id: DocumentId) -> bool:
    """A batch's document is everybody's. Others are seen by who brought them, by operators, and by both sides of what
    they were brought for: the brand's owner, and staff of the shop that an authorisation is for."""
    if await tx.maybe(
        bool, "SELECT true FROM catalog.batch_document WHERE document_id = %(id)s LIMIT 1", id=document_id
    ):
        return True
    if actor is None or actor.seat_holder_id is None:
        return False
    if identity.Role.operator in actor.roles:
        return True
    document = (await uploads.find_documents(tx, [document_id])).get(document_id)
    if document is None or actor.account_id is None:
        return False
    if document.owner_id == actor.account_id:
        return True
    parties = await tx.tuples(
        """
        SELECT brand.owner_id, NULL::uuid FROM catalog.trademark JOIN catalog.brand ON brand.id = brand_id
        WHERE document_id = %(id)s
        UNION ALL
        SELECT brand.owner_id, shop_id FROM catalog.authorisation JOIN catalog.brand ON brand.id = brand_id
        WHERE document_id = %(id)s
        LIMIT 20
        """,
        id=document_id,
    )
    if any(owner_id == actor.account_id for owner_id, _ in parties):
        return True
    shops: Collection[ShopId] = [shop_id for _, shop_id in parties if shop_id is not None]
    seats = {seat.shop_id: seat for seat in await identity.list_seats(tx, actor)} if shops else {}
    return any(shop_id in seats and identity.Scope.catalog in seats[shop_id].scopes for shop_id in shops)


class _Named(msgspec.Struct, frozen=True):
    batch_id: BatchId
    document_id: DocumentId
    kind: DocumentKind
    title: str


async def _hold(
    tx: Tx, actor: identity.Actor, batch_id: BatchId, *, or_operator: bool = False
) -> tuple[Batch, AccountId]:
    """The batch, its product's row held, and who acts."""
    actor_id = actor.seat_holder_id
    batch = (await find_batches(tx, [batch_id])).get(batch_id)
    if batch is None:
        raise NotFound()
    if not (or_operator and identity.Role.operator in actor.roles):
        await identity.require_seat(tx, actor, batch.shop_id, identity.Scope.catalog)
    assert actor_id is not None
    await tx.run("SELECT FROM catalog.product WHERE id = %(id)s FOR NO KEY UPDATE", id=batch.product_id)
    return (await find_batches(tx, [batch_id]))[batch_id], actor_id


async def _end(tx: Tx, batch: Batch, state: BatchState, *, reason: str, by: AccountId) -> Batch:
    await tx.run(
        "UPDATE catalog.batch SET state = %(state)s, reason = %(reason)s WHERE id = %(id)s",
        id=batch.id,
        state=state,
        reason=reason,
    )
    await _log(tx, batch.id, state, by, reason=reason)
    if batch.is_current:
        await _set_current(tx, batch, None)
    return (await find_batches(tx, [batch.id]))[batch.id]


async def _set_current(tx: Tx, batch: Batch, current: BatchId | None) -> None:
    [(version, state)] = await tx.tuples(
        """
        UPDATE catalog.product SET batch_id = %(current)s, version = version + 1, updated_at = %(now)s
        WHERE id = %(id)s RETURNING version, state
        """,
        id=batch.product_id,
        current=current,
        now=tx.now,
    )
    tx.tell(ProductChanged(product_id=batch.product_id, shop_id=batch.shop_id, version=version, state=state))


async def _log(tx: Tx, batch_id: BatchId, act: str, actor_id: AccountId, *, reason: str = "") -> None:
    await tx.run(
        """
        INSERT INTO catalog.batch_log (id, batch_id, act, reason, actor_id, at)
        VALUES (%(id)s, %(batch_id)s, %(act)s, %(reason)s, %(actor_id)s, %(now)s)
        """,
        id=new_id(),
        batch_id=batch_id,
        act=act,
        reason=reason,
        actor_id=actor_id,
        now=tx.now,
    )


def _check(draft: BatchDraft) -> None:
    if not 0 < draft.quantity <= QUANTITY_MAX:
        raise TermsRefused(field="quantity", reason="out-of-range")
    if draft.best_before_on is not None and draft.best_before_on < draft.made_on:
        raise TermsRefused(field="best_before_on", reason="too-early")
    documents: set[UUID] = {one.document_id for one in draft.documents}
    if len(draft.documents) > DOCUMENTS_PER_BATCH_MAX or len(documents) < len(draft.documents):
        raise TermsRefused(field="documents", reason="too-many")
