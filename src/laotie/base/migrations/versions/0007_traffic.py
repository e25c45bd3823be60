"""The room `traffic`."""

from laotie.base.migrations import run

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA traffic;
        """
    )
