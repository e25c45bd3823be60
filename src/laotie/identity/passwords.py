"""Passwords: hashed with argon2id, off the event loop, a few at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from laotie.base.refusals import TooBusy

T = TypeVar("T")

AT_ONCE_MAX = 2
WAITING_MAX = 256

# OWASP's choice for argon2id where many sign in at once: 19 MiB, two passes, one lane; about 15 ms.
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_NOBODY = _hasher.hash("the password of nobody")
_workers = ThreadPoolExecutor(AT_ONCE_MAX, thread_name_prefix="argon2")
_waiting = 0


async def hash_password(password: str) -> str:
    """The form in which a password is kept."""
    return await _work(lambda: _hasher.hash(password))


async def is_password(kept: str | None, password: str) -> bool:
    """Whether this is the password. Without a kept one it takes as long to say no."""
    return await _work(lambda: _verify(kept or _NOBODY, password)) and kept is not None


def is_outdated(kept: str) -> bool:
    """Whether the kept form was made with other parameters than today's."""
    return _hasher.check_needs_rehash(kept)


def _verify(kept: str, password: str) -> bool:
    try:
        return _hasher.verify(kept, password)
    except (Argon2Error, InvalidHashError):
        return False


async def _work(act: Callable[[], T]) -> T:
    global _waiting
    if _waiting >= WAITING_MAX:
        raise TooBusy()
    _waiting += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(_workers, act)
    finally:
        _waiting -= 1
