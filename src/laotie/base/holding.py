"""One program a data directory: a lock that goes with the process, however it ends."""

import fcntl
import os
from pathlib import Path
from typing import IO

from laotie.base.refusals import Conflict


class AlreadyRunning(Conflict, code="already-running"):
    """Laotie is already running on this data directory; stop that one first, or set another LAOTIE_DATA_DIR."""

    data_dir: str
    pid: int


def hold(path: Path, name: str = "laotie.lock") -> IO[str]:
    """Take the directory, or refuse with who has it. Keep the file open for as long as it is yours."""
    path.mkdir(parents=True, exist_ok=True)
    file = (path / name).open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        pid = file.read().strip()
        file.close()
        raise AlreadyRunning(data_dir=str(path), pid=int(pid) if pid.isdigit() else 0) from None
    file.seek(0)
    file.truncate()
    file.write(str(os.getpid()))
    file.flush()
    return file
