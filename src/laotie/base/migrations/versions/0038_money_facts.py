"""Money facts on their way into the lake, and what of an order's money only its own books can tell later."""

from laotie.base.migrations import run

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA lake;

        -- Rows of the lake that are not in a part yet: put here by the relay, taken by the drain. `told_at` is when the house
        -- came to know, `row` the columns as JSON.
        CREATE TABLE lake.waiting (
            seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            id uuid NOT NULL UNIQUE,
            topic text NOT NULL,
            told_at timestamptz NOT NULL,
            row bytea NOT NULL
        );

        -- The batch that is being written: its parts bear its name, so writing it again writes the same files.
        CREATE TABLE lake.drain (
            one smallint PRIMARY KEY DEFAULT 1 CHECK (one = 1),
            batch_id uuid NOT NULL,
            upto bigint NOT NULL
        );

        -- Up to where each process has brought its viewers' acts into the lake.
        CREATE TABLE lake.process (
            name text PRIMARY KEY,
            until_at timestamptz NOT NULL
        );

        -- From when on the lake has all of a topic. What is older waits for `laotie lake rebuild`.
        CREATE TABLE lake.complete (
            topic text PRIMARY KEY,
            since timestamptz NOT NULL
        );
        INSERT INTO lake.complete (topic, since)
        SELECT topic, CASE WHEN EXISTS (SELECT FROM orders."order") OR EXISTS (SELECT FROM live.show)
                             OR EXISTS (SELECT FROM fans.follow_change) OR EXISTS (SELECT FROM identity.guest_merge)
                           THEN now() ELSE '0001-01-01T00:00:00Z' END
        FROM unnest(ARRAY['money', 'show', 'follow', 'person']) AS topic;

        -- What a refund takes back of the shop's own discount, and of the tax in the price.
        ALTER TABLE orders.given_back
            ADD COLUMN shop_discount_amount bigint NOT NULL DEFAULT 0,
            ADD COLUMN tax_amount bigint NOT NULL DEFAULT 0;
        ALTER TABLE orders.given_back DISABLE TRIGGER given_back_stays;
        WITH part AS (
            SELECT g.id, l.quantity::numeric AS pieces, l.quantity * l.unit_price_amount - l.discount_amount AS paid,
                   l.discount_amount - l.subsidy_amount AS shop_discount, l.tax_amount AS tax, said.amount, said.quantity,
                   sum(said.amount) OVER before AS amount_then, sum(said.quantity) OVER before AS quantity_then
            FROM orders.given_back AS g
            CROSS JOIN LATERAL jsonb_to_recordset(g.lines) AS said (no smallint, quantity bigint, amount bigint)
            JOIN orders.line AS l ON l.order_id = g.order_id AND l.no = said.no
            WINDOW before AS (PARTITION BY g.order_id, l.no ORDER BY g.given_at, g.id)
        ), taken AS (
            SELECT id,
                   sum(CASE WHEN paid > 0 THEN div(shop_discount * amount_then, paid)
                                               - div(shop_discount * (amount_then - amount), paid)
                            ELSE div(shop_discount * quantity_then, pieces)
                                 - div(shop_discount * (quantity_then - quantity), pieces) END) AS shop_discount,
                   sum(CASE WHEN paid > 0 THEN div(tax * amount_then, paid) - div(tax * (amount_then - amount), paid)
                            ELSE 0 END) AS tax
            FROM part GROUP BY id
        )
        UPDATE orders.given_back AS g SET shop_discount_amount = taken.shop_discount, tax_amount = taken.tax
        FROM taken WHERE taken.id = g.id;
        ALTER TABLE orders.given_back ENABLE TRIGGER given_back_stays;

        -- Every change of an order's money that its row does not tell of, signed as it changes what the buyer owes or has
        -- paid: a shipping fee, money that went back, a chargeback, its end in our favour. `cause_id`: the refund or the dispute.
        CREATE TABLE orders.money_fact (
            id uuid PRIMARY KEY,
            order_id uuid NOT NULL REFERENCES orders."order" (id),
            kind text NOT NULL CHECK (kind IN ('repriced', 'refunded', 'reversed', 'restored')),
            cause_id uuid NOT NULL,
            goods_amount bigint NOT NULL,
            shipping_amount bigint NOT NULL,
            tax_amount bigint NOT NULL,
            shop_discount_amount bigint NOT NULL,
            platform_discount_amount bigint NOT NULL,
            at timestamptz NOT NULL
        );
        CREATE INDEX money_fact_of_order ON orders.money_fact (order_id);

        INSERT INTO orders.money_fact
        SELECT gen_random_uuid(), o.id, 'repriced', gen_random_uuid(), 0, moved.amount, 0, 0, 0, moved.made_at
        FROM (
            SELECT t.subject_id, a.owner_id, t.made_at,
                   sum(CASE t.phase WHEN 'pending' THEN t.amount ELSE -t.amount END)::bigint AS amount
            FROM ledger.transfer AS t JOIN ledger.account AS a ON a.id = t.credit_id
            WHERE t.reason = 'shipping' AND t.phase IN ('pending', 'voided') GROUP BY 1, 2, 3
        ) AS moved
        JOIN orders."order" AS o ON coalesce(o.purchase_id, o.id) = moved.subject_id AND o.shop_id = moved.owner_id
        WHERE moved.amount <> 0;

        INSERT INTO orders.money_fact
        SELECT gen_random_uuid(), g.order_id, 'refunded', g.id,
               -(g.amount - g.shipping_amount + g.shop_discount_amount + g.subsidy_amount), -g.shipping_amount, -g.tax_amount,
               -g.shop_discount_amount, -g.subsidy_amount, t.made_at
        FROM orders.given_back AS g JOIN ledger.transfer AS t ON t.id = g.id AND t.phase = 'posted';

        -- Chargebacks of the past take of everything in proportion.
        WITH share AS (
            SELECT r.order_id, r.dispute_id, r.amount, r.reversed_at, r.restored_at,
                   div(r.amount::numeric * o.shipping_amount, o.total_amount)::bigint AS shipping,
                   div(r.amount::numeric * (o.discount_amount - o.subsidy_amount), o.total_amount)::bigint AS shop_discount,
                   div(r.amount::numeric * o.subsidy_amount, o.total_amount)::bigint AS subsidy,
                   div(r.amount * (SELECT sum(l.tax_amount) FROM orders.line AS l WHERE l.order_id = o.id),
                       o.total_amount)::bigint AS tax
            FROM orders.reversal AS r JOIN orders."order" AS o ON o.id = r.order_id
        )
        INSERT INTO orders.money_fact
        SELECT gen_random_uuid(), order_id, kind, dispute_id, sign * (amount - shipping + shop_discount + subsidy), sign * shipping,
               sign * tax, sign * shop_discount, sign * subsidy, at
        FROM share CROSS JOIN LATERAL (VALUES ('reversed', -1, reversed_at), ('restored', 1, restored_at)) AS act (kind, sign, at)
        WHERE at IS NOT NULL;

        CREATE TRIGGER money_fact_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON orders.money_fact
            FOR EACH STATEMENT EXECUTE FUNCTION base.refuse_change();

        -- History out of other books: how far along its orders, and then its returns, the lake has been told of a run.
        ALTER TABLE orders.past_return ADD COLUMN placement text NOT NULL DEFAULT 'import';
        ALTER TABLE orders.import_run
            ADD COLUMN orders_told_to uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
            ADD COLUMN returns_told_to uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
            ADD COLUMN told_at timestamptz;
        """
    )
