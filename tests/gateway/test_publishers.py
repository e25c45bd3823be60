"""The doors of a picture tied to the house: real keys, refusals that the streamer sees, a new key that takes effect."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from on_air import BRISK, pushing, until
from room_client import Client
from scene import House, free_port

from laotie import live
from laotie.base.settings import Settings
from laotie.cli.ingest import open_ingest
from laotie.events.identity import SessionsEnded
from laotie.media import Change, ChannelId, MediaServer


class Stage:
    """A show whose encoders come in by the real door."""

    def __init__(self, house: House, media: MediaServer, changes: list[Change], port: int) -> None:
        self.house, self.media, self.changes = house, media, changes
        self.market = house.market
        self.channel_id = ChannelId(house.market.show_id)
        self.url = f"rtmp://127.0.0.1:{port}/live"

    @property
    def news(self) -> list[str]:
        return [change.news.value for change in self.changes]

    async def new_key(self) -> str:
        async with self.market.db.tx() as tx:
            return await live.rotate_ingest_key(tx, self.market.signer, self.market.owner)

    async def refusals(self) -> list[live.IngestRefusal]:
        async with self.market.db.read() as tx:
            room = await live.get_own_room(tx, self.market.owner)
            return await live.list_refusals(tx, room.id)


@pytest.fixture
async def stage(house: House, tmp_path: Path) -> AsyncIterator[Stage]:
    changes: list[Change] = []

    async def note(change: Change) -> None:
        changes.append(change)

    settings = Settings(data_dir=str(tmp_path), rtmp_port=free_port())
    async with MediaServer(BRISK, on_change=note) as media, AsyncExitStack() as stack:
        market = house.market
        house.gateway.ingest = await open_ingest(settings, stack, market.db, market.signer, house.bus, media)
        yield Stage(house, media, changes, settings.rtmp_port)


async def test_a_new_key_sends_the_encoder_away_and_the_old_one_is_seen_refused(stage: Stage) -> None:
    desk = await Client.connect(stage.house.url)
    await desk.hello(stage.market.ticket(scopes=frozenset({"orders"})))
    viewer = await Client.connect(stage.house.url)
    await viewer.hello(stage.market.ticket(guest=True))
    old = await stage.new_key()
    async with pushing(f"{stage.url}/{old}") as encoder:
        await until(lambda: stage.news == ["live"])
        new = await stage.new_key()
        await until(lambda: stage.news == ["live", "away"] and encoder.poll() is not None)
    async with pushing(f"{stage.url}/{old}") as encoder:
        await until(lambda: encoder.poll() is not None)
    told = await desk.until("ingest_refused")
    assert (told["door"], told["code"], told["key"]) == ("rtmp", "stream-refused", f"{old[:4]}…{old[-4:]}")
    assert [(one.door, one.code, one.address) for one in await stage.refusals()] == [
        ("rtmp", "stream-refused", "127.0.0.1")
    ]
    async with pushing(f"{stage.url}/{new}"):
        await until(lambda: stage.news == ["live", "away", "back"])
        async with pushing(f"{stage.url}/{new}") as second:
            await until(lambda: second.poll() is not None)
        busy = await desk.until(lambda frame: frame["t"] == "ingest_refused" and frame["code"] == "channel-busy")
        assert busy["title"] == "Another encoder is already sending to this channel."
        assert stage.news == ["live", "away", "back"]
    assert not [frame for frame in viewer.frames if frame["t"] == "ingest_refused"]


async def test_who_is_signed_out_does_not_go_on_sending(stage: Stage) -> None:
    market = stage.market
    async with market.db.read() as tx:
        ticket = await live.permit_publication(tx, market.signer, market.owner, market.show_id)
    page = await Client.connect(stage.house.url.replace("/ws", "/ingest"))
    page.send({"t": "publish", "ticket": ticket, "mime": "video/webm;codecs=h264,opus"})
    await page.until("ready")
    assert market.owner.account_id is not None
    async with market.db.tx() as tx:
        tx.tell(SessionsEnded(account_id=market.owner.account_id, session_ids=()))
    assert (await page.until("bye"))["code"] == "signed-out"
    await asyncio.wait_for(page.closed.wait(), 5)
