"""The index follows the database: what is listed is found within two seconds, what has left is never shown, kill -9."""

import asyncio
import json
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from laotie import catalog, live, search, traffic
from laotie.aftersales import reviews_listing
from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.entry import Entry, EntryElsewhere, EntryNotYours, Source, read_visit
from laotie.base.ids import ProductId, ViewerId, new_id
from laotie.base.money import Money
from laotie.base.outbox import Relay
from laotie.base.signer import Signer, TokenInvalid
from laotie.catalog import MovementKind, ProductChange, ProductState, SkuChange
from laotie.events.catalog import StockChanged
from laotie.search import Ask, Shelf, ShelfSort
from laotie.search.changes import note_stock
from laotie.search.reactions import REACTIONS
from laotie.traffic import CursorRefused, ShelfPage
from laotie.worker.shelf import ShelfKeeper, open_shelf
from stage import Host, act_as, guest, host, join, product

CHILD = """
import asyncio, sys
from pathlib import Path
from laotie.base.db import Database
from laotie.worker.shelf import open_shelf

async def main():
    db = await Database.open(sys.argv[1], pool_max=2)
    shelf = open_shelf(db, Path(sys.argv[2]))
    while True:
        changed = await shelf.follow()
        print(changed, flush=True)

asyncio.run(main())
"""


@pytest.fixture
async def shelf(db: Database, tmp_path: Path) -> AsyncIterator[Shelf]:
    opened = open_shelf(db, tmp_path)
    yield opened
    await opened.close()


async def carry(db: Database) -> None:
    """News reach the room's reactions, as in the worker."""
    await Relay(db, LocalBus(), REACTIONS).drain()


async def look(db: Database, signer: Signer, shelf: Shelf | None, text: str = "", **more: object) -> ShelfPage:
    async with db.read() as tx:
        return await traffic.search_shelf(tx, signer, guest(), shelf, Ask(text=text, **more))  # type: ignore[arg-type]


async def titles(db: Database, signer: Signer, shelf: Shelf, text: str = "", **more: object) -> list[str]:
    """What is found once the index has heard of everything."""
    await carry(db)
    await shelf.catch_up()
    return [hit.product.title for hit in (await look(db, signer, shelf, text, **more)).items]


async def change(db: Database, one: Host, product_id: ProductId, **said: object) -> None:
    async with db.tx() as tx:
        await catalog.edit_product(tx, one.actor, product_id, ProductChange(**said))  # type: ignore[arg-type]


async def test_what_is_listed_is_found_and_what_has_left_is_not(db: Database, signer: Signer, shelf: Shelf) -> None:
    one = await host(db)
    made = await product(db, one, title="哑光口红", prices=(9900, 5900), is_listed=False)
    assert await titles(db, signer, shelf, "口红") == []  # a draft
    await change(db, one, made.id, state=ProductState.listed)
    assert await titles(db, signer, shelf, "口红") == ["哑光口红"]
    hit = (await look(db, signer, shelf, "口红")).items[0]
    assert (hit.product.price, hit.product.varies, hit.product.in_stock) == (Money(5900, "CNY"), True, True)
    assert hit.product.shop_name == "host"
    await change(db, one, made.id, title="Matte lipstick", category="Make-up")
    assert await titles(db, signer, shelf, "lipstick") == ["Matte lipstick"]
    assert await titles(db, signer, shelf, "哑光口红") == []
    assert await titles(db, signer, shelf, category="Make-up") == ["Matte lipstick"]
    await change(db, one, made.id, state=ProductState.delisted)
    assert (await look(db, signer, shelf, "lipstick")).items == []  # at once, before the index hears of it
    assert await titles(db, signer, shelf, "lipstick") == []
    assert shelf.size == 0


