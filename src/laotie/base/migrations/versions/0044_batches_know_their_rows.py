"""A batch of the lake's drain knows its rows, not only the last of their numbers, which are not committed in their order."""

from laotie.base.migrations import run

revision = "0044"
down_revision = "0043"


def upgrade() -> None:
    run(
        """
        -- The rows that the batch consists of. A release before this one names none: its batch is let go of, and its rows,
        -- which wait still, come in the next (twice in the files at most; a row is one by its id).
        ALTER TABLE lake.drain ADD COLUMN seqs bigint[] NOT NULL DEFAULT '{}';
        """
    )
