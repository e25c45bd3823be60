"""The index of this process, kept up with the database: opened, built, followed, asked.

Every process that answers questions has an index of its own, under its data directory; it is a cache and may be deleted.
A turn of `follow` numbers what changed, reads those products anew and commits; the number that was read up to is written
down after that commit, so that a process killed in between does the same work again, which changes nothing. A new index
is built beside the old one and takes its place when it is whole.
"""

import asyncio
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar
from uuid import UUID

import msgspec

from laotie.base.db import Database, Tx
from laotie.base.logs import log
from laotie.search.changes import find_last_no, find_origin, list_changes, number_changes
from laotie.search.index import Index
from laotie.search.model import Ask, Document, Facets, Found, Place
from laotie.search.synonyms import alternatives_of, list_synonyms
from laotie.search.tiers import Alternatives

T = TypeVar("T")

FORM = 1
"""Of what is written: an index of another form is built anew."""
TURN_MAX = 500
BUILD_CHUNK = 1_000
SYNONYMS_EVERY = 10
ASKED_AT_ONCE = 2


class Reader(Protocol):
    """Where the truth is read; the rooms that know it are above."""

    async def read_many(self, tx: Tx, product_ids: list[UUID]) -> list[Document]:
        """Those of the products that are on the shelf."""

    async def read_behind(self, tx: Tx, after: UUID | None, limit: int) -> tuple[list[Document], UUID | None]:
        """The next of all products by id that are on the shelf, and where to go on."""

    async def find_silent(self, tx: Tx) -> frozenset[UUID]:
        """The shops that sell nothing at the moment."""


class _State(msgspec.Struct, frozen=True):
    """What is written beside the index: which one counts, of which database, up to which change."""

    form: int
    origin: UUID
    generation: str
    no: int


class Shelf:
    """`await follow()` now and then; `find`, `count` and `suggest` meanwhile, from the state of the last turn."""

    def __init__(self, db: Database, path: Path, reader: Reader) -> None:
        self._db = db
        self._path = path
        self._reader = reader
        self._state: _State | None = None
        self._index: Index | None = None
        self._synonyms: Alternatives = {}
        self._silent: frozenset[UUID] = frozenset()
        self._turn = 0
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="search-write")
        self._asking = ThreadPoolExecutor(ASKED_AT_ONCE, thread_name_prefix="search-ask")

    @property
    def is_ready(self) -> bool:
        """Whether there is an index to ask."""
        return self._index is not None

    @property
    def size(self) -> int:
        """How many products are in it."""
        return self._index.size if self._index is not None else 0

    async def follow(self) -> int:
        """One turn: open or build the index if need be, then take in a batch of what changed; returns how many."""
        if self._index is None or self._state is None:
            await self._open()
        changed = await self._take_changes()
        if self._turn % SYNONYMS_EVERY == 0:
            async with self._db.read() as tx:
                self._synonyms = alternatives_of(await list_synonyms(tx))
        self._turn += 1
        return changed

    async def catch_up(self) -> None:
        """Follow until nothing is left (tests, benchmarks)."""
        self._turn = 0
        while await self.follow():
            pass

    async def close(self) -> None:
        """End what is being written."""
        if self._index is not None:
            await self._write(self._index.close)
        self._writing.shutdown(wait=True)
        self._asking.shutdown(wait=True)
        self._index = None

    async def find(self, ask: Ask, *, after: Place | None = None, limit: int = 20) -> Found:
        """Hits of the index: candidates, whose truth the caller reads."""
        index = self.index
        ask = msgspec.structs.replace(ask, without_shops=self._silent)
        return await self._ask(partial(index.find, ask, synonyms=self._synonyms, after=after, limit=limit))

    async def count(self, ask: Ask) -> Facets:
        """How many were found, and of what."""
        index = self.index
        ask = msgspec.structs.replace(ask, without_shops=self._silent)
        return await self._ask(partial(index.count, ask, synonyms=self._synonyms))

    async def suggest(self, text: str, *, limit: int = 8) -> list[str]:
        """How what is being typed may go on."""
        index = self.index
        return await self._ask(partial(index.suggest, text, limit=limit))

    @property
    def index(self) -> Index:
        """The index itself, when it is ready."""
        assert self._index is not None, "ask is_ready first"
        return self._index

    async def _open(self) -> None:
        async with self._db.read() as tx:
            origin, last = await find_origin(tx), await find_last_no(tx)
        state = _read_state(self._path)
        if state is None or state.form != FORM or state.origin != origin or state.no > last:
            state = await self._build(origin, last)
        else:
            self._index = await self._write(partial(Index, self._path / state.generation))
        self._state = state
        await self._write(partial(_remove_others, self._path, state.generation))

    async def _build(self, origin: UUID, last: int) -> _State:
        """All that is on the shelf, read while changes behind `last` wait to be followed."""
        generation = f"{last}-{self._db.clock.now():%Y%m%d%H%M%S}"
        place = self._path / generation
        await self._write(partial(shutil.rmtree, place, ignore_errors=True))
        building = await self._write(partial(Index, place, building=True))
        after: UUID | None = None
        total = 0
        while True:
            async with self._db.read() as tx:
                documents, after = await self._reader.read_behind(tx, after, BUILD_CHUNK)
            await self._write(partial(building.add_many, documents))
            total += len(documents)
            if after is None:
                break
        await self._write(building.commit)
        await self._write(building.close)
        state = _State(FORM, origin, generation, last)
        await self._write(partial(_write_state, self._path, state))
        self._index = await self._write(partial(Index, place))
        log.info("the index of the shelf is built", products=total)
        return state

    async def _take_changes(self) -> int:
        assert self._index is not None and self._state is not None
        await number_changes(self._db)
        async with self._db.read() as tx:
            self._silent = await self._reader.find_silent(tx)
            changes = await list_changes(tx, after=self._state.no, limit=TURN_MAX)
            if not changes:
                return 0
            documents = await self._reader.read_many(tx, [change.product_id for change in changes])
        there = {document.id for document in documents}
        gone = [change.product_id for change in changes if change.product_id not in there]
        state = msgspec.structs.replace(self._state, no=changes[-1].no)
        await self._write(partial(_take_in, self._index, documents, gone, self._path, state))
        self._state = state
        return len(changes)

    async def _write(self, act: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writing, act)

    async def _ask(self, act: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._asking, act)


def _take_in(index: Index, documents: list[Document], gone: Iterable[UUID], path: Path, state: _State) -> None:
    index.add_many(documents)
    index.drop_many(gone)
    index.commit()
    _write_state(path, state)


def _read_state(path: Path) -> _State | None:
    try:
        state = msgspec.json.decode((path / "state.json").read_bytes(), type=_State)
    except (OSError, msgspec.MsgspecError):
        return None
    return state if (path / state.generation / "meta.json").exists() else None


def _write_state(path: Path, state: _State) -> None:
    draft = path / "state.json.new"
    draft.write_bytes(msgspec.json.encode(state))
    draft.replace(path / "state.json")


def _remove_others(path: Path, generation: str) -> None:
    """Builds that were broken off, and what they replaced."""
    for place in path.iterdir():
        if place.is_dir() and place.name != generation:
            shutil.rmtree(place, ignore_errors=True)
