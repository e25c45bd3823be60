"""What trust does on hearing that money has come."""

from laotie.base.outbox import on
from laotie.events.fun import WalletFilled
from laotie.trust.deposits import take_topup

REACTIONS = [on(WalletFilled, take_topup)]
