"""Who holds the lake's watermark, why a fact is parked, and whose shows orders of earlier releases were bought in."""

from laotie.base.migrations import run

revision = "0041"
down_revision = "0040"

STREAMERS = """
    -- Releases before attribution did not write down whose show an order was bought in; the show knows.
    UPDATE orders."order" AS o SET streamer_id = s.streamer_id
    FROM live.show AS s WHERE s.id = o.show_id AND o.streamer_id IS NULL
"""


def upgrade() -> None:
    run(
        """
        -- Where each process writes, and when it was last heard of: also while the lake takes nothing from it.
        ALTER TABLE lake.process
            ADD COLUMN host text NOT NULL DEFAULT '',
            ADD COLUMN place text NOT NULL DEFAULT '',
            ADD COLUMN told_at timestamptz NOT NULL DEFAULT now();

        ALTER TABLE base.outbox ADD COLUMN error text;
        """
    )
    run(STREAMERS)
