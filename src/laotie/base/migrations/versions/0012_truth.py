"""The truth of a show: stock set aside and sold in waves, what was promised, and when what was explained."""

from laotie.base.migrations import run

revision = "0012"
down_revision = "0009"


def upgrade() -> None:
    run(
        """
        -- Pieces set aside are off the shelf: nobody buys them but whom they were set aside for.
        ALTER TABLE catalog.sku ADD COLUMN aside bigint NOT NULL DEFAULT 0 CHECK (aside >= 0);
        ALTER TABLE catalog.sku DROP CONSTRAINT sku_check;
        ALTER TABLE catalog.sku ADD CONSTRAINT sku_adds_up CHECK (available + aside + reserved + sold = received);

        -- `id` is its owner's (a wave's). Open while `returned` is missing; then nothing remains, for good.
        CREATE TABLE catalog.aside (
            id uuid NOT NULL,
            sku_id uuid NOT NULL REFERENCES catalog.sku (id),
            put bigint NOT NULL CHECK (put > 0),
            remaining bigint NOT NULL CHECK (remaining >= 0),
            returned bigint CHECK (returned >= 0),
            PRIMARY KEY (id, sku_id),
            CHECK (remaining <= put),
            CHECK (returned IS NULL OR remaining = 0)
        ) WITH (fillfactor = 50);
        CREATE INDEX aside_open ON catalog.aside (sku_id) WHERE returned IS NULL;

        ALTER TABLE catalog.stock_movement ADD COLUMN aside_id uuid;
        ALTER TABLE catalog.stock_movement DROP CONSTRAINT stock_movement_kind_check;
        ALTER TABLE catalog.stock_movement ADD CONSTRAINT stock_movement_kind_check CHECK (
            kind IN ('received', 'reserved', 'released', 'sold', 'returned', 'corrected', 'set_aside', 'put_back'));
        ALTER TABLE catalog.stock_movement ADD CONSTRAINT stock_movement_aside_check CHECK (
            CASE WHEN kind IN ('set_aside', 'put_back') THEN aside_id IS NOT NULL
                 WHEN kind IN ('reserved', 'released') THEN true ELSE aside_id IS NULL END);

        -- What was explained, and when: history, kept when the item is gone from the cart.
        CREATE TABLE live.mark (
            id uuid PRIMARY KEY,
            show_id uuid NOT NULL REFERENCES live.show (id),
            item_id uuid NOT NULL,
            product_id uuid NOT NULL,
            begins_at timestamptz NOT NULL,
            ends_at timestamptz,
            CHECK (ends_at >= begins_at)
        );
        CREATE INDEX mark_of_show ON live.mark (show_id, begins_at);
        CREATE UNIQUE INDEX mark_one_open_a_show ON live.mark (show_id) WHERE ends_at IS NULL;

        -- A wave is one sale of an item from pieces set aside. Kept when the item is gone.
        CREATE TABLE live.wave (
            id uuid PRIMARY KEY,
            show_id uuid NOT NULL REFERENCES live.show (id),
            item_id uuid NOT NULL,
            product_id uuid NOT NULL,
            no integer NOT NULL CHECK (no > 0),
            state text NOT NULL CHECK (state IN ('ready', 'open', 'ended')),
            limit_per_person integer CHECK (limit_per_person > 0),
            lasts_s integer CHECK (lasts_s > 0),
            promise jsonb,
            created_at timestamptz NOT NULL,
            opened_at timestamptz,
            ends_at timestamptz,
            ended_at timestamptz,
            end_reason text CHECK (end_reason IN ('time', 'closed', 'next', 'off-shelf', 'removed', 'show')),
            digest bytea NOT NULL,
            UNIQUE (item_id, no),
            CHECK ((state = 'ended') = (ended_at IS NOT NULL)),
            CHECK ((state = 'ended') = (end_reason IS NOT NULL)),
            CHECK (state <> 'open' OR opened_at IS NOT NULL)
        );
        CREATE UNIQUE INDEX wave_one_open_an_item ON live.wave (item_id) WHERE state = 'open';
        CREATE INDEX wave_of_show ON live.wave (show_id);
        CREATE INDEX wave_due ON live.wave (ends_at) WHERE state = 'open';

        CREATE TABLE live.wave_price (
            wave_id uuid NOT NULL REFERENCES live.wave (id),
            sku_id uuid NOT NULL,
            price_amount bigint NOT NULL CHECK (price_amount > 0),
            currency text NOT NULL,
            PRIMARY KEY (wave_id, sku_id)
        );

        -- What the streamer promised, and at which instant. Only ever added to.
        CREATE TABLE live.promise (
            id uuid PRIMARY KEY,
            show_id uuid NOT NULL REFERENCES live.show (id),
            item_id uuid NOT NULL,
            product_id uuid NOT NULL,
            wave_id uuid REFERENCES live.wave (id),
            version integer NOT NULL CHECK (version > 0),
            price_amount bigint CHECK (price_amount > 0),
            currency text,
            gift text NOT NULL DEFAULT '',
            pieces integer CHECK (pieces > 0),
            guarantee text NOT NULL DEFAULT '',
            note text NOT NULL DEFAULT '',
            said_by uuid NOT NULL,
            said_at timestamptz NOT NULL,
            digest bytea NOT NULL,
            UNIQUE (item_id, version),
            CHECK ((price_amount IS NULL) = (currency IS NULL))
        );
        CREATE INDEX promise_of_show ON live.promise (show_id, said_at);

        CREATE FUNCTION live.refuse_change() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'what was promised is not changed: %.%', TG_TABLE_SCHEMA, TG_TABLE_NAME; END $$;
        CREATE TRIGGER promise_stays BEFORE UPDATE OR DELETE ON live.promise
            FOR EACH ROW EXECUTE FUNCTION live.refuse_change();

        -- What the till needs, on the row that it locks: the wave that sells or is waited for, the promise that stands
        -- and the price that it allows at most. Derived from the tables above by `live.endings.point_anew` alone.
        ALTER TABLE live.cart_item ADD COLUMN wave_id uuid REFERENCES live.wave (id);
        ALTER TABLE live.cart_item ADD COLUMN promise_id uuid REFERENCES live.promise (id);
        ALTER TABLE live.cart_item ADD COLUMN price_max bigint;

        ALTER TABLE orders.line ADD COLUMN wave_id uuid;
        ALTER TABLE orders.line ADD COLUMN promise_id uuid;

        -- A wave counts its buyers for itself. Outside waves the id is all zeros.
        ALTER TABLE orders.bought ADD COLUMN wave_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
        ALTER TABLE orders.bought DROP CONSTRAINT bought_pkey;
        ALTER TABLE orders.bought ADD PRIMARY KEY (cart_item_id, buyer_id, wave_id);
        """
    )
