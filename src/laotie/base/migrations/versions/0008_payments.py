"""Payments, refunds, what providers told us, and the sandbox provider's own books."""

from laotie.base.migrations import run

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA payments;

        CREATE TABLE payments.payment (
            id uuid PRIMARY KEY,
            order_id uuid NOT NULL,
            buyer_id uuid NOT NULL,
            provider text NOT NULL,
            provider_ref text,
            amount bigint NOT NULL CHECK (amount > 0),
            currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
            state text NOT NULL
                CHECK (state IN ('created', 'pending', 'failed', 'captured', 'refunding', 'refunded')),
            next_url text,
            failure text,
            attempts integer NOT NULL DEFAULT 0,
            refunding_amount bigint NOT NULL DEFAULT 0 CHECK (refunding_amount >= 0),
            refunded_amount bigint NOT NULL DEFAULT 0 CHECK (refunded_amount >= 0),
            created_at timestamptz NOT NULL,
            changed_at timestamptz NOT NULL,
            captured_at timestamptz,
            UNIQUE (provider, provider_ref),
            CHECK ((state IN ('captured', 'refunding', 'refunded')) = (captured_at IS NOT NULL)),
            CHECK (captured_at IS NOT NULL OR refunding_amount + refunded_amount = 0),
            CHECK (refunding_amount + refunded_amount <= amount)
        );
        CREATE INDEX payment_of_order ON payments.payment (order_id, id);

        CREATE TABLE payments.refund (
            id uuid PRIMARY KEY,
            payment_id uuid NOT NULL REFERENCES payments.payment (id),
            amount bigint NOT NULL CHECK (amount > 0),
            reason text NOT NULL,
            state text NOT NULL CHECK (state IN ('asked', 'sent', 'done', 'failed')),
            provider_ref text,
            attempts integer NOT NULL DEFAULT 0,
            asked_at timestamptz NOT NULL,
            settled_at timestamptz
        );
        CREATE INDEX refund_of_payment ON payments.refund (payment_id);

        -- Everything a provider tells is kept as it came; the key makes a repeated telling a no-op.
        CREATE TABLE payments.webhook_inbox (
            provider text NOT NULL,
            event_id text NOT NULL,
            kind text NOT NULL,
            payment_id uuid,
            verdict text NOT NULL,
            body bytea NOT NULL,
            heard_at timestamptz NOT NULL,
            PRIMARY KEY (provider, event_id)
        );

        -- Where a provider's word and ours differ: for people to look into, never guessed away.
        CREATE TABLE payments.discrepancy (
            id uuid PRIMARY KEY,
            provider text NOT NULL,
            event_id text NOT NULL,
            kind text NOT NULL,
            payment_id uuid,
            expected text NOT NULL,
            found text NOT NULL,
            found_at timestamptz NOT NULL
        );

        -- The sandbox provider's own books. Nothing but sandbox.py reads or writes them.
        CREATE TABLE payments.sandbox_payment (
            reference uuid PRIMARY KEY,
            number text NOT NULL UNIQUE,
            customer_id uuid NOT NULL,
            order_id uuid NOT NULL,
            amount bigint NOT NULL CHECK (amount > 0),
            currency text NOT NULL,
            description text NOT NULL,
            return_url text NOT NULL,
            state text NOT NULL CHECK (state IN ('open', 'approved', 'declined')),
            refunded_amount bigint NOT NULL DEFAULT 0,
            made_at timestamptz NOT NULL,
            decided_at timestamptz,
            CHECK (refunded_amount BETWEEN 0 AND amount),
            CHECK (refunded_amount = 0 OR state = 'approved')
        );

        CREATE TABLE payments.sandbox_refund (
            reference uuid PRIMARY KEY,
            number text NOT NULL UNIQUE,
            payment_reference uuid NOT NULL REFERENCES payments.sandbox_payment (reference),
            amount bigint NOT NULL CHECK (amount > 0),
            made_at timestamptz NOT NULL
        );

        CREATE TABLE payments.sandbox_event (
            id uuid PRIMARY KEY,
            payment_reference uuid NOT NULL REFERENCES payments.sandbox_payment (reference),
            body bytea NOT NULL,
            losses integer NOT NULL DEFAULT 0,
            attempts integer NOT NULL DEFAULT 0,
            made_at timestamptz NOT NULL,
            delivered_at timestamptz,
            given_up_at timestamptz
        );

        CREATE TABLE payments.sandbox_outage (
            id smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
            down_until timestamptz NOT NULL
        );

        -- What payments say of an order, a fact a row, in the form the audit compares between rooms.
        CREATE VIEW payments.order_fact AS
            SELECT 'kept' AS topic, order_id, sum(amount - refunded_amount - refunding_amount)::text AS fact
            FROM payments.payment WHERE captured_at IS NOT NULL
            GROUP BY order_id HAVING sum(amount - refunded_amount - refunding_amount) <> 0
            UNION ALL
            SELECT 'money', order_id, sum(amount - refunded_amount)::text
            FROM payments.payment WHERE captured_at IS NOT NULL
            GROUP BY order_id HAVING sum(amount - refunded_amount) <> 0;
        """
    )
