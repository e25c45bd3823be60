"""A market whose orders are settled, for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from laotie.base.db import Database
from laotie.base.signer import Signer
from market import open_market
from till_roll import Roll, open_roll


@pytest.fixture
async def roll(db: Database, signer: Signer, tmp_path: Path) -> AsyncIterator[Roll]:
    async with open_market(db, signer) as market:
        yield open_roll(market, tmp_path)
