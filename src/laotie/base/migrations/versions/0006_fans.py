"""Fans: who follows whom, how it came about, and how close they are."""

from laotie.base.migrations import run

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA fans;

        CREATE TABLE fans.follow (
            viewer_id uuid NOT NULL,
            streamer_id uuid NOT NULL,
            since timestamptz NOT NULL,
            source text NOT NULL,
            placement text NOT NULL,
            visit_id uuid,
            PRIMARY KEY (viewer_id, streamer_id),
            CHECK (viewer_id <> streamer_id)
        );
        CREATE INDEX follow_of_streamer ON fans.follow (streamer_id, viewer_id);

        -- Only ever grows; after an erasure the ids in it name nobody.
        CREATE TABLE fans.follow_change (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            viewer_id uuid NOT NULL,
            streamer_id uuid NOT NULL,
            kind text NOT NULL CHECK (kind IN ('followed', 'unfollowed', 'merged_in', 'merged_out', 'erased')),
            source text NOT NULL,
            placement text NOT NULL,
            visit_id uuid,
            changed_at timestamptz NOT NULL
        );
        CREATE INDEX follow_change_of_viewer ON fans.follow_change (viewer_id, id);

        -- Followers in slots by viewer, so that a storm of follows does not queue for one row, and what a viewer
        -- adds and takes away lands on the same guarded row. The count is the sum of a streamer's slots.
        CREATE TABLE fans.follower_count (
            streamer_id uuid NOT NULL,
            slot smallint NOT NULL CHECK (slot BETWEEN 0 AND 15),
            count bigint NOT NULL CHECK (count >= 0),
            PRIMARY KEY (streamer_id, slot)
        ) WITH (fillfactor = 50);

        -- How close a viewer is to a streamer: a score as of an instant, halving every 30 days from there.
        CREATE TABLE fans.relationship (
            viewer_id uuid NOT NULL,
            streamer_id uuid NOT NULL,
            score double precision NOT NULL CHECK (score >= 0),
            scored_at timestamptz NOT NULL,
            PRIMARY KEY (viewer_id, streamer_id)
        ) WITH (fillfactor = 80);
        """
    )
