"""Activities in the room: everybody sees what is, whoever takes part is answered alone, late comers miss nothing."""

from typing import Any
from uuid import UUID

import msgspec
from room_client import Client
from scene import House, make_account

from laotie import catalog, fun, identity, live
from laotie.base.ids import RoomId, ShopId, ShowId, new_id

POLL: dict[str, Any] = {"kind": "poll", "question": "Red or blue?", "options": ["red", "blue"]}
LOTTERY: dict[str, Any] = {"kind": "lottery", "prizes": [{"title": "A hat", "count": 1}]}


async def start(house: House, **draft: Any) -> UUID:
    fields = {"id": new_id(), "title": "Fun", "duration_s": 60} | draft
    market = house.market
    async with market.db.tx() as tx:
        activity_id = await fun.plan_activity(
            tx, market.owner, market.show_id, msgspec.convert(msgspec.to_builtins(fields), fun.Draft)
        )
        if draft["kind"] != "pk":
            await fun.start_activity(tx, market.owner, activity_id, spend_per_day_max=0)
    return activity_id


async def pass_time(house: House, seconds: float) -> None:
    house.market.db.clock.advance(seconds=seconds)
    await fun.work_deadlines(house.market.db)


def shown(client: Client, activity_id: UUID) -> list[dict[str, Any]]:
    return [frame for frame in client.heard("activity") if frame["id"] == str(activity_id)]


async def test_an_activity_appears_changes_and_ends_for_everybody(house: House) -> None:
    anna, bob = await house.enter(), await house.enter()
    poll = await start(house, **POLL)
    opened = await bob.until(lambda frame: frame.get("id") == str(poll) and frame["t"] == "activity")
    assert (opened["state"], opened["question"]) == ("open", "Red or blue?")
    anna.send({"t": "vote", "id": str(poll), "choice": 2, "nonce": "n"})
    entered = await anna.until("entered")
    assert (entered["re"], entered["no"], entered["choice"], entered["again"]) == (str(poll), 1, 2, False)
    counted = await bob.until(lambda frame: frame["t"] == "activity" and frame["entries"] == 1)
    assert [one["count"] for one in counted["options"]] == [0, 1]
    assert not bob.heard("entered")
    await pass_time(house, 60)
    await bob.until(lambda frame: frame["t"] == "activity" and frame["state"] == "closed")
    await pass_time(house, 1.5)
    settled = await bob.until(lambda frame: frame["t"] == "activity" and frame["state"] == "settled")
    assert settled["seed"] is not None and settled["proof"] == f"/api/draws/{poll}/proof"
    versions = [frame["version"] for frame in shown(bob, poll)]
    assert versions == sorted(versions)


async def test_who_comes_late_finds_what_is_running_in_the_welcome(house: House) -> None:
    poll = await start(house, **POLL)
    late = await house.enter()
    assert [(one["id"], one["state"]) for one in late.frames[0]["activities"]] == [(str(poll), "open")]
    await pass_time(house, 60)
    await pass_time(house, 1.5)
    other = await house.enter()
    await other.settle(lambda room: room.activities[str(poll)]["state"] == "settled")


async def test_a_winner_is_told_alone(house: House) -> None:
    account = await make_account(house.market.db, "anna")
    anna, bob = await house.enter(account=account.account_id), await house.enter()
    lottery = await start(house, **LOTTERY)
    anna.send({"t": "enter", "id": str(lottery)})
    await anna.until("entered")
    await pass_time(house, 60)
    await pass_time(house, 1.5)
    won = await anna.until("won")
    assert won == {"t": "won", "activity": str(lottery), "prize": "A hat", "amount": None}
    await bob.until(lambda frame: frame["t"] == "activity" and frame["state"] == "settled")
    assert not bob.heard("won")


