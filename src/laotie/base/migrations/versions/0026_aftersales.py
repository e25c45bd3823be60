"""After-sales cases, their lines, evidence, and the log that is never changed."""

from laotie.base.migrations import run

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA aftersales;

        ALTER TABLE uploads.picture DROP CONSTRAINT picture_purpose_check;
        ALTER TABLE uploads.picture ADD CONSTRAINT picture_purpose_check
            CHECK (purpose IN ('product', 'avatar', 'cover', 'review', 'evidence'));

        -- What somebody claims of one order. `due_at`: when time acts by itself, as long as the case is open.
        CREATE TABLE aftersales.case (
            id uuid PRIMARY KEY,
            digest bytea NOT NULL,
            order_id uuid NOT NULL,
            shop_id uuid NOT NULL,
            buyer_id uuid NOT NULL,
            kind text NOT NULL
                CHECK (kind IN ('refund_only', 'return_refund', 'exchange', 'repair', 'withdrawal')),
            reason text NOT NULL,
            statute text,
            state text NOT NULL,
            currency text NOT NULL,
            amount bigint NOT NULL CHECK (amount >= 0),
            is_part boolean NOT NULL,
            must_return boolean NOT NULL,
            is_back boolean NOT NULL DEFAULT false,
            is_guaranteed boolean NOT NULL DEFAULT false,
            is_unsent boolean NOT NULL DEFAULT false,
            exchange_sku_id uuid,
            offer_kind text,
            offer_amount bigint CHECK (offer_amount > 0),
            return_carrier text,
            return_number text,
            replacement_carrier text,
            replacement_number text,
            freight_amount bigint NOT NULL DEFAULT 0 CHECK (freight_amount >= 0),
            freight_by text NOT NULL DEFAULT 'buyer' CHECK (freight_by IN ('buyer', 'shop')),
            freight_paid_amount bigint NOT NULL DEFAULT 0 CHECK (freight_paid_amount BETWEEN 0 AND freight_amount),
            freight_is_pledged boolean NOT NULL DEFAULT false,
            refunded_amount bigint NOT NULL DEFAULT 0 CHECK (refunded_amount >= 0),
            guarantee_amount bigint NOT NULL DEFAULT 0 CHECK (guarantee_amount >= 0),
            opened_at timestamptz NOT NULL,
            changed_at timestamptz NOT NULL,
            due_at timestamptz,
            closed_at timestamptz,
            entry_count integer NOT NULL DEFAULT 0,
            CHECK ((closed_at IS NULL) = (due_at IS NOT NULL))
        );
        CREATE INDEX case_by_time ON aftersales.case (due_at) WHERE due_at IS NOT NULL;
        CREATE INDEX case_of_order ON aftersales.case (order_id);
        CREATE INDEX case_of_buyer ON aftersales.case (buyer_id, id);
        CREATE INDEX case_of_shop ON aftersales.case (shop_id, due_at, id);

        -- The pieces that a case is about: nobody else may claim them while it is open. `amount`: what was paid for them
        -- and is claimed. What comes back is put on the shelf again (`restocked`) or written off.
        CREATE TABLE aftersales.line (
            case_id uuid NOT NULL REFERENCES aftersales.case (id),
            no smallint NOT NULL,
            order_id uuid NOT NULL,
            sku_id uuid NOT NULL,
            product_id uuid NOT NULL,
            pledge_id uuid,
            title text NOT NULL,
            options jsonb NOT NULL,
            quantity integer NOT NULL CHECK (quantity > 0),
            bought_quantity integer NOT NULL,
            amount bigint NOT NULL CHECK (amount >= 0),
            restocked_quantity integer NOT NULL DEFAULT 0 CHECK (restocked_quantity >= 0),
            written_off_quantity integer NOT NULL DEFAULT 0 CHECK (written_off_quantity >= 0),
            PRIMARY KEY (case_id, no),
            CHECK (quantity <= bought_quantity),
            CHECK (restocked_quantity + written_off_quantity <= quantity)
        );

        CREATE TABLE aftersales.entry (
            id uuid PRIMARY KEY,
            case_id uuid NOT NULL REFERENCES aftersales.case (id),
            no integer NOT NULL,
            at timestamptz NOT NULL,
            party text NOT NULL CHECK (party IN ('buyer', 'shop', 'operator', 'house')),
            actor_id uuid,
            act text NOT NULL,
            state_before text,
            state text NOT NULL,
            text text NOT NULL,
            facts jsonb NOT NULL,
            digest bytea NOT NULL,
            UNIQUE (case_id, no),
            CHECK ((party = 'house') = (actor_id IS NULL))
        );

        CREATE FUNCTION aftersales.entry_stays() RETURNS trigger LANGUAGE plpgsql AS $body$
        BEGIN
            RAISE EXCEPTION 'aftersales.entry is append-only';
        END
        $body$;
        CREATE TRIGGER entry_stays BEFORE UPDATE OR DELETE ON aftersales.entry
            FOR EACH ROW EXECUTE FUNCTION aftersales.entry_stays();
        CREATE TRIGGER entry_is_not_emptied BEFORE TRUNCATE ON aftersales.entry
            FOR EACH STATEMENT EXECUTE FUNCTION aftersales.entry_stays();

        -- Files that go with an entry. A film is prepared first, under an id that nobody can guess.
        CREATE TABLE aftersales.exhibit (
            case_id uuid NOT NULL REFERENCES aftersales.case (id),
            id uuid NOT NULL,
            entry_no integer NOT NULL,
            kind text NOT NULL CHECK (kind IN ('picture', 'film')),
            state text NOT NULL CHECK (state IN ('processing', 'ready', 'failed')),
            width integer,
            height integer,
            attempts integer NOT NULL DEFAULT 0,
            PRIMARY KEY (case_id, id)
        );
        CREATE UNIQUE INDEX exhibit_once ON aftersales.exhibit (id);

        -- The pieces that cases themselves took from the stock or gave back (replacements), beside the orders' own.
        CREATE TABLE aftersales.stock (
            case_id uuid NOT NULL REFERENCES aftersales.case (id),
            sku_id uuid NOT NULL,
            reserved bigint NOT NULL DEFAULT 0,
            released bigint NOT NULL DEFAULT 0,
            sold bigint NOT NULL DEFAULT 0,
            returned bigint NOT NULL DEFAULT 0,
            PRIMARY KEY (case_id, sku_id),
            CHECK (released + sold <= reserved)
        );

        CREATE VIEW aftersales.order_fact AS
            SELECT 'stock' AS topic, case_id AS order_id,
                   sku_id || ' ' || reserved || ' ' || released || ' ' || sold || ' ' || returned AS fact
            FROM aftersales.stock;
        """
    )
