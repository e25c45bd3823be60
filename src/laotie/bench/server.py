"""A real `laotie serve` of the benchmark's own, on a fresh data directory, ended by process id."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

import httpx

from laotie.base.clock import Clock
from laotie.base.postgres import EmbeddedPostgres
from laotie.base.settings import Settings, load
from laotie.base.signer import Signer

READY_WAIT_S = 120


def free_port() -> int:
    """A port nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ServerUnderTest:
    """`with ServerUnderTest() as server:` … `server.url`, `server.settings`, `server.database_url`."""

    def __init__(self, **settings: str) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="laotie-bench-", ignore_cleanup_errors=True)
        self.data = Path(settings.pop("data_dir", "") or Path(self._directory.name) / "data")
        self.port = free_port()
        self._environment = {
            "LAOTIE_DATA_DIR": str(self.data),
            "LAOTIE_PORT": str(self.port),
            "LAOTIE_RTMP_PORT": "0",
            "LAOTIE_API_REQUESTS_PER_MINUTE": "0",
            "LAOTIE_LOG_LEVEL": "warning",
            "LAOTIE_LOG_FORM": "json",
            **{f"LAOTIE_{name.upper()}": value for name, value in settings.items()},
        }
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = Path(self._directory.name) / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> Settings:
        """What the server was told."""
        return load(environment=self._environment)

    @property
    def signer(self) -> Signer:
        """The server's own signing key, to issue tickets without signing in thousands of buyers."""
        return Signer(self.settings.signing_keys(), Clock())

    @property
    def postgres(self) -> EmbeddedPostgres:
        """The server's embedded database."""
        return EmbeddedPostgres.of(self.settings)

    @property
    def database_url(self) -> str:
        """How to reach its database."""
        return self.postgres.url()

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it says that all is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "laotie", "serve"],
                env={
                    **{name: value for name, value in os.environ.items() if not name.startswith("LAOTIE_")},
                    **self._environment,
                },
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Until `/healthz` says that all is ready; raises with the log's end when it does not come to that."""
        assert self._process is not None
        deadline = time.monotonic() + READY_WAIT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                if httpx.get(f"{self.url}/healthz", timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        tail = self.log.read_text(errors="replace").splitlines()[-20:]
        self.stop()
        raise RuntimeError("the server did not become ready:\n" + "\n".join(tail))

    def kill(self) -> None:
        """kill -9, as a fault would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End it politely, then firmly."""
        if self._process is not None and self._process.poll() is None:
            self.terminate()

    def terminate(self, *, wait_s: float = 30) -> int:
        """Ask it to end, make it after a while; its exit code (minus 9 when it had to be made)."""
        assert self._process is not None
        self._process.terminate()
        try:
            return self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def __enter__(self) -> "ServerUnderTest":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        try:
            self.postgres.stop_leftover()
        finally:
            self._directory.cleanup()


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
