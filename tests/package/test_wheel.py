"""The wheel alone, in an empty environment without Node: `laotie demo` runs, guards its data, and leaves nothing."""

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from laotie.bench.server import free_port

ROOT = Path(__file__).parents[2]
UV = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
WAIT_S = 200


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from this tree as a release is."""
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", str(out)], cwd=ROOT, check=True)
    return next(out.glob("laotie-*.whl"))


@pytest.fixture(scope="module")
def laotie(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command, installed from the wheel into an environment that holds nothing else."""
    venv = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, str(venv)], check=True)
    python = str(venv / "bin" / "python")
    subprocess.run([UV, "pip", "install", "--quiet", "--python", python, str(wheel)], check=True)
    return venv / "bin" / "laotie"


@dataclass
class Demo:
    """`laotie demo` on ports and data of its own, as from a terminal of its own."""

    laotie: Path
    place: Path

    def __post_init__(self) -> None:
        self.data = self.place / "data"
        self.url = f"http://127.0.0.1:{free_port()}"
        self.said = self.place / "said.txt"
        self.environment = {
            "HOME": str(self.place),
            "PATH": path_without_node(),
            "LAOTIE_DATA_DIR": str(self.data),
            "LAOTIE_PORT": self.url.rpartition(":")[2],
            "LAOTIE_RTMP_PORT": str(free_port()),
        }
        self.seen: dict[int, psutil.Process] = {}

    def start(self) -> None:
        """Begin; it says what it does in `said`."""
        command = [str(self.laotie), "demo", "--fans", "4", "--shows", "1"]
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                command, env=self.environment, cwd=self.place, stdout=said, stderr=said, start_new_session=True
            )

    def start_another(self) -> subprocess.CompletedProcess[str]:
        """A second one beside it, on the same data."""
        command = [str(self.laotie), "demo"]
        return subprocess.run(
            command, env=self.environment, cwd=self.place, capture_output=True, text=True, timeout=WAIT_S, check=False
        )

    def wait_for(self, what: str, holds: Callable[[], bool]) -> None:
        """Until it holds, as long as the demonstration runs."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"it ended:\n{self.said.read_text()}"
            try:
                if holds():
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        raise AssertionError(f"still waiting for {what}:\n{self.said.read_text()}")

    def running(self) -> list[psutil.Process]:
        """What this demonstration has started and what still runs, whoever its parent is now."""
        for process in psutil.process_iter():
            try:
                if process.environ().get("LAOTIE_DATA_DIR") == str(self.data):
                    self.seen[process.pid] = process
            except psutil.Error:
                continue
        if self.process.poll() is None:
            for process in psutil.Process(self.process.pid).children(recursive=True):
                self.seen[process.pid] = process
        return [one for one in self.seen.values() if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]

    def interrupt(self) -> int:
        """Ctrl-C: the terminal tells the whole foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(90)


@pytest.fixture
def demo(laotie: Path, tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(laotie, tmp_path)
    yield demo
    for process in demo.running():
        process.kill()


def path_without_node() -> str:
    """The search path, but for the directories with Node in them."""
    places = [place for place in os.environ["PATH"].split(os.pathsep) if not (Path(place) / "node").exists()]
    path = os.pathsep.join(places)
    assert shutil.which("node", path=path) is None
    return path


def test_the_wheel_carries_the_page_and_all_it_refers_to(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for entry in ("index.html", "console.html"):
            assert f"laotie/web/page/{entry}" in names, "build the page first: npm --prefix ui run build"
            text = archive.read(f"laotie/web/page/{entry}").decode()
            referred = {part.split('"')[0] for part in text.split('="/')[1:]}
            assert any(name.endswith(".js") for name in referred)
            assert {f"laotie/web/page/{name}" for name in referred if "." in name} <= names
    assert "laotie/media/clock.ttf" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/NOTICE") for name in names)
    assert not any(name.endswith((".map", ".vue", ".pyc")) for name in names)


def test_the_demonstration_runs_from_the_wheel_guards_its_data_and_leaves_nothing(demo: Demo) -> None:
    demo.start()
    demo.wait_for("the lock", lambda: (demo.data / "demo.lock").exists())
    another = demo.start_another()
    assert another.returncode != 0
    assert "already running" in " ".join(another.stderr.split())
    assert str(demo.data) in "".join(another.stderr.split())

    demo.wait_for("the server", lambda: httpx.get(f"{demo.url}/healthz", timeout=5).status_code == 200)
    page = httpx.get(f"{demo.url}/", timeout=30)
    assert page.status_code == 200
    assert '<div id="app">' in page.text
    demo.wait_for("the picture", lambda: plays(demo.url))

    programs = {process.name() for process in demo.running()}
    assert any(name.startswith("postgres") for name in programs), programs
    assert any(name.startswith("ffmpeg") for name in programs), programs
    assert demo.interrupt() == 0, demo.said.read_text()
    psutil.wait_procs(demo.running(), timeout=10)
    assert not demo.running()


def plays(url: str) -> bool:
    """Whether a show of the market has a picture."""
    for card in httpx.get(f"{url}/api/feed/discover", timeout=10).json()["items"]:
        playback = httpx.get(f"{url}/api/shows/{card['show_id']}", timeout=10).json()["playback"]
        if playback and httpx.get(f"{url}{playback['hls']}", timeout=10).text.startswith("#EXTM3U"):
            return True
    return False
