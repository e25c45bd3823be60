"""Cells of a CSV file that a spreadsheet will open: text stays text, numbers stay numbers.

A cell that a spreadsheet would run as a formula gets an apostrophe in front; `unguard` takes it away again, so that
what we write can be read back unchanged. Nothing else in the house makes CSV (`tests/test_tidy.py`).
"""

import csv
import io
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from uuid import UUID

from laotie.base.money import Money

Cell = str | int | bool | date | datetime | UUID | Money | None
BYTE_ORDER_MARK = "\ufeff"
"""At a file's beginning, so that spreadsheets read it as UTF-8."""

_STARTS = "[\\s'\ufeff\u200b\u2060]*[=＝﹦+＋﹢\\-－﹣@＠﹫\t\r]"
_DANGEROUS = re.compile(_STARTS)
_GUARDED = re.compile(f"'{_STARTS}")


def guard(cell: str) -> str:
    """The cell with an apostrophe in front when a spreadsheet would take it for a formula (or when one is there)."""
    return f"'{cell}" if _DANGEROUS.match(cell) else cell


def unguard(cell: str) -> str:
    """What `guard` was given."""
    return cell[1:] if _GUARDED.match(cell) else cell


def write_line(cells: Iterable[Cell]) -> str:
    """One line of a CSV file (RFC 4180). Text is guarded; numbers and sums (in whole units, with a point) are numbers."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow([_text(cell) for cell in cells])
    return buffer.getvalue()


def _text(cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case str():
            return guard(cell)
        case bool():
            return "true" if cell else "false"
        case datetime():
            return cell.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case Money():
            return str(cell).rpartition(" ")[0]
        case _:
            return str(cell)
