"""Bring a database to this release's shape: Alembic's numbered revisions, then procrastinate's own tables.

Two processes that start at once do not meet: an advisory lock lets one work and the other find it done.
"""

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from procrastinate.schema import SchemaManager

from laotie.base.refusals import Conflict

if TYPE_CHECKING:
    from alembic.config import Config

LOCK_KEY = 0x1A071E


class DatabaseNewer(Conflict, code="database-newer"):
    """The database was made by a newer release of Laotie; install that one."""

    found: str


def migrate(url: str, *, progress: Callable[[str], None] = lambda _: None) -> list[str]:
    """Run what is missing; returns the revisions that were run. `progress` hears each one's name."""
    with psycopg.connect(url, autocommit=True) as guard:
        guard.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
        guard.execute("CREATE SCHEMA IF NOT EXISTS base")
        known = _revisions()
        at = _revision_of(guard)
        if at is not None and at not in known:
            raise DatabaseNewer(found=at)
        missing = [revision for revision in known if at is None or revision > at]
        if missing:
            _upgrade(url, missing, progress)
        _migrate_jobs(guard)
    return missing


def is_current(url: str) -> bool:
    """Whether the database has this release's shape."""
    with psycopg.connect(url) as connection:
        return _revision_of(connection) == _revisions()[-1]


def _revisions() -> list[str]:
    """The numbers of this release's migrations, from their files, in order."""
    files = resources.files("laotie.base.migrations") / "versions"
    return sorted(file.name[:4] for file in files.iterdir() if file.name[:4].isdigit())


def _revision_of(connection: psycopg.Connection) -> str | None:
    row = connection.execute("SELECT to_regclass('base.migration')").fetchone()
    if row is None or row[0] is None:
        return None
    at = connection.execute("SELECT version_num FROM base.migration").fetchone()
    return None if at is None else str(at[0])


def _upgrade(url: str, missing: list[str], progress: Callable[[str], None]) -> None:
    # Alembic brings SQLAlchemy, a second of every start; most starts have nothing to migrate.
    from alembic import command
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    config = _config()
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
    with engine.connect() as connection:
        for revision in missing:
            progress(revision)
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            connection.commit()


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    with resources.as_file(resources.files("laotie.base.migrations")) as path:
        config.set_main_option("script_location", str(path))
    config.set_main_option("path_separator", "os")
    return config


def _migrate_jobs(connection: psycopg.Connection) -> None:
    """Install procrastinate's schema, or the steps that its newer release brings."""
    steps = sorted(path.name for path in Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    connection.execute("CREATE TABLE IF NOT EXISTS base.job_schema (step text PRIMARY KEY)")
    done = {row[0] for row in connection.execute("SELECT step FROM base.job_schema").fetchall()}
    with connection.transaction():
        if not done:
            connection.execute(SchemaManager.get_schema())
        else:
            for step in steps:
                if step > max(done):
                    connection.execute((Path(SchemaManager.get_migrations_path()) / step).read_bytes())
        connection.cursor().executemany(
            "INSERT INTO base.job_schema (step) VALUES (%s) ON CONFLICT DO NOTHING", [(step,) for step in steps]
        )


__all__ = ["DatabaseNewer", "is_current", "migrate"]
