"""Statements: what a line is to its shop and to its streamer, and the sums of months that are over."""

from laotie.base.migrations import run

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    run(
        """
        -- A line as each of the two it concerns sees it; `amount` is what it changes for that owner. What a shop pays
        -- to others is not the streamer's to see. Pages are read from the two, each in its index's order.
        CREATE VIEW settlement.shop_entry AS
            SELECT shop_id AS owner_id, id, kind, shop_id, streamer_id, order_id, no, currency,
                   goods_amount, shipping_amount, subsidy_amount, platform_bps, payment_bps, streamer_bps,
                   platform_amount, payment_amount, streamer_amount, net_amount AS amount,
                   booked_on, booked_at, subject_id
            FROM settlement.line WHERE shop_id IS NOT NULL;
        CREATE VIEW settlement.streamer_entry AS
            SELECT streamer_id AS owner_id, id, kind, shop_id, streamer_id, order_id, no, currency,
                   goods_amount, 0::bigint AS shipping_amount, subsidy_amount, 0 AS platform_bps, 0 AS payment_bps,
                   streamer_bps, 0::bigint AS platform_amount, 0::bigint AS payment_amount,
                   0::bigint AS streamer_amount, streamer_amount AS amount, booked_on, booked_at, subject_id
            FROM settlement.line WHERE streamer_id IS NOT NULL AND streamer_amount <> 0;
        CREATE VIEW settlement.entry AS
            SELECT * FROM settlement.shop_entry UNION ALL SELECT * FROM settlement.streamer_entry;

        -- What is due, as what each of the two may expect of it: the same division as in settling and `model.split`.
        CREATE VIEW settlement.expectation AS
            WITH parted AS (
                SELECT order_id, shop_id, streamer_id, currency, due_at, paused,
                       goods_amount + shipping_amount + subsidy_amount AS amount,
                       (goods_amount + subsidy_amount) / 10000 * platform_bps
                       + (goods_amount + subsidy_amount) % 10000 * platform_bps / 10000 AS platform_amount,
                       (goods_amount + shipping_amount) / 10000 * payment_bps
                       + (goods_amount + shipping_amount) % 10000 * payment_bps / 10000 AS payment_amount,
                       (goods_amount + subsidy_amount) / 10000 * streamer_bps
                       + (goods_amount + subsidy_amount) % 10000 * streamer_bps / 10000 AS streamer_amount
                FROM settlement.due
            )
            SELECT shop_id AS owner_id, order_id, currency, due_at, paused,
                   amount - platform_amount - payment_amount - streamer_amount AS amount
            FROM parted
            UNION ALL
            SELECT streamer_id, order_id, currency, due_at, paused, streamer_amount
            FROM parted WHERE streamer_id IS NOT NULL AND streamer_amount > 0;

        -- Months that are over and written down. Lines of a closed month never change, so neither do its sums; what
        -- came before a month is read from here and not from a shop's whole history.
        CREATE TABLE settlement.month (
            month_on date PRIMARY KEY CHECK (extract(day FROM month_on) = 1),
            closed_at timestamptz NOT NULL
        );
        CREATE TABLE settlement.month_sum (
            owner_id uuid NOT NULL,
            currency text NOT NULL,
            month_on date NOT NULL REFERENCES settlement.month (month_on),
            kind text NOT NULL,
            line_count integer NOT NULL,
            goods_amount bigint NOT NULL,
            shipping_amount bigint NOT NULL,
            subsidy_amount bigint NOT NULL,
            platform_amount bigint NOT NULL,
            payment_amount bigint NOT NULL,
            streamer_amount bigint NOT NULL,
            amount bigint NOT NULL,
            PRIMARY KEY (owner_id, currency, month_on, kind)
        );

        CREATE INDEX line_by_day ON settlement.line USING brin (booked_on);
        CREATE INDEX due_of_streamer ON settlement.due (streamer_id, due_at) WHERE streamer_id IS NOT NULL;
        CREATE INDEX rate_of_shop ON settlement.rate (shop_id, id) WHERE shop_id IS NOT NULL;
        """
    )
