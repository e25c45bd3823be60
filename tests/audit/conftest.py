"""A market in which everything has happened, long enough ago for its books to be sealed, and something is happening still."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lakes import open_lake
from laotie.audit import anchors
from laotie.base.db import Database
from laotie.base.signer import Signer
from laotie.lake import Lake
from laotie.lake.facts import Drain
from laotie.payments.sandbox import Outcome
from market import Market, open_market


@pytest.fixture
async def market(db: Database, signer: Signer) -> AsyncIterator[Market]:
    """Orders placed, paid, cancelled, overdue, declined, paid late, paid twice."""
    async with open_market(db, signer) as opened:
        item, other = await opened.add_item(stock=100, price=990), await opened.add_item("童装", stock=50, price=5900)
        buyer = await opened.buyer()
        late = await opened.place(buyer, item)
        late_payment = await opened.start_payment(buyer, late)
        opened.db.clock.advance(seconds=opened.settings.payment_timeout_s + 1)
        await opened.settle()
        await opened.decide(buyer, late_payment)
        await opened.cancel(buyer, await opened.place(buyer, other))
        paid = await opened.place(buyer, item, other, quantity=2)
        first, second = await opened.start_payment(buyer, paid), await opened.start_payment(buyer, paid)
        await opened.decide(buyer, first)
        await opened.decide(buyer, second)
        await opened.settle()
        opened.db.clock.advance(seconds=2 * 3_600)
        await opened.settle()
        async with db.tx() as tx:
            assert await anchors.drop_anchor(tx)
        await opened.place(buyer, item, other)
        declined = await opened.place(buyer, item)
        await opened.decide(buyer, await opened.start_payment(buyer, declined), Outcome.decline)
        await opened.settle()
        yield opened


@pytest.fixture
async def lake(market: Market, tmp_path: Path) -> Lake:
    """All that the market has told so far."""
    place = open_lake(tmp_path / "lake")
    await Drain(market.db, place).empty()
    return place
