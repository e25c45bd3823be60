"""What orders and follows are credited to: the rule as data, the touches it reads, fan status and campaign of an order."""

from laotie.base.migrations import run

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    run(
        """
        -- An order bears what its visit was credited with: who was already a fan when they came, and by which rule.
        ALTER TABLE orders."order"
            ADD COLUMN is_fan boolean NOT NULL DEFAULT false,
            ADD COLUMN campaign text,
            ADD COLUMN rule_version integer NOT NULL DEFAULT 1,
            ADD COLUMN streamer_id uuid;

        ALTER TABLE fans.follow_change
            ADD COLUMN is_fan boolean NOT NULL DEFAULT false,
            ADD COLUMN campaign text,
            ADD COLUMN show_id uuid;

        -- Rules are added, never changed. The one in force is the last that has begun.
        CREATE TABLE traffic.attribution_rule (
            version integer PRIMARY KEY,
            kind text NOT NULL CHECK (kind IN ('last_touch', 'first_touch', 'last_non_direct')),
            window_h integer NOT NULL CHECK (window_h BETWEEN 1 AND 2160),
            valid_from timestamptz NOT NULL UNIQUE,
            note text NOT NULL,
            made_by uuid,
            made_at timestamptz NOT NULL
        );

        CREATE FUNCTION traffic.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'a rule of attribution is never changed; add the next one';
        END $$;

        CREATE TRIGGER attribution_rule_stays BEFORE UPDATE OR DELETE ON traffic.attribution_rule
            FOR EACH ROW EXECUTE FUNCTION traffic.refuse_change();

        INSERT INTO traffic.attribution_rule (version, kind, window_h, valid_from, note, made_at)
        VALUES (1, 'last_touch', 168, '2000-01-01T00:00:00Z', '', now());

        -- Each time that somebody came to something of a shop, and from where: raw, before any rule.
        -- The shelf as a whole is the shop of sixteen zero bytes.
        CREATE TABLE traffic.touch (
            viewer_id uuid NOT NULL,
            shop_id uuid NOT NULL,
            at timestamptz NOT NULL,
            visit_id uuid NOT NULL,
            source text NOT NULL,
            placement text NOT NULL,
            campaign text,
            position integer,
            sharer_id uuid,
            streamer_id uuid,
            is_fan boolean NOT NULL,
            PRIMARY KEY (viewer_id, shop_id, at, visit_id)
        );
        CREATE INDEX touch_at ON traffic.touch USING brin (at);

        -- People who left, and the random id that the lake knows them by; passes over its files that take them out.
        CREATE TABLE lake.erasure (
            account_id uuid PRIMARY KEY,
            alias uuid NOT NULL UNIQUE,
            asked_at timestamptz NOT NULL,
            due_at timestamptz,
            passes smallint NOT NULL DEFAULT 0,
            has_facts boolean NOT NULL DEFAULT false,
            done_at timestamptz
        );
        CREATE INDEX erasure_due ON lake.erasure (due_at) WHERE due_at IS NOT NULL;

        -- The ids that the person had: the account's and those of guests that became it.
        CREATE TABLE lake.alias (
            id uuid PRIMARY KEY,
            account_id uuid NOT NULL REFERENCES lake.erasure ON DELETE CASCADE,
            alias uuid NOT NULL
        );
        CREATE INDEX alias_of_account ON lake.alias (account_id);

        -- The pass that is under way: whom it erases, and the topic's day that was done last.
        CREATE TABLE lake.erasing (
            one smallint PRIMARY KEY DEFAULT 1 CHECK (one = 1),
            people uuid[] NOT NULL,
            topic text,
            day date,
            rows bigint NOT NULL DEFAULT 0,
            files bigint NOT NULL DEFAULT 0,
            began_at timestamptz NOT NULL
        );

        -- Whose fans count as fans on a shop's shelf.
        CREATE INDEX room_of_shop ON live.room (shop_id);
        """
    )
