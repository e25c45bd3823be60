"""Fun: what a show plays with its viewers: red packets, lotteries, quizzes, polls, bargains, duels; and wallets.

Owns activities with their entries, bargains and duels' scores. Composes live (shows, prices of one's own), fans (who
follows), ledger (wallets and an escrow an activity) and payments (money put into a wallet).

Promises: every draw is committed to before anybody enters and can be repeated from its proof; nobody is in twice; what
an activity has to give is in escrow before it opens, and is given or given back exactly once, to the cent; no purchase
is needed; deadlines act by themselves. Lock order: activity, bargain, (duel's points), wallet.
"""

from laotie.fun import draw
from laotie.fun.activities import agree, cancel_activity, plan_activity, start_activity
from laotie.fun.bargains import get_bargain, open_bargain, take_price
from laotie.fun.deadlines import work_deadlines
from laotie.fun.desk import Desk
from laotie.fun.duel import Cheer, cheer_many
from laotie.fun.evidence import Tally, tally
from laotie.fun.listing import (
    find_activities,
    find_mine,
    get_activity,
    get_proof,
    list_of_show,
    list_running,
)
from laotie.fun.model import (
    TEMPLATES,
    Activity,
    ActivityId,
    Ask,
    Bargain,
    BargainId,
    Draft,
    Entered,
    Grant,
    Kind,
    Mine,
    PacketDraft,
    State,
    Template,
)
from laotie.fun.wallet import Wallet, get_wallet, start_topup

__all__ = [
    "TEMPLATES",
    "Activity",
    "ActivityId",
    "Ask",
    "Bargain",
    "BargainId",
    "Cheer",
    "Desk",
    "Draft",
    "Entered",
    "Grant",
    "Kind",
    "Mine",
    "PacketDraft",
    "State",
    "Tally",
    "Template",
    "Wallet",
    "agree",
    "cancel_activity",
    "cheer_many",
    "draw",
    "find_activities",
    "find_mine",
    "get_activity",
    "get_bargain",
    "get_proof",
    "get_wallet",
    "list_of_show",
    "list_running",
    "open_bargain",
    "plan_activity",
    "start_activity",
    "start_topup",
    "take_price",
    "tally",
    "work_deadlines",
]
