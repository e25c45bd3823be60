"""Parcels, their events, delivery promises."""

from laotie.base.migrations import run

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    run(
        """
        -- Within how many hours a paid order is on its way; a product's own promise goes before the shop's. After how
        -- many days from delivery the shop's orders are complete; missing: the house's setting.
        ALTER TABLE catalog.shop
            ADD COLUMN ship_within_h integer CHECK (ship_within_h BETWEEN 1 AND 2160),
            ADD COLUMN confirm_days integer CHECK (confirm_days BETWEEN 1 AND 90);
        ALTER TABLE catalog.product ADD COLUMN ship_within_h integer CHECK (ship_within_h BETWEEN 1 AND 2160);

        -- Of what was shipped, how many pieces came back. What is refunded and did not come back need not be shipped:
        -- still to ship are quantity - shipped - greatest(0, refunded - returned).
        ALTER TABLE orders.line ADD COLUMN returned_quantity integer NOT NULL DEFAULT 0,
            ADD CONSTRAINT line_came_back CHECK (returned_quantity BETWEEN 0 AND shipped_quantity);

        -- A paid order's way to its buyer, and the time that both sides have. `ship_by` is what was promised when it
        -- was paid, `confirm_by` when the order completes by itself. Written under the order's lock, save that the
        -- passing of `ship_by` is noted under this row's.
        CREATE TABLE orders.delivery (
            order_id uuid PRIMARY KEY REFERENCES orders."order" (id),
            shop_id uuid NOT NULL,
            stage text NOT NULL
                CHECK (stage IN ('gathering', 'waiting', 'partly', 'shipped', 'delivered', 'closed')),
            promised_h integer,
            confirm_days integer,
            -- What kind of goods these were when they were paid: the law's exclusions go by it, not by a later edit.
            categories jsonb NOT NULL DEFAULT '{}',
            began_at timestamptz,
            ship_by timestamptz,
            broken_at timestamptz,
            confirm_from timestamptz,
            confirm_by timestamptz,
            extended_at timestamptz,
            paused_at timestamptz,
            CHECK (confirm_by IS NULL OR stage IN ('shipped', 'delivered')),
            CHECK ((confirm_by IS NULL) = (confirm_from IS NULL)),
            CHECK (broken_at IS NULL OR broken_at >= ship_by)
        );
        CREATE INDEX delivery_of_shop ON orders.delivery (shop_id, stage, order_id);
        CREATE INDEX delivery_broken ON orders.delivery (shop_id, broken_at) WHERE broken_at IS NOT NULL;
        CREATE INDEX delivery_gathering ON orders.delivery (order_id) WHERE stage = 'gathering';
        CREATE INDEX delivery_to_ship ON orders.delivery (ship_by)
            WHERE broken_at IS NULL AND stage IN ('waiting', 'partly');
        CREATE INDEX delivery_to_confirm ON orders.delivery (confirm_by)
            WHERE paused_at IS NULL AND confirm_by IS NOT NULL;

        INSERT INTO orders.delivery (order_id, shop_id, stage)
        SELECT id, shop_id, 'waiting' FROM orders."order" WHERE state = 'paid' AND source <> 'imported';

        -- Orders of which something was given back: what is left may all be on its way.
        CREATE TABLE orders.delivery_look (
            cause_id uuid PRIMARY KEY,
            order_id uuid NOT NULL
        );

        -- Open cases: while there is one, an order does not complete by itself.
        CREATE TABLE orders.completion_pause (
            order_id uuid NOT NULL REFERENCES orders."order" (id),
            case_id uuid NOT NULL,
            at timestamptz NOT NULL,
            PRIMARY KEY (order_id, case_id)
        );

        CREATE TABLE orders.parcel (
            id uuid PRIMARY KEY,
            order_id uuid NOT NULL REFERENCES orders."order" (id),
            shop_id uuid NOT NULL,
            carrier text NOT NULL,
            number text NOT NULL,
            state text NOT NULL CHECK (state IN ('registered', 'moving', 'delivered', 'returned', 'cancelled')),
            digest bytea NOT NULL,
            made_at timestamptz NOT NULL,
            moved_at timestamptz,
            delivered_at timestamptz,
            CHECK ((state = 'delivered') = (delivered_at IS NOT NULL))
        );
        CREATE UNIQUE INDEX parcel_number ON orders.parcel (carrier, number) WHERE state <> 'cancelled';
        CREATE INDEX parcel_of_order ON orders.parcel (order_id, id);

        CREATE TABLE orders.parcel_line (
            parcel_id uuid NOT NULL REFERENCES orders.parcel (id),
            line_no smallint NOT NULL,
            quantity integer NOT NULL CHECK (quantity > 0),
            PRIMARY KEY (parcel_id, line_no)
        );

        -- What is heard of a carrier's number. Of the number, not of the parcel: news may come before the shop has
        -- entered the number, and is there when it does. `key` is the teller's own name for it.
        CREATE TABLE orders.tracking (
            carrier text NOT NULL,
            number text NOT NULL,
            key text NOT NULL,
            kind text NOT NULL CHECK (kind IN
                ('collected', 'in_transit', 'out_for_delivery', 'problem', 'delivered', 'returned')),
            at timestamptz NOT NULL,
            place text NOT NULL,
            note text NOT NULL,
            source text NOT NULL,
            is_known boolean NOT NULL,
            heard_at timestamptz NOT NULL,
            PRIMARY KEY (carrier, number, key)
        );
        CREATE INDEX tracking_unknown ON orders.tracking (heard_at) WHERE NOT is_known;
        """
    )
