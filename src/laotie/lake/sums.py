"""What the money in the lake comes to, day by day: for whoever compares it with the books."""

from datetime import date, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from laotie.lake.facts import MoneyKind, microseconds
from laotie.lake.parts import Lake, list_days, list_parts

IMPORTED = "imported"
"""The source of history that did not go through this house; the ledger does not know it."""

Sums = dict[tuple[date, str, MoneyKind], int]
"""By day, currency and kind, in minor units."""


def sum_money(lake: Lake, since: datetime, until: datetime) -> Sums | None:
    """Of what happened in [since, until), but for imported history; nothing when the lake has no money at all."""
    if not list_days(lake, "money"):
        return None
    since_us, until_us = max(microseconds(since), -(1 << 62)), microseconds(until)
    first = None if since.year < 1971 else lake.day_of(since_us)
    sums: Sums = {}
    for part in list_parts(lake, "money", first, lake.next_day(lake.day_of(until_us))):
        with lake.fs.open(f"{lake.root}/{part.path}", "rb") as file:
            rows = pq.read_table(file, columns=["at_us", "kind", "currency", "source", "amount"])
        wanted = pc.and_(pc.greater_equal(rows["at_us"], since_us), pc.less(rows["at_us"], until_us))
        rows = rows.filter(pc.and_(wanted, pc.not_equal(rows["source"].cast(pa.string()), IMPORTED)))
        for row in rows.group_by(["currency", "kind"]).aggregate([("amount", "sum")]).to_pylist():
            key = (part.day, row["currency"], MoneyKind(row["kind"]))
            sums[key] = sums.get(key, 0) + row["amount_sum"]
    return sums
