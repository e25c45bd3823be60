"""Wallets as people and shops see them: what is in them, how it moved, and putting money in.

A top-up is a payment like any other, with the purpose `topup`; when the provider says that the money is there, the
reaction credits the wallet under the payment's own id, so it is credited once.
"""

from uuid import UUID, uuid5

import msgspec

from laotie import ledger, payments
from laotie.base.db import Tx
from laotie.base.ids import AccountId, PaymentId, TransferId
from laotie.base.money import Money, exponent
from laotie.base.settings import Settings
from laotie.events.fun import WalletFilled
from laotie.events.payments import PaymentCaptured, PaymentRestored, PaymentReversed
from laotie.fun.model import TOPUP_MAX, AmountRefused
from laotie.fun.rows import wallet_of


class Wallet(msgspec.Struct, frozen=True, kw_only=True):
    """What is in it, and a page of its statement, the latest first."""

    balances: list[Money]
    movements: list[ledger.Movement]


async def get_wallet(tx: Tx, owner_id: UUID, *, after: TransferId | None, limit: int) -> Wallet:
    """The wallet of an account or a shop; one that was never used is empty."""
    balances = await ledger.list_balances(tx, ledger.AccountKind.wallet, owner_id)
    return Wallet(
        balances=[Money(amount, account.currency) for account, amount in balances.items()],
        movements=await ledger.list_movements(tx, owner_id, after=after, limit=limit),
    )


async def start_topup(
    tx: Tx, settings: Settings, payer_id: AccountId, owner_id: UUID, payment_id: PaymentId, money: Money, *, provider: str
) -> payments.Payment:
    """Write down a payment into a wallet; the door then calls `payments.authorise`. The same id again, the same payment.

    Refuses `AmountRefused`, `UnknownCurrency`, `payments.NoSuchProvider`, `payments.CurrencyNotTaken`,
    `payments.PoolingOff`.
    """
    payments.check_method(settings, provider, currency=money.currency)
    payments.check_pooling(settings, provider, others=[], currency=money.currency)
    exponent(money.currency)
    if not 0 < money.amount <= TOPUP_MAX:
        raise AmountRefused(amount_max=Money(TOPUP_MAX, money.currency))
    return await payments.start_topup(
        tx, payment_id=payment_id, buyer_id=payer_id, wallet_id=owner_id, money=money, provider=provider
    )


async def credit(tx: Tx, event: PaymentCaptured) -> None:
    """Money has come for a wallet (a reaction: runs once for each payment)."""
    if event.purpose != payments.Purpose.topup:
        return
    assert event.wallet_id is not None
    await ledger.transfer_many(
        tx,
        [
            ledger.Transfer(
                TransferId(event.payment_id),
                debit=ledger.Account(ledger.AccountKind.provider, event.currency),
                credit=wallet_of(event.wallet_id, event.currency),
                amount=event.amount,
                reason="wallet.topup",
                subject_id=event.payment_id,
            )
        ],
    )
    tx.tell(
        WalletFilled(
            payment_id=event.payment_id, wallet_id=event.wallet_id, amount=event.amount, currency=event.currency
        )
    )


async def take_back(tx: Tx, event: PaymentReversed) -> None:
    """A payment into a wallet was charged back: it leaves the wallet, which may fall below zero and is shut then.

    What is below zero is seen, nothing can be spent, and the next money that comes fills it first.
    """
    if event.purpose == payments.Purpose.topup:
        await _move_back(tx, event, out=True)


async def bring_back(tx: Tx, event: PaymentRestored) -> None:
    """The chargeback was won: the wallet has its money again."""
    if event.purpose == payments.Purpose.topup:
        await _move_back(tx, event, out=False)


async def _move_back(tx: Tx, event: PaymentReversed | PaymentRestored, *, out: bool) -> None:
    wallet_id = event.wallet_id or (await payments.get(tx, event.payment_id)).wallet_id
    assert wallet_id is not None
    provider = ledger.Account(ledger.AccountKind.provider, event.currency)
    wallet = wallet_of(wallet_id, event.currency)
    await ledger.transfer_many(
        tx,
        [
            ledger.Transfer(
                TransferId(uuid5(event.dispute_id, "reversed" if out else "restored")),
                debit=wallet if out else provider,
                credit=provider if out else wallet,
                amount=event.amount,
                reason="wallet.reversed" if out else "wallet.restored",
                subject_id=event.payment_id,
            )
        ],
    )
