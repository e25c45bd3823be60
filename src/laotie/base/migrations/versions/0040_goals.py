"""What was spent to win viewers, and goals."""

revision = "0040"
down_revision = "0039"


def upgrade() -> None:
    """Nothing yet."""
