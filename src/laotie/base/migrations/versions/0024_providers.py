"""More payment providers: authorisations, chargebacks, refunds that fail; and their statements."""

from laotie.base.migrations import run

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    run(
        """
        -- `charge_ref`: the provider's name of the money itself, once there is some; statements and disputes call it so.
        ALTER TABLE payments.payment ADD COLUMN charge_ref text, ADD COLUMN next_kind text NOT NULL DEFAULT 'redirect';
        CREATE UNIQUE INDEX payment_of_charge ON payments.payment (provider, charge_ref);
        CREATE INDEX payment_captured ON payments.payment (provider, captured_at) WHERE captured_at IS NOT NULL;
        ALTER TABLE payments.payment DROP CONSTRAINT payment_state_check, DROP CONSTRAINT payment_check;
        ALTER TABLE payments.payment
            ADD CONSTRAINT payment_state_check CHECK (state IN (
                'created', 'pending', 'authorised', 'failed', 'captured', 'refunding', 'refunded', 'reversed')),
            ADD CONSTRAINT payment_captured_at CHECK (
                (state IN ('captured', 'refunding', 'refunded', 'reversed')) = (captured_at IS NOT NULL)),
            ADD CONSTRAINT payment_captured_part CHECK (captured_amount IS NULL OR captured_at IS NOT NULL),
            ADD CONSTRAINT payment_reversed CHECK (reversed_amount = 0 OR captured_at IS NOT NULL);

        -- A refund that the provider could not pay out is asked for again, as another attempt.
        ALTER TABLE payments.refund ADD COLUMN failures integer NOT NULL DEFAULT 0, ADD COLUMN failure text;

        -- A message that came before the one it follows is kept as we understood it, until it fits.
        ALTER TABLE payments.webhook_inbox ADD COLUMN report jsonb, ADD COLUMN charge_ref text;
        CREATE INDEX webhook_early ON payments.webhook_inbox (provider) WHERE verdict = 'early';

        CREATE TABLE payments.dispute (
            id uuid PRIMARY KEY,
            provider text NOT NULL,
            provider_ref text NOT NULL,
            payment_id uuid NOT NULL REFERENCES payments.payment (id),
            amount bigint NOT NULL CHECK (amount > 0),
            currency text NOT NULL,
            reason text NOT NULL,
            state text NOT NULL CHECK (state IN ('open', 'answered', 'won', 'lost')),
            money text NOT NULL DEFAULT 'kept' CHECK (money IN ('kept', 'taken', 'returned')),
            evidence_until timestamptz,
            evidence text,
            opened_at timestamptz NOT NULL,
            changed_at timestamptz NOT NULL,
            UNIQUE (provider, provider_ref)
        );
        CREATE INDEX dispute_of_payment ON payments.dispute (payment_id);

        CREATE TABLE payments.statement (
            id uuid PRIMARY KEY,
            provider text NOT NULL,
            stated_on date NOT NULL,
            digest bytea NOT NULL,
            name text NOT NULL,
            content bytea NOT NULL,
            line_count integer NOT NULL,
            brought_by uuid,
            brought_at timestamptz NOT NULL,
            matched_at timestamptz NOT NULL,
            UNIQUE (provider, digest)
        );

        CREATE TABLE payments.statement_line (
            statement_id uuid NOT NULL REFERENCES payments.statement (id),
            no integer NOT NULL,
            kind text NOT NULL CHECK (kind IN ('payment', 'refund', 'reversal', 'restoration', 'fee', 'other')),
            reference text NOT NULL,
            amount bigint NOT NULL,
            fee_amount bigint NOT NULL,
            currency text NOT NULL,
            moved_at timestamptz,
            subject_id uuid,
            PRIMARY KEY (statement_id, no)
        );
        CREATE INDEX statement_line_of_subject ON payments.statement_line (subject_id) WHERE subject_id IS NOT NULL;

        CREATE TABLE payments.statement_difference (
            statement_id uuid NOT NULL REFERENCES payments.statement (id),
            no integer NOT NULL,
            kind text NOT NULL,
            line_no integer,
            subject_id uuid,
            order_id uuid,
            reference text NOT NULL,
            expected text NOT NULL,
            found text NOT NULL,
            PRIMARY KEY (statement_id, no)
        );

        -- The sandbox: second factor, authorisation before capture, refunds that fail, chargebacks.
        ALTER TABLE payments.sandbox_payment DROP CONSTRAINT sandbox_payment_state_check;
        ALTER TABLE payments.sandbox_payment DROP CONSTRAINT sandbox_payment_check, DROP CONSTRAINT sandbox_payment_check1;
        ALTER TABLE payments.sandbox_payment
            ADD COLUMN captures_later boolean NOT NULL DEFAULT false,
            ADD COLUMN captured_amount bigint,
            ADD COLUMN captured_at timestamptz,
            ADD COLUMN disputed_amount bigint NOT NULL DEFAULT 0,
            ADD COLUMN part_amount bigint CHECK (part_amount > 0),
            ADD COLUMN refund_failures integer NOT NULL DEFAULT 0 CHECK (refund_failures >= 0),
            ADD COLUMN trouble text NOT NULL DEFAULT 'none',
            ADD COLUMN delay_s integer NOT NULL DEFAULT 0,
            ADD COLUMN code text,
            ADD COLUMN code_tries integer NOT NULL DEFAULT 0,
            ADD COLUMN decline_reason text;
        UPDATE payments.sandbox_payment SET captured_amount = amount, captured_at = decided_at WHERE state = 'approved';
        ALTER TABLE payments.sandbox_payment
            ADD CONSTRAINT sandbox_payment_state_check
                CHECK (state IN ('open', 'challenged', 'authorised', 'approved', 'declined')),
            ADD CONSTRAINT sandbox_payment_captured
                CHECK ((state = 'approved') = (captured_amount IS NOT NULL) AND captured_amount BETWEEN 1 AND amount),
            ADD CONSTRAINT sandbox_payment_spent CHECK (
                refunded_amount >= 0 AND disputed_amount >= 0
                AND refunded_amount + disputed_amount <= coalesce(captured_amount, 0));

        ALTER TABLE payments.sandbox_refund ADD COLUMN attempt integer NOT NULL DEFAULT 0, ADD COLUMN failed boolean
            NOT NULL DEFAULT false;
        ALTER TABLE payments.sandbox_refund DROP CONSTRAINT sandbox_refund_pkey;
        ALTER TABLE payments.sandbox_refund ADD PRIMARY KEY (reference, attempt);

        CREATE TABLE payments.sandbox_dispute (
            id uuid PRIMARY KEY,
            number text NOT NULL UNIQUE,
            payment_reference uuid NOT NULL REFERENCES payments.sandbox_payment (reference),
            amount bigint NOT NULL CHECK (amount > 0),
            reason text NOT NULL,
            state text NOT NULL CHECK (state IN ('open', 'answered', 'won', 'lost')),
            evidence text,
            evidence_until timestamptz NOT NULL,
            opened_at timestamptz NOT NULL,
            decided_at timestamptz
        );

        -- What each order bore of a chargeback, so that one that is won gives it back exactly.
        CREATE TABLE orders.reversal (
            dispute_id uuid NOT NULL,
            order_id uuid NOT NULL REFERENCES orders."order" (id),
            amount bigint NOT NULL CHECK (amount > 0),
            reversed_at timestamptz NOT NULL,
            restored_at timestamptz,
            PRIMARY KEY (dispute_id, order_id)
        );

        ALTER TABLE orders.agenda DROP CONSTRAINT agenda_kind_check;
        ALTER TABLE orders.agenda ADD CONSTRAINT agenda_kind_check
            CHECK (kind IN ('overdue', 'captured', 'refunded', 'reversed', 'restored'));
        """
    )
