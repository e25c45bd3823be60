"""Stores: where the lake lies, what differs among disks and object stores, and what is said when one takes nothing.

Any store that fsspec knows will do. A disk is synced. An object store shows an object when it is whole, has no directories,
and replaces an object only if it is still the one that was read, where it can (S3: `If-Match`). The key that opens a store
is looked for where its own tools look (of S3: environment, `~/.aws`, the machine's role) and never stands in the URL.
"""

import errno
import os
import re
from importlib import import_module
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import fsspec

from laotie.base.logs import log
from laotie.base.refusals import Invalid, Unavailable

KEY_MISSING = ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound", "TokenRetrievalError")
ABSENT = ("NoSuchKey", "404")
OVERTAKEN = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409", *ABSENT)
UNKNOWN = ("NotImplemented", "501")
URL = re.compile(r"\w+://\S+")
REASON_MAX = 200


_ailing: dict[str, str] = {}


class DriverAbsent(Unavailable, code="lake-driver-absent"):
    """The lake lies in a store whose driver is not installed."""

    part: str = "lake"
    install: str


class SecretInUrl(Invalid, code="lake-secret-in-url"):
    """A lake's URL bears no key: give it by the environment or the store's own configuration (docs/running.md)."""

    setting: str = "LAOTIE_LAKE_URL"


class StoreTakesNothing(Unavailable, code="lake-unavailable"):
    """The lake's disk or store takes nothing at the moment; what belongs into it waits."""

    part: str = "lake"
    reason: str


class StoreRefuses(StoreTakesNothing, code="lake-refuses"):
    """The lake's store does not let us in: look at its key, its bucket and what the key may do."""


class Overtaken(Exception):
    """Somebody else has replaced the object since it was read."""


def open_store(url: str, **options: Any) -> tuple[Any, str]:
    """The file system and the path in it. Refuses `DriverAbsent` and `SecretInUrl`; asks the store nothing yet."""
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None or parts.query:
        raise SecretInUrl()
    try:
        if parts.scheme == "s3":
            return cast(tuple[Any, str], import_module("laotie.lake.s3").open_bucket(url, **options))
        return cast(tuple[Any, str], fsspec.core.url_to_fs(url, use_listings_cache=False, **options))
    except ImportError as error:
        raise DriverAbsent(install="pip install 'laotie[s3]'" if parts.scheme == "s3" else str(error)[:REASON_MAX]) from None


def is_disk(fs: Any) -> bool:
    """Whether files are synced and renamed."""
    return "file" in fs.protocol


def is_s3(fs: Any) -> bool:
    """Whether there are buckets, no directories, and conditional writes."""
    return "s3" in fs.protocol


def name_in_engine(fs: Any, path: str) -> str:
    """What DuckDB calls a file of a store that was registered with it: not `s3://`, for which it would fetch its own driver."""
    if is_disk(fs):
        return path
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    return f"{protocols[-1]}://{path.removeprefix('/')}"


def make_place(fs: Any, place: str) -> None:
    """Have a directory, where there are any. (A bucket is made by whoever owns it: a typing mistake shall not.)"""
    if not is_s3(fs):
        fs.makedirs(place, exist_ok=True)


def put_file(fs: Any, place: str, content: bytes) -> None:
    """Write a small file, whole or not at all, and synced where the store is a disk."""
    if not is_disk(fs):
        fs.pipe_file(place, content)
        return
    beside = f"{place}.tmp"
    with Path(beside).open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(beside).rename(place)
    sync_directory(place.rpartition("/")[0])


def sync_directory(place: str) -> None:
    """Have the disk know what is in a directory."""
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_tagged(fs: Any, place: str) -> tuple[bytes | None, str | None]:
    """What an object holds (`None`: it is not there), and the tag that replacing it asks for.

    The tag is asked first: what is read is of that moment or newer, and if it is newer the tag no longer fits.
    """
    try:
        tag = fs.info(place)["ETag"] if is_s3(fs) else None
        return fs.cat_file(place), tag
    except FileNotFoundError:
        return None, None


def replace_file(fs: Any, place: str, content: bytes, *, tag: str | None) -> None:
    """Write a small file if it is still what was read (`read_tagged`), or raise `Overtaken`.

    Where the store cannot tell, it is written; the caller's lock is then all that keeps others away.
    """
    if not is_s3(fs):
        put_file(fs, place, content)
        return
    condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
    try:
        fs.pipe_file(place, content, **condition)
    except OSError as error:
        code = _code_of(error)
        if code in OVERTAKEN:
            raise Overtaken from error
        if code not in UNKNOWN:
            raise
        log.warning("the lake's store knows no conditional writes; the worker's lock alone guards its manifests")
        fs.pipe_file(place, content)


def name_trouble(error: BaseException) -> StoreTakesNothing | None:
    """What an error says about the store or the disk: `None` if it says nothing, being an answer, or a bug."""
    if isinstance(error, StoreTakesNothing):
        return error
    if type(error).__module__ == "_duckdb":
        return _find_in_engines_words(str(error))
    reason = URL.sub("…", str(error) or type(error).__name__).strip()[:REASON_MAX]
    code = _code_of(error)
    if isinstance(error, PermissionError) or type(error).__name__ in KEY_MISSING or code in ("NoSuchBucket", "403"):
        return StoreRefuses(reason=reason)
    of_driver = type(error).__module__.partition(".")[0] in ("botocore", "aiobotocore", "aiohttp", "fsspec")
    is_failure = code is not None and code not in (*OVERTAKEN, *UNKNOWN)
    if of_driver or is_failure or isinstance(error, TimeoutError | ConnectionError):
        return StoreTakesNothing(reason=reason)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE):
        return StoreTakesNothing(reason=reason)
    return None


def _find_in_engines_words(text: str) -> StoreTakesNothing | None:
    for kind in (StoreRefuses, StoreTakesNothing):
        if f"{kind.__name__}: " in text:
            return kind(reason=text.rpartition("reason=")[2].splitlines()[0].rstrip(")")[:REASON_MAX])
    return None


def ailing() -> dict[str, str]:
    """What this process cannot bring into the lake at the moment, and why."""
    return dict(_ailing)


def note_ailing(what: str, error: BaseException | None) -> None:
    """It cannot, or (without an error) it can again."""
    if error is None:
        _ailing.pop(what, None)
    else:
        _ailing[what] = describe(error)


def describe(error: BaseException) -> str:
    """A store's error for the log."""
    trouble = name_trouble(error)
    return repr(error)[:300] if trouble is None else f"{trouble.title} {trouble.reason}"


def _code_of(error: BaseException) -> str | None:
    """What S3 called it."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    return response.get("Error", {}).get("Code") if isinstance(response, dict) else None