async def test_the_shelf_is_told_as_it_is_now_whatever_the_index_says(
    db: Database, signer: Signer, shelf: Shelf
) -> None:
    one, two = await host(db), await host(db, "other")
    made = [await product(db, one, title=f"Lipstick {number}") for number in range(3)]
    await product(db, two, title="Lipstick of the other shop")
    assert len(await titles(db, signer, shelf, "lipstick")) == 4
    async with db.tx() as tx:  # nothing of this has reached the index
        await catalog.edit_sku(tx, one.actor, made[0].skus[0].id, SkuChange(price=Money(100, "CNY")))
        sku = made[1].skus[0].id
        await catalog.move_stock(tx, one.actor, sku, new_id(), kind=MovementKind.corrected, quantity=-10)
        for sku_row in made[2].skus:
            await tx.run("UPDATE catalog.sku SET state = 'retired' WHERE id = %(id)s", id=sku_row.id)
    shown = {hit.product.title: hit.product for hit in (await look(db, signer, shelf, "lipstick")).items}
    assert set(shown) == {"Lipstick 0", "Lipstick 1", "Lipstick of the other shop"}
    assert shown["Lipstick 0"].price.amount == 100
    assert not shown["Lipstick 1"].in_stock
    assert len((await look(db, signer, shelf, "lipstick", in_stock=True)).items) == 2
    assert len((await look(db, signer, shelf, "lipstick", currency="CNY", price_max=200)).items) == 0  # indexed at 9900
    async with db.tx() as tx:
        await catalog.limit_shop(tx, one.shop_id, is_limited=True)
    assert [hit.product.title for hit in (await look(db, signer, shelf, "lipstick")).items] == [
        "Lipstick of the other shop"
    ]
    assert await titles(db, signer, shelf, "lipstick") == ["Lipstick of the other shop"]
    async with db.tx() as tx:
        await catalog.limit_shop(tx, one.shop_id, is_limited=False)
    assert len(await titles(db, signer, shelf, "lipstick")) == 3
    async with db.tx() as tx:
        await tx.run("UPDATE catalog.shop SET is_sandbox = true WHERE id = %(id)s", id=two.shop_id)
    assert "Lipstick of the other shop" not in [
        hit.product.title for hit in (await look(db, signer, shelf, "lipstick")).items
    ]


async def test_hits_that_left_make_room_for_the_next_and_pages_go_on(
    db: Database, signer: Signer, shelf: Shelf
) -> None:
    one = await host(db)
    made = [await product(db, one, title=f"Lipstick {number}") for number in range(9)]
    await carry(db)
    await shelf.catch_up()
    first_two = (await look(db, signer, shelf, "lipstick")).items[:2]
    for hit in first_two:
        await change(db, one, hit.product.id, state=ProductState.delisted)
    async with db.read() as tx:
        actor = guest()
        page = await traffic.search_shelf(tx, signer, actor, shelf, Ask(text="lipstick"), limit=4)
        assert len(page.items) == 4 and page.next is not None and len(page.next) <= 400
        rest = await traffic.search_shelf(tx, signer, actor, shelf, Ask(text="lipstick"), after=page.next, limit=4)
        assert rest.next is None and rest.query_id == page.query_id
        seen = [hit.product.id for hit in (*page.items, *rest.items)]
        assert sorted(seen) == sorted({one.id for one in made} - {hit.product.id for hit in first_two})
        positions = [signer.open("entry", hit.entry, Entry, age_max_s=9).position for hit in rest.items]
        assert positions == [4, 5, 6]
        for text, after in (("lipsticks", page.next), ("lipstick", "forged")):
            with pytest.raises(CursorRefused):
                await traffic.search_shelf(tx, signer, actor, shelf, Ask(text=text), after=after)


