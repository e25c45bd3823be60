"""Brands, trademarks, authorisations, batches; documents that are shown as pictures of their pages."""

from laotie.base.migrations import run

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    run(
        """
        -- A document is kept as pictures of its pages; `digest` (SHA-256) is of the file as it was brought.
        CREATE TABLE uploads.document (
            id uuid PRIMARY KEY,
            owner_id uuid NOT NULL,
            page_count smallint NOT NULL CHECK (page_count > 0),
            size_bytes bigint NOT NULL,
            digest bytea NOT NULL,
            created_at timestamptz NOT NULL
        );
        CREATE INDEX document_owner ON uploads.document (owner_id, created_at);
        CREATE TABLE uploads.document_use (
            holder text NOT NULL,
            document_id uuid NOT NULL REFERENCES uploads.document (id),
            PRIMARY KEY (holder, document_id)
        );
        CREATE INDEX document_use_document ON uploads.document_use (document_id);

        CREATE TABLE catalog.brand (
            id uuid PRIMARY KEY,
            owner_id uuid NOT NULL,
            name_zh text NOT NULL DEFAULT '',
            name_en text NOT NULL DEFAULT '',
            logo text,
            state text NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'verified', 'refused')),
            reason text NOT NULL DEFAULT '',
            decided_by uuid,
            decided_at timestamptz,
            created_at timestamptz NOT NULL,
            digest bytea NOT NULL,
            CHECK (name_zh <> '' OR name_en <> '')
        );
        CREATE INDEX brand_owner ON catalog.brand (owner_id);
        CREATE INDEX brand_verified ON catalog.brand (id) WHERE state = 'verified';
        CREATE INDEX brand_asked ON catalog.brand (id) WHERE state = 'asked';

        -- The names of verified brands as the eye takes them: two brands never share one.
        CREATE TABLE catalog.brand_key (
            key text PRIMARY KEY,
            brand_id uuid NOT NULL REFERENCES catalog.brand (id)
        );
        CREATE INDEX brand_key_brand ON catalog.brand_key (brand_id);

        -- A renewed trademark is another row of the same registration (office, number, class).
        CREATE TABLE catalog.trademark (
            id uuid PRIMARY KEY,
            brand_id uuid NOT NULL REFERENCES catalog.brand (id),
            office text NOT NULL,
            number text NOT NULL,
            class_no smallint NOT NULL CHECK (class_no BETWEEN 1 AND 45),
            name text NOT NULL,
            ends_at timestamptz NOT NULL,
            document_id uuid,
            state text NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'verified', 'refused')),
            reason text NOT NULL DEFAULT '',
            decided_by uuid,
            decided_at timestamptz,
            warned_days smallint,
            created_at timestamptz NOT NULL,
            digest bytea NOT NULL
        );
        CREATE INDEX trademark_brand ON catalog.trademark (brand_id);
        CREATE INDEX trademark_registration ON catalog.trademark (office, number, class_no);
        CREATE INDEX trademark_asked ON catalog.trademark (id) WHERE state = 'asked';
        CREATE INDEX trademark_end ON catalog.trademark (ends_at) WHERE state = 'verified';

        -- No categories: all products. It rests on the registration that `trademark_id` names.
        CREATE TABLE catalog.authorisation (
            id uuid PRIMARY KEY,
            brand_id uuid NOT NULL REFERENCES catalog.brand (id),
            shop_id uuid NOT NULL REFERENCES catalog.shop (id),
            trademark_id uuid REFERENCES catalog.trademark (id),
            categories text[] NOT NULL DEFAULT '{}',
            is_online boolean NOT NULL DEFAULT true,
            stores text[] NOT NULL DEFAULT '{}',
            starts_at timestamptz NOT NULL,
            ends_at timestamptz NOT NULL,
            document_id uuid,
            note text NOT NULL DEFAULT '',
            state text NOT NULL CHECK (state IN ('asked', 'granted', 'refused', 'revoked')),
            reason text NOT NULL DEFAULT '',
            asked_by uuid,
            decided_by uuid,
            decided_at timestamptz,
            warned_days smallint,
            created_at timestamptz NOT NULL,
            digest bytea NOT NULL,
            CHECK (starts_at < ends_at),
            CHECK (state NOT IN ('granted', 'revoked') OR trademark_id IS NOT NULL)
        );
        CREATE INDEX authorisation_shop ON catalog.authorisation (shop_id, brand_id);
        CREATE INDEX authorisation_brand ON catalog.authorisation (brand_id, id);
        CREATE INDEX authorisation_end ON catalog.authorisation (ends_at) WHERE state = 'granted';

        ALTER TABLE catalog.product ADD COLUMN brand_id uuid REFERENCES catalog.brand (id);
        ALTER TABLE catalog.product ADD COLUMN delisted_why text;
        CREATE INDEX product_brand_listed ON catalog.product (brand_id, shop_id, category)
            WHERE state = 'listed' AND brand_id IS NOT NULL;

        -- A shop says that the word in its title does not mean the brand.
        CREATE TABLE catalog.brand_contest (
            product_id uuid NOT NULL REFERENCES catalog.product (id),
            brand_id uuid NOT NULL REFERENCES catalog.brand (id),
            statement text NOT NULL,
            state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'accepted', 'refused')),
            reason text NOT NULL DEFAULT '',
            said_by uuid NOT NULL,
            said_at timestamptz NOT NULL,
            decided_by uuid,
            decided_at timestamptz,
            PRIMARY KEY (product_id, brand_id)
        );
        CREATE INDEX brand_contest_open ON catalog.brand_contest (said_at) WHERE state = 'open';

        -- The one place where it is written what lets a shop sell a brand's goods online, and until when.
        CREATE FUNCTION catalog.covers(of_brand uuid, of_shop uuid, at timestamptz)
        RETURNS TABLE (categories text[], ends_at timestamptz, is_owner boolean) LANGUAGE sql STABLE AS $$
            SELECT '{}'::text[], max(trademark.ends_at), true
            FROM catalog.brand
            JOIN catalog.shop ON shop.id = of_shop AND shop.owner_id = brand.owner_id
            JOIN catalog.trademark ON trademark.brand_id = brand.id
            WHERE brand.id = of_brand AND brand.state = 'verified'
              AND trademark.state = 'verified' AND trademark.ends_at > at
            HAVING max(trademark.ends_at) IS NOT NULL
            UNION ALL
            SELECT a.categories, least(a.ends_at, max(held.ends_at)), false
            FROM catalog.authorisation AS a
            JOIN catalog.brand ON brand.id = a.brand_id AND brand.state = 'verified'
            JOIN catalog.trademark AS named ON named.id = a.trademark_id
            JOIN catalog.trademark AS held ON held.brand_id = a.brand_id AND held.office = named.office
                AND held.number = named.number AND held.class_no = named.class_no
                AND held.state = 'verified' AND held.ends_at > at
            WHERE a.brand_id = of_brand AND a.shop_id = of_shop AND a.state = 'granted' AND a.is_online
              AND a.starts_at <= at AND a.ends_at > at
            GROUP BY a.id
        $$;
        CREATE FUNCTION catalog.cover_until(of_brand uuid, of_shop uuid, of_category text, at timestamptz)
        RETURNS timestamptz LANGUAGE sql STABLE AS $$
            SELECT max(ends_at) FROM catalog.covers(of_brand, of_shop, at)
            WHERE categories = '{}' OR of_category = ANY (categories)
        $$;

        -- A batch says what it said on the day it was entered; only its state goes on.
        CREATE TABLE catalog.batch (
            id uuid PRIMARY KEY,
            product_id uuid NOT NULL REFERENCES catalog.product (id),
            shop_id uuid NOT NULL REFERENCES catalog.shop (id),
            code text NOT NULL,
            made_on date NOT NULL,
            best_before_on date,
            origin text NOT NULL,
            quantity bigint NOT NULL CHECK (quantity > 0),
            video_id uuid,
            state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed', 'recalled')),
            reason text NOT NULL DEFAULT '',
            created_by uuid NOT NULL,
            created_at timestamptz NOT NULL,
            digest bytea NOT NULL,
            CHECK (best_before_on >= made_on),
            UNIQUE (product_id, code)
        );
        CREATE TABLE catalog.batch_document (
            batch_id uuid NOT NULL REFERENCES catalog.batch (id),
            no smallint NOT NULL,
            document_id uuid NOT NULL,
            kind text NOT NULL CHECK (kind IN ('inspection', 'certificate', 'customs', 'other')),
            title text NOT NULL,
            PRIMARY KEY (batch_id, no)
        );
        CREATE INDEX batch_document_document ON catalog.batch_document (document_id);
        CREATE TABLE catalog.batch_log (
            id uuid PRIMARY KEY,
            batch_id uuid NOT NULL REFERENCES catalog.batch (id),
            act text NOT NULL CHECK (act IN ('entered', 'current', 'closed', 'recalled')),
            reason text NOT NULL DEFAULT '',
            actor_id uuid NOT NULL,
            at timestamptz NOT NULL
        );
        CREATE INDEX batch_log_batch ON catalog.batch_log (batch_id, id);
        CREATE FUNCTION catalog.keep_batch() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF (to_jsonb(new) - 'state' - 'reason') <> (to_jsonb(old) - 'state' - 'reason') THEN
                RAISE EXCEPTION 'a batch is not changed';
            END IF;
            RETURN new;
        END $$;
        CREATE TRIGGER keep_batch BEFORE UPDATE ON catalog.batch FOR EACH ROW EXECUTE FUNCTION catalog.keep_batch();

        CREATE INDEX line_batch ON orders.line (batch_id) WHERE batch_id IS NOT NULL;
        """
    )
