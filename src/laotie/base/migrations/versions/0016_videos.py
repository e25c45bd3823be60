"""Uploads: what people bring, until something is made of it, and pictures. Videos: films, who saw and liked them, what
was said under them, what was bought from them."""

from laotie.base.migrations import run

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA uploads;

        -- How much has arrived is the size of the file itself, never a figure here that could disagree with it.
        CREATE TABLE uploads.upload (
            id uuid PRIMARY KEY,
            owner_id uuid NOT NULL,
            size_bytes bigint NOT NULL CHECK (size_bytes > 0),
            taken_by text,
            created_at timestamptz NOT NULL
        );
        CREATE INDEX upload_of_owner ON uploads.upload (owner_id, created_at);
        CREATE INDEX upload_by_age ON uploads.upload (created_at) WHERE taken_by IS NULL;

        CREATE TABLE uploads.picture (
            id uuid PRIMARY KEY,
            owner_id uuid NOT NULL,
            purpose text NOT NULL CHECK (purpose IN ('product', 'avatar', 'cover', 'review')),
            width integer NOT NULL CHECK (width > 0),
            height integer NOT NULL CHECK (height > 0),
            size_bytes integer NOT NULL CHECK (size_bytes > 0),
            digest bytea NOT NULL,
            created_at timestamptz NOT NULL
        );
        CREATE INDEX picture_of_owner ON uploads.picture (owner_id, created_at);
        CREATE INDEX picture_by_age ON uploads.picture (created_at);

        -- Who shows a picture. One that nobody shows is swept after a day.
        CREATE TABLE uploads.picture_use (
            holder text NOT NULL,
            picture_id uuid NOT NULL REFERENCES uploads.picture (id),
            PRIMARY KEY (holder, picture_id)
        );
        CREATE INDEX use_of_picture ON uploads.picture_use (picture_id);

        CREATE SCHEMA videos;

        CREATE TABLE videos.video (
            id uuid PRIMARY KEY,
            shop_id uuid NOT NULL,
            streamer_id uuid NOT NULL,
            title text NOT NULL,
            cover text,
            state text NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'published', 'hidden', 'removed')),
            warms_up uuid,
            upload_id uuid NOT NULL,
            film_state text NOT NULL DEFAULT 'processing' CHECK (film_state IN ('processing', 'ready', 'failed')),
            film_id uuid NOT NULL UNIQUE,
            progress_bps integer NOT NULL DEFAULT 0 CHECK (progress_bps BETWEEN 0 AND 10000),
            attempts integer NOT NULL DEFAULT 0,
            problem text,
            duration_ms integer CHECK (duration_ms > 0),
            width integer CHECK (width > 0),
            height integer CHECK (height > 0),
            size_bytes bigint CHECK (size_bytes > 0),
            digest bytea NOT NULL,
            created_at timestamptz NOT NULL,
            published_at timestamptz,
            CHECK (film_state <> 'ready' OR (duration_ms IS NOT NULL AND width IS NOT NULL
                                             AND height IS NOT NULL AND size_bytes IS NOT NULL))
        );
        CREATE INDEX video_of_shop ON videos.video (shop_id, id DESC);
        CREATE INDEX video_on_show ON videos.video (published_at DESC, id DESC)
            WHERE state = 'published' AND film_state = 'ready';
        CREATE INDEX video_of_streamer ON videos.video (streamer_id, published_at DESC, id DESC)
            WHERE state = 'published' AND film_state = 'ready';

        CREATE TABLE videos.product (
            video_id uuid NOT NULL REFERENCES videos.video (id),
            position smallint NOT NULL,
            product_id uuid NOT NULL,
            PRIMARY KEY (video_id, product_id),
            UNIQUE (video_id, position)
        );
        CREATE INDEX video_of_product ON videos.product (product_id);

        -- Every play as it was, counted or not: what a filter of bought plays will look at.
        CREATE TABLE videos.play (
            id uuid PRIMARY KEY,
            video_id uuid NOT NULL REFERENCES videos.video (id),
            viewer_id uuid NOT NULL,
            source text NOT NULL,
            placement text NOT NULL,
            began_at timestamptz NOT NULL,
            heard_at timestamptz NOT NULL,
            watched_ms integer NOT NULL DEFAULT 0 CHECK (watched_ms >= 0),
            is_counted boolean NOT NULL DEFAULT false
        ) WITH (fillfactor = 80);
        CREATE INDEX play_of_viewer ON videos.play (viewer_id, began_at);
        CREATE INDEX play_of_video ON videos.play (video_id, began_at);

        CREATE TABLE videos.liking (
            video_id uuid NOT NULL REFERENCES videos.video (id),
            viewer_id uuid NOT NULL,
            liked_at timestamptz NOT NULL,
            PRIMARY KEY (video_id, viewer_id)
        );
        CREATE INDEX liking_of_viewer ON videos.liking (viewer_id);

        -- Sums in slots by viewer, so that a video everybody watches has no row that everybody waits for.
        CREATE TABLE videos.figure (
            video_id uuid NOT NULL REFERENCES videos.video (id),
            slot smallint NOT NULL CHECK (slot BETWEEN 0 AND 15),
            plays bigint NOT NULL DEFAULT 0 CHECK (plays >= 0),
            watched_ms bigint NOT NULL DEFAULT 0 CHECK (watched_ms >= 0),
            likes bigint NOT NULL DEFAULT 0 CHECK (likes >= 0),
            comments bigint NOT NULL DEFAULT 0 CHECK (comments >= 0),
            PRIMARY KEY (video_id, slot)
        ) WITH (fillfactor = 50);

        CREATE TABLE videos.comment (
            id uuid PRIMARY KEY,
            video_id uuid NOT NULL REFERENCES videos.video (id),
            parent_id uuid REFERENCES videos.comment (id),
            author_id uuid NOT NULL,
            text text NOT NULL,
            is_held boolean NOT NULL DEFAULT false,
            like_count integer NOT NULL DEFAULT 0 CHECK (like_count >= 0),
            reply_count integer NOT NULL DEFAULT 0 CHECK (reply_count >= 0),
            said_at timestamptz NOT NULL,
            removed_at timestamptz,
            removed_by uuid,
            CHECK (parent_id IS NULL OR parent_id <> id)
        );
        CREATE INDEX comment_of_video ON videos.comment (video_id, id DESC)
            WHERE parent_id IS NULL AND removed_at IS NULL;
        CREATE INDEX comment_of_parent ON videos.comment (parent_id, id) WHERE removed_at IS NULL;
        CREATE INDEX comment_of_author ON videos.comment (author_id, said_at);

        CREATE TABLE videos.comment_liking (
            comment_id uuid NOT NULL REFERENCES videos.comment (id),
            viewer_id uuid NOT NULL,
            PRIMARY KEY (comment_id, viewer_id)
        );

        -- What was bought from a video, heard from the orders' news.
        CREATE TABLE videos.sale (
            order_id uuid PRIMARY KEY,
            video_id uuid NOT NULL,
            currency text NOT NULL,
            amount bigint NOT NULL,
            paid_at timestamptz,
            placed_at timestamptz NOT NULL
        );
        CREATE INDEX sale_of_video ON videos.sale (video_id);
        """
    )
