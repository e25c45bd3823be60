"""Brands and their trademarks: asked for by who owns them, verified or refused by operators, found by their names.

The names of a verified brand are taken as the eye takes them (`words.skeletons`), under a primary key: a second brand
that looks the same cannot be verified, whatever letters it is written in. Who decides holds the brand's row; a listing
holds it shared (`covering`), so none slips past a decision.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from laotie import identity, messages, uploads, words
from laotie.base.db import Tx
from laotie.base.ids import AccountId, ViewerId
from laotie.base.refusals import IdReused, NotFound
from laotie.catalog.brand_model import (
    BRANDS_PER_OWNER_MAX,
    TRADEMARKS_PER_BRAND_MAX,
    Brand,
    BrandDraft,
    BrandId,
    BrandTaken,
    DecidedAlready,
    TermsRefused,
    Trademark,
    TrademarkDraft,
    TrademarkId,
    TrademarkMissing,
    TrademarkTaken,
    Verdict,
    check_span,
)
from laotie.catalog.model import PAGE_SIZE_MAX, Page, clean_images, clean_text, digest_of, fold

CLASSES_MAX = 45
BRANDS_FOUND_MAX = 20


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    id: BrandId
    owner_id: AccountId
    name_zh: str
    name_en: str
    logo: str | None
    state: Verdict
    reason: str
    created_at: datetime


async def ask_brand(tx: Tx, actor: identity.Actor, brand_id: BrandId, draft: BrandDraft) -> Brand:
    """Ask for a brand to be verified. The same id with the same content returns what is there.

    Refuses `BrandTaken` when a verified brand looks the same, `TrademarkMissing`, `TermsRefused`, `TooMany`.
    """
    owner_id = actor.signed_in()
    digest = digest_of(owner_id, draft)
    known = await tx.maybe(bytes, "SELECT digest FROM catalog.brand WHERE id = %(id)s", id=brand_id)
    if known is not None:
        if known != digest:
            raise IdReused()
        return await get_brand(tx, actor, brand_id)
    name_zh, name_en = clean_text("name", draft.name_zh), clean_text("name", draft.name_en)
    if any(name and not words.skeletons(name) for name in (name_zh, name_en)) or not (name_zh or name_en):
        raise TermsRefused(field="name", reason="empty")
    await _check_free(tx, brand_id, (name_zh, name_en))
    if not draft.trademarks:
        raise TrademarkMissing()
    owned = await tx.one(int, "SELECT count(*) FROM catalog.brand WHERE owner_id = %(id)s", id=owner_id)
    if owned >= BRANDS_PER_OWNER_MAX:
        raise identity.TooMany(count_max=BRANDS_PER_OWNER_MAX)
    fresh = await tx.run(
        """
        INSERT INTO catalog.brand (id, owner_id, name_zh, name_en, logo, created_at, digest)
        VALUES (%(id)s, %(owner_id)s, %(name_zh)s, %(name_en)s, %(logo)s, %(now)s, %(digest)s)
        ON CONFLICT DO NOTHING
        """,
        id=brand_id,
        owner_id=owner_id,
        name_zh=name_zh,
        name_en=name_en,
        logo=next(iter(clean_images([draft.logo])), None) if draft.logo else None,
        now=tx.now,
        digest=digest,
    )
    if not fresh:
        raise IdReused()
    await uploads.show_pictures(tx, f"brand:{brand_id}", [draft.logo])
    for trademark in draft.trademarks:
        await _add_trademark(tx, owner_id, brand_id, trademark)
    return await get_brand(tx, actor, brand_id)


async def add_trademark(tx: Tx, actor: identity.Actor, brand_id: BrandId, draft: TrademarkDraft) -> Brand:
    """Bring another trademark of one's brand, or the renewal of one. Operators verify it."""
    await hold_own_brand(tx, actor, brand_id)
    await _add_trademark(tx, actor.signed_in(), brand_id, draft)
    return await get_brand(tx, actor, brand_id)


