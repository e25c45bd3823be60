"""Texts that strangers will read: one line, nothing unseen, no marks that climb over their neighbours."""

import re
import unicodedata

UNSEEN = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
"""Controls, bidirectional overrides and isolates, invisible fillers, tags. Joiners (200C, 200D) stay: scripts and
emoji need them."""
BREAKS = "\t\n\r\u2028\u2029"
MARKS_MAX = 3
"""Combining marks kept on one letter; more is decoration that climbs over its neighbours."""


def plain_line(text: str) -> str:
    """The text as it is shown: NFC, one line, nothing unseen. May come out empty."""
    seen = UNSEEN.sub(lambda found: " " if found[0] in BREAKS else "", text)
    joined = " ".join(unicodedata.normalize("NFC", seen).split())
    return joined if joined.isascii() else _thin_marks(joined)


def _thin_marks(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for letter in text:
        marks = marks + 1 if unicodedata.combining(letter) else 0
        if marks <= MARKS_MAX:
            kept.append(letter)
    return "".join(kept)
