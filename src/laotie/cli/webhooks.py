"""`laotie webhooks`: what they tell."""

from pathlib import Path

from cyclopts import App
from rich.console import Console
from rich.table import Table

from laotie import webhooks

app = App(name="webhooks", help="Webhooks: what shops' own programs may hear.")


@app.command
def events(*, document: Path | None = None) -> None:
    """List the types of messages; `--document PATH` writes the page about them (docs/webhook-events.md)."""
    if document is not None:
        document.write_text(webhooks.write_document(), encoding="utf-8")
        return
    table = Table("type", "scope", "when")
    for one in webhooks.CATALOGUE.values():
        table.add_row(one.tag, one.scope, one.text)
    table.add_row(webhooks.PING, "", webhooks.PING_ABOUT)
    Console().print(table)
