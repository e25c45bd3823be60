"""Traffic: what a show sold of late, for the discover list."""

from laotie.base.migrations import run

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA traffic;

        -- Paid orders of a show as a decaying count: exact as of `counted_at`, halving every 10 minutes from there.
        CREATE TABLE traffic.momentum (
            show_id uuid PRIMARY KEY,
            orders double precision NOT NULL CHECK (orders >= 0),
            counted_at timestamptz NOT NULL
        ) WITH (fillfactor = 50);
        """
    )
