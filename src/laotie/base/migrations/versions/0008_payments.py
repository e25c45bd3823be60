"""The room `payments`."""

from laotie.base.migrations import run

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA payments;
        """
    )
