"""Live: rooms, shows, the cart of a show and its prices."""

from laotie.base.migrations import run

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA live;

        CREATE TABLE live.room (
            id uuid PRIMARY KEY,
            streamer_id uuid NOT NULL UNIQUE,
            shop_id uuid NOT NULL,
            title text NOT NULL,
            cover text,
            ingest_secret_hash bytea,
            ingest_key_issued_at timestamptz,
            created_at timestamptz NOT NULL
        );

        CREATE TABLE live.show (
            id uuid PRIMARY KEY,
            room_id uuid NOT NULL REFERENCES live.room (id),
            shop_id uuid NOT NULL,
            streamer_id uuid NOT NULL,
            title text NOT NULL,
            cover text,
            state text NOT NULL DEFAULT 'scheduled' CHECK (state IN ('scheduled', 'live', 'ended')),
            planned_at timestamptz,
            started_at timestamptz,
            ended_at timestamptz,
            pinned_item_id uuid,
            version bigint NOT NULL DEFAULT 1,
            digest bytea NOT NULL DEFAULT '',
            created_at timestamptz NOT NULL,
            CHECK (ended_at >= started_at)
        ) WITH (fillfactor = 80);
        CREATE UNIQUE INDEX show_one_live_a_room ON live.show (room_id) WHERE state = 'live';
        CREATE INDEX show_of_room ON live.show (room_id, id);
        CREATE INDEX show_of_shop ON live.show (shop_id, id);
        CREATE INDEX show_live_of_streamer ON live.show (streamer_id) WHERE state = 'live';

        CREATE TABLE live.cart_item (
            id uuid PRIMARY KEY,
            show_id uuid NOT NULL REFERENCES live.show (id),
            product_id uuid NOT NULL,
            position integer NOT NULL,
            on_shelf boolean NOT NULL DEFAULT true,
            limit_per_person integer CHECK (limit_per_person > 0),
            explaining_since timestamptz,
            sale_ends_at timestamptz,
            version bigint NOT NULL DEFAULT 1,
            digest bytea NOT NULL DEFAULT '',
            UNIQUE (show_id, product_id)
        ) WITH (fillfactor = 50);

        CREATE INDEX cart_item_of_product ON live.cart_item (product_id);

        CREATE TABLE live.cart_price (
            item_id uuid NOT NULL REFERENCES live.cart_item (id) ON DELETE CASCADE,
            sku_id uuid NOT NULL,
            price_amount bigint NOT NULL CHECK (price_amount > 0),
            currency text NOT NULL,
            PRIMARY KEY (item_id, sku_id)
        );

        -- What each gateway last counted in a show. Beside the show, not in it: the till and the console read that row.
        CREATE TABLE live.audience (
            show_id uuid NOT NULL REFERENCES live.show (id),
            gateway_id uuid NOT NULL,
            viewer_count integer NOT NULL CHECK (viewer_count >= 0),
            like_count bigint NOT NULL CHECK (like_count >= 0),
            counted_at timestamptz NOT NULL,
            PRIMARY KEY (show_id, gateway_id)
        ) WITH (fillfactor = 50);

        CREATE TABLE live.audience_peak (
            show_id uuid PRIMARY KEY REFERENCES live.show (id),
            viewer_count integer NOT NULL,
            reached_at timestamptz NOT NULL
        ) WITH (fillfactor = 50);
        """
    )
