"""`laotie verify-draw`: repeat a draw from its proof, offline, and say what holds."""

import json as json_module
import sys
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape

from laotie.fun import draw


def verify_draw(file: Path, /, *, json: bool = False) -> None:
    """Check a proof (as GET /api/draws/{id}/proof gives it): ends with 0 when everything holds, with 1 when not.

    Needs no network, no database and nobody's word. docs/draws.md tells how to write this program oneself.

    Parameters
    ----------
    file
        The proof.
    json
        Print the findings as JSON.
    """
    proof: draw.Proof | None = None
    try:
        size = file.stat().st_size
        body = file.read_bytes() if size <= draw.PROOF_BYTES_MAX else b""
        proof = draw.read_proof(body)
        findings = draw.verify(proof)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        findings = [draw.Finding("the file can be read", False, str(error)[:200])]
    holds = all(finding.holds for finding in findings)
    if json:
        print(json_module.dumps({"valid": holds, "findings": msgspec.to_builtins(findings)}))
    else:
        _print(proof, findings, holds)
    sys.exit(0 if holds else 1)


def _print(proof: draw.Proof | None, findings: list[draw.Finding], holds: bool) -> None:
    console = Console(highlight=False)
    if proof is not None:
        console.print(f"[bold]{escape(proof.title)}[/bold]: {len(proof.entries)} entries, {len(proof.outcome)} awards")
    for finding in findings:
        mark = "[green]holds[/green]" if finding.holds else "[bold red]FAILS[/bold red]"
        detail = f" ({escape(finding.detail)})" if finding.detail else ""
        console.print(f"{mark}  {finding.check}{detail}")
    if holds and proof is not None:
        for award in proof.outcome[:20]:
            what = f"prize {award.prize + 1}" if award.prize >= 0 else "share"
            console.print(f"  no. {award.no}  {award.entrant}  {what}  {award.amount}")
        if len(proof.outcome) > 20:
            console.print(f"  and {len(proof.outcome) - 20} more")
    console.print("The draw is the one that was committed to." if holds else "[red]This draw cannot be believed.")
