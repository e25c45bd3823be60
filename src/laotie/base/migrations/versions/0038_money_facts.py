"""Money facts on their way into the lake."""

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    """Nothing yet."""
