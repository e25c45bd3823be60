"""Coming back, keeping up, and several gateways for one room: with real sockets and the real database."""

import asyncio
import json
import random
import socket
from pathlib import Path

from room_client import Client
from scene import House, Market, OpenHouse

from laotie import catalog, live
from laotie.base.db import encode
from laotie.base.ids import new_id
from laotie.base.money import Money
from laotie.base.settings import Settings
from laotie.events.catalog import StockChanged
from laotie.gateway import Gateway, Limits
from laotie.orders import Till


async def test_who_returns_gets_just_what_was_missed(house: House) -> None:
    client = await house.enter()
    await client.until("counts")
    version = client.state.v
    assert version is not None
    await client.close()
    other = await house.enter()
    other.chat("while you were out")
    other.send(house.market.buy(house.market.items[0]))
    await other.until("stock")
    back = await house.enter(resume=version)
    first = back.frames[0]
    assert first["t"] == "batch" and first["from"] == version
    assert {"chat", "stock"} <= {one["t"] for one in first["f"]}
    assert not back.heard("welcome")


async def test_who_returns_and_missed_nothing_hears_so(house: House) -> None:
    client = await house.enter()
    other = await house.enter()
    await other.settle(lambda room: room.counts["viewers"] == 2)
    version = other.state.v
    second = await house.enter(account=house.market.owner.account_id)
    await second.settle(lambda room: room.counts["viewers"] == 3)
    version = second.state.v
    third = await house.enter(account=house.market.owner.account_id, resume=version)
    assert third.frames[0] == {"t": "batch", "from": version, "v": version, "f": []}
    assert not client.closed.is_set()


async def test_a_gap_gets_a_fresh_welcome(house: House) -> None:
    for version in (0, 5, 2**53 - 1):
        client = await house.enter(resume=version)
        assert client.frames[0]["t"] == "welcome"


async def test_many_joins_read_the_database_once(house: House) -> None:
    await house.enter()
    reads = 0
    read_snapshot = house.gateway.hub._read_snapshot

    async def counted(show_id: live.Show) -> None:
        nonlocal reads
        reads += 1
        await read_snapshot(show_id)  # type: ignore[arg-type]

    house.gateway.hub._read_snapshot = counted  # type: ignore[method-assign,assignment]
    clients = await asyncio.gather(*(house.enter() for _ in range(100)))
    assert reads <= 5
    await clients[0].settle(lambda room: room.counts["viewers"] == 101)


async def test_what_happens_to_a_cart_in_the_database_is_what_everybody_sees(house: House) -> None:
    """A hundred random acts of the console while viewers come and go; then old snapshots with frames are fresh ones."""
    market = house.market
    draw = random.Random(7)
    viewers = [await house.enter()]
    for turn in range(60):
        async with market.db.tx() as tx:
            cart = await live.list_cart(tx, market.show_id)
            item = draw.choice(cart)
            match draw.randrange(6):
                case 0:
                    change = live.CartItemChange(on_shelf=not item.on_shelf)
                    await live.change_item(tx, market.owner, item.id, change)
                case 1:
                    tag = live.PriceTag(item.skus[0].sku_id, Money(draw.randrange(1, 9999), "CNY"))
                    await live.change_item(tx, market.owner, item.id, live.CartItemChange(prices=[tag]))
                case 2:
                    await live.pin_item(tx, market.owner, market.show_id, draw.choice([None, item.id]))
                case 3:
                    await live.change_item(tx, market.owner, item.id, live.CartItemChange(position=draw.randrange(4)))
                case 4 if len(cart) > 2:
                    await live.remove_item(tx, market.owner, item.id)
                case _:
                    change_product = catalog.ProductChange(title=f"Title {turn}")
                    await catalog.edit_product(tx, market.owner, item.product_id, change_product)
        if turn % 6 == 0:
            viewers.append(await house.enter())
            await market.add_item(f"New {turn}")
        if turn % 9 == 0:
            viewers[0].send(market.buy(item, price=item.skus[0].price.amount))
    async with market.db.tx() as tx:
        await live.change_show(tx, market.owner, market.show_id, live.ShowChange(title="Later tonight"))
    await viewers[0].settle(lambda room: room.show["title"] == "Later tonight")
    await house.carried()
    await asyncio.sleep(1.2)
    fresh = await house.enter()
    for viewer in viewers:
        assert viewer.state.gaps == 0
        await viewer.settle(lambda room: room.v >= (fresh.state.v or 0))  # type: ignore[operator]
        assert viewer.state.cart == fresh.state.cart
        assert viewer.state.show["pinned_item_id"] == fresh.state.show["pinned_item_id"]
        assert len(viewer.heard("welcome")) == 1


