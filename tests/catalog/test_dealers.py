"""Brands, authorisations and what they let be listed; the clock is the test's."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest

from laotie import catalog, identity
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import AccountId, ProductId, ViewerId, new_id
from laotie.base.refusals import Forbidden, NotFound
from laotie.catalog import BrandId, BrandNotNamed, NotAuthorised, Product, ProductChange, ProductDraft, ProductState
from laotie.catalog.brand_model import (
    Authorisation,
    AuthorisationId,
    Brand,
    BrandDraft,
    BrandTaken,
    BrandUnknown,
    DecidedAlready,
    Terms,
    TermsRefused,
    TrademarkDraft,
    TrademarkEndsFirst,
    TrademarkId,
    TrademarkMissing,
    TrademarkTaken,
    Verdict,
)
from laotie.identity import Actor, Role

LISTED, DELISTED = ProductState.listed, ProductState.delisted
DAY_S = 86_400
Sell = Callable[..., Awaitable[catalog.Sku]]


@dataclass
class Dealing:
    """A brand's owner, an operator, and a shop that has nothing to do with the brand."""

    db: Database
    clock: Clock
    owner: Actor
    operator: Actor
    seller: Any

    def in_days(self, days: float) -> datetime:
        return self.clock.now() + timedelta(days=days)

    def trademark(self, *, days: float = 3650, number: str = "1234567") -> TrademarkDraft:
        return TrademarkDraft(
            id=TrademarkId(new_id()),
            office="CNIPA",
            number=number,
            class_no=29,
            name="獐子岛",
            ends_at=self.in_days(days),
        )

    async def ask(self, *, zh: str = "獐子岛", en: str = "Zoneco", days: float = 3650, number: str = "1234567") -> Brand:
        async with self.db.tx() as tx:
            return await catalog.brands.ask_brand(
                tx,
                self.owner,
                BrandId(new_id()),
                BrandDraft(name_zh=zh, name_en=en, trademarks=[self.trademark(days=days, number=number)]),
            )

    async def decide(self, brand: Brand, *, verified: bool = True, reason: str = "") -> Brand:
        async with self.db.tx() as tx:
            return await catalog.brands.decide_brand(tx, self.operator, brand.id, verified=verified, reason=reason)

    async def brand(self, **said: Any) -> Brand:
        return await self.decide(await self.ask(**said))

    def terms(self, days: float = 100, **said: Any) -> Terms:
        return Terms(starts_at=self.clock.now(), ends_at=self.in_days(days), **said)

    async def grant(self, brand: Brand, days: float = 100, **said: Any) -> Authorisation:
        async with self.db.tx() as tx:
            return await catalog.authorisations.grant_authorisation(
                tx, self.owner, brand.id, AuthorisationId(new_id()), self.seller.shop.id, self.terms(days, **said)
            )

    async def revoke(self, authorisation: Authorisation) -> Authorisation:
        async with self.db.tx() as tx:
            return await catalog.authorisations.revoke_authorisation(
                tx, self.owner, authorisation.id, reason="卖假货"
            )

    async def edit(self, product_id: ProductId, **change: Any) -> Product:
        async with self.db.tx() as tx:
            return await catalog.edit_product(tx, self.seller.owner, product_id, ProductChange(**change))

    async def product(self, product_id: ProductId) -> Product:
        async with self.db.read() as tx:
            return (await catalog.find_products(tx, [product_id]))[product_id]

    async def news(self, tag: str = "catalog.product_changed") -> int:
        async with self.db.read() as tx:
            return await tx.one(int, "SELECT count(*) FROM base.outbox WHERE tag = %(tag)s", tag=tag)

    async def told(self, who: AccountId) -> list[tuple[str, Any]]:
        async with self.db.read() as tx:
            rows = await tx.tuples(
                """
                SELECT m.kind, m.facts FROM messages.notice AS n JOIN messages.message AS m ON m.id = n.message_id
                WHERE n.viewer_id = %(who)s ORDER BY m.id
                """,
                who=who,
            )
        return [(kind, facts) for kind, facts in rows]


async def _actor(db: Database, handle: str, *roles: Role) -> Actor:
    account_id = AccountId(new_id())
    async with db.tx() as tx:
        await identity.create_account(tx, account_id, handle=handle, password_hash="unused", name=handle)
    return Actor(
        viewer_id=ViewerId(account_id), account_id=account_id, seat_holder_id=account_id, roles=frozenset(roles)
    )


