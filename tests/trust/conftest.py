"""A guild for each test."""

from collections.abc import AsyncIterator

import pytest

from fair import Fair
from guild import Guild
from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.orders import Till
from laotie.web.house import House
from market import furnish


@pytest.fixture
async def guild(db: Database, signer: Signer) -> AsyncIterator[Guild]:
    """A live shop with 10,000 yuan in its wallet."""
    till = Till(db, payment_timeout_s=900, batch_max=64, waiting_max=10_000)
    house = House(db=db, settings=Settings(port=1), signer=signer, bus=LocalBus(), till=till)
    fair = Fair.of(await furnish(house))
    await fair.fill(1_000_000, owner_id=fair.market.shop_id)
    yield Guild(fair)
    await fair.desk.close()
    await till.close()
