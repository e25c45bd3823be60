"""From a file to what everybody sees, and what a kill, a hostile file or a second thought does on that way."""

from pathlib import Path
from uuid import UUID

import pytest

from films import film, zipped
from laotie import media, uploads, videos
from laotie.base.ids import ProductId, ViewerId, new_id
from laotie.base.refusals import IdReused, NotFound
from laotie.catalog import ImageRefused
from laotie.uploads import UploadId
from laotie.videos import FilmState, VideoDraft, VideoId, VideoState
from stage import host, join, product
from studio import Studio


async def test_a_file_becomes_a_video_that_everybody_sees(studio: Studio) -> None:
    goods = await product(studio.db, studio.host)
    made = await studio.make(is_published=True, product_ids=[goods.id])
    assert (made.state, made.film_state, made.film) == (VideoState.published, FilmState.processing, None)
    async with studio.db.read() as tx:
        with pytest.raises(NotFound):
            await videos.get_video(tx, ViewerId(new_id()), made.id)
    await studio.develop(made.id)
    async with studio.db.read() as tx:
        video = await videos.get_video(tx, ViewerId(new_id()), made.id)
    assert (video.duration_ms, video.width, video.height) == (2000, 90, 160)
    assert [(one.title, one.price.amount, one.available) for one in video.products] == [("Sea cucumber", 9900, 10)]
    assert len(studio.files()) == 2 and not (studio.data / "uploads").joinpath("x").exists()
    assert all(name.startswith("videos/") and not name.startswith("videos/staging") for name in studio.files())


async def test_the_same_draft_again_is_the_same_video_and_another_under_its_id_is_refused(studio: Studio) -> None:
    upload_id = await studio.bring(film())
    draft = VideoDraft(id=VideoId(new_id()), upload_id=upload_id, title="海边")
    for _ in range(2):
        async with studio.db.tx() as tx:
            await videos.make_video(tx, studio.host.actor, studio.host.shop_id, draft, data=studio.data, lanes=1)
    other = VideoDraft(id=draft.id, upload_id=upload_id, title="山里")
    with pytest.raises(IdReused):
        async with studio.db.tx() as tx:
            await videos.make_video(tx, studio.host.actor, studio.host.shop_id, other, data=studio.data, lanes=1)
    second = VideoDraft(id=VideoId(new_id()), upload_id=upload_id, title="海边")
    with pytest.raises(uploads.UploadTaken):
        async with studio.db.tx() as tx:
            await videos.make_video(tx, studio.host.actor, studio.host.shop_id, second, data=studio.data, lanes=1)


@pytest.mark.parametrize(
    ("data", "problem"),
    [(film()[:20_000], "film-broken"), (film(seconds=0.4, sounds=0), "film-too-short")],
    ids=["cut", "too short"],
)
async def test_a_hostile_film_fails_with_its_reason_and_leaves_nothing(
    studio: Studio, data: bytes, problem: str
) -> None:
    video = await studio.develop((await studio.make(data, is_published=True)).id)
    assert (video.film_state, video.problem, video.state) == (FilmState.failed, problem, VideoState.draft)
    assert studio.files() == []
    with pytest.raises(videos.FilmNotReady):
        await studio.change(video.id, state=VideoState.published)


async def test_what_is_no_film_does_not_become_a_video(studio: Studio) -> None:
    with pytest.raises(media.NotAFilm):
        await studio.make(zipped())
    async with studio.db.read() as tx:
        assert await tx.one(int, "SELECT count(*) FROM videos.video") == 0


async def test_a_job_killed_in_the_middle_begins_anew_and_nothing_of_the_first_is_left(studio: Studio) -> None:
    made = await studio.make(is_published=True)
    staging = studio.data / "videos" / "staging" / str(made.id)
    staging.mkdir(parents=True)
    (staging / "film.mp4").write_bytes(b"half of it")
    async with studio.db.tx() as tx:
        await tx.run("UPDATE videos.video SET attempts = 1, progress_bps = 4000 WHERE id = %(id)s", id=made.id)
    assert (await studio.develop(made.id)).film_state is FilmState.ready
    assert not staging.exists() and len(studio.files()) == 2


