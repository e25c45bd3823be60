"""Payouts: where owners want their money, batches that bring it there under four eyes, and corrections by hand."""

from laotie.base.migrations import run

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    run(
        """
        -- Where an owner (a shop, or a streamer) wants money of a currency. Rows stay; the latest that was not stopped
        -- counts, and gets nothing before `usable_at`. The number is sealed; who has left has none.
        CREATE TABLE settlement.bank_account (
            id uuid PRIMARY KEY,
            owner_id uuid NOT NULL,
            is_shop boolean NOT NULL,
            currency text NOT NULL,
            form text NOT NULL CHECK (form IN ('iban', 'card', 'company')),
            holder text NOT NULL,
            bank text NOT NULL,
            branch text NOT NULL,
            bic text,
            sealed bytea,
            last_digits text NOT NULL CHECK (length(last_digits) = 4),
            made_by uuid NOT NULL,
            made_at timestamptz NOT NULL,
            usable_at timestamptz NOT NULL,
            stopped_by uuid,
            stopped_at timestamptz,
            CHECK (usable_at >= made_at),
            CHECK ((stopped_by IS NULL) = (stopped_at IS NULL)),
            CHECK (stopped_at <= usable_at)
        );
        CREATE INDEX bank_account_of_owner ON settlement.bank_account (owner_id, currency, made_at, id);

        -- As anybody may see it.
        CREATE VIEW settlement.bank_account_shown AS
            SELECT id, owner_id, is_shop, currency, form, holder, bank, branch, bic, last_digits, made_by, made_at,
                   usable_at, stopped_at, sealed IS NOT NULL AS has_number
            FROM settlement.bank_account;

        -- Owners who are paid nothing until somebody says so.
        CREATE TABLE settlement.payout_hold (
            id uuid PRIMARY KEY,
            owner_id uuid NOT NULL,
            reason text NOT NULL,
            placed_by uuid NOT NULL,
            placed_at timestamptz NOT NULL,
            lifted_by uuid,
            lifted_at timestamptz,
            CHECK ((lifted_by IS NULL) = (lifted_at IS NULL))
        );
        CREATE UNIQUE INDEX payout_hold_open ON settlement.payout_hold (owner_id) WHERE lifted_at IS NULL;

        -- Payouts that go out together. Four eyes are held here: who drafted or changed it does not approve it, who
        -- approved it does not send it; so two people are needed even for what the platform drafted by itself.
        -- `reached_id`: up to which owner drafting or sending has come.
        CREATE TABLE settlement.payout_batch (
            id uuid PRIMARY KEY,
            route text NOT NULL CHECK (route IN ('bank', 'provider')),
            channel text NOT NULL,
            currency text NOT NULL,
            minimum_amount bigint NOT NULL CHECK (minimum_amount > 0),
            state text NOT NULL CHECK (state IN
                ('drafting', 'drafted', 'approved', 'sending', 'sent', 'closed', 'discarding', 'discarded')),
            reached_id uuid,
            drafted_by uuid,
            drafted_at timestamptz NOT NULL,
            changed_by uuid[] NOT NULL DEFAULT '{}',
            approved_by uuid,
            approved_at timestamptz,
            sent_by uuid,
            sent_at timestamptz,
            ended_at timestamptz,
            payer jsonb,
            CHECK (approved_by IS DISTINCT FROM drafted_by OR approved_by IS NULL),
            CHECK (approved_by IS NULL OR approved_by <> ALL (changed_by)),
            CHECK (sent_by IS NULL OR sent_by <> approved_by),
            CHECK (state NOT IN ('drafting', 'drafted') OR approved_by IS NULL),
            CHECK (state NOT IN ('approved', 'sending', 'sent', 'closed') OR approved_by IS NOT NULL),
            CHECK ((state IN ('sending', 'sent', 'closed')) = (sent_by IS NOT NULL)),
            CHECK ((state IN ('closed', 'discarded')) = (ended_at IS NOT NULL))
        );
        CREATE INDEX payout_batch_at ON settlement.payout_batch (drafted_at, id);
        CREATE INDEX payout_batch_under_way ON settlement.payout_batch (id) WHERE state IN ('drafting', 'sending', 'discarding');

        -- What one owner gets in a batch. An owner has one under way at a time, in a currency.
        CREATE TABLE settlement.payout (
            id uuid PRIMARY KEY,
            batch_id uuid NOT NULL REFERENCES settlement.payout_batch,
            owner_id uuid NOT NULL,
            is_shop boolean NOT NULL,
            currency text NOT NULL,
            amount bigint NOT NULL CHECK (amount > 0),
            account_id uuid REFERENCES settlement.bank_account,
            state text NOT NULL CHECK (state IN ('drafted', 'withheld', 'sent', 'paid', 'returned')),
            reason text,
            bank_reference text,
            drafted_at timestamptz NOT NULL,
            sent_at timestamptz,
            ended_at timestamptz,
            UNIQUE (batch_id, owner_id),
            CHECK ((state IN ('withheld', 'returned')) = (reason IS NOT NULL)),
            CHECK ((state IN ('sent', 'paid', 'returned')) = (sent_at IS NOT NULL)),
            CHECK ((state IN ('withheld', 'paid', 'returned')) = (ended_at IS NOT NULL))
        );
        CREATE UNIQUE INDEX payout_under_way ON settlement.payout (owner_id, currency) WHERE state IN ('drafted', 'sent');
        CREATE INDEX payout_of_owner ON settlement.payout (owner_id, drafted_at, id);

        CREATE VIEW settlement.payout_shown AS
            SELECT payout.id, payout.batch_id, payout.owner_id, payout.is_shop, payout.currency, payout.amount,
                   payout.state, payout.reason, payout.bank_reference, payout.drafted_at, payout.sent_at,
                   payout.ended_at, account.id AS account_id, account.form AS account_form, account.holder,
                   account.bank, account.branch, account.bic, account.last_digits
            FROM settlement.payout LEFT JOIN settlement.bank_account AS account ON account.id = payout.account_id;

        CREATE VIEW settlement.payout_batch_shown AS
            SELECT batch.*, coalesce(counts, '{}') AS counts, coalesce(amounts, '{}') AS amounts
            FROM settlement.payout_batch AS batch
            LEFT JOIN LATERAL (
                SELECT jsonb_object_agg(state, count) AS counts, jsonb_object_agg(state, amount) AS amounts
                FROM (SELECT state, count(*) AS count, sum(amount)::bigint AS amount FROM settlement.payout
                      WHERE batch_id = batch.id GROUP BY state) AS by_state
            ) AS sums ON true;

        -- Days whose batches have been drafted.
        CREATE TABLE settlement.payout_day (
            day_on date PRIMARY KEY,
            drafted_at timestamptz NOT NULL
        );

        -- What was handed out of a batch: the same form of the same batch is the same bytes.
        CREATE TABLE settlement.bank_file (
            batch_id uuid NOT NULL REFERENCES settlement.payout_batch,
            form text NOT NULL CHECK (form IN ('csv', 'csv-gbk', 'pain.001')),
            digest text NOT NULL,
            byte_count integer NOT NULL,
            made_by uuid NOT NULL,
            made_at timestamptz NOT NULL,
            PRIMARY KEY (batch_id, form)
        );

        -- What is put right by hand, either way; booked when another operator has approved it.
        CREATE TABLE settlement.correction (
            id uuid PRIMARY KEY,
            owner_id uuid NOT NULL,
            is_shop boolean NOT NULL,
            currency text NOT NULL,
            amount bigint NOT NULL CHECK (amount <> 0),
            reason text NOT NULL CHECK (reason <> ''),
            evidence text NOT NULL CHECK (evidence <> ''),
            state text NOT NULL CHECK (state IN ('proposed', 'approved', 'refused', 'withdrawn')),
            note text,
            proposed_by uuid NOT NULL,
            proposed_at timestamptz NOT NULL,
            decided_by uuid,
            decided_at timestamptz,
            CHECK ((state = 'proposed') = (decided_by IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL)),
            CHECK (state NOT IN ('approved', 'refused') OR decided_by <> proposed_by),
            CHECK (state <> 'withdrawn' OR decided_by = proposed_by)
        );
        CREATE INDEX correction_at ON settlement.correction (proposed_at, id);
        CREATE INDEX correction_of_owner ON settlement.correction (owner_id, proposed_at, id);
        """
    )
