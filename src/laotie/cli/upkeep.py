"""Small commands for whoever installs and extends: migrate, account, settings, openapi, frames."""

import asyncio
import sys
from getpass import getpass
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from laotie import identity
from laotie.base import settings as settings_module
from laotie.base.db import Database
from laotie.base.ids import AccountId, new_id
from laotie.base.migrate import migrate
from laotie.base.postgres import EmbeddedPostgres


def migrate_database() -> None:
    """Bring the database to this release's shape (`serve` does it too)."""
    settings = settings_module.load()
    embedded = None if settings.database_url else EmbeddedPostgres.of(settings)
    url = settings.database_url or (embedded.start() if embedded else "")
    try:
        ran = migrate(url, progress=lambda revision: print(f"migrating to {revision}"))
        print(f"{len(ran)} migrations run" if ran else "the database is current")
    finally:
        if embedded is not None and not embedded.took_over:
            embedded.stop()


def create_account(
    handle: str, *, name: str, operator: Annotated[bool, Parameter(help="May run the platform.")] = False
) -> None:
    """Make an account from the command line, the first operator's for example. The password is asked for (or piped in)."""
    password = getpass("password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    asyncio.run(_create_account(handle, name, password, operator))
    print(f"{handle} can sign in")


async def _create_account(handle: str, name: str, password: str, operator: bool) -> None:
    settings = settings_module.load()
    embedded = None if settings.database_url else EmbeddedPostgres.of(settings)
    url = settings.database_url or (embedded.start() if embedded else "")
    try:
        migrate(url)
        identity.check_password(password, handle=handle)
        password_hash = await identity.hash_password(password)
        roles = [identity.Role.operator] if operator else []
        db = await Database.open(url, pool_max=4)
        async with db.tx() as tx:
            await identity.create_account(
                tx, AccountId(new_id()), handle=handle, password_hash=password_hash, name=name, roles=roles
            )
        await db.close()
    finally:
        if embedded is not None and not embedded.took_over:
            embedded.stop()


def show_settings(*, document: bool = False) -> None:
    """Print the settings in force, secrets masked; `--document` prints docs/settings.md."""
    if document:
        print(settings_module.document(), end="")
        return
    settings = settings_module.load()
    for field in msgspec.structs.fields(type(settings)):
        value = getattr(settings, field.name)
        if value and field.name in ("secret_keys", "sandbox_secret", "vapid_key", "database_url", "carrier_secrets"):
            value = "(set)"
        print(f"{field.name} = {value!r}")


def write_openapi(path: Annotated[Path, Parameter()] = Path("openapi.json")) -> None:
    """Write the OpenAPI document that the page's client is generated from."""
    from laotie.web.app import openapi_json

    path.write_bytes(openapi_json())
    print(f"wrote {path}")


def write_frames(path: Annotated[Path, Parameter()] = Path("frames.json")) -> None:
    """Write the JSON Schema of the socket's frames."""
    from laotie.gateway.frames import frames_document

    path.write_bytes(msgspec.json.format(msgspec.json.encode(frames_document()), indent=1) + b"\n")
    print(f"wrote {path}")


def write_aftersales(path: Annotated[Path, Parameter()] = Path("docs/aftersales.md")) -> None:
    """Write the drawing and the table of after-sales cases from the code's own table."""
    from laotie import aftersales

    path.write_text(aftersales.document())
