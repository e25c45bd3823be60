"""The demonstration broadcast: what is drawn, and how it is sent."""

import asyncio
import contextlib
import itertools
import subprocess
from pathlib import Path

import numpy as np
import psutil
import pytest
from on_air import KEY, exists, on_stage, until

from laotie.media import Scene, TestCard, music, scenery
from laotie.media.encoder import find_ffmpeg
from laotie.media.testcard import EDITION, broadcast


@pytest.mark.parametrize("scene", list(Scene))
def test_scenes_move_and_are_colourful(scene: Scene) -> None:
    first, *_, later = itertools.islice(scenery.FRAMES[scene](), 6)
    assert first.shape == (scenery.HEIGHT, scenery.WIDTH, 3)
    assert first.std() > 0.1
    assert 0.001 < np.abs(later - first).mean() < 0.1


@pytest.mark.parametrize("scene", list(Scene))
def test_music_is_gentle_and_closes_in_silence(scene: Scene) -> None:
    sound = music.MUSIC[scene]()
    assert sound.shape == (music.MUSIC_S * music.SOUND_RATE, 2)
    assert 0.02 < sound.std() < 0.2 and np.abs(sound).max() <= 0.5
    assert np.abs(sound[:200]).max() < 0.01 and np.abs(sound[-200:]).max() < 0.01


async def test_the_card_goes_through_the_door_and_keeps_its_key_to_itself(tmp_path: Path) -> None:
    loops = tmp_path / "testcard"
    loops.mkdir()
    for suffix, source in ((".mp4", "testsrc2=s=540x960:r=25:d=2"), (".m4a", "sine=d=2:r=48000")):
        command = [find_ffmpeg(), "-v", "error", "-f", "lavfi", "-i", source, str(loops / f"shore-{EDITION}{suffix}")]
        subprocess.run(command, check=True)
    async with on_stage() as stage:
        url = f"rtmp://127.0.0.1:{stage.door.port}/live"
        card = asyncio.create_task(broadcast(TestCard(scene=Scene.SHORE, url=url, key=KEY, data=tmp_path)))
        await until(lambda: stage.news == ["live"])
        ours = [Path(f"/proc/{child.pid}/cmdline") for child in psutil.Process().children(recursive=True)]
        running = {path: path.read_bytes() for path in ours if readable(path)}
        assert not [path for path, line in running.items() if KEY.encode() in line]
        senders = [int(path.parent.name) for path, line in running.items() if str(loops).encode() in line]
        assert len(senders) == 1
        stats = stage.media.stats(stage.channel_id)
        assert (stats.width, stats.height) == (540, 960) and stats.codecs.endswith("mp4a.40.2")
        await asyncio.sleep(3)  # past the loop's end
        assert stage.news == ["live"]
        card.cancel()
        await asyncio.gather(card, return_exceptions=True)
        assert not exists(senders[0])
        await until(lambda: stage.news == ["live", "away"])


def readable(path: Path) -> bool:
    """Processes come and go."""
    with contextlib.suppress(OSError):
        return bool(path.read_bytes())
    return False
