"""Buying in the room: answered at once and by name; and what everybody else hears of it."""

from typing import Any
from uuid import UUID

from room_client import Client
from scene import House, OpenHouse, make_account

from laotie import live
from laotie.base.ids import OrderId, new_id
from laotie.base.outbox import list_waiting
from laotie.events.orders import OrderCancelled, OrderPaid, OrderPlaced, OrderRefunded, PlacedLine
from laotie.gateway import Limits


async def test_a_purchase_is_answered_to_its_buyer_and_seen_by_all(house: House) -> None:
    buyer, other = await house.enter(), await house.enter()
    item = house.market.items[0]
    buy = house.market.buy(item, qty=2)
    buyer.send(buy)
    order = await buyer.until("order")
    assert order["re"] == buy["id"]
    assert order["order"]["state"] == "placed"
    assert order["order"]["total"] == {"amount": 19_800, "currency": "CNY"}
    await other.settle(lambda room: room.cart[str(item.id)]["skus"][0]["available"] == 8)
    bought = await other.until("bought")
    assert (bought["name"], bought["title"], bought["n"]) == ("小**", "Sea cucumber", 1)
    assert not other.heard("order")


async def test_the_same_purchase_again_gets_the_same_answer(house: House) -> None:
    buyer = await house.enter()
    buy = house.market.buy(house.market.items[0])
    buyer.send(buy)
    first = await buyer.until("order")
    buyer.send(buy)
    second = await buyer.until("order", since=len(buyer.frames))
    assert first["order"]["id"] == second["order"]["id"]
    buyer.send({**buy, "lines": [{**buy["lines"][0], "qty": 3}]})
    refused = await buyer.until("refused")
    assert (refused["code"], refused["re"]) == ("id-reused", buy["id"])


async def test_a_refusal_names_its_facts(house: House) -> None:
    buyer = await house.enter()
    market = house.market
    sold_out = market.buy(market.items[1], qty=6)
    buyer.send(sold_out)
    refused = await buyer.until(lambda frame: frame.get("re") == sold_out["id"])
    assert (refused["code"], refused["available"]) == ("sold-out", 5)
    old_price = market.buy(market.items[0], price=1)
    buyer.send(old_price)
    refused = await buyer.until(lambda frame: frame.get("re") == old_price["id"])
    assert refused["code"] == "price-changed"
    assert refused["price"] == {"amount": 9900, "currency": "CNY"}
    for quantity in (0, -1, 10**6):
        strange = market.buy(market.items[0], qty=quantity)
        buyer.send(strange)
        refused = await buyer.until(lambda frame, buy=strange: frame.get("re") == buy["id"])  # type: ignore[misc]
        assert refused["code"] == "quantity-refused"
    empty = {"t": "buy", "id": str(new_id()), "lines": []}
    buyer.send(empty)
    assert (await buyer.until(lambda frame: frame.get("re") == empty["id"]))["code"] == "order-empty"


async def test_buys_have_a_pace(open_house: OpenHouse) -> None:
    async with open_house(Limits(buys_per_s=0.1, buys_burst=2)) as house:
        buyer = await house.enter()
        for _ in range(3):
            buyer.send(house.market.buy(house.market.items[0]))
        assert (await buyer.until("refused"))["code"] == "too-fast"
        await buyer.until("order")


async def test_an_item_taken_off_the_shelf_and_an_ended_show_refuse(house: House) -> None:
    market = house.market
    buyer, other = await house.enter(), await house.enter()
    async with market.db.tx() as tx:
        await live.change_item(tx, market.owner, market.items[0].id, live.CartItemChange(on_shelf=False))
    await other.settle(lambda room: room.cart[str(market.items[0].id)]["on_shelf"] is False)
    buyer.send(market.buy(market.items[0]))
    assert (await buyer.until("refused"))["code"] == "off-shelf"
    async with market.db.tx() as tx:
        await live.end_show(tx, market.owner, market.show_id)
    await other.settle(lambda room: room.show["state"] == "ended")
    late = market.buy(market.items[1])
    buyer.send(late)
    assert (await buyer.until(lambda frame: frame.get("re") == late["id"]))["code"] == "show-ended"
    assert not buyer.closed.is_set()


