"""A market whose orders are settled, for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bursary import Bursary
from laotie.base.db import Database
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from market import open_market
from till_roll import Roll, open_roll


@pytest.fixture
async def roll(db: Database, signer: Signer, tmp_path: Path) -> AsyncIterator[Roll]:
    async with open_market(db, signer) as market:
        yield open_roll(market, tmp_path)


@pytest.fixture
def bursary(db: Database, signer: Signer) -> Bursary:
    """Nobody is owed anything yet."""
    return Bursary(db, Settings(payout_payer_name="Laotie House", payout_payer_iban="DE02120300000000202051"), signer)
