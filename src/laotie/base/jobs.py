"""Jobs: work that must happen outside a transaction, a little or much later, and survive a crash. By procrastinate.

`defer` is written in the caller's transaction, so a job exists exactly when the change that asked for it does. A task
runs at least once: it must be safe to repeat.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from procrastinate import App, PsycopgConnector, RetryStrategy

from laotie.base.bus import Bus
from laotie.base.db import Database, Tx
from laotie.base.settings import Settings
from laotie.base.signer import Signer

Run = Callable[..., Awaitable[None]]

ATTEMPTS_MAX = 12

_tasks: dict[str, Run] = {}


@dataclass(frozen=True)
class Context:
    """What a task may use: the process's database (with its clock), settings, signer and bus."""

    db: Database
    settings: Settings
    signer: Signer
    bus: Bus


def task(name: str) -> Callable[[Run], Run]:
    """Register `async def run(context, **arguments)` under a name that never changes.

    `context` is the process's `Context`.
    """

    def register(run: Run) -> Run:
        assert name not in _tasks, f"two tasks are called {name}"
        _tasks[name] = run
        return run

    return register


async def defer(
    tx: Tx, name: str, arguments: dict[str, Any], *, at: datetime | None = None, lock: str | None = None
) -> None:
    """Ask for a task with the commit of this transaction; `lock` keeps jobs of one subject in line."""
    assert name in _tasks, f"no task is called {name}"
    await tx.run(
        """
        SELECT procrastinate_defer_jobs_v1(ARRAY[
          ROW('default', %(name)s, 0, %(lock)s, NULL, %(arguments)s::jsonb, %(at)s)::procrastinate_job_to_defer_v1
        ])
        """,
        name=name,
        lock=lock,
        arguments=msgspec.json.encode(arguments).decode(),
        at=at,
    )


def build_app(url: str, context: Context) -> App:
    """A procrastinate application with every registered task bound to this process's context."""
    app = App(connector=PsycopgConnector(conninfo=url, min_size=1, max_size=3))
    for name, run in _tasks.items():
        register = app.task(name=name, retry=RetryStrategy(max_attempts=ATTEMPTS_MAX, exponential_wait=2))
        register(_bound(run, context))
    return app


async def rescue(app: App) -> int:
    """Give the jobs of processes that died (no sign of life for 30 s) to those alive; returns how many."""
    stalled = list(await app.job_manager.get_stalled_jobs())
    for job in stalled:
        await app.job_manager.retry_job(job)
    return len(stalled)


class Failed(msgspec.Struct, frozen=True):
    """A job that was tried as often as it may be, or has waited for its turn for too long."""

    id: int
    name: str
    state: str


async def list_failed(tx: Tx, *, late_s: float, limit: int = 100) -> list[Failed]:
    """Jobs that have failed for good, and those that are late by more than so many seconds (of the database's clock)."""
    return await tx.all(
        Failed,
        """
        SELECT id, task_name AS name, status::text AS state FROM procrastinate_jobs
        WHERE status = 'failed' OR (status = 'todo' AND coalesce(scheduled_at, (
            SELECT max(at) FROM procrastinate_events AS e WHERE e.job_id = procrastinate_jobs.id
        )) < now() - make_interval(secs => %(late_s)s))
        ORDER BY id LIMIT %(limit)s
        """,
        late_s=late_s,
        limit=limit,
    )


async def count_waiting(tx: Tx) -> int:
    """Jobs that are not done."""
    return await tx.one(
        int, "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing', 'failed')"
    )


def _bound(run: Run, context: Context) -> Run:
    async def start(**arguments: Any) -> None:
        await run(context, **arguments)

    return start
