"""What was spent to win viewers, and goals."""

from laotie.base.migrations import run

revision = "0040"
down_revision = "0039"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA IF NOT EXISTS insight;

        -- One figure a payer (a shop, or the platform: null), day, source and campaign (empty: none); said again, it is replaced.
        CREATE TABLE insight.spend (
            id uuid PRIMARY KEY,
            shop_id uuid,
            spent_on date NOT NULL,
            source text NOT NULL,
            campaign text NOT NULL DEFAULT '',
            amount bigint NOT NULL CHECK (amount >= 0),
            currency text NOT NULL,
            note text NOT NULL DEFAULT '',
            made_by uuid NOT NULL,
            made_at timestamptz NOT NULL,
            CONSTRAINT spend_once UNIQUE NULLS NOT DISTINCT (shop_id, spent_on, source, campaign, currency)
        );

        -- What somebody means to reach from since_on to the day before until_on. `of_id`: the shop or streamer.
        CREATE TABLE insight.goal (
            id uuid PRIMARY KEY,
            level text NOT NULL CHECK (level IN ('platform', 'shop', 'streamer')),
            of_id uuid,
            measure text NOT NULL,
            target bigint NOT NULL CHECK (target > 0),
            threshold_amount bigint CHECK (threshold_amount > 0),
            currency text,
            since_on date NOT NULL,
            until_on date NOT NULL,
            note text NOT NULL DEFAULT '',
            version integer NOT NULL DEFAULT 1 CHECK (version > 0),
            made_by uuid NOT NULL,
            made_at timestamptz NOT NULL,
            changed_at timestamptz NOT NULL,
            dropped_at timestamptz,
            CHECK (since_on < until_on),
            CHECK ((level = 'platform') = (of_id IS NULL))
        );
        CREATE INDEX goal_by_whose ON insight.goal (level, of_id, until_on) WHERE dropped_at IS NULL;
        """
    )
