"""Small commands for whoever installs and extends: migrate, settings, openapi, frames."""

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from laotie.base import settings as settings_module
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


def show_settings(*, document: bool = False) -> None:
    """Print the settings in force, secrets masked; `--document` prints docs/settings.md."""
    if document:
        print(settings_module.document(), end="")
        return
    settings = settings_module.load()
    for field in msgspec.structs.fields(type(settings)):
        value = getattr(settings, field.name)
        if value and field.name in ("secret_keys", "sandbox_secret", "database_url"):
            value = "(set)"
        print(f"{field.name} = {value!r}")


def write_openapi(path: Annotated[Path, Parameter()] = Path("openapi.json")) -> None:
    """Write the OpenAPI document that the page's client is generated from."""
    from laotie.web.app import openapi_document

    path.write_bytes(msgspec.json.format(msgspec.json.encode(openapi_document()), indent=1) + b"\n")
    print(f"wrote {path}")


def write_frames(path: Annotated[Path, Parameter()] = Path("frames.json")) -> None:
    """Write the JSON Schema of the socket's frames."""
    from laotie.gateway.frames import frames_document

    path.write_bytes(msgspec.json.format(msgspec.json.encode(frames_document()), indent=1) + b"\n")
    print(f"wrote {path}")
