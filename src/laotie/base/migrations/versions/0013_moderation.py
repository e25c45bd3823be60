"""Order in the room: moderators, rules, sanctions, what was said, what waits for review, and who decided what."""

from laotie.base.migrations import run

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    run(
        """
        CREATE TABLE live.moderator (
            room_id uuid NOT NULL REFERENCES live.room (id),
            account_id uuid NOT NULL,
            rights text[] NOT NULL
                CHECK (rights <@ ARRAY['delete', 'mute', 'kick', 'ban', 'rules'] AND cardinality(rights) > 0),
            added_by uuid NOT NULL,
            added_at timestamptz NOT NULL,
            PRIMARY KEY (room_id, account_id)
        );

        CREATE TABLE live.rules (
            room_id uuid PRIMARY KEY REFERENCES live.room (id),
            rules jsonb NOT NULL,
            version bigint NOT NULL,
            changed_by uuid NOT NULL,
            changed_at timestamptz NOT NULL
        );

        -- Without a room it holds everywhere; with a show, in that show alone.
        CREATE TABLE live.sanction (
            id uuid PRIMARY KEY,
            kind text NOT NULL CHECK (kind IN ('mute', 'kick', 'ban')),
            room_id uuid REFERENCES live.room (id),
            show_id uuid REFERENCES live.show (id),
            target text NOT NULL CHECK (target IN ('account', 'device', 'network')),
            viewer_id uuid NOT NULL,
            device_id uuid,
            network cidr,
            reason text NOT NULL,
            digest bytea NOT NULL,
            imposed_by uuid NOT NULL,
            imposed_at timestamptz NOT NULL,
            ends_at timestamptz,
            lifted_by uuid,
            lifted_at timestamptz,
            CHECK ((target = 'device') = (device_id IS NOT NULL)),
            CHECK ((target = 'network') = (network IS NOT NULL)),
            CHECK (kind = 'ban' OR target = 'account'),
            CHECK (kind <> 'kick' OR ends_at IS NOT NULL),
            CHECK (show_id IS NULL OR room_id IS NOT NULL),
            CHECK (ends_at > imposed_at)
        );
        CREATE INDEX sanction_of_room ON live.sanction (room_id, id) WHERE lifted_at IS NULL;

        -- The id is the client's, so it is one's own only within the show. Deleted before it was written: no text yet.
        CREATE TABLE live.saying (
            show_id uuid NOT NULL REFERENCES live.show (id),
            id uuid NOT NULL,
            viewer_id uuid,
            name text NOT NULL DEFAULT '',
            level integer NOT NULL DEFAULT 0,
            text text NOT NULL DEFAULT '',
            said_at timestamptz NOT NULL,
            deleted_at timestamptz,
            deleted_by uuid,
            PRIMARY KEY (show_id, id)
        );
        CREATE INDEX saying_in_order ON live.saying (show_id, said_at, id);
        CREATE INDEX saying_of_viewer ON live.saying (viewer_id);

        -- What waits for a moderator, and what became of it.
        CREATE TABLE live.held (
            show_id uuid NOT NULL REFERENCES live.show (id),
            id uuid NOT NULL,
            viewer_id uuid NOT NULL,
            name text NOT NULL,
            level integer NOT NULL,
            text text NOT NULL,
            why text NOT NULL,
            said_at timestamptz NOT NULL,
            approved boolean,
            decided_by uuid,
            decided_at timestamptz,
            PRIMARY KEY (show_id, id),
            CHECK ((approved IS NULL) = (decided_at IS NULL))
        );
        CREATE INDEX held_waiting ON live.held (show_id, said_at, id) WHERE approved IS NULL;
        CREATE INDEX held_of_viewer ON live.held (viewer_id);

        -- Where somebody who spoke came from, so that a device or a network can be banned. Forgotten after 30 days.
        CREATE TABLE live.speaker (
            show_id uuid NOT NULL REFERENCES live.show (id),
            viewer_id uuid NOT NULL,
            device_id uuid,
            address inet,
            seen_at timestamptz NOT NULL,
            PRIMARY KEY (show_id, viewer_id)
        );
        CREATE INDEX speaker_of_viewer ON live.speaker (viewer_id);
        CREATE INDEX speaker_by_age ON live.speaker (seen_at);

        CREATE TABLE live.moderation_entry (
            id uuid PRIMARY KEY,
            at timestamptz NOT NULL,
            room_id uuid,
            show_id uuid,
            actor_id uuid NOT NULL,
            act text NOT NULL,
            whom uuid,
            reason text NOT NULL,
            detail jsonb NOT NULL
        );
        CREATE INDEX moderation_entry_of_room ON live.moderation_entry (room_id, id);
        CREATE INDEX moderation_entry_of_show ON live.moderation_entry (show_id, id);

        CREATE FUNCTION live.moderation_entry_stays() RETURNS trigger LANGUAGE plpgsql AS $body$
        BEGIN
            -- The one change allowed: the words of an erased person are blanked.
            IF TG_OP = 'UPDATE' AND NEW.detail = '{}'
               AND (NEW.id, NEW.at, NEW.actor_id, NEW.act, NEW.reason)
                 = (OLD.id, OLD.at, OLD.actor_id, OLD.act, OLD.reason)
               AND (NEW.room_id, NEW.show_id, NEW.whom) IS NOT DISTINCT FROM (OLD.room_id, OLD.show_id, OLD.whom)
            THEN
                RETURN NEW;
            END IF;
            RAISE EXCEPTION 'live.moderation_entry is append-only';
        END
        $body$;
        CREATE TRIGGER moderation_entry_stays BEFORE UPDATE OR DELETE ON live.moderation_entry
            FOR EACH ROW EXECUTE FUNCTION live.moderation_entry_stays();
        CREATE TRIGGER moderation_entry_is_not_emptied BEFORE TRUNCATE ON live.moderation_entry
            FOR EACH STATEMENT EXECUTE FUNCTION live.moderation_entry_stays();
        """
    )
