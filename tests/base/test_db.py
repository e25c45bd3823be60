"""The five verbs, on a real server."""

from uuid import UUID

import msgspec
import pytest

from laotie.base.db import Database
from laotie.base.refusals import Unavailable


class Pair(msgspec.Struct, frozen=True):
    name: str
    id: UUID


async def test_rows_become_records_and_scalars(db: Database) -> None:
    async with db.tx() as tx:
        pair = await tx.one(Pair, "SELECT 'a' AS name, %(id)s::uuid AS id", id=UUID(int=7))
        assert pair == Pair("a", UUID(int=7))
        assert await tx.all(int, "SELECT generate_series(1, 3)") == [1, 2, 3]
        assert await tx.maybe(str, "SELECT 'x' WHERE false") is None


async def test_an_exception_rolls_back(db: Database) -> None:
    with pytest.raises(RuntimeError):
        async with db.tx() as tx:
            await tx.run("CREATE TABLE base.scratch (n int)")
            raise RuntimeError
    async with db.tx() as tx:
        assert await tx.one(bool, "SELECT to_regclass('base.scratch') IS NULL")


async def test_a_killed_connection_is_a_refusal_and_the_pool_mends(db: Database) -> None:
    with pytest.raises(Unavailable):
        async with db.tx() as tx:
            await tx.run("SELECT pg_terminate_backend(pg_backend_pid())")
    async with db.tx() as tx:
        assert await tx.one(int, "SELECT 1") == 1
