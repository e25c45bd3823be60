"""Tickets: what admits one viewer to one show's socket, or one browser to its stage, once, within a minute.

Signed, not stored. Each carries an id that whoever redeems it remembers until it would have expired anyway.
"""

from laotie import identity
from laotie.base.db import Tx
from laotie.base.ids import ShowId, new_id
from laotie.base.signer import Signer
from laotie.identity import Actor, Scope
from laotie.live.model import TICKET_AGE_MAX_S, Publication, ShowEnded, ShowState, Ticket
from laotie.live.stage import get_show

PURPOSE = "ticket"
PURPOSE_PUBLICATION = "publication"


def issue_ticket(signer: Signer, ticket: Ticket) -> str:
    """The ticket as a token for the socket's first frame."""
    return signer.sign(PURPOSE, ticket)


def read_ticket(signer: Signer, token: str) -> Ticket:
    """The ticket in a token; `TokenInvalid` when forged, `TokenExpired` after a minute. Single use is the caller's."""
    return signer.open(PURPOSE, token, Ticket, age_max_s=TICKET_AGE_MAX_S)


async def permit_publication(tx: Tx, signer: Signer, actor: Actor, show_id: ShowId) -> str:
    """A token with which a browser sends this show's picture. Needs a seat with the scope `show`; refuses `ShowEnded`."""
    account_id = actor.signed_in()
    show = await get_show(tx, show_id)
    await identity.require_seat(tx, actor, show.shop_id, Scope.show)
    if show.state is ShowState.ended:
        raise ShowEnded(show_id=show_id)
    return signer.sign(PURPOSE_PUBLICATION, Publication(jti=new_id(), show_id=show_id, account_id=account_id))


def read_publication(signer: Signer, token: str) -> Publication:
    """The permission in a token; `TokenInvalid` when forged, `TokenExpired` after a minute."""
    return signer.open(PURPOSE_PUBLICATION, token, Publication, age_max_s=TICKET_AGE_MAX_S)
