"""Apache Spark as the engine: the same expressions, on a cluster. Needs the extra `laotie[spark]` and Java 17 or 21.

A process has one session, begun with the first figure; engines are views of it. What is said here gives way to Spark's own
configuration (`spark-defaults.conf` in `SPARK_CONF_DIR`), where memory, cores and the keys of an object store belong.
"""

import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from laotie.insight.engine import Engine, SparkAbsent, empty
from laotie.lake import Lake, Part

JAVAS = ("17", "21")
"""The releases of Java that Spark 4.0 runs on."""
JAVA_PLACES = Path("/usr/lib/jvm")
CONNECT_S_MAX = 5
USUAL = {
    "spark.app.name": "laotie",
    "spark.ui.enabled": "false",
    "spark.driver.memory": "1g",
    "spark.dynamicAllocation.enabled": "true",
    "spark.dynamicAllocation.shuffleTracking.enabled": "true",
    "spark.dynamicAllocation.executorIdleTimeout": "120s",
}
"""Where Spark's own configuration is silent. A cluster is not held while nobody asks."""
MEANT = {"spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "false"}
"""Whatever else is configured. A quotient of nothing is null, as DuckDB has it."""


class SparkEngine(Engine):
    """The cluster at `url` (`spark://host:7077`). The lake must lie where the workers see it under the same address."""

    def __init__(self, lake: Lake, url: str) -> None:
        self.lake = lake
        self.session = _session(url)
        self.backend = ibis.pyspark.connect(self.session)
        self._views: list[str] = []
        self._tag = f"laotie-{ibis.util.guid()}"
        self.session.sparkContext.addJobTag(self._tag)  # of the jobs that this thread begins
        self.session.sparkContext.setInterruptOnCancel(True)

    def stop(self) -> None:
        self.is_stopped = True
        with suppress(Exception):  # whatever a session says that is ending or has lost its cluster
            self.session.sparkContext.cancelJobsWithTag(self._tag)

    def close(self) -> None:
        """The session stays, for the next figure; what this one was shown goes."""
        if not self.session.sparkContext._jsc.sc().isStopped():
            self.session.sparkContext.removeJobTag(self._tag)
            for name in self._views:
                self.session.catalog.dropTempView(name)

    def read_parts(self, topic: str, parts: Sequence[Part]) -> ir.Table:
        self._go_on()
        if parts:
            return super().read_parts(topic, parts)
        return self._name(self.session.createDataFrame(empty(topic)), topic)

    def run(self, expression: ir.Table) -> pa.Table:
        """By Arrow, where Ibis would go by pandas and make whole numbers beside a null into floats."""
        self._go_on()
        found = self.session.sql(str(self.backend.compile(expression))).toArrow()
        return found.cast(expression.schema().to_pyarrow())

    def keep(self, expression: ir.Table) -> ir.Table:
        """Nothing is kept: Spark plans the whole at once."""
        return expression

    def forget(self) -> None:
        """There is nothing."""

    def _read(self, topic: str, parts: Sequence[Part]) -> ir.Table:
        place = self.lake.url.replace("s3://", "s3a://", 1)  # the same store by the name that Hadoop gives it
        said = import_module("pyspark.sql.pandas.types").from_arrow_schema(empty(topic).schema)
        frame = self.session.read.schema(said).option("basePath", f"{place}/{topic}")
        return self._name(frame.parquet(*(f"{place}/{part.path}" for part in parts)), topic).select(*said.names)

    def read_files(self, paths: Sequence[str], schema: pa.Schema) -> ir.Table:
        self._go_on()
        if not paths:
            return self._name(self.session.createDataFrame(schema.empty_table()), "rollup")
        said = import_module("pyspark.sql.pandas.types").from_arrow_schema(schema)
        place = self.lake.url.replace("s3://", "s3a://", 1)
        urls = [f"{place}{path.removeprefix(self.lake.root)}" for path in paths]
        return self._name(self.session.read.schema(said).parquet(*urls), "rollup")

    def _name(self, frame: Any, topic: str) -> ir.Table:
        name = f"{topic}_{ibis.util.guid()}"
        frame.createOrReplaceTempView(name)
        self._views.append(name)
        table: ir.Table = self.backend.table(name)
        return table


_sessions: dict[str, Any] = {}
_beginning = Lock()


def _session(url: str) -> Any:
    with _beginning:
        session = _sessions.get(url)
        if session is None or session.sparkContext._jsc.sc().isStopped():
            session = _sessions[url] = _begin(url)
        return session


def stop() -> None:
    """Leave the cluster."""
    with _beginning:
        while _sessions:
            _sessions.popitem()[1].stop()


def _begin(url: str) -> Any:
    try:
        pyspark = import_module("pyspark")
        sql = import_module("pyspark.sql")
    except ModuleNotFoundError as missing:
        raise SparkAbsent(reason="Spark is not installed: pip install 'laotie[spark]'") from missing
    os.environ["JAVA_HOME"] = str(find_java())
    _knock(url)
    conf = pyspark.SparkConf().setMaster(url)
    for name, value in USUAL.items():
        conf.setIfMissing(name, value)
    for name, value in MEANT.items():
        conf.set(name, value)
    session = sql.SparkSession.builder.config(conf=conf).getOrCreate()
    if not conf.contains("spark.sql.shuffle.partitions"):  # 200 tasks for each small step otherwise
        session.conf.set("spark.sql.shuffle.partitions", str(max(4, 2 * session.sparkContext.defaultParallelism)))
    session.sparkContext.setLogLevel("ERROR")
    return session


def _knock(url: str) -> None:
    """Whether a master listens: Spark itself would try for a minute."""
    if not url.startswith("spark://"):
        return
    reasons = []
    for address in urlsplit(url).netloc.split(","):
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), CONNECT_S_MAX).close()
        except (OSError, ValueError) as error:
            reasons.append(f"{address}: {error}")
        else:
            return
    raise SparkAbsent(reason=f"no Spark master answers at {'; '.join(reasons)}")


def find_java() -> Path:
    """The home of a Java that Spark runs on: `JAVA_HOME`, the one on the path, or one of Debian's. Else a refusal."""
    for home in _javas():
        release = home / "release"
        said = release.read_text() if release.exists() else ""
        if any(f'JAVA_VERSION="{version}.' in said or f'JAVA_VERSION="{version}"' in said for version in JAVAS):
            return home
    raise SparkAbsent(reason=f"Spark needs Java {' or '.join(JAVAS)}: apt install openjdk-17-jre-headless, or set JAVA_HOME")


def _javas() -> Iterator[Path]:
    if named := os.environ.get("JAVA_HOME"):
        yield Path(named)
    if found := shutil.which("java"):
        yield Path(found).resolve().parent.parent
    if JAVA_PLACES.is_dir():
        yield from sorted(JAVA_PLACES.iterdir())
