"""The watch: its runs, what it has found, its anchors in the ledger; and rows that stay as they were written."""

from laotie.base.migrations import run

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA audit;

        -- Every run: of all rows (`whole`) or of what has changed. `checks`: a promise an entry, with its rows and
        -- findings. Kept for a time (audit.watch), the days for good.
        CREATE TABLE audit.run (
            id uuid PRIMARY KEY,
            began_at timestamptz NOT NULL,
            took_ms integer NOT NULL CHECK (took_ms >= 0),
            is_whole boolean NOT NULL,
            is_complete boolean NOT NULL,
            asked_by uuid,
            snapshot_count integer NOT NULL,
            row_count bigint NOT NULL,
            finding_count bigint NOT NULL,
            in_flight_count bigint NOT NULL,
            checks jsonb NOT NULL
        );
        CREATE INDEX run_eventful ON audit.run (id) WHERE is_whole OR finding_count > 0;

        -- Where each promise stands: looked at last, and over all rows last.
        CREATE TABLE audit.standing (
            promise text PRIMARY KEY,
            checked_at timestamptz NOT NULL,
            row_count bigint NOT NULL,
            finding_count bigint NOT NULL,
            whole_at timestamptz,
            whole_row_count bigint,
            whole_took_ms integer,
            facts jsonb NOT NULL DEFAULT '{}'
        );

        -- A promise that is broken, from the run that saw it first to the one that found it whole again.
        CREATE TABLE audit.incident (
            id uuid PRIMARY KEY,
            promise text NOT NULL,
            opened_at timestamptz NOT NULL,
            last_seen_at timestamptz NOT NULL,
            closed_at timestamptz,
            finding_count bigint NOT NULL CHECK (finding_count > 0),
            finding_count_max bigint NOT NULL CHECK (finding_count_max >= finding_count),
            findings jsonb NOT NULL,
            CHECK (opened_at <= last_seen_at AND last_seen_at <= coalesce(closed_at, last_seen_at))
        );
        CREATE UNIQUE INDEX incident_one_open_a_promise ON audit.incident (promise) WHERE closed_at IS NULL;

        CREATE TABLE audit.day (
            on_day date PRIMARY KEY,
            run_count integer NOT NULL,
            whole_count integer NOT NULL,
            row_count bigint NOT NULL,
            broken text[] NOT NULL
        );

        -- Seals of the ledger: the digest of all transfers made in [from_at, until_at), chained to the one before.
        CREATE TABLE audit.anchor (
            no integer PRIMARY KEY CHECK (no > 0),
            from_at timestamptz NOT NULL,
            until_at timestamptz NOT NULL CHECK (until_at > from_at),
            transfer_count integer NOT NULL CHECK (transfer_count > 0),
            digest bytea NOT NULL CHECK (length(digest) = 32),
            made_at timestamptz NOT NULL
        );

        -- What each account's transfers come to up to the last anchor, so that a balance can be checked without adding
        -- up its whole past.
        CREATE TABLE audit.account_sum (
            account_id uuid PRIMARY KEY,
            debits_pending bigint NOT NULL,
            credits_pending bigint NOT NULL,
            debits_posted bigint NOT NULL,
            credits_posted bigint NOT NULL
        ) WITH (fillfactor = 70);

        -- What was appended since an instant, without reading all: a few bytes for every 128 pages.
        CREATE INDEX transfer_by_time ON ledger.transfer USING brin (made_at) WITH (autosummarize = on);
        CREATE INDEX movement_by_time ON catalog.stock_movement USING brin (moved_at) WITH (autosummarize = on);

        CREATE INDEX line_by_time ON settlement.line USING brin (booked_at) WITH (autosummarize = on);

        -- Books that only grow say so themselves: also to the tables' owner, whom no REVOKE binds. A statement's trigger
        -- for what never happens costs an INSERT nothing.
        CREATE FUNCTION base.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '%.% is append-only', TG_TABLE_SCHEMA, TG_TABLE_NAME;
        END $$;
        CREATE TRIGGER transfer_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.transfer
            FOR EACH STATEMENT EXECUTE FUNCTION base.refuse_change();
        CREATE TRIGGER movement_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON catalog.stock_movement
            FOR EACH STATEMENT EXECUTE FUNCTION base.refuse_change();
        CREATE TRIGGER given_back_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON orders.given_back
            FOR EACH STATEMENT EXECUTE FUNCTION base.refuse_change();
        CREATE TRIGGER movement_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON trust.movement
            FOR EACH STATEMENT EXECUTE FUNCTION base.refuse_change();
        CREATE TRIGGER line_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON settlement.line
            FOR EACH STATEMENT EXECUTE FUNCTION base.refuse_change();
        CREATE TRIGGER rate_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON settlement.rate
            FOR EACH STATEMENT EXECUTE FUNCTION base.refuse_change();
        CREATE TRIGGER term_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON settlement.term
            FOR EACH STATEMENT EXECUTE FUNCTION base.refuse_change();
        CREATE TRIGGER anchor_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.anchor
            FOR EACH STATEMENT EXECUTE FUNCTION base.refuse_change();
        """
    )
