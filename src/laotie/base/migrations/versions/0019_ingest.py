"""Who was refused at a room's doors, for its streamer to see."""

from laotie.base.migrations import run

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    run(
        """
        -- One row for each kind of refusal, counted up: whoever hammers at a door does not fill a table.
        CREATE TABLE live.ingest_refusal (
            id uuid PRIMARY KEY,
            room_id uuid NOT NULL REFERENCES live.room (id),
            door text NOT NULL CHECK (door IN ('rtmp', 'browser', 'external')),
            code text NOT NULL,
            title text NOT NULL,
            key text NOT NULL CHECK (length(key) <= 16),
            address text NOT NULL,
            count bigint NOT NULL CHECK (count > 0),
            at timestamptz NOT NULL,
            UNIQUE (room_id, door, code, key, address)
        );
        """
    )
