"""The soak in small: what it measures, and that a short show with mishaps is sound."""

import json
import subprocess
import sys

import pytest


@pytest.mark.prove
def test_a_short_show_with_mishaps_leaves_nothing_behind() -> None:
    command = [sys.executable, "-m", "laotie", "bench", "soak", "--json", "--minutes", "0.5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    figures = json.loads(done.stdout)
    assert done.returncode == 0 and figures["ok"], (figures, done.stderr)
    assert (figures["encoder_drops"], figures["ffmpeg_kills"], figures["stalls"]) == (2, 1, 0)
    assert figures["av_offset_ms"]["worst"] < 60
