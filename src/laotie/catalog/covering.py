"""What a brand lets be listed: asked before a product goes on the shelf, and again every few seconds while it is there.

The rule itself is one SQL function, `catalog.covers`: the brand's own shop, or a shop with a live authorisation, while
brand and trademark are verified and the trademark has not ended. A listing holds the rows that the rule reads shared, so
that a revocation either comes first (and refuses it) or waits for it (and its sweep sees it).
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from laotie import identity, messages, words
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, ProductId, ShopId, ViewerId
from laotie.base.refusals import NotFound
from laotie.catalog import prices
from laotie.catalog.brand_model import (
    WARN_DAYS,
    Badge,
    BrandId,
    BrandNotNamed,
    BrandUnknown,
    Contest,
    ContestState,
    Cover,
    DecidedAlready,
    NotAuthorised,
    Origin,
)
from laotie.catalog.model import PAGE_SIZE_MAX, Product, ProductState, clean_text
from laotie.events.catalog import ProductChanged

DELISTED_AT_ONCE_MAX = 500
WARNED_AT_ONCE_MAX = 200
BRANDS_MATCHED_MAX = 20_000
NAME_LETTERS_MIN = 2
"""One letter in a title says nothing."""


class Rules(NamedTuple):
    """What was read, its rows held, to judge listings of one shop."""

    covers: dict[BrandId, list[Cover]]
    names: dict[BrandId, str]
    lists: tuple[words.WordList, ...]
    contested: frozenset[tuple[ProductId, BrandId]]

    def check(self, product: Product) -> None:
        """Refuse to list it: `BrandUnknown`, `NotAuthorised`, `BrandNotNamed`."""
        brand_id = None if product.brand_id is None else BrandId(product.brand_id)
        if brand_id is not None:
            if brand_id not in self.names:
                raise BrandUnknown(brand=str(brand_id))
            if not any(cover.reaches(product.category) for cover in self.covers.get(brand_id, [])):
                raise NotAuthorised(brand_id=brand_id, brand=self.names[brand_id])
        for find in words.judge_text(product.title, self.lists, links=None).found:
            other = BrandId(UUID(find.list))
            if other != brand_id and (product.id, other) not in self.contested:
                raise BrandNotNamed(brand_id=other, brand=self.names[other], seen=find.seen)


async def load_rules(
    tx: Tx, shop_id: ShopId, brand_ids: Collection[BrandId], product_ids: Collection[ProductId]
) -> Rules:
    """What these brands let a shop do now; holds their rows shared until the commit, in the order brand, trademark,
    authorisation."""
    ids = sorted(set(brand_ids))
    if ids:
        await tx.run("SELECT FROM catalog.brand WHERE id = ANY(%(ids)s) ORDER BY id FOR SHARE", ids=ids)
        await tx.run("SELECT FROM catalog.trademark WHERE brand_id = ANY(%(ids)s) ORDER BY id FOR SHARE", ids=ids)
        await tx.run(
            """
            SELECT FROM catalog.authorisation WHERE brand_id = ANY(%(ids)s) AND shop_id = %(shop)s
            ORDER BY id FOR SHARE
            """,
            ids=ids,
            shop=shop_id,
        )
    covers: dict[BrandId, list[Cover]] = {}
    if ids:
        for cover in await tx.all(
            Cover,
            """
            SELECT asked.brand_id, covers.categories, covers.ends_at, covers.is_owner
            FROM unnest(%(ids)s::uuid[]) AS asked (brand_id)
            CROSS JOIN LATERAL catalog.covers(asked.brand_id, %(shop)s, %(now)s) AS covers
            """,
            ids=ids,
            shop=shop_id,
            now=tx.now,
        ):
            covers.setdefault(cover.brand_id, []).append(cover)
    names: dict[BrandId, str] = {}
    lists: list[words.WordList] = []
    for brand_id, name_zh, name_en in await tx.tuples(
        "SELECT id, name_zh, name_en FROM catalog.brand WHERE state = 'verified' ORDER BY id LIMIT %(limit)s",
        limit=BRANDS_MATCHED_MAX,
    ):
        names[brand_id] = name_zh or name_en
        meant = tuple(
            name.strip("!*") for name in (name_zh, name_en) if len(words.normalise(name)) >= NAME_LETTERS_MIN
        )
        if meant:
            lists.append(words.WordList(name=str(brand_id), words=meant, pinyin=False))
    contested = await tx.tuples(
        "SELECT product_id, brand_id FROM catalog.brand_contest WHERE product_id = ANY(%(ids)s) AND state <> 'refused'",
        ids=list(product_ids),
    )
    return Rules(covers, names, tuple(lists), frozenset((row[0], row[1]) for row in contested))


def brand_facts(product: Product) -> tuple[object, ...]:
    """What decides whether a product may be listed; an edit that leaves it alone is not asked again."""
    return product.state, product.brand_id, product.category, product.title


async def check_may_list(tx: Tx, product: Product) -> None:
    """Refuse a listing that a brand does not let be: `NotAuthorised`, `BrandNotNamed`, `BrandUnknown`."""
    brand_ids = [] if product.brand_id is None else [BrandId(product.brand_id)]
    (await load_rules(tx, product.shop_id, brand_ids, [product.id])).check(product)


async def contest_brand(
    tx: Tx, actor: identity.Actor, product_id: ProductId, brand_id: BrandId, statement: str
) -> Contest:
    """A shop says that the word in its title is not the brand's; the product may be listed until an operator disagrees.

    Needs the scope `catalog`. One that an operator refused stays refused: `DecidedAlready`.
    """
    shop_id = await tx.maybe(ShopId, "SELECT shop_id FROM catalog.product WHERE id = %(id)s", id=product_id)
    if shop_id is None:
        raise NotFound()
    seat = await identity.require_seat(tx, actor, shop_id, identity.Scope.catalog)
    if not await tx.run("SELECT FROM catalog.brand WHERE id = %(id)s AND state = 'verified'", id=brand_id):
        raise BrandUnknown(brand=str(brand_id))
    said = await tx.run(
        """
        INSERT INTO catalog.brand_contest AS c (product_id, brand_id, statement, said_by, said_at)
        VALUES (%(product)s, %(brand)s, %(statement)s, %(by)s, %(now)s)
        ON CONFLICT (product_id, brand_id) DO UPDATE SET statement = EXCLUDED.statement WHERE c.state <> 'refused'
        """,
        product=product_id,
        brand=brand_id,
        statement=clean_text("note", statement, required=True),
        by=seat.account_id,
        now=tx.now,
    )
    if not said:
        raise DecidedAlready(state=ContestState.refused)
    return await _get_contest(tx, product_id, brand_id)


async def list_contests(tx: Tx, actor: identity.Actor, *, limit: int = 100) -> list[Contest]:
    """What shops say about words in their titles and no operator has looked at, oldest first."""
    actor.require_operator()
    return await tx.all(
        Contest,
        """
        SELECT c.product_id, product.title AS product, product.shop_id, shop.name AS shop, c.brand_id,
               coalesce(nullif(brand.name_zh, ''), brand.name_en) AS brand, c.statement, c.state, c.reason, c.said_at
        FROM catalog.brand_contest AS c JOIN catalog.product ON product.id = c.product_id
        JOIN catalog.shop ON shop.id = product.shop_id JOIN catalog.brand ON brand.id = c.brand_id
        WHERE c.state = 'open' ORDER BY c.said_at, c.product_id LIMIT %(limit)s
        """,
        limit=min(limit, PAGE_SIZE_MAX),
    )


async def decide_contest(
    tx: Tx, actor: identity.Actor, product_id: ProductId, brand_id: BrandId, *, accepted: bool, reason: str
) -> Contest:
    """An operator believes the shop or not. Not believed, the product goes off the shelf until it names the brand."""
    operator_id = actor.require_operator()
    state = ContestState.accepted if accepted else ContestState.refused
    product_of = await tx.tuples(
        "SELECT shop_id, title FROM catalog.product WHERE id = %(id)s FOR NO KEY UPDATE", id=product_id
    )
    done = await tx.run(
        """
        UPDATE catalog.brand_contest
        SET state = %(state)s, reason = %(reason)s, decided_by = %(by)s, decided_at = %(now)s
        WHERE product_id = %(product)s AND brand_id = %(brand)s
        """,
        product=product_id,
        brand=brand_id,
        state=state,
        reason=clean_text("note", reason, required=not accepted),
        by=operator_id,
        now=tx.now,
    )
    if not done:
        raise NotFound()
    await identity.record(tx, actor, f"brand_contest.{state}", subject=str(product_id), brand=str(brand_id))
    if not accepted:
        version = await tx.maybe(
            int,
            """
            UPDATE catalog.product
            SET state = 'delisted', delisted_why = 'brand_not_named', version = version + 1, updated_at = %(now)s
            WHERE id = %(id)s AND state = 'listed' AND brand_id IS DISTINCT FROM %(brand)s RETURNING version
            """,
            id=product_id,
            brand=brand_id,
            now=tx.now,
        )
        if version is not None:
            await prices.record(tx, [product_id])
            tx.tell(
                ProductChanged(
                    product_id=product_id, shop_id=product_of[0][0], version=version, state=ProductState.delisted
                )
            )
    return await _get_contest(tx, product_id, brand_id)


async def end_uncovered(db: Database) -> int:
    """Take one bounded batch of listed products off the shelf that nothing covers any more; returns how many.

    Each leaves once, told by `ProductChanged`, so that live carts drop it; the shop's owner hears of it. What somebody
    edits at this moment is passed over and comes with the next turn.
    """
    async with db.tx() as tx:
        gone = await tx.all(
            _Gone,
            """
            WITH pair AS (
                SELECT DISTINCT brand_id, shop_id, category FROM catalog.product
                WHERE state = 'listed' AND brand_id IS NOT NULL
            ), uncovered AS MATERIALIZED (
                SELECT * FROM pair WHERE catalog.cover_until(brand_id, shop_id, category, %(now)s) IS NULL
            ), held AS MATERIALIZED (
                SELECT product.id FROM catalog.product JOIN uncovered USING (brand_id, shop_id, category)
                WHERE product.state = 'listed' ORDER BY product.id LIMIT %(limit)s FOR NO KEY UPDATE OF product SKIP LOCKED
            )
            UPDATE catalog.product
            SET state = 'delisted', delisted_why = 'not_authorised', version = product.version + 1, updated_at = %(now)s
            FROM held WHERE product.id = held.id AND product.state = 'listed'
              AND catalog.cover_until(product.brand_id, product.shop_id, product.category, %(now)s) IS NULL
            RETURNING product.id, product.shop_id, product.brand_id, product.version
            """,
            now=tx.now,
            limit=DELISTED_AT_ONCE_MAX,
        )
        for product in gone:
            tx.tell(
                ProductChanged(
                    product_id=product.id, shop_id=product.shop_id, version=product.version, state=ProductState.delisted
                )
            )
        await prices.record(tx, [product.id for product in gone])
        await _tell_shops(tx, gone)
    return len(gone)


async def warn_endings(db: Database) -> int:
    """Tell shops 30, 7 and 1 days before what they rest on ends, unless it goes on already; returns how many heard.

    And the owners of brands, of their trademarks. One bounded batch of each.
    """
    async with db.tx() as tx:
        ending = await tx.all(
            _Ending,
            """
            SELECT a.id, a.brand_id, shop.owner_id, coalesce(nullif(brand.name_zh, ''), brand.name_en) AS name,
                   shop.name AS shop, a.ends_at, a.warned_days
            FROM catalog.authorisation AS a
            JOIN catalog.shop ON shop.id = a.shop_id JOIN catalog.brand ON brand.id = a.brand_id
            WHERE a.state = 'granted' AND a.ends_at > %(now)s AND a.ends_at <= %(until)s
              AND coalesce(a.warned_days, 32767) > (SELECT min(day) FROM unnest(%(days)s::int[]) AS day
                                                    WHERE a.ends_at <= %(now)s + make_interval(days => day))
              AND NOT EXISTS (
                  SELECT FROM catalog.authorisation AS next
                  WHERE next.brand_id = a.brand_id AND next.shop_id = a.shop_id AND next.id <> a.id
                    AND next.state = 'granted' AND next.starts_at <= a.ends_at AND next.ends_at > a.ends_at
                    AND (next.is_online OR NOT a.is_online)
                    AND (next.categories = '{}' OR (a.categories <> '{}' AND next.categories @> a.categories)))
            ORDER BY a.id LIMIT %(limit)s FOR NO KEY UPDATE OF a SKIP LOCKED
            """,
            **_window(tx.now),
        )
        for one in ending:
            await _warn(tx, one, "authorisation_ending", {"brand": one.name, "shop": one.shop}, "/console/authorisations")
        await _set_warned(tx, "authorisation", ending)
        fading = await tx.all(
            _Ending,
            """
            SELECT t.id, t.brand_id, brand.owner_id, t.office || ' ' || t.number AS name,
                   coalesce(nullif(brand.name_zh, ''), brand.name_en) AS shop, t.ends_at, t.warned_days
            FROM catalog.trademark AS t JOIN catalog.brand ON brand.id = t.brand_id
            WHERE t.state = 'verified' AND t.ends_at > %(now)s AND t.ends_at <= %(until)s
              AND coalesce(t.warned_days, 32767) > (SELECT min(day) FROM unnest(%(days)s::int[]) AS day
                                                    WHERE t.ends_at <= %(now)s + make_interval(days => day))
              AND NOT EXISTS (
                  SELECT FROM catalog.trademark AS next
                  WHERE next.brand_id = t.brand_id AND next.office = t.office AND next.number = t.number
                    AND next.class_no = t.class_no AND next.state = 'verified' AND next.ends_at > t.ends_at)
            ORDER BY t.id LIMIT %(limit)s FOR NO KEY UPDATE OF t SKIP LOCKED
            """,
            **_window(tx.now),
        )
        for one in fading:
            await _warn(tx, one, "trademark_ending", {"trademark": one.name, "brand": one.shop}, "/console/brands")
        await _set_warned(tx, "trademark", fading)
    return len(ending) + len(fading)


async def find_origins(tx: Tx, product_ids: Collection[ProductId]) -> dict[ProductId, Origin]:
    """What cards say of where goods are from; products that say nothing of it are left out."""
    rows = await tx.tuples(
        """
        SELECT product.id, coalesce(nullif(brand.name_zh, ''), brand.name_en), cover.is_owner, cover.ends_at, batch.code
        FROM catalog.product
        LEFT JOIN catalog.brand ON brand.id = product.brand_id
        LEFT JOIN LATERAL (
            SELECT is_owner, ends_at FROM catalog.covers(product.brand_id, product.shop_id, %(now)s) AS covers
            WHERE covers.categories = '{}' OR product.category = ANY (covers.categories)
            ORDER BY is_owner DESC, ends_at DESC LIMIT 1
        ) AS cover ON product.brand_id IS NOT NULL
        LEFT JOIN catalog.batch ON batch.id = product.batch_id
        WHERE product.id = ANY(%(ids)s) AND (product.brand_id IS NOT NULL OR product.batch_id IS NOT NULL)
        """,
        ids=list(product_ids),
        now=tx.now,
    )
    return {
        row[0]: Origin(brand=row[1] if row[3] else None, is_owner=bool(row[2]), until=row[3], batch=row[4])
        for row in rows
        if row[3] or row[4]
    }


async def find_badge(tx: Tx, product: Product) -> Badge | None:
    """By whose right a product is sold at this moment; nothing for goods without a brand, or without the right."""
    if product.brand_id is None:
        return None
    return await tx.maybe(
        Badge,
        """
        SELECT brand.id AS brand_id, name_zh, name_en, logo, covers.is_owner, covers.ends_at AS until
        FROM catalog.brand CROSS JOIN LATERAL catalog.covers(brand.id, %(shop)s, %(now)s) AS covers
        WHERE brand.id = %(brand)s AND (covers.categories = '{}' OR %(category)s = ANY (covers.categories))
        ORDER BY is_owner DESC, until DESC LIMIT 1
        """,
        brand=product.brand_id,
        shop=product.shop_id,
        category=product.category,
        now=tx.now,
    )


async def list_badges_of_shop(tx: Tx, shop_id: ShopId) -> list[Badge]:
    """The brands that a shop may sell at this moment: its own first."""
    return await tx.all(
        Badge,
        """
        SELECT brand.id AS brand_id, name_zh, name_en, logo, bool_or(covers.is_owner) AS is_owner,
               max(covers.ends_at) AS until
        FROM catalog.brand CROSS JOIN LATERAL catalog.covers(brand.id, %(shop)s, %(now)s) AS covers
        WHERE brand.id IN (SELECT brand_id FROM catalog.authorisation WHERE shop_id = %(shop)s)
           OR brand.owner_id = (SELECT owner_id FROM catalog.shop WHERE id = %(shop)s)
        GROUP BY brand.id ORDER BY is_owner DESC, until DESC, brand.id LIMIT %(limit)s
        """,
        shop=shop_id,
        now=tx.now,
        limit=PAGE_SIZE_MAX,
    )


class _Gone(msgspec.Struct, frozen=True):
    id: ProductId
    shop_id: ShopId
    brand_id: BrandId
    version: int


class _Ending(msgspec.Struct, frozen=True):
    id: UUID
    brand_id: BrandId
    owner_id: AccountId
    name: str
    shop: str
    ends_at: datetime
    warned_days: int | None


def _window(now: datetime) -> dict[str, object]:
    return {
        "now": now,
        "until": now + timedelta(days=max(WARN_DAYS)),
        "days": list(WARN_DAYS),
        "limit": WARNED_AT_ONCE_MAX,
    }


def _days_left(one: _Ending, now: datetime) -> int:
    """The nearest of the warnings that is due."""
    return min(days for days in WARN_DAYS if one.ends_at <= now + timedelta(days=days))


async def _warn(tx: Tx, one: _Ending, kind: str, facts: dict[str, str], link: str) -> None:
    told = {**facts, "days": _days_left(one, tx.now), "ends_at": one.ends_at.isoformat()}
    await messages.notify_many(tx, [ViewerId(one.owner_id)], kind, told, link, once=one.id)


async def _set_warned(tx: Tx, kind: str, warned: Iterable[_Ending]) -> None:
    ids = [one.id for one in warned]
    if not ids:
        return
    days = [_days_left(one, tx.now) for one in warned]
    if kind == "trademark":
        await tx.run(
            """
            UPDATE catalog.trademark SET warned_days = said.days
            FROM unnest(%(ids)s::uuid[], %(days)s::smallint[]) AS said (id, days) WHERE trademark.id = said.id
            """,
            ids=ids,
            days=days,
        )
        return
    await tx.run(
        """
        UPDATE catalog.authorisation SET warned_days = said.days
        FROM unnest(%(ids)s::uuid[], %(days)s::smallint[]) AS said (id, days) WHERE authorisation.id = said.id
        """,
        ids=ids,
        days=days,
    )


async def _tell_shops(tx: Tx, gone: list[_Gone]) -> None:
    counts: dict[tuple[ShopId, BrandId], int] = {}
    for product in gone:
        counts[product.shop_id, product.brand_id] = counts.get((product.shop_id, product.brand_id), 0) + 1
    if not counts:
        return
    rows = await tx.tuples(
        """
        SELECT shop.id, brand.id, shop.owner_id, coalesce(nullif(brand.name_zh, ''), brand.name_en)
        FROM unnest(%(shops)s::uuid[], %(brands)s::uuid[]) AS pair (shop_id, brand_id)
        JOIN catalog.shop ON shop.id = pair.shop_id JOIN catalog.brand ON brand.id = pair.brand_id
        """,
        shops=[shop_id for shop_id, _ in counts],
        brands=[brand_id for _, brand_id in counts],
    )
    for shop_id, brand_id, owner_id, name in rows:
        facts = {"brand": name, "count": counts[shop_id, brand_id]}
        await messages.notify_many(tx, [ViewerId(owner_id)], "products_uncovered", facts, "/console/authorisations")


async def _get_contest(tx: Tx, product_id: ProductId, brand_id: BrandId) -> Contest:
    return await tx.one(
        Contest,
        """
        SELECT c.product_id, product.title AS product, product.shop_id, shop.name AS shop, c.brand_id,
               coalesce(nullif(brand.name_zh, ''), brand.name_en) AS brand, c.statement, c.state, c.reason, c.said_at
        FROM catalog.brand_contest AS c JOIN catalog.product ON product.id = c.product_id
        JOIN catalog.shop ON shop.id = product.shop_id JOIN catalog.brand ON brand.id = c.brand_id
        WHERE c.product_id = %(product)s AND c.brand_id = %(brand)s
        """,
        product=product_id,
        brand=brand_id,
    )


