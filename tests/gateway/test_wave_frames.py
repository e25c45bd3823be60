"""What a room hears of waves: the item as a whole when one opens or ends, and the wave's own pieces in between."""

from uuid import uuid4

from scene import House

from laotie import live
from laotie.base.ids import AccountId, new_id
from laotie.base.money import Money


async def test_the_room_sees_a_waves_pieces_and_then_the_shelfs(house: House) -> None:
    market = house.market
    item, actor = market.items[0], market.owner
    sku_id = item.skus[0].sku_id
    client = await house.enter(account=AccountId(new_id()))

    def shown() -> tuple[str | None, int, int]:
        now = client.state.cart[str(item.id)]
        return (now["wave"] or {}).get("state"), now["skus"][0]["available"], now["skus"][0]["price"]["amount"]

    draft = live.WaveDraft(
        id=uuid4(), skus=[live.WaveSku(sku_id=sku_id, pieces=4, price=Money(100, "CNY"))], opens=False
    )
    async with market.db.tx() as tx:
        await live.plan_wave(tx, actor, item.id, draft)
    await client.settle(lambda _: shown() == ("ready", 0, 100))
    async with market.db.tx() as tx:
        await live.open_wave(tx, actor, draft.id)
    await client.settle(lambda _: shown() == ("open", 4, 100))
    client.send(market.buy(item, qty=3, price=100))
    order = await client.until("order")
    assert order["order"]["total"]["amount"] == 300
    await client.settle(lambda _: shown() == ("open", 1, 100))
    # The shelf loses two pieces to the wave: the room, which sells from the wave, hears of the wave's alone (and of the
    # sale's one piece perhaps once more, when the relay carries what its own process has shown already).
    before = len(client.heard("stock"))
    async with market.db.tx() as tx:
        await live.add_pieces(tx, actor, draft.id, uuid4(), sku_id=sku_id, pieces=2)
    await client.settle(lambda _: shown() == ("open", 3, 100))
    assert {frame["available"] for frame in client.heard("stock")[before:] if frame["sku"] == str(sku_id)} <= {1, 3}
    async with market.db.tx() as tx:
        await live.close_wave(tx, actor, draft.id)
    await client.settle(lambda _: shown() == (None, 7, item.skus[0].price.amount))
    client.send(market.buy(item, price=100))
    assert (await client.until("refused"))["code"] == "price-changed"
