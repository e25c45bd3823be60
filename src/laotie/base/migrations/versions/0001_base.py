"""The ground floor: the outbox."""

from laotie.base.migrations import run

revision = "0001"
down_revision = None


def upgrade() -> None:
    run(
        """
        CREATE TABLE base.outbox (
            id uuid PRIMARY KEY,
            tag text NOT NULL,
            body bytea NOT NULL,
            told_at timestamptz NOT NULL,
            request_id text,
            due_at timestamptz NOT NULL DEFAULT '-infinity',
            attempts integer NOT NULL DEFAULT 0,
            parked boolean NOT NULL DEFAULT false
        ) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);
        """
    )