async def test_refusals_have_the_same_words_as_over_http(house: House) -> None:
    guest, anna = await house.enter(guest=True), await house.enter()
    lottery, poll = await start(house, **LOTTERY), await start(house, **POLL)
    guest.send({"t": "vote", "id": str(poll), "choice": 1})
    assert (await guest.until("entered"))["no"] == 1
    for client, frame, code in (
        (guest, {"t": "enter", "id": str(lottery)}, "unauthenticated"),
        (anna, {"t": "vote", "id": str(poll), "choice": 9}, "choice-refused"),
        (anna, {"t": "grab", "id": str(new_id())}, "not-found"),
        (anna, {"t": "help", "id": str(lottery)}, "not-found"),
    ):
        client.send(frame)
        refused = await client.until("refused", since=len(client.frames))
        assert (refused["code"], refused["re"]) == (code, frame["id"])
    anna.send({"t": "enter", "id": str(lottery), "price": 1})
    assert (await anna.until("refused", since=len(anna.frames)))["code"] == "unreadable"


async def test_a_buyer_sees_the_price_fall_and_buys_at_it_in_the_room(house: House) -> None:
    market = house.market
    account = await make_account(market.db, "buyer")
    buyer, friend = await house.enter(account=account.account_id), await house.enter()
    item = market.items[0]
    offer = {
        "item_id": item.id, "sku_id": item.skus[0].sku_id, "floor": {"amount": 100, "currency": "CNY"},
        "helpers": 1, "pieces": 1,
    }  # fmt: skip
    activity_id = await start(house, kind="bargain", bargain=offer)
    async with market.db.tx() as tx:
        bargain = await fun.open_bargain(tx, account, fun.ActivityId(activity_id), fun.BargainId(new_id()))
    friend.send({"t": "help", "id": str(bargain.id), "nonce": "x"})
    helped = await friend.until("helped")
    assert (helped["re"], helped["cut"]["amount"], helped["price"]["amount"]) == (str(bargain.id), 9_800, 100)
    told = await buyer.until("bargain")
    assert (told["price"]["amount"], told["helped"]) == (100, 1)
    async with market.db.tx() as tx:
        grant = (await fun.take_price(tx, account, bargain.id)).grant
    assert grant is not None
    buy = market.buy(item, price=100)
    buy["lines"][0]["grant"] = str(grant.id)
    buyer.send(buy)
    assert (await buyer.until("order"))["order"]["total"]["amount"] == 100
    buyer.send(buy | {"id": str(new_id())})
    assert (await buyer.until("refused"))["code"] == "grant-spent"


async def test_likes_of_accounts_count_in_a_duel_and_both_rooms_see_both_scores(house: House) -> None:
    market = house.market
    rival = await make_account(market.db, "rival")
    rival_show = await open_show(house, rival)
    here, there = await house.enter(), await house.enter(show_id=rival_show)
    guest = await house.enter(guest=True)
    duel = await start(house, kind="pk", rival_show_id=rival_show)
    async with market.db.tx() as tx:
        await fun.agree(tx, rival, fun.ActivityId(duel))
    for client in (here, there):
        await client.until(lambda frame: frame["t"] == "activity" and frame["state"] == "open")
    here.send({"t": "like", "n": 30})
    guest.send({"t": "like", "n": 50})
    there.send({"t": "like", "n": 7})
    await here.until(lambda frame: frame["t"] == "counts" and frame["likes"] >= 80)
    await there.until(lambda frame: frame["t"] == "counts" and frame["likes"] >= 7)
    await house.gateway.games.cheer()
    for client in (here, there):
        scored = await client.until(
            lambda frame: frame["t"] == "activity" and [side["score"] for side in frame["pk"]["sides"]] == [30, 7]
        )
        assert [side["show_id"] for side in scored["pk"]["sides"]] == [str(market.show_id), str(rival_show)]


async def open_show(house: House, actor: identity.Actor) -> ShowId:
    show_id, shop_id = ShowId(new_id()), ShopId(new_id())
    async with house.market.db.tx() as tx:
        await catalog.open_shop(tx, actor.signed_in(), shop_id, catalog.ShopDraft(name="rival", currency="CNY"))
        await live.open_room(tx, actor, RoomId(new_id()), shop_id=shop_id, title="rival")
        await live.plan_show(tx, actor, live.ShowDraft(id=show_id, title="rival"))
        await live.start_show(tx, actor, show_id)
    return show_id