async def test_a_job_killed_after_the_commit_changes_nothing_when_it_runs_again(studio: Studio) -> None:
    made = await studio.publish()
    files = studio.files()
    assert await studio.develop(made.id) == made
    assert studio.files() == files


async def test_a_film_that_ends_its_process_again_and_again_fails_in_the_end(studio: Studio) -> None:
    made = await studio.make()
    async with studio.db.tx() as tx:
        await tx.run("UPDATE videos.video SET attempts = 5 WHERE id = %(id)s", id=made.id)
    video = await studio.develop(made.id)
    assert (video.film_state, video.problem) == (FilmState.failed, "film-too-hard")
    assert studio.files() == []


async def test_a_hidden_video_is_seen_by_nobody_and_may_come_back_a_removed_one_not(studio: Studio) -> None:
    video = await studio.publish()
    published_at = video.published_at
    film_id = UUID(Path(video.film or "").stem)
    await studio.hide(video.id)
    async with studio.db.read() as tx:
        assert await videos.find_videos(tx, ViewerId(new_id()), [video.id]) == {}
        with pytest.raises(NotFound):
            await videos.find_film(tx, studio.context.signer, film_id, preview=None)
        preview = studio.context.signer.sign("film", str(film_id))
        shown = await videos.find_film(tx, studio.context.signer, film_id, preview=preview)
        assert shown.film_id == film_id
    back = await studio.change(video.id, state=VideoState.published)
    assert back.published_at == published_at, "coming back does not make it new"
    await studio.change(video.id, state=VideoState.removed)
    with pytest.raises(videos.VideoGone):
        await studio.change(video.id, state=VideoState.published)


async def test_it_is_told_once_that_a_video_can_be_seen(studio: Studio) -> None:
    video = await studio.publish()
    await studio.hide(video.id)
    await studio.change(video.id, state=VideoState.published)
    async with studio.db.read() as tx:
        told = await tx.one(int, "SELECT count(*) FROM base.outbox WHERE tag = 'video.published'")
    assert told == 1


async def test_the_cart_holds_listed_products_of_its_own_shop_alone(studio: Studio) -> None:
    video = await studio.publish()
    other = await host(studio.db, "neighbour")
    theirs = await product(studio.db, other)
    draft = await product(studio.db, studio.host, is_listed=False)
    for wrong in ([theirs.id], [draft.id], [ProductId(new_id())]):
        with pytest.raises(videos.VideoProductsRefused):
            await studio.change(video.id, product_ids=wrong)


async def test_only_the_shops_people_with_the_right_may_bring_and_change(studio: Studio) -> None:
    stranger = await join(studio.db, "stranger")
    with pytest.raises(NotFound):
        await studio.bring(film(), actor=stranger)
    video = await studio.publish()
    with pytest.raises(NotFound):
        async with studio.db.tx() as tx:
            await videos.change_video(tx, stranger, video.id, videos.VideoChange(title="mine"))


async def test_bad_words_and_scripts_do_not_become_titles_and_covers(studio: Studio) -> None:
    video = await studio.publish()
    with pytest.raises(ImageRefused):
        await studio.change(video.id, cover="javascript:alert(1)")
    with pytest.raises(uploads.PictureGone):
        await studio.change(video.id, cover=f"/media/uploads/{new_id()}.webp")
    changed = await studio.change(video.id, title="<script>alert(1)</script>")
    assert changed.title == "<script>alert(1)</script>", "it is a text, and pages show it as one"


async def test_an_upload_that_is_not_complete_is_no_video(studio: Studio) -> None:
    upload_id = UploadId(new_id())
    async with studio.db.tx() as tx:
        await videos.begin_upload(
            tx, studio.host.actor, studio.host.shop_id, upload_id, size_bytes=1000, bytes_max=10_000
        )
    draft = VideoDraft(id=VideoId(new_id()), upload_id=upload_id, title="海边")
    with pytest.raises(uploads.UploadIncomplete):
        async with studio.db.tx() as tx:
            await videos.make_video(tx, studio.host.actor, studio.host.shop_id, draft, data=studio.data, lanes=1)