async def test_staff_hear_of_every_sale_and_viewers_of_none(house: House) -> None:
    staff = await house.enter(scopes=frozenset({"orders", "show"}))
    buyer = await house.enter()
    assert staff.frames[0]["you"]["staff"] is True
    buyer.send(house.market.buy(house.market.items[0]))
    order = await buyer.until("order")
    sale = (await staff.until("sale"))["order"]
    assert sale["id"] == order["order"]["id"]
    assert sale["total"] == {"amount": 9900, "currency": "CNY"}
    assert sale["lines"][0]["title"] == "Sea cucumber"
    assert sale["buyer"] == "小明"
    assert (await buyer.until("bought"))["name"] == "小**"
    assert not buyer.heard("sale")


async def test_staff_hear_who_bought_from_outside_the_room_before_they_hear_that_it_is_paid(house: House) -> None:
    market = house.market
    staff = await house.enter(scopes=frozenset({"orders"}))
    outsider = await make_account(market.db, "outsider")
    assert outsider.account_id is not None
    now = market.db.clock.now()
    about: dict[str, Any] = {
        "buyer_id": outsider.account_id,
        "shop_id": market.shop_id,
        "show_id": market.show_id,
        "currency": "CNY",
        "total_amount": 9900,
    }
    hub, orders = house.gateway.hub, [OrderId(new_id()) for _ in range(3)]
    item = market.items[0]
    line = PlacedLine(
        sku_id=item.skus[0].sku_id,
        product_id=item.product_id,
        cart_item_id=item.id,
        quantity=1,
        unit_price_amount=9900,
        title=item.title,
    )
    for order_id in orders:
        hub._order_placed(
            OrderPlaced(
                **about,
                order_id=order_id,
                client_id=new_id(),
                lines=(line,),
                source="direct",
                placement="direct",
                visit_id=None,
                placed_at=now,
                pay_by=now,
            )
        )
        hub._order_paid(OrderPaid(**about, order_id=order_id, paid_at=now))
    await staff.until(lambda frame: frame["t"] == "sale_paid" and frame["order"] == str(orders[-1]))
    assert [sale["order"]["buyer"] for sale in staff.heard("sale")] == ["outsider"] * 3
    told = [frame["t"] for frame in staff.frames if frame["t"].startswith("sale")]
    assert told == ["sale", "sale_paid"] * 3
    assert not hub._sales


async def test_a_burst_of_sales_reaches_staff_bounded(open_house: OpenHouse) -> None:
    async with open_house(Limits(sales_per_window_max=2, window_s=0.2)) as house:
        staff = await house.enter(scopes=frozenset({"orders"}))
        room = house.gateway.hub.rooms[house.market.show_id]
        await staff.until("counts")
        for number in range(5):
            room.tell_staff(b'{"t":"sale_paid","order":"%d"}' % number)
        assert (await staff.until("sales_more"))["n"] == 3
        assert len(staff.heard("sale_paid")) == 2


async def test_the_buyer_hears_what_becomes_of_the_order(house: House) -> None:
    market = house.market
    actor = await make_account(market.db, "buyer")
    assert actor.account_id is not None
    buyer: Client = await house.enter(account=actor.account_id)
    staff = await house.enter(scopes=frozenset({"orders"}))
    order_id, now = OrderId(new_id()), market.db.clock.now()
    about: dict[str, Any] = {
        "order_id": order_id,
        "buyer_id": actor.account_id,
        "shop_id": market.shop_id,
        "show_id": market.show_id,
    }
    async with market.db.tx() as tx:
        tx.tell(OrderPaid(**about, currency="CNY", total_amount=1, paid_at=now))
    assert (await buyer.until("paid"))["order"] == str(order_id)
    assert (await staff.until("sale_paid"))["order"] == str(order_id)
    async with market.db.tx() as tx:
        tx.tell(OrderCancelled(**about, reason="deadline", cancelled_at=now))
        tx.tell(OrderRefunded(**about, currency="CNY", amount=1, reason="late", refunded_at=now))
    await buyer.until(lambda frame: frame["t"] == "order_state" and frame["state"] == "refunded")
    assert [frame["state"] for frame in buyer.heard("order_state")] == ["cancelled", "refunded"]
    assert not staff.heard("order_state")


async def test_a_purchases_request_id_reaches_its_facts(house: House) -> None:
    buyer = await house.enter()
    house.relay.turn = _nothing  # type: ignore[method-assign]
    buyer.send(house.market.buy(house.market.items[0]))
    await buyer.until("order")
    async with house.market.db.read() as tx:
        told = [one for one in await list_waiting(tx) if type(one.event).__name__ == "OrderPlaced"]
    assert told[0].request_id is not None
    assert UUID(told[0].request_id).version == 7


async def _nothing() -> int:
    return 0
