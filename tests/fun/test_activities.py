"""Lotteries, quizzes, polls, bargains, duels: what they promise, through the front door."""

import asyncio
from typing import Any

import msgspec
import pytest

from fair import Fair, yuan
from laotie import fun, live, messages, orders
from laotie.base.ids import CartItemId, ShowId, new_id
from laotie.base.refusals import IdReused, NotFound, Refusal, Unauthenticated
from laotie.fun.model import (
    ActivityNotOpen,
    AlreadyEntered,
    BargainOver,
    ChoiceRefused,
    DraftRefused,
    HasEntries,
    HelpedAlready,
    NonceRefused,
    NotAChoice,
    OwnBargain,
)
from laotie.identity import Actor
from stage import guest, host

PRIZES: list[dict[str, Any]] = [
    {"title": "一等奖", "count": 1, "amount": yuan(5_000)},
    {"title": "A hat", "count": 2, "amount": None},
]
POLL: dict[str, Any] = {"question": "Red or blue?", "options": ["red", "blue"]}
QUIZ: dict[str, Any] = {"question": "6 x 7?", "options": ["41", "42", "43"], "answer": 2}


async def test_a_lottery_draws_different_people_pays_them_and_proves_it(fair: Fair) -> None:
    lottery = await fair.open("lottery", prizes=PRIZES)
    people = await fair.join(6)
    for number, one in enumerate(people):
        await fair.enter(one, lottery, nonce=f"nonce {number}")
    with pytest.raises(HasEntries):
        await fair.cancel(lottery)
    await fair.wait(60)
    activity = await fair.see(lottery)
    assert [one.prize for one in activity.winners] == ["一等奖", "A hat", "A hat"]
    assert len({one.no for one in activity.winners}) == 3
    balances = sorted([await fair.balance(one.viewer_id) for one in people])
    assert balances == [0, 0, 0, 0, 0, 5_000]
    proof = await fair.proof(lottery)
    assert all(finding.holds for finding in fun.draw.verify(proof))
    assert len(proof.outcome) == 3
    assert len(await fair.market.told("fun.prize_won")) == 3
    async with fair.market.db.read() as tx:
        assert [await messages.count_unread(tx, one.viewer_id) for one in people].count(1) == 3
    await fair.audit_finds_nothing()


async def test_a_lottery_with_too_few_people_gives_the_rest_back(fair: Fair) -> None:
    lottery = await fair.open("lottery", prizes=[{"title": "each", "count": 5, "amount": yuan(100)}])
    (anna,) = await fair.join(1)
    await fair.enter(anna, lottery)
    await fair.wait(60)
    assert await fair.balance(anna.viewer_id) == 100
    assert await fair.balance(fair.owner.viewer_id) == 99_900
    await fair.audit_finds_nothing()


async def test_of_a_quiz_only_right_answers_can_win_and_the_answer_is_kept_until_the_end(fair: Fair) -> None:
    quiz = await fair.open("quiz", prizes=[{"title": "q", "count": 5, "amount": yuan(100)}], **QUIZ)
    right, wrong, other = await fair.join(3)
    await fair.enter(right, quiz, choice=2)
    await fair.enter(wrong, quiz, choice=1)
    with pytest.raises(AlreadyEntered):
        await fair.enter(wrong, quiz, choice=2)
    for choice in (0, 4, None):
        with pytest.raises(ChoiceRefused):
            await fair.enter(other, quiz, choice=choice)
    during = await fair.see(quiz)
    assert during.answer is None and {one.count for one in during.options} == {None}
    assert b'"answer":null' in msgspec.json.encode(during)
    await fair.wait(60)
    after = await fair.see(quiz)
    assert after.answer == 2 and [one.count for one in after.options] == [1, 1, 0]
    assert await fair.balance(right.viewer_id) == 100 and await fair.balance(wrong.viewer_id) == 0
    proof = await fair.proof(quiz)
    assert proof.secret == "2" and all(finding.holds for finding in fun.draw.verify(proof))
    await fair.audit_finds_nothing()


