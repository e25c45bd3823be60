"""Runs a program so that it cannot outgrow its bounds or outlive its parent; executed by path, imports none of us.

`python -I -S confine.py PARENT MEMORY_BYTES CPU_S NICENESS FILE_BYTES PROGRAM ARGUMENT...`. A launcher instead of
`preexec_fn`, because Python code between fork and exec of a threaded process can deadlock.
"""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38


def main(parent: int, memory: int, cpu: int, niceness: int, file: int, program: str, *arguments: str) -> None:
    """Set the bounds, then become the program."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:  # it died before the signal was ordered
        os._exit(0)
    # Hard CPU limit stays open: only root may raise it again, and the soft one is renewed by the supervisor.
    bounds = [(resource.RLIMIT_CPU, cpu), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, file)]
    if sys.platform == "linux":
        bounds.append((resource.RLIMIT_AS, memory))
    for which, wanted in bounds:
        hard = resource.getrlimit(which)[1]
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(which, (soft, hard))
    os.nice(niceness)
    os.execv(program, [program, *arguments])  # noqa: S606  no shell is the point


if __name__ == "__main__":
    parent, memory, cpu, niceness, file = map(int, sys.argv[1:6])
    main(parent, memory, cpu, niceness, file, sys.argv[6], *sys.argv[7:])
