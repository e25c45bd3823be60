"""A market for each test."""

from collections.abc import AsyncIterator

import pytest

from laotie.base.db import Database
from laotie.base.signer import Signer
from market import Market, open_market


@pytest.fixture
async def market(db: Database, signer: Signer) -> AsyncIterator[Market]:
    async with open_market(db, signer) as opened:
        yield opened