async def decide_brand(tx: Tx, actor: identity.Actor, brand_id: BrandId, *, verified: bool, reason: str) -> Brand:
    """An operator verifies a brand with the trademarks that wait for it, or refuses it; a verified one may be withdrawn.

    Whoever refuses says why. Refuses `BrandTaken`, `TrademarkTaken`, `TrademarkMissing`. What rests on a brand that is
    withdrawn is taken off the shelves by `end_uncovered`.
    """
    operator_id = actor.require_operator()
    await tx.run("SELECT FROM catalog.brand WHERE id = %(id)s FOR NO KEY UPDATE", id=brand_id)
    brand = (await find_brands(tx, [brand_id])).get(brand_id)
    if brand is None:
        raise NotFound()
    state, reason = _verdict(verified=verified, reason=reason)
    if brand.state is state:
        return brand
    await tx.run("DELETE FROM catalog.brand_key WHERE brand_id = %(id)s", id=brand_id)
    if verified:
        for trademark in brand.trademarks:
            if trademark.state is Verdict.asked:
                await _settle_trademark(tx, operator_id, trademark, Verdict.verified, reason)
        if not any(one.state is not Verdict.refused and one.ends_at > tx.now for one in brand.trademarks):
            raise TrademarkMissing()
        await _take_names(tx, brand)
    await tx.run(
        """
        UPDATE catalog.brand SET state = %(state)s, reason = %(reason)s, decided_by = %(by)s, decided_at = %(now)s
        WHERE id = %(id)s
        """,
        id=brand_id,
        state=state,
        reason=reason,
        by=operator_id,
        now=tx.now,
    )
    await identity.record(tx, actor, f"brand.{state}", subject=str(brand_id), name=brand.name, reason=reason)
    await _tell_owner(tx, brand, state, reason, what=brand.name)
    return (await find_brands(tx, [brand_id]))[brand_id]


async def decide_trademark(
    tx: Tx, actor: identity.Actor, trademark_id: TrademarkId, *, verified: bool, reason: str
) -> Brand:
    """An operator verifies a trademark or refuses it; a verified one may be withdrawn, and ends what rests on it."""
    operator_id = actor.require_operator()
    brand_id = await tx.maybe(BrandId, "SELECT brand_id FROM catalog.trademark WHERE id = %(id)s", id=trademark_id)
    if brand_id is None:
        raise NotFound()
    await tx.run("SELECT FROM catalog.brand WHERE id = %(id)s FOR NO KEY UPDATE", id=brand_id)
    brand = (await find_brands(tx, [brand_id]))[brand_id]
    trademark = next(one for one in brand.trademarks if one.id == trademark_id)
    state, reason = _verdict(verified=verified, reason=reason)
    if trademark.state is state:
        return brand
    await _settle_trademark(tx, operator_id, trademark, state, reason)
    await identity.record(tx, actor, f"trademark.{state}", subject=str(trademark_id), reason=reason)
    await _tell_owner(tx, brand, state, reason, what=f"{trademark.office} {trademark.number}")
    return (await find_brands(tx, [brand_id]))[brand_id]


async def get_brand(tx: Tx, actor: identity.Actor, brand_id: BrandId) -> Brand:
    """A brand with its trademarks, for its owner and for operators."""
    brand = (await find_brands(tx, [brand_id])).get(brand_id)
    if brand is None or (brand.owner_id != actor.signed_in() and identity.Role.operator not in actor.roles):
        raise NotFound()
    return brand


async def hold_own_brand(tx: Tx, actor: identity.Actor, brand_id: BrandId) -> Brand:
    """One's own brand, its row held; anybody else's is not there."""
    owner_id = actor.signed_in()
    held = await tx.run(
        "SELECT FROM catalog.brand WHERE id = %(id)s AND owner_id = %(owner)s FOR NO KEY UPDATE",
        id=brand_id,
        owner=owner_id,
    )
    if not held:
        raise NotFound()
    return (await find_brands(tx, [brand_id]))[brand_id]


async def list_own_brands(tx: Tx, actor: identity.Actor) -> list[Brand]:
    """The brands of mine, verified or not."""
    ids = await tx.all(
        BrandId,
        "SELECT id FROM catalog.brand WHERE owner_id = %(owner)s ORDER BY id",
        owner=actor.signed_in(),
    )
    return list((await find_brands(tx, ids)).values())


