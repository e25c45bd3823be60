"""Activities of a show with their entries, bargains and duels; wallets' statements; personal prices; top-ups."""

from laotie.base.migrations import run

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA fun;

        CREATE TABLE fun.activity (
            id uuid PRIMARY KEY,
            kind text NOT NULL CHECK (kind IN ('red_packet', 'lottery', 'quiz', 'poll', 'bargain', 'pk')),
            state text NOT NULL CHECK (state IN ('ready', 'invited', 'open', 'closed', 'settled', 'cancelled')),
            show_id uuid NOT NULL,
            shop_id uuid NOT NULL,
            host_id uuid NOT NULL,
            maker_id uuid NOT NULL,
            rival_show_id uuid,
            rival_host_id uuid,
            title text NOT NULL,
            plan jsonb NOT NULL,
            followers_only boolean NOT NULL,
            follow_minutes integer NOT NULL CHECK (follow_minutes >= 0),
            duration_s integer NOT NULL CHECK (duration_s > 0),
            digest bytea NOT NULL,
            version bigint NOT NULL DEFAULT 1,

            funder_id uuid,
            currency text NOT NULL,
            amount bigint NOT NULL CHECK (amount >= 0),
            funded_at timestamptz,
            paid_amount bigint NOT NULL DEFAULT 0 CHECK (paid_amount >= 0),
            returned_amount bigint NOT NULL DEFAULT 0 CHECK (returned_amount >= 0),

            seed bytea,
            rules text,
            commitment bytea,
            head bytea,
            entry_count integer NOT NULL DEFAULT 0 CHECK (entry_count >= 0),
            left_count integer CHECK (left_count >= 0),
            counts integer[] NOT NULL,

            created_at timestamptz NOT NULL,
            opens_at timestamptz,
            closes_at timestamptz,
            closed_at timestamptz,
            settled_at timestamptz,
            due_at timestamptz,

            CHECK ((kind = 'pk') = (rival_show_id IS NOT NULL)),
            CHECK ((amount > 0) = (funder_id IS NOT NULL)),
            CHECK (paid_amount + returned_amount <= CASE WHEN funded_at IS NULL THEN 0 ELSE amount END),
            CHECK (state NOT IN ('settled', 'cancelled') OR funded_at IS NULL OR paid_amount + returned_amount = amount)
        );
        CREATE INDEX activity_of_show ON fun.activity (show_id, id);
        CREATE INDEX activity_of_rival ON fun.activity (rival_show_id, id) WHERE rival_show_id IS NOT NULL;
        CREATE INDEX activity_of_host ON fun.activity (host_id, funded_at) WHERE funded_at IS NOT NULL;
        CREATE INDEX activity_duel ON fun.activity (id) WHERE kind = 'pk' AND state = 'open';
        CREATE INDEX activity_due ON fun.activity (due_at) WHERE due_at IS NOT NULL;

        -- One a person and activity, in the order of arrival; the key is what makes a second grab impossible.
        CREATE TABLE fun.entry (
            activity_id uuid NOT NULL REFERENCES fun.activity (id),
            viewer_id uuid NOT NULL,
            no integer NOT NULL CHECK (no > 0),
            nonce text NOT NULL,
            choice text,
            amount bigint CHECK (amount > 0),
            prize smallint,
            head bytea NOT NULL,
            entered_at timestamptz NOT NULL,
            PRIMARY KEY (activity_id, viewer_id),
            UNIQUE (activity_id, no)
        );
        CREATE INDEX entry_of_viewer ON fun.entry (viewer_id, entered_at);

        CREATE TABLE fun.bargain (
            id uuid PRIMARY KEY,
            activity_id uuid NOT NULL REFERENCES fun.activity (id),
            buyer_id uuid NOT NULL,
            helped_count integer NOT NULL DEFAULT 0,
            cut_amount bigint NOT NULL DEFAULT 0,
            grant_id uuid,
            opened_at timestamptz NOT NULL,
            UNIQUE (activity_id, buyer_id)
        );

        CREATE TABLE fun.pk_side (
            activity_id uuid NOT NULL REFERENCES fun.activity (id),
            show_id uuid NOT NULL,
            likes bigint NOT NULL DEFAULT 0,
            orders bigint NOT NULL DEFAULT 0,
            PRIMARY KEY (activity_id, show_id)
        );

        -- What one viewer has given one side; the bounds are checked here once more.
        CREATE TABLE fun.pk_point (
            activity_id uuid NOT NULL REFERENCES fun.activity (id),
            show_id uuid NOT NULL,
            viewer_id uuid NOT NULL,
            likes integer NOT NULL DEFAULT 0 CHECK (likes BETWEEN 0 AND 100),
            orders integer NOT NULL DEFAULT 0 CHECK (orders BETWEEN 0 AND 3),
            PRIMARY KEY (activity_id, show_id, viewer_id)
        );

        -- A wallet's statement. Orders' transfers are not in these indexes, so a sale costs what it did.
        CREATE INDEX transfer_out_of_wallet ON ledger.transfer (debit_id, made_at, id) WHERE reason LIKE 'wallet.%';
        CREATE INDEX transfer_into_wallet ON ledger.transfer (credit_id, made_at, id) WHERE reason LIKE 'wallet.%';

        -- One piece of a cart item at a price of one's own; spent by the order that bears it.
        CREATE TABLE live.price_grant (
            id uuid PRIMARY KEY,
            viewer_id uuid NOT NULL,
            show_id uuid NOT NULL REFERENCES live.show (id),
            item_id uuid NOT NULL,
            sku_id uuid NOT NULL,
            price_amount bigint NOT NULL CHECK (price_amount > 0),
            currency text NOT NULL,
            reason_id uuid NOT NULL,
            granted_at timestamptz NOT NULL,
            valid_until timestamptz NOT NULL,
            order_id uuid,
            UNIQUE (reason_id, viewer_id)
        );

        -- A payment is for an order, or puts money into a wallet; then `order_id` is the payment's own id.
        ALTER TABLE payments.payment
            ADD COLUMN purpose text NOT NULL DEFAULT 'order' CHECK (purpose IN ('order', 'topup')),
            ADD COLUMN wallet_id uuid,
            ADD CHECK ((purpose = 'topup') = (wallet_id IS NOT NULL));

        CREATE OR REPLACE VIEW payments.order_fact AS
            SELECT 'kept' AS topic, order_id, sum(amount - refunded_amount - refunding_amount)::text AS fact
            FROM payments.payment WHERE captured_at IS NOT NULL AND purpose = 'order'
            GROUP BY order_id HAVING sum(amount - refunded_amount - refunding_amount) <> 0
            UNION ALL
            SELECT 'money', order_id, sum(amount - refunded_amount)::text
            FROM payments.payment WHERE captured_at IS NOT NULL
            GROUP BY order_id HAVING sum(amount - refunded_amount) <> 0;
        """
    )
