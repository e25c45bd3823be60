"""Authorisations: a brand lets a shop sell its goods, for a while; a shop asks for it; the brand takes it back.

An authorisation rests on a trademark's registration and ends with it at the latest. Its terms are never edited: a
renewal is another one, so what was granted when stays written. A revocation holds the row that a listing holds shared
(`covering.load_rules`), so after it nothing is listed on it; what is on the shelf already `end_uncovered` takes down.
"""

from datetime import datetime

from laotie import identity, messages, uploads
from laotie.base.db import Tx
from laotie.base.ids import AccountId, ShopId, ViewerId
from laotie.base.refusals import IdReused, NotFound
from laotie.catalog.brand_model import (
    AUTHORISATIONS_PER_SHOP_MAX,
    Authorisation,
    AuthorisationId,
    AuthorisationState,
    Brand,
    BrandId,
    BrandUnknown,
    DecidedAlready,
    Terms,
    Trademark,
    TrademarkEndsFirst,
    TrademarkId,
    TrademarkMissing,
    Verdict,
    clean_terms,
)
from laotie.catalog.brands import find_brands, hold_own_brand
from laotie.catalog.model import PAGE_SIZE_MAX, Page, clean_text, digest_of
from laotie.catalog.shops import get_shop
from laotie.events.catalog import AuthorisationGranted, AuthorisationRevoked


async def ask_authorisation(
    tx: Tx, actor: identity.Actor, shop_id: ShopId, authorisation_id: AuthorisationId, brand_id: BrandId, terms: Terms
) -> Authorisation:
    """A shop asks a verified brand. Needs the scope `catalog`; the brand's owner is told."""
    await identity.require_seat(tx, actor, shop_id, identity.Scope.catalog)
    brand = (await find_brands(tx, [brand_id])).get(brand_id)
    if brand is None or brand.state is not Verdict.verified:
        raise BrandUnknown(brand=str(brand_id))
    fresh = await _add(
        tx, _by(actor), shop_id, authorisation_id, brand_id, terms, state=AuthorisationState.asked, trademark_id=None
    )
    asked = await _get(tx, authorisation_id)
    if fresh:
        facts = {"brand": brand.name, "shop": asked.shop}
        await messages.notify_many(tx, [ViewerId(brand.owner_id)], "authorisation_asked", facts, "/console/brands")
    return asked


async def grant_authorisation(
    tx: Tx,
    actor: identity.Actor,
    brand_id: BrandId,
    authorisation_id: AuthorisationId,
    shop_id: ShopId,
    terms: Terms,
    *,
    trademark_id: TrademarkId | None = None,
) -> Authorisation:
    """The brand's owner grants a shop unasked, or grants anew what is about to end.

    Rests on the trademark named, else on the one that lasts longest. Refuses `TrademarkMissing`, `TrademarkEndsFirst`.
    """
    brand = await hold_own_brand(tx, actor, brand_id)
    shop = await get_shop(tx, shop_id)
    trademark = _resting(brand, trademark_id, now=tx.now)
    _check_end(trademark, brand, terms.ends_at)
    fresh = await _add(
        tx,
        actor.signed_in(),
        shop_id,
        authorisation_id,
        brand_id,
        terms,
        state=AuthorisationState.granted,
        trademark_id=trademark.id,
    )
    granted = await _get(tx, authorisation_id)
    if fresh:
        await _tell_granted(tx, actor, granted, shop.owner_id)
    return granted


async def decide_authorisation(
    tx: Tx,
    actor: identity.Actor,
    authorisation_id: AuthorisationId,
    *,
    granted: bool,
    reason: str = "",
    trademark_id: TrademarkId | None = None,
) -> Authorisation:
    """The brand's owner answers a shop that asked; whoever refuses says why."""
    asked = await _hold(tx, actor, authorisation_id)
    state = AuthorisationState.granted if granted else AuthorisationState.refused
    if asked.state is not AuthorisationState.asked:
        if asked.state is state:
            return asked
        raise DecidedAlready(state=asked.state)
    brand = (await find_brands(tx, [asked.brand_id]))[asked.brand_id]
    rests_on: TrademarkId | None = None
    if granted:
        trademark = _resting(brand, trademark_id, now=tx.now)
        _check_end(trademark, brand, asked.ends_at)
        rests_on = trademark.id
    await tx.run(
        """
        UPDATE catalog.authorisation
        SET state = %(state)s, reason = %(reason)s, trademark_id = %(trademark)s, decided_by = %(by)s,
            decided_at = %(now)s
        WHERE id = %(id)s
        """,
        id=authorisation_id,
        state=state,
        reason=clean_text("note", reason, required=not granted),
        trademark=rests_on,
        by=actor.signed_in(),
        now=tx.now,
    )
    decided = await _get(tx, authorisation_id)
    shop = await get_shop(tx, asked.shop_id)
    if granted:
        await _tell_granted(tx, actor, decided, shop.owner_id)
    else:
        facts = {"brand": decided.brand, "state": state, "reason": decided.reason}
        await messages.notify_many(
            tx, [ViewerId(shop.owner_id)], "authorisation_decided", facts, "/console/authorisations"
        )
    return decided


