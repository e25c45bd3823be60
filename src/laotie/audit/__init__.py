"""Audit: watches that the rooms' books agree, and providers' statements with them; changes nothing of theirs.

Owns the record of its runs, incidents, and the ledger's anchors. Promises: what a promise compares is read in one snapshot,
so a finding is a fault and never a matter of timing (what is on its way between rooms at that instant is known and counted
apart); every promise is checked over all rows.
"""

from laotie.audit.anchors import verify_ledger
from laotie.audit.history import Day, Standing, Status, get_run, get_status, list_runs
from laotie.audit.incidents import Incident, IncidentId, list_incidents
from laotie.audit.model import Finding, Report, Tally
from laotie.audit.promises import document
from laotie.audit.reconciling import decide_settling, propose_settling, reconcile, reconcile_again
from laotie.audit.tallies import check_books, take_tallies
from laotie.audit.watch import Checked, Run, RunId, Terms, WatchBusy, ask, check_now, keep_watch

__all__ = [
    "Checked", "Day", "Finding", "Incident", "IncidentId", "Report", "Run", "RunId", "Standing", "Status", "Tally", "Terms",
    "WatchBusy", "ask", "check_books", "check_now", "decide_settling", "document", "get_run", "get_status", "keep_watch",
    "list_incidents", "list_runs", "propose_settling", "reconcile", "reconcile_again", "take_tallies", "verify_ledger",
]  # fmt: skip
