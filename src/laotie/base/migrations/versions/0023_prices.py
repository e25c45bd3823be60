"""Shipping templates, price history, price protection, invoices."""

from laotie.base.migrations import run

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    run(
        """
        -- `rules` is edited and read as one document: see catalog.shipping.
        CREATE TABLE catalog.shipping_template (
            id uuid PRIMARY KEY,
            shop_id uuid NOT NULL REFERENCES catalog.shop (id),
            name text NOT NULL,
            measure text NOT NULL CHECK (measure IN ('weight', 'pieces')),
            rules jsonb NOT NULL,
            is_default boolean NOT NULL DEFAULT false,
            version integer NOT NULL DEFAULT 1,
            updated_at timestamptz NOT NULL,
            UNIQUE (shop_id, name)
        );
        CREATE UNIQUE INDEX shipping_template_default ON catalog.shipping_template (shop_id) WHERE is_default;

        ALTER TABLE catalog.shop
            ADD COLUMN price_protection_days smallint NOT NULL DEFAULT 0 CHECK (price_protection_days BETWEEN 0 AND 90);
        ALTER TABLE catalog.product
            ADD COLUMN shipping_template_id uuid REFERENCES catalog.shipping_template (id) ON DELETE SET NULL;
        CREATE INDEX product_shipping ON catalog.product (shipping_template_id) WHERE shipping_template_id IS NOT NULL;
        ALTER TABLE catalog.sku ADD COLUMN weight_grams integer NOT NULL DEFAULT 0 CHECK (weight_grams >= 0);

        -- From `at` on the SKU had this price and stood on the shelf, or not. `brought` was told by somebody (a demo, an
        -- import), not observed.
        CREATE TABLE catalog.price_step (
            sku_id uuid NOT NULL REFERENCES catalog.sku (id),
            at timestamptz NOT NULL,
            no bigint GENERATED ALWAYS AS IDENTITY,
            price_amount bigint NOT NULL CHECK (price_amount > 0),
            on_shelf boolean NOT NULL,
            brought boolean NOT NULL DEFAULT false,
            PRIMARY KEY (sku_id, at, no)
        );
        INSERT INTO catalog.price_step (sku_id, at, price_amount, on_shelf)
            SELECT sku.id, now(), price_amount, sku.state = 'active' AND product.state = 'listed'
            FROM catalog.sku JOIN catalog.product ON product.id = sku.product_id;
        CREATE FUNCTION catalog.keep_price_step() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'catalog.price_step is append-only';
        END $$;
        CREATE TRIGGER price_step_stays BEFORE UPDATE OR DELETE ON catalog.price_step
            FOR EACH ROW EXECUTE FUNCTION catalog.keep_price_step();
        CREATE TRIGGER price_step_is_not_emptied BEFORE TRUNCATE ON catalog.price_step
            FOR EACH STATEMENT EXECUTE FUNCTION catalog.keep_price_step();

        -- The difference that was given back because the shelf price fell: once a line.
        CREATE TABLE orders.price_protection (
            order_id uuid NOT NULL,
            no smallint NOT NULL,
            refund_id uuid NOT NULL,
            shelf_price_amount bigint NOT NULL,
            amount bigint NOT NULL CHECK (amount > 0),
            given_at timestamptz NOT NULL,
            PRIMARY KEY (order_id, no),
            FOREIGN KEY (order_id, no) REFERENCES orders.line (order_id, no)
        );

        -- Asked for by the buyer (no number yet), then issued by the shop; a credit note belongs to an invoice and is
        -- issued at once. `content` is what it says, frozen.
        CREATE TABLE orders.invoice (
            id uuid PRIMARY KEY,
            order_id uuid NOT NULL REFERENCES orders."order" (id),
            shop_id uuid NOT NULL,
            credits_id uuid REFERENCES orders.invoice (id),
            number bigint CHECK (number > 0),
            recipient jsonb NOT NULL,
            content jsonb,
            asked_at timestamptz NOT NULL,
            issued_at timestamptz,
            CHECK ((number IS NULL) = (issued_at IS NULL)),
            CHECK ((number IS NULL) = (content IS NULL)),
            CHECK (credits_id IS NULL OR number IS NOT NULL),
            UNIQUE (shop_id, number)
        );
        CREATE UNIQUE INDEX invoice_of_order ON orders.invoice (order_id) WHERE credits_id IS NULL;
        CREATE INDEX invoice_of_shop ON orders.invoice (shop_id, id);
        CREATE INDEX invoice_credits ON orders.invoice (credits_id) WHERE credits_id IS NOT NULL;

        -- The last number of each shop: taken under its row's lock, so that a number is missing only if its row is.
        CREATE TABLE orders.invoice_count (
            shop_id uuid PRIMARY KEY,
            last_number bigint NOT NULL
        );
        """
    )
