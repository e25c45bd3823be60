"""Sellers' own accounts at providers, releases into them, providers' costs, settled differences, payments asked after."""

from laotie.base.migrations import run

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    run(
        """
        -- Shops of the house itself: what is paid for them is nobody else's money.
        ALTER TABLE catalog.shop ADD COLUMN self_operated boolean NOT NULL DEFAULT false;

        -- The account that a shop or a streamer has with a provider. `owner_id`: which.
        CREATE TABLE payments.seller (
            id uuid PRIMARY KEY,
            provider text NOT NULL,
            owner_id uuid NOT NULL,
            kind text NOT NULL CHECK (kind IN ('shop', 'streamer')),
            name text NOT NULL,
            country text NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
            provider_ref text,
            state text NOT NULL CHECK (state IN ('asked', 'pending', 'ready', 'limited', 'refused')),
            reason text NOT NULL DEFAULT '',
            asked_by uuid NOT NULL,
            polls smallint NOT NULL DEFAULT 0,
            poll_at timestamptz,
            asked_at timestamptz NOT NULL,
            changed_at timestamptz NOT NULL,
            UNIQUE (provider, owner_id),
            UNIQUE (provider, provider_ref),
            CHECK ((state = 'asked') = (provider_ref IS NULL))
        );
        CREATE INDEX seller_of_owner ON payments.seller (owner_id);
        CREATE INDEX seller_poll ON payments.seller (poll_at) WHERE poll_at IS NOT NULL;

        -- Money that a provider is to let go into a seller's own account there. The id is its idempotency key.
        CREATE TABLE payments.release (
            id uuid PRIMARY KEY,
            provider text NOT NULL,
            owner_id uuid NOT NULL,
            amount bigint NOT NULL CHECK (amount > 0),
            currency text NOT NULL,
            state text NOT NULL CHECK (state IN ('asked', 'sent', 'done', 'failed')),
            provider_ref text,
            reason text NOT NULL DEFAULT '',
            attempts integer NOT NULL DEFAULT 0,
            polls smallint NOT NULL DEFAULT 0,
            poll_at timestamptz,
            asked_at timestamptz NOT NULL,
            settled_at timestamptz,
            CHECK ((state IN ('done', 'failed')) = (settled_at IS NOT NULL))
        );
        CREATE INDEX release_of_owner ON payments.release (owner_id, id);
        CREATE INDEX release_open ON payments.release (id) WHERE state IN ('asked', 'sent');
        CREATE INDEX release_poll ON payments.release (poll_at) WHERE state = 'sent';

        -- What a provider took for its services, once for each thing it took it for, however often it is stated.
        CREATE TABLE payments.fee (
            id uuid PRIMARY KEY,
            provider text NOT NULL,
            kind text NOT NULL,
            reference text NOT NULL,
            amount bigint NOT NULL CHECK (amount <> 0),
            currency text NOT NULL,
            statement_id uuid NOT NULL REFERENCES payments.statement (id),
            line_no integer NOT NULL,
            stated_on date NOT NULL,
            booked_at timestamptz NOT NULL,
            UNIQUE (provider, kind, reference)
        );
        CREATE INDEX fee_of_day ON payments.fee (stated_on, provider);

        -- The same difference is found again whenever its statement is matched anew; what says the same is the same.
        ALTER TABLE payments.statement_difference ADD COLUMN mark text GENERATED ALWAYS AS (
            md5(kind || ' ' || coalesce(line_no::text, '') || ' ' || coalesce(subject_id::text, '') || ' '
                || coalesce(order_id::text, '') || ' ' || reference || ' ' || expected || ' ' || found)) STORED;

        ALTER TABLE payments.statement_line DROP CONSTRAINT statement_line_kind_check;
        ALTER TABLE payments.statement_line ADD CONSTRAINT statement_line_kind_check CHECK (kind IN (
            'payment', 'refund', 'reversal', 'restoration', 'release', 'fee', 'own', 'other'));

        -- What two operators say of a difference: the one proposes, the other settles. Never deleted. `amount`: by how
        -- much our books of the provider's money are corrected with it.
        CREATE TABLE payments.resolution (
            id uuid PRIMARY KEY,
            discrepancy_id uuid REFERENCES payments.discrepancy (id),
            statement_id uuid REFERENCES payments.statement (id),
            mark text,
            provider text NOT NULL,
            kind text NOT NULL,
            reference text NOT NULL,
            expected text NOT NULL,
            found text NOT NULL,
            reason text NOT NULL CHECK (reason <> ''),
            amount bigint CHECK (amount <> 0),
            currency text,
            state text NOT NULL DEFAULT 'proposed' CHECK (state IN ('proposed', 'settled', 'dropped')),
            proposed_by uuid NOT NULL,
            proposed_at timestamptz NOT NULL,
            decided_by uuid,
            decided_at timestamptz,
            CHECK ((discrepancy_id IS NULL) <> (statement_id IS NULL)),
            CHECK ((statement_id IS NULL) = (mark IS NULL)),
            CHECK ((amount IS NULL) = (currency IS NULL)),
            CHECK ((state = 'proposed') = (decided_by IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL)),
            CHECK (state <> 'settled' OR decided_by <> proposed_by)
        );
        CREATE UNIQUE INDEX resolution_of_discrepancy ON payments.resolution (discrepancy_id) WHERE state <> 'dropped';
        CREATE UNIQUE INDEX resolution_of_difference ON payments.resolution (statement_id, mark)
            WHERE state <> 'dropped';

        -- What nothing is heard of is asked after: when next, and how often it was.
        ALTER TABLE payments.payment ADD COLUMN poll_at timestamptz, ADD COLUMN polls smallint NOT NULL DEFAULT 0;
        ALTER TABLE payments.refund ADD COLUMN poll_at timestamptz, ADD COLUMN polls smallint NOT NULL DEFAULT 0;
        UPDATE payments.payment SET poll_at = now() WHERE state IN ('pending', 'authorised');
        UPDATE payments.refund SET poll_at = now() WHERE state = 'sent';
        CREATE INDEX payment_poll ON payments.payment (poll_at) WHERE state IN ('pending', 'authorised');
        CREATE INDEX refund_poll ON payments.refund (poll_at) WHERE state = 'sent';

        -- The sandbox: accounts of sellers, transfers into them, and messages that are of no payment.
        CREATE TABLE payments.sandbox_account (
            id uuid PRIMARY KEY,
            number text NOT NULL UNIQUE,
            holder_id uuid NOT NULL,
            name text NOT NULL,
            state text NOT NULL CHECK (state IN ('pending', 'ready', 'limited', 'refused')),
            reason text NOT NULL DEFAULT '',
            refusals integer NOT NULL DEFAULT 0 CHECK (refusals >= 0),
            delay_s integer NOT NULL DEFAULT 0 CHECK (delay_s >= 0),
            made_at timestamptz NOT NULL
        );
        CREATE TABLE payments.sandbox_transfer (
            reference uuid PRIMARY KEY,
            number text NOT NULL UNIQUE,
            account_id uuid NOT NULL REFERENCES payments.sandbox_account (id),
            amount bigint NOT NULL CHECK (amount > 0),
            currency text NOT NULL,
            state text NOT NULL CHECK (state IN ('pending', 'done', 'failed')),
            reason text NOT NULL DEFAULT '',
            made_at timestamptz NOT NULL,
            decided_at timestamptz
        );
        CREATE INDEX sandbox_transfer_of_account ON payments.sandbox_transfer (account_id, number);
        ALTER TABLE payments.sandbox_event ALTER COLUMN payment_reference DROP NOT NULL;
        ALTER TABLE payments.sandbox_payment ADD COLUMN fee_bps integer NOT NULL DEFAULT 0 CHECK (fee_bps >= 0);
        """
    )
