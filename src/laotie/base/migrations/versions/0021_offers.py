"""Coupons: what they give, who holds them, what they were spent on."""

from laotie.base.migrations import run

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA offers;

        -- What a coupon gives, to whom, on what; and how far quantity and budget are used up. Without a shop the
        -- platform pays for it. Every use of a coupon is judged and written under the lock of its row.
        CREATE TABLE offers.coupon (
            id uuid PRIMARY KEY,
            shop_id uuid,
            layer text NOT NULL CHECK (layer IN ('show', 'shop', 'platform')),
            title text NOT NULL,
            kind text NOT NULL CHECK (kind IN ('fixed', 'percent', 'steps')),
            currency text NOT NULL,
            threshold_amount bigint NOT NULL CHECK (threshold_amount >= 0),
            off_amount bigint CHECK (off_amount > 0),
            bps integer CHECK (bps BETWEEN 1 AND 9999),
            cap_amount bigint CHECK (cap_amount > 0),
            steps jsonb,
            product_ids uuid[],
            show_id uuid,
            streamer_id uuid,
            fan_level smallint NOT NULL DEFAULT 0,
            new_buyer boolean NOT NULL,
            alone boolean NOT NULL,
            quantity bigint NOT NULL CHECK (quantity > 0),
            per_person integer NOT NULL CHECK (per_person > 0),
            budget_amount bigint NOT NULL CHECK (budget_amount > 0),
            claimed_count bigint NOT NULL DEFAULT 0,
            used_count bigint NOT NULL DEFAULT 0,
            spent_amount bigint NOT NULL DEFAULT 0,
            starts_at timestamptz NOT NULL,
            ends_at timestamptz NOT NULL,
            valid_days integer CHECK (valid_days > 0),
            state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'stopped')),
            made_by uuid NOT NULL,
            digest bytea NOT NULL,
            created_at timestamptz NOT NULL,
            CHECK ((layer = 'platform') = (shop_id IS NULL)),
            CHECK (layer <> 'show' OR show_id IS NOT NULL),
            CHECK ((kind = 'fixed') = (off_amount IS NOT NULL)),
            CHECK ((kind = 'percent') = (bps IS NOT NULL)),
            CHECK ((kind = 'steps') = (steps IS NOT NULL)),
            CHECK ((fan_level > 0) = (streamer_id IS NOT NULL)),
            CHECK (starts_at < ends_at),
            CONSTRAINT coupon_claimed CHECK (claimed_count BETWEEN 0 AND quantity),
            CONSTRAINT coupon_used CHECK (used_count BETWEEN 0 AND claimed_count),
            CONSTRAINT coupon_spent CHECK (spent_amount BETWEEN 0 AND budget_amount)
        ) WITH (fillfactor = 50);
        CREATE INDEX coupon_of_shop ON offers.coupon (shop_id, id);

        -- One coupon in one person's hand, used once: `order_ids` are the orders of the purchase that it was spent on.
        CREATE TABLE offers.claim (
            id uuid PRIMARY KEY,
            coupon_id uuid NOT NULL REFERENCES offers.coupon (id),
            holder_id uuid NOT NULL,
            ordinal integer NOT NULL CHECK (ordinal > 0),
            claimed_at timestamptz NOT NULL,
            valid_until timestamptz NOT NULL,
            order_ids uuid[] CHECK (cardinality(order_ids) > 0),
            used_at timestamptz,
            UNIQUE (holder_id, coupon_id, ordinal),
            CHECK ((order_ids IS NULL) = (used_at IS NULL))
        ) WITH (fillfactor = 80);

        -- What a claim took off an order, line by line, and why it could. `ended_at`: the order came to nothing.
        CREATE TABLE offers.application (
            order_id uuid NOT NULL,
            claim_id uuid NOT NULL REFERENCES offers.claim (id),
            coupon_id uuid NOT NULL,
            amount bigint NOT NULL CHECK (amount > 0),
            subsidy_amount bigint NOT NULL CHECK (subsidy_amount BETWEEN 0 AND amount),
            lines jsonb NOT NULL,
            base_amount bigint NOT NULL,
            rule_version integer NOT NULL,
            applied_at timestamptz NOT NULL,
            ended_at timestamptz,
            PRIMARY KEY (order_id, claim_id)
        );

        -- The order on which somebody was a new buyer (of a shop; nil: of the platform). One at a time.
        CREATE TABLE offers.first_purchase (
            buyer_id uuid NOT NULL,
            seller_id uuid NOT NULL,
            order_id uuid NOT NULL,
            PRIMARY KEY (buyer_id, seller_id)
        );
        CREATE INDEX first_purchase_by_order ON offers.first_purchase (order_id);

        -- What may be combined: the last version counts, and every application names its own.
        CREATE TABLE offers.rule (
            version integer PRIMARY KEY,
            most jsonb NOT NULL,
            exclusions jsonb NOT NULL,
            made_by uuid,
            made_at timestamptz NOT NULL
        );
        INSERT INTO offers.rule (version, most, exclusions, made_at)
        VALUES (1, '{"show": 1, "shop": 1, "platform": 1}', '[]', now());
        """
    )
