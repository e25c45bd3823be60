"""After-sales: what a buyer claims of an order after paying it, until both sides have what is theirs.

Owns cases, their lines, evidence and log. Promises: no piece is claimed by two open cases, nobody gets back more than was
paid; whoever is silent is acted for when the term is over, once; the law's withdrawal needs nobody's consent; the log is
never changed. The state machine is `table.TABLE`, drawn in docs/aftersales.md. Composes orders (money and pieces),
catalog (replacements) and trust (guarantees). Lock order: order, case, then what orders and trust lock.
Not here: price differences and chargebacks (`orders`, `payments`), what a shop promises (`trust`).
Reviews (`reviews`, `reviews_listing`): of a bought line, once, by its buyer; sums exact at any instant.
"""

from laotie import identity
from laotie.aftersales import exporting, reviews, reviews_listing
from laotie.aftersales.acts import pass_time, take_step
from laotie.aftersales.deadlines import work_deadlines
from laotie.aftersales.drawing import document
from laotie.aftersales.evidence import Claimed, Tally, list_facts, sum_facts, sum_freight, tally
from laotie.aftersales.exhibits import FILM_BYTES_MAX, Exhibit, begin_film, exhibit_place
from laotie.aftersales.listing import (
    Brief,
    Page,
    Queue,
    Seen,
    count_queues,
    export,
    get_case,
    get_exhibit,
    list_for_operators,
    list_of_own_order,
    list_of_shop,
    list_own,
)
from laotie.aftersales.model import (
    ACCEPTED_AT_ONCE_MAX,
    ENDS,
    REASONS,
    Act,
    ActRefused,
    AskedLine,
    Case,
    CaseId,
    CaseKind,
    CaseState,
    Claim,
    Entry,
    EntryId,
    ExhibitId,
    Inspected,
    Line,
    Party,
    Reason,
    Step,
    claim_until,
)
from laotie.aftersales.opening import Claimable, has_open_case, list_claimable, open_case
from laotie.aftersales.rights import Withdrawal
from laotie.aftersales.table import acts_of, after_time

__all__ = [
    "ACCEPTED_AT_ONCE_MAX", "ENDS", "FILM_BYTES_MAX", "REASONS", "Act", "ActRefused", "AskedLine", "Brief", "Case",
    "CaseId", "CaseKind", "CaseState", "Claim", "Claimable", "Claimed", "Entry", "EntryId", "Exhibit", "ExhibitId",
    "Inspected", "Line", "Page", "Party", "Queue", "Reason", "Seen", "Step", "Tally", "Withdrawal", "acts_of", "after_time",
    "begin_film", "claim_until", "count_queues", "document", "exhibit_place", "export", "exporting", "get_case", "get_exhibit",
    "has_open_case", "list_claimable", "list_facts", "list_for_operators", "list_of_own_order", "list_of_shop", "list_own",
    "open_case", "pass_time", "reviews", "reviews_listing", "sum_facts", "sum_freight", "take_step", "tally",
    "work_deadlines",
]  # fmt: skip

identity.add_to_export("cases", export)
identity.add_to_export("reviews", reviews_listing.export)
