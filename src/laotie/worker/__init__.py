"""The worker door: turns the passing of time and waiting news into calls.

Runs the outbox relay, the deadlines, the fold of the ledger, and procrastinate's jobs. Any number of processes may
have one; each loop is safe beside its twins.
"""

from laotie.worker.loops import Worker, all_reactions

__all__ = ["Worker", "all_reactions"]
