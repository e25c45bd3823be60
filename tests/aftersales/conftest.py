"""A market with an after-sales desk for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from claims import Desk
from laotie.base.db import Database
from laotie.base.signer import Signer
from market import open_market


@pytest.fixture
async def desk(db: Database, signer: Signer, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_market(db, signer) as market:
        yield Desk(market, tmp_path)
