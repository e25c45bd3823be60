"""Random lives of waves against a plain model: after every step each piece is where the model says, and nowhere else.

Pieces are set aside, sold, called off and put back; waves open, run out of time, follow one another; items leave shelf
and cart; acts break off in the middle and are done again. The model knows nothing of rows, locks or movements.
"""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from laotie import audit, catalog, live
from laotie.base.db import Tx
from laotie.base.ids import OrderId
from laotie.base.signer import Signer
from laotie.live import WaveState
from laotie.orders.model import BetweenWaves, LimitReached, OffShelf, SaleOver, SoldOut
from lives import OwnMarket, live_through
from market import Market

T = TypeVar("T")

STEPS = 30
STOCK = 12


class Broken(Exception):
    """The process dies here, as far as the database can tell."""


@dataclass
class Wave:
    """A wave as the model sees it."""

    id: UUID
    limit: int | None
    lasts_s: int | None
    left: int
    state: WaveState = WaveState.ready
    ends: float | None = None


@dataclass
class Bought:
    """An unpaid order."""

    buyer: int
    quantity: int
    wave: Wave | None


@dataclass
class Model:
    """Where everything is."""

    now: float = 0.0
    shelf: int = STOCK
    on_shelf: bool = True
    waves: list[Wave] = field(default_factory=list)
    orders: dict[OrderId, Bought] = field(default_factory=dict)

    def current(self) -> Wave | None:
        going = [wave for wave in self.waves if wave.state is not WaveState.ended]
        return next((wave for wave in going if wave.state is WaveState.open), going[0] if going else None)

    def open(self, wave: Wave) -> None:
        before = self.current()
        if before is not None and before is not wave and before.state is WaveState.open:
            self.end(before)
        wave.state, wave.ends = WaveState.open, None if wave.lasts_s is None else self.now + wave.lasts_s

    def end(self, wave: Wave) -> None:
        if wave.state is not WaveState.ended:
            self.shelf, wave.left, wave.state = self.shelf + wave.left, 0, WaveState.ended

    def end_all(self) -> None:
        for wave in self.waves:
            self.end(wave)


