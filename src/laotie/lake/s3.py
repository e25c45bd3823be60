"""S3, and what speaks like it, by s3fs (the extra `laotie[s3]`): its troubles by our names.

Imported by `stores.open_store` alone, and only for a lake that lies there.
"""

from typing import Any

from fsspec.asyn import sync_wrapper
from s3fs import S3FileSystem

from laotie.lake.stores import name_trouble

WAITS: dict[str, Any] = {"connect_timeout": 5, "read_timeout": 20, "retries": {"total_max_attempts": 2}}
"""s3fs tries five times by itself; with the defaults below it a store that is gone would be waited for ten minutes."""


class Bucket(S3FileSystem):  # type: ignore[misc]
    """s3fs, through whose one door every request goes."""

    protocol = ("s3", "laotie-s3")
    """The last is what DuckDB knows it by."""

    async def _call_s3(self, method: str, *defaults: Any, **asked: Any) -> Any:
        try:
            return await super()._call_s3(method, *defaults, **asked)
        except Exception as error:
            trouble = name_trouble(error)
            if trouble is None:
                raise
            raise trouble from error

    call_s3 = sync_wrapper(_call_s3)


def open_bucket(url: str, **options: Any) -> tuple[Bucket, str]:
    """The store, and the path in it. Key, region and endpoint come from where AWS's own tools look."""
    bucket = Bucket(**{"use_listings_cache": False, "config_kwargs": WAITS} | options)
    return bucket, bucket._strip_protocol(url)
