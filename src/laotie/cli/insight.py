"""`laotie insight`: figures on the command line."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import msgspec
from cyclopts import App, Parameter
from rich import box
from rich.console import Console
from rich.table import Table

from laotie.base import settings as settings_module
from laotie.base.clock import Clock
from laotie.insight import Engine, definitions
from laotie.insight import repurchase as insight
from laotie.insight.backtest import Score, Verdict, judge
from laotie.insight.identities import Level
from laotie.insight.transactions import Read, read
from laotie.lake import Lake

app = App(name="insight", help="Figures and forecasts.")

WIDTH = 160
TOLD = ("total_error", "correlation", "top_decile_capture")


@app.command
def repurchase(
    *,
    transactions: Annotated[Path, Parameter(help="CSV (or .csv.gz) with the columns customer, time, amount.")],
    calibration_end: Annotated[date, Parameter(help="The last day that the forecast may know.")],
    holdout_end: Annotated[date, Parameter(help="The last day that is foretold and compared.")],
    json: bool = False,
) -> None:
    """Foretell who buys again from the purchases up to a day, and compare with those after it.

    `total_error` is foretold / actual - 1, `top_decile_capture` the share of the later purchases that came from the tenth
    of the customers of whom most was foretold; the same for the naive rate (everybody goes on as often as so far) and for
    each law alone. Purchases of a customer on one day are one.
    """
    purchases, rows = read(transactions)
    verdict = judge(purchases, calibration_end, holdout_end)
    if json:
        print(msgspec.json.encode({**msgspec.to_builtins(verdict), "read": rows}).decode())
    else:
        _print(verdict, rows)


@app.command
def cohorts(
    *,
    shop: Annotated[UUID | None, Parameter(help="A shop's id; everything without one.")] = None,
    currency: Annotated[str, Parameter(help="Which of the currencies.")] = "CNY",
    seen_until: Annotated[date | None, Parameter(help="The day on which 30 and 90 days are judged to be over. Usually today.")] = None,
    json: bool = False,
) -> None:
    """Print repurchase by month, the cohort triangle and what came back, from the lake of these settings.

    The same measures as the console's page, computed by the same engine; nothing else needs to run.
    """
    settings = settings_module.load()
    level, until = Level.platform if shop is None else Level.shop, seen_until or Clock().now().date()
    with Engine.of(Lake.of(settings), settings) as engine:
        tables = definitions.Computed(engine)
        orders = insight.paid_orders(tables["order_days"], level=level, of=shop)
        asked = {
            "months": insight.months(orders),
            "windows": insight.windows(orders, seen_until=until),
            "cohorts": insight.cohorts(tables["order_days"], level=level, of=shop),
            "returns": insight.returns(tables["money"], level=level, of=shop),
        }
        found = {name: [row for row in engine.run(one).to_pylist() if row["currency"] == currency] for name, one in asked.items()}
    if json:
        print(msgspec.json.encode(found).decode())
        return
    _print_months(found)
    _print_triangle(found["cohorts"])


def _print_months(found: dict[str, list[dict[str, Any]]]) -> None:
    again, returned = ("in month", "30 days", "90 days", "ever"), ("paid", "returned", "by value", "by orders")
    table = Table("month", "buyers", "new", "orders", *again, *returned, title="Repurchase and returns", box=box.MARKDOWN)
    windows, back = ({row["month"]: row for row in found[name]} for name in ("windows", "returns"))
    for row in found["months"]:
        near, money = windows[row["month"]], back[row["month"]]
        table.add_row(
            f"{row['month']:%Y-%m}", f"{row['buyers']:,}", f"{row['new']:,}", f"{row['orders']:,}",
            _share(row["again"], row["buyers"]), _share(near["again_30"], near["due_30"]), _share(near["again_90"], near["due_90"]),
            _share(row["ever_again"], row["ever"]), f"{money['paid_amount'] / 100:,.2f}", f"{money['returned_amount'] / 100:,.2f}",
            _share(money["returned_amount"], money["paid_amount"]), _share(money["returned_orders"], money["paid_orders"]),
        )  # fmt: skip
    Console(width=WIDTH).print(table)


def _print_triangle(rows: list[dict[str, Any]]) -> None:
    known = [row for row in rows if row["first_month"] is not None]
    across = range(max((row["since"] for row in known), default=-1) + 1)
    table = Table("first month", "buyers", *(f"+{since}" for since in across), title="Cohorts: share buying", box=box.MARKDOWN)
    for month in sorted({row["first_month"] for row in known}):
        cells = {row["since"]: row["buyers"] for row in known if row["first_month"] == month}
        table.add_row(
            f"{month:%Y-%m}", f"{cells[0]:,}", *(_share(cells[since], cells[0]) if since in cells else "" for since in across)
        )
    console = Console(width=WIDTH)
    console.print(table)
    net = sum(row["net_amount"] for row in rows) / 100
    stray = sum(row["net_amount"] for row in rows if row["first_month"] is None) / 100
    console.print(f"Net of all rows {net:,.2f}; of people without a known purchase {stray:,.2f}", highlight=False)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _print(verdict: Verdict, rows: Read) -> None:
    console = Console()
    table = Table("", *TOLD, title=f"{verdict.customers:,} customers, {verdict.weeks:.1f} weeks, {verdict.actual:,} purchases came")
    table.add_row("forecast", *_cells(verdict))
    for name, score in [("naive rate", verdict.naive), *verdict.laws.items()]:
        weight = verdict.weights.get(name)
        table.add_row(name if weight is None else f"{name} (weight {weight:.2f})", *_cells(score), style="dim")
    console.print(table)
    for fit in verdict.fits:
        values = ", ".join(f"{name} {value:.4g}" for name, value in fit.parameters.items())
        edge = f"; {', '.join(fit.at_edge)} at the edge" if fit.at_edge else ""
        console.print(f"{fit.law.value}: {values} (log-likelihood {fit.log_likelihood:.1f}{edge})", highlight=False)
    refused = ", ".join(f"{count} {reason}" for reason, count in rows.refused.items()) or "none refused"
    console.print(f"{rows.rows:,} rows: {rows.purchases:,} purchases, {rows.returns:,} returns, {refused}", highlight=False)


def _cells(score: Score | Verdict) -> list[str]:
    error, correlation, capture = score.total_error, score.correlation, score.top_decile_capture
    return [
        "-" if error is None else f"{error:+.1%}",
        "-" if correlation is None else f"{correlation:.3f}",
        "-" if capture is None else f"{capture:.1%}",
    ]
