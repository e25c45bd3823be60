"""A `laotie serve` whose PostgreSQL is gone: it ends soon when told to, and does not begin without one."""

import os
import subprocess
import sys
import time
from pathlib import Path

from laotie.base.postgres import EmbeddedPostgres
from laotie.base.settings import load
from laotie.bench.server import ServerUnderTest, free_port
from tests.races.storm import end_postgres

STOP_S = 10
"""Of these, most is what closing takes on a machine that is busy; waiting for the database was 21 s."""


def test_without_its_database_it_still_stops_soon(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres.of(load(environment={"LAOTIE_DATA_DIR": str(tmp_path)}))
    with ServerUnderTest(database_url=postgres.start(), log_level="info") as server:
        end_postgres(postgres)
        began = time.monotonic()
        assert server.terminate(wait_s=60) == 0
        took = time.monotonic() - began
        assert took < STOP_S, server.log.read_text()[-3_000:]
    postgres.stop_leftover()


def test_without_a_database_it_says_which_one_does_not_answer_and_ends(tmp_path: Path) -> None:
    port = free_port()
    told = {
        "LAOTIE_DATA_DIR": str(tmp_path), "LAOTIE_PORT": str(free_port()), "LAOTIE_RTMP_PORT": "0",
        "LAOTIE_DATABASE_URL": f"postgresql://laotie:hunter2@127.0.0.1:{port}/shop", "LAOTIE_DATABASE_WAIT_S": "1",
    }  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-m", "laotie", "serve"],
        env={name: value for name, value in os.environ.items() if not name.startswith("LAOTIE_")} | told,
        capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    said = " ".join(ended.stderr.split())
    assert "laotie: PostgreSQL does not answer." in said
    assert f"address: 127.0.0.1:{port}/shop" in said and "waited_s: 1" in said
    assert "hunter2" not in ended.stdout + ended.stderr and "Traceback" not in ended.stderr
