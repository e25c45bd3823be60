"""Owners who are owed money, operators who pay it out, and time by hand.

    bursary = Bursary(db, settings, signer)
    shop = await bursary.shop(owed=10_000)
    await bursary.write_down(shop)
    await bursary.wait(hours=72)
    batch = await bursary.draft()
"""

import functools
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from argon2 import PasswordHasher

from laotie import catalog, identity, ledger, settlement
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, ShopId, ViewerId, new_id
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.identity import Actor, Attempts, Role
from laotie.ledger import Account, AccountKind
from laotie.settlement import AccountForm, BankAccount, Batch, BatchId, NewBankAccount, Owner, Payout, PayoutId
from laotie.settlement.lines import book_owner
from laotie.settlement.model import LineKind

PASSWORD = "correct horse battery"
CARD = "6222021234567890128"
IBAN = "DE89370400440532013000"


@functools.cache
def _hash() -> str:
    """What a hash costs is tested in `tests/identity`."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


def an_account(**changes: Any) -> NewBankAccount:
    """A card of a Chinese bank, or as it is said."""
    fields: dict[str, Any] = {
        "id": new_id(), "form": AccountForm.card, "currency": "CNY", "holder": "王小明", "number": CARD,
        "bank": "中国工商银行", "branch": "青岛分行",
    }  # fmt: skip
    return NewBankAccount(**(fields | changes))


def an_iban(**changes: Any) -> NewBankAccount:
    fields: dict[str, Any] = {
        "form": AccountForm.iban, "currency": "EUR", "holder": "Zoë Müller", "number": IBAN, "bank": "Commerzbank",
        "branch": "",
    }  # fmt: skip
    return an_account(**(fields | changes))


@dataclass
class Bursary:
    """See the module."""

    db: Database
    settings: Settings
    signer: Signer
    attempts: Attempts = field(default_factory=lambda: Attempts(registrations_per_hour=1000))
    people: dict[UUID, Actor] = field(default_factory=dict)

    async def person(self, *roles: Role) -> Actor:
        """Somebody with an account."""
        account_id = AccountId(new_id())
        async with self.db.tx() as tx:
            await identity.create_account(
                tx, account_id, handle=f"p-{account_id.hex[-10:]}", password_hash=_hash(), name="王小明", roles=roles
            )
        return Actor(
            viewer_id=ViewerId(account_id), account_id=account_id, seat_holder_id=account_id, roles=frozenset(roles)
        )

    async def operator(self) -> Actor:
        return await self.person(Role.operator)

    async def shop(self, *, owed: int = 0, currency: str = "CNY") -> Owner:
        """A shop; `people` has its owner."""
        actor, shop_id = await self.person(), ShopId(new_id())
        async with self.db.tx() as tx:
            await catalog.open_shop(tx, actor.signed_in(), shop_id, catalog.ShopDraft(name="海边人家", currency=currency))
        self.people[shop_id] = actor
        return await self._owed(Owner(shop_id, True), owed, currency)

    async def streamer(self, *, owed: int = 0, currency: str = "CNY") -> Owner:
        actor = await self.person(Role.streamer)
        self.people[actor.viewer_id] = actor
        return await self._owed(Owner(actor.viewer_id, False), owed, currency)

    async def _owed(self, owner: Owner, amount: int, currency: str) -> Owner:
        if amount:
            await self.owe(owner, amount, currency=currency)
        return owner

    async def owe(self, owner: Owner, amount: int, *, currency: str = "CNY") -> None:
        """Change what an owner is owed, as a settled order (or its refund) does."""
        async with self.db.tx() as tx:
            await self._owe(tx, owner, amount, currency)

    async def _owe(self, tx: Tx, owner: Owner, amount: int, currency: str) -> None:
        await book_owner(
            tx,
            line_id=new_id(),
            kind=LineKind.correction,
            owner_id=owner.id,
            is_shop=owner.is_shop,
            currency=currency,
            amount=amount,
            against=Account(AccountKind.shop_held, currency, owner.id),
            reason="settled",
            subject_id=new_id(),
            zone=self.settings.books_zone,
        )

    async def write_down(
        self, owner: Owner, account: NewBankAccount | None = None, *, actor: Actor | None = None, password: str = PASSWORD
    ) -> BankAccount:
        """The owner says where money goes from now on."""
        return await settlement.accounts.change_account(
            self.db,
            actor or self.people[owner.id],
            owner,
            account or an_account(),
            password=password,
            attempts=self.attempts,
            signer=self.signer,
            settings=self.settings,
        )

    async def ready(self, *, owed: int = 0, currency: str = "CNY", account: NewBankAccount | None = None) -> Owner:
        """A streamer who is owed so much and has an account that does not cool off any more, in one transaction."""
        account_id = AccountId(new_id())
        actor = Actor(viewer_id=ViewerId(account_id), account_id=account_id, seat_holder_id=account_id)
        owner = Owner(account_id, False)
        self.people[account_id] = actor
        async with self.db.tx() as tx:
            await identity.create_account(
                tx, account_id, handle=f"p-{account_id.hex[-10:]}", password_hash=_hash(), name="王小明"
            )
            await settlement.accounts._write(tx, actor, owner, account or an_account(), self.signer, cools=timedelta())
            if owed:
                await self._owe(tx, owner, owed, currency)
        return owner

    async def wait(self, *, hours: float) -> None:
        self.db.clock.advance(seconds=hours * 3600)

    async def draft(
        self, actor: Actor, *, batch_id: UUID | None = None, channel: str = "cn", currency: str = "CNY"
    ) -> Batch:
        return await settlement.drafting.draft_batch(
            self.db, actor, self.settings, BatchId(batch_id or new_id()), channel=channel, currency=currency
        )

    async def approve(self, actor: Actor, batch: Batch) -> Batch:
        async with self.db.tx() as tx:
            return await settlement.payouts.approve_batch(tx, actor, batch.id)

    async def send(self, actor: Actor, batch: Batch) -> Batch:
        return await settlement.payouts.send_batch(self.db, actor, self.settings, batch.id)

    async def sent(self, *operators: Actor, channel: str = "cn", currency: str = "CNY") -> Batch:
        """A batch that the first operator drafted, the second approved, and the first sent."""
        batch = await self.draft(operators[0], channel=channel, currency=currency)
        await self.approve(operators[1], batch)
        return await self.send(operators[0], batch)

    async def note(self, actor: Actor, payout: Payout, outcome: str, *, reason: str = "") -> Payout:
        async with self.db.tx() as tx:
            return await settlement.payouts.note_result(
                tx, actor, self.settings, payout.id, settlement.PayoutState(outcome), reason=reason
            )

    async def withhold(self, actor: Actor, payout_id: PayoutId, reason: str = "先核实") -> Payout:
        async with self.db.tx() as tx:
            return await settlement.payouts.withhold(tx, actor, self.settings, payout_id, reason)

    async def batch(self, batch_id: UUID) -> Batch:
        async with self.db.read() as tx:
            return await settlement.batches.get_batch(tx, BatchId(batch_id))

    async def payouts(self, batch: Batch) -> list[Payout]:
        async with self.db.read() as tx:
            return await settlement.batches.list_in_batch(tx, await self.operator(), batch.id, limit=1000)

    async def owed(self, owner: Owner, currency: str = "CNY") -> int:
        async with self.db.read() as tx:
            return (await settlement.find_payable(tx, owner.id)).get(currency, 0)

    async def balance(self, kind: AccountKind, owner_id: UUID | None = None, currency: str = "CNY") -> int:
        async with self.db.read() as tx:
            return (await ledger.get_balance(tx, Account(kind, currency, owner_id))).posted

    async def acts(self, prefix: str) -> list[str]:
        """What the audit log has, the earliest first."""
        async with self.db.read() as tx:
            return await tx.all(
                str,
                "SELECT act FROM identity.audit_entry WHERE starts_with(act, %(prefix)s) ORDER BY id",
                prefix=prefix,
            )

    async def told(self, owner: Owner) -> list[str]:
        """The kinds of notices that the owner's person has, the earliest first."""
        async with self.db.read() as tx:
            return await tx.all(
                str,
                """
                SELECT kind FROM messages.notice JOIN messages.message ON message.id = notice.message_id
                WHERE viewer_id = %(id)s ORDER BY message_id
                """,
                id=self.people[owner.id].viewer_id,
            )

    async def check_books(self) -> None:
        """What is in payouts under way is what lies on the payout accounts, to the cent; the ledger holds."""
        async with self.db.read() as tx:
            under_way = await tx.tuples(
                """
                SELECT owner_id, currency, sum(amount)::bigint FROM settlement.payout
                WHERE state IN ('drafted', 'sent') GROUP BY owner_id, currency
                """
            )
            lying = await ledger.list_balances(tx, AccountKind.payout)
            assert {(one.owner_id, one.currency): amount for one, amount in lying.items()} == {
                (owner_id, currency): amount for owner_id, currency, amount in under_way
            }
            tally = await ledger.tally(tx)
            assert (tally.sum_of_balances, tally.balances_off) == (0, 0)
            owed = await tx.tuples(
                """
                SELECT owner_id, currency, sum(amount)::bigint FROM (
                    SELECT shop_id AS owner_id, currency, net_amount AS amount FROM settlement.line WHERE shop_id IS NOT NULL
                    UNION ALL SELECT streamer_id, currency, streamer_amount FROM settlement.line WHERE streamer_id IS NOT NULL
                ) AS part GROUP BY 1, 2 HAVING sum(amount) <> 0
                """
            )
            payable = await ledger.list_balances(tx, AccountKind.payable)
            assert {(one.owner_id, one.currency): amount for one, amount in payable.items()} == {
                (owner_id, currency): amount for owner_id, currency, amount in owed
            }
