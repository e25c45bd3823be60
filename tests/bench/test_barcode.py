"""The clock that the media benchmark reads latency from."""

import subprocess
import time

from laotie.bench import barcode
from laotie.media.encoder import find_ffmpeg


def test_ffmpeg_burns_in_the_time_of_day_to_the_frame() -> None:
    began_ms = time.time_ns() // 1_000_000
    ffmpeg = find_ffmpeg()
    arguments = barcode.push_arguments(ffmpeg, "pipe:1")
    pushing = subprocess.Popen([*arguments[:-1], "-t", "0.6", "pipe:1"], stdout=subprocess.PIPE)
    decode = [ffmpeg, "-v", "error", "-i", "pipe:0", "-f", "rawvideo", "-pix_fmt", "gray", "pipe:1"]
    pictures = subprocess.run(decode, stdin=pushing.stdout, capture_output=True, check=True, timeout=60).stdout
    pushing.wait(10)
    size = barcode.WIDTH * barcode.HEIGHT
    times = [barcode.read(pictures[at : at + size], barcode.WIDTH) for at in range(0, len(pictures), size)]
    ages = [(found - began_ms) % barcode.PERIOD_MS for found in times if found is not None]
    assert len(ages) == len(times) >= 15
    assert ages == sorted(ages)
    assert ages[0] >= 0
    assert ages[-1] <= time.time_ns() // 1_000_000 - began_ms


def test_a_picture_without_the_clock_reads_as_nothing() -> None:
    assert barcode.read(bytes(barcode.WIDTH * barcode.HEIGHT), barcode.WIDTH) is None
