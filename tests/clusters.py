"""A Spark cluster of one's own: a standalone master and two workers, out of the pyspark wheel, on loopback."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from laotie.insight.spark import find_java

FRUGAL = " ".join(
    (
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:+UnlockDiagnosticVMOptions",
        "-XX:-BytecodeVerificationRemote",
        "-Xss512k",
    )
)
"""For machines that live a minute: quick to start, not quick for long."""
DEFAULTS = f"""
spark.driver.host 127.0.0.1
spark.driver.memory 512m
spark.driver.extraJavaOptions {FRUGAL}
spark.executor.memory 512m
spark.executor.cores 1
spark.executor.extraJavaOptions {FRUGAL}
spark.sql.shuffle.partitions 1
spark.sql.codegen.wholeStage false
spark.sql.codegen.factoryMode NO_CODEGEN
spark.sql.adaptive.enabled false
spark.sql.sources.parallelPartitionDiscovery.threshold 10000
spark.ui.showConsoleProgress false
spark.scheduler.minRegisteredResourcesRatio 1.0
spark.dynamicAllocation.minExecutors 2
"""
"""For data of a few rows: no code is generated for them, little is planned, and both workers are there from the beginning."""
PATIENCE_S = 120


@contextmanager
def run_cluster(directory: Path) -> Iterator[str]:
    """The master's URL. What runs here is ended by its id; logs stay in the directory."""
    (directory / "spark-defaults.conf").write_text(DEFAULTS)
    spec = find_spec("pyspark")
    assert spec is not None and spec.origin is not None
    home = Path(spec.origin).parent
    ours = {
        "JAVA_HOME": str(find_java()), "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_CONF_DIR": str(directory), "SPARK_WORKER_DIR": str(directory / "work"), "SPARK_DAEMON_MEMORY": "128m",
        "SPARK_DAEMON_JAVA_OPTS": FRUGAL,
    }  # fmt: skip
    running: list[subprocess.Popen[bytes]] = []

    def start(name: str, *arguments: str) -> Path:
        said = directory / f"{name}.log"
        with said.open("wb") as log:
            running.append(
                subprocess.Popen(
                    [home / "bin" / "spark-class", *arguments], env={**os.environ, **ours}, stdout=log, stderr=log
                )
            )
        return said

    def wait_for(said: Path, pattern: str, count: int = 1) -> str:
        until = time.monotonic() + PATIENCE_S
        while len(found := re.findall(pattern, said.read_text())) < count:
            assert time.monotonic() < until and running[0].poll() is None, said.read_text()[-2000:]
            time.sleep(0.05)
        return str(found[0])

    try:
        here = ("--host", "127.0.0.1", "--webui-port", "0", "--port", "0")
        master = start("master", "org.apache.spark.deploy.master.Master", *here)
        url = wait_for(master, r"Starting Spark master at (spark://\S+)")
        for no in range(2):
            start(f"worker-{no}", "org.apache.spark.deploy.worker.Worker", *here, "--cores", "1", "--memory", "512m", url)
        wait_for(master, "Registering worker", 2)
        yield url
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            process.wait()
