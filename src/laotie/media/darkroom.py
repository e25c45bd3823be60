"""Re-encodes one picture from outside: executed by path in a confined process, imports none of us.

`python -I darkroom.py FILE SIDE_MAX PIXELS_MAX`: WebP without metadata on standard output, and one line of JSON about
it, or about what is wrong with the file, on standard error. A picture decoder is where hostile bytes do their work,
so it runs where it can reach nothing: bounded memory and time, no environment, no file written.
"""

import io
import json
import sys
import warnings
from typing import NoReturn

from PIL import (
    AvifImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

PLUGINS = (JpegImagePlugin, PngImagePlugin, WebPImagePlugin, GifImagePlugin, AvifImagePlugin)
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
"""Pillow finds no other reader among those asked for, and these only when their modules are loaded."""
QUALITY = 82


def main(path: str, side_max: int, pixels_max: int) -> None:
    """Read, check, turn upright, make smaller, write."""
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None  # Ours is checked below, before anything is decoded.
    try:
        picture = Image.open(path, formats=FORMATS)
    except Exception:
        refuse("not-a-picture")
    if picture.width * picture.height > pixels_max:
        refuse("too-large")
    try:
        if picture.format in ("JPEG", "MPO"):
            picture.draft("RGB", (side_max, side_max))
        picture.load()
        shown = in_srgb(ImageOps.exif_transpose(picture))
        shown.thumbnail((side_max, side_max), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        shown.save(out, "WEBP", quality=QUALITY, method=4)
    except Exception:
        refuse("broken")
    sys.stdout.buffer.write(out.getvalue())
    print(json.dumps({"width": shown.width, "height": shown.height}), file=sys.stderr)


def in_srgb(picture: Image.Image) -> Image.Image:
    """The colours that its profile means; the profile itself is left behind, with all other metadata."""
    profile = picture.info.get("icc_profile")
    has_alpha = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
    plain = picture.convert("RGBA" if has_alpha else "RGB")
    if profile and not has_alpha:
        try:
            found = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(plain, found, ImageCms.createProfile("sRGB"), outputMode="RGB")
            plain = converted or plain
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass
    clean = Image.new(plain.mode, plain.size)
    clean.paste(plain)
    return clean


def refuse(why: str) -> NoReturn:
    """Say why, and end."""
    print(json.dumps({"refused": why}), file=sys.stderr)
    sys.exit(3)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
