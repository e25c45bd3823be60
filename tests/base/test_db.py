"""The five verbs, on a real server."""

from uuid import UUID

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.one_of(st.none(), st.uuids()), max_size=9),
    st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), max_size=9),
    st.lists(
        st.one_of(st.none(), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))), max_size=9
    ),
    st.lists(st.one_of(st.none(), st.binary(max_size=20)), max_size=9),
)
async def test_columns_arrive_as_they_were_sent(
    db: Database,
    uuids: list[UUID | None],
    numbers: list[int | None],
    texts: list[str | None],
    blobs: list[bytes | None],
) -> None:
    async with db.tx() as tx:
        for kind, column in (("uuid", uuids), ("bigint", numbers), ("text", texts), ("bytea", blobs)):
            for sent in (column, column[:1] * 3):
                rows = await tx.tuples(f"SELECT * FROM unnest(%(column)s::{kind}[])", column=sent)  # type: ignore[arg-type]
                assert [row[0] for row in rows] == sent


async def test_a_number_beyond_64_bits_is_refused_by_name(db: Database) -> None:
    with pytest.raises(psycopg.DataError):
        async with db.tx() as tx:
            await tx.all(int, "SELECT * FROM unnest(%(column)s::bigint[])", column=[2**63])


async def test_a_pipeline_that_broke_off_leaves_no_half_prepared_statement(db: Database) -> None:
    small = await Database.open(db.url, pool_max=1)
    try:
        for _ in range(8):  # psycopg prepares a statement after its third use, here behind one that fails
            with pytest.raises(psycopg.errors.DivisionByZero):
                async with small.tx() as tx, tx.pipelined():
                    await tx.run("SELECT 1 / %(no)s", no=0)
                    await tx.run("SELECT %(a)s::int + 1", a=1)
            async with small.tx() as tx:
                assert await tx.one(int, "SELECT %(a)s::int + 1", a=1) == 2
    finally:
        await small.close()
