"""Migrations: numbered, forward only, plain SQL, run by Alembic under an advisory lock.

Each release survives the code that is still running: expand, move, contract.
"""

from typing import LiteralString

import psycopg
from alembic import op


def run(script: LiteralString) -> None:
    """Run a script of several statements on Alembic's connection, in its transaction."""
    connection = op.get_bind().connection.dbapi_connection
    assert isinstance(connection, psycopg.Connection)
    connection.execute(script)
