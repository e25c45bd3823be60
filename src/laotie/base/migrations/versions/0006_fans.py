"""The room `fans`."""

from laotie.base.migrations import run

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA fans;
        """
    )
