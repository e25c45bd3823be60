"""kill -9 of the process that prepares a film: its ffmpeg dies with it, and the next process makes the film."""

import asyncio
import os
import signal
import sys
import time

import psutil  # type: ignore[import-untyped]

from films import film
from laotie.base.db import Database
from laotie.videos import FilmState
from studio import Studio

DEVELOP = """
import asyncio, sys
from laotie import videos
from laotie.base import jobs
from laotie.base.bus import LocalBus
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.settings import Settings
from laotie.base.signer import Signer

async def main(url, data, video):
    db = await Database.open(url, pool_max=2)
    settings = Settings(data_dir=data, video_kbits_max=500)
    await videos.develop(jobs.Context(db=db, settings=settings, signer=Signer(["k" * 40], Clock()), bus=LocalBus()), video_id=video)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_process_killed_in_the_middle_leaves_no_program_and_its_film_is_made_by_the_next(
    studio: Studio, db: Database, database_url: str
) -> None:
    made = await studio.make(film(seconds=40, size="640x480", rate=25), is_published=True)
    staging = studio.data / "videos" / "staging" / str(made.id)
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", DEVELOP, database_url, str(studio.data), str(made.id))
    )
    await until(lambda: (staging / "film.mp4").exists() and (staging / "film.mp4").stat().st_size > 0, child)
    assert programs_in(str(staging))
    os.kill(child.pid, signal.SIGKILL)
    await child.wait()
    await until(lambda: not programs_in(str(staging)))
    assert (await studio.see(made.id)).film_state is FilmState.processing
    assert (await studio.develop(made.id)).film_state is FilmState.ready
    assert len(studio.files()) == 2 and not staging.exists()


async def until(is_so: object, child: asyncio.subprocess.Process | None = None) -> None:
    assert callable(is_so)
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline and (child is None or child.returncode is None)
        await asyncio.sleep(0.02)


def programs_in(directory: str) -> list[psutil.Process]:
    """Programs that work there."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == directory and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found