async def test_guests_vote_in_polls_and_nowhere_else(fair: Fair) -> None:
    poll = await fair.open("poll", **POLL)
    lottery = await fair.open("lottery", prizes=PRIZES)
    somebody = guest()
    first = await fair.enter(somebody, poll, choice=1)
    assert (await fair.enter(somebody, poll, choice=1)).head == first.head
    with pytest.raises(AlreadyEntered):
        await fair.enter(somebody, poll, choice=2)
    with pytest.raises(Unauthenticated):
        await fair.enter(somebody, lottery)
    assert [one.count for one in (await fair.see(poll)).options] == [1, 0]


async def test_a_nonce_is_short_and_printable(fair: Fair) -> None:
    lottery = await fair.open("lottery", prizes=PRIZES)
    (anna,) = await fair.join(1)
    for nonce in ("é", "\x00", "x" * 65, "a\nb"):
        with pytest.raises(NonceRefused):
            await fair.enter(anna, lottery, nonce=nonce)


async def test_rules_and_odds_are_there_before_it_opens_and_no_purchase_is_ever_asked(fair: Fair) -> None:
    planned = await fair.plan("lottery", prizes=PRIZES)
    activity = await fair.see(planned)
    assert activity.state is fun.State.ready and activity.commitment is None
    assert activity.rules[0].key == "fun.rule.no_purchase"
    assert activity.odds is not None and activity.odds.facts == {"winners": 3, "entries": 0}


REFUSED: dict[str, dict[str, Any]] = {
    "a packet without money": {"kind": "red_packet"},
    "less than a cent each": {"kind": "red_packet", "packet": {"amount": yuan(9), "count": 10}},
    "another currency": {
        "kind": "red_packet",
        "packet": {"amount": {"amount": 100, "currency": "USD"}, "count": 1},
    },
    "nothing": {"kind": "red_packet", "packet": {"amount": yuan(0), "count": 1}},
    "a quiz without its answer": {"kind": "quiz", "question": "?", "options": ["a", "b"]},
    "an answer that is no option": {"kind": "quiz", "question": "?", "options": ["a", "b"], "answer": 3},
    "one option": {"kind": "poll", "question": "?", "options": ["a"]},
    "parts of another kind": {"kind": "poll", "question": "?", "options": ["a", "b"], "prizes": PRIZES},
    "a title that cannot be shown": {"kind": "poll", "title": "\u202e", **POLL},
    "too much": {"kind": "lottery", "prizes": [{"title": "x", "count": 500, "amount": yuan(99_999_999)}]},
    "an item that is not there": {
        "kind": "bargain",
        "bargain": {"item_id": new_id(), "sku_id": new_id(), "floor": yuan(1), "helpers": 2, "pieces": 1},
    },
}


async def test_drafts_that_do_not_fit_are_refused(fair: Fair) -> None:
    for name, draft in REFUSED.items():
        with pytest.raises(DraftRefused):
            await fair.plan(**draft)
            raise AssertionError(name)


async def test_the_same_draft_is_the_same_activity_and_another_under_its_id_is_refused(fair: Fair) -> None:
    same = new_id()
    assert await fair.plan("poll", id=same, **POLL) == await fair.plan("poll", id=same, **POLL)
    with pytest.raises(IdReused):
        await fair.plan("poll", id=same, **(POLL | {"question": "Other?"}))


async def bargain_of(fair: Fair, *, helpers: int = 4, pieces: int = 2) -> tuple[fun.ActivityId, live.CartItem]:
    item = await fair.market.add_item(price=9_900, stock=10)
    draft = {
        "item_id": item.id, "sku_id": item.skus[0].sku_id, "floor": yuan(900), "helpers": helpers, "pieces": pieces
    }  # fmt: skip
    return await fair.open("bargain", bargain=draft), item


async def begin(fair: Fair, actor: Actor, activity_id: fun.ActivityId) -> fun.Bargain:
    async with fair.market.db.tx() as tx:
        return await fun.open_bargain(tx, actor, activity_id, fun.BargainId(new_id()))


async def take(fair: Fair, actor: Actor, bargain_id: fun.BargainId) -> fun.Bargain:
    async with fair.market.db.tx() as tx:
        return await fun.take_price(tx, actor, bargain_id)


def buy_with(fair: Fair, buyer: Actor, item: live.CartItem, grant: fun.Grant, **changes: Any) -> orders.Ask:
    line = orders.AskLine(item.skus[0].sku_id, item.id, 1, grant.price.amount, grant.id)
    return fair.market.ask(buyer, item, **({"lines": (line,)} | changes))


