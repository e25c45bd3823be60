"""Parcels on their way: what may be shipped, corrected, called off; what carriers say; and what time brings."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laotie import catalog, identity, orders
from laotie.base.ids import OrderId, new_id
from laotie.base.refusals import IdReused, NotFound, Refusal
from laotie.base.settings import Settings
from laotie.orders import OrderState, delivery, parcels, shipments, tracking
from laotie.orders.carriers import BY_CODE, CARRIERS, CarrierUnknown, TrackingNumberRefused, clean_number, find_carrier
from laotie.orders.delivery import Stage, Terms
from laotie.orders.packing import Consignment, Desk, NotToShip, NumberTaken, ParcelId, Piece, PiecesShort, Sent
from laotie.orders.parcels import ParcelState, TrackingKind
from laotie.payments import SignatureRefused, signature
from market import Market

TERMS = Terms(after_delivery=7, after_shipping=15, extension=3)
SF = BY_CODE["sf"]


def number(digits: int = 1) -> str:
    return f"SF{digits:013d}"


def consign(order_id: OrderId, digits: int = 1, *pieces: tuple[int, int], **changes: Any) -> Consignment:
    """A parcel of SF with these (line, quantity); without any, of all that is left."""
    fields: dict[str, Any] = {
        "id": ParcelId(new_id()),
        "order_id": order_id,
        "carrier": "sf",
        "number": number(digits),
        "pieces": tuple(Piece(*piece) for piece in pieces) or None,
    }
    return Consignment(**(fields | changes))


async def bought(market: Market, *quantities: int) -> tuple[identity.Actor, OrderId]:
    """A paid order with a line of each quantity."""
    items = [await market.add_item(f"海参 {place}", stock=20) for place, _ in enumerate(quantities)]
    buyer = await market.buyer()
    ask = market.ask(buyer, *items)
    lines = tuple(
        msgspec.structs.replace(line, quantity=quantity) for line, quantity in zip(ask.lines, quantities, strict=True)
    )
    placed = await market.place_all(buyer, msgspec.structs.replace(ask, lines=lines))
    await market.pay(buyer, placed.id)
    return buyer, placed.id


async def ship(market: Market, consignment: Consignment) -> ParcelId:
    async with market.db.tx() as tx:
        return await parcels.ship(tx, market.owner, TERMS, market.shop_id, consignment)


async def hear(market: Market, digits: int, kind: TrackingKind, *, key: str = "", ago_s: float = 0) -> tracking.Verdict:
    """The carrier says so of this number."""
    async with market.db.tx() as tx:
        news = tracking.News(
            number=number(digits), key=key or kind, kind=kind, at=tx.now - timedelta(seconds=ago_s), place="青岛"
        )
        return (await tracking.hear_many(tx, TERMS, SF, [news], source="sf"))[0]


async def standing(market: Market, order_id: OrderId) -> shipments.Standing:
    async with market.db.read() as tx:
        return await shipments.get_standing(tx, market.owner, market.shop_id, order_id)


async def stage(market: Market, order_id: OrderId) -> tuple[OrderState, Stage]:
    found = await standing(market, order_id)
    assert found.delivery is not None
    return found.state, found.delivery.stage


async def work(market: Market) -> int:
    """The worker's turn, until nothing is due."""
    done = 0
    while turn := await orders.work_deliveries(market.db, TERMS):
        done += turn
    return done


async def promise(market: Market, hours: int | None = 48, days: int | None = None) -> None:
    async with market.db.tx() as tx:
        await catalog.set_dispatch(tx, market.owner, market.shop_id, catalog.Dispatch(hours, days))


async def give_back(market: Market, order_id: OrderId, no: int, quantity: int, amount: int) -> None:
    async with market.db.tx() as tx:
        await orders.give_back(
            tx, order_id, refund_id=new_id(), lines=[orders.Back(no, quantity, amount)], reason="test"
        )
    await market.settle()
    await work(market)


