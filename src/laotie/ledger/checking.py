"""What breaks the ledger's own promises, named: for the audit, over all rows or over those made since an instant."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.ledger.model import AccountKind, Tally

SHOWN_MAX = 100
RESOLUTION = timedelta(microseconds=1)
ALWAYS = datetime.fromisoformat("0001-01-01T00:00:00+00:00")

Sums = tuple[int, int, int, int]
"""An account's debits and credits pending, debits and credits posted, in minor units."""


class Off(msgspec.Struct, frozen=True):
    """An account or a transfer that is not as it must be, in words."""

    id: UUID
    expected: str
    found: str


class Counts(msgspec.Struct, frozen=True):
    """How much there is."""

    transfers: int
    accounts: int
    holds_open: int


class Moved(msgspec.Struct, frozen=True):
    """What has moved since an instant: the subjects of transfers, and the accounts on their two sides."""

    subjects: set[UUID]
    accounts: set[UUID]


async def tally(tx: Tx) -> Tally:
    """All of it in figures: everything recomputed from the transfers; what differs must be zero."""
    counts = await count_rows(tx)
    return Tally(
        transfers=counts.transfers,
        accounts=counts.accounts,
        sum_of_balances=sum(map(abs, (await sum_currencies(tx)).values())),
        balances_off=len(await list_balances_off(tx)),
        settled_wrong=len(await list_settled_wrong(tx)),
        holds_open=counts.holds_open,
    )


async def count_rows(tx: Tx) -> Counts:
    """Read all transfers."""
    return await tx.one(
        Counts,
        """
        SELECT (SELECT count(*) FROM ledger.transfer) AS transfers,
               (SELECT count(*) FROM ledger.account) AS accounts,
               (SELECT count(*) FILTER (WHERE phase = 'pending') - count(settles_id) FROM ledger.transfer) AS holds_open
        """,
    )


async def count_since(tx: Tx, since: datetime) -> int:
    """Transfers made since an instant."""
    return await tx.one(int, "SELECT count(*) FROM ledger.transfer WHERE made_at >= %(since)s", since=since)


async def find_moved(tx: Tx, since: datetime) -> Moved:
    """Subjects and accounts of the transfers made since."""
    rows = await tx.tuples(
        "SELECT subject_id, debit_id, credit_id FROM ledger.transfer WHERE made_at >= %(since)s", since=since
    )
    return Moved({row[0] for row in rows}, {account for row in rows for account in row[1:]})


async def list_balances_off(tx: Tx) -> list[Off]:
    """Accounts whose balance (folded, with what is not folded yet) is not the sum of their transfers."""
    return await tx.all(
        Off,
        """
        WITH leg AS (
            SELECT debit_id AS account_id, phase, settles_id IS NOT NULL AS settles, amount AS debit, 0::bigint AS credit
            FROM ledger.transfer
            UNION ALL
            SELECT credit_id, phase, settles_id IS NOT NULL, 0, amount FROM ledger.transfer
        ), told AS (
            SELECT account_id,
                   sum(debit * (CASE WHEN phase = 'pending' THEN 1 WHEN settles THEN -1 ELSE 0 END)) AS dp,
                   sum(credit * (CASE WHEN phase = 'pending' THEN 1 WHEN settles THEN -1 ELSE 0 END)) AS cp,
                   coalesce(sum(debit) FILTER (WHERE phase = 'posted'), 0) AS dd,
                   coalesce(sum(credit) FILTER (WHERE phase = 'posted'), 0) AS cc
            FROM leg GROUP BY account_id
        ), kept AS (
            SELECT account_id, sum(debits_pending) AS dp, sum(credits_pending) AS cp,
                   sum(debits_posted) AS dd, sum(credits_posted) AS cc
            FROM (SELECT account_id, debits_pending, credits_pending, debits_posted, credits_posted FROM ledger.balance
                  UNION ALL
                  SELECT account_id, debits_pending, credits_pending, debits_posted, credits_posted FROM ledger.delta
                 ) AS part
            GROUP BY account_id
        )
        SELECT account_id AS id, concat_ws(' ', told.dp, told.cp, told.dd, told.cc) AS expected,
               concat_ws(' ', kept.dp, kept.cp, kept.dd, kept.cc) AS found
        FROM told FULL JOIN kept USING (account_id)
        WHERE (coalesce(told.dp, 0), coalesce(told.cp, 0), coalesce(told.dd, 0), coalesce(told.cc, 0))
           <> (coalesce(kept.dp, 0), coalesce(kept.cp, 0), coalesce(kept.dd, 0), coalesce(kept.cc, 0))
        ORDER BY account_id LIMIT %(limit)s
        """,
        limit=SHOWN_MAX,
    )


