"""Money that lay where nobody would ever take it from: released, given back in vain, charged back of old, and terms that end."""

from laotie.base.migrations import run

revision = "0042"
down_revision = "0041"

OWED = """
    -- What was granted while a chargeback had the money; it goes to the buyer when that is won.
    ALTER TABLE orders.line ADD COLUMN owed_amount bigint NOT NULL DEFAULT 0 CHECK (owed_amount >= 0);
    ALTER TABLE orders."order" ADD COLUMN owed_shipping_amount bigint NOT NULL DEFAULT 0 CHECK (owed_shipping_amount >= 0);

    -- An order that was given back before it was complete is over too: what comes back to it later belongs to somebody.
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
        WHERE (o.completed_at IS NOT NULL OR o.state = 'refunded') AND o.source <> 'imported'
          AND o.total_amount - o.refunded_amount - o.reversed_amount
              + o.subsidy_amount - coalesce(g.subsidy_amount, 0) <> 0;

    -- What lies there already: the agenda gives buyers what is theirs, settlement looks at the rest.
    INSERT INTO orders.agenda (kind, id, order_id, payment_id, amount, currency, reason, due_at)
    SELECT DISTINCT ON (r.dispute_id) 'restored', r.dispute_id, coalesce(o.purchase_id, o.id), o.payment_id, r.amount, o.currency,
           'won', now()
    FROM orders."order" AS o JOIN orders.reversal AS r ON r.order_id = o.id AND r.restored_at IS NOT NULL
    WHERE o.state = 'refunded' AND o.completed_at IS NULL AND o.total_amount > o.refunded_amount + o.reversed_amount
    ORDER BY r.dispute_id
    ON CONFLICT DO NOTHING;

    INSERT INTO settlement.look (cause_id, order_id)
    SELECT id, id FROM orders."order"
    WHERE state = 'refunded' AND completed_at IS NULL AND source <> 'imported' AND paid_at IS NOT NULL
    ON CONFLICT DO NOTHING;
"""

BOOKED_ANEW = """
    -- What went into sellers' own accounts has left the provider's balance; it was booked against an account that only grew.
    -- Top-ups that were charged back before they left the wallet were booked as the platform's loss.
    WITH old AS (
        SELECT grown.id AS debit_id, taken.id AS credit_id, grown.currency, 'released' AS reason, grown.id AS subject_id,
               (SELECT sum(credits_posted - debits_posted)::bigint
                FROM (SELECT account_id, credits_posted, debits_posted FROM ledger.balance
                      UNION ALL SELECT account_id, credits_posted, debits_posted FROM ledger.delta) AS part
                WHERE part.account_id = grown.id) AS amount
        FROM ledger.account AS grown
        JOIN ledger.account AS taken ON taken.kind = 'provider' AND taken.currency = grown.currency
        WHERE grown.kind = 'released'
        UNION ALL
        SELECT wallet.id, loss.id, loss.currency, 'wallet.reversed', payment.id,
               sum(CASE WHEN moved.debit_id = loss.id THEN moved.amount ELSE -moved.amount END)::bigint
        FROM ledger.account AS loss
        JOIN ledger.transfer AS moved ON loss.id IN (moved.debit_id, moved.credit_id)
             AND moved.reason IN ('wallet.reversed', 'wallet.restored')
        JOIN payments.payment AS payment ON payment.id = moved.subject_id AND payment.purpose = 'topup'
        JOIN ledger.account AS wallet
          ON wallet.kind = 'wallet' AND wallet.owner_id = payment.wallet_id AND wallet.currency = loss.currency
        WHERE loss.kind = 'subsidy' GROUP BY wallet.id, loss.id, loss.currency, payment.id
    ), leg AS (
        INSERT INTO ledger.transfer (id, debit_id, credit_id, amount, currency, phase, reason, subject_id, made_at)
        SELECT gen_random_uuid(), debit_id, credit_id, amount, currency, 'posted', reason, subject_id, now() FROM old WHERE amount > 0
        RETURNING debit_id, credit_id, amount, currency
    ), side AS (
        SELECT debit_id AS account_id, currency, amount AS debit, 0 AS credit FROM leg
        UNION ALL SELECT credit_id, currency, 0, amount FROM leg
    )
    INSERT INTO ledger.delta (id, account_id, currency, debits_pending, credits_pending, debits_posted, credits_posted)
    SELECT gen_random_uuid(), account_id, currency, 0, 0, sum(debit)::bigint, sum(credit)::bigint
    FROM side GROUP BY account_id, currency;
"""

TERMS = """
    -- A term without hours ends the one before: from then on everybody's counts again, or the setting.
    ALTER TABLE settlement.term ALTER COLUMN delay_h DROP NOT NULL;
"""


def upgrade() -> None:
    run(OWED)
    run(BOOKED_ANEW)
    run(TERMS)
