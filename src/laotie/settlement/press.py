"""Sets a document as PDF from outside: executed by path in a process of its own, imports none of us.

`python -I press.py`: a JSON document on standard input (`printing.Document`), the PDF on standard output. Setting type is
a second of pure Python; here it costs no purchase its place. The font is embedded, but for the characters not used, so
Chinese looks the same on every machine, also on those without Chinese fonts.
"""

import json
import sys
from datetime import datetime
from typing import Any
from uuid import uuid4

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from pylopdf_fonts_zh_cn import sans_path

MARGIN, LEADING, ROW = 12, 4.6, 5.4
INK, QUIET, LINE, BAND, ACCENT = (23, 23, 26), (104, 104, 114), (214, 214, 220), (246, 246, 248), (201, 66, 26)
CELL_MARGIN = 1


class Paper(FPDF):
    """A4 across, with a foot on every page."""

    def __init__(self, document: dict[str, Any]) -> None:
        super().__init__(orientation="landscape", format="A4")
        self.document = document
        self.add_font("sans", "", str(sans_path()))
        self.set_title(document["title"])
        self.set_creator("Laotie")
        self.set_creation_date(datetime.fromisoformat(document["made_at"]))
        self.set_lang(document["lang"])
        self.set_margins(MARGIN, MARGIN)
        self.set_auto_page_break(True, 16)
        self.c_margin = CELL_MARGIN
        self.page_count_mark = uuid4().hex  # nobody's name has this in it
        self.alias_nb_pages(self.page_count_mark)

    def footer(self) -> None:
        """What it is, and which page of how many."""
        self.set_y(-12)
        self.write_as(7, QUIET)
        self.cell(self.epw - 16, 4, self.fit(self.document["foot"], self.epw - 20))
        self.cell(16, 4, f"{self.page_no()} / {self.page_count_mark}")

    def write_as(self, size: float, ink: tuple[int, int, int] = INK) -> None:
        """From here on in this size and colour."""
        self.set_font("sans", size=size)
        self.set_text_color(*ink)

    def fit(self, text: str, width: float) -> str:
        """The text, cut where it would leave its place."""
        if self.get_string_width(text) <= width:
            return text
        while text and self.get_string_width(text + "…") > width:
            text = text[:-1]
        return text + "…"


def main() -> None:
    """Read, set, write."""
    document = json.load(sys.stdin)
    paper = Paper(document)
    paper.add_page()
    _head(paper, document)
    _figures(paper, document["figures"])
    for table in document["tables"]:
        _table(paper, table)
    paper.ln(3)
    for note in document["notes"]:
        paper.write_as(7.5, QUIET)
        paper.multi_cell(0, 4, note, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    sys.stdout.buffer.write(paper.output())


def _head(paper: Paper, document: dict[str, Any]) -> None:
    paper.write_as(18)
    paper.cell(0, 9, document["title"], new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    paper.write_as(11)
    paper.cell(0, 7, paper.fit(document["subtitle"], paper.epw), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    for name, text in document["facts"]:
        paper.write_as(8, QUIET)
        paper.cell(34, LEADING, name)
        paper.write_as(8)
        paper.cell(0, LEADING, paper.fit(text, paper.epw - 36), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    paper.ln(3)


def _figures(paper: Paper, figures: list[list[str]]) -> None:
    """A few sums side by side, large."""
    width = paper.epw / len(figures)
    top = paper.get_y()
    paper.set_fill_color(*BAND)
    paper.rect(MARGIN, top, paper.epw, 16, style="F")
    for index, (name, figure) in enumerate(figures):
        paper.set_xy(MARGIN + index * width + 3, top + 2)
        paper.write_as(8, QUIET)
        paper.cell(width - 4, 5, name)
        paper.set_xy(MARGIN + index * width + 3, top + 7)
        paper.write_as(13, ACCENT if figure.startswith("-") else INK)
        paper.cell(width - 4, 7, figure)
    paper.set_xy(MARGIN, top + 19)


def _table(paper: Paper, table: dict[str, Any]) -> None:
    shares = table["widths"]
    widths = [share * paper.epw / sum(shares) for share in shares]
    if paper.will_page_break(ROW * 4 + 7):
        paper.add_page()
    paper.ln(2)
    paper.write_as(10.5)
    paper.cell(0, 7, table["title"], new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    _heads(paper, table, widths)
    for row in table["rows"]:
        if paper.will_page_break(ROW):
            paper.add_page()
            _heads(paper, table, widths)
        _row(paper, table["align"], widths, row, LINE)
    if table["foot"]:
        _row(paper, table["align"], widths, table["foot"], INK)


def _heads(paper: Paper, table: dict[str, Any], widths: list[float]) -> None:
    paper.write_as(7.5, QUIET)
    for width, side, text in zip(widths, table["align"], table["head"], strict=True):
        paper.cell(width, ROW, paper.fit(text, width - 2 * CELL_MARGIN), align=side)
    paper.ln(ROW)
    _rule(paper, INK)


def _row(paper: Paper, align: list[str], widths: list[float], row: list[str], ink: tuple[int, int, int]) -> None:
    if ink == INK:
        _rule(paper, INK)
    for at, (width, side, text) in enumerate(zip(widths, align, row, strict=True)):
        paper.write_as(7.5, ACCENT if at == len(row) - 1 and text.startswith("-") else INK)
        paper.cell(width, ROW, paper.fit(text, width - 2 * CELL_MARGIN), align=side)
    paper.ln(ROW)
    if ink != INK:
        _rule(paper, ink)


def _rule(paper: Paper, ink: tuple[int, int, int]) -> None:
    paper.set_draw_color(*ink)
    paper.set_line_width(0.1)
    paper.line(MARGIN, paper.get_y(), MARGIN + paper.epw, paper.get_y())


if __name__ == "__main__":
    main()