async def sum_transfers(
    tx: Tx, *, since: datetime = ALWAYS, until: datetime | None = None, account_ids: list[UUID] | None = None
) -> dict[UUID, Sums]:
    """By account, what the transfers made in [since, until) come to."""
    rows = await tx.tuples(
        """
        SELECT account_id,
               sum(debit * (CASE WHEN phase = 'pending' THEN 1 WHEN settles THEN -1 ELSE 0 END))::bigint,
               sum(credit * (CASE WHEN phase = 'pending' THEN 1 WHEN settles THEN -1 ELSE 0 END))::bigint,
               coalesce(sum(debit) FILTER (WHERE phase = 'posted'), 0)::bigint,
               coalesce(sum(credit) FILTER (WHERE phase = 'posted'), 0)::bigint
        FROM (
            SELECT debit_id AS account_id, phase, settles_id IS NOT NULL AS settles, amount AS debit, 0::bigint AS credit
            FROM ledger.transfer WHERE made_at >= %(since)s AND (%(until)s::timestamptz IS NULL OR made_at < %(until)s)
            UNION ALL
            SELECT credit_id, phase, settles_id IS NOT NULL, 0, amount
            FROM ledger.transfer WHERE made_at >= %(since)s AND (%(until)s::timestamptz IS NULL OR made_at < %(until)s)
        ) AS leg
        WHERE %(accounts)s::uuid[] IS NULL OR account_id = ANY(%(accounts)s::uuid[]) GROUP BY account_id
        """,
        since=since,
        until=until,
        accounts=account_ids,
    )
    return {account_id: (dp, cp, dd, cc) for account_id, dp, cp, dd, cc in rows}


async def find_balances(tx: Tx, account_ids: list[UUID]) -> dict[UUID, Sums]:
    """What these accounts' balances say, with what is not folded yet."""
    rows = await tx.tuples(
        """
        SELECT account_id, sum(debits_pending)::bigint, sum(credits_pending)::bigint, sum(debits_posted)::bigint,
               sum(credits_posted)::bigint
        FROM (SELECT account_id, debits_pending, credits_pending, debits_posted, credits_posted FROM ledger.balance
              UNION ALL
              SELECT account_id, debits_pending, credits_pending, debits_posted, credits_posted FROM ledger.delta
             ) AS part
        WHERE account_id = ANY(%(ids)s) GROUP BY account_id
        """,
        ids=account_ids,
    )
    return {account_id: (dp, cp, dd, cc) for account_id, dp, cp, dd, cc in rows}


async def sum_currencies(tx: Tx) -> dict[str, int]:
    """By currency, what all balances come to: zero, unless money was made or lost. Zeros are left out."""
    return dict(
        await tx.tuples(
            """
            SELECT account.currency,
                   sum(debits_posted - credits_posted + debits_pending - credits_pending)::bigint AS amount
            FROM (SELECT account_id, debits_pending, credits_pending, debits_posted, credits_posted FROM ledger.balance
                  UNION ALL
                  SELECT account_id, debits_pending, credits_pending, debits_posted, credits_posted FROM ledger.delta
                 ) AS part
            JOIN ledger.account ON account.id = account_id GROUP BY account.currency
            HAVING sum(debits_posted - credits_posted + debits_pending - credits_pending) <> 0
            """
        )
    )


async def list_unanswered(tx: Tx) -> list[Off]:
    """Accounts of a kind that the house does not keep (any more), with something on them."""
    return await tx.all(
        Off,
        """
        SELECT account.id, 'nothing on ' || account.kind || ' ' || account.currency AS expected, sum(amount)::text AS found
        FROM ledger.account JOIN (
            SELECT account_id, credits_posted - debits_posted AS amount FROM ledger.balance
            UNION ALL SELECT account_id, credits_posted - debits_posted FROM ledger.delta
        ) AS part ON part.account_id = account.id
        WHERE account.kind <> ALL(%(kinds)s) GROUP BY account.id HAVING sum(amount) <> 0 ORDER BY account.id LIMIT %(limit)s
        """,
        kinds=list(AccountKind),
        limit=SHOWN_MAX,
    )


async def list_stray_deltas(tx: Tx) -> list[Off]:
    """What is left to fold in another currency than its account's, or into an account without a balance."""
    return await tx.all(
        Off,
        """
        SELECT delta.id, coalesce(account.currency, 'an account with a balance') AS expected, delta.currency AS found
        FROM ledger.delta LEFT JOIN ledger.account ON account.id = delta.account_id
        LEFT JOIN ledger.balance ON balance.account_id = delta.account_id
        WHERE account.currency IS DISTINCT FROM delta.currency OR balance.account_id IS NULL
        ORDER BY delta.id LIMIT %(limit)s
        """,
        limit=SHOWN_MAX,
    )