async def revoke_authorisation(
    tx: Tx, actor: identity.Actor, authorisation_id: AuthorisationId, *, reason: str
) -> Authorisation:
    """The brand's owner (or an operator) takes an authorisation back and says why. Tells `AuthorisationRevoked`.

    From the commit on nothing is listed on it; what is listed comes off the shelves within a minute.
    """
    held = await _hold(tx, actor, authorisation_id, or_operator=True)
    if held.state is AuthorisationState.revoked:
        return held
    if held.state is not AuthorisationState.granted:
        raise DecidedAlready(state=held.state)
    await tx.run(
        """
        UPDATE catalog.authorisation SET state = 'revoked', reason = %(reason)s, decided_by = %(by)s, decided_at = %(now)s
        WHERE id = %(id)s
        """,
        id=authorisation_id,
        reason=clean_text("note", reason, required=True),
        by=actor.signed_in(),
        now=tx.now,
    )
    revoked = await _get(tx, authorisation_id)
    shop = await get_shop(tx, held.shop_id)
    await identity.record(
        tx, actor, "authorisation.revoked", subject=str(authorisation_id), shop=str(shop.id), reason=revoked.reason
    )
    tx.tell(AuthorisationRevoked(authorisation_id=authorisation_id, brand_id=held.brand_id, shop_id=held.shop_id))
    facts = {"brand": revoked.brand, "state": revoked.state, "reason": revoked.reason}
    await messages.notify_many(tx, [ViewerId(shop.owner_id)], "authorisation_decided", facts, "/console/authorisations")
    return revoked


async def list_authorisations_of_shop(
    tx: Tx, actor: identity.Actor, shop_id: ShopId, *, after: AuthorisationId | None = None, limit: int = 50
) -> Page[Authorisation]:
    """What a shop was granted, refused, or asked for, newest first. Needs the scope `catalog`."""
    await identity.require_seat(tx, actor, shop_id, identity.Scope.catalog)
    return await _list(tx, shop_id=shop_id, brand_id=None, after=after, limit=limit)


async def list_authorisations_of_brand(
    tx: Tx, actor: identity.Actor, brand_id: BrandId, *, after: AuthorisationId | None = None, limit: int = 50
) -> Page[Authorisation]:
    """Who sells a brand of one's own, who asked to, who did; newest first. Operators see it too."""
    brand = (await find_brands(tx, [brand_id])).get(brand_id)
    if brand is None or (brand.owner_id != actor.signed_in() and identity.Role.operator not in actor.roles):
        raise NotFound()
    return await _list(tx, shop_id=None, brand_id=brand_id, after=after, limit=limit)


async def _add(
    tx: Tx,
    by: AccountId,
    shop_id: ShopId,
    authorisation_id: AuthorisationId,
    brand_id: BrandId,
    terms: Terms,
    *,
    state: AuthorisationState,
    trademark_id: TrademarkId | None,
) -> bool:
    """Whether it is new; the same content under the same id is not."""
    digest = digest_of(shop_id, brand_id, terms, state)
    known = await tx.maybe(bytes, "SELECT digest FROM catalog.authorisation WHERE id = %(id)s", id=authorisation_id)
    if known is not None:
        if known != digest:
            raise IdReused()
        return False
    terms = clean_terms(terms, now=tx.now)
    count = await tx.one(
        int,
        "SELECT count(*) FROM catalog.authorisation WHERE shop_id = %(shop)s AND ends_at > %(now)s",
        shop=shop_id,
        now=tx.now,
    )
    if count >= AUTHORISATIONS_PER_SHOP_MAX:
        raise identity.TooMany(count_max=AUTHORISATIONS_PER_SHOP_MAX)
    if terms.document_id is not None:
        await uploads.hold_documents(tx, by, f"authorisation:{authorisation_id}", [terms.document_id])
    fresh = await tx.run(
        """
        INSERT INTO catalog.authorisation (id, brand_id, shop_id, trademark_id, categories, is_online, stores, starts_at,
                                           ends_at, document_id, note, state, asked_by, created_at, digest)
        VALUES (%(id)s, %(brand_id)s, %(shop_id)s, %(trademark_id)s, %(categories)s, %(is_online)s, %(stores)s,
                %(starts_at)s, %(ends_at)s, %(document_id)s, %(note)s, %(state)s, %(by)s, %(now)s, %(digest)s)
        ON CONFLICT DO NOTHING
        """,
        id=authorisation_id,
        brand_id=brand_id,
        shop_id=shop_id,
        trademark_id=trademark_id,
        categories=terms.categories,
        is_online=terms.is_online,
        stores=terms.stores,
        starts_at=terms.starts_at,
        ends_at=terms.ends_at,
        document_id=terms.document_id,
        note=terms.note,
        state=state,
        by=by,
        now=tx.now,
        digest=digest,
    )
    if not fresh:
        raise IdReused()
    return True


