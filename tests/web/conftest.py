"""A client on the real application in this process: real database, every middleware, no sockets.

`client` is a browser that was never here; `people` makes people of every role (see `tests/people.py`).
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

import examples
from doors import open_door
from laotie.base import logs
from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.outbox import Relay
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.identity import passwords
from laotie.orders import Till
from laotie.web.house import House
from laotie.web.middleware import Door
from people import Browser, People


def pytest_sessionfinish() -> None:
    """Keep what was seen, if it was asked for."""
    if examples.RECORDING:
        examples.write()


@pytest.fixture(autouse=True, scope="session")
def quiet() -> None:
    """A line a request would bury what a failing test says."""
    logs.set_up(level="warning", form="json")


@pytest.fixture(autouse=True, scope="module")
def quick_passwords() -> Iterator[None]:
    """Hundreds of people register here; what a hash costs is tested in `tests/identity`."""
    dear, passwords._hasher = passwords._hasher, PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    yield
    passwords._hasher = dear


@pytest.fixture
def bus() -> LocalBus:
    """The bus of this test's process."""
    return LocalBus()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings as they come, but registrations are not what most tests are about, nor how slow a machine is."""
    return Settings(registrations_per_hour=10_000, figure_s_max=300, data_dir=str(tmp_path))


@pytest.fixture
async def house(db: Database, signer: Signer, bus: LocalBus, settings: Settings) -> AsyncIterator[House]:
    """Everything one process is started with, the till included."""
    till = Till(
        db,
        payment_timeout_s=settings.payment_timeout_s,
        batch_max=settings.till_batch_max,
        waiting_max=settings.till_waiting_max,
    )
    yield House(db=db, settings=settings, signer=signer, bus=bus, till=till)
    await till.close()


@pytest.fixture
def app(house: House) -> Iterator[Door]:
    """The application."""
    with open_door(house) as opened:
        yield opened


@pytest.fixture
def relay(db: Database, bus: LocalBus) -> Relay:
    """Carries facts when the test says so: `await relay.drain()`. Without reactions; add your room's where needed."""
    return Relay(db, bus, [])


@pytest.fixture
async def people(app: Door, db: Database) -> AsyncIterator[People]:
    """Makes people."""
    made = People(app, db)
    yield made
    await made.leave()


@pytest.fixture
async def client(people: People) -> Browser:
    """A browser that was never here."""
    return people.stranger()
