"""Everything checked at once, in one snapshot: what `laotie audit` and the tests ask for."""

from laotie.audit.comparing import LEDGER, PAYMENTS, compare
from laotie.audit.model import FINDINGS_MAX, Finding, Look, Promise, Report, Seen, Tally, Touched
from laotie.audit.promises import PROMISES
from laotie.base.db import Database, Tx
from laotie.base.ids import OrderId
from laotie.lake import Lake


async def take_tallies(db: Database, lake: Lake | None = None) -> Report:
    """Check everything in one snapshot: a full read of all rooms, so not for every request."""
    async with db.read() as tx:
        return await check_books(tx, lake=lake)


async def check_books(tx: Tx, touched: Touched | None = None, *, lake: Lake | None = None) -> Report:
    """The same in a transaction that is open already; only a snapshot makes its findings faults.

    With `touched`, promises that can be are looked at over what has changed, the others whole.
    """
    look = Look(tx, touched, lake=lake)
    findings: list[Finding] = []
    tallies: list[Tally] = []
    for promise in PROMISES:
        seen = await promise.check(look)
        tallies.append(tally_of(promise, seen))
        findings += findings_of(promise, seen)
    in_flight = len(await look.in_flight())
    return Report(checked_at=tx.now, in_flight=in_flight, tallies=tallies, findings=findings[:FINDINGS_MAX])


async def compare_money(tx: Tx) -> list[tuple[OrderId, str, str]]:
    """The orders of whose money payments and ledger say different things, but for what is on its way between them."""
    return await compare(Look(tx), "money", PAYMENTS, LEDGER, excused=True)


def tally_of(promise: Promise, seen: Seen) -> Tally:
    """A look at a promise in figures."""
    return Tally(name=promise.says, code=promise.code, checked=seen.rows, found=len(seen.wrong), facts=seen.facts)


def findings_of(promise: Promise, seen: Seen) -> list[Finding]:
    """What was found, one by one."""
    return [
        Finding(tally=promise.says, subject=one.subject, expected=one.expected, found=one.found) for one in seen.wrong
    ]
