"""The whole ledger played again from its first transfer: every balance from nothing, in the order it came about.

PostgreSQL sorts the transfers (on disk, beyond its `work_mem`) and hands them over some thousand at a time, packed into
bytes; what is kept here is four sums an account and the holds that are open, so the memory does not grow with the number of
transfers. An instant is judged as a whole: what one transaction moves has no order within it.
"""

import hashlib
import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.ledger.model import AccountKind

RECORD = struct.Struct(">16s16s16sqh16sq3s32s")
CHUNK = 4_000
SHOWN_MAX = 100
WORK_MEMORY_MB = 64
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
PENDING, POSTED, VOIDED = 0, 1, 2
OUT, BACK = 4, 8
CHARGED_BACK, RESTORED = "wallet.reversed", "wallet.restored"
"""A chargeback of what had filled a wallet may take it below zero, by as much."""
NEVER_BELOW_ZERO = (AccountKind.wallet, AccountKind.escrow, AccountKind.deposit)
KEPT = frozenset(AccountKind)
"""Of an account of another kind nobody ever takes anything."""


class Seal(Protocol):
    """A digest that was made of a stretch of transfers when they were young."""

    @property
    def no(self) -> int: ...
    @property
    def from_at(self) -> datetime: ...
    @property
    def until_at(self) -> datetime: ...
    @property
    def digest(self) -> bytes: ...


class Fault(msgspec.Struct, frozen=True):
    """Something that the ledger promises and does not hold."""

    kind: str
    subject: str
    expected: str
    found: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay came to; `faults` holds the first `SHOWN_MAX`."""

    transfers: int
    accounts: int
    holds_open: int
    seals: int
    fault_count: int
    faults: list[Fault]


async def replay(tx: Tx, seals: Sequence[Seal] = (), progress: Callable[[int, int], None] = lambda _done, _all: None) -> Verdict:
    """Play every transfer and compare with what is kept. `tx` is a snapshot; `progress` hears rows done and rows in all."""
    accounts = {
        account_id.bytes: _Account(kind, currency)
        for account_id, kind, currency in await tx.tuples("SELECT id, kind, currency FROM ledger.account")
    }
    total = await tx.one(int, "SELECT count(*) FROM ledger.transfer")
    player = _Player(accounts, seals)
    await tx.run("SELECT set_config('work_mem', %(memory)s, true)", memory=f"{WORK_MEMORY_MB}MB")
    await tx.run(
        """
        DECLARE played NO SCROLL CURSOR FOR
        SELECT string_agg(
            uuid_send(id) || uuid_send(debit_id) || uuid_send(credit_id) || int8send(amount)
            || int2send((CASE phase WHEN 'pending' THEN 0 WHEN 'posted' THEN 1 ELSE 2 END
                         + CASE reason WHEN %(out)s THEN 4 WHEN %(back)s THEN 8 ELSE 0 END)::smallint)
            || coalesce(uuid_send(settles_id), decode('00000000000000000000000000000000', 'hex'))
            || timestamptz_send(made_at) || convert_to(rpad(currency, 3), 'UTF8') || sha256(
                uuid_send(id) || uuid_send(debit_id) || uuid_send(credit_id) || int8send(amount)
                || coalesce(uuid_send(settles_id), '\\x00'::bytea) || uuid_send(subject_id) || timestamptz_send(made_at)
                || convert_to(concat_ws(' ', currency, phase, reason), 'UTF8')
            ), ''::bytea ORDER BY made_at, settles_id IS NOT NULL, id)
        FROM (
            SELECT *, (row_number() OVER (ORDER BY made_at, settles_id IS NOT NULL, id) - 1) / %(chunk)s AS chunk
            FROM ledger.transfer
        ) AS sorted GROUP BY chunk ORDER BY chunk
        """,
        chunk=CHUNK,
        out=CHARGED_BACK,
        back=RESTORED,
    )
    while chunks := await tx.tuples("FETCH 8 FROM played"):
        for (chunk,) in chunks:
            player.play(bytes(chunk))
        progress(player.count, total)
    player.finish()
    await _compare_balances(tx, accounts, player)
    return Verdict(
        transfers=player.count,
        accounts=len(accounts),
        holds_open=len(player.open),
        seals=len(seals),
        fault_count=player.fault_count,
        faults=player.faults,
    )


class _Account:
    """What an account's transfers have come to so far."""

    __slots__ = ("bounded", "cc", "cp", "currency", "dd", "dp", "kind", "least")

    def __init__(self, kind: str, currency: str) -> None:
        self.kind = kind
        self.currency = currency.encode()
        self.bounded = kind in NEVER_BELOW_ZERO
        self.dp = self.cp = self.dd = self.cc = self.least = 0


