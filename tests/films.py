"""Films and pictures to bring, honest ones and others. Honest ones are made once a session by the product's own ffmpeg."""

import atexit
import io
import shutil
import subprocess
import tempfile
import zipfile
from functools import cache
from pathlib import Path

from PIL import Image

from laotie.media.encoder import find_ffmpeg

HERE = Path(tempfile.mkdtemp(prefix="films-"))
"""Each test process makes its own; two that shared a file would find it half written."""
atexit.register(shutil.rmtree, HERE, ignore_errors=True)


@cache
def film(
    *, seconds: float = 2, size: str = "90x160", rate: int = 10, video: str = "libx264", sounds: int = 1, suffix: str = "mp4"
) -> bytes:
    """A test picture with a tone."""
    name = HERE / f"{seconds}-{size}-{rate}-{video}-{sounds}.{suffix}"
    sound = [word for _ in range(sounds) for word in ("-f", "lavfi", "-i", "sine=440")]
    maps = [word for number in range(sounds + 1) for word in ("-map", str(number))]
    audio = "libopus" if suffix == "webm" else "aac"
    subprocess.run(
        [
            *(find_ffmpeg(), "-v", "error", "-y", "-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}", *sound),
            *(*maps, "-t", str(seconds), "-c:v", video, "-pix_fmt", "yuv420p", "-c:a", audio, "-g", "10"),
            *(("-preset", "ultrafast") if video == "libx264" else ("-deadline", "realtime")),
            *("-threads", "1", str(name)),
        ],
        check=True,
    )
    return name.read_bytes()


@cache
def sound_alone() -> bytes:
    """A tone without a picture."""
    name = HERE / "tone.mp4"
    source = ["-f", "lavfi", "-i", "sine=440", "-t", "2", "-c:a", "aac"]
    subprocess.run([find_ffmpeg(), "-v", "error", "-y", *source, str(name)], check=True)
    return name.read_bytes()


def with_box(data: bytes, name: bytes, change: bytes, at: int) -> bytes:
    """The film with bytes of one of its boxes overwritten, `at` bytes behind the box's name."""
    place = data.index(name) + 4 + at
    return data[:place] + change + data[place + len(change) :]


def zipped() -> bytes:
    """An archive with a page in it."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("index.html", "<script>alert(1)</script>")
    return held.getvalue()


def picture(form: str = "JPEG", size: tuple[int, int] = (320, 200), **options: object) -> bytes:
    """A picture."""
    held = io.BytesIO()
    Image.radial_gradient("L").resize(size).convert("RGB").save(held, form, **options)
    return held.getvalue()
