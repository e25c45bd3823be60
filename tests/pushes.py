"""A push service of our own on loopback, and viewers with devices that it reaches."""

import asyncio
import base64
from typing import Any

import http_ece
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02

from laotie import messages
from laotie.base import jobs
from laotie.base.db import Database
from laotie.base.ids import ViewerId, new_id


class PushService:
    """Takes pushes as RFC 8030 says, opens them as the device would, answers as the test says."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: dict[str, bytes] = {}
        self.headers: list[dict[str, str]] = []
        self.heard: dict[str, list[Any]] = {}
        self._keys: dict[str, tuple[ec.EllipticCurvePrivateKey, bytes]] = {}
        self._server: asyncio.Server

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    def subscribe(self, name: str) -> messages.NewDevice:
        """What a browser's push manager would hand over."""
        key, auth = ec.generate_private_key(ec.SECP256R1()), new_id().bytes
        self._keys[f"/{name}"] = (key, auth)
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return messages.NewDevice(
            endpoint=f"{self.url}/{name}",
            p256dh=base64.urlsafe_b64encode(point).decode().rstrip("="),
            auth=base64.urlsafe_b64encode(auth).decode().rstrip("="),
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().strip().split("\r\n")
                path = first.split(" ")[1]
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                body = await reader.readexactly(int(headers["content-length"]))
                self.headers.append(headers)
                answer = self.answers.get(path, b"201 Created")
                if answer.startswith(b"201"):
                    assert Vapid02.verify(headers["authorization"].replace(",k=", ",k="))
                    key, auth = self._keys[path]
                    opened = http_ece.decrypt(body, private_key=key, auth_secret=auth, version="aes128gcm")
                    self.heard.setdefault(path, []).append(msgspec.json.decode(opened))
                writer.write(b"HTTP/1.1 " + answer + b"\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


async def run_jobs(context: jobs.Context) -> None:
    """Do what has been deferred."""
    app = jobs.build_app(context.db.url, context)
    async with app.open_async():
        await app.run_worker_async(wait=False, install_signal_handlers=False, listen_notify=False)


async def viewer_with(db: Database, device: messages.NewDevice) -> ViewerId:
    """Somebody with one device."""
    viewer_id = ViewerId(new_id())
    async with db.tx() as tx:
        await messages.add_device(tx, viewer_id, device, session_id=None, user_agent="Firefox", private=True)
    return viewer_id