async def _hold(
    tx: Tx, actor: identity.Actor, authorisation_id: AuthorisationId, *, or_operator: bool = False
) -> Authorisation:
    """The authorisation, its row held, for who owns the brand."""
    actor.signed_in()
    held = await tx.run(
        "SELECT FROM catalog.authorisation WHERE id = %(id)s FOR NO KEY UPDATE", id=authorisation_id
    )
    if not held:
        raise NotFound()
    found = await _get(tx, authorisation_id)
    brand = (await find_brands(tx, [found.brand_id]))[found.brand_id]
    if brand.owner_id != actor.account_id and not (or_operator and identity.Role.operator in actor.roles):
        raise NotFound()
    return found


async def _get(tx: Tx, authorisation_id: AuthorisationId) -> Authorisation:
    page = await _list(tx, shop_id=None, brand_id=None, only=authorisation_id)
    return page.items[0]


async def _list(
    tx: Tx,
    *,
    shop_id: ShopId | None,
    brand_id: BrandId | None,
    only: AuthorisationId | None = None,
    after: AuthorisationId | None = None,
    limit: int = 1,
) -> Page[Authorisation]:
    limit = min(limit, PAGE_SIZE_MAX)
    rows = await tx.all(
        Authorisation,
        """
        SELECT a.id, a.brand_id, coalesce(nullif(brand.name_zh, ''), brand.name_en) AS brand, a.shop_id,
               shop.name AS shop, a.trademark_id, a.categories, a.is_online, a.stores, a.starts_at, a.ends_at,
               a.document_id, a.note, a.state, a.reason, a.created_at,
               a.state = 'granted' AND a.starts_at <= %(now)s AND a.ends_at > %(now)s AND brand.state = 'verified'
               AND EXISTS (SELECT FROM catalog.trademark AS named JOIN catalog.trademark AS held
                             ON held.brand_id = named.brand_id AND held.office = named.office
                            AND held.number = named.number AND held.class_no = named.class_no
                           WHERE named.id = a.trademark_id AND held.state = 'verified' AND held.ends_at > %(now)s)
               AS is_live
        FROM catalog.authorisation AS a
        JOIN catalog.brand ON brand.id = a.brand_id JOIN catalog.shop ON shop.id = a.shop_id
        WHERE (%(shop_id)s::uuid IS NULL OR a.shop_id = %(shop_id)s)
          AND (%(brand_id)s::uuid IS NULL OR a.brand_id = %(brand_id)s)
          AND (%(only)s::uuid IS NULL OR a.id = %(only)s)
          AND (%(after)s::uuid IS NULL OR a.id < %(after)s)
        ORDER BY a.id DESC LIMIT %(limit)s
        """,
        shop_id=shop_id,
        brand_id=brand_id,
        only=only,
        after=after,
        now=tx.now,
        limit=limit + 1,
    )
    return Page(rows[:limit], rows[limit - 1].id if len(rows) > limit else None)


def _resting(brand: Brand, trademark_id: TrademarkId | None, *, now: datetime) -> Trademark:
    """The trademark that an authorisation is to rest on."""
    good = [one for one in brand.trademarks if one.state is Verdict.verified and one.ends_at > now]
    if trademark_id is not None:
        good = [one for one in good if one.id == trademark_id]
    if brand.state is not Verdict.verified or not good:
        raise TrademarkMissing()
    return max(good, key=lambda one: one.ends_at)


def _check_end(trademark: Trademark, brand: Brand, ends_at: datetime) -> None:
    same = [
        one.ends_at
        for one in brand.trademarks
        if one.state is Verdict.verified
        and (one.office, one.number, one.class_no) == (trademark.office, trademark.number, trademark.class_no)
    ]
    if ends_at > max(same):
        raise TrademarkEndsFirst(ends_at=max(same))


def _by(actor: identity.Actor) -> AccountId:
    assert actor.seat_holder_id is not None
    return actor.seat_holder_id


async def _tell_granted(tx: Tx, actor: identity.Actor, granted: Authorisation, shop_owner_id: AccountId) -> None:
    await identity.record(
        tx, actor, "authorisation.granted", subject=str(granted.id), shop=str(granted.shop_id), brand=granted.brand
    )
    tx.tell(
        AuthorisationGranted(
            authorisation_id=granted.id, brand_id=granted.brand_id, shop_id=granted.shop_id, ends_at=granted.ends_at
        )
    )
    facts = {"brand": granted.brand, "state": granted.state, "reason": granted.reason}
    await messages.notify_many(tx, [ViewerId(shop_owner_id)], "authorisation_decided", facts, "/console/authorisations")
