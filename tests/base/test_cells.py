"""Cells that a spreadsheet opens: formulas are text, numbers are numbers, and what was guarded comes back."""

import csv
import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laotie.base.cells import guard, unguard, write_line
from laotie.base.money import Money

FORMULAS = [
    "=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "\u3000=1", "\ufeff=1", "\u200b=1", "＝1+1", "＋1", "－1",
    "＠x", "'=1", '=HYPERLINK("http://x","y")', "﹦1",
]  # fmt: skip


def plain(text: str) -> str:
    return text.strip(" \t\r\n\u3000\ufeff\u200b\u2060\xa0")[:1]


@pytest.mark.parametrize("text", FORMULAS)
def test_what_would_run_is_text(text: str) -> None:
    assert guard(text) == f"'{text}" and unguard(guard(text)) == text


@given(text=st.one_of(st.text(max_size=12), st.text(" \t\r='+-@＝＋－＠\ufeff\u3000x", max_size=6)))
def test_whatever_is_written_never_runs_and_comes_back(text: str) -> None:
    assert plain(guard(text)) not in set("=+-@＝＋－＠")
    assert unguard(guard(text)) == text


def test_numbers_stay_numbers() -> None:
    at = datetime(2026, 11, 22, 8, tzinfo=UTC)
    line = write_line([-5, Money(-1250, "CNY"), Money(7, "JPY"), True, None, at, "a,b", "line\r\nbreak"])
    (row,) = csv.reader(io.StringIO(line, newline=""))
    assert row == ["-5", "-12.50", "7", "true", "", "2026-11-22T08:00:00.000Z", "a,b", "line\r\nbreak"]