async def list_asked_brands(
    tx: Tx, actor: identity.Actor, *, after: BrandId | None = None, limit: int = 20
) -> Page[Brand]:
    """What waits for an operator: brands that were asked for, and brands with a trademark that was. Oldest first."""
    actor.require_operator()
    limit = min(limit, PAGE_SIZE_MAX)
    ids = await tx.all(
        BrandId,
        """
        SELECT id FROM catalog.brand
        WHERE (state = 'asked' OR id IN (SELECT brand_id FROM catalog.trademark WHERE state = 'asked'))
          AND state <> 'refused' AND (%(after)s::uuid IS NULL OR id > %(after)s)
        ORDER BY id LIMIT %(limit)s
        """,
        after=after,
        limit=limit + 1,
    )
    found = await find_brands(tx, ids[:limit])
    return Page([found[brand_id] for brand_id in ids[:limit]], ids[limit - 1] if len(ids) > limit else None)


async def search_brands(tx: Tx, query: str) -> list[Brand]:
    """Verified brands whose name holds the words, for choosing one."""
    wanted = fold(query[:100].replace("\x00", " "))
    if not wanted:
        return []
    pattern = "%" + wanted.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    ids = await tx.all(
        BrandId,
        """
        SELECT id FROM catalog.brand
        WHERE state = 'verified' AND lower(name_zh || ' ' || name_en) LIKE %(pattern)s
        ORDER BY length(name_zh || name_en), id LIMIT %(limit)s
        """,
        pattern=pattern,
        limit=BRANDS_FOUND_MAX,
    )
    found = await find_brands(tx, ids)
    return [found[brand_id] for brand_id in ids]


async def find_brands(tx: Tx, brand_ids: Iterable[BrandId]) -> dict[BrandId, Brand]:
    """Those of the brands that exist, by id, with their trademarks."""
    ids = list(brand_ids)
    if not ids:
        return {}
    trademarks: dict[BrandId, list[Trademark]] = {}
    for trademark in await tx.all(
        Trademark,
        """
        SELECT id, brand_id, office, number, class_no, name, ends_at, document_id, state, reason
        FROM catalog.trademark WHERE brand_id = ANY(%(ids)s) ORDER BY id
        """,
        ids=ids,
    ):
        trademarks.setdefault(trademark.brand_id, []).append(trademark)
    rows = await tx.all(
        _Row,
        """
        SELECT id, owner_id, name_zh, name_en, logo, state, reason, created_at
        FROM catalog.brand WHERE id = ANY(%(ids)s) ORDER BY id
        """,
        ids=ids,
    )
    return {row.id: Brand(**msgspec.structs.asdict(row), trademarks=trademarks.get(row.id, [])) for row in rows}


async def find_brands_named(tx: Tx, names: Iterable[str]) -> dict[str, BrandId]:
    """Verified brands by a name as somebody wrote it, or by id; names of none are left out."""
    keys = {key: name for name in names for key in (*words.skeletons(name), name)}
    rows = await tx.tuples(
        """
        SELECT key, brand_id FROM catalog.brand_key WHERE key = ANY(%(keys)s)
        UNION SELECT id::text, id FROM catalog.brand WHERE state = 'verified' AND id::text = ANY(%(keys)s)
        """,
        keys=list(keys),
    )
    return {keys[key]: brand_id for key, brand_id in rows}


async def list_similar(tx: Tx, brands: Sequence[Brand]) -> dict[BrandId, list[str]]:
    """Verified brands whose name is part of another's or the other way round: for the eye of who decides."""
    asked = [
        (brand.id, key)
        for brand in brands
        for name in (brand.name_zh, brand.name_en)
        for key in words.skeletons(name)
        if len(key) > 1
    ]
    rows = await tx.tuples(
        """
        SELECT DISTINCT asked.brand_id, coalesce(nullif(brand.name_zh, ''), brand.name_en)
        FROM unnest(%(brands)s::uuid[], %(keys)s::text[]) AS asked (brand_id, key)
        JOIN catalog.brand_key AS taken
          ON (strpos(taken.key, asked.key) > 0 OR (length(taken.key) > 1 AND strpos(asked.key, taken.key) > 0))
        JOIN catalog.brand ON brand.id = taken.brand_id
        WHERE taken.brand_id <> asked.brand_id LIMIT 200
        """,
        brands=[brand_id for brand_id, _ in asked],
        keys=[key for _, key in asked],
    )
    found: dict[BrandId, list[str]] = {}
    for brand_id, name in rows:
        found.setdefault(brand_id, []).append(name)
    return found


