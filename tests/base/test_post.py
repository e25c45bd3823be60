"""Calling strangers: only public addresses, exactly the one that was judged, nothing followed, nothing read to its end."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from laotie.base.post import ANSWER_BYTES_MAX, AddressForbidden, CallFailed, Post, flaw_of, is_callable, is_public
from receivers import Receiver

PORTS = (80, 443, 8443)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver on loopback."""
    made = Receiver()
    await made.open()
    yield made
    await made.close()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "0.0.0.0", "0.1.2.3",
        "169.254.169.254", "169.254.170.2", "168.63.129.16", "192.0.0.192", "100.64.0.1", "100.100.100.200", "100.127.255.255",
        "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
        "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0a00:1",
        "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "ff0e::1", "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:c0a8:1::1", "2001::1", "2001:db8::1", "3fff::1", "5f00::1",
    ],
)  # fmt: skip
def test_what_is_not_of_the_open_internet_is_known(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "100.63.255.255", "100.128.0.0", "172.32.0.1", "11.0.0.1", "2606:4700::1", "::ffff:1.1.1.1"]
)
def test_what_is_of_the_open_internet_may_be_called(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("127.0.0.1", True), ("10.0.0.1", True), ("fd12::1", True), ("1.1.1.1", True), ("169.254.169.254", False),
        ("::ffff:169.254.169.254", False), ("168.63.129.16", False), ("fe80::1", False), ("224.0.0.1", False), ("0.0.0.0", False),
    ],
)  # fmt: skip
def test_where_private_addresses_are_allowed_a_clouds_metadata_are_not(address: str, may: bool) -> None:
    assert is_callable(address) is may


@pytest.mark.parametrize(
    ("url", "flaw"),
    [
        ("https://hooks.example/x?y=1", None),
        ("https://hooks.example:8443/x", None),
        ("https://[2606:4700::1]/x", None),
        ("http://hooks.example/x", "scheme"),
        ("gopher://hooks.example/x", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("https://hooks.example:22/x", "port"),
        ("https://hooks.example:5432/x", "port"),
        ("https://hooks.example:99999/x", "form"),
        ("https://user:secret@hooks.example/x", "host"),
        ("https://hooks.example\\@10.0.0.1/x", "host"),
        ("https://hooks.example/x#y", "host"),
        ("https:///x", "host"),
        ("https://hooks.example/ x", "form"),
        ("https://hooks.example/\r\nx", "form"),
        ("https://клиент.example/x", "form"),
        ("https://127.0.0.1/x", "private"),
        ("https://[::ffff:10.0.0.1]/x", "private"),
        ("https://169.254.169.254/latest/meta-data", "private"),
        (f"https://hooks.example/{'x' * 1000}", "form"),
    ],
)
def test_an_address_is_judged_by_its_form_first(url: str, flaw: str | None) -> None:
    assert flaw_of(url, private=False, ports=PORTS) == flaw


def test_with_private_addresses_allowed_any_port_and_plain_http_are_too() -> None:
    assert flaw_of("http://127.0.0.1:9999/x", private=True, ports=PORTS) is None
    assert flaw_of("http://169.254.169.254/x", private=True, ports=PORTS) == "private"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433", "127.1", "0"])
async def test_loopback_is_not_called_whatever_it_is_called(receiver: Receiver, host: str) -> None:
    async with Post() as post:
        with pytest.raises((AddressForbidden, CallFailed)):
            await post.send(receiver.url.replace("127.0.0.1", host), {}, b"x")
    assert receiver.heard == []


async def test_a_name_that_leads_elsewhere_the_second_time_gains_nothing(receiver: Receiver) -> None:
    """DNS rebinding: one look-up a connection, every address of it judged, and the connection to what was judged."""
    port = int(receiver.url.rpartition(":")[2])
    asked: list[str] = []

    def resolver(*answers: list[str]):  # type: ignore[no-untyped-def]
        left = list(answers)

        async def look_up(host: str, _port: int) -> list[str]:
            asked.append(host)
            return left.pop(0)

        return look_up

    url = f"http://rebinding.example:{port}/hook"
    async with Post(look_up=resolver(["127.0.0.1"], ["1.1.1.1"])) as post:
        with pytest.raises(AddressForbidden):
            await post.send(url, {}, b"x")
    async with Post(look_up=resolver(["1.1.1.1", "127.0.0.1"])) as post:  # a public one beside it does not help
        with pytest.raises(AddressForbidden):
            await post.send(url, {}, b"x")
    assert (asked, receiver.heard) == (["rebinding.example"] * 2, [])
    async with Post(private=True, look_up=resolver(["127.0.0.1"], ["127.0.0.99"])) as post:
        assert (await post.send(url, {}, b"x")).status == 200
        assert (await post.send(url, {}, b"x")).status == 200
    assert asked == ["rebinding.example"] * 3, "the connection that was judged is used again; nobody asks twice"
    assert [one.headers["host"] for one in receiver.heard] == [f"rebinding.example:{port}"] * 2


async def test_tls_asks_for_the_name_although_the_connection_goes_to_the_address(tmp_path: Path) -> None:
    named: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(tmp_path, "hooks.example"))
    context.sni_callback = lambda _socket, name, _context: named.append(name)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]

    async def look_up(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    async with Post(private=True, look_up=look_up) as post:
        with pytest.raises(CallFailed) as failed:
            await post.send(f"https://hooks.example:{port}/x", {}, b"x")
    server.close()
    assert (failed.value.reason, named) == ("tls", ["hooks.example"])


def _certificate(directory: Path, name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = directory / "both.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


async def test_only_the_first_bytes_of_an_answer_are_read_and_redirects_are_answers(receiver: Receiver) -> None:
    receiver.answers["/much"] = b"200 OK\r\ncontent-length: 10000000\r\n\r\n" + b"a" * 100_000
    receiver.answers["/there"] = b"302 Found\r\nlocation: /much\r\nRetry-After: 7"
    async with Post(private=True) as post:
        much = await post.send(f"{receiver.url}/much", {}, b"x")
        there = await post.send(f"{receiver.url}/there", {}, b"x")
    assert (much.status, len(much.body)) == (200, ANSWER_BYTES_MAX)
    assert (there.status, there.headers["retry-after"]) == (302, "7")
    assert [one.path for one in receiver.heard] == ["/much", "/there"]


@pytest.mark.parametrize(
    ("path", "answer", "reason"),
    [("/odd", b"what?", "unreadable"), ("/silent", None, "timeout")],
)
async def test_why_a_call_failed_is_told(receiver: Receiver, path: str, answer: bytes | None, reason: str) -> None:
    if answer is None:
        receiver.gates[path] = asyncio.Event()
    else:
        receiver.answers[path] = b"\x00" * 10 + answer
    async with Post(private=True, call_s=0.3) as post:
        with pytest.raises(CallFailed) as failed:
            await post.send(f"{receiver.url}{path}", {}, b"x")
    assert failed.value.reason == reason
    for gate in receiver.gates.values():
        gate.set()


async def test_a_name_that_is_none_and_a_port_where_nobody_listens_are_told_apart(receiver: Receiver) -> None:
    async with Post(private=True) as post:
        for url, reason in ((f"http://{'a' * 70}.example/", "name"), ("http://127.0.0.1:9/", "unreachable")):
            with pytest.raises(CallFailed) as failed:
                await post.send(url, {}, b"x")
            assert failed.value.reason == reason