# Numbers


@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda carrier: carrier.code)
def test_every_carriers_example_is_one_of_its_numbers(carrier: Any) -> None:
    assert clean_number(carrier, f" {carrier.example.lower()} ") == carrier.example
    assert find_carrier(carrier.zh) is find_carrier(carrier.en) is find_carrier(carrier.code) is carrier


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("sf", "SF12"),
        ("zto", "7.73E+14"),
        ("zto", "٧٥٣١٢٣٤٥٦٧٨٩٠١"),
        ("ems", "EA123456784CN"),
        ("ups", "1Z999AA10123456785"),
        ("other", "-" * 5),
        ("other", "A" * 41),
        ("jd", ""),
    ],
)
def test_a_number_that_is_not_the_carriers_is_refused(code: str, text: str) -> None:
    with pytest.raises(TrackingNumberRefused):
        clean_number(BY_CODE[code], text)


def test_full_width_digits_and_blanks_are_the_same_number() -> None:
    assert clean_number(SF, "ＳＦ１２３４ ５６７８\u200b９０１２３") == "SF1234567890123"
    with pytest.raises(CarrierUnknown):
        find_carrier("隔壁老王")


# Shipping


async def test_an_order_in_two_parcels_is_shipped_with_the_second(market: Market) -> None:
    buyer, order_id = await bought(market, 3, 1)
    await ship(market, consign(order_id, 1, (1, 2)))
    assert await stage(market, order_id) == (OrderState.paid, Stage.partly)
    assert (await standing(market, order_id)).left == [Piece(1, 1), Piece(2, 1)]
    await ship(market, consign(order_id, 2))
    assert await stage(market, order_id) == (OrderState.shipped, Stage.shipped)
    order = await market.order(buyer, order_id)
    assert [line.shipped_quantity for line in order.lines] == [3, 1]
    assert [event["order_id"] for event in await market.told("order.shipped")] == [str(order_id)]
    async with market.db.read() as tx:
        shipped = await orders.list_of_shop(
            tx, market.owner, market.shop_id, state=OrderState.shipped, after=None, limit=10
        )
    assert [one.id for one in shipped.items] == [order_id], "the shop's list by state moved with it"


async def test_the_same_parcel_again_changes_nothing_and_another_under_its_id_is_refused(market: Market) -> None:
    _, order_id = await bought(market, 2)
    consignment = consign(order_id, 1, (1, 1))
    await ship(market, consignment)
    await ship(market, consignment)
    assert (await standing(market, order_id)).left == [Piece(1, 1)]
    with pytest.raises(IdReused):
        await ship(market, msgspec.structs.replace(consignment, number=number(7)))


async def test_what_cannot_be_shipped_says_why(market: Market) -> None:
    buyer, order_id = await bought(market, 2)
    _, other_id = await bought(market, 1)
    item = await market.add_item()
    unpaid_id = await market.place(buyer, item)
    await ship(market, consign(other_id, 1))
    cases: list[tuple[Consignment, str]] = [
        (consign(order_id, 1), "number-taken"),
        (consign(order_id, 2, (1, 3)), "pieces-short"),
        (consign(order_id, 2, (2, 1)), "pieces-refused"),
        (consign(order_id, 2, (1, 1), (1, 1)), "pieces-refused"),
        (consign(order_id, 2, (1, 0)), "pieces-refused"),
        (consign(order_id, 2, carrier="nobody"), "carrier-unknown"),
        (consign(order_id, 2, number="12"), "tracking-number-refused"),
        (consign(unpaid_id, 2), "not-to-ship"),
        (consign(other_id, 2), "nothing-left-to-ship"),
        (consign(OrderId(new_id()), 2), "not-found"),
    ]
    async with market.db.tx() as tx:
        answers = await parcels.ship_many(tx, TERMS, market.shop_id, [case for case, _ in cases])
    assert [answer.code if isinstance(answer, Refusal) else "sent" for answer in answers] == [code for _, code in cases]
    stranger, elsewhere = await market.open_shop()
    async with market.db.tx() as tx:
        with pytest.raises(NotFound):
            await parcels.ship(tx, stranger, TERMS, elsewhere, consign(order_id, 3))
    async with market.db.tx() as tx:
        with pytest.raises(NotFound):
            await parcels.ship(tx, stranger, TERMS, market.shop_id, consign(order_id, 3))


