"""Shops, products and SKUs: said once or twice, edited by two, seen by everybody or by the shop."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from laotie import catalog, identity
from laotie.base.db import Database
from laotie.base.ids import ProductId, ShopId, SkuId, new_id
from laotie.base.money import Money, UnknownCurrency
from laotie.base.refusals import Conflict, IdReused, Invalid, NotFound, Refusal
from laotie.events.catalog import ProductChanged

Add = Callable[..., Awaitable[catalog.Sku]]


async def test_opening_a_shop_twice_with_the_same_words_opens_one(db: Database, seller: Any) -> None:
    shop_id = ShopId(new_id())
    draft = catalog.ShopDraft(
        name="童衣间",
        currency="CNY",
        stores=[catalog.Store("大连店", "大连"), catalog.Store("沈阳店", "沈阳", "中街 1 号")],
    )
    async with db.tx() as tx:
        shop = await catalog.open_shop(tx, seller.owner.account_id, shop_id, draft)
        assert await catalog.open_shop(tx, seller.owner.account_id, shop_id, draft) == shop
    assert [store.city for store in shop.stores] == ["大连", "沈阳"]
    with pytest.raises(IdReused):
        async with db.tx() as tx:
            await catalog.open_shop(tx, seller.stranger.account_id, shop_id, draft)
    async with db.tx() as tx:
        seat = await identity.require_seat(tx, seller.owner, shop_id, identity.Scope.money)
        assert seat.is_owner
        changed = await catalog.edit_shop(tx, seller.owner, shop_id, catalog.ShopChange(about="为孩子", stores=[]))
    assert (changed.about, changed.name, changed.stores) == ("为孩子", "童衣间", [])


async def test_a_currency_nobody_settles_in_opens_no_shop(db: Database, seller: Any) -> None:
    with pytest.raises(UnknownCurrency):
        async with db.tx() as tx:
            await catalog.open_shop(
                tx, seller.owner.account_id, ShopId(new_id()), catalog.ShopDraft(name="x", currency="XXX")
            )


async def test_a_product_said_twice_is_one_and_other_words_are_refused(db: Database, seller: Any) -> None:
    id_ = ProductId(new_id())
    draft = catalog.ProductDraft(title="  Red \u3000 lantern ", category="Home", images=["https://x.example/a.jpg"])
    async with db.tx() as tx:
        product = await catalog.add_product(tx, seller.owner, seller.shop.id, id_, draft)
        assert await catalog.add_product(tx, seller.owner, seller.shop.id, id_, draft) == product
    assert (product.title, product.state, product.version) == ("Red lantern", "draft", 1)
    with pytest.raises(IdReused):
        async with db.tx() as tx:
            await catalog.add_product(tx, seller.owner, seller.shop.id, id_, catalog.ProductDraft(title="Blue"))


async def test_the_second_of_two_editors_is_told(db: Database, seller: Any, add_sku: Add) -> None:
    sku = await add_sku()
    async with db.read() as tx:
        seen = await catalog.get_product(tx, seller.owner, sku.product_id)
    async with db.tx() as tx:
        first = await catalog.edit_product(
            tx, seller.owner, sku.product_id, catalog.ProductChange(title="One", expected_version=seen.version)
        )
        assert tx.told == [
            ProductChanged(
                product_id=sku.product_id, shop_id=seller.shop.id, version=seen.version + 1, state="listed"
            )
        ]
    with pytest.raises(catalog.ChangedMeanwhile) as refused:
        async with db.tx() as tx:
            await catalog.edit_sku(
                tx,
                seller.owner,
                sku.id,
                catalog.SkuChange(price=Money(1, "CNY"), expected_version=seen.version),
            )
    assert refused.value.version == first.version


async def test_an_edit_that_changes_nothing_keeps_the_version_and_tells_nothing(
    db: Database, seller: Any, add_sku: Add
) -> None:
    sku = await add_sku("Same")
    async with db.tx() as tx:
        before = await catalog.get_product(tx, seller.owner, sku.product_id)
        after = await catalog.edit_product(tx, seller.owner, sku.product_id, catalog.ProductChange(title=" Same "))
        await catalog.edit_sku(tx, seller.owner, sku.id, catalog.SkuChange(price=Money(9900, "CNY")))
        assert (after, tx.told) == (before, [])


async def test_a_product_is_listed_with_something_to_sell_and_never_a_draft_again(db: Database, seller: Any) -> None:
    id_ = ProductId(new_id())
    async with db.tx() as tx:
        await catalog.add_product(tx, seller.owner, seller.shop.id, id_, catalog.ProductDraft(title="Bare"))
    with pytest.raises(catalog.NothingToSell):
        async with db.tx() as tx:
            await catalog.edit_product(
                tx, seller.owner, id_, catalog.ProductChange(state=catalog.ProductState.listed)
            )
    async with db.tx() as tx:
        await catalog.add_sku(
            tx, seller.owner, id_, SkuId(new_id()), catalog.SkuDraft(code="B", price=Money(1, "CNY"))
        )
        await catalog.edit_product(tx, seller.owner, id_, catalog.ProductChange(state=catalog.ProductState.listed))
    with pytest.raises(Conflict) as refused:
        async with db.tx() as tx:
            await catalog.edit_product(tx, seller.owner, id_, catalog.ProductChange(state=catalog.ProductState.draft))
    assert refused.value.code == "state-refused"


async def test_codes_and_choices_are_not_given_twice(db: Database, seller: Any, add_sku: Add) -> None:
    sku = await add_sku(code="A")

    async def refuse(kind: type[Refusal], **said: Any) -> None:
        with pytest.raises(kind):
            async with db.tx() as tx:
                await catalog.add_sku(
                    tx,
                    seller.owner,
                    sku.product_id,
                    SkuId(new_id()),
                    msgspec.structs.replace(
                        catalog.SkuDraft(code="Z", options={"颜色": "红"}, price=Money(5, "CNY")), **said
                    ),
                )

    await refuse(catalog.CodeTaken, code="A")
    await refuse(catalog.OptionsTaken, options={})
    await refuse(catalog.PriceRefused, price=Money(5, "USD"))
    await refuse(catalog.PriceRefused, price=Money(0, "CNY"))
    await refuse(Invalid, options={"": "x"})
    await refuse(Invalid, options={str(n): "x" for n in range(6)})
    await refuse(catalog.MovementRefused, stock=-1)
    await refuse(catalog.TextRefused, code=" ")
    other = await add_sku(code="B")
    with pytest.raises(catalog.CodeTaken):
        async with db.tx() as tx:
            await catalog.edit_sku(tx, seller.owner, other.id, catalog.SkuChange(code="A"))


@pytest.mark.parametrize(
    "image",
    ["javascript:alert(1)", "//evil.example/x", "data:image/png;base64,x", "https://a b", "/\\evil", "ftp://x", "/x\n"],
)
def test_an_image_is_an_address_that_a_page_may_load(image: str) -> None:
    with pytest.raises(catalog.ImageRefused):
        catalog.clean_images([image])
    good = ["https://x.example/a.jpg", "/media/x.png"]
    assert catalog.clean_images(good) == good


async def test_texts_that_cannot_be_shown_are_refused(db: Database, seller: Any) -> None:
    for title in ("", "  ", "x" * 201, "a\x00b", "a\u202eb", "a\ud800"):
        with pytest.raises(catalog.TextRefused):
            async with db.tx() as tx:
                await catalog.add_product(
                    tx, seller.owner, seller.shop.id, ProductId(new_id()), catalog.ProductDraft(title=title)
                )


async def test_the_shelf_is_searched_by_words_and_paged_newest_first(db: Database, seller: Any, add_sku: Add) -> None:
    for number in range(5):
        await add_sku(f"Ｒed lantern {number} 50%_off", code=f"L{number}")
    await add_sku("Blue kite", code="K")
    seen: list[str] = []
    after = None
    async with db.read() as tx:
        while True:
            page = await catalog.list_products(tx, query="LANTERN red", after=after, limit=2)
            seen += [product.title for product in page.items]
            if page.next is None:
                break
            after = ProductId(page.next)
        assert seen == [f"Ｒed lantern {number} 50%_off" for number in (4, 3, 2, 1, 0)]
        assert len((await catalog.list_products(tx, query="50%_OFF")).items) == 5
        assert (await catalog.list_products(tx, query="50__off")).items == []
        assert (await catalog.list_products(tx, query="kite \x00 \\")).items == []
        assert len((await catalog.list_products(tx, category="海产")).items) == 6
        assert (await catalog.list_products(tx, shop_id=ShopId(new_id()))).items == []
        own = await catalog.list_own_products(tx, seller.owner, seller.shop.id, query="l3")
        assert [product.skus[0].code for product in own.items] == ["L3"]
        assert await catalog.list_categories(tx) == ["海产"]


async def test_drafts_and_retired_skus_are_seen_by_the_shop_alone(db: Database, seller: Any, add_sku: Add) -> None:
    sku = await add_sku(code="V1")
    draft_id = ProductId(new_id())
    async with db.tx() as tx:
        await catalog.add_sku(
            tx,
            seller.owner,
            sku.product_id,
            SkuId(new_id()),
            catalog.SkuDraft(code="V2", options={"尺寸": "大"}, price=Money(7, "CNY")),
        )
        await catalog.edit_sku(tx, seller.owner, sku.id, catalog.SkuChange(state=catalog.SkuState.retired))
        await catalog.add_product(tx, seller.owner, seller.shop.id, draft_id, catalog.ProductDraft(title="Soon"))
        assert [s.code for s in (await catalog.get_product(tx, seller.owner, sku.product_id)).skus] == ["V1", "V2"]
        for somebody in (seller.stranger, None):
            assert [s.code for s in (await catalog.get_product(tx, somebody, sku.product_id)).skus] == ["V2"]
            with pytest.raises(NotFound):
                await catalog.get_product(tx, somebody, draft_id)
        with pytest.raises(NotFound):
            await catalog.list_own_products(tx, seller.stranger, seller.shop.id)
        with pytest.raises(NotFound):
            await catalog.edit_product(tx, seller.stranger, sku.product_id, catalog.ProductChange(title="Mine"))


def test_a_picture_carries_nothing_of_the_words_but_one_letter() -> None:
    picture = catalog.draw_picture('<script>alert("x")</script>', "<b>")
    assert "script" not in picture and "<b>" not in picture and ">S</text>" in picture
    assert catalog.draw_picture("海参", "海产") == catalog.draw_picture("海参", "海产")
    assert "·</text>" in catalog.draw_picture("&&&", "")