async def test_an_entry_credits_its_viewer_and_its_product_alone(db: Database, signer: Signer, shelf: Shelf) -> None:
    one = await host(db)
    made, other = await product(db, one, title="Lipstick"), await product(db, one, title="Powder")
    async with db.tx() as tx:
        await live.add_item(tx, one.actor, one.show_id, live.CartItemDraft(id=new_id(), product_id=made.id))  # type: ignore[arg-type]
    await titles(db, signer, shelf)
    viewer, stranger = await join(db, "anna"), await join(db, "bob")
    async with db.tx() as tx:
        hit = (await traffic.search_shelf(tx, signer, viewer, shelf, Ask(text="lipstick"))).items[0]
        opened = await traffic.open_shelf_visit(tx, signer, viewer, made.id, entry=hit.entry)
        visit = read_visit(signer, opened.token)
        assert visit == opened.visit
        assert (visit.source, visit.placement, visit.position, visit.show_id) == (Source.shelf, "search", 0, None)
        page = await traffic.search_shelf(tx, signer, viewer, shelf, Ask(category=None))
        assert str(page.query_id) == signer.open("entry", page.items[1].entry, Entry, age_max_s=9).campaign
        category = await traffic.open_shelf_visit(
            tx, signer, viewer, page.items[1].product.id, entry=page.items[1].entry
        )
        assert category.visit.placement == "category"
        with pytest.raises(EntryNotYours):
            await traffic.open_shelf_visit(tx, signer, stranger, made.id, entry=hit.entry)
        with pytest.raises(EntryElsewhere):
            await traffic.open_shelf_visit(tx, signer, viewer, other.id, entry=hit.entry)
        with pytest.raises(TokenInvalid):
            await traffic.open_shelf_visit(tx, signer, viewer, made.id, entry=hit.entry[:-2] + "xx")
        feed = (await traffic.list_discover(tx, signer, viewer)).items[0]
        assert feed.entry is not None
        with pytest.raises(EntryElsewhere):  # a feed's entry does not become the shelf's
            await traffic.open_shelf_visit(tx, signer, viewer, made.id, entry=feed.entry)
        assert hit.live is not None and hit.live.show_id == one.show_id
    async with db.tx() as tx:
        entered = await traffic.enter(tx, signer, viewer, one.show_id, entry=hit.live.entry)
        assert read_visit(signer, entered.visit).source is Source.shelf
    assert act_as(viewer.account_id).viewer_id == ViewerId(viewer.viewer_id)  # type: ignore[arg-type]


async def test_only_what_a_live_show_offers(db: Database, signer: Signer, shelf: Shelf) -> None:
    one = await host(db)
    offered = await product(db, one, title="Lipstick in the show")
    await product(db, one, title="Lipstick")
    async with db.tx() as tx:
        await live.add_item(tx, one.actor, one.show_id, live.CartItemDraft(id=new_id(), product_id=offered.id))  # type: ignore[arg-type]
        among = frozenset(await live.find_offered(tx))
        assert among == {offered.id}
    assert await titles(db, signer, shelf, "lipstick", among=among) == ["Lipstick in the show"]
    async with db.tx() as tx:
        await live.end_show(tx, one.actor, one.show_id)
        assert await live.find_offered(tx) == {}


async def test_without_an_index_the_catalogue_s_own_list_answers(db: Database, signer: Signer, shelf: Shelf) -> None:
    one = await host(db)
    for number in range(3):
        await product(db, one, title=f"Lipstick {number}")
    async with db.read() as tx:
        actor = guest()
        page = await traffic.search_shelf(tx, signer, actor, shelf, Ask(text="lipstick"), limit=2)
        assert not page.is_complete
        assert [hit.product.title for hit in page.items] == ["Lipstick 2", "Lipstick 1"]
        rest = await traffic.search_shelf(tx, signer, actor, shelf, Ask(text="lipstick"), after=page.next, limit=2)
        assert [hit.product.title for hit in rest.items] == ["Lipstick 0"]


async def test_the_nearest_spelling_is_told_with_what_it_finds(db: Database, signer: Signer, shelf: Shelf) -> None:
    await product(db, await host(db), title="Matte lipstick")
    await titles(db, signer, shelf)
    assert (await look(db, signer, shelf, "mate lpistick")).instead == "matte lipstick"
    assert (await look(db, signer, shelf, "matte lipstick")).instead is None
    assert (await look(db, signer, shelf, "zebra")).instead is None