async def test_help_brings_the_price_down_to_the_floor_and_the_till_sells_once_at_it(fair: Fair) -> None:
    activity_id, item = await bargain_of(fair)
    buyer = await fair.market.buyer()
    mine = await begin(fair, buyer, activity_id)
    assert (await begin(fair, buyer, activity_id)).id == mine.id
    friends = await fair.join(5)
    prices = [mine.price.amount]
    for friend in friends[:4]:
        entered = await fair.enter(friend, mine.id, is_help=True, nonce="go")
        assert entered.price is not None and entered.amount is not None
        prices.append(entered.price.amount)
        assert (await fair.enter(friend, mine.id, is_help=True)).again
    assert prices == sorted(prices, reverse=True) and prices[0] == 9_900 and prices[-1] == 900
    with pytest.raises(BargainOver):
        await fair.enter(friends[4], mine.id, is_help=True)
    with pytest.raises(OwnBargain):
        await fair.enter(buyer, mine.id, is_help=True)
    grant = (await take(fair, buyer, mine.id)).grant
    assert grant is not None and grant.price == yuan(900)
    assert (await take(fair, buyer, mine.id)).grant == grant
    first, second = buy_with(fair, buyer, item, grant), buy_with(fair, buyer, item, grant)
    answers = await asyncio.gather(
        fair.market.till.place(first), fair.market.till.place(second), return_exceptions=True
    )
    assert [type(one).__name__ for one in answers] == ["Placed", "GrantSpent"]
    assert isinstance(answers[0], orders.Placed) and answers[0].total_amount == 900
    assert (await fair.market.till.place(first)).again, "the same purchase again is the same order"
    await fair.market.settle()
    await fair.wait(60)
    assert all(finding.holds for finding in fun.draw.verify(await fair.proof(activity_id)))
    await fair.audit_finds_nothing()


async def test_a_price_of_ones_own_is_for_one_person_one_piece_one_thing_and_a_time(fair: Fair) -> None:
    activity_id, item = await bargain_of(fair, helpers=1)
    other_item = await fair.market.add_item(price=9_900, stock=10)
    buyer, thief = await fair.market.buyer(), await fair.market.buyer()
    mine = await begin(fair, buyer, activity_id)
    await fair.enter((await fair.join(1))[0], mine.id, is_help=True)
    grant = (await take(fair, buyer, mine.id)).grant
    assert grant is not None
    sku, amount = item.skus[0].sku_id, grant.price.amount
    refused: dict[str, orders.Ask] = {
        "somebody else": buy_with(fair, thief, item, grant),
        "two pieces": buy_with(fair, buyer, item, grant, lines=(orders.AskLine(sku, item.id, 2, amount, grant.id),)),
        "two lines": buy_with(fair, buyer, item, grant, lines=(orders.AskLine(sku, item.id, 1, amount, grant.id),) * 2),
        "another thing": buy_with(
            fair, buyer, item, grant,
            lines=(orders.AskLine(other_item.skus[0].sku_id, other_item.id, 1, amount, grant.id),),
        ),
        "a lower price": buy_with(fair, buyer, item, grant, lines=(orders.AskLine(sku, item.id, 1, 1, grant.id),)),
        "from the shelf": buy_with(fair, buyer, item, grant, lines=(orders.AskLine(sku, None, 1, amount, grant.id),)),
        "no such grant": buy_with(fair, buyer, item, grant, lines=(orders.AskLine(sku, item.id, 1, amount, new_id()),)),
    }  # fmt: skip
    for name, ask in refused.items():
        with pytest.raises(Refusal):
            await fair.market.till.place(ask)
            raise AssertionError(name)
    fair.market.db.clock.advance(seconds=601)
    with pytest.raises(Refusal, match="grant-over"):
        await fair.market.till.place(buy_with(fair, buyer, item, grant))


async def test_one_helps_once_in_an_activity_and_pieces_run_out(fair: Fair) -> None:
    activity_id, _ = await bargain_of(fair, pieces=1)
    one, other = await fair.market.buyer(), await fair.market.buyer()
    first, second = await begin(fair, one, activity_id), await begin(fair, other, activity_id)
    (friend,) = await fair.join(1)
    await fair.enter(friend, first.id, is_help=True)
    with pytest.raises(HelpedAlready):
        await fair.enter(friend, second.id, is_help=True)
    assert (await take(fair, one, first.id)).state == "granted"
    with pytest.raises(Refusal, match="all-taken"):
        await take(fair, other, second.id)
    with pytest.raises(NotFound):
        await take(fair, other, first.id)
    with pytest.raises(NotFound):
        await fair.enter(friend, activity_id)
    await fair.wait(60)
    with pytest.raises(ActivityNotOpen):
        await begin(fair, friend, activity_id)


