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
            payment_id uuid,
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

        -- How many pieces a buyer holds of a cart item that has a limit per person; cancelled orders give theirs back.
        CREATE TABLE orders.bought (
            cart_item_id uuid NOT NULL,
            buyer_id uuid NOT NULL,
            quantity integer NOT NULL CHECK (quantity >= 0),
            PRIMARY KEY (cart_item_id, buyer_id)
        ) WITH (fillfactor = 70);

        -- How far along the order key the sweep has looked: every unpaid order up to there is on the agenda.
        CREATE TABLE orders.sweep (
            id smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
            swept_to uuid NOT NULL
        );
        INSERT INTO orders.sweep (swept_to) VALUES ('00000000-0000-0000-0000-000000000000');

        -- What time and payments bring to orders. `id` is the order (overdue), payment (captured) or refund (refunded).
        CREATE TABLE orders.agenda (
            kind text NOT NULL CHECK (kind IN ('overdue', 'captured', 'refunded')),
            id uuid NOT NULL,
            order_id uuid NOT NULL,
            payment_id uuid,
            amount bigint,
            currency text,
            reason text,
            due_at timestamptz NOT NULL,
            attempts integer NOT NULL DEFAULT 0,
            PRIMARY KEY (kind, id),
            CHECK ((kind = 'overdue') = (payment_id IS NULL))
        );
        CREATE INDEX agenda_by_time ON orders.agenda (due_at);

        -- A shop's orders by state and the sales of shows, folded from the orders behind the till's back.
        CREATE TABLE orders.fold (
            id smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
            folded_to uuid NOT NULL
        );
        INSERT INTO orders.fold (folded_to) VALUES ('00000000-0000-0000-0000-000000000000');

        CREATE TABLE orders.shop_feed (
            shop_id uuid NOT NULL,
            state text NOT NULL,
            order_id uuid NOT NULL,
            PRIMARY KEY (shop_id, state, order_id)
        );

        CREATE TABLE orders.show_sale (
            show_id uuid NOT NULL,
            product_id uuid NOT NULL,
            orders bigint NOT NULL,
            units bigint NOT NULL,
            amount bigint NOT NULL,
            paid_units bigint NOT NULL,
            paid_amount bigint NOT NULL,
            PRIMARY KEY (show_id, product_id)
        ) WITH (fillfactor = 50);

        CREATE TABLE orders.show_total (
            show_id uuid PRIMARY KEY,
            currency text NOT NULL,
            orders bigint NOT NULL,
            paid_orders bigint NOT NULL
        ) WITH (fillfactor = 50);

        -- What the other rooms' books must say of an order, a fact a row, in the form the audit compares.
        -- Orders imported from elsewhere have their own history, which these books do not hold.
        CREATE VIEW orders.order_fact AS
            SELECT 'stock' AS topic, o.id AS order_id,
                   l.sku_id || ' ' || sum(l.quantity)
                   || ' ' || CASE WHEN o.state = 'cancelled' THEN sum(l.quantity) ELSE 0 END
                   || ' ' || CASE WHEN o.state IN ('placed', 'cancelled') THEN 0 ELSE sum(l.quantity) END AS fact
            FROM orders."order" AS o JOIN orders.line AS l ON l.order_id = o.id
            WHERE o.source <> 'imported' GROUP BY o.id, l.sku_id
            UNION ALL
            SELECT 'hold', id, total_amount || ' ' || CASE state
                WHEN 'placed' THEN 'pending' WHEN 'cancelled' THEN 'voided' ELSE 'posted' END
            FROM orders."order" WHERE source <> 'imported'
            UNION ALL
            SELECT 'kept', id, total_amount::text
            FROM orders."order" WHERE state IN ('paid', 'shipped', 'completed') AND source <> 'imported';

        -- History from another house's books: which file, how far, and what came of it (committed with each batch).
        CREATE TABLE orders.import_run (
            id uuid PRIMARY KEY,
            shop_id uuid NOT NULL,
            digest bytea NOT NULL,
            name text NOT NULL,
            state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done')),
            position bigint NOT NULL DEFAULT 0,
            counts jsonb NOT NULL DEFAULT '{}',
            started_at timestamptz NOT NULL,
            finished_at timestamptz,
            UNIQUE (shop_id, digest)
        );

        CREATE TABLE orders.import_refusal (
            run_id uuid NOT NULL REFERENCES orders.import_run (id),
            line bigint NOT NULL,
            reason text NOT NULL,
            said text NOT NULL,
            PRIMARY KEY (run_id, line)
        );

        -- Returns of that history. The old books do not say which order they belong to.
        CREATE TABLE orders.past_return (
            id uuid PRIMARY KEY,
            run_id uuid NOT NULL REFERENCES orders.import_run (id),
            shop_id uuid NOT NULL,
            buyer_id uuid NOT NULL,
            reference text NOT NULL,
            currency text NOT NULL,
            total_amount bigint NOT NULL CHECK (total_amount > 0),
            returned_at timestamptz NOT NULL,
            UNIQUE (shop_id, reference)
        );

        CREATE TABLE orders.past_return_line (
            return_id uuid NOT NULL REFERENCES orders.past_return (id),
            no smallint NOT NULL,
            sku_id uuid NOT NULL,
            product_id uuid NOT NULL,
            quantity integer NOT NULL CHECK (quantity > 0),
            unit_price_amount bigint NOT NULL CHECK (unit_price_amount > 0),
            title text NOT NULL,
            PRIMARY KEY (return_id, no)
        );
        """
    )
