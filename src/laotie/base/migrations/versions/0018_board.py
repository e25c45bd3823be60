"""The room board: what gateways counted by the minute, what was sold by the minute and by the mark."""

from laotie.base.migrations import run

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    run(
        """
        -- What one gateway process counted in one minute of a show: absolute, so writing it again changes nothing.
        CREATE TABLE live.minute (
            show_id uuid NOT NULL REFERENCES live.show (id),
            at timestamptz NOT NULL CHECK (at = date_trunc('minute', at, 'UTC')),
            gateway_id uuid NOT NULL,
            viewers_max integer NOT NULL CHECK (viewers_max >= 0),
            viewer_ms bigint NOT NULL CHECK (viewer_ms >= 0),
            watch_ms bigint NOT NULL CHECK (watch_ms >= 0),
            joins integer NOT NULL CHECK (joins >= 0),
            likes bigint NOT NULL CHECK (likes >= 0),
            chats_sent integer NOT NULL CHECK (chats_sent >= 0),
            chats_shown integer NOT NULL CHECK (chats_shown >= 0),
            PRIMARY KEY (show_id, at, gateway_id)
        ) WITH (fillfactor = 70);

        CREATE TABLE live.minute_click (
            show_id uuid NOT NULL REFERENCES live.show (id),
            at timestamptz NOT NULL,
            gateway_id uuid NOT NULL,
            product_id uuid NOT NULL,
            clicks integer NOT NULL CHECK (clicks > 0),
            PRIMARY KEY (show_id, at, gateway_id, product_id)
        ) WITH (fillfactor = 70);

        -- New followers of a streamer by the minute.
        CREATE INDEX follow_change_of_streamer ON fans.follow_change (streamer_id, changed_at) WHERE kind = 'followed';

        -- A show's sales by the minute in which orders were placed, and in which they were paid. Folded from the orders.
        CREATE TABLE orders.show_minute (
            show_id uuid NOT NULL,
            at timestamptz NOT NULL,
            currency text NOT NULL,
            orders bigint NOT NULL,
            units bigint NOT NULL,
            amount bigint NOT NULL,
            paid_orders bigint NOT NULL,
            paid_units bigint NOT NULL,
            paid_amount bigint NOT NULL,
            PRIMARY KEY (show_id, at, currency)
        ) WITH (fillfactor = 50);

        -- And by what was being explained when the order was placed (no mark: the zero id). `own`: of that product.
        CREATE TABLE orders.show_mark (
            show_id uuid NOT NULL,
            mark_id uuid NOT NULL,
            orders bigint NOT NULL,
            units bigint NOT NULL,
            amount bigint NOT NULL,
            own_units bigint NOT NULL,
            own_amount bigint NOT NULL,
            paid_orders bigint NOT NULL,
            paid_units bigint NOT NULL,
            paid_amount bigint NOT NULL,
            PRIMARY KEY (show_id, mark_id)
        ) WITH (fillfactor = 50);

        -- What was folded before this release, when nothing was marked yet.
        CREATE TEMPORARY TABLE folded ON COMMIT DROP AS
            SELECT o.id, o.show_id, o.currency, o.placed_at,
                   CASE WHEN o.state IN ('paid', 'shipped', 'completed', 'refunded')
                        THEN coalesce(o.paid_at, o.placed_at) END AS paid_at,
                   sum(l.quantity) AS units, sum(l.quantity * l.unit_price_amount) AS amount
            FROM orders."order" AS o JOIN orders.line AS l ON l.order_id = o.id
            WHERE o.show_id IS NOT NULL AND o.id <= (SELECT folded_to FROM orders.fold) GROUP BY o.id;
        INSERT INTO orders.show_minute
            SELECT show_id, at, currency, sum(orders), sum(units), sum(amount), sum(paid_orders), sum(paid_units),
                   sum(paid_amount)
            FROM (SELECT show_id, date_trunc('minute', placed_at, 'UTC') AS at, currency, 1 AS orders, units, amount,
                         0 AS paid_orders, 0 AS paid_units, 0 AS paid_amount FROM folded
                  UNION ALL
                  SELECT show_id, date_trunc('minute', paid_at, 'UTC'), currency, 0, 0, 0, 1, units, amount
                  FROM folded WHERE paid_at IS NOT NULL) AS part
            GROUP BY show_id, at, currency;
        INSERT INTO orders.show_mark
            SELECT show_id, '00000000-0000-0000-0000-000000000000', count(*), sum(units), sum(amount), 0, 0,
                   count(paid_at), coalesce(sum(units) FILTER (WHERE paid_at IS NOT NULL), 0),
                   coalesce(sum(amount) FILTER (WHERE paid_at IS NOT NULL), 0)
            FROM folded GROUP BY show_id;
        """
    )