async def test_a_bargain_is_not_opened_at_a_price_that_has_changed(fair: Fair) -> None:
    item = await fair.market.add_item(price=9_900)
    draft = {"item_id": item.id, "sku_id": item.skus[0].sku_id, "floor": yuan(900), "helpers": 2, "pieces": 1}
    planned = await fair.plan("bargain", bargain=draft)
    async with fair.market.db.tx() as tx:
        tag = live.PriceTag(item.skus[0].sku_id, yuan(8_800))
        await live.change_item(tx, fair.owner, CartItemId(item.id), live.CartItemChange(prices=[tag]))
    with pytest.raises(DraftRefused):
        await fair.start(planned)


async def test_two_rooms_agree_score_within_bounds_and_the_clock_ends_it(fair: Fair) -> None:
    rival = await host(fair.market.db, "rival")
    duel = await fair.plan("pk", rival_show_id=rival.show_id)
    assert (await fair.see(duel)).state == "invited"
    with pytest.raises(ActivityNotOpen):
        await fair.start(duel)
    (stranger,) = await fair.join(1)
    for actor in (stranger, fair.owner):
        async with fair.market.db.tx() as tx:
            with pytest.raises(NotFound):
                await fun.agree(tx, actor, duel)
    async with fair.market.db.tx() as tx:
        await fun.agree(tx, rival.actor, duel)
    buyer = await fair.market.buyer()
    await fair.pay(buyer, await fair.market.place(buyer, await fair.market.add_item(price=9_900)), 9_900)
    await cheer(fair, duel, rival.show_id, buyer, likes=70)
    await cheer(fair, duel, rival.show_id, buyer, likes=70)
    await cheer(fair, duel, ShowId(new_id()), buyer, likes=70)
    seen = (await fair.see(duel)).pk
    assert seen is not None
    assert [(side.likes, side.orders, side.score) for side in seen.sides] == [(0, 1, 20), (100, 0, 100)]
    with pytest.raises(ActivityNotOpen):
        await fair.cancel(duel)
    fair.market.db.clock.advance(seconds=61)
    await cheer(fair, duel, fair.market.show_id, stranger, likes=99)
    await fair.work()
    seen = (await fair.see(duel)).pk
    assert seen is not None and seen.winner_show_id == rival.show_id and seen.sides[0].score == 20
    await fair.audit_finds_nothing()


async def cheer(fair: Fair, duel: fun.ActivityId, show_id: ShowId, viewer: Actor, *, likes: int) -> None:
    async with fair.market.db.tx() as tx:
        await fun.cheer_many(tx, [fun.Cheer(duel, show_id, viewer.viewer_id, likes=likes)])


async def test_an_invitation_lapses_and_either_side_may_call_it_off(fair: Fair) -> None:
    rival = await host(fair.market.db, "rival")
    lapsed = await fair.plan("pk", rival_show_id=rival.show_id)
    await fair.wait(121)
    assert (await fair.see(lapsed)).state == "cancelled"
    refused = await fair.plan("pk", rival_show_id=rival.show_id)
    await fair.cancel(refused, rival.actor)
    assert (await fair.see(refused)).state == "cancelled"
    for show_id in (fair.market.show_id, new_id()):
        with pytest.raises(NotAChoice):
            await fair.plan("pk", rival_show_id=show_id)


async def test_what_is_planned_is_not_shown_to_everybody(fair: Fair) -> None:
    planned = await fair.plan("poll", **POLL)
    opened = await fair.open("poll", **POLL)
    async with fair.market.db.read() as tx:
        public = await fun.list_of_show(tx, fair.market.show_id, with_planned=False)
        own = await fun.list_of_show(tx, fair.market.show_id, with_planned=True)
        running = await fun.list_running(tx, fair.market.show_id)
    assert [one.id for one in public] == [one.id for one in running] == [opened]
    assert {one.id for one in own} == {planned, opened}