async def test_sales_stock_and_stars_move_a_product(db: Database, signer: Signer, shelf: Shelf) -> None:
    one = await host(db)
    older, younger = [await product(db, one, title=f"Lipstick {age}") for age in ("older", "younger")]
    sku = older.skus[0]
    async with db.tx() as tx:
        await tx.run("UPDATE catalog.sku SET sold = 6, received = 16 WHERE id = %(id)s", id=sku.id)
        tx.tell(StockChanged(sku_id=sku.id, product_id=older.id, shop_id=one.shop_id, available=10))
    assert await titles(db, signer, shelf, "lipstick") == ["Lipstick older", "Lipstick younger"]
    assert await titles(db, signer, shelf, sort=ShelfSort.sales) == ["Lipstick older", "Lipstick younger"]
    async with db.tx() as tx:
        await catalog.move_stock(tx, one.actor, sku.id, new_id(), kind=MovementKind.corrected, quantity=-10)
    assert await titles(db, signer, shelf, "lipstick") == ["Lipstick younger", "Lipstick older"]
    async with db.tx() as tx:
        await catalog.move_stock(tx, one.actor, sku.id, new_id(), kind=MovementKind.received, quantity=5)
    assert await titles(db, signer, shelf, "lipstick") == ["Lipstick older", "Lipstick younger"]
    async with db.tx() as tx:
        assert await reviews_listing.find_goods_sums(tx, [younger.id]) == {}
        await tx.run(
            """
            INSERT INTO aftersales.review_sum (subject_id, review_count, picture_count, goods_sum, service_sum, shipping_sum,
                                               star_counts)
            VALUES (%(id)s, 40, 0, 200, 200, 200, '{0,0,0,0,40}')
            """,
            id=younger.id,
        )
        await search.note_changed(tx, [younger.id])
    assert await titles(db, signer, shelf, "lipstick") == ["Lipstick younger", "Lipstick older"]


async def test_a_hot_sale_does_not_have_its_product_indexed_all_the_time(db: Database, shelf: Shelf) -> None:
    product_id = new_id()
    async with db.tx() as tx:
        for _ in range(50):
            await note_stock(tx, {product_id: False})
    assert await search.number_changes(db) == 1
    async with db.tx() as tx:
        for _ in range(50):
            await note_stock(tx, {product_id: False})
    assert await search.number_changes(db) == 0
    db.clock.advance(seconds=601)
    async with db.tx() as tx:
        await note_stock(tx, {product_id: False})
    assert await search.number_changes(db) == 1


async def test_what_is_listed_now_is_found_within_two_seconds(db: Database, signer: Signer, shelf: Shelf) -> None:
    """The real relay and the real keeper, as in a process that serves."""
    bus = LocalBus()
    relay = asyncio.create_task(Relay(db, bus, REACTIONS).run())
    keeper = ShelfKeeper(shelf, bus)
    keeper.start()
    one = await host(db)
    async with asyncio.timeout(20):
        while not shelf.is_ready:
            await asyncio.sleep(0.01)
    took = []
    for title in ("哑光口红", "碎花连衣裙", "蓝牙耳机"):  # a busy machine may hold up one of them
        began = time.monotonic()
        await product(db, one, title=title)
        while not (await look(db, signer, shelf, title)).items:
            assert time.monotonic() - began < 20
            await asyncio.sleep(0.02)
        took.append(time.monotonic() - began)
        if took[-1] < 2:
            break
    relay.cancel()
    await keeper.stop()
    assert min(took) < 2


async def test_an_index_that_is_of_no_use_is_built_anew(
    db: Database, signer: Signer, shelf: Shelf, tmp_path: Path
) -> None:
    one = await host(db)
    await product(db, one, title="Lipstick")
    assert await titles(db, signer, shelf, "lipstick") == ["Lipstick"]
    await shelf.close()
    state = tmp_path / "search" / "state.json"
    kept = json.loads(state.read_bytes())
    (tmp_path / "search" / "broken-off").mkdir()
    await product(db, one, title="Lipstick two")
    again = open_shelf(db, tmp_path)
    assert len(await titles(db, signer, again, "lipstick")) == 2  # followed, not built
    assert json.loads(state.read_bytes())["generation"] == kept["generation"]
    assert not (tmp_path / "search" / "broken-off").exists()
    await again.close()
    state.write_bytes(json.dumps(kept).encode())  # killed between the commit and this: the same is done again
    again = open_shelf(db, tmp_path)
    assert len(await titles(db, signer, again, "lipstick")) == 2 and again.size == 2
    await again.close()
    for spoil in (
        lambda: state.write_bytes(b"{"),
        lambda: state.write_bytes(json.dumps({**kept, "form": 0}).encode()),
        lambda: state.write_bytes(json.dumps({**kept, "origin": str(new_id())}).encode()),
        lambda: state.write_bytes(json.dumps({**kept, "no": 10**9}).encode()),
        lambda: shutil.rmtree(tmp_path / "search"),
    ):
        spoil()
        again = open_shelf(db, tmp_path)
        assert len(await titles(db, signer, again, "lipstick")) == 2
        await again.close()


