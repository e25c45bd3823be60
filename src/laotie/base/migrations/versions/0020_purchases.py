"""Purchases of several shops, discounts and shipping on orders, money and goods that go back a part at a time."""

from laotie.base.migrations import run

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    run(
        """
        -- What a product brings into every order: its guarantees, its batch, the tax in its price.
        ALTER TABLE catalog.shop ADD COLUMN pledge_id uuid;
        ALTER TABLE catalog.product ADD COLUMN pledge_id uuid;
        ALTER TABLE catalog.product ADD COLUMN batch_id uuid;
        ALTER TABLE catalog.product ADD COLUMN tax_bps integer NOT NULL DEFAULT 0 CHECK (tax_bps BETWEEN 0 AND 5000);

        -- total = goods - discount + shipping. `purchase_id` is the first order of a purchase in several shops: they are
        -- paid together. `refunded_amount` is what went back or is on its way back, `reversed_amount` what the provider
        -- took back (a chargeback).
        ALTER TABLE orders."order"
            ADD COLUMN purchase_id uuid,
            ADD COLUMN discount_amount bigint NOT NULL DEFAULT 0 CHECK (discount_amount >= 0),
            ADD COLUMN subsidy_amount bigint NOT NULL DEFAULT 0,
            ADD COLUMN shipping_amount bigint NOT NULL DEFAULT 0 CHECK (shipping_amount >= 0),
            ADD COLUMN shipping_hold_id uuid,
            ADD COLUMN refunded_amount bigint NOT NULL DEFAULT 0,
            ADD COLUMN refunded_shipping_amount bigint NOT NULL DEFAULT 0,
            ADD COLUMN reversed_amount bigint NOT NULL DEFAULT 0 CHECK (reversed_amount >= 0),
            ADD COLUMN shipped_at timestamptz,
            ADD COLUMN delivered_at timestamptz,
            ADD COLUMN completed_at timestamptz,
            ADD CONSTRAINT order_subsidy CHECK (subsidy_amount BETWEEN 0 AND discount_amount),
            ADD CONSTRAINT order_refunded CHECK (refunded_amount BETWEEN 0 AND total_amount),
            ADD CONSTRAINT order_refunded_shipping CHECK (refunded_shipping_amount BETWEEN 0 AND shipping_amount);
        CREATE INDEX order_of_purchase ON orders."order" (purchase_id) WHERE purchase_id IS NOT NULL;

        -- Of a line was paid: quantity * unit price - discount. The platform bears `subsidy_amount` of the discount.
        ALTER TABLE orders.line
            ADD COLUMN discount_amount bigint NOT NULL DEFAULT 0,
            ADD COLUMN subsidy_amount bigint NOT NULL DEFAULT 0,
            ADD COLUMN tax_bps integer NOT NULL DEFAULT 0,
            ADD COLUMN tax_amount bigint NOT NULL DEFAULT 0,
            ADD COLUMN pledge_id uuid,
            ADD COLUMN batch_id uuid,
            ADD COLUMN shipped_quantity integer NOT NULL DEFAULT 0,
            ADD COLUMN refunded_quantity integer NOT NULL DEFAULT 0,
            ADD COLUMN refunded_amount bigint NOT NULL DEFAULT 0,
            ADD COLUMN restocked_quantity integer NOT NULL DEFAULT 0,
            ADD CONSTRAINT line_discount CHECK (discount_amount BETWEEN 0 AND quantity * unit_price_amount),
            ADD CONSTRAINT line_subsidy CHECK (subsidy_amount BETWEEN 0 AND discount_amount),
            ADD CONSTRAINT line_shipped CHECK (shipped_quantity BETWEEN 0 AND quantity),
            ADD CONSTRAINT line_returned CHECK (refunded_quantity BETWEEN 0 AND quantity),
            ADD CONSTRAINT line_refunded
                CHECK (refunded_amount BETWEEN 0 AND quantity * unit_price_amount - discount_amount),
            ADD CONSTRAINT line_restocked CHECK (restocked_quantity BETWEEN 0 AND quantity);

        -- What was given back of paid orders, as asked for; the same id again changes nothing.
        CREATE TABLE orders.given_back (
            id uuid PRIMARY KEY,
            order_id uuid NOT NULL REFERENCES orders."order" (id),
            amount bigint NOT NULL CHECK (amount >= 0),
            shipping_amount bigint NOT NULL CHECK (shipping_amount BETWEEN 0 AND amount),
            subsidy_amount bigint NOT NULL CHECK (subsidy_amount >= 0),
            reason text NOT NULL,
            lines jsonb NOT NULL,
            given_at timestamptz NOT NULL
        );
        CREATE INDEX given_back_of_order ON orders.given_back (order_id, id);

        ALTER TABLE orders.agenda DROP CONSTRAINT agenda_kind_check;
        ALTER TABLE orders.agenda ADD CONSTRAINT agenda_kind_check
            CHECK (kind IN ('overdue', 'captured', 'refunded', 'reversed'));

        -- A refund may be of one order of a purchase; missing, it is of the payment's own. A provider may capture less
        -- than was asked for (`captured_amount`, missing when it is all), and take money back (`reversed_amount`).
        ALTER TABLE payments.refund ADD COLUMN order_id uuid;
        ALTER TABLE payments.payment
            ADD COLUMN captured_amount bigint CHECK (captured_amount > 0),
            ADD COLUMN reversed_amount bigint NOT NULL DEFAULT 0 CHECK (reversed_amount >= 0);
        ALTER TABLE payments.payment ADD CONSTRAINT payment_not_overspent CHECK (
            refunding_amount + refunded_amount + reversed_amount <= coalesce(captured_amount, amount));

        CREATE OR REPLACE VIEW payments.order_fact AS
            SELECT 'kept' AS topic, order_id,
                   sum(coalesce(captured_amount, amount) - refunded_amount - refunding_amount - reversed_amount)::text
                   AS fact
            FROM payments.payment WHERE captured_at IS NOT NULL AND purpose = 'order'
            GROUP BY order_id
            HAVING sum(coalesce(captured_amount, amount) - refunded_amount - refunding_amount - reversed_amount) <> 0
            UNION ALL
            SELECT 'money', order_id, sum(coalesce(captured_amount, amount) - refunded_amount - reversed_amount)::text
            FROM payments.payment WHERE captured_at IS NOT NULL
            GROUP BY order_id HAVING sum(coalesce(captured_amount, amount) - refunded_amount - reversed_amount) <> 0;

        -- Facts of a purchase are under the id of its first order. A hold that was replaced is voided and counts no more.
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
            GROUP BY subject_id
            HAVING sum(CASE WHEN debit.kind = 'provider' THEN amount ELSE -amount END) <> 0;

        -- The pieces that came back are part of what the stock must say: SKU, reserved, released, sold, returned.
        CREATE OR REPLACE VIEW catalog.order_fact AS
            SELECT 'stock' AS topic, order_id,
                   sku_id || ' ' || coalesce(sum(quantity) FILTER (WHERE kind = 'reserved'), 0)
                   || ' ' || coalesce(sum(quantity) FILTER (WHERE kind = 'released'), 0)
                   || ' ' || coalesce(sum(quantity) FILTER (WHERE kind = 'sold'), 0)
                   || ' ' || coalesce(sum(quantity) FILTER (WHERE kind = 'returned'), 0) AS fact
            FROM catalog.stock_movement WHERE order_id IS NOT NULL GROUP BY order_id, sku_id;

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
            HAVING sum(total_amount - refunded_amount - reversed_amount) <> 0;
        """
    )
