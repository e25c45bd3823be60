"""A receiver that hears us, and a shop that has it as its own."""

from collections.abc import AsyncIterator

import pytest

from laotie.base.db import Database
from laotie.base.signer import Signer
from receivers import HookedShop, Receiver, hook_up


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver on loopback."""
    made = Receiver()
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def shop(db: Database, signer: Signer, receiver: Receiver) -> AsyncIterator[HookedShop]:
    """A shop that may call loopback."""
    made = await hook_up(db, signer, receiver)
    yield made
    await made.sender.stop()
