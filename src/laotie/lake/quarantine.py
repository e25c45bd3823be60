"""Quarantine: what cannot be true is put aside with the reason, counted, and never mixed with the rest.

Rows lie in `quarantine/rows/day=…/<name>.parquet` (the day on which they were put there), as they came, as JSON or bytes.
Files that nobody can read lie in `quarantine/files/`, under the path that they had. Nothing comes back by itself.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from laotie.base import metrics
from laotie.base.logs import log
from laotie.lake.model import ID, Part
from laotie.lake.parts import Lake
from laotie.lake.stores import make_place, put_file

ROWS = "quarantine/rows"
FILES = "quarantine/files"
SCHEMA = pa.schema(
    [
        pa.field("found_us", pa.int64(), nullable=False),
        pa.field("topic", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("viewer_id", ID),
        pa.field("row", pa.binary(), nullable=False),
    ]
)
KEEP_DAYS = 30


class Bad(msgspec.Struct, frozen=True):
    """A row that cannot be true, as it came."""

    topic: str
    reason: str
    row: bytes
    viewer_id: bytes | None = None


class Held(msgspec.Struct, frozen=True):
    """What lies in quarantine: how many rows of a topic for a reason, how many files."""

    reason: str
    topic: str
    rows: int


def tell_rows(topic: str, reason: str, rows: pa.Table) -> list[Bad]:
    """Rows of a topic as quarantine keeps them."""
    return [
        Bad(topic, reason, msgspec.json.encode({name: _plain(value) for name, value in row.items()}), row.get("viewer_id"))
        for row in rows.to_pylist()
    ]


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def put_aside(lake: Lake, name: str, bad: Iterable[Bad], *, now_us: int) -> int:
    """Keep these with their reasons. Under the same name the same rows are the same file."""
    rows = list(bad)
    if not rows:
        return 0
    table = pa.Table.from_pylist(
        [{"found_us": now_us, **msgspec.structs.asdict(one)} for one in rows], schema=SCHEMA
    )
    content = pa.BufferOutputStream()
    pq.write_table(table, content, compression="zstd")
    place = f"{lake.root}/{ROWS}/day={lake.day_of(now_us)}"
    make_place(lake.fs, place)
    put_file(lake.fs, f"{place}/{name}.parquet", content.getvalue().to_pybytes())
    for reason, count in Counter(one.reason for one in rows).items():
        metrics.LAKE_QUARANTINED.labels(_kind_of(reason)).inc(count)
        log.warning("rows of the lake are in quarantine", reason=reason, rows=count)
    return len(rows)


def is_readable(lake: Lake, part: Part) -> bool:
    """Whether a file makes sense to its end. One that does not is put aside; a store that fails is another matter."""
    content = lake.fs.cat_file(f"{lake.root}/{part.path}")
    try:
        for _ in pq.ParquetFile(pa.BufferReader(content)).iter_batches():
            pass
    except (OSError, pa.ArrowException) as error:
        put_file_aside(lake, part, str(error))
        return False
    return True


def put_file_aside(lake: Lake, part: Part, reason: str) -> None:
    """Move a file that cannot be read out of the way, and say so."""
    target = f"{lake.root}/{FILES}/{part.path}"
    make_place(lake.fs, target.rpartition("/")[0])
    lake.fs.mv(f"{lake.root}/{part.path}", target)
    metrics.LAKE_QUARANTINED.labels("unreadable file").inc()
    log.error("a file of the lake cannot be read and was put aside", path=part.path, reason=reason[:200])


def list_held(lake: Lake) -> list[Held]:
    """All that lies in quarantine, by reason and topic."""
    counts: Counter[tuple[str, str]] = Counter()
    for path in _list_rows(lake):
        with lake.fs.open(path, "rb") as file:
            table = pq.read_table(file, columns=["reason", "topic"])
        for reason, topic in zip(table["reason"].to_pylist(), table["topic"].to_pylist(), strict=True):
            counts[reason, topic] += 1
    for path in lake.fs.find(f"{lake.root}/{FILES}"):
        counts["unreadable file", path[len(f"{lake.root}/{FILES}/") :].partition("/")[0]] += 1
    return [Held(reason, topic, rows) for (reason, topic), rows in sorted(counts.items())]


def forget(lake: Lake, people: Iterable[bytes]) -> int:
    """Take the rows of these people out. Bytes of which nobody knows whose they are go after a month with all the rest."""
    wanted = pa.array(list(people), ID)
    taken = 0
    for path in _list_rows(lake):
        with lake.fs.open(path, "rb") as file:
            table = pq.read_table(file)
        left = table.filter(pc.invert(pc.is_in(table["viewer_id"], value_set=wanted)))
        if left.num_rows < table.num_rows:
            taken += table.num_rows - left.num_rows
            _rewrite(lake, path, left)
    return taken


def sweep(lake: Lake, *, today: date) -> int:
    """What has lain here for a month helps nobody any more."""
    end = today - timedelta(days=KEEP_DAYS)
    old = [path for path in _list_rows(lake) if date.fromisoformat(path.rsplit("/day=", 1)[1][:10]) < end]
    for path in old:
        lake.fs.rm_file(path)
    return len(old)


def _rewrite(lake: Lake, path: str, rows: pa.Table) -> None:
    if not rows.num_rows:
        lake.fs.rm_file(path)
        return
    content = pa.BufferOutputStream()
    pq.write_table(rows, content, compression="zstd")
    put_file(lake.fs, path, content.getvalue().to_pybytes())


def _list_rows(lake: Lake) -> list[Any]:
    return sorted(path for path in lake.fs.find(f"{lake.root}/{ROWS}") if path.endswith(".parquet"))


def _kind_of(reason: str) -> str:
    """A label without the particulars."""
    return reason.partition(":")[0]
