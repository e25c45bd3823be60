"""Identity: accounts, sessions, seats."""

from laotie.base.migrations import run

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA identity;
        """
    )
