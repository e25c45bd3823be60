"""Four eyes: what moves money by hand is made by one operator and approved by another.

A person is one pair of eyes, whatever they come with: two sessions, two devices and an API token are the same account.
Rooms that need it ask here and keep both accounts on the row, with a `CHECK` that they differ.
"""

from laotie.base.ids import AccountId
from laotie.base.refusals import Forbidden
from laotie.identity.model import Actor


class SecondPersonNeeded(Forbidden, code="second-person-needed"):
    """Another operator has to approve this: you made or changed it yourself."""


def require_other(actor: Actor, *first_ids: AccountId | None) -> AccountId:
    """An operator who is none of those that made or changed the thing; refuses `SecondPersonNeeded`.

    What the platform made by itself (`None`) any operator may approve.
    """
    operator_id = actor.require_operator()
    if operator_id in first_ids:
        raise SecondPersonNeeded()
    return operator_id
