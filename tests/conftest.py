"""Shared fixtures: a real PostgreSQL, one fresh migrated database a test."""

import asyncio
import gc
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import structlog
import uvloop

from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.logs import log
from laotie.base.migrate import migrate
from laotie.base.postgres import EmbeddedPostgres
from laotie.base.signer import Signer

MEMORY_BYTES_MIN = 3 * 1024**3
LONGEST = {"test_whole_lives.py", "test_engines.py", "test_openapi.py", "test_authorisation.py"}
VERSION = int(os.environ.get("TEST_POSTGRES", "18"))


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the product runs on."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes a minute begins first, so that nobody waits for it at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_collection_finish() -> None:
    """Thousands of tests are a heap that stays: no collection need walk it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 50, 100)  # as the server has it


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """A test that sets the logs up as a program does leaves no trace for the next one, which may listen to them."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
    log.__dict__.pop("bind", None)  # where structlog keeps the logger of its first use


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A server of this test session's own, with a migrated template database."""
    data = Path(tempfile.mkdtemp(prefix="laotie-test-", dir=_memory()))
    server = EmbeddedPostgres(data, version=VERSION, shared_buffers_mb=128)
    url = server.start()
    with psycopg.connect(url, autocommit=True) as connection:
        # Durability is proven in tests/races on a server that keeps it; everything else may run without waiting.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("ALTER SYSTEM SET max_wal_size = '512MB'")
        connection.execute("SELECT pg_reload_conf()")
    migrate(url)
    try:
        yield url
    finally:
        server.stop()
        shutil.rmtree(data, ignore_errors=True)


def _memory() -> str | None:
    """Memory that looks like a directory, where there is enough: a database a test is files by the hundred."""
    shared = Path("/dev/shm")  # noqa: S108 (what is made in it is made by mkdtemp)
    return str(shared) if shared.is_dir() and shutil.disk_usage(shared).free > MEMORY_BYTES_MIN else None


_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def admin(postgres_url: str) -> Iterator[psycopg.Connection]:
    """The connection that makes databases and drops them."""
    with psycopg.connect(postgres_url.replace("/laotie?", "/postgres?"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def database_url(postgres_url: str, admin: psycopg.Connection) -> Iterator[str]:
    """The URL of a fresh database with this release's tables."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    admin.execute(f'CREATE DATABASE "{name}" TEMPLATE laotie STRATEGY file_copy')
    yield postgres_url.replace("/laotie?", f"/{name}?")
    admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def clock() -> Clock:
    """A clock that the test may move."""
    return Clock()


@pytest.fixture
def signer(clock: Clock) -> Signer:
    """A signer with a key of its own."""
    return Signer(["a key for tests only, 32 characters or more"], clock)


@pytest.fixture
async def db(database_url: str, clock: Clock) -> AsyncIterator[Database]:
    """A pool on the fresh database."""
    database = await Database.open(database_url, clock=clock, pool_max=8)
    yield database
    await database.close()
