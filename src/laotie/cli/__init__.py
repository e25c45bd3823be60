"""The command line: `laotie serve`, `demo`, `import`, `account`, `audit`, `payments`, `verify-draw`, `bench`, `settings` …

Parses words, calls one function, prints. Refusals end with their title and exit code 2.
"""

import os
import sys

from cyclopts import App
from rich.console import Console

from laotie import __version__
from laotie.base.refusals import Refusal

app = App(name="laotie", help="Open, self-hosted live commerce.", version=__version__)
bench = App(name="bench", help="Benchmarks: product and peer in one run on the same cores.")
app.command(bench)

# Each command names its function as a string, so that `laotie --help` does not load the whole house.
app.command("laotie.cli.serve:serve", name="serve")
app.command("laotie.cli.upkeep:migrate_database", name="migrate")
app.command("laotie.cli.upkeep:create_account", name="account")
app.command("laotie.cli.upkeep:show_settings", name="settings")
app.command("laotie.cli.upkeep:write_openapi", name="openapi")
app.command("laotie.cli.upkeep:write_frames", name="frames")
app.command("laotie.cli.upkeep:write_aftersales", name="aftersales")
app.command("laotie.cli.audit:audit", name="audit")
app.command("laotie.cli.ledger:app", name="ledger")
app.command("laotie.cli.draws:verify_draw", name="verify-draw")
app.command("laotie.cli.imports:app", name="import")
app.command("laotie.cli.insight:app", name="insight")
app.command("laotie.cli.lake:app", name="lake")
app.command("laotie.cli.media:app", name="media")
app.command("laotie.cli.outbox:app", name="outbox")
app.command("laotie.cli.payments:app", name="payments")
app.command("laotie.cli.webhooks:app", name="webhooks")
app.command("laotie.demo.run:main", name="demo")
bench.command("laotie.bench.sale:main", name="sale")
bench.command("laotie.bench.fanout:main", name="fanout")
bench.command("laotie.bench.soak:main", name="soak")
bench.command("laotie.bench.flood:main", name="flood")
bench.command("laotie.bench.media:main", name="media")
bench.command("laotie.bench.search:main", name="search")
bench.command("laotie.bench.settlement:main", name="settlement")
bench.command("laotie.bench.gmv:main", name="gmv")
bench.command("laotie.bench.lake:main", name="lake")


def main() -> None:
    """Run the command; a refusal is told plainly."""
    try:
        app()
    except Refusal as refusal:
        facts = "".join(f"\n  {name}: {value}" for name, value in refusal.facts().items())
        Console(stderr=True).print(f"[bold red]laotie:[/] {refusal.title}{facts}", highlight=False)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os._exit(1)
