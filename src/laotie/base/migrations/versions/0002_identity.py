"""Identity: accounts, sessions, tokens, seats, addresses, merged guests, the audit log."""

from laotie.base.migrations import run

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA identity;

        CREATE TABLE identity.account (
            id uuid PRIMARY KEY,
            handle text UNIQUE,
            name text NOT NULL,
            avatar text,
            about text NOT NULL DEFAULT '',
            locale text NOT NULL DEFAULT 'zh-CN',
            password_hash text,
            roles text[] NOT NULL DEFAULT '{}'
                CHECK (roles <@ ARRAY['streamer', 'operator']),
            created_at timestamptz NOT NULL,
            erased_at timestamptz,
            CHECK ((erased_at IS NULL) = (handle IS NOT NULL AND password_hash IS NOT NULL))
        );

        CREATE TABLE identity.session (
            id uuid PRIMARY KEY,
            account_id uuid NOT NULL REFERENCES identity.account (id),
            secret_hash bytea NOT NULL UNIQUE,
            user_agent text NOT NULL,
            address text NOT NULL,
            created_at timestamptz NOT NULL,
            last_seen_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL
        );
        CREATE INDEX session_of_account ON identity.session (account_id, id);
        CREATE INDEX session_by_expiry ON identity.session (expires_at);

        CREATE TABLE identity.token (
            id uuid PRIMARY KEY,
            account_id uuid NOT NULL REFERENCES identity.account (id),
            name text NOT NULL,
            secret_hash bytea NOT NULL UNIQUE,
            scopes text[] NOT NULL,
            created_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            last_used_at timestamptz
        );
        CREATE INDEX token_of_account ON identity.token (account_id, id);

        CREATE TABLE identity.seat (
            shop_id uuid NOT NULL,
            account_id uuid NOT NULL REFERENCES identity.account (id),
            is_owner boolean NOT NULL,
            scopes text[] NOT NULL
                CHECK (scopes <@ ARRAY['catalog', 'show', 'orders', 'staff', 'money']),
            granted_at timestamptz NOT NULL,
            PRIMARY KEY (shop_id, account_id)
        );
        CREATE INDEX seat_of_account ON identity.seat (account_id, shop_id);

        CREATE TABLE identity.address (
            id uuid PRIMARY KEY,
            account_id uuid NOT NULL REFERENCES identity.account (id),
            name text NOT NULL,
            phone text NOT NULL,
            country text NOT NULL,
            region text NOT NULL,
            city text NOT NULL,
            district text NOT NULL,
            street text NOT NULL,
            postcode text NOT NULL,
            is_default boolean NOT NULL
        );
        CREATE INDEX address_of_account ON identity.address (account_id, id);
        CREATE UNIQUE INDEX address_one_default ON identity.address (account_id) WHERE is_default;

        CREATE TABLE identity.guest_merge (
            guest_id uuid PRIMARY KEY,
            account_id uuid NOT NULL REFERENCES identity.account (id),
            merged_at timestamptz NOT NULL
        );
        CREATE INDEX guest_merge_into ON identity.guest_merge (account_id);

        CREATE TABLE identity.audit_entry (
            id uuid PRIMARY KEY,
            at timestamptz NOT NULL,
            actor_id uuid,
            act text NOT NULL,
            subject text NOT NULL,
            detail jsonb NOT NULL,
            address text,
            request_id text
        );
        CREATE INDEX audit_entry_of_subject ON identity.audit_entry (subject, id);
        CREATE INDEX audit_entry_of_actor ON identity.audit_entry (actor_id, id);

        CREATE FUNCTION identity.audit_entry_stays() RETURNS trigger LANGUAGE plpgsql AS $body$
        BEGIN
            -- The one change allowed: an erased person's network address is blanked.
            IF TG_OP = 'UPDATE' AND NEW.address IS NULL
               AND (NEW.id, NEW.at, NEW.act, NEW.subject, NEW.detail) = (OLD.id, OLD.at, OLD.act, OLD.subject, OLD.detail)
               AND NEW.actor_id IS NOT DISTINCT FROM OLD.actor_id
               AND NEW.request_id IS NOT DISTINCT FROM OLD.request_id
            THEN
                RETURN NEW;
            END IF;
            RAISE EXCEPTION 'identity.audit_entry is append-only';
        END
        $body$;
        CREATE TRIGGER audit_entry_stays BEFORE UPDATE OR DELETE ON identity.audit_entry
            FOR EACH ROW EXECUTE FUNCTION identity.audit_entry_stays();
        CREATE TRIGGER audit_entry_is_not_emptied BEFORE TRUNCATE ON identity.audit_entry
            FOR EACH STATEMENT EXECUTE FUNCTION identity.audit_entry_stays();
        """
    )
