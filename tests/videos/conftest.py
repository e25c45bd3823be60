"""A streamer with a shop, a directory for files, and jobs that run when the test says so."""

from pathlib import Path

import pytest

from laotie.base.db import Database
from laotie.base.signer import Signer
from studio import Studio, open_studio


@pytest.fixture
async def studio(db: Database, signer: Signer, tmp_path: Path) -> Studio:
    return await open_studio(db, signer, tmp_path)
