"""`developer`: somebody with a key to the whole API of a market (see `tests/developers.py`)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from developers import Developer, open_desk
from laotie.base.db import Database
from laotie.base.signer import Signer


@pytest.fixture
async def developer(db: Database, signer: Signer, tmp_path: Path) -> AsyncIterator[Developer]:
    """The market's owner at the keyboard."""
    async with open_desk(db, signer, tmp_path) as made:
        yield made
