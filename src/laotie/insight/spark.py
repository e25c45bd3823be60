"""Apache Spark as the engine: the same expressions, on a cluster. Needs the extra `laotie[spark]` and Java 17."""

from collections.abc import Sequence
from importlib import import_module

import ibis
import ibis.expr.types as ir

from laotie.base.refusals import Unavailable
from laotie.insight.engine import Engine
from laotie.lake import TOPICS, Lake, Part


class SparkAbsent(Unavailable, code="spark-absent"):
    """Figures are to be computed by Spark, which is not installed: `pip install laotie[spark]`, and Java 17."""


class SparkEngine(Engine):
    """A session on the cluster at `url` (`spark://host:7077`). The lake must be where the workers see it too."""

    def __init__(self, lake: Lake, url: str) -> None:
        self.lake = lake
        try:
            sql = import_module("pyspark.sql")
        except ModuleNotFoundError as missing:
            raise SparkAbsent() from missing
        self.session = (
            sql.SparkSession.builder.master(url)
            .appName("laotie")
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.ui.enabled", "false")
            .getOrCreate()
        )
        self.backend = ibis.pyspark.connect(self.session)

    def close(self) -> None:
        self.session.stop()

    def _read(self, topic: str, parts: Sequence[Part]) -> ir.Table:
        place = self.lake.url
        table: ir.Table = self.backend.read_parquet(
            [f"{place}/{part.path}" for part in parts], basePath=f"{place}/{topic}", mergeSchema=True
        )
        return table.cast({"day": "date"}).select(*TOPICS[topic].schema.names, "day")