class Lives(RuleBasedStateMachine):
    """See the module. `house` is set by the test: one market for all lives, a new item and new buyers for each."""

    house: "House"

    @initialize()
    def begin(self) -> None:
        self.model = Model()
        self.item = self.run(self.market.add_item(stock=STOCK))
        self.buyers = [self.run(self.market.buyer()) for _ in range(2)]

    @property
    def market(self) -> Market:
        return self.house.market

    def run(self, act: Coroutine[Any, Any, T]) -> T:
        return self.house.runner.run(act)

    def do(self, act: Callable[[Tx], Awaitable[object]], *, breaks: bool = False) -> None:
        """An act of the streamer; one that breaks off leaves no trace, and is done again."""
        if breaks:
            with pytest.raises(Broken):
                self.run(self.house.do(act, breaks=True))
            self.nothing_is_lost_or_sold_twice()
        self.run(self.house.do(act))

    @rule(pieces=st.integers(1, 8), opens=st.booleans(), limit=st.sampled_from([1, 3, None]), lasts=st.sampled_from([60, None]))
    def plan(self, pieces: int, opens: bool, limit: int | None, lasts: int | None) -> None:
        draft = live.WaveDraft(
            id=uuid4(),
            skus=[live.WaveSku(sku_id=self.item.skus[0].sku_id, pieces=pieces)],
            limit_per_person=limit,
            lasts_s=lasts,
            opens=opens,
        )
        act = lambda tx: live.plan_wave(tx, self.market.owner, self.item.id, draft)  # noqa: E731
        if not self.model.on_shelf or pieces > self.model.shelf:
            with pytest.raises((catalog.AsideShort, live.NotOnShelf)):
                self.do(act)
            return
        self.do(act)
        self.do(act)  # said again it is the same wave
        wave = Wave(draft.id, limit, lasts, pieces)
        self.model.shelf -= pieces
        self.model.waves.append(wave)
        if opens:
            self.model.open(wave)

    @precondition(lambda self: self.model.waves)
    @rule(data=st.data(), breaks=st.booleans())
    def open_one(self, data: st.DataObject, breaks: bool) -> None:
        wave = data.draw(st.sampled_from(self.model.waves))
        act = lambda tx: live.open_wave(tx, self.market.owner, wave.id)  # noqa: E731
        if wave.state is WaveState.ended:
            with pytest.raises(live.WaveOver):
                self.do(act)
            return
        self.do(act, breaks=breaks)
        if wave.state is WaveState.ready:
            self.model.open(wave)

    @precondition(lambda self: self.model.waves)
    @rule(data=st.data(), breaks=st.booleans())
    def close_one(self, data: st.DataObject, breaks: bool) -> None:
        wave = data.draw(st.sampled_from(self.model.waves))
        self.do(lambda tx: live.close_wave(tx, self.market.owner, wave.id), breaks=breaks)
        self.model.end(wave)
        self.house.seen.add("closed")

    @precondition(lambda self: self.model.waves)
    @rule(data=st.data(), pieces=st.integers(1, 4))
    def add(self, data: st.DataObject, pieces: int) -> None:
        wave, addition, sku_id = data.draw(st.sampled_from(self.model.waves)), uuid4(), self.item.skus[0].sku_id
        act = lambda tx: live.add_pieces(tx, self.market.owner, wave.id, addition, sku_id=sku_id, pieces=pieces)  # noqa: E731
        if wave.state is WaveState.ended or pieces > self.model.shelf:
            with pytest.raises((live.WaveOver, catalog.AsideShort)):
                self.do(act)
            return
        self.do(act)
        self.do(act)
        wave.left += pieces
        self.model.shelf -= pieces

    @rule(buyer=st.integers(0, 1), quantity=st.integers(1, 4))
    def buy(self, buyer: int, quantity: int) -> None:
        wave = self.model.current()
        mine = sum(one.quantity for one in self.model.orders.values() if one.buyer == buyer and one.wave is wave)
        expected: type[Exception] | None = None
        if not self.model.on_shelf:
            expected = OffShelf
        elif wave is not None and wave.state is WaveState.ready:
            expected = BetweenWaves
        elif wave is not None and wave.ends is not None and wave.ends <= self.model.now:
            expected = SaleOver
        elif wave is not None and wave.limit is not None and mine + quantity > wave.limit:
            expected = LimitReached
        elif quantity > (self.model.shelf if wave is None else wave.left):
            expected = SoldOut
        if expected is not None:
            with pytest.raises(expected):
                self.run(self.market.place(self.buyers[buyer], self.item, quantity=quantity))
            self.house.seen.add(expected.__name__)
            return
        order_id = self.run(self.market.place(self.buyers[buyer], self.item, quantity=quantity))
        self.model.orders[order_id] = Bought(buyer, quantity, wave)
        if wave is None:
            self.model.shelf -= quantity
        else:
            wave.left -= quantity
            self.house.seen.add("bought in a wave")

    @precondition(lambda self: self.model.orders)
    @rule(data=st.data())
    def call_off(self, data: st.DataObject) -> None:
        order_id = data.draw(st.sampled_from(sorted(self.model.orders)))
        one = self.model.orders.pop(order_id)
        self.run(self.market.cancel(self.buyers[one.buyer], order_id))
        self._give_back(one)

    def _give_back(self, one: Bought) -> None:
        if one.wave is not None and one.wave.state is not WaveState.ended:
            one.wave.left += one.quantity
            self.house.seen.add("returned to the wave")
        else:
            self.model.shelf += one.quantity

    @precondition(lambda self: any(wave.state is WaveState.open and wave.ends for wave in self.model.waves))
    @rule(seconds=st.sampled_from([61, 10]), swept=st.booleans())
    def jump(self, seconds: int, swept: bool) -> None:
        self.market.db.clock.advance(seconds=seconds)
        self.model.now += seconds
        if swept:
            self.sweep()

    def sweep(self) -> None:
        self.run(live.end_due_waves(self.market.db))
        for wave in self.model.waves:
            if wave.state is WaveState.open and wave.ends is not None and wave.ends <= self.model.now:
                self.model.end(wave)
                self.house.seen.add("time over")

    @rule()
    def nobody_pays(self) -> None:
        """Every order's time to pay is over, and the waves' time is long over too, unswept."""
        if not self.model.orders:
            return
        self.market.db.clock.advance(seconds=901)
        self.model.now += 901
        self.run(self.market.settle())
        for one in self.model.orders.values():
            self._give_back(one)
        self.model.orders.clear()

    @rule(on_shelf=st.sampled_from([True, True, True, False]), breaks=st.booleans())
    def shelve(self, on_shelf: bool, breaks: bool) -> None:
        change = live.CartItemChange(on_shelf=on_shelf)
        self.do(lambda tx: live.change_item(tx, self.market.owner, self.item.id, change), breaks=breaks)
        if self.model.on_shelf and not on_shelf:
            self.model.end_all()
        self.model.on_shelf = on_shelf

    @rule(breaks=st.booleans(), fate=st.integers(0, 3))
    def replace(self, breaks: bool, fate: int) -> None:
        """Out of the cart, and in again as another item; not too often, or little else would happen."""
        if fate:
            return
        self.do(lambda tx: live.remove_item(tx, self.market.owner, self.item.id), breaks=breaks)
        self.model.end_all()
        self.model.waves.clear()
        self.model.on_shelf = True
        draft = live.CartItemDraft(id=uuid4(), product_id=self.item.product_id)  # type: ignore[arg-type]
        self.do(lambda tx: live.add_item(tx, self.market.owner, self.market.show_id, draft))
        self.item = self.run(self.house.view(draft.id))

    @invariant()
    def nothing_is_lost_or_sold_twice(self) -> None:
        if not hasattr(self, "item"):
            return
        sku, asides = self.run(self.house.read(self.item, [wave.id for wave in self.model.waves]))
        reserved = sum(one.quantity for one in self.model.orders.values())
        set_aside = sum(wave.left for wave in self.model.waves)
        assert (sku.available, sku.aside, sku.reserved) == (self.model.shelf, set_aside, reserved)
        assert sku.available + sku.aside + sku.reserved == STOCK
        assert {wave.id: wave.left for wave in self.model.waves} == asides

    def teardown(self) -> None:
        assert self.run(audit.take_tallies(self.market.db)).findings == []


