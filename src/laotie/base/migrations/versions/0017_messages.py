"""Messages: notices, wishes, devices and pushes on their way; fans: reminders, and who wants to hear of a start."""

from laotie.base.migrations import run

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA messages;

        -- What is told, once; a notice is a viewer's share in it. `digest` is of the cause and the content.
        CREATE TABLE messages.message (
            id uuid PRIMARY KEY,
            digest bytea NOT NULL UNIQUE,
            kind text NOT NULL,
            facts jsonb NOT NULL,
            link text NOT NULL,
            at timestamptz NOT NULL
        );

        CREATE TABLE messages.notice (
            viewer_id uuid NOT NULL,
            message_id uuid NOT NULL REFERENCES messages.message (id) ON DELETE CASCADE,
            read_at timestamptz,
            PRIMARY KEY (viewer_id, message_id)
        );
        CREATE INDEX notice_of_message ON messages.notice (message_id);

        CREATE TABLE messages.preference (
            viewer_id uuid PRIMARY KEY,
            off_kinds text[] NOT NULL,
            quiet_from smallint CHECK (quiet_from BETWEEN 0 AND 1439),
            quiet_to smallint CHECK (quiet_to BETWEEN 0 AND 1439),
            time_zone text NOT NULL,
            CHECK ((quiet_from IS NULL) = (quiet_to IS NULL))
        );

        CREATE TABLE messages.device (
            id uuid PRIMARY KEY,
            viewer_id uuid NOT NULL,
            endpoint text NOT NULL UNIQUE,
            p256dh bytea NOT NULL CHECK (length(p256dh) = 65),
            auth bytea NOT NULL CHECK (length(auth) = 16),
            session_id uuid,
            user_agent text NOT NULL,
            failures smallint NOT NULL DEFAULT 0,
            created_at timestamptz NOT NULL,
            pushed_at timestamptz
        );
        CREATE INDEX device_of_viewer ON messages.device (viewer_id, id);
        CREATE INDEX device_of_session ON messages.device (session_id) WHERE session_id IS NOT NULL;

        CREATE TABLE messages.delivery (
            batch_id uuid NOT NULL,
            device_id uuid NOT NULL REFERENCES messages.device (id) ON DELETE CASCADE,
            message_id uuid NOT NULL REFERENCES messages.message (id) ON DELETE CASCADE,
            PRIMARY KEY (batch_id, device_id)
        );
        CREATE INDEX delivery_of_device ON messages.delivery (device_id);
        CREATE INDEX delivery_of_message ON messages.delivery (message_id);

        -- Whether this follower wants to hear that the streamer goes live.
        ALTER TABLE fans.follow ADD COLUMN notify boolean NOT NULL DEFAULT true;

        -- Shows as fans heard of them: what the timer goes by. `soon_told_for` is the plan that was told.
        CREATE TABLE fans.planned_show (
            show_id uuid PRIMARY KEY,
            streamer_id uuid NOT NULL,
            title text NOT NULL,
            planned_at timestamptz,
            state text NOT NULL CHECK (state IN ('scheduled', 'live', 'ended')),
            soon_told_for timestamptz,
            ended_at timestamptz,
            version bigint NOT NULL
        );
        CREATE INDEX planned_show_by_time ON fans.planned_show (planned_at) WHERE state = 'scheduled';

        CREATE INDEX planned_show_over ON fans.planned_show (ended_at) WHERE ended_at IS NOT NULL;

        CREATE TABLE fans.reminder (
            show_id uuid NOT NULL,
            viewer_id uuid NOT NULL,
            asked_at timestamptz NOT NULL,
            PRIMARY KEY (show_id, viewer_id)
        );
        CREATE INDEX reminder_of_viewer ON fans.reminder (viewer_id);

        -- Once, across rooms: what was planned before this release existed was told to nobody who listened.
        INSERT INTO fans.planned_show (show_id, streamer_id, title, planned_at, state, version)
        SELECT id, streamer_id, title, planned_at, state, version FROM live.show WHERE state <> 'ended';
        """
    )
