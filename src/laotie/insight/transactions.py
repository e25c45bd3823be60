"""A file of purchases, as anybody has one: CSV with the columns customer, time, amount (others are not looked at).

What cannot be read is told by reason and counted, never guessed. A time is ISO 8601; its day counts as written. A negative
amount is a return: it is no purchase, and it is counted. A purchase for nothing is a purchase.
"""

import csv
import gzip
from datetime import date, datetime
from math import isfinite
from pathlib import Path
from typing import IO

import msgspec
import numpy as np

from laotie.base.refusals import Conflict
from laotie.insight.backtest import Purchases

COLUMNS = ("customer", "time", "amount")
CELL_LENGTH_MAX = 200
ROWS_MAX = 50_000_000


class NotTransactions(Conflict, code="not-transactions"):
    """The file cannot be read as purchases: CSV in UTF-8 with the columns customer, time, amount."""

    reason: str


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the rows."""

    rows: int
    purchases: int
    returns: int
    refused: dict[str, int]
    first_on: date | None
    last_on: date | None


def read(path: Path) -> tuple[Purchases, Read]:
    """All purchases of a file (`.gz` or not). Refuses `NotTransactions`."""
    people: dict[str, int] = {}
    customers, days, amounts = [], [], []
    refused: dict[str, int] = {}
    rows = returns = 0
    try:
        with _open(path) as file:
            for row in _rows(file):
                rows += 1
                if rows > ROWS_MAX:
                    raise NotTransactions(reason=f"More than {ROWS_MAX} rows")
                found = _judge(row)
                if isinstance(found, str):
                    refused[found] = refused.get(found, 0) + 1
                    continue
                customer, day, amount = found
                if amount < 0:
                    returns += 1
                    continue
                customers.append(people.setdefault(customer, len(people)))
                days.append(day)
                amounts.append(amount)
    except (OSError, EOFError, UnicodeError, csv.Error) as error:
        raise NotTransactions(reason=str(error)[:CELL_LENGTH_MAX]) from error
    purchases = Purchases(
        np.array(customers, dtype=np.int64), np.array(days, dtype=np.int64), np.array(amounts, dtype=np.float64)
    )
    return purchases, Read(
        rows=rows,
        purchases=len(days),
        returns=returns,
        refused=dict(sorted(refused.items())),
        first_on=date.fromordinal(min(days)) if days else None,
        last_on=date.fromordinal(max(days)) if days else None,
    )


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _rows(file: IO[str]) -> "csv.DictReader[str]":
    rows = csv.DictReader(file)
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise NotTransactions(reason=f"No column {', '.join(missing)}")
    return rows


def _judge(row: dict[str, str | None]) -> tuple[str, int, float] | str:
    """Whose, on which day, how much; or why not."""
    customer, time, amount = ((row[name] or "").strip() for name in COLUMNS)
    if not customer:
        return "no-customer"
    if len(customer) > CELL_LENGTH_MAX:
        return "customer-too-long"
    try:
        day = datetime.fromisoformat(time).date().toordinal()
    except ValueError:
        return "time-unreadable" if time else "no-time"
    try:
        value = float(amount)
    except ValueError:
        return "amount-unreadable" if amount else "no-amount"
    return (customer, day, value) if isfinite(value) else "amount-unreadable"
