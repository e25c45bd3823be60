"""The keeper of recordings: what an earlier process left open is ended, what is over its term goes."""

from pathlib import Path

from laotie import live
from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.ids import ShowId
from laotie.media import Archive, MediaServer
from laotie.worker.recordings import RecordingKeeper
from stage import host
from tapes import film, keep


async def test_what_was_left_open_is_ended_and_what_is_over_its_term_is_removed(db: Database, tmp_path: Path) -> None:
    here, archive = await host(db), Archive(tmp_path)
    keeper = RecordingKeeper(db, LocalBus(), MediaServer(), archive, keep_days=30)
    await keep(db, tmp_path, here.show_id, film(db.clock.now(), seconds=3))
    await keeper.sweep()
    assert (await state(db, here.show_id)) == ("recording", 0), "the show goes on"
    async with db.tx() as tx:
        await live.end_show(tx, here.actor, here.show_id)
    await keeper.sweep()
    assert (await state(db, here.show_id)) == ("kept", 3000)
    tape = archive.find(str(here.show_id))
    assert tape is not None and tape.ended is not None
    db.clock.advance(seconds=29 * 86_400)
    await keeper.sweep()
    assert archive.list_names() == [str(here.show_id)] and archive.disk_use() > 0
    db.clock.advance(seconds=2 * 86_400)
    await keeper.sweep()
    assert (await state(db, here.show_id)) == ("removed", 3000)
    assert archive.list_names() == [] and archive.disk_use() == 0
    await keeper.sweep()


async def state(db: Database, show_id: ShowId) -> tuple[str, int]:
    async with db.read() as tx:
        found = await live.replay.find_recording(tx, show_id)
    assert found is not None
    return found.state, found.duration_ms
