"""The engines that compute: DuckDB in this process by default, an Apache Spark cluster by URL. A figure is one Ibis expression.

An engine shows the lake's topics of some days as Ibis tables (each with the lake's columns and `day`, a date) and runs
expressions over them. It is not shared between threads: whoever computes opens one, which takes a few milliseconds (DuckDB).
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Self
from uuid import uuid4

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends import BaseBackend

from laotie.base.refusals import Unavailable
from laotie.base.settings import Settings
from laotie.lake import TOPICS, Lake, Part, list_parts
from laotie.lake.stores import is_disk, name_in_engine, name_trouble


class SparkAbsent(Unavailable, code="spark-absent"):
    """Figures are to be computed by Spark, which is not here: `pip install laotie[spark]`, `apt install openjdk-17-jre-headless`."""

    part: str = "spark"
    reason: str


class Stopped(Exception):
    """The engine was told to stop."""


class Engine:
    """One connection to an engine, over one lake. Use as a context manager."""

    is_stopped = False

    def __init__(self, lake: Lake, *, memory_mb: int = 2048, threads: int | None = None) -> None:
        self.lake = lake
        options: dict[str, Any] = {"memory_limit": f"{memory_mb}MB", "temp_directory": str(Path(gettempdir()) / "laotie")}
        if threads is not None:
            options["threads"] = threads
        self.backend: BaseBackend = ibis.duckdb.connect(**options)
        self._kept: list[str] = []
        self.backend.raw_sql("SET parquet_metadata_cache = true")  # a file of the lake never changes
        if not is_disk(lake.fs):
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

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        self.close()
        trouble = name_trouble(error) if error is not None else None
        if trouble is not None and trouble is not error:
            raise trouble from error  # in the engine's words nobody would recognise a store that is away

    def close(self) -> None:
        """Nothing more is asked."""
        self.backend.disconnect()

    def stop(self) -> None:
        """Break off what is being computed; from another thread. Whoever computes with this engine gets `Stopped`, or the
        engine's own word for it. What has ended, or begins this very moment, does not hear it.
        """
        self.is_stopped = True
        with suppress(duckdb.Error):  # it may be closing
            self.backend.con.interrupt()

    def read(self, topic: str, since: date | None = None, until: date | None = None) -> ir.Table:
        """A topic's rows of the days from `since` to the day before `until`; empty where there are none."""
        return self.read_parts(topic, list_parts(self.lake, topic, since, until))

    def read_parts(self, topic: str, parts: Sequence[Part]) -> ir.Table:
        """The rows of these files."""
        self._go_on()
        if not parts:
            return ibis.memtable(empty(topic))
        return self._read(topic, parts)

    def read_files(self, paths: Sequence[str], schema: pa.Schema) -> ir.Table:
        """The rows of other files of the lake's store, roll-ups for example."""
        self._go_on()
        if not paths:
            return ibis.memtable(schema.empty_table())
        table: ir.Table = self.backend.read_parquet([self._url(path) for path in paths], hive_partitioning=False)
        return table

    def _url(self, path: str) -> str:
        return name_in_engine(self.lake.fs, path)

    def _read(self, topic: str, parts: Sequence[Part]) -> ir.Table:
        place = self._url(self.lake.root)
        paths = ", ".join(_quoted(f"{place}/{part.path}") for part in parts)
        name = f"{topic}_{uuid4().hex}"
        # A view: what an expression uses twice is then read twice, a few columns each, and not kept whole in between. Said in
        # one go: each time that the engine is told of many files it opens all of them.
        self.backend.raw_sql(
            f"CREATE TEMP VIEW {name} AS SELECT {', '.join(TOPICS[topic].schema.names)}, day::DATE AS day"  # noqa: S608
            f" FROM read_parquet([{paths}], hive_partitioning = true, union_by_name = true)"
        )
        table: ir.Table = self.backend.table(name)
        return table

    def run(self, expression: ir.Table) -> pa.Table:
        """Compute it; rows in the order that the expression says."""
        self._go_on()
        # The engine's sums are wider than 64 bits; the engine makes them narrow again much sooner than Arrow does.
        wide = [name for name, dtype in expression.schema().items() if dtype.is_int64()]
        narrow = {name: expression[name].cast("decimal(38, 0)").cast("int64") for name in wide}
        found: pa.Table = self.backend.to_pyarrow(expression.mutate(**narrow))
        return found

    def keep(self, expression: ir.Table) -> ir.Table:
        """Compute it now, and read it from there; until `forget`."""
        self._go_on()
        name = f"kept_{uuid4().hex}"
        self._kept.append(name)
        return self.backend.create_table(name, expression, temp=True)

    def forget(self) -> None:
        """What was kept goes."""
        while self._kept:
            self.backend.raw_sql(f"DROP TABLE {self._kept.pop()}")

    def _go_on(self) -> None:
        if self.is_stopped:
            raise Stopped()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def empty(topic: str) -> pa.Table:
    """A topic's table without rows, as engines show it."""
    fields = [pa.field(one.name, pa.string() if pa.types.is_dictionary(one.type) else one.type) for one in TOPICS[topic].schema]
    fields = [field.with_type(pa.binary()) if pa.types.is_fixed_size_binary(field.type) else field for field in fields]
    return pa.schema([*fields, pa.field("day", pa.date32())]).empty_table()
