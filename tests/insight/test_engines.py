"""Every measure, by DuckDB in this process and by a real Spark cluster, over the same lake: the same figures."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from math import isclose
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest

from clusters import run_cluster
from lakes import DAY, Tale, open_lake
from laotie.insight import Engine, spark
from laotie.insight.definitions import MEASURES
from laotie.insight.engine import SparkAbsent, Stopped
from laotie.insight.model import ROLLUPS
from laotie.insight.spark import SparkEngine, find_java
from laotie.lake import TOPICS, Lake, compact, list_parts
from laotie.lake.model import ALL_DAY
from tales import make_up


class Found:
    """An engine with what it is asked. What it reads from the lake and the roll-ups it makes of that are read and made once."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.zone = engine.lake.zone
        self.answers: dict[str, pa.Table] = {}
        self.rows = {topic: engine.run(engine.read(topic)) for topic in TOPICS}
        self.tables = {topic: self._keep(topic, rows) for topic, rows in self.rows.items()}
        for name in ROLLUPS:
            self.answers[name] = engine.run(MEASURES[name].compute(self))
            self.tables[name] = self._keep(name, self.answers[name])

    def __getitem__(self, name: str) -> ir.Table:
        return self.tables[name]

    def ask(self, name: str) -> pa.Table:
        if name not in self.answers:
            self.answers[name] = self.engine.run(MEASURES[name].compute(self))
        return self.answers[name]

    def _keep(self, name: str, rows: pa.Table) -> ir.Table:
        if isinstance(self.engine, SparkEngine):
            self.engine.session.createDataFrame(rows).createOrReplaceTempView(f"kept_{name}")
            kept: ir.Table = self.engine.backend.table(f"kept_{name}")
            return kept
        return ibis.memtable(rows)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The first day is one file, the others lie there by the hour."""
    lake = open_lake(tmp_path_factory.mktemp("lake"))
    make_up(Random(20), days=3, visits=60, orders=50).tale.write(lake)
    compact(lake, now_us=Tale().at(60, DAY + timedelta(days=3)))
    assert {part.hour == ALL_DAY for part in list_parts(lake, "visit")} == {True, False}
    return lake


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        java = find_java()
    except SparkAbsent as absent:
        pytest.skip(absent.reason)
    directory = tmp_path_factory.mktemp("spark")
    with pytest.MonkeyPatch.context() as patch, run_cluster(directory) as url:
        patch.setenv("SPARK_CONF_DIR", str(directory))
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("JAVA_HOME", str(java))
        yield url
        spark.stop()


@pytest.fixture(scope="module")
def duck(lake: Lake) -> Iterator[Found]:
    with Engine(lake, memory_mb=512, threads=1) as engine:
        yield Found(engine)


@pytest.fixture(scope="module")
def sparks(lake: Lake, cluster: str) -> Iterator[Found]:
    with SparkEngine(lake, cluster) as engine:
        yield Found(engine)


def test_both_engines_read_the_same_rows(duck: Found, sparks: Found) -> None:
    for topic in TOPICS:
        one, other = (sorted(found.rows[topic].to_pylist(), key=lambda row: bytes(row["id"])) for found in (duck, sparks))
        assert one == other and one, topic


@pytest.mark.parametrize("name", MEASURES)
def test_both_engines_find_the_same(name: str, duck: Found, sparks: Found) -> None:
    one, other = duck.ask(name), sparks.ask(name)
    assert one.schema.names == other.schema.names
    assert len(one) > 0, "a measure of nothing compares nothing: tell more in tests/tales.py"
    for left, right in zip(one.to_pylist(), other.to_pylist(), strict=True):
        assert all(alike(left[column], right[column]) for column in left), f"{left} is not {right}"


def alike(one: Any, other: Any) -> bool:
    """Exactly, but ratios to a billionth."""
    if isinstance(one, float) and isinstance(other, float):
        return isclose(one, other, rel_tol=1e-9)
    return type(one) is type(other) and bool(one == other)


def test_the_work_is_done_by_both_workers(sparks: Found) -> None:
    executors = sparks.engine.session.sparkContext._jsc.sc().getExecutorMemoryStatus().size() - 1  # type: ignore[attr-defined]
    assert executors == 2


def test_spark_breaks_off_what_it_computes_when_it_is_told_to(lake: Lake, cluster: str) -> None:
    over = Event()
    with SparkEngine(lake, cluster) as engine, ThreadPoolExecutor(1) as other:

        def stop() -> None:
            tracker = engine.session.sparkContext.statusTracker()
            while not tracker.getActiveStageIds():
                over.wait(0.05)
            engine.stop()

        engine.session.range(300_000).createOrReplaceTempView("many")
        many = engine.backend.table("many")
        stopping = other.submit(stop)
        with pytest.raises(Exception, match="cancelled"):
            engine.run(many.cross_join(many.view()).agg(n=ibis._.id.max() + ibis._.id_right.max()))
        stopping.result()
        with pytest.raises(Stopped):
            engine.run(many)


def test_a_topic_of_which_there_is_nothing_is_empty(tmp_path: Path, cluster: str) -> None:
    with SparkEngine(open_lake(tmp_path), cluster) as engine:
        assert len(engine.run(engine.read("visit"))) == 0


def test_a_master_that_does_not_answer_is_said_at_once(lake: Lake) -> None:
    with pytest.raises(SparkAbsent, match="no Spark master answers"):
        SparkEngine(lake, "spark://127.0.0.1:1")


def test_without_a_fitting_java_the_refusal_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "release").write_text('JAVA_VERSION="25.0.1"')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(spark, "JAVA_PLACES", tmp_path / "none")
    with pytest.raises(SparkAbsent, match="apt install openjdk-17-jre-headless"):
        find_java()
