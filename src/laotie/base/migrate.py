"""Bring a database to this release's shape: Alembic's numbered revisions, then procrastinate's own tables.

Two processes that start at once do not meet: an advisory lock lets one work and the other find it done.
"""

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from procrastinate.schema import SchemaManager
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from laotie.base.refusals import Conflict

LOCK_KEY = 0x1A071E


class DatabaseNewer(Conflict, code="database-newer"):
    """The database was made by a newer release of Laotie; install that one."""

    found: str


def migrate(url: str, *, progress: Callable[[str], None] = lambda _: None) -> list[str]:
    """Run what is missing; returns the revisions that were run. `progress` hears each one's name."""
    config = _config()
    script = ScriptDirectory.from_config(config)
    ran: list[str] = []
    with psycopg.connect(url, autocommit=True) as guard:
        guard.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
        guard.execute("CREATE SCHEMA IF NOT EXISTS base")
        engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection, opts={"version_table": "migration", "version_table_schema": "base"}
            )
            at = context.get_current_revision()
            known = {revision.revision for revision in script.walk_revisions()}
            if at is not None and at not in known:
                raise DatabaseNewer(found=at)
            missing = [
                revision.revision
                for revision in reversed(list(script.walk_revisions()))
                if at is None or revision.revision > at
            ]
            connection.rollback()
            for revision in missing:
                progress(revision)
                config.attributes["connection"] = connection
                command.upgrade(config, revision)
                connection.commit()
                ran.append(revision)
        _migrate_jobs(guard)
    return ran


def is_current(url: str) -> bool:
    """Whether the database has this release's shape."""
    script = ScriptDirectory.from_config(_config())
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT to_regclass('base.migration')").fetchone()
        if row is None or row[0] is None:
            return False
        at = connection.execute("SELECT version_num FROM base.migration").fetchone()
    return at is not None and at[0] == script.get_current_head()


def _config() -> Config:
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
