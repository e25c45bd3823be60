"""A push service on loopback, and what jobs are given."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from laotie.base import jobs
from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from pushes import PushService


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    """A push service that hears us."""
    made = PushService()
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def context(db: Database, signer: Signer, tmp_path: Path) -> jobs.Context:
    """What jobs are given; pushes may go to loopback."""
    settings = Settings(data_dir=str(tmp_path), push_private=True)
    return jobs.Context(db, settings, signer, LocalBus())
