"""The catalogue: shops, products, SKUs and the stock ledger."""

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
            created_at timestamptz NOT NULL
        );

        CREATE TABLE catalog.product (
            id uuid PRIMARY KEY,
            shop_id uuid NOT NULL REFERENCES catalog.shop (id),
            title text NOT NULL,
            description text NOT NULL DEFAULT '',
            images jsonb NOT NULL DEFAULT '[]',
            category text NOT NULL DEFAULT '',
            state text NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'listed', 'delisted')),
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL,
            version integer NOT NULL DEFAULT 1
        );

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
            CHECK (available + reserved + sold = received),
            UNIQUE (shop_id, code)
        ) WITH (fillfactor = 50);

        CREATE TABLE catalog.stock_movement (
            id uuid PRIMARY KEY,
            sku_id uuid NOT NULL REFERENCES catalog.sku (id),
            kind text NOT NULL CHECK (kind IN ('received', 'reserved', 'released', 'sold', 'returned', 'corrected')),
            quantity bigint NOT NULL CHECK (quantity <> 0),
            order_id uuid,
            note text,
            moved_at timestamptz NOT NULL
        );
        """
    )
