"""The open API: keys bound to shops and followed by others, sandbox shops."""

from laotie.base.migrations import run

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    run(
        """
        -- A developer's own shop to try things in: shown to its people alone, paid by the sandbox alone.
        ALTER TABLE catalog.shop ADD COLUMN is_sandbox boolean NOT NULL DEFAULT false;
        CREATE INDEX shop_of_sandbox ON catalog.shop (owner_id) WHERE is_sandbox;

        -- shop_ids: the shops a key reaches, null: wherever its holder has a seat. hint: how its secret ends.
        ALTER TABLE identity.token
            ADD COLUMN shop_ids uuid[] CHECK (cardinality(shop_ids) BETWEEN 1 AND 20),
            ADD COLUMN hint text NOT NULL DEFAULT '',
            ADD COLUMN replaced_by uuid,
            ADD COLUMN told_at timestamptz;
        CREATE INDEX token_by_expiry ON identity.token (expires_at) WHERE told_at IS NULL;
        """
    )
