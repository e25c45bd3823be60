"""Audit: watches that the rooms' books agree, and providers' statements with them; writes nothing of its own.

Owns no rows. Promises: all rooms are read in one snapshot, so a finding is a fault and never a matter of timing (what
is on its way between rooms at that instant is known and counted apart); every promise is checked over all rows.
"""

from laotie.audit.reconciling import reconcile, reconcile_again
from laotie.audit.tallies import Finding, Report, Tally, check_books, take_tallies

__all__ = ["Finding", "Report", "Tally", "check_books", "reconcile", "reconcile_again", "take_tallies"]
