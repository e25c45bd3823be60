"""The same sockets under TLS, on both kinds of port."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from picows import ws_connect
from room_client import Client
from scene import OpenHouse


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
async def test_sockets_work_under_tls(open_house: OpenHouse, tmp_path: Path) -> None:
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "1",
         "-subj", "/CN=localhost"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    trusting = ssl.create_default_context(cafile=certificate)
    trusting.check_hostname = False
    async with open_house(tls_certificate=certificate, tls_key=key) as house:
        clients: list[Client] = []
        for url in (house.url, house.own_url):
            _, client = await ws_connect(Client, url.replace("ws://", "wss://"), ssl_context=trusting)
            assert isinstance(client, Client)
            assert (await client.hello(house.market.ticket()))["t"] == "welcome"
            clients.append(client)
        chat_id = clients[0].chat("x" * 200)
        for client in clients:
            assert (await client.until("chat"))["id"] == str(chat_id)
        clients[1].send(house.market.buy(house.market.items[0]))
        await clients[1].until("order")
        await house.gateway.stop()
        assert all(client.heard("bye") for client in clients)
