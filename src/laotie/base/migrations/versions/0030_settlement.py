"""Settlement: rates, what completed orders have to settle, and the lines of everybody's statements."""

from laotie.base.migrations import run

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA settlement;

        -- Who takes how much of an order's goods, in ten-thousandths. Append-only; missing: of any shop, category,
        -- streamer. The most specific one that had begun when the order was paid counts, among equals the latest. `bps`
        -- missing: from here on there is none so specific.
        CREATE TABLE settlement.rate (
            id uuid PRIMARY KEY,
            kind text NOT NULL CHECK (kind IN ('platform', 'payment', 'streamer')),
            shop_id uuid,
            category text,
            streamer_id uuid,
            bps integer CHECK (bps BETWEEN 0 AND 10000),
            valid_from timestamptz NOT NULL,
            note text NOT NULL,
            made_by uuid,
            made_at timestamptz NOT NULL,
            CHECK (valid_from >= made_at)
        );
        CREATE INDEX rate_of_kind ON settlement.rate (kind, valid_from);

        -- How long after completion an order is settled, in hours; missing shop: every other.
        CREATE TABLE settlement.term (
            id uuid PRIMARY KEY,
            shop_id uuid,
            delay_h integer NOT NULL CHECK (delay_h BETWEEN 0 AND 8784),
            valid_from timestamptz NOT NULL,
            note text NOT NULL,
            made_by uuid,
            made_at timestamptz NOT NULL,
            CHECK (valid_from >= made_at)
        );

        -- What is left of a completed order, one row for each pair of rates in it (nearly always one). `goods` and
        -- `shipping` are the buyer's money, `subsidy` the platform's part. Gone when it is settled.
        CREATE TABLE settlement.due (
            order_id uuid NOT NULL,
            no smallint NOT NULL,
            shop_id uuid NOT NULL,
            streamer_id uuid,
            currency text NOT NULL,
            goods_amount bigint NOT NULL CHECK (goods_amount >= 0),
            shipping_amount bigint NOT NULL CHECK (shipping_amount >= 0),
            subsidy_amount bigint NOT NULL CHECK (subsidy_amount >= 0),
            platform_bps integer NOT NULL CHECK (platform_bps >= 0),
            payment_bps integer NOT NULL CHECK (payment_bps >= 0),
            streamer_bps integer NOT NULL CHECK (streamer_bps >= 0),
            completed_at timestamptz NOT NULL,
            due_at timestamptz NOT NULL,
            paused boolean NOT NULL DEFAULT false,
            -- The ledger's accounts: what buyers paid, what is owed to the shop, and to the streamer.
            held_id uuid NOT NULL,
            payable_id uuid NOT NULL,
            streamer_payable_id uuid,
            PRIMARY KEY (order_id, no),
            CHECK ((streamer_id IS NULL) = (streamer_payable_id IS NULL)),
            CHECK (platform_bps + payment_bps + streamer_bps <= 10000)
        );
        CREATE INDEX due_next ON settlement.due (due_at, order_id) WHERE NOT paused;
        CREATE INDEX due_of_shop ON settlement.due (shop_id, due_at);

        -- Orders of which something has changed that concerns their settlement: to be looked at again. `freight`: the shop
        -- bore so much for the way back of a return.
        CREATE TABLE settlement.look (
            cause_id uuid PRIMARY KEY,
            order_id uuid NOT NULL,
            freight_amount bigint NOT NULL DEFAULT 0 CHECK (freight_amount >= 0),
            attempts integer NOT NULL DEFAULT 0,
            due_at timestamptz NOT NULL DEFAULT '-infinity'
        );

        -- Every movement of what is owed to a shop or a streamer: to the shop goes `net`, to the streamer `streamer`.
        -- Never changed. The sum of an owner's lines is the balance of the owner's `payable` in the ledger.
        CREATE TABLE settlement.line (
            id uuid PRIMARY KEY,
            kind text NOT NULL CHECK (kind IN ('sale', 'refund', 'freight', 'payout', 'payout_back', 'correction')),
            shop_id uuid,
            streamer_id uuid,
            order_id uuid,
            no smallint NOT NULL DEFAULT 0,
            currency text NOT NULL,
            goods_amount bigint NOT NULL DEFAULT 0,
            shipping_amount bigint NOT NULL DEFAULT 0,
            subsidy_amount bigint NOT NULL DEFAULT 0,
            platform_bps integer NOT NULL DEFAULT 0,
            payment_bps integer NOT NULL DEFAULT 0,
            streamer_bps integer NOT NULL DEFAULT 0,
            platform_amount bigint NOT NULL DEFAULT 0,
            payment_amount bigint NOT NULL DEFAULT 0,
            streamer_amount bigint NOT NULL DEFAULT 0,
            net_amount bigint NOT NULL DEFAULT 0,
            booked_on date NOT NULL,
            booked_at timestamptz NOT NULL,
            subject_id uuid NOT NULL,
            CHECK (kind NOT IN ('sale', 'refund')
                   OR goods_amount + shipping_amount + subsidy_amount
                      = platform_amount + payment_amount + streamer_amount + net_amount),
            CHECK (kind NOT IN ('sale', 'refund', 'freight') OR (shop_id IS NOT NULL AND order_id IS NOT NULL)),
            CHECK (shop_id IS NOT NULL OR streamer_id IS NOT NULL)
        );
        CREATE INDEX line_of_shop ON settlement.line (shop_id, booked_on, id) WHERE shop_id IS NOT NULL;
        CREATE INDEX line_of_streamer ON settlement.line (streamer_id, booked_on, id) WHERE streamer_id IS NOT NULL;
        CREATE INDEX line_of_order ON settlement.line (order_id) WHERE order_id IS NOT NULL;

        CREATE VIEW settlement.order_fact AS
            SELECT 'worth' AS topic, order_id, sum(amount)::text AS fact FROM (
                SELECT order_id, goods_amount + shipping_amount + subsidy_amount AS amount FROM settlement.due
                UNION ALL
                SELECT order_id, goods_amount + shipping_amount + subsidy_amount FROM settlement.line
                WHERE kind IN ('sale', 'refund')
            ) AS part GROUP BY order_id HAVING sum(amount) <> 0;

        CREATE OR REPLACE VIEW orders.order_fact AS
            SELECT 'stock' AS topic, o.id AS order_id,
                   l.sku_id || ' ' || sum(l.quantity)
                   || ' ' || CASE WHEN o.state = 'cancelled' THEN sum(l.quantity) ELSE 0 END
                   || ' ' || CASE WHEN o.state IN ('placed', 'cancelled') THEN 0 ELSE sum(l.quantity) END
                   || ' ' || sum(l.restocked_quantity) AS fact
            FROM orders."order" AS o JOIN orders.line AS l ON l.order_id = o.id
            WHERE o.source <> 'imported' GROUP BY o.id, l.sku_id
            UNION ALL
            SELECT 'hold', coalesce(purchase_id, id),
                   CASE WHEN bool_and(state = 'cancelled') THEN '0 voided'
                        ELSE sum(total_amount) || CASE WHEN bool_and(state = 'placed') THEN ' pending' ELSE ' posted' END
                   END
            FROM orders."order" WHERE source <> 'imported' GROUP BY coalesce(purchase_id, id)
            UNION ALL
            SELECT 'kept', coalesce(purchase_id, id), sum(total_amount - refunded_amount - reversed_amount)::text
            FROM orders."order" WHERE state NOT IN ('placed', 'cancelled') AND source <> 'imported'
            GROUP BY coalesce(purchase_id, id)
            HAVING sum(total_amount - refunded_amount - reversed_amount) <> 0
            UNION ALL
            SELECT 'worth', o.id, (o.total_amount - o.refunded_amount - o.reversed_amount
                                   + o.subsidy_amount - coalesce(g.subsidy_amount, 0))::text
            FROM orders."order" AS o LEFT JOIN (
                SELECT order_id, sum(subsidy_amount) AS subsidy_amount FROM orders.given_back GROUP BY order_id
            ) AS g ON g.order_id = o.id
            WHERE o.completed_at IS NOT NULL AND o.source <> 'imported'
              AND o.total_amount - o.refunded_amount - o.reversed_amount
                  + o.subsidy_amount - coalesce(g.subsidy_amount, 0) <> 0;

        INSERT INTO settlement.look (cause_id, order_id)
        SELECT id, id FROM orders."order" WHERE completed_at IS NOT NULL AND source <> 'imported';

        -- Money that leaves for its owners, and a provider's costs, are not a buyer's payment.
        CREATE OR REPLACE VIEW ledger.order_fact AS
            SELECT 'hold' AS topic, held.subject_id AS order_id,
                   coalesce(sum(held.amount) FILTER (WHERE settling.phase IS DISTINCT FROM 'voided'), 0)
                   || ' ' || CASE WHEN bool_and(settling.phase IS NOT DISTINCT FROM 'voided') THEN 'voided'
                                  WHEN bool_or(settling.phase IS NULL) THEN 'pending' ELSE 'posted' END AS fact
            FROM ledger.transfer AS held LEFT JOIN ledger.transfer AS settling ON settling.settles_id = held.id
            WHERE held.phase = 'pending' GROUP BY held.subject_id
            UNION ALL
            SELECT 'money', subject_id, sum(CASE WHEN debit.kind = 'provider' THEN amount ELSE -amount END)::text
            FROM ledger.transfer
            JOIN ledger.account AS debit ON debit.id = debit_id JOIN ledger.account AS credit ON credit.id = credit_id
            WHERE phase = 'posted' AND (debit.kind = 'provider') <> (credit.kind = 'provider')
              AND debit.kind NOT IN ('payout', 'released', 'provider_cost', 'correction')
              AND credit.kind NOT IN ('payout', 'released', 'provider_cost', 'correction')
            GROUP BY subject_id
            HAVING sum(CASE WHEN debit.kind = 'provider' THEN amount ELSE -amount END) <> 0;
        """
    )
