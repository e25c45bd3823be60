"""Going live from a browser: a recording's chunks over the ingest socket become a show's picture."""

import asyncio
import contextlib
import json
import os
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from on_air import BRISK, decode, exists, stop_hard, until
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from scene import House, OpenHouse

from laotie import live
from laotie.base.ids import ShowId, new_id
from laotie.gateway.ingest import IngestDoor, IngestLimits
from laotie.gateway.upgrade import PATH
from laotie.live import ShowEnded
from laotie.media import Change, ChannelBusy, ChannelId, Limits, MediaServer, Rejection
from laotie.media.encoder import find_ffmpeg

assert PATH == b"/ws"

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25", "-b:v", "200k")
MATROSKA = ("video/x-matroska;codecs=avc1.42E01F,opus", (*H264, "-pix_fmt", "yuv420p", "-f", "matroska", "-live", "1"))
WEBM = ("video/webm;codecs=vp8,opus", ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-f", "webm"))
MP4_FLAGS = ("-movflags", "+frag_keyframe+empty_moov+default_base_moof", "-frag_duration", "200000")
MP4 = ('video/mp4;codecs="avc1.42E01F,opus"', (*H264, "-pix_fmt", "yuv420p", "-f", "mp4", *MP4_FLAGS))


class Studio:
    """A media server behind the gateway's ingest socket, and what it told."""

    def __init__(self, house: House, media: MediaServer, changes: list[Change]) -> None:
        self.house, self.media, self.changes = house, media, changes
        self.show_id = house.market.show_id
        self.channel_id = ChannelId(self.show_id)
        self.refused: list[tuple[ChannelId, str]] = []

    @property
    def news(self) -> list[str]:
        return [change.news.value for change in self.changes]

    async def note(self, rejection: Rejection) -> None:
        assert rejection.channel_id is not None and rejection.address == "127.0.0.1"
        self.refused.append((rejection.channel_id, rejection.refusal.code))

    async def ticket(self) -> str:
        market = self.house.market
        async with market.db.read() as tx:
            return await live.permit_publication(tx, market.signer, market.owner, self.show_id)

    def forged_ticket(self, show_id: ShowId) -> str:
        """For a show of somebody else, as if permission had been given."""
        market = self.house.market
        assert market.owner.account_id is not None
        publication = live.Publication(jti=new_id(), show_id=show_id, account_id=market.owner.account_id)
        return market.signer.sign("publication", publication)

    async def playlist(self) -> str:
        answer = await self.media.playback(self.channel_id, "live.m3u8", {})
        return answer.body.decode()


@pytest.fixture
async def studio(open_house: OpenHouse) -> AsyncIterator[Studio]:
    async with _studio(open_house) as opened:
        yield opened


@contextlib.asynccontextmanager
async def _studio(
    open_house: OpenHouse, limits: Limits = BRISK, door_limits: IngestLimits | None = None
) -> AsyncIterator[Studio]:
    changes: list[Change] = []

    async def note(change: Change) -> None:
        changes.append(change)

    async with open_house() as house, MediaServer(limits, on_change=note) as media:
        opened = Studio(house, media, changes)
        market = house.market
        door = IngestDoor(
            media, market.signer, market.db.clock, on_rejected=opened.note, limits=door_limits or IngestLimits()
        )
        house.gateway.ingest = door
        try:
            yield opened
        finally:
            await door.stop()


class Page(WSListener):
    """The browser's side of the socket."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.closed = asyncio.Event()
        self.close_code = 0

    @classmethod
    async def open(cls, studio: Studio, *, own_port: bool = False) -> "Page":
        url = studio.house.own_url if own_port else studio.house.url
        _, page = await ws_connect(cls, url.replace("/ws", "/ingest"))
        assert isinstance(page, Page)
        return page

    @classmethod
    async def publish(cls, studio: Studio, mime: str, ticket: str | None = None) -> "Page":
        page = await cls.open(studio)
        page.say({"t": "publish", "ticket": ticket or await studio.ticket(), "mime": mime})
        await until(lambda: bool(page.heard) or page.closed.is_set())
        return page

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self.heard.append(json.loads(frame.get_payload_as_bytes()))
        elif frame.msg_type == WSMsgType.CLOSE:
            self.close_code = int.from_bytes(frame.get_payload_as_bytes()[:2], "big")
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.closed.set()

    def say(self, frame: dict[str, Any]) -> None:
        self.transport.send(WSMsgType.TEXT, json.dumps(frame).encode())

    def send(self, data: bytes) -> None:
        self.transport.send(WSMsgType.BINARY, data)

    def last(self, kind: str) -> dict[str, Any] | None:
        return next((frame for frame in reversed(self.heard) if frame["t"] == kind), None)

    def drop(self) -> None:
        """The network breaks."""
        self.transport.underlying_transport.abort()


@contextlib.asynccontextmanager
async def recording(page: Page, arguments: tuple[str, ...], *, size: str = "180x320") -> AsyncIterator[None]:
    """A MediaRecorder: a test picture and a tone, recorded in real time and sent as it comes."""
    process = await asyncio.create_subprocess_exec(
        *(find_ffmpeg(), "-v", "error", "-nostdin", "-threads", "1"),
        *("-re", "-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d=60"),
        *("-re", "-f", "lavfi", "-i", "sine=440:r=48000:d=60"),
        *("-c:a", "libopus", *arguments, "-flush_packets", "1", "-cluster_time_limit", "1000", "-"),
        stdout=asyncio.subprocess.PIPE,
    )
    stdout = process.stdout
    assert stdout is not None

    async def carry() -> None:
        while (data := await stdout.read(16_384)) and not page.closed.is_set():
            page.send(data)

    carrying = asyncio.create_task(carry())
    try:
        yield
    finally:
        process.kill()
        await process.wait()
        carrying.cancel()
        await asyncio.gather(carrying, return_exceptions=True)


@pytest.mark.parametrize("kind", [MATROSKA, MP4, WEBM], ids=["matroska", "mp4", "webm-vp8"])
async def test_a_browsers_recording_is_played_back_whole(
    studio: Studio, kind: tuple[str, tuple[str, ...]], tmp_path: Path
) -> None:
    mime, arguments = kind
    page = await Page.publish(studio, mime)
    assert page.heard[0] == {"t": "ready", "chunk_bytes_max": 65_536, "transcoding": "vp8" in mime}
    if mime == WEBM[0]:
        arguments = (*arguments, "-live", "1")
    async with recording(page, arguments):
        await until(lambda: studio.news == ["live"], timeout_s=30)
        await until(lambda: len(studio.media._channels[studio.channel_id]._packager.segments) > 2)
        master = (await studio.media.playback(studio.channel_id, "master.m3u8", {})).body.decode()
        assert re.search(r'CODECS="avc1\.[0-9a-f]{6},mp4a\.40\.2",RESOLUTION=180x320', master)
        segments = list(studio.media._channels[studio.channel_id]._packager.segments)[:2]
        data = segments[0].init.data + b"".join(segment.data() for segment in segments)
        pictures, sounds, _ = await asyncio.to_thread(decode, data, tmp_path)
        seconds = sum(segment.duration_s for segment in segments)
        assert pictures == pytest.approx(seconds * (30 if "vp8" in mime else 25), abs=3)
        assert sounds == pytest.approx(seconds * 48000 / 1024, abs=20)
        said = studio.media.stats(studio.channel_id)
        stats = page.last("stats")
        assert (
            stats is not None
            and stats["lag_ms"] < (10_000 if said.transcoding else 4_000)
            and stats["received_bytes"] > 10_000
        )
        assert (said.door, said.transcoding) == ("browser", "vp8" in mime)
    page.drop()


@pytest.mark.prove
async def test_the_newest_picture_is_less_than_a_second_old(studio: Studio) -> None:
    page = await Page.publish(studio, MATROSKA[0])
    async with recording(page, MATROSKA[1]):
        await until(lambda: studio.news == ["live"])
        ages = []
        for _ in range(15):
            await asyncio.sleep(0.1)
            ages.append(studio.media.stats(studio.channel_id).lag_ms or 0)
        assert sorted(ages)[7] < 1000, ages
    page.drop()


async def test_a_page_that_drops_comes_back_to_the_same_channel(studio: Studio) -> None:
    page = await Page.publish(studio, MATROSKA[0])
    async with recording(page, MATROSKA[1]):
        await until(lambda: studio.news == ["live"])
        page.drop()
    await until(lambda: studio.news == ["live", "away"])
    again = await Page.publish(studio, MATROSKA[0])
    async with recording(again, MATROSKA[1]):
        await until(lambda: studio.news == ["live", "away", "back"])
        await until(lambda: len(studio.media._channels[studio.channel_id]._packager.segments) > 3)
        text = await studio.playlist()
        assert text.count("#EXT-X-DISCONTINUITY\n") == 1
        clock = re.findall(r"DATE-TIME:(\S+)", text)
        assert clock == sorted(clock)
    again.say({"t": "stop"})
    await asyncio.wait_for(again.closed.wait(), 3)
    assert again.heard[-1] == {"t": "bye", "code": "stopped", "reason": "the streamer stopped"}
    assert studio.show_id == UUID(str(studio.channel_id))


async def test_ffmpeg_killed_the_page_is_asked_to_begin_anew_and_the_show_goes_on(studio: Studio) -> None:
    page = await Page.publish(studio, MATROSKA[0])
    channel = studio.media._channels[studio.channel_id]
    async with recording(page, MATROSKA[1]):
        await until(lambda: studio.news == ["live"])
        pid = channel.encoder_pid
        assert pid is not None
        stop_hard(pid)
        await until(lambda: page.last("restart") is not None)
    async with recording(page, MATROSKA[1]):
        made = channel._packager.part_count
        await until(lambda: channel._packager.part_count > made + 3)
        assert channel.encoder_pid not in (None, pid)
        assert studio.news == ["live"] and channel.stats().encoder_restarts == 1
        await until(lambda: "#EXT-X-DISCONTINUITY\n" in _now(channel))
    page.drop()


def _now(channel: Any) -> str:
    return "#EXT-X-DISCONTINUITY\n" if any(one.discontinuous for one in channel._packager.segments) else ""


async def test_a_new_recording_on_the_same_connection_needs_no_asking(studio: Studio) -> None:
    """The streamer changes the camera: another size, in the middle of the show."""
    page = await Page.publish(studio, MATROSKA[0])
    async with recording(page, MATROSKA[1]):
        await until(lambda: studio.news == ["live"])
    async with recording(page, MATROSKA[1], size="320x180"):
        await until(lambda: studio.media.stats(studio.channel_id).width == 320)
        assert studio.news == ["live"] and page.last("restart") is None
    page.drop()


async def test_a_second_publisher_is_refused_whatever_door_it_comes_by(studio: Studio) -> None:
    page = await Page.publish(studio, MATROSKA[0])
    async with recording(page, MATROSKA[1]):
        await until(lambda: studio.news == ["live"])
        second = await Page.publish(studio, MATROSKA[0])
        await asyncio.wait_for(second.closed.wait(), 3)
        assert second.heard == [
            {"t": "refused", "code": "channel-busy", "title": "Another encoder is already sending to this channel."}
        ]
        with pytest.raises(ChannelBusy):
            studio.media.admit(studio.channel_id, on_cut=lambda reason: None)
        await until(lambda: studio.refused == [(studio.channel_id, "channel-busy")])
        assert studio.news == ["live"]
    page.drop()


async def test_a_half_open_page_gives_way_to_its_return(open_house: OpenHouse) -> None:
    async with _studio(open_house, msgspec.structs.replace(BRISK, takeover_s=0.3)) as studio:
        page = await Page.publish(studio, MATROSKA[0])
        await asyncio.sleep(0.4)
        again = await Page.publish(studio, MATROSKA[0])
        assert again.heard[0]["t"] == "ready"
        await asyncio.wait_for(page.closed.wait(), 3)
        assert page.heard[-1] == {"t": "bye", "code": "cut", "reason": "another encoder took over"}
        again.drop()


async def test_a_ticket_is_good_once_and_for_a_minute(studio: Studio) -> None:
    ticket = await studio.ticket()
    first = await Page.publish(studio, MATROSKA[0], ticket)
    assert first.heard[0]["t"] == "ready"
    first.drop()
    for token, code in ((ticket, "publication-spent"), ("nonsense", "token-invalid")):
        page = await Page.publish(studio, MATROSKA[0], token)
        await asyncio.wait_for(page.closed.wait(), 3)
        assert [frame["code"] for frame in page.heard] == [code]
    late = await studio.ticket()
    studio.house.market.db.clock.advance(seconds=61)
    page = await Page.publish(studio, MATROSKA[0], late)
    assert page.heard[0]["code"] == "token-expired"


async def test_an_ended_show_gives_no_ticket(studio: Studio) -> None:
    market = studio.house.market
    async with market.db.tx() as tx:
        await live.end_show(tx, market.owner, studio.show_id)
    with pytest.raises(ShowEnded):
        await studio.ticket()


async def test_other_kinds_of_recording_are_refused(studio: Studio) -> None:
    for mime in ("text/html", "video/quicktime", "video/mp2t", "application/vnd.apple.mpegurl", "x" * 9000):
        page = await Page.publish(studio, mime)
        await asyncio.wait_for(page.closed.wait(), 3)
        assert [frame["code"] for frame in page.heard] in (["codec-unsupported"], ["publish-first"])
    assert studio.media.find_state(studio.channel_id) is None


PLAYLISTS = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\nhttp://127.0.0.1:1/\n" * 200
CONCAT = b"ffconcat version 1.0\nfile /etc/passwd\n" * 200
EBML = b"\x1a\x45\xdf\xa3"


HOSTILE = {
    "noise": (MATROSKA[0], os.urandom(60_000)),
    "noise after a magic number": (MATROSKA[0], EBML + os.urandom(60_000)),
    "a huge claim": (MATROSKA[0], EBML + b"\x01" + b"\xff" * 7 + bytes(60_000)),
    "a playlist": (MATROSKA[0], EBML + PLAYLISTS),
    "a huge box": (MP4[0], b"\0\0\0\x18ftypisom" + b"\xff\xff\xff\xffmoov" + os.urandom(60_000)),
    "a playlist in MP4": (MP4[0], b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + PLAYLISTS),
    "a concat script": ("video/webm;codecs=vp9", EBML + CONCAT),
}


async def test_hostile_bytes_end_their_own_connection_only(open_house: OpenHouse) -> None:
    limits = msgspec.structs.replace(BRISK, first_picture_s=1.0, restarts_max=1, restart_pause_s=0.05)
    async with _studio(open_house, limits) as studio:

        async def attack(mime: str, wire: bytes) -> None:
            show_id = ShowId(new_id())
            page = await Page.publish(studio, mime, studio.forged_ticket(show_id))
            assert page.heard[0]["t"] == "ready"
            with contextlib.suppress(Exception):
                while not page.closed.is_set():
                    page.send(wire)
                    await asyncio.sleep(0.1)
            assert page.last("refused") is not None, page.heard
            await until(lambda: (ChannelId(show_id), page.heard[-1]["code"]) in studio.refused, timeout_s=30)
            assert studio.media._channels[ChannelId(show_id)].encoder_pid is None

        honest = await Page.publish(studio, MATROSKA[0])
        async with recording(honest, MATROSKA[1]):
            await until(lambda: studio.news == ["live"])
            await asyncio.gather(*(attack(mime, wire) for mime, wire in HOSTILE.values()))
            assert studio.news == ["live"] and not honest.closed.is_set()
        honest.drop()


@pytest.mark.prove
async def test_a_type_that_lies_about_the_codec_harms_nobody(open_house: OpenHouse) -> None:
    """VP8 announced as H.264 cannot be copied into MP4."""
    limits = msgspec.structs.replace(BRISK, first_picture_s=3, restarts_max=1, restart_pause_s=0.05)
    async with _studio(open_house, limits) as studio:
        page = await Page.publish(studio, MATROSKA[0])
        async with recording(page, (*WEBM[1], "-live", "1")):
            await until(lambda: page.last("restart") is not None)
        page.drop()
        assert studio.news == []


async def test_what_never_publishes_and_what_falls_silent_is_closed(open_house: OpenHouse) -> None:
    door_limits = IngestLimits(publish_s_max=0.3, silence_s_max=0.3, stats_every_s=0.1)
    async with _studio(open_house, door_limits=door_limits) as studio:
        mute = await Page.open(studio, own_port=True)
        await asyncio.wait_for(mute.closed.wait(), 3)
        assert mute.heard[0]["code"] == "publish-first"
        page = await Page.publish(studio, MATROSKA[0])
        await asyncio.wait_for(page.closed.wait(), 3)
        assert page.heard[-1]["code"] == "publisher-silent"
        chatty = await Page.publish(studio, MATROSKA[0], studio.forged_ticket(ShowId(new_id())))
        for _ in range(20):
            chatty.say({"t": "publish", "ticket": "x", "mime": "x"})
        await asyncio.wait_for(chatty.closed.wait(), 3)
        assert chatty.heard[-1]["code"] in ("publish-first", "too-fast")
        early = await Page.open(studio)
        early.send(b"no ticket")
        await asyncio.wait_for(early.closed.wait(), 3)
        assert early.heard[0]["code"] == "publish-first"


async def test_a_message_that_is_too_large_is_not_read(studio: Studio) -> None:
    page = await Page.publish(studio, MATROSKA[0])
    page.send(EBML + bytes(70_000))
    await asyncio.wait_for(page.closed.wait(), 3)
    await until(lambda: studio.media._channels[studio.channel_id]._feed is None)


@pytest.mark.prove
async def test_a_flood_is_taken_no_faster_than_allowed_and_waits_in_bounded_memory(open_house: OpenHouse) -> None:
    door_limits = IngestLimits(waiting_bytes_max=200_000, bytes_per_s_max=300_000)
    limits = msgspec.structs.replace(BRISK, first_picture_s=30, restarts_max=1000, begin_anew_s_max=60)
    async with _studio(open_house, limits, door_limits) as studio:
        page = await Page.publish(studio, MATROSKA[0])
        began = time.monotonic()
        for _ in range(200):
            page.send(os.urandom(60_000))
            await asyncio.sleep(0)
        await until(lambda: page.last("stats") is not None and page.last("stats")["received_bytes"] > 0)  # type: ignore[index]
        await asyncio.sleep(1.5)
        stats = page.last("stats")
        assert stats is not None
        assert stats["received_bytes"] < 200_000 + 300_000 * (time.monotonic() - began + 2)
        assert stats["waiting_bytes"] < 400_000
        page.drop()


async def test_no_ffmpeg_is_left_when_the_door_closes(open_house: OpenHouse) -> None:
    async with _studio(open_house) as studio:
        page = await Page.publish(studio, MATROSKA[0])
        async with recording(page, MATROSKA[1]):
            await until(lambda: studio.news == ["live"])
            pid = studio.media._channels[studio.channel_id].encoder_pid
            assert pid is not None and studio.house.gateway.ingest is not None
            await studio.house.gateway.ingest.stop()
        await asyncio.wait_for(page.closed.wait(), 3)
        assert page.heard[-1]["code"] == "restarting"
    assert not exists(pid)
