"""What the attribution of orders and follows knows: the rule, fan status, merged guests."""

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    """Nothing yet."""