async def list_misplaced(tx: Tx, *, since: datetime = ALWAYS) -> list[Off]:
    """Transfers between accounts that do not exist, or of another currency."""
    return await tx.all(
        Off,
        """
        SELECT moved.id, moved.currency || ' from and to' AS expected,
               concat_ws(' and ', coalesce(credit.currency, 'nowhere'), coalesce(debit.currency, 'nowhere')) AS found
        FROM ledger.transfer AS moved LEFT JOIN ledger.account AS debit ON debit.id = moved.debit_id
        LEFT JOIN ledger.account AS credit ON credit.id = moved.credit_id
        WHERE moved.made_at >= %(since)s
          AND (debit.currency IS DISTINCT FROM moved.currency OR credit.currency IS DISTINCT FROM moved.currency)
        ORDER BY moved.id LIMIT %(limit)s
        """,
        since=since,
        limit=SHOWN_MAX,
    )


async def list_settled_wrong(tx: Tx, *, since: datetime = ALWAYS) -> list[Off]:
    """Holds that were settled twice, and transfers that settle what is no hold, or not exactly what it held."""
    inexact = await tx.all(
        Off,
        """
        SELECT settling.settles_id AS id, coalesce(held.phase || ' ' || held.amount, 'a hold') AS expected,
               settling.phase || ' ' || settling.amount AS found
        FROM ledger.transfer AS settling LEFT JOIN ledger.transfer AS held ON held.id = settling.settles_id
        WHERE settling.settles_id IS NOT NULL AND settling.made_at >= %(since)s
          AND (held.phase, held.amount, held.currency, held.debit_id, held.credit_id) IS DISTINCT FROM
              ('pending', settling.amount, settling.currency, settling.debit_id, settling.credit_id)
        ORDER BY 1 LIMIT %(limit)s
        """,
        since=since,
        limit=SHOWN_MAX,
    )
    return inexact + (await _list_twice(tx) if since == ALWAYS else await _list_twice_of(tx, since))


async def _list_twice(tx: Tx) -> list[Off]:
    """The unique index forbids it; here nobody relies on an index."""
    return await tx.all(
        Off,
        """
        SELECT settles_id AS id, 'once' AS expected, count(*) || ' times' AS found FROM ledger.transfer
        WHERE settles_id IS NOT NULL GROUP BY settles_id HAVING count(*) > 1 LIMIT %(limit)s
        """,
        limit=SHOWN_MAX,
    )


async def _list_twice_of(tx: Tx, since: datetime) -> list[Off]:
    """The same of those that were settled since: planned by itself, for the general form has no good plan."""
    return await tx.all(
        Off,
        """
        SELECT every.settles_id AS id, 'once' AS expected, count(*) || ' times' AS found
        FROM (SELECT DISTINCT settles_id FROM ledger.transfer
              WHERE settles_id IS NOT NULL AND made_at >= %(since)s) AS young
        JOIN ledger.transfer AS every ON every.settles_id = young.settles_id
        GROUP BY every.settles_id HAVING count(*) > 1 LIMIT %(limit)s
        """,
        since=since,
        limit=SHOWN_MAX,
    )


async def find_seal_end(tx: Tx, since: datetime, before: datetime, *, transfers: int) -> datetime | None:
    """Until when to seal, from an instant on: about so many transfers, all older than `before`; none left: `None`."""
    rows = await tx.tuples(
        """
        SELECT max(made_at), count(*) FROM (
            SELECT made_at FROM ledger.transfer WHERE made_at >= %(since)s AND made_at < %(before)s
            ORDER BY made_at LIMIT %(transfers)s
        ) AS next
        """,
        since=since,
        before=before,
        transfers=transfers,
    )
    last, count = rows[0]
    if not count:
        return None
    return before if count < transfers else last + RESOLUTION  # an instant is sealed whole


async def seal(tx: Tx, since: datetime, until: datetime, before: bytes) -> tuple[int, bytes]:
    """How many transfers were made in [since, until), and the digest of them all after the digest before."""
    rows = await tx.tuples(
        """
        SELECT count(*), sha256(%(before)s::bytea || coalesce(string_agg(sha256(
            uuid_send(id) || uuid_send(debit_id) || uuid_send(credit_id) || int8send(amount)
            || coalesce(uuid_send(settles_id), '\\x00'::bytea) || uuid_send(subject_id) || timestamptz_send(made_at)
            || convert_to(concat_ws(' ', currency, phase, reason), 'UTF8')
        ), ''::bytea ORDER BY made_at, settles_id IS NOT NULL, id), ''::bytea))
        FROM ledger.transfer WHERE made_at >= %(since)s AND made_at < %(until)s
        """,
        since=since,
        until=until,
        before=before,
    )
    count, digest = rows[0]
    return count, bytes(digest)
