"""Reviews of bought goods."""

from laotie.base.migrations import run

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    run(
        """
        -- One review a bought line. What is held by the word lists, or hidden by an operator, counts nowhere.
        CREATE TABLE aftersales.review (
            id uuid PRIMARY KEY,
            order_id uuid NOT NULL,
            line_no smallint NOT NULL,
            product_id uuid NOT NULL,
            shop_id uuid NOT NULL,
            buyer_id uuid NOT NULL,
            title text NOT NULL,
            options jsonb NOT NULL,
            goods smallint NOT NULL CHECK (goods BETWEEN 1 AND 5),
            service smallint NOT NULL CHECK (service BETWEEN 1 AND 5),
            shipping smallint NOT NULL CHECK (shipping BETWEEN 1 AND 5),
            text text NOT NULL,
            pictures jsonb NOT NULL,
            is_anonymous boolean NOT NULL,
            is_held boolean NOT NULL,
            digest bytea NOT NULL,
            bought_at timestamptz NOT NULL,
            written_at timestamptz NOT NULL,
            follow_text text,
            follow_pictures jsonb NOT NULL DEFAULT '[]',
            follow_is_held boolean NOT NULL DEFAULT false,
            followed_at timestamptz,
            answer_text text,
            answered_at timestamptz,
            open_report_count integer NOT NULL DEFAULT 0 CHECK (open_report_count >= 0),
            hidden_at timestamptz,
            hidden_reason text,
            is_shown boolean GENERATED ALWAYS AS (NOT is_held AND hidden_at IS NULL) STORED,
            has_pictures boolean GENERATED ALWAYS AS (
                pictures <> '[]' OR (follow_pictures <> '[]' AND NOT follow_is_held)) STORED,
            UNIQUE (order_id, line_no),
            CHECK ((follow_text IS NULL) = (followed_at IS NULL)),
            CHECK ((answer_text IS NULL) = (answered_at IS NULL)),
            CHECK ((hidden_reason IS NULL) = (hidden_at IS NULL))
        );
        CREATE INDEX review_newest ON aftersales.review (product_id, written_at, id) WHERE is_shown;
        CREATE INDEX review_with_pictures ON aftersales.review (product_id, written_at, id)
            WHERE is_shown AND has_pictures;
        CREATE INDEX review_low ON aftersales.review (product_id, goods, written_at, id) WHERE is_shown;
        CREATE INDEX review_of_shop ON aftersales.review (shop_id, written_at, id) WHERE is_shown;
        CREATE INDEX review_of_buyer ON aftersales.review (buyer_id, written_at, id);
        CREATE INDEX review_to_judge ON aftersales.review (written_at, id)
            WHERE hidden_at IS NULL AND (is_held OR follow_is_held OR open_report_count > 0);

        CREATE TABLE aftersales.review_report (
            review_id uuid NOT NULL REFERENCES aftersales.review (id),
            reporter_id uuid NOT NULL,
            reason text NOT NULL,
            note text NOT NULL,
            reported_at timestamptz NOT NULL,
            settled_at timestamptz,
            PRIMARY KEY (review_id, reporter_id)
        );

        -- Of all shown reviews of a product, or of a shop.
        CREATE TABLE aftersales.review_sum (
            subject_id uuid PRIMARY KEY,
            review_count integer NOT NULL DEFAULT 0 CHECK (review_count >= 0),
            picture_count integer NOT NULL DEFAULT 0 CHECK (picture_count BETWEEN 0 AND review_count),
            goods_sum bigint NOT NULL DEFAULT 0,
            service_sum bigint NOT NULL DEFAULT 0,
            shipping_sum bigint NOT NULL DEFAULT 0,
            star_counts integer[] NOT NULL DEFAULT '{0,0,0,0,0}',
            CHECK (0 <= ALL (star_counts))
        );
        """
    )
