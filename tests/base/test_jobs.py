"""Jobs survive the process that had begun them."""

import psycopg

from laotie.base import jobs
from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.settings import Settings
from laotie.base.signer import Signer


async def test_the_jobs_of_a_dead_process_are_done_by_another(db: Database, database_url: str, signer: Signer) -> None:
    ran: list[str] = []

    async def note(_context: jobs.Context, word: str) -> None:
        ran.append(word)

    jobs._tasks["tests.note"] = note
    try:
        async with db.tx() as tx:
            await jobs.defer(tx, "tests.note", {"word": "begun"})
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
            await connection.execute("UPDATE procrastinate_jobs SET status = 'doing'")
        app = jobs.build_app(database_url, jobs.Context(db, Settings(), signer, LocalBus()))
        async with app.open_async():
            await app.run_worker_async(wait=False, install_signal_handlers=False)
            assert ran == []
            assert await jobs.rescue(app) == 1
            assert await jobs.rescue(app) == 0
            await app.run_worker_async(wait=False, install_signal_handlers=False)
    finally:
        del jobs._tasks["tests.note"]
    assert ran == ["begun"]
