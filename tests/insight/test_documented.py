"""What docs/repurchase.md shows is what its commands print."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakes import named
from laotie.base.settings import Settings
from laotie.cli import insight
from laotie.imports.invoices import Deal, read
from laotie.lake import TOPICS, Lake, write_part

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "repurchase.md").read_text()


def lines(printed: str) -> list[list[str]]:
    """Rows of a table, however it is drawn."""
    return [line.replace("│", " ").replace("|", " ").split() for line in printed.splitlines() if any(sign.isdigit() for sign in line)]


def test_the_forecast_of_cdnow_is_printed_as_documented(capsys: pytest.CaptureFixture[str]) -> None:
    insight.repurchase(
        transactions=ROOT / "tests/data/cdnow/transactions.csv.gz", calibration_end=date(1997, 9, 30), holdout_end=date(1998, 6, 30)
    )
    documented = lines(DOCUMENT[DOCUMENT.index("calibration-end 1997-09-30") :])
    printed = lines(capsys.readouterr().out)
    told = [row for row in printed if row[0] in ("forecast", "naive", "bg_nbd", "three_kinds", "pareto_nbd", "6,919")]
    assert len(told) == 6 and [row for row in told if row not in documented] == []


def test_the_demo_s_retailer_is_printed_as_documented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(data_dir=str(tmp_path))
    lake = Lake.of(settings)
    days: dict[date, list[dict[str, Any]]] = defaultdict(list)
    for row in money():
        days[lake.day_of(row["at_us"])].append(row)
    for day, rows in days.items():
        write_part(lake, "money", day, 12, pa.Table.from_pylist(rows, schema=TOPICS["money"].schema))
    monkeypatch.setenv("LAOTIE_DATA_DIR", str(tmp_path))
    insight.cohorts(currency="GBP", seen_until=date(2011, 8, 31))
    documented = lines(DOCUMENT[DOCUMENT.index("<!-- slice -->") :])
    printed = lines(capsys.readouterr().out)
    assert [line for line in printed if line not in documented] == []


def money() -> Iterator[dict[str, Any]]:
    """The slice that comes with the demonstration, an invoice an order, a return an order of its own."""
    slice_ = resources.files("laotie.demo.data") / "online_retail_slice.csv.gz"
    sums: dict[tuple[str, str, bool], tuple[datetime, int]] = {}
    with resources.as_file(slice_) as path:
        for deal in read(path):
            if isinstance(deal, Deal):
                key = (deal.invoice, deal.customer or f"guest of {deal.invoice}", deal.is_return)
                _, amount = sums.get(key, (deal.at, 0))
                sums[key] = (sums[key][0] if key in sums else deal.at, amount + deal.quantity * deal.price_amount)
    for (invoice, customer, is_return), (at, amount) in sums.items():
        signed = -amount if is_return else amount
        yield {
            "id": named(f"{invoice} {customer}").bytes, "at_us": int(at.timestamp() * 1_000_000),
            "kind": "refunded" if is_return else "paid", "order_id": named(f"{invoice} {customer}").bytes,
            "buyer_id": named(customer).bytes, "shop_id": named("shop").bytes, "source": "imported", "placement": "imported",
            "is_fan": False, "rule_version": 1, "currency": "GBP", "goods_amount": signed, "shipping_amount": 0, "tax_amount": 0,
            "shop_discount_amount": 0, "platform_discount_amount": 0, "amount": signed,
        }  # fmt: skip
