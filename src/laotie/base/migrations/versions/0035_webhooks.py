"""Webhooks: shops' endpoints, what they are told (frozen), each endpoint's delivery of it, and every attempt."""

from laotie.base.migrations import run

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA webhooks;

        -- `leased_until`, `lease_id`: one sender at a time serves an endpoint. `resting_until`: it asked for quiet, or fails.
        -- `failures`: turns in a row with nothing taken, since `failing_since`; `answer_ms`: how quick it was the last time.
        -- `secret` is sealed (`Signer.seal`): HMAC needs it as it is, and nobody may read it here.
        CREATE TABLE webhooks.endpoint (
            id uuid PRIMARY KEY,
            shop_id uuid NOT NULL,
            url text NOT NULL,
            description text NOT NULL,
            types text[] NOT NULL,
            state text NOT NULL CHECK (state IN ('active', 'paused', 'disabled', 'removed')),
            disabled_for text CHECK (disabled_for IN ('gone', 'failing', 'overflow')),
            secret bytea NOT NULL,
            old_secret bytea,
            old_secret_until timestamptz,
            created_at timestamptz NOT NULL,
            lease_id uuid,
            leased_until timestamptz NOT NULL,
            resting_until timestamptz NOT NULL,
            failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
            failing_since timestamptz,
            answer_ms integer NOT NULL DEFAULT 0,
            delivered_at timestamptz,
            CHECK ((state = 'disabled') = (disabled_for IS NOT NULL)),
            CHECK ((old_secret IS NULL) = (old_secret_until IS NULL)),
            CHECK ((failures = 0) = (failing_since IS NULL)),
            CHECK (state <> 'removed' OR (url = '' AND secret = ''::bytea AND old_secret IS NULL))
        );
        CREATE INDEX endpoint_of_shop ON webhooks.endpoint (shop_id);

        -- What is told, once an event: `body` is sent and signed byte for byte, however often.
        CREATE TABLE webhooks.message (
            event_id uuid PRIMARY KEY,
            shop_id uuid NOT NULL,
            type text NOT NULL,
            subject_id uuid,
            body text NOT NULL,
            delivery_count integer NOT NULL CHECK (delivery_count >= 0),
            at timestamptz NOT NULL
        );
        CREATE INDEX message_of_nobody ON webhooks.message (event_id) WHERE delivery_count = 0;
        CREATE INDEX message_about ON webhooks.message (subject_id) WHERE subject_id IS NOT NULL;

        -- `id` is the `webhook-id`. `attempts` in all; `tries` since it was last put on its way.
        CREATE TABLE webhooks.delivery (
            id uuid PRIMARY KEY,
            event_id uuid NOT NULL REFERENCES webhooks.message (event_id),
            endpoint_id uuid NOT NULL REFERENCES webhooks.endpoint (id),
            state text NOT NULL CHECK (state IN ('waiting', 'delivered', 'given_up')),
            attempts integer NOT NULL DEFAULT 0,
            tries integer NOT NULL DEFAULT 0 CHECK (tries BETWEEN 0 AND attempts),
            due_at timestamptz,
            ended_at timestamptz,
            UNIQUE (endpoint_id, event_id),
            CHECK ((state = 'waiting') = (due_at IS NOT NULL)),
            CHECK ((state = 'waiting') = (ended_at IS NULL))
        );
        CREATE INDEX delivery_due ON webhooks.delivery (endpoint_id, due_at, event_id) WHERE state = 'waiting';
        CREATE INDEX delivery_waiting ON webhooks.delivery (due_at) WHERE state = 'waiting';  -- is there anything at all?
        CREATE INDEX delivery_of_endpoint ON webhooks.delivery (endpoint_id, state, id);
        CREATE INDEX delivery_of_event ON webhooks.delivery (event_id);

        CREATE TABLE webhooks.attempt (
            delivery_id uuid NOT NULL REFERENCES webhooks.delivery (id) ON DELETE CASCADE,
            no integer NOT NULL CHECK (no > 0),
            at timestamptz NOT NULL,
            ms integer NOT NULL CHECK (ms >= 0),
            status integer,
            failure text,
            answer text NOT NULL,
            PRIMARY KEY (delivery_id, no),
            CHECK ((status IS NULL) = (failure IS NOT NULL))
        );
        """
    )
