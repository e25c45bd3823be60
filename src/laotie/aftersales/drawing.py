"""docs/aftersales.md: the drawing and the table, from the code's own (`laotie aftersales`). A test refuses drift."""

from datetime import timedelta

from laotie.aftersales import rights
from laotie.aftersales.model import CLAIM_DAYS, ENDS, CaseState, Party
from laotie.aftersales.table import TABLE, TERMS, Owed, Row

OWED = {
    Owed.goods_first: "goods to come back first",
    Owed.money: "money, goods not involved",
    Owed.money_for_goods: "money, goods are back",
    Owed.replacement: "replacement, goods are back",
    None: "",
}
SILENT = {
    CaseState.requested: "the shop",
    CaseState.refused: "the buyer",
    CaseState.countered: "the buyer",
    CaseState.returning: "the buyer",
    CaseState.sent_back: "the shop",
    CaseState.disputed: "both",
    CaseState.preparing: "the shop",
    CaseState.replacing: "the buyer",
    CaseState.arbitration: "the operators",
    CaseState.overdue: "the operators",
}

INTRODUCTION = """# After-sales

Written by `laotie aftersales` from `aftersales/table.py` and `aftersales/rights.py`; a test refuses drift. Why it is a
table: [ADR 0025](adr/0025-aftersales-as-a-table.md).

A case is about one order and some pieces of its lines. An open case keeps its pieces: no other case can claim them.
Whoever is silent when a term is over is acted for by the house, once. A repair that arrives ends in `repaired` where an
exchange ends in `replaced`; everything else is in the table.
"""


def document() -> str:
    """The whole page."""
    return "\n".join(
        [INTRODUCTION, *_drawing(), "", *_terms(), "", *_rows(), "", *_claims(), "", *_withdrawal()]
    ) + "\n"


def _drawing() -> list[str]:
    lines = ["```mermaid", "stateDiagram-v2"]
    edges: dict[tuple[str, str], dict[Party, list[str]]] = {}
    for row in TABLE:
        acts = edges.setdefault((row.state or "[*]", row.to), {}).setdefault(row.party, [])
        if row.act not in acts:
            acts.append(row.act)
    for (source, target), parties in edges.items():
        words = "; ".join(f"{party}: {', '.join(acts)}" for party, acts in parties.items())
        lines.append(f"    {source} --> {target} : {words}")
    lines += [f"    {state} --> [*]" for state in CaseState if state in ENDS]
    return [*lines, "```"]


def _terms() -> list[str]:
    head = ["## Terms", "", "| state | term | who was silent | then |", "| --- | --- | --- | --- |"]
    for state, term in TERMS.items():
        then = " / ".join(dict.fromkeys(row.to for row in TABLE if row.state is state and row.party is Party.house))
        head.append(f"| {state} | {_span(term)} | {SILENT[state]} | {then} |")
    return head


def _rows() -> list[str]:
    head = ["## The table", "", "| state | act | by | when the buyer is owed | to |", "| --- | --- | --- | --- | --- |"]
    return [*head, *(_row(row) for row in TABLE)]


def _row(row: Row) -> str:
    return f"| {row.state or ''} | {row.act} | {row.party} | {OWED[row.owed]} | {row.to} |"


def _claims() -> list[str]:
    head = ["## How long one may claim", "", "| reason | days after delivery |", "| --- | --- |"]
    return [*head, *(f"| {reason} | {days} |" for reason, days in CLAIM_DAYS.items())]


def _withdrawal() -> list[str]:
    lines = [
        "## Withdrawal without a reason",
        "",
        "The law of the place that the parcel goes to. A guarantee can make it longer, never shorter.",
        "",
        "| law | days | shipping goes back | source |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {law.code} | {law.days} | {'yes' if law.refunds_shipping else 'no'} | {law.source} |"
        for law in (*rights.STATUTES, rights.HOUSE)
    ]
    lines += ["", "| excluded | only once unsealed | law | categories |", "| --- | --- | --- | --- |"]
    for one in rights.EXCLUSIONS:
        laws = "; ".join(f"{code}: {article}" for code, article in one.laws.items())
        unsealed = "yes" if one.only_unsealed else "no"
        lines.append(f"| {one.ground} | {unsealed} | {laws} | {', '.join(sorted(one.categories))} |")
    return lines


def _span(term: timedelta) -> str:
    hours = int(term.total_seconds()) // 3600
    return f"{hours // 24} days" if hours > 48 else f"{hours} hours"
