"""Group buys: seats, deadlines and what a failed team gives back, on real orders and payments."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from laotie import audit, ledger, messages, offers, orders
from laotie.base.ids import OrderId, SkuId, new_id
from laotie.base.money import Money
from laotie.base.refusals import IdReused, NotFound
from laotie.offers import GroupDraft, GroupOffer, GroupOfferId, GroupPrice, TeamState
from laotie.orders import OrderState
from laotie.orders.model import LimitReached, PriceChanged
from laotie.orders.seating import AlreadyInTeam, SeatAlone, TeamFull, TeamOver
from market import Market
from teams import PRICE, TEAM_PRICE, join, open_offer, open_team, seat, stock, team_of

Kind = ledger.AccountKind
async def may_ship(market: Market, *order_ids: OrderId) -> set[OrderId]:
    async with market.db.read() as tx:
        return await orders.may_ship(tx, order_ids)


def listen(market: Market, tag: str) -> list[dict[str, Any]]:
    """What is told under a tag from now on."""
    heard: list[dict[str, Any]] = []
    market.house.bus.subscribe(f"events.{tag}", lambda _subject, payload: heard.append(json.loads(payload)))
    return heard


async def rest(market: Market) -> None:
    """Deadlines, refunds and their news, until nothing moves."""
    for _ in range(6):
        await market.settle()
        if not await orders.work_teams(market.db):
            break
    market.db.clock.advance(seconds=1)
    await market.settle()


async def books_agree(market: Market) -> None:
    market.db.clock.advance(seconds=60)
    await market.settle()
    report = await audit.take_tallies(market.db)
    assert report.findings == []


async def test_a_team_is_complete_with_its_last_paid_seat_and_is_shipped_only_then(market: Market) -> None:
    offer = await open_offer(market, size=2)
    completed = listen(market, "offers.team_completed")
    anna, ben = await market.buyer(), await market.buyer()
    team = await open_team(market, anna, offer)
    first = await join(market, anna, offer, team.id)
    assert (await market.order(anna, first)).total_amount == TEAM_PRICE
    await market.pay(anna, first)
    assert await may_ship(market, first) == set()
    second = await join(market, ben, offer, team.id)
    assert (await team_of(market, team.id)).state is TeamState.gathering
    await market.pay(ben, second)
    assert (await team_of(market, team.id)).state is TeamState.complete
    assert await may_ship(market, first, second) == {first, second}
    (news,) = completed
    async with market.db.read() as tx:
        (notice,) = (await messages.list_notices(tx, anna.viewer_id, after=None, limit=9)).items
    assert (notice.kind, notice.link) == ("team_complete", f"/teams/{team.id}")
    assert set(news["order_ids"]) == {str(first), str(second)}
    market.db.clock.advance(seconds=100 * 3600)
    await rest(market)
    assert (await market.order(anna, first)).state is OrderState.paid
    await books_agree(market)


async def test_at_its_deadline_a_team_fails_and_everybody_gets_everything_back_once(market: Market) -> None:
    offer = await open_offer(market, size=4, stock=5)
    asked, failed = listen(market, "order.refund_asked"), listen(market, "offers.team_failed")
    sku_id = offer.prices[0].sku_id
    anna, ben, carl = [await market.buyer() for _ in range(3)]
    team = await open_team(market, anna, offer)
    paid = [await join(market, one, offer, team.id) for one in (anna, ben)]
    await market.pay(anna, paid[0])
    await market.pay(ben, paid[1])
    market.db.clock.advance(seconds=offer.gather_hours * 3600 - 300)
    await rest(market)
    unpaid = await join(market, carl, offer, team.id)
    assert await stock(market, sku_id) == (2, 1, 2)
    market.db.clock.advance(seconds=310)
    for _ in range(3):
        await rest(market)
    assert (await team_of(market, team.id)).state is TeamState.failed
    for buyer, order_id in zip((anna, ben), paid, strict=True):
        order = await market.order(buyer, order_id)
        assert order.state is OrderState.refunded
        assert order.payment is not None and order.payment.state == "refunded"
    ended = await market.order(carl, unpaid)
    assert (ended.state, ended.end_reason) == (OrderState.cancelled, "team-failed")
    assert await stock(market, sku_id) == (5, 0, 0)
    assert (await market.balance(Kind.shop_held)).posted == 0
    assert (await market.balance(Kind.provider)).posted == 0
    assert {(one["order_id"], one["whole"]) for one in asked} == {(str(one), True) for one in paid}
    assert len(asked) == len(paid)
    assert [set(one["order_ids"]) for one in failed] == [{str(one) for one in paid}]
    assert await may_ship(market, *paid) == set()
    await books_agree(market)


async def test_whoever_dissolves_a_team_while_another_does_finds_it_done(market: Market) -> None:
    offer = await open_offer(market, size=3)
    asked = listen(market, "order.refund_asked")
    anna, ben = await market.buyer(), await market.buyer()
    team = await open_team(market, anna, offer)
    for one in (anna, ben):
        await market.pay(one, await join(market, one, offer, team.id))
    market.db.clock.advance(seconds=25 * 3600)
    async with market.db.tx() as tx:
        await offers.fail_teams(tx)  # and then the process was killed
    await asyncio.gather(*(orders.work_teams(market.db) for _ in range(4)))
    await rest(market)
    assert len(asked) == 2
    assert (await market.balance(Kind.shop_held)).posted == 0
    await books_agree(market)


async def test_of_many_who_want_the_last_seat_at_once_one_gets_it(market: Market) -> None:
    offer = await open_offer(market, size=2)
    anna = await market.buyer()
    team = await open_team(market, anna, offer)
    await market.pay(anna, await join(market, anna, offer, team.id))
    others = [await market.buyer() for _ in range(6)]
    second = orders.Till(market.db, payment_timeout_s=900, batch_max=64, waiting_max=100)
    tills = [market.till, second]
    answers = await asyncio.gather(
        *(tills[no % 2].place(seat(market, one, offer, team.id)) for no, one in enumerate(others)),
        return_exceptions=True,
    )
    await second.close()
    assert sum(isinstance(one, orders.Placed) for one in answers) == 1
    assert sum(isinstance(one, TeamFull) for one in answers) == 5
    assert (await team_of(market, team.id)).free_count == 0


async def test_a_seat_is_free_again_when_its_order_is_cancelled_or_not_paid_in_time(market: Market) -> None:
    offer = await open_offer(market, size=2)
    anna, ben, carl = [await market.buyer() for _ in range(3)]
    team = await open_team(market, anna, offer)
    await market.pay(anna, await join(market, anna, offer, team.id))
    held = await join(market, ben, offer, team.id)
    with pytest.raises(TeamFull):
        await join(market, carl, offer, team.id)
    await market.cancel(ben, held)
    await join(market, carl, offer, team.id)
    market.db.clock.advance(seconds=market.settings.payment_timeout_s + 1)
    await rest(market)
    assert (await team_of(market, team.id)).free_count == 1
    last = await join(market, ben, offer, team.id)
    await market.pay(ben, last)
    assert (await team_of(market, team.id)).state is TeamState.complete


async def test_money_that_is_here_when_the_deadline_is_looked_at_completes_the_team(market: Market) -> None:
    offer = await open_offer(market, size=2)
    anna, ben = await market.buyer(), await market.buyer()
    team = await open_team(market, anna, offer)
    await market.pay(anna, await join(market, anna, offer, team.id))
    market.db.clock.advance(seconds=24 * 3600 - 300)
    last = await join(market, ben, offer, team.id)
    payment_id = await market.start_payment(ben, last)
    await market.decide(ben, payment_id)
    market.db.clock.advance(seconds=310)
    await rest(market)
    assert (await team_of(market, team.id)).state is TeamState.complete
    assert (await market.order(ben, last)).state is OrderState.paid


async def test_money_that_comes_after_the_team_failed_goes_back_by_itself(market: Market) -> None:
    offer = await open_offer(market, size=2)
    anna, ben = await market.buyer(), await market.buyer()
    team = await open_team(market, anna, offer)
    first = await join(market, anna, offer, team.id)
    await market.pay(anna, first)
    market.db.clock.advance(seconds=24 * 3600 - 300)
    between = await join(market, ben, offer, team.id)
    payment_id = await market.start_payment(ben, between)
    market.db.clock.advance(seconds=310)
    async with market.db.tx() as tx:
        assert await offers.fail_teams(tx) == 1
    await market.decide(ben, payment_id)
    await market.settle()  # paid, in a team that failed
    assert (await market.order(ben, between)).state is OrderState.paid
    await rest(market)
    assert (await market.order(ben, between)).state is OrderState.refunded
    assert (await market.order(anna, first)).state is OrderState.refunded
    assert (await market.balance(Kind.shop_held)).posted == 0
    await books_agree(market)


async def test_each_person_has_one_seat_and_so_many_pieces_in_all_teams(market: Market) -> None:
    offer = await open_offer(market, size=3, limit=3)
    anna, ben = await market.buyer(), await market.buyer()
    team, other = await open_team(market, anna, offer), await open_team(market, ben, offer)
    first = await join(market, anna, offer, team.id, quantity=2)
    with pytest.raises(AlreadyInTeam) as refused:
        await join(market, anna, offer, team.id)
    assert refused.value.order_id == first
    with pytest.raises(LimitReached):
        await join(market, anna, offer, other.id, quantity=2)
    await join(market, anna, offer, other.id)
    again = await open_team(market, anna, offer)
    assert again.id == team.id, "a person has one open team of an offer"


async def test_a_seat_is_bought_alone_at_the_teams_price_while_it_gathers(market: Market) -> None:
    offer = await open_offer(market, size=2)
    anna, ben = await market.buyer(), await market.buyer()
    team = await open_team(market, anna, offer)
    with pytest.raises(PriceChanged) as changed:
        await join(market, anna, offer, team.id, price_amount=TEAM_PRICE - 1)
    assert changed.value.price == Money(TEAM_PRICE, "CNY")
    alone = seat(market, anna, offer, team.id)
    with pytest.raises(SeatAlone):
        await market.till.place(market.ask(anna, show_id=None, lines=(*alone.lines, *alone.lines)))
    with pytest.raises(SeatAlone):
        await market.till.place(market.ask(anna, show_id=None, lines=alone.lines, coupons=(new_id(),)))
    with pytest.raises(TeamOver):
        await join(market, anna, offer, new_id())
    market.db.clock.advance(seconds=24 * 3600)
    with pytest.raises(TeamOver):
        await join(market, ben, offer, team.id)


async def test_an_offer_is_below_the_shelf_and_a_product_has_one_at_a_time(market: Market) -> None:
    offer = await open_offer(market)
    price = offer.prices[0]
    for wrong in (PRICE, PRICE + 1):
        with pytest.raises(offers.GroupPriceRefused):
            await open_offer_again(market, offer, [GroupPrice(price.sku_id, Money(wrong, "CNY"))])
    with pytest.raises(offers.GroupPriceRefused):
        await open_offer_again(market, offer, [GroupPrice(SkuId(new_id()), Money(1, "CNY"))])
    with pytest.raises(offers.GroupOfferStands):
        await open_offer_again(market, offer, offer.prices)
    async with market.db.tx() as tx:
        await offers.close_group(tx, market.owner, offer.id)
        assert await offers.find_group_of_product(tx, offer.product_id) is None
    again = await open_offer_again(market, offer, offer.prices)
    anna = await market.buyer()
    with pytest.raises(offers.GroupOver):
        await open_team(market, anna, offer)
    team = await open_team(market, anna, again)
    with pytest.raises(IdReused):
        async with market.db.tx() as tx:
            await offers.open_team(tx, await market.buyer(), again.id, team.id)
    with pytest.raises(NotFound):
        async with market.db.tx() as tx:
            await offers.close_group(tx, anna, again.id)


async def open_offer_again(market: Market, offer: GroupOffer, prices: list[GroupPrice]) -> GroupOffer:
    async with market.db.tx() as tx:
        draft = GroupDraft(
            id=GroupOfferId(new_id()),
            product_id=offer.product_id,
            prices=prices,
            size=3,
            ends_at=tx.now + timedelta(days=1),
        )
        return await offers.offer_group(tx, market.owner, market.shop_id, draft)
