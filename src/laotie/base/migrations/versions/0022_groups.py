"""Group buys: offers, teams and who is in them. And what people put into their baskets."""

from laotie.base.migrations import run

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA IF NOT EXISTS offers;

        CREATE TABLE offers.group_offer (
            id uuid PRIMARY KEY,
            shop_id uuid NOT NULL,
            product_id uuid NOT NULL,
            size smallint NOT NULL CHECK (size BETWEEN 2 AND 100),
            gather_hours smallint NOT NULL CHECK (gather_hours BETWEEN 1 AND 72),
            limit_per_person integer NOT NULL CHECK (limit_per_person > 0),
            currency text NOT NULL,
            starts_at timestamptz NOT NULL,
            ends_at timestamptz NOT NULL,
            state text NOT NULL CHECK (state IN ('open', 'closed')),
            created_at timestamptz NOT NULL,
            digest bytea NOT NULL,
            CHECK (ends_at > starts_at)
        );
        CREATE INDEX group_offer_of_shop ON offers.group_offer (shop_id, id);
        CREATE UNIQUE INDEX one_open_offer_a_product ON offers.group_offer (product_id) WHERE state = 'open';

        CREATE TABLE offers.group_price (
            offer_id uuid NOT NULL REFERENCES offers.group_offer (id),
            sku_id uuid NOT NULL,
            price_amount bigint NOT NULL CHECK (price_amount > 0),
            PRIMARY KEY (offer_id, sku_id)
        );

        -- `held_count` seats wait for their payment, `paid_count` are paid; no more than there are. A failed team is
        -- settled when everything that was bought in it has been given back.
        CREATE TABLE offers.team (
            id uuid PRIMARY KEY,
            offer_id uuid NOT NULL REFERENCES offers.group_offer (id),
            shop_id uuid NOT NULL,
            product_id uuid NOT NULL,
            opened_by uuid NOT NULL,
            size smallint NOT NULL,
            state text NOT NULL CHECK (state IN ('gathering', 'complete', 'failed')),
            held_count smallint NOT NULL DEFAULT 0 CHECK (held_count >= 0),
            paid_count smallint NOT NULL DEFAULT 0 CHECK (paid_count >= 0),
            opened_at timestamptz NOT NULL,
            deadline_at timestamptz NOT NULL,
            ended_at timestamptz,
            settled_at timestamptz,
            CHECK (held_count + paid_count <= size),
            CHECK ((state = 'gathering') = (ended_at IS NULL)),
            CHECK (state <> 'complete' OR paid_count = size),
            CHECK (state <> 'gathering' OR paid_count < size)
        ) WITH (fillfactor = 80);
        CREATE INDEX team_of_offer ON offers.team (offer_id, id);
        CREATE INDEX team_gathering ON offers.team (deadline_at) WHERE state = 'gathering';
        CREATE INDEX team_unsettled ON offers.team (id) WHERE state = 'failed' AND settled_at IS NULL;

        CREATE TABLE offers.seat (
            team_id uuid NOT NULL REFERENCES offers.team (id),
            buyer_id uuid NOT NULL,
            offer_id uuid NOT NULL,
            order_id uuid NOT NULL UNIQUE,
            quantity integer NOT NULL CHECK (quantity > 0),
            state text NOT NULL CHECK (state IN ('held', 'paid', 'returned')),
            taken_at timestamptz NOT NULL,
            PRIMARY KEY (team_id, buyer_id)
        );
        CREATE INDEX seat_of_buyer ON offers.seat (buyer_id, offer_id);

        ALTER TABLE orders.line ADD COLUMN team_id uuid;

        -- A line a person and SKU; the show it was found in counts as long as it is on.
        CREATE TABLE orders.basket_line (
            buyer_id uuid NOT NULL,
            sku_id uuid NOT NULL,
            quantity integer NOT NULL CHECK (quantity BETWEEN 1 AND 9999),
            show_id uuid,
            cart_item_id uuid,
            seen_amount bigint NOT NULL CHECK (seen_amount > 0),
            added_at timestamptz NOT NULL,
            PRIMARY KEY (buyer_id, sku_id),
            CHECK ((show_id IS NULL) = (cart_item_id IS NULL))
        );
        """
    )
