"""The engines that compute: DuckDB in this process by default, an Apache Spark cluster by URL. A figure is one Ibis expression.

An engine shows the lake's topics of some days as Ibis tables (each with the lake's columns and `day`, a date) and runs
expressions over them. It is not shared between threads: whoever computes opens one, which takes a few milliseconds (DuckDB).
"""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Self
from uuid import uuid4

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends import BaseBackend

from laotie.base.refusals import Unavailable
from laotie.base.settings import Settings
from laotie.lake import TOPICS, Lake, Part, list_parts


class SparkAbsent(Unavailable, code="spark-absent"):
    """Figures are to be computed by Spark, which is not here: `pip install laotie[spark]`, `apt install openjdk-17-jre-headless`."""

    part: str = "spark"
    reason: str


class Engine:
    """One connection to an engine, over one lake. Use as a context manager."""

    def __init__(self, lake: Lake, *, memory_mb: int = 2048, threads: int | None = None) -> None:
        self.lake = lake
        options: dict[str, Any] = {"memory_limit": f"{memory_mb}MB", "temp_directory": str(Path(gettempdir()) / "laotie")}
        if threads is not None:
            options["threads"] = threads
        self.backend: BaseBackend = ibis.duckdb.connect(**options)
        if "file" not in lake.fs.protocol:
            self.backend.con.register_filesystem(lake.fs)

    @classmethod
    def of(cls, lake: Lake, settings: Settings) -> "Engine":
        """The engine of these settings."""
        if settings.analytics_url is not None:
            from laotie.insight.spark import SparkEngine

            return SparkEngine(lake, settings.analytics_url)
        return cls(lake, memory_mb=settings.analytics_memory_mb)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing more is asked."""
        self.backend.disconnect()

    def read(self, topic: str, since: date | None = None, until: date | None = None) -> ir.Table:
        """A topic's rows of the days from `since` to the day before `until`; empty where there are none."""
        return self.read_parts(topic, list_parts(self.lake, topic, since, until))

    def read_parts(self, topic: str, parts: Sequence[Part]) -> ir.Table:
        """The rows of these files."""
        if not parts:
            return ibis.memtable(empty(topic))
        return self._read(topic, parts)

    def read_files(self, paths: Sequence[str], schema: pa.Schema) -> ir.Table:
        """The rows of other files of the lake's store, roll-ups for example."""
        if not paths:
            return ibis.memtable(schema.empty_table())
        table: ir.Table = self.backend.read_parquet([self._url(path) for path in paths], hive_partitioning=False)
        return table

    def _url(self, path: str) -> str:
        return path if "file" in self.lake.fs.protocol else f"{self.lake.fs.protocol[0]}://{path}"

    def _read(self, topic: str, parts: Sequence[Part]) -> ir.Table:
        place = self._url(self.lake.root)
        table: ir.Table = self.backend.read_parquet(
            [f"{place}/{part.path}" for part in parts], hive_partitioning=True, union_by_name=True
        )
        table = table.cast({"day": "date"}).select(*TOPICS[topic].schema.names, "day")
        # A view: what an expression uses twice is then read twice, a few columns each, and not kept whole in between.
        return self.backend.create_view(f"{topic}_{uuid4().hex}", table)

    def run(self, expression: ir.Table) -> pa.Table:
        """Compute it; rows in the order that the expression says."""
        found: pa.Table = self.backend.to_pyarrow(expression)
        return found


def empty(topic: str) -> pa.Table:
    """A topic's table without rows, as engines show it."""
    fields = [pa.field(one.name, pa.string() if pa.types.is_dictionary(one.type) else one.type) for one in TOPICS[topic].schema]
    fields = [field.with_type(pa.binary()) if pa.types.is_fixed_size_binary(field.type) else field for field in fields]
    return pa.schema([*fields, pa.field("day", pa.date32())]).empty_table()
