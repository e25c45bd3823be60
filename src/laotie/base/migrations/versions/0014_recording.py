"""Recordings of shows, the clips cut from them, and what was pinned at what price; orders found by their surface."""

from laotie.base.migrations import run

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    run(
        """
        ALTER TABLE live.room ADD COLUMN records boolean NOT NULL DEFAULT true;

        -- The bytes are in the data directory of the process that had the picture; here is what may be done with them.
        CREATE TABLE live.recording (
            show_id uuid PRIMARY KEY REFERENCES live.show (id),
            shop_id uuid NOT NULL,
            state text NOT NULL CHECK (state IN ('recording', 'kept', 'removed')),
            published boolean NOT NULL DEFAULT true,
            began_at timestamptz NOT NULL,
            ended_at timestamptz,
            duration_ms bigint NOT NULL DEFAULT 0 CHECK (duration_ms >= 0),
            size_bytes bigint NOT NULL DEFAULT 0 CHECK (size_bytes >= 0),
            keep_until timestamptz,
            removed_at timestamptz,
            CHECK ((state = 'removed') = (removed_at IS NOT NULL)),
            CHECK (state = 'recording' OR keep_until IS NOT NULL)
        ) WITH (fillfactor = 70);
        CREATE INDEX recording_by_term ON live.recording (keep_until) WHERE state = 'kept';

        CREATE TABLE live.clip (
            id uuid PRIMARY KEY,
            show_id uuid NOT NULL REFERENCES live.recording (show_id),
            shop_id uuid NOT NULL,
            product_id uuid,
            mark_id uuid UNIQUE,
            title text NOT NULL,
            from_at timestamptz NOT NULL,
            to_at timestamptz NOT NULL,
            published boolean NOT NULL DEFAULT true,
            digest bytea NOT NULL DEFAULT '',
            made_by uuid,
            created_at timestamptz NOT NULL,
            -- The row stays, so that the same explanation is not cut again.
            removed_at timestamptz,
            CHECK (to_at > from_at)
        ) WITH (fillfactor = 80);
        CREATE INDEX clip_of_show ON live.clip (show_id, from_at);
        CREATE INDEX clip_of_product ON live.clip (product_id, id) WHERE published AND removed_at IS NULL;

        -- What the room was shown as pinned, with the prices of that instant; written by the pin and by changes under it.
        CREATE TABLE live.pinned_price (
            show_id uuid NOT NULL REFERENCES live.show (id),
            item_id uuid NOT NULL,
            product_id uuid NOT NULL,
            at timestamptz NOT NULL,
            price_amount bigint NOT NULL CHECK (price_amount > 0),
            currency text NOT NULL,
            PRIMARY KEY (show_id, at, item_id)
        );

        -- Few orders come from a replay, a clip or a video; only they cost an entry.
        CREATE INDEX order_of_surface ON orders."order" (placement, id) WHERE placement LIKE '%:%';
        """
    )
