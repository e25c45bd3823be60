"""A real S3 server of the tests' own: moto's, a process on loopback, which checks signatures, rights and conditions.

`serve()` starts it with one bucket and one key. Everything else may be asked of it by `Lake(url, …, **store.options())`.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NamedTuple
from uuid import uuid4

import httpx

from lakes import ZONE
from laotie.lake import Lake

BUCKET = "lake"
SETTING_UP = 4
"""So many requests before keys are asked for: the user, what it may do, its key, the bucket."""
MAY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
START_S = 30


class Store(NamedTuple):
    """Where it listens, and what opens it."""

    endpoint: str
    key: str
    secret: str

    def options(self, **other: Any) -> dict[str, Any]:
        """For s3fs; as `AWS_…` in the environment would say it."""
        said = {"key": self.key, "secret": self.secret, "endpoint": self.endpoint} | other
        client = {"endpoint_url": said.pop("endpoint"), "region_name": "us-east-1"}
        return {**said, "client_kwargs": client, "skip_instance_cache": True}

    def environment(self) -> dict[str, str]:
        """The same for a process."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def open(self, place: str | None = None, *, bucket: str = BUCKET, **other: Any) -> Lake:
        """A lake in it: an empty one, or one that somebody else has opened too."""
        return Lake(f"s3://{bucket}/{place or uuid4().hex}", ZONE, **self.options(**other))


@contextmanager
def serve() -> Iterator[Store]:
    """Start it, and end it."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-p", "0"],
            env=os.environ | {"INITIAL_NO_AUTH_ACTION_COUNT": str(SETTING_UP)},
            stderr=said,
        )
        try:
            yield _set_up(_await_endpoint(process, said))
        finally:
            process.kill()
            process.wait()


def _await_endpoint(process: "subprocess.Popen[bytes]", said: IO[str]) -> str:
    until = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < until:
        said.seek(0)
        if found := re.search(r"Running on (http://127\.0\.0\.1:\d+)", said.read()):
            return found[1]
        time.sleep(0.02)
    said.seek(0)
    raise AssertionError(f"the S3 server did not start: {said.read()}")


def _set_up(endpoint: str) -> Store:
    def ask(service: str, method: str, path: str, **form: str) -> str:
        who = {"Authorization": f"AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/{service}/aws4_request"}
        answer = httpx.request(method, endpoint + path, data=form, headers=who, timeout=START_S)
        return answer.raise_for_status().text

    iam = {"UserName": "laotie", "Version": "2010-05-08"}
    ask("iam", "POST", "/", Action="CreateUser", **iam)
    ask("iam", "POST", "/", Action="PutUserPolicy", PolicyName="all", PolicyDocument=MAY, **iam)
    made = ask("iam", "POST", "/", Action="CreateAccessKey", **iam)
    ask("s3", "PUT", f"/{BUCKET}")
    key, secret = (re.search(f"<{name}>(.+?)</{name}>", made) for name in ("AccessKeyId", "SecretAccessKey"))
    assert key is not None and secret is not None, made
    return Store(endpoint, key[1], secret[1])