async def _add_trademark(tx: Tx, owner_id: AccountId, brand_id: BrandId, draft: TrademarkDraft) -> None:
    digest = digest_of(brand_id, draft)
    known = await tx.maybe(bytes, "SELECT digest FROM catalog.trademark WHERE id = %(id)s", id=draft.id)
    if known is not None:
        if known != digest:
            raise IdReused()
        return
    if not 1 <= draft.class_no <= CLASSES_MAX:
        raise TermsRefused(field="class_no", reason="unknown")
    check_span(tx.now, draft.ends_at, now=tx.now)
    count = await tx.one(int, "SELECT count(*) FROM catalog.trademark WHERE brand_id = %(id)s", id=brand_id)
    if count >= TRADEMARKS_PER_BRAND_MAX:
        raise identity.TooMany(count_max=TRADEMARKS_PER_BRAND_MAX)
    if draft.document_id is not None:
        await uploads.hold_documents(tx, owner_id, f"trademark:{draft.id}", [draft.document_id])
    await tx.run(
        """
        INSERT INTO catalog.trademark (id, brand_id, office, number, class_no, name, ends_at, document_id, created_at,
                                       digest)
        VALUES (%(id)s, %(brand_id)s, %(office)s, %(number)s, %(class_no)s, %(name)s, %(ends_at)s, %(document_id)s,
                %(now)s, %(digest)s)
        """,
        id=draft.id,
        brand_id=brand_id,
        office=clean_text("code", draft.office, required=True).upper(),
        number=clean_text("code", draft.number, required=True),
        class_no=draft.class_no,
        name=clean_text("name", draft.name, required=True),
        ends_at=draft.ends_at,
        document_id=draft.document_id,
        now=tx.now,
        digest=digest,
    )


async def _settle_trademark(tx: Tx, operator_id: AccountId, trademark: Trademark, state: Verdict, reason: str) -> None:
    if state is Verdict.verified:
        await tx.run("SELECT pg_advisory_xact_lock(hashtextextended('catalog.trademarks', 0))")
        taken = await tx.maybe(
            UUID,
            """
            SELECT id FROM catalog.trademark
            WHERE office = %(office)s AND number = %(number)s AND class_no = %(class_no)s AND state = 'verified'
              AND brand_id <> %(brand_id)s LIMIT 1
            """,
            office=trademark.office,
            number=trademark.number,
            class_no=trademark.class_no,
            brand_id=trademark.brand_id,
        )
        if taken is not None:
            raise TrademarkTaken(number=trademark.number)
    await tx.run(
        """
        UPDATE catalog.trademark SET state = %(state)s, reason = %(reason)s, decided_by = %(by)s, decided_at = %(now)s
        WHERE id = %(id)s
        """,
        id=trademark.id,
        state=state,
        reason=reason,
        by=operator_id,
        now=tx.now,
    )


async def _check_free(tx: Tx, brand_id: BrandId, names: Iterable[str]) -> None:
    taken = await tx.tuples(
        """
        SELECT brand.id, coalesce(nullif(name_zh, ''), name_en)
        FROM catalog.brand_key JOIN catalog.brand ON brand.id = brand_key.brand_id
        WHERE key = ANY(%(keys)s) AND brand.id <> %(id)s LIMIT 1
        """,
        keys=[key for name in names for key in words.skeletons(name)],
        id=brand_id,
    )
    if taken:
        raise BrandTaken(brand_id=taken[0][0], brand=taken[0][1])


async def _take_names(tx: Tx, brand: Brand) -> None:
    """The names become this brand's; who comes second waits for the key, and finds it taken."""
    keys = sorted({key for name in (brand.name_zh, brand.name_en) for key in words.skeletons(name)})
    taken = await tx.run(
        """
        INSERT INTO catalog.brand_key (key, brand_id) SELECT key, %(id)s FROM unnest(%(keys)s::text[]) AS named (key)
        ON CONFLICT DO NOTHING
        """,
        id=brand.id,
        keys=keys,
    )
    if taken < len(keys):
        await _check_free(tx, brand.id, (brand.name_zh, brand.name_en))
        raise DecidedAlready(state=brand.state)


def _verdict(*, verified: bool, reason: str) -> tuple[Verdict, str]:
    reason = clean_text("note", reason, required=not verified)
    return Verdict.verified if verified else Verdict.refused, reason


async def _tell_owner(tx: Tx, brand: Brand, state: Verdict, reason: str, *, what: str) -> None:
    await messages.notify_many(
        tx,
        [ViewerId(brand.owner_id)],
        "brand_decided",
        {"what": what, "state": state, "reason": reason},
        "/console/brands",
    )