@pytest.fixture
async def deal(db: Database, clock: Clock, seller: Any) -> Dealing:
    """See the class."""
    return Dealing(
        db, clock, await _actor(db, "brandowner"), await _actor(db, "operator", Role.operator), seller
    )


@pytest.mark.parametrize("zh, en", [("獐子島", ""), ("", "ZONEC0"), ("", "zоneco"), ("", "Ζone co"), ("獐 子 岛", "X")])
async def test_a_verified_brands_name_is_nobody_elses_however_it_is_written(deal: Dealing, zh: str, en: str) -> None:
    brand = await deal.brand()
    with pytest.raises(BrandTaken) as refused:
        await deal.ask(zh=zh, en=en, number="9")
    assert refused.value.brand_id == brand.id


async def test_of_two_who_asked_for_one_name_the_first_to_be_verified_has_it(deal: Dealing) -> None:
    first, second = await deal.ask(), await deal.ask(number="9")
    answers = await asyncio.gather(deal.decide(first), deal.decide(second), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Brand", "BrandTaken"]
    loser = first if isinstance(answers[0], BrandTaken) else second
    await deal.decide(loser, verified=False, reason="同名")
    assert (await deal.told(deal.owner.account_id))[-1] == (  # type: ignore[arg-type]
        "brand_decided",
        {"what": "獐子岛", "state": "refused", "reason": "同名"},
    )


async def test_a_brand_rests_on_a_trademark_of_its_own(deal: Dealing) -> None:
    await deal.brand()
    with pytest.raises(TrademarkTaken):
        await deal.brand(zh="好当家", en="", number="1234567")
    with pytest.raises(TermsRefused):
        await deal.ask(zh="好当家", en="", number="2", days=-1)
    async with deal.db.tx() as tx:
        with pytest.raises(TrademarkMissing):
            await catalog.brands.ask_brand(tx, deal.owner, BrandId(new_id()), BrandDraft(name_zh="好当家"))
    late = await deal.ask(zh="好当家", en="", number="3", days=1)
    deal.clock.advance(seconds=2 * DAY_S)
    with pytest.raises(TrademarkMissing):
        await deal.decide(late)


async def test_only_operators_decide_and_only_the_owner_grants(deal: Dealing, seller: Any) -> None:
    brand = await deal.ask()
    async with deal.db.tx() as tx:
        with pytest.raises(Forbidden):
            await catalog.brands.decide_brand(tx, deal.owner, brand.id, verified=True, reason="")
        with pytest.raises(NotFound):
            await catalog.brands.get_brand(tx, seller.stranger, brand.id)
        with pytest.raises(TrademarkMissing):
            await catalog.authorisations.grant_authorisation(
                tx, deal.owner, brand.id, AuthorisationId(new_id()), seller.shop.id, deal.terms()
            )
        with pytest.raises(NotFound):
            await catalog.authorisations.grant_authorisation(
                tx, seller.stranger, brand.id, AuthorisationId(new_id()), seller.shop.id, deal.terms()
            )
    await deal.decide(brand)
    authorisation = await deal.grant(brand)
    async with deal.db.tx() as tx:
        with pytest.raises(NotFound):
            await catalog.authorisations.revoke_authorisation(tx, seller.owner, authorisation.id, reason="…")
    with pytest.raises(TrademarkEndsFirst):
        await deal.grant(brand, days=4000)


async def test_listing_goods_of_a_brand_takes_its_authorisation(deal: Dealing, add_sku: Sell) -> None:
    brand = await deal.brand()
    sku = await add_sku("即食海参")
    with pytest.raises(NotAuthorised) as refused:
        await deal.edit(sku.product_id, brand_id=brand.id)
    assert refused.value.facts() == {"brand_id": brand.id, "brand": "獐子岛"}
    await deal.edit(sku.product_id, state=DELISTED)
    await deal.edit(sku.product_id, brand_id=brand.id)
    with pytest.raises(NotAuthorised):
        await deal.edit(sku.product_id, state=LISTED)
    await deal.grant(brand, categories=["贝类"])
    with pytest.raises(NotAuthorised):
        await deal.edit(sku.product_id, state=LISTED)
    await deal.grant(brand, is_online=False, stores=["码头店"])
    with pytest.raises(NotAuthorised):
        await deal.edit(sku.product_id, state=LISTED)
    await deal.grant(brand, categories=["海产"])
    assert (await deal.edit(sku.product_id, state=LISTED)).state is LISTED
    with pytest.raises(NotAuthorised):
        await deal.edit(sku.product_id, category="玩具")
    async with deal.db.read() as tx:
        origins = await catalog.covering.find_origins(tx, [sku.product_id])
    assert (origins[sku.product_id].brand, origins[sku.product_id].is_owner) == ("獐子岛", False)


async def test_the_brands_own_shop_needs_nobodys_word(deal: Dealing, add_sku: Sell, seller: Any) -> None:
    deal.owner = seller.owner
    brand = await deal.brand()
    sku = await add_sku("海参", code="B-1")
    listed = await deal.edit(sku.product_id, brand_id=brand.id, title="獐子岛海参")
    assert listed.state is LISTED
    async with deal.db.read() as tx:
        badge = await catalog.covering.find_badge(tx, listed)
    assert badge is not None and badge.is_owner
    deal.clock.advance(seconds=3651 * DAY_S)
    assert await catalog.covering.end_uncovered(deal.db) == 1


async def test_a_title_with_a_brands_name_names_the_brand_or_says_what_it_means(deal: Dealing, add_sku: Sell) -> None:
    brand = await deal.brand(zh="苹果", en="Appel")
    sku = await add_sku("红富士")
    with pytest.raises(BrandNotNamed) as refused:
        await deal.edit(sku.product_id, title="烟台蘋 果 5斤")
    assert refused.value.facts() == {"brand_id": brand.id, "brand": "苹果", "seen": "蘋 果"}
    assert (await deal.edit(sku.product_id, description="苹果")).description == "苹果"
    async with deal.db.tx() as tx:
        await catalog.covering.contest_brand(tx, deal.seller.owner, sku.product_id, brand.id, "水果，不是手机")
    assert (await deal.edit(sku.product_id, title="烟台苹果 5斤")).state is LISTED
    async with deal.db.tx() as tx:
        [contest] = await catalog.covering.list_contests(tx, deal.operator)
        assert (contest.statement, contest.shop) == ("水果，不是手机", "海边人家")
        await catalog.covering.decide_contest(
            tx, deal.operator, sku.product_id, brand.id, accepted=False, reason="卖的是手机"
        )
    gone = await deal.product(sku.product_id)
    assert (gone.state, gone.delisted_why) == (DELISTED, "brand_not_named")
    with pytest.raises(BrandNotNamed):
        await deal.edit(sku.product_id, state=LISTED)
    async with deal.db.tx() as tx:
        with pytest.raises(DecidedAlready):
            await catalog.covering.contest_brand(tx, deal.seller.owner, sku.product_id, brand.id, "真的是水果")


async def test_what_runs_out_leaves_the_shelf_once_and_the_owner_hears_of_it(deal: Dealing, add_sku: Sell) -> None:
    brand = await deal.brand()
    await deal.grant(brand, days=10)
    skus = [await add_sku(f"海参{number}", code=f"A-{number}") for number in range(3)]
    for sku in skus:
        await deal.edit(sku.product_id, brand_id=brand.id)
    other = await add_sku("扇贝", code="S-1")
    deal.clock.advance(seconds=10 * DAY_S - 600)
    assert await catalog.covering.end_uncovered(deal.db) == 0
    before = await deal.news()
    deal.clock.advance(seconds=600)
    assert sum(await asyncio.gather(*(catalog.covering.end_uncovered(deal.db) for _ in range(4)))) == 3
    assert await catalog.covering.end_uncovered(deal.db) == 0
    assert await deal.news() == before + 3
    for sku in skus:
        gone = await deal.product(sku.product_id)
        assert (gone.state, gone.delisted_why) == (DELISTED, "not_authorised")
    assert (await deal.product(other.product_id)).state is LISTED
    told = [facts for kind, facts in await deal.told(deal.seller.owner.account_id) if kind == "products_uncovered"]
    assert sum(facts["count"] for facts in told) == 3
    await deal.grant(brand, days=5)
    assert (await deal.edit(skus[0].product_id, state=LISTED)).delisted_why is None


async def test_renewed_before_the_end_it_stays_on_the_shelf(deal: Dealing, add_sku: Sell) -> None:
    brand = await deal.brand()
    await deal.grant(brand, days=10)
    sku = await add_sku()
    await deal.edit(sku.product_id, brand_id=brand.id)
    deal.clock.advance(seconds=9 * DAY_S)
    await deal.grant(brand, days=30)
    deal.clock.advance(seconds=2 * DAY_S)
    assert await catalog.covering.end_uncovered(deal.db) == 0
    assert (await deal.product(sku.product_id)).state is LISTED


async def test_a_trademarks_end_ends_what_rests_on_it_unless_it_is_renewed(deal: Dealing, add_sku: Sell) -> None:
    brand = await deal.brand(days=20)
    await deal.grant(brand, days=19.9)
    sku = await add_sku()
    await deal.edit(sku.product_id, brand_id=brand.id)
    deal.clock.advance(seconds=19 * DAY_S)
    async with deal.db.tx() as tx:
        renewal = deal.trademark(days=3650)
        await catalog.brands.add_trademark(tx, deal.owner, brand.id, renewal)
    async with deal.db.tx() as tx:
        brand = await catalog.brands.decide_trademark(tx, deal.operator, renewal.id, verified=True, reason="")
    assert [one.state for one in brand.trademarks] == [Verdict.verified, Verdict.verified]
    later = await deal.grant(brand, days=100)
    deal.clock.advance(seconds=10 * DAY_S)
    assert await catalog.covering.end_uncovered(deal.db) == 0
    async with deal.db.tx() as tx:
        await catalog.brands.decide_trademark(tx, deal.operator, renewal.id, verified=False, reason="注销")
    assert await catalog.covering.end_uncovered(deal.db) == 1
    async with deal.db.read() as tx:
        page = await catalog.authorisations.list_authorisations_of_brand(tx, deal.owner, brand.id)
    assert [one.is_live for one in page.items if one.id == later.id] == [False]


async def test_a_brand_that_is_withdrawn_takes_its_goods_along_and_frees_its_name(
    deal: Dealing, add_sku: Sell
) -> None:
    brand = await deal.brand()
    await deal.grant(brand)
    sku = await add_sku()
    await deal.edit(sku.product_id, brand_id=brand.id)
    await deal.decide(brand, verified=False, reason="文件是伪造的")
    assert await catalog.covering.end_uncovered(deal.db) == 1
    await deal.brand(number="77")


async def test_shops_are_told_thirty_seven_and_one_days_before_and_not_when_it_goes_on(deal: Dealing) -> None:
    brand = await deal.brand()
    await deal.grant(brand, days=40)
    seen = []
    for _ in range(42):
        await catalog.covering.warn_endings(deal.db)
        await catalog.covering.warn_endings(deal.db)
        deal.clock.advance(seconds=DAY_S)
    told = await deal.told(deal.seller.owner.account_id)
    seen = [facts["days"] for kind, facts in told if kind == "authorisation_ending"]
    assert seen == [30, 7, 1]
    await deal.grant(brand, days=20)
    await deal.grant(brand, days=60)
    await catalog.covering.warn_endings(deal.db)
    told = await deal.told(deal.seller.owner.account_id)
    assert len([1 for kind, _ in told if kind == "authorisation_ending"]) == 3


async def test_nothing_is_listed_on_a_revoked_authorisation_whoever_was_first(deal: Dealing, add_sku: Sell) -> None:
    brand = await deal.brand()
    sku = await add_sku()
    await deal.edit(sku.product_id, state=DELISTED)
    await deal.edit(sku.product_id, brand_id=brand.id)
    listed = refused = 0
    for turn in range(12):
        authorisation = await deal.grant(brand)

        async def list_it(turn: int = turn) -> None:
            await asyncio.sleep(0.0005 * (turn % 4))
            await deal.edit(sku.product_id, state=LISTED)

        async def revoke_it(turn: int = turn, given: Authorisation = authorisation) -> None:
            await asyncio.sleep(0.0005 * (turn // 4))
            await deal.revoke(given)

        answers = await asyncio.gather(list_it(), revoke_it(), return_exceptions=True)
        assert answers[1] is None, answers[1]
        assert answers[0] is None or isinstance(answers[0], NotAuthorised), answers[0]
        listed += answers[0] is None
        refused += answers[0] is not None
        after = await deal.product(sku.product_id)
        assert (after.state is LISTED) == (answers[0] is None)
        assert await catalog.covering.end_uncovered(deal.db) == (1 if answers[0] is None else 0)
        assert (await deal.product(sku.product_id)).state is DELISTED
    assert listed + refused == 12


async def test_a_listing_in_hand_makes_a_revocation_wait_and_its_sweep_sees_it(deal: Dealing, add_sku: Sell) -> None:
    brand = await deal.brand()
    authorisation = await deal.grant(brand)
    sku = await add_sku()
    await deal.edit(sku.product_id, state=DELISTED)
    await deal.edit(sku.product_id, brand_id=brand.id)
    async with deal.db.tx() as tx:
        await catalog.edit_product(tx, deal.seller.owner, sku.product_id, ProductChange(state=LISTED))
        revoking = asyncio.create_task(deal.revoke(authorisation))
        done, _ = await asyncio.wait([revoking], timeout=0.3)
        assert not done, "the revocation did not wait for the listing"
    await revoking
    assert await catalog.covering.end_uncovered(deal.db) == 1


async def test_a_shop_asks_and_the_brand_answers(deal: Dealing, seller: Any) -> None:
    brand = await deal.brand()
    asked_id = AuthorisationId(new_id())
    terms = deal.terms(30, note="想卖即食海参")
    async with deal.db.tx() as tx:
        first = await catalog.authorisations.ask_authorisation(
            tx, seller.owner, seller.shop.id, asked_id, brand.id, terms
        )
        again = await catalog.authorisations.ask_authorisation(
            tx, seller.owner, seller.shop.id, asked_id, brand.id, terms
        )
    assert first == again
    assert await deal.told(deal.owner.account_id) == [  # type: ignore[arg-type]
        ("brand_decided", {"what": "獐子岛", "state": "verified", "reason": ""}),
        ("authorisation_asked", {"brand": "獐子岛", "shop": "海边人家"}),
    ]
    async with deal.db.tx() as tx:
        with pytest.raises(NotFound):
            await catalog.authorisations.decide_authorisation(tx, seller.owner, asked_id, granted=True)
        granted = await catalog.authorisations.decide_authorisation(tx, deal.owner, asked_id, granted=True)
        with pytest.raises(DecidedAlready):
            await catalog.authorisations.decide_authorisation(tx, deal.owner, asked_id, granted=False, reason="…")
    assert granted.is_live and granted.trademark_id == brand.trademarks[0].id
    async with deal.db.read() as tx:
        [badge] = await catalog.covering.list_badges_of_shop(tx, seller.shop.id)
    assert (badge.name_zh, badge.is_owner) == ("獐子岛", False)


async def test_a_sheet_names_brands_and_a_row_that_may_not_be_listed_spoils_no_other(
    deal: Dealing, seller: Any
) -> None:
    await deal.brand()
    unverified = await deal.ask(zh="好当家", en="", number="5")
    sheet = "code,title,state,price,stock,brand\n" + "\n".join(
        [
            "A,海参,listed,9.00,1,獐子島",
            "B,海参,draft,9.00,1,ZONECO",
            "C,扇贝,listed,9.00,1,",
            "D,扇贝,draft,9.00,1,好当家",
            "E,獐子岛扇贝,listed,9.00,1,",
        ]
    )
    report = await catalog.import_sheet(deal.db, seller.owner, seller.shop.id, BytesIO(sheet.encode()))
    assert [(error.line, error.code) for error in report.errors] == [
        (2, "not-authorised"),
        (5, "brand-unknown"),
        (6, "brand-not-named"),
    ]
    brand = await deal.grant((await _own(deal, seller))[0])
    report = await catalog.import_sheet(deal.db, seller.owner, seller.shop.id, BytesIO(sheet.encode()))
    assert (report.created, report.unchanged, report.refused) == (1, 2, 2)
    assert brand.is_live and unverified.state is Verdict.asked
    async with deal.db.read() as tx:
        text = "".join([piece async for piece in catalog.export_sheet(tx, seller.owner, seller.shop.id)])
    assert text.count("獐子岛") == 2


async def _own(deal: Dealing, seller: Any) -> list[Brand]:
    async with deal.db.read() as tx:
        return [brand for brand in await catalog.brands.list_own_brands(tx, deal.owner) if brand.state is Verdict.verified]


async def test_a_draft_may_name_no_brand_that_is_not_there(deal: Dealing, seller: Any) -> None:
    async with deal.db.tx() as tx:
        with pytest.raises(BrandUnknown):
            await catalog.add_product(
                tx, seller.owner, seller.shop.id, ProductId(new_id()), ProductDraft(title="海参", brand_id=UUID(int=1))
            )