class House(OwnMarket):
    """A market, and what these lives do to it."""

    async def do(self, act: Callable[[Tx], Awaitable[object]], *, breaks: bool = False) -> None:
        async with self.db.tx() as tx:
            await act(tx)
            if breaks:
                raise Broken

    async def view(self, item_id: Any) -> live.CartItem:
        async with self.db.read() as tx:
            found = await live.cart_item_view(tx, item_id)
        assert found is not None
        return found

    async def read(self, item: live.CartItem, wave_ids: list[UUID]) -> tuple[catalog.Sku, dict[UUID, int]]:
        async with self.db.read() as tx:
            sku = (await catalog.find_skus(tx, [item.skus[0].sku_id]))[item.skus[0].sku_id]
            asides = await catalog.find_asides(tx, wave_ids)
            left = {wave_id: sum(one.remaining for one in of.values()) for wave_id, of in asides.items()}
            return sku, left


@pytest.fixture
def house(database_url: str, signer: Signer) -> Any:
    opened = House(database_url, signer)
    yield opened
    opened.close()


def test_pieces_are_where_the_model_says_and_sold_once(house: House) -> None:
    Lives.house = house
    live_through(Lives, steps=STEPS)
    expected = {"bought in a wave", "returned to the wave", "time over", "closed", "SoldOut", "BetweenWaves", "LimitReached"}
    assert expected <= house.seen
