"""Tickets: what admits one viewer to one show's socket, once, within a minute.

Signed, not stored. Each carries an id that whoever redeems it remembers until it would have expired anyway.
"""

from laotie.base.signer import Signer
from laotie.live.model import TICKET_AGE_MAX_S, Ticket

PURPOSE = "ticket"


def issue_ticket(signer: Signer, ticket: Ticket) -> str:
    """The ticket as a token for the socket's first frame."""
    return signer.sign(PURPOSE, ticket)


def read_ticket(signer: Signer, token: str) -> Ticket:
    """The ticket in a token; `TokenInvalid` when forged, `TokenExpired` after a minute. Single use is the caller's."""
    return signer.open(PURPOSE, token, Ticket, age_max_s=TICKET_AGE_MAX_S)
