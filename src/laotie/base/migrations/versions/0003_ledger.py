"""The ledger: accounts, transfers that only ever grow, balances folded from deltas."""

from laotie.base.migrations import run

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA ledger;

        CREATE TABLE ledger.account (
            id uuid PRIMARY KEY,
            kind text NOT NULL,
            owner_id uuid,
            currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
            opened_at timestamptz NOT NULL,
            UNIQUE NULLS NOT DISTINCT (kind, owner_id, currency),
            UNIQUE (id, currency)
        );

        -- One row moves one amount from credit to debit, so every row, and every sum of rows, adds up to zero.
        -- That its accounts exist, and in its currency, is checked once a transaction and account, by delta's foreign key:
        -- two checks a row were a seventh of PostgreSQL's work for an order.
        -- A pending row reserves; a row with settles_id posts or voids (part of) it and never exceeds it.
        CREATE TABLE ledger.transfer (
            id uuid PRIMARY KEY,
            debit_id uuid NOT NULL,
            credit_id uuid NOT NULL,
            amount bigint NOT NULL CHECK (amount > 0),
            currency text NOT NULL,
            phase text NOT NULL CHECK (phase IN ('pending', 'posted', 'voided')),
            settles_id uuid REFERENCES ledger.transfer (id),
            reason text NOT NULL,
            subject_id uuid NOT NULL,
            made_at timestamptz NOT NULL,
            CHECK (debit_id <> credit_id),
            CHECK (phase <> 'voided' OR settles_id IS NOT NULL),
            CHECK (phase <> 'pending' OR settles_id IS NULL)
        );
        CREATE UNIQUE INDEX transfer_settles ON ledger.transfer (settles_id) WHERE settles_id IS NOT NULL;

        CREATE TABLE ledger.balance (
            account_id uuid PRIMARY KEY REFERENCES ledger.account (id),
            debits_pending bigint NOT NULL DEFAULT 0 CHECK (debits_pending >= 0),
            credits_pending bigint NOT NULL DEFAULT 0 CHECK (credits_pending >= 0),
            debits_posted bigint NOT NULL DEFAULT 0 CHECK (debits_posted >= 0),
            credits_posted bigint NOT NULL DEFAULT 0 CHECK (credits_posted >= 0)
        );

        -- What a transaction adds to an account, once a transaction and account; the fold moves it into the balance.
        CREATE TABLE ledger.delta (
            id uuid PRIMARY KEY,
            account_id uuid NOT NULL,
            currency text NOT NULL,
            debits_pending bigint NOT NULL,
            credits_pending bigint NOT NULL,
            debits_posted bigint NOT NULL,
            credits_posted bigint NOT NULL,
            FOREIGN KEY (account_id, currency) REFERENCES ledger.account (id, currency)
        );

        -- What the ledger says of an order, a fact a row, in the form the audit compares between rooms.
        CREATE VIEW ledger.order_fact AS
            SELECT 'hold' AS topic, held.id AS order_id, held.amount || ' ' || coalesce(settling.phase, 'pending') AS fact
            FROM ledger.transfer AS held LEFT JOIN ledger.transfer AS settling ON settling.settles_id = held.id
            WHERE held.phase = 'pending'
            UNION ALL
            SELECT 'money', subject_id, sum(CASE WHEN debit.kind = 'provider' THEN amount ELSE -amount END)::text
            FROM ledger.transfer
            JOIN ledger.account AS debit ON debit.id = debit_id JOIN ledger.account AS credit ON credit.id = credit_id
            WHERE phase = 'posted' AND (debit.kind = 'provider') <> (credit.kind = 'provider')
            GROUP BY subject_id
            HAVING sum(CASE WHEN debit.kind = 'provider' THEN amount ELSE -amount END) <> 0;
        """
    )
