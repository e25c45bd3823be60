"""Orders and their lines: few indexes, because an order's cost is mostly index inserts."""

from laotie.base.migrations import run

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA orders;

        CREATE TABLE orders."order" (
            id uuid PRIMARY KEY,
            buyer_id uuid NOT NULL,
            client_id uuid NOT NULL,
            shop_id uuid NOT NULL,
            show_id uuid,
            state text NOT NULL CHECK (state IN ('placed', 'paid', 'shipped', 'completed', 'cancelled', 'refunded')),
            currency text NOT NULL,
            total_amount bigint NOT NULL CHECK (total_amount > 0),
            source text NOT NULL,
            placement text NOT NULL,
            visit_id uuid,
            digest bytea NOT NULL,
            placed_at timestamptz NOT NULL,
            pay_by timestamptz NOT NULL,
            paid_at timestamptz,
            ended_at timestamptz,
            end_reason text,
            address jsonb,
            note text,
            UNIQUE (buyer_id, client_id)
        ) WITH (fillfactor = 90);

        CREATE TABLE orders.line (
            order_id uuid NOT NULL REFERENCES orders."order" (id),
            no smallint NOT NULL,
            sku_id uuid NOT NULL,
            product_id uuid NOT NULL,
            cart_item_id uuid,
            quantity integer NOT NULL CHECK (quantity > 0),
            unit_price_amount bigint NOT NULL CHECK (unit_price_amount > 0),
            title text NOT NULL,
            options jsonb NOT NULL,
            PRIMARY KEY (order_id, no)
        );

        -- How far the sweep of unpaid orders has come along the order key: below it none is waiting for payment.
        CREATE TABLE orders.sweep (
            id smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
            swept_to uuid NOT NULL
        );
        INSERT INTO orders.sweep (swept_to) VALUES ('00000000-0000-0000-0000-000000000000');
        """
    )