class _Player:
    """Plays records in order and remembers what does not fit."""

    def __init__(self, accounts: dict[bytes, _Account], seals: Sequence[Seal]) -> None:
        self.count = 0
        self.fault_count = 0
        self.faults: list[Fault] = []
        self.open: dict[bytes, tuple[bytes, bytes, int]] = {}
        self._early: dict[bytes, tuple[bytes, bytes, int]] = {}
        self._accounts = accounts
        self._moved: set[bytes] = set()
        self._below: set[bytes] = set()
        self._at = -(1 << 63)
        self._seals = [(_micros(seal.from_at), _micros(seal.until_at), seal) for seal in seals]
        self._seal = 0
        self._hash: Any = None
        self._before = bytes(32)
        self._begin_seal()

    def play(self, chunk: bytes) -> None:
        """The next records."""
        accounts, opened = self._accounts, self.open
        for own, debit, credit, amount, code, settles, at, currency, digest in RECORD.iter_unpack(chunk):
            phase = code & 3
            if at != self._at:
                self._judge_instant()
                self._at = at
            self._add_to_seal(at, digest)
            from_, to = accounts.get(credit), accounts.get(debit)
            if from_ is None or to is None:
                self._fault("account", own, "two accounts that exist", "a transfer to or from nowhere")
                continue
            if from_.currency != currency or to.currency != currency:
                self._fault("currency", own, currency.decode(), f"{from_.currency.decode()} to {to.currency.decode()}")
            if phase == PENDING:
                to.dp += amount
                from_.cp += amount
                settled = self._early.pop(own, None)
                if settled is None:
                    opened[own] = (debit, credit, amount)
                elif settled != (debit, credit, amount):
                    self._fault("hold", own, str(amount), f"settled with {settled[2]}, or between other accounts")
                continue
            if settles != NIL:
                to.dp -= amount
                from_.cp -= amount
                held = opened.pop(settles, None)
                if held is None:
                    if settles in self._early:
                        self._fault("hold", settles, "settled once", "settled again")
                    self._early[settles] = (debit, credit, amount)
                elif held != (debit, credit, amount):
                    self._fault("hold", settles, str(held[2]), f"settled with {amount}, or between other accounts")
            if phase == POSTED:
                to.dd += amount
                from_.cc += amount
                if to.bounded:
                    self._moved.add(debit)
                    to.least -= amount if code & OUT else 0
                if from_.bounded:
                    self._moved.add(credit)
                    from_.least += amount if code & BACK else 0
        self.count += len(chunk) // RECORD.size

    def finish(self) -> None:
        """Nothing more comes."""
        self._judge_instant()
        for settles in self._early:
            self._fault("hold", settles, "an open hold", "settled again, or never held")
        for key, account in self._accounts.items():
            if account.kind not in KEPT and account.cc != account.dd:
                self._fault("kind", key, f"nothing on {account.kind} {account.currency.decode()}", str(account.cc - account.dd))
        while self._seal < len(self._seals):
            self._end_seal()

    def _judge_instant(self) -> None:
        for key in self._moved:
            account = self._accounts[key]
            if account.cc - account.dd < account.least and key not in self._below:
                self._below.add(key)
                least = f"{account.least} or more"
                self._fault("below zero", key, least, f"{account.cc - account.dd} at {_instant(self._at)}")
        self._moved.clear()

    def _add_to_seal(self, at: int, digest: bytes) -> None:
        while self._seal < len(self._seals) and at >= self._seals[self._seal][1]:
            self._end_seal()
        if self._seal < len(self._seals):
            self._hash.update(digest)

    def _begin_seal(self) -> None:
        self._hash = hashlib.sha256(self._before)

    def _end_seal(self) -> None:
        _, _, seal = self._seals[self._seal]
        if self._hash.digest() != seal.digest:
            stretch = f"{seal.from_at:%Y-%m-%d %H:%M:%S} to {seal.until_at:%Y-%m-%d %H:%M:%S}"
            self._fault("seal", f"anchor {seal.no}", f"the transfers sealed of {stretch}", "other transfers")
        self._before = bytes(seal.digest)
        self._seal += 1
        self._begin_seal()

    def _fault(self, kind: str, subject: bytes | str, expected: str, found: str) -> None:
        self.fault_count += 1
        if len(self.faults) < SHOWN_MAX:
            name = str(UUID(bytes=subject)) if isinstance(subject, bytes) else subject
            self.faults.append(Fault(kind, name, expected, found))

    def compare(self, key: bytes, expected: tuple[int, int, int, int], found: tuple[int, int, int, int]) -> None:
        """An account's four sums as played and as kept."""
        if expected != found:
            self._fault("balance", key, " ".join(map(str, expected)), " ".join(map(str, found)))


NIL = bytes(16)


async def _compare_balances(tx: Tx, accounts: dict[bytes, _Account], player: _Player) -> None:
    """Folded balances and what is not folded yet, against the replay; in pieces, for there may be many accounts."""
    await tx.run(
        """
        DECLARE kept NO SCROLL CURSOR FOR
        SELECT account_id, sum(debits_pending)::bigint, sum(credits_pending)::bigint, sum(debits_posted)::bigint,
               sum(credits_posted)::bigint
        FROM (SELECT account_id, debits_pending, credits_pending, debits_posted, credits_posted FROM ledger.balance
              UNION ALL
              SELECT account_id, debits_pending, credits_pending, debits_posted, credits_posted FROM ledger.delta
             ) AS part GROUP BY account_id
        """
    )
    left = set(accounts)
    while rows := await tx.tuples("FETCH 10000 FROM kept"):
        for account_id, dp, cp, dd, cc in rows:
            account = accounts.get(account_id.bytes) or _Account("", "")
            left.discard(account_id.bytes)
            player.compare(account_id.bytes, (account.dp, account.cp, account.dd, account.cc), (dp, cp, dd, cc))
    for key in sorted(left):
        account = accounts[key]
        player.compare(key, (account.dp, account.cp, account.dd, account.cc), (0, 0, 0, 0))


def _micros(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def _instant(micros: int) -> str:
    return f"{EPOCH + timedelta(microseconds=micros):%Y-%m-%d %H:%M:%S.%f}"
