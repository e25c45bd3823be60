"""Who did it, and what of the lake is looked at: what several measures ask first."""

from collections.abc import Iterable, Sequence
from datetime import date
from uuid import UUID

import ibis
import ibis.expr.types as ir

US_PER_H = 3_600_000_000
US_PER_DAY = 24 * US_PER_H


def known(table: ir.Table, person: ir.Table, column: str = "viewer_id") -> ir.Table:
    """The same rows, with `who`: the account that `column` names or has become since."""
    accounts = person.group_by("guest_id").agg(became=person.account_id.max())
    joined = table.left_join(accounts, table[column] == accounts.guest_id).select(*table.columns, "became")
    return joined.select(*table.columns, who=ibis.coalesce(joined.became, joined[column]))


def within(table: ir.Table, since: date | None = None, until: date | None = None) -> ir.Table:
    """The rows of the days from `since` to the day before `until`."""
    if since is not None:
        table = table.filter(table.day >= since)
    if until is not None:
        table = table.filter(table.day < until)
    return table


def of_one(table: ir.Table, column: str, of: UUID | None) -> ir.Table:
    """The rows of one show, shop, streamer; all of them without one said."""
    return among(table, column, None if of is None else [of])


def among(table: ir.Table, column: str, ids: Iterable[UUID] | None) -> ir.Table:
    """The rows whose id is one of these; all of them without any said."""
    if ids is None:
        return table
    wanted = [ibis.literal(one.bytes, "binary") for one in ids]
    return table.filter(table[column].isin(wanted)) if wanted else table.filter(ibis.literal(False))


def counted(table: ir.Table, by: Sequence[str], **figures: ir.Value) -> ir.Table:
    """The figures for each of `by`, in their order; one row of all where nothing is said."""
    return table.group_by(by).agg(**figures).order_by(by) if by else table.agg(**figures)
