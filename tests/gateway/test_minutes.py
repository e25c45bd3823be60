"""The board's audience: what happens in a room is in the table seconds later, by the minute, once."""

from datetime import datetime, timedelta

from room_client import Client
from scene import House, Kept

from laotie import live
from laotie.base.ids import CartItemId, ViewerId, VisitId, new_id
from laotie.gateway.minutes import Minutes
from laotie.lake import Clicked, Liked, Stay, Watched

NOON = datetime.fromisoformat("2026-11-22T12:00:00+00:00")


async def counted(house: House) -> list[live.AudienceMinute]:
    async with house.market.db.read() as tx:
        return await live.list_audience_minutes(tx, house.market.show_id)


async def heard(client: Client) -> None:
    """Everything sent so far was read."""
    client.send({"t": "chat", "id": "x", "text": ""})
    await client.until("refused", since=len(client.frames))


async def test_what_viewers_do_is_on_the_board(house: House) -> None:
    gateway, market = house.gateway, house.market
    item = market.items[0]
    account = new_id()
    first = await house.enter(account=account)
    second = await house.enter(guest=True)
    await house.enter(account=account)  # another tab of the same person
    first.send({"t": "chat", "id": str(new_id()), "text": "多少钱"})
    await second.until("chat")
    first.send({"t": "like", "n": 3})
    first.send({"t": "click", "item": str(item.id)})
    first.send({"t": "click", "item": str(new_id())})  # nothing that lies in the cart
    await heard(first)
    now = market.db.clock.now()
    gateway.minutes.look(gateway.hub.rooms.values(), now)
    for _ in range(2):
        await gateway.minutes.write(market.db)
    found = await counted(house)
    total = {name: sum(getattr(one, name) for one in found) for name in ("joins", "likes", "chats_sent", "chats_shown", "clicks")}
    assert total == {"joins": 2, "likes": 3, "chats_sent": 1, "chats_shown": 1, "clicks": 1}
    assert max(one.viewers_max for one in found) == 2
    async with market.db.read() as tx:
        assert [(one.product_id, one.clicks) for one in await live.count_clicks(tx, market.show_id)] == [(item.product_id, 1)]


async def test_a_gateway_that_starts_anew_adds_to_what_was_counted(house: House) -> None:
    market = house.market
    for _ in range(2):
        minutes = Minutes(Kept(), new_id(), find_room=lambda show_id: house.gateway.hub.rooms.get(show_id))
        minutes.append(Liked(*who(house, NOON), 5))
        await minutes.write(market.db)
    assert [(one.at, one.likes) for one in await counted(house)] == [(NOON, 10)]


async def test_watch_time_belongs_to_the_minutes_in_which_it_was_spent(house: House) -> None:
    sink = Kept()
    minutes = Minutes(sink, new_id(), find_room=lambda _show: None)
    at = NOON + timedelta(seconds=4, microseconds=300)
    minutes.append(Watched(*who(house, at), us(at - timedelta(seconds=10))))
    minutes.append(Clicked(*who(house, at), CartItemId(new_id())))
    await minutes.write(house.market.db)
    assert [(one.at, one.watch_ms) for one in await counted(house) if one.watch_ms] == [
        (NOON - timedelta(minutes=1), 6_000),
        (NOON, 4_000),
    ]
    assert len(sink.acts) == 2, "the log gets everything"


async def test_late_news_of_a_minute_does_not_undo_it(house: House) -> None:
    clock = house.market.db.clock
    minutes = Minutes(Kept(), new_id(), find_room=lambda _show: None)
    at = clock.now()
    for number, seconds in enumerate((0, 30, 90), start=1):
        clock.advance(seconds=seconds)
        minutes.append(Liked(*who(house, at), 1))
        await minutes.write(house.market.db)
        assert sum(one.likes for one in await counted(house)) == number
    clock.advance(seconds=300)
    await minutes.write(house.market.db)
    assert not minutes._kept


def who(house: House, at: datetime) -> tuple[Stay, int]:
    stay = Stay(ViewerId(new_id()), VisitId(new_id()), "direct", False, house.market.show_id, new_id())
    return stay, us(at)


def us(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000)
