"""The catalogue: shops and their stores, products, SKUs and the stock ledger."""

from laotie.base.migrations import run

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA catalog;

        CREATE TABLE catalog.shop (
            id uuid PRIMARY KEY,
            owner_id uuid NOT NULL,
            name text NOT NULL,
            about text NOT NULL DEFAULT '',
            currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
            state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed')),
            created_at timestamptz NOT NULL,
            digest bytea
        );
        CREATE INDEX shop_owner ON catalog.shop (owner_id);

        CREATE TABLE catalog.store (
            shop_id uuid NOT NULL REFERENCES catalog.shop (id),
            no smallint NOT NULL,
            name text NOT NULL,
            city text NOT NULL DEFAULT '',
            address text NOT NULL DEFAULT '',
            PRIMARY KEY (shop_id, no)
        );

        -- code is the seller's own style number; search_text is written by the room (title and category, folded).
        CREATE TABLE catalog.product (
            id uuid PRIMARY KEY,
            shop_id uuid NOT NULL REFERENCES catalog.shop (id),
            code text,
            title text NOT NULL,
            description text NOT NULL DEFAULT '',
            images jsonb NOT NULL DEFAULT '[]',
            category text NOT NULL DEFAULT '',
            state text NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'listed', 'delisted')),
            search_text text NOT NULL DEFAULT '',
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL,
            version integer NOT NULL DEFAULT 1,
            digest bytea,
            UNIQUE (shop_id, code)
        );
        CREATE INDEX product_shop ON catalog.product (shop_id, created_at, id);
        CREATE INDEX product_shelf ON catalog.product (created_at, id) WHERE state = 'listed';

        CREATE TABLE catalog.sku (
            id uuid PRIMARY KEY,
            product_id uuid NOT NULL REFERENCES catalog.product (id),
            shop_id uuid NOT NULL REFERENCES catalog.shop (id),
            code text NOT NULL,
            options jsonb NOT NULL DEFAULT '{}',
            price_amount bigint NOT NULL CHECK (price_amount > 0),
            list_price_amount bigint CHECK (list_price_amount > 0),
            currency text NOT NULL,
            state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'retired')),
            available bigint NOT NULL DEFAULT 0 CHECK (available >= 0),
            reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
            sold bigint NOT NULL DEFAULT 0 CHECK (sold >= 0),
            received bigint NOT NULL DEFAULT 0 CHECK (received >= 0),
            digest bytea,
            CHECK (available + reserved + sold = received),
            UNIQUE (shop_id, code)
        ) WITH (fillfactor = 50);
        CREATE INDEX sku_product ON catalog.sku (product_id);

        -- One index serves the key, the idempotency of client ids and the page of a SKU's history.
        CREATE TABLE catalog.stock_movement (
            sku_id uuid NOT NULL REFERENCES catalog.sku (id),
            id uuid NOT NULL,
            kind text NOT NULL CHECK (kind IN ('received', 'reserved', 'released', 'sold', 'returned', 'corrected')),
            quantity bigint NOT NULL CHECK (quantity > 0 OR (kind = 'corrected' AND quantity <> 0)),
            order_id uuid,
            note text,
            moved_at timestamptz NOT NULL,
            PRIMARY KEY (sku_id, id)
        );

        -- What the stock says of an order, a fact a row, in the form the audit compares between rooms:
        -- SKU, pieces reserved, released, sold.
        CREATE VIEW catalog.order_fact AS
            SELECT 'stock' AS topic, order_id,
                   sku_id || ' ' || coalesce(sum(quantity) FILTER (WHERE kind = 'reserved'), 0)
                   || ' ' || coalesce(sum(quantity) FILTER (WHERE kind = 'released'), 0)
                   || ' ' || coalesce(sum(quantity) FILTER (WHERE kind = 'sold'), 0) AS fact
            FROM catalog.stock_movement WHERE order_id IS NOT NULL GROUP BY order_id, sku_id;
        """
    )