async def test_news_of_stock_in_the_wrong_order_is_put_right(house: House) -> None:
    """Two relays carried two changes the wrong way round; the shelf itself has the last word."""
    client = await house.enter()
    await house.carried()
    item = house.market.items[0]
    stale = StockChanged(
        sku_id=item.skus[0].sku_id, product_id=item.product_id, shop_id=house.market.shop_id, available=3
    )
    house.bus.publish_now("events.catalog.stock_changed", encode(stale))
    await client.until(lambda frame: frame["t"] == "stock" and frame["available"] == 3)
    heard = len(client.frames)
    house.gateway.hub.sweep(house.gateway.now() + 5)
    await client.until(lambda frame: frame["t"] == "stock" and frame["available"] == 10, since=heard)
    assert client.state.cart[str(item.id)]["skus"][0]["available"] == 10


async def _enter_without_reading(house: House) -> socket.socket:
    """A client that says hello, then never reads again."""
    host, port = house.url.removeprefix("ws://").removesuffix("/ws").split(":")
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(line, (host, int(port)))
    await loop.sock_sendall(
        line,
        b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
    await loop.sock_recv(line, 100)
    payload = json.dumps({"t": "hello", "ticket": house.market.ticket()}).encode()
    await loop.sock_sendall(line, b"\x81\xfe" + len(payload).to_bytes(2, "big") + b"\0\0\0\0" + payload)
    return line


async def test_who_does_not_read_is_made_lean_then_closed_and_memory_stays_bounded(open_house: OpenHouse) -> None:
    limits = Limits(
        send_buffer_bytes=8_192, lean_bytes=16_384, waiting_bytes_max=65_536, closing_s=0.1, window_s=0.001,
        chats_per_window_max=None,
    )  # fmt: skip
    async with open_house(limits) as house:
        reader = await house.enter()
        line = await _enter_without_reading(house)
        await reader.settle(lambda room: room.counts["viewers"] == 2)
        room = house.gateway.hub.rooms[house.market.show_id]
        _, slow = house.gateway.sockets
        speaker = {"id": str(new_id()), "name": "x"}
        frame = json.dumps({"t": "chat", "id": str(new_id()), "from": speaker, "text": "x" * 400})
        most = turns = 0
        while not slow.lean:
            for _ in range(10):
                room.say(new_id(), frame.encode())
            await asyncio.sleep(0.002)
            most = max(most, slow.underlying.get_write_buffer_size())
            turns += 1
            assert turns < 2_000
        lean_at = slow.underlying.get_write_buffer_size()
        for _ in range(200):
            room.say(new_id(), frame.encode())
            await asyncio.sleep(0.001)
        # Lean: chat is left out, only the empty shells of batches arrive.
        assert slow.underlying.get_write_buffer_size() - lean_at < 200 * 100
        sku = new_id()
        for number in range(200_000):  # how many make a batch is the clock's affair; it ends at the bound
            room.put(("stock", sku), json.dumps({"t": "stock", "sku": str(sku), "available": number}).encode())
            await asyncio.sleep(0.0005)
            most = max(most, slow.underlying.get_write_buffer_size())
            if slow.shutting:
                break
        assert slow.shutting and slow not in room.members
        assert most < limits.waiting_bytes_max + 8_192
        await asyncio.sleep(0.15)
        house.gateway.sweep()
        await asyncio.sleep(0.05)
        assert slow not in house.gateway.sockets
        assert reader.state.gaps == 0 and not reader.closed.is_set()
        line.close()


async def test_two_gateways_share_what_is_said_in_a_room(house: House, market: Market, tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path / "second"), gateway_port=0)
    second = Gateway(settings=settings, bus=house.bus, clock=market.db.clock)
    till = Till(market.db, payment_timeout_s=900, batch_max=64, waiting_max=1000)
    await second.start(db=market.db, signer=market.signer, till=till)
    try:
        here = await house.enter()
        there = await Client.connect(f"ws://127.0.0.1:{second.port}/ws")
        await there.hello(market.ticket())
        chat_id = here.chat("across")
        assert (await there.until("chat"))["id"] == str(chat_id)
        there.send({"t": "like", "n": 5})
        await here.settle(lambda room: room.counts["likes"] == 5)
        await there.settle(lambda room: room.counts["likes"] == 5)
        here.send(market.buy(market.items[0]))
        await there.until("stock")
        assert len(here.heard("chat")) == 1
    finally:
        await second.stop()
        await till.close()


async def test_an_empty_room_is_forgotten_after_a_while_and_opens_again(house: House) -> None:
    client = await house.enter()
    client.send({"t": "like", "n": 9})
    await client.settle(lambda room: room.counts["likes"] == 9)
    await client.close()
    async with asyncio.timeout(30):
        while house.gateway.sockets:
            await asyncio.sleep(0.01)
    await house.gateway._count_audience()
    house.gateway.hub.sweep(house.gateway.now() + 60)
    assert not house.gateway.hub.rooms and not house.gateway.hub._by_sku
    again = await house.enter()
    assert again.state.counts["likes"] == 9
    again.send({"t": "like", "n": 1})
    await again.settle(lambda room: room.counts["likes"] == 10)
    await house.gateway._count_audience()
    async with house.market.db.read() as tx:
        assert (await live.get_show(tx, house.market.show_id)).like_count == 10