async def test_kill_9_while_indexing_and_the_index_comes_right(
    db: Database, database_url: str, signer: Signer, tmp_path: Path
) -> None:
    one = await host(db)
    made = [await product(db, one, title=f"Lipstick {number}") for number in range(30)]
    await carry(db)
    struck = 0
    for at in (0, 2):  # while it is built; while it follows
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, database_url, str(tmp_path), stdout=asyncio.subprocess.PIPE
        )
        assert child.stdout is not None
        for _ in range(at):
            await asyncio.wait_for(child.stdout.readline(), 30)
        if at == 0:
            async with asyncio.timeout(30):
                while not any((tmp_path / "search").glob("*/meta.json")):
                    await asyncio.sleep(0.001)
        for number, victim in enumerate(made[at * 5 : at * 5 + 5]):
            await change(db, one, victim.id, title=f"Powder {at} {number}")
        await change(db, one, made[at + 20].id, state=ProductState.delisted)
        await carry(db)
        child.send_signal(signal.SIGKILL)
        await child.wait()
        struck += 1
    assert struck == 2
    shelf = open_shelf(db, tmp_path)
    assert len(await titles(db, signer, shelf, "powder")) == 10
    found = await shelf.find(Ask(text="lipstick"), limit=50)
    assert len({hit.id for hit in found.hits}) == len(found.hits) == 18
    assert shelf.size == 28
    await shelf.close()


async def test_a_change_whose_transaction_commits_late_is_not_missed(db: Database, signer: Signer, shelf: Shelf) -> None:
    one = await host(db)
    late, soon = [await product(db, one, title=title, is_listed=False) for title in ("Lipstick late", "Lipstick soon")]
    await titles(db, signer, shelf)
    async with db.tx() as tx:
        await catalog.edit_product(tx, one.actor, late.id, ProductChange(state=ProductState.listed))
        await search.note_changed(tx, [late.id])
        await change(db, one, soon.id, state=ProductState.listed)
        assert await titles(db, signer, shelf, "lipstick") == ["Lipstick soon"]
    assert set(await titles(db, signer, shelf, "lipstick")) == {"Lipstick soon", "Lipstick late"}


async def test_words_that_mean_the_same_are_edited(db: Database, signer: Signer, shelf: Shelf) -> None:
    one = await host(db)
    await product(db, one, title="Trainers size 42")
    await product(db, one, title="小白鞋")
    group_id, operator = new_id(), await join(db, "operator")
    assert operator.account_id is not None
    assert "小白鞋" not in await titles(db, signer, shelf, "white shoes")
    async with db.tx() as tx:
        seeds = await search.list_synonyms(tx)
        assert any({"口红", "唇膏", "lipstick"} <= set(group.words) for group in seeds)
        await search.put_synonyms(tx, group_id, ["小白鞋", " White  Shoes ", "white shoes"], by=operator.account_id)
        assert (await search.list_synonyms(tx))[0].words == ["小白鞋", "White Shoes"]
    assert await titles(db, signer, shelf, "white shoes") == ["小白鞋"]
    for words in (["口红", "rouge"], ["alone", "Alone"], ["x" * 41, "y"], ["!!!", "y"], [f"w{n}" for n in range(21)]):
        async with db.tx() as tx:
            with pytest.raises(search.SynonymsRefused):
                await search.put_synonyms(tx, new_id(), words, by=operator.account_id)
    async with db.tx() as tx:
        await search.drop_synonyms(tx, group_id)
    assert await titles(db, signer, shelf, "white shoes") == []
