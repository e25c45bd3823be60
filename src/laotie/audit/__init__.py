"""Audit: watches that the rooms' books agree, and writes nothing.

Owns no rows. Promises: all rooms are read in one snapshot, so a finding is a fault and never a matter of timing (what
is on its way between rooms at that instant is known and counted apart); every promise is checked over all rows.
"""

from laotie.audit.tallies import Finding, Report, Tally, check_books, take_tallies

__all__ = ["Finding", "Report", "Tally", "check_books", "take_tallies"]