async def test_two_who_ship_the_last_piece_at_once_make_one_parcel(market: Market) -> None:
    _, order_id = await bought(market, 1)
    answers = await asyncio.gather(
        *(ship(market, consign(order_id, digits)) for digits in range(1, 5)), return_exceptions=True
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["NothingLeft"] * 3 + ["UUID"]
    assert len((await standing(market, order_id)).parcels) == 1


async def test_two_orders_racing_for_one_number_make_one_parcel(market: Market) -> None:
    pairs = [await bought(market, 1) for _ in range(3)]
    answers = await asyncio.gather(
        *(ship(market, consign(order_id, 1)) for _, order_id in pairs), return_exceptions=True
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["NumberTaken"] * 2 + ["UUID"]
    states = [(await stage(market, order_id))[0] for _, order_id in pairs]
    assert sorted(states) == ["paid", "paid", "shipped"]


async def test_a_parcel_is_corrected_or_called_off_until_it_moves(market: Market) -> None:
    _, order_id = await bought(market, 1)
    parcel_id = await ship(market, consign(order_id, 1))
    other_id = (await bought(market, 1))[1]
    await ship(market, consign(other_id, 5))

    async def correct(text: str) -> None:
        async with market.db.tx() as tx:
            await parcels.correct_parcel(
                tx, market.owner, TERMS, market.shop_id, parcel_id, carrier="顺丰", number=text
            )

    async def cancel() -> None:
        async with market.db.tx() as tx:
            await parcels.cancel_parcel(tx, market.owner, TERMS, market.shop_id, parcel_id)

    await correct(number(2))
    with pytest.raises(NumberTaken):
        await correct(number(5))
    await cancel()
    await cancel()
    assert await stage(market, order_id) == (OrderState.paid, Stage.waiting)
    parcel_id = await ship(market, consign(order_id, 2))
    assert await stage(market, order_id) == (OrderState.shipped, Stage.shipped)
    await hear(market, 2, TrackingKind.collected)
    for act in (correct(number(3)), cancel()):
        with pytest.raises(parcels.ParcelMoves):
            await act


async def test_nothing_is_sent_that_was_given_back(market: Market) -> None:
    _, order_id = await bought(market, 3, 1)
    await ship(market, consign(order_id, 1, (1, 1)))
    await give_back(market, order_id, 1, 1, 9900)
    assert (await standing(market, order_id)).left == [Piece(1, 1), Piece(2, 1)]
    with pytest.raises(PiecesShort):
        await ship(market, consign(order_id, 2, (1, 2)))
    await ship(market, consign(order_id, 2, (1, 1)))
    await give_back(market, order_id, 2, 1, 9900)
    assert await stage(market, order_id) == (OrderState.shipped, Stage.shipped), "what is left of it is on its way"


async def test_a_piece_that_came_back_does_not_shorten_what_is_still_to_be_shipped(market: Market) -> None:
    _, order_id = await bought(market, 3)
    await ship(market, consign(order_id, 1, (1, 2)))
    async with market.db.tx() as tx:
        await orders.note_returned(tx, order_id, [Piece(1, 1)])
    await give_back(market, order_id, 1, 1, 9900)
    assert (await standing(market, order_id)).left == [Piece(1, 1)]


async def test_shipping_and_giving_back_at_once_never_send_what_was_refunded(market: Market) -> None:
    for turn in range(4):
        _, order_id = await bought(market, 2)
        await asyncio.gather(
            ship(market, consign(order_id, 10 + turn)), give_back(market, order_id, 1, 1, 9900), return_exceptions=True
        )
        await market.settle()
        await work(market)
        found = await standing(market, order_id)
        sent = sum(piece.quantity for parcel in found.parcels for piece in parcel.pieces)
        assert (sent, found.state, found.left) in [(1, "shipped", []), (2, "shipped", [])]


async def test_a_refunded_order_is_closed_and_not_late(market: Market) -> None:
    await promise(market, 1)
    _, order_id = await bought(market, 1)
    await give_back(market, order_id, 1, 1, 9900)
    market.db.clock.advance(seconds=7200)
    assert await work(market) == 0
    assert await stage(market, order_id) == (OrderState.refunded, Stage.closed)
    with pytest.raises(NotToShip):
        await ship(market, consign(order_id, 1))


# Tracking


async def test_news_come_twice_late_and_before_the_number_and_the_parcel_arrives_once(market: Market) -> None:
    buyer, order_id = await bought(market, 1)
    assert await hear(market, 1, TrackingKind.collected, ago_s=600) is tracking.Verdict.unknown
    await ship(market, consign(order_id, 1))
    assert (await standing(market, order_id)).parcels[0].state is ParcelState.moving
    assert await hear(market, 1, TrackingKind.delivered) is tracking.Verdict.applied
    assert await hear(market, 1, TrackingKind.delivered) is tracking.Verdict.repeated
    assert await hear(market, 1, TrackingKind.in_transit, ago_s=300) is tracking.Verdict.applied
    parcel = (await standing(market, order_id)).parcels[0]
    assert parcel.state is ParcelState.delivered
    assert [event.kind for event in parcel.events] == ["delivered", "in_transit", "collected"]
    assert await stage(market, order_id) == (OrderState.shipped, Stage.delivered)
    assert [event["whole"] for event in await market.told("parcel.delivered")] == [True]
    assert (await market.order(buyer, order_id)).delivered_at is not None


async def test_an_order_is_delivered_with_its_last_parcel(market: Market) -> None:
    _, order_id = await bought(market, 2)
    await ship(market, consign(order_id, 1, (1, 1)))
    await ship(market, consign(order_id, 2))
    await hear(market, 2, TrackingKind.delivered)
    assert await stage(market, order_id) == (OrderState.shipped, Stage.shipped)
    await hear(market, 1, TrackingKind.delivered)
    assert await stage(market, order_id) == (OrderState.shipped, Stage.delivered)
    assert [event["whole"] for event in await market.told("parcel.delivered")] == [False, True]


async def test_a_parcel_that_went_back_is_to_be_shipped_again_and_its_later_arrival_says_nothing(market: Market) -> None:
    await promise(market, 24)
    _, order_id = await bought(market, 1)
    await ship(market, consign(order_id, 1))
    market.db.clock.advance(seconds=5 * 86_400)
    await hear(market, 1, TrackingKind.returned)
    await hear(market, 1, TrackingKind.delivered, key="at the shop's door")
    assert await stage(market, order_id) == (OrderState.paid, Stage.waiting)
    assert await work(market) == 0, "the promise began anew"
    await ship(market, consign(order_id, 2))
    assert await stage(market, order_id) == (OrderState.shipped, Stage.shipped)


async def test_what_is_out_of_all_time_or_too_much_is_refused(market: Market) -> None:
    _, order_id = await bought(market, 1)
    await ship(market, consign(order_id, 1))
    assert await hear(market, 1, TrackingKind.delivered, ago_s=-3600) is tracking.Verdict.refused
    assert await hear(market, 1, TrackingKind.delivered, ago_s=200 * 86_400) is tracking.Verdict.refused
    many = [
        tracking.News(number=number(1), key=str(key), kind=TrackingKind.in_transit, at=market.db.clock.now())
        for key in range(tracking.EVENTS_PER_NUMBER_MAX + 1)
    ]
    async with market.db.tx() as tx:
        verdicts = await tracking.hear_many(tx, TERMS, SF, many, source="sf")
    assert verdicts.count(tracking.Verdict.applied) == tracking.EVENTS_PER_NUMBER_MAX
    assert verdicts[-1] is tracking.Verdict.refused


async def test_a_carriers_message_needs_its_signature(market: Market) -> None:
    settings = Settings(carrier_secrets="sf=old,sf=new, zto=other")
    _, order_id = await bought(market, 1)
    await ship(market, consign(order_id, 1))
    at = market.db.clock.now()
    body = msgspec.json.encode({"events": [{"number": number(1), "key": "1", "kind": "delivered", "at": at}]})

    async def say(name: str, secret: str, body: bytes = body) -> list[tracking.Verdict]:
        headers = signature.sign([secret.encode()], "message", at=at, body=body)
        return await tracking.hear_carrier(market.db, settings, name=name, headers=headers, body=body)

    with pytest.raises(SignatureRefused):
        await say("sf", "other")
    with pytest.raises(tracking.NoSuchCarrier):
        await say("yto", "new")
    with pytest.raises(tracking.MessageRefused):
        await say("sf", "new", b"{}")
    assert await say("sf", "old") == [tracking.Verdict.applied]
    assert await say("sf", "new") == [tracking.Verdict.repeated]


async def test_a_number_entered_while_its_news_came_is_caught_up_with(market: Market) -> None:
    _, order_id = await bought(market, 1)
    await ship(market, consign(order_id, 1))
    async with market.db.tx() as tx:  # as two transactions that did not see each other leave it
        await tx.run(
            """
            INSERT INTO orders.tracking (carrier, number, key, kind, at, place, note, source, is_known, heard_at)
            VALUES ('sf', %(number)s, '1', 'delivered', %(now)s, '', '', 'sf', false, %(now)s)
            """,
            number=number(1),
            now=tx.now,
        )
    assert await tracking.catch_up(market.db, TERMS) == 1
    assert await tracking.catch_up(market.db, TERMS) == 0
    assert await stage(market, order_id) == (OrderState.shipped, Stage.delivered)


async def test_the_sandbox_carrier_moves_its_parcels_to_the_door(market: Market) -> None:
    _, order_id = await bought(market, 1)
    await ship(market, consign(order_id, carrier="sandbox", number="SBX0000000001"))
    for _ in range(6):
        market.db.clock.advance(seconds=61)
        await tracking.move_sandbox(market.db, TERMS, step_s=60)
    parcel = (await standing(market, order_id)).parcels[0]
    assert (parcel.state, len(parcel.events)) == (ParcelState.delivered, len(tracking.STEPS))
    assert await tracking.move_sandbox(market.db, TERMS, step_s=60) == 0


async def test_news_of_numbers_that_nobody_entered_are_forgotten(market: Market) -> None:
    await hear(market, 1, TrackingKind.collected)
    _, order_id = await bought(market, 1)
    await ship(market, consign(order_id, 2))
    await hear(market, 2, TrackingKind.collected)
    market.db.clock.advance(seconds=31 * 86_400)
    async with market.db.tx() as tx:
        assert await tracking.sweep_unknown(tx) == 1


# Time


async def test_an_order_completes_by_itself_a_week_after_its_delivery_once(market: Market) -> None:
    buyer, order_id = await bought(market, 1)
    await ship(market, consign(order_id, 1))
    await hear(market, 1, TrackingKind.delivered)
    market.db.clock.advance(seconds=7 * 86_400 - 60)
    assert await work(market) == 0
    market.db.clock.advance(seconds=120)
    turns = await asyncio.gather(*(orders.work_deliveries(market.db, TERMS) for _ in range(4)))
    assert sum(turns) >= 1
    assert await stage(market, order_id) == (OrderState.completed, Stage.closed)
    assert [event["by"] for event in await market.told("order.completed")] == ["time"]
    assert (await market.order(buyer, order_id)).completed_at is not None


async def test_without_a_delivery_it_takes_longer_and_a_shop_may_have_days_of_its_own(market: Market) -> None:
    _, silent_id = await bought(market, 1)
    await ship(market, consign(silent_id, 1))
    await promise(market, None, 2)
    _, quick_id = await bought(market, 1)
    await ship(market, consign(quick_id, 2))
    await hear(market, 2, TrackingKind.delivered)
    market.db.clock.advance(seconds=2 * 86_400 + 60)
    await work(market)
    assert (await stage(market, quick_id))[0] is OrderState.completed
    assert (await stage(market, silent_id))[0] is OrderState.shipped
    market.db.clock.advance(seconds=13 * 86_400)
    await work(market)
    assert (await stage(market, silent_id))[0] is OrderState.completed


async def test_a_buyer_confirms_earlier_extends_once_and_nobody_else_may(market: Market) -> None:
    buyer, order_id = await bought(market, 1)
    stranger = await market.buyer()

    async def confirm(actor: identity.Actor) -> None:
        async with market.db.tx() as tx:
            await delivery.confirm_receipt(tx, actor, order_id)

    async def extend() -> None:
        async with market.db.tx() as tx:
            await delivery.extend_time(tx, buyer, TERMS, order_id)

    with pytest.raises(delivery.NotUnderWay):
        await confirm(buyer)
    await ship(market, consign(order_id, 1))
    await hear(market, 1, TrackingKind.delivered)
    await extend()
    with pytest.raises(delivery.ExtendedBefore):
        await extend()
    market.db.clock.advance(seconds=8 * 86_400)
    assert await work(market) == 0
    with pytest.raises(NotFound):
        await confirm(stranger)
    await confirm(buyer)
    await confirm(buyer)
    assert [event["by"] for event in await market.told("order.completed")] == ["buyer"]
    with pytest.raises(delivery.NotUnderWay):
        await extend()


async def test_an_open_case_stops_the_clock_and_the_buyer_loses_no_time(market: Market) -> None:
    buyer, order_id = await bought(market, 1)
    await ship(market, consign(order_id, 1))
    await hear(market, 1, TrackingKind.delivered)
    market.db.clock.advance(seconds=6 * 86_400)
    cases = [new_id(), new_id()]

    async def pause(case_id: UUID) -> None:
        async with market.db.tx() as tx:
            await orders.pause_completion(tx, order_id, case_id)

    async def resume(case_id: UUID) -> None:
        async with market.db.tx() as tx:
            await orders.resume_completion(tx, order_id, case_id)

    for case_id in (*cases, cases[0]):
        await pause(case_id)
    with pytest.raises(delivery.CompletionPaused):
        async with market.db.tx() as tx:
            await delivery.confirm_receipt(tx, buyer, order_id)
    market.db.clock.advance(seconds=30 * 86_400)
    assert await work(market) == 0
    await resume(cases[0])
    await resume(cases[0])
    assert await work(market) == 0
    await resume(cases[1])
    assert await work(market) == 0, "a day is left, as when the first case was opened"
    market.db.clock.advance(seconds=86_400 + 60)
    assert await work(market) == 1
    assert (await stage(market, order_id))[0] is OrderState.completed


async def test_an_arbitration_may_complete_an_order(market: Market) -> None:
    _, order_id = await bought(market, 1)
    async with market.db.tx() as tx:
        assert not await orders.complete_order(tx, order_id, by="arbitration")
    await ship(market, consign(order_id, 1))
    async with market.db.tx() as tx:
        assert await orders.complete_order(tx, order_id, by="arbitration")
        assert not await orders.complete_order(tx, order_id, by="arbitration")


# Promises


async def test_what_was_promised_at_payment_holds_and_its_breach_is_told_once(market: Market) -> None:
    await promise(market, 48)
    _, order_id = await bought(market, 1)
    await promise(market, 720)
    found = await standing(market, order_id)
    order = found.delivery
    assert order is not None and order.promised_h == 48
    async with market.db.read() as tx:
        paid_at = await tx.one(datetime, 'SELECT paid_at FROM orders."order" WHERE id = %(id)s', id=order_id)
        assert not await orders.is_promise_broken(tx, order_id)
    assert order.ship_by == paid_at + timedelta(hours=48)
    market.db.clock.advance(seconds=48 * 3600 + 60)
    async with market.db.read() as tx:
        assert await orders.is_promise_broken(tx, order_id), "also before the worker has looked"
    assert sum(await asyncio.gather(*(orders.work_deliveries(market.db, TERMS) for _ in range(3)))) == 1
    assert [event["promised_h"] for event in await market.told("order.promise_broken")] == [48]
    async with market.db.read() as tx:
        counts = await shipments.count_shipments(tx, market.owner, market.shop_id)
        late = await shipments.list_shipments(
            tx, market.owner, market.shop_id, shipments.Tab.late, after=None, limit=10
        )
    assert (counts.waiting, counts.late, counts.broken) == (1, 1, 1)
    assert [one.order_id for one in late.items] == [order_id]
    await ship(market, consign(order_id, 1))
    async with market.db.read() as tx:
        assert not await orders.is_promise_broken(tx, order_id)
        counts = await shipments.count_shipments(tx, market.owner, market.shop_id)
    assert (counts.late, counts.broken, counts.shipped) == (0, 1, 1)


async def test_a_products_own_promise_goes_before_the_shops_and_the_longest_counts(market: Market) -> None:
    await promise(market, 24)
    items = [await market.add_item(), await market.add_item()]
    async with market.db.tx() as tx:
        await catalog.set_product_dispatch(tx, market.owner, items[1].product_id, 72)
    buyer = await market.buyer()
    order_id = await market.place(buyer, *items)
    await market.pay(buyer, order_id)
    found = (await standing(market, order_id)).delivery
    assert found is not None and found.promised_h == 72
    with pytest.raises(catalog.DispatchRefused):
        await promise(market, 0)


async def test_a_shop_that_promises_nothing_is_never_late(market: Market) -> None:
    _, order_id = await bought(market, 1)
    market.db.clock.advance(seconds=90 * 86_400)
    assert await work(market) == 0
    found = (await standing(market, order_id)).delivery
    assert found is not None and (found.promised_h, found.ship_by) == (None, None)


# Any split over parcels


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.lists(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 7)), max_size=4), max_size=12),
)
def test_however_an_order_is_split_no_piece_is_sent_twice(
    bought: list[int], splits: list[list[tuple[int, int]]]
) -> None:
    order_id = OrderId(new_id())
    desk = Desk(
        states={order_id: OrderState.paid},
        ready={order_id},
        left={order_id: dict(enumerate(bought, start=1))},
        counts={},
        known={},
        taken=set(),
    )
    left = dict(enumerate(bought, start=1))
    for place, split in enumerate(splits):
        answer = desk.judge(consign(order_id, place, *split))
        wanted = dict(split) if split else {no: few for no, few in left.items() if few}
        fits = len(wanted) == len(split or wanted) and all(0 < few <= left.get(no, 0) for no, few in wanted.items())
        assert isinstance(answer, Refusal) == (not fits or not wanted), answer
        assert not isinstance(answer, Sent)
        if not isinstance(answer, Refusal):
            assert {piece.no: piece.quantity for piece in answer.pieces} == wanted
            left = {no: few - wanted.get(no, 0) for no, few in left.items()}
    assert all(few >= 0 for few in left.values())
