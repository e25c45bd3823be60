"""Draws the pages of one PDF from outside: executed by path in a confined process, imports none of us.

`python -I copyroom.py FILE SIDE_MAX PAGES_MAX`: each page as WebP on standard output with its length (4 bytes, big
endian) in front, and one line of JSON about them, or about what is wrong with the file, on standard error. What a PDF
can do besides being looked at (scripts, forms, files inside, links) stays behind: of a page only its picture leaves.
"""

import io
import json
import sys
from typing import NoReturn

import pypdfium2
from PIL import Image

QUALITY = 80
POINTS_MAX = 14_400
"""Adobe's own bound of a side, 200 inches; beyond it a file is made to hurt."""


def main(path: str, side_max: int, pages_max: int) -> None:
    """Open, check, draw, write."""
    try:
        document = pypdfium2.PdfDocument(path)
        count = len(document)
    except Exception as error:
        refuse("locked" if "password" in str(error).lower() else "broken")
    if count > pages_max:
        refuse("too-long")
    sizes: list[tuple[int, int]] = []
    try:
        for number in range(count):
            picture = draw(document[number], side_max)
            out = io.BytesIO()
            picture.save(out, "WEBP", quality=QUALITY, method=2)
            data = out.getvalue()
            sys.stdout.buffer.write(len(data).to_bytes(4, "big") + data)
            sizes.append(picture.size)
    except Exception:
        refuse("broken")
    print(json.dumps({"sizes": sizes}), file=sys.stderr)


def draw(page: pypdfium2.PdfPage, side_max: int) -> Image.Image:
    """The page as large as it may be, without its forms."""
    width, height = page.get_size()
    if not (0 < width <= POINTS_MAX and 0 < height <= POINTS_MAX):
        refuse("broken")
    scale = min(2.5, side_max / width, side_max / height)
    drawn: Image.Image = page.render(scale=scale, may_draw_forms=False, fill_color=(255, 255, 255, 255)).to_pil()
    return drawn.convert("RGB")


def refuse(why: str) -> NoReturn:
    """Say why, and end."""
    print(json.dumps({"refused": why}), file=sys.stderr)
    sys.exit(3)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
