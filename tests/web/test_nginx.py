"""nginx with its RTMP module as the media server: the written configuration, the hooks, a real push, a playable picture."""

import asyncio
import contextlib
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest
import uvicorn
from on_air import BRISK, decode, pushing, until

from laotie import live
from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.ids import ShowId
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.cli.media import PathRefused, write_nginx_config
from laotie.live import ShowState
from laotie.media import Change, ChannelBusy, ChannelId, MediaServer
from laotie.media.encoder import find_ffmpeg
from laotie.web.app import build_app
from laotie.web.hooks import hook_secret
from laotie.web.house import House
from stage import Host, host

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin")
MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
with_nginx = pytest.mark.skipif(
    NGINX is None or not MODULE.exists(), reason="nginx with its RTMP module is not installed (bin/ensure-nginx)"
)
LIMITS = msgspec.structs.replace(BRISK, external_ready_s=2.5, grace_s=15)


class Site:
    """Laotie on a port with media elsewhere."""

    def __init__(self, settings: Settings, media: MediaServer, signer: Signer, changes: list[Change]) -> None:
        self.settings, self.media, self.signer = settings, media, signer
        self.changes = changes

    @property
    def news(self) -> list[str]:
        return [change.news.value for change in self.changes]

    async def hook(self, secret: str | None = None, **said: str) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.settings.base_url) as client:
            return await client.post(
                "/hooks/rtmp", params={"secret": secret or hook_secret(self.signer), "port": 1935}, data=said
            )


@pytest.fixture
async def site(db: Database, tmp_path: Path) -> AsyncIterator[Site]:
    listening = socket.create_server(("127.0.0.1", 0))
    port, hls_port = listening.getsockname()[1], _free_port()
    settings = Settings(
        data_dir=str(tmp_path / "data"),
        port=port,
        media_external_hls_url=f"http://127.0.0.1:{hls_port}/hls",
        media_external_rtmp_url=f"rtmp://127.0.0.1:{_free_port()}/live",
    )
    signer = Signer(settings.signing_keys(), db.clock)
    changes: list[Change] = []

    async def note(change: Change) -> None:
        changes.append(change)

    limits = msgspec.structs.replace(LIMITS, external_hls_url=settings.media_external_hls_url)
    async with MediaServer(limits, on_change=note) as media:
        app = build_app(House(db=db, settings=settings, signer=signer, bus=LocalBus(), media=media))
        config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve(sockets=[listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield Site(settings, media, signer, changes)
        finally:
            server.should_exit = True
            await serving


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def nginx(site: Site, directory: Path) -> AsyncIterator[Path]:
    """The real one, with the configuration that we write; gives its directory of segments."""
    state, hls = directory / "nginx", directory / "hls"
    state.mkdir()
    hls.mkdir()
    settings = site.settings
    assert NGINX is not None and settings.media_external_rtmp_url and settings.media_external_hls_url
    text = write_nginx_config(
        settings,
        hls_dir=hls,
        rtmp_port=int(settings.media_external_rtmp_url.split(":")[2].split("/")[0]),
        http_port=int(settings.media_external_hls_url.split(":")[2].split("/")[0]),
        user="root",
        state_dir=state,
    )
    config = state / "nginx.conf"
    config.write_text(text)
    process = subprocess.Popen([NGINX, "-c", config, "-e", state / "error.log"], stderr=subprocess.PIPE)
    try:
        await until(lambda: (state / "nginx.pid").exists() or process.poll() is not None)
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        yield state
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)
        assert process.stderr is not None
        process.stderr.close()


async def _go_live(db: Database, signer: Signer, name: str = "host") -> tuple[Host, ShowId, str]:
    """A live show and its stream key."""
    someone = await host(db, name)
    async with db.tx() as tx:
        return someone, someone.show_id, await live.rotate_ingest_key(tx, signer, someone.actor)


@with_nginx
async def test_an_encoder_at_nginx_is_a_show_that_plays(site: Site, db: Database, tmp_path: Path) -> None:
    someone, show_id, key = await _go_live(db, site.signer)
    url = site.settings.media_external_rtmp_url or ""
    async with nginx(site, tmp_path) as state, httpx.AsyncClient() as player:
        wrong = key[:-4] + "0000"
        async with pushing(f"{url}/{wrong}") as encoder:
            await until(lambda: encoder.poll() is not None)
        async with pushing(f"{url}/{key}"):
            await until(lambda: site.news == ["live"])
            async with db.read() as tx:
                show = await live.get_show(tx, show_id)
            playback = live.playback_of(site.media, show)
            assert show.state is ShowState.live and playback is not None
            assert playback.hls == f"{site.settings.media_external_hls_url}/{show_id}.m3u8"
            playlist = await player.get(playback.hls)
            assert playlist.status_code == 200 and playlist.text.startswith("#EXTM3U")
            assert playlist.headers["content-type"] == "application/vnd.apple.mpegurl"
            assert playlist.headers["cache-control"] == "public, max-age=1"
            assert playlist.headers["access-control-allow-origin"] == "*"
            names = re.findall(r"^\S+\.ts$", playlist.text, re.MULTILINE)
            segment = await player.get(f"{site.settings.media_external_hls_url}/{names[-1]}")
            assert segment.headers["cache-control"] == "public, max-age=3600, immutable"
            pictures, sounds, _ = await asyncio.to_thread(decode, segment.content, tmp_path)
            assert pictures >= 20 and sounds >= 20
            # A second encoder on the key, from the browser or at nginx, has no room; nobody looks through the directory.
            async with pushing(f"{url}/{key}") as second:
                await until(lambda: second.poll() is not None)
            base = site.settings.media_external_hls_url
            for path in ("/", "/../", f"/{show_id}", "/nginx.conf", f"/{key}.m3u8", "/..%2fnginx/nginx.conf"):
                assert (await player.get(f"{base}{path}")).status_code in (400, 404)
            assert (await player.post(playback.hls)).status_code in (403, 405)
            stage = url.replace("/live", f"/shows/{show_id}")
            assert await _play(f"{url}/{key}") != 0 and await _play(stage) != 0
            async with pushing(stage) as hijacker:
                await until(lambda: hijacker.poll() is not None)
            assert site.news == ["live"]
        await until(lambda: site.news == ["live", "away"])
        assert (there := live.playback_of(site.media, show)) is not None and there.away_since is not None
        async with pushing(f"{url}/{key}"):
            await until(lambda: site.news == ["live", "away", "back"])
            async with db.tx() as tx:
                await live.rotate_ingest_key(tx, site.signer, someone.actor)
            await until(lambda: site.news == ["live", "away", "back", "away"], timeout_s=12)
        async with db.read() as tx:
            refusals = await live.list_refusals(tx, someone.room_id)
        assert {(one.door, one.code) for one in refusals} == {
            ("external", "stream-refused"),
            ("external", "channel-busy"),
        }
        assert key[8:-8] not in str(refusals)
        logged = "".join(file.read_text() for file in state.rglob("*.log"))
        assert key[32:] not in logged and wrong[32:] not in logged


async def _play(url: str) -> int:
    """What becomes of somebody who wants to watch by RTMP."""
    process = await asyncio.create_subprocess_exec(
        *(find_ffmpeg(), "-v", "quiet", "-rw_timeout", "2000000", "-i", url, "-t", "1", "-f", "null", "-"),
        stdin=asyncio.subprocess.DEVNULL,
    )
    return await process.wait()


async def test_hooks_without_the_secret_are_not_there(site: Site, db: Database) -> None:
    _, _, key = await _go_live(db, site.signer)
    for secret in ("x", "00" * 32, "ä"):
        assert (await site.hook(secret, call="publish", name=key, clientid="1", addr="10.0.0.9")).status_code == 404
    async with httpx.AsyncClient(base_url=site.settings.base_url) as client:
        assert (await client.post("/hooks/rtmp", data={"call": "publish", "name": key})).status_code == 422
    assert site.news == []


async def test_a_hook_is_answered_with_the_shows_name_and_a_lost_server_is_noticed(site: Site, db: Database) -> None:
    _, show_id, key = await _go_live(db, site.signer)
    channel_id = ChannelId(show_id)
    quick = msgspec.structs.replace(site.media.limits, external_ready_s=0.05, grace_s=0.4)
    site.media.limits = quick
    said = {"clientid": "7", "addr": "10.0.0.9", "name": key, "app": "live"}
    begun = await site.hook(call="publish", **said)
    assert begun.status_code == 302
    assert begun.headers["location"].startswith(f"rtmp://127.0.0.1:1935/shows/{show_id}?token=")
    token = begun.headers["location"].partition("token=")[2]
    carried = {"call": "publish", "app": "shows", "name": str(show_id), "clientid": "9", "addr": "127.0.0.1"}
    assert (await site.hook(**carried, token=token)).status_code == 204
    for wrong in ("", "00" * 32, token[:-1]):
        assert (await site.hook(**carried, token=wrong)).status_code == 403
    await until(lambda: site.news == ["live"])
    apart = await site.hook(call="publish", **{**said, "name": "any-room"}, key=key)
    assert apart.status_code == 409  # the key counts, and its channel has a publisher
    busy = await site.hook(call="publish", **{**said, "clientid": "8"})
    assert (busy.status_code, busy.json()["type"]) == (409, "/problems/channel-busy")
    assert (await site.hook(call="play", **said)).status_code == 403
    assert (await site.hook(call="publish", **{**said, "name": "nobody's"})).status_code == 403
    assert site.news == ["live"]
    # Each pulse buys time; the one after which no other comes is the last.
    site.media._external[channel_id]._limits = msgspec.structs.replace(quick, external_silence_s=0.1)
    assert (await site.hook(call="update_publish", **said)).status_code == 204
    await until(lambda: site.news == ["live", "away", "ended"])
    assert site.media.find_state(channel_id) is None


async def test_one_publisher_a_channel_here_or_there(site: Site, db: Database) -> None:
    _, show_id, key = await _go_live(db, site.signer)
    channel_id = ChannelId(show_id)
    feed = site.media.admit(channel_id, on_cut=lambda reason: None)
    said = {"clientid": "7", "addr": "10.0.0.9", "name": key}
    assert (await site.hook(call="publish", **said)).status_code == 409
    await site.media.leave(channel_id, feed, "")
    assert (await site.hook(call="publish", **said)).status_code == 302
    with pytest.raises(ChannelBusy):
        site.media.admit(channel_id, on_cut=lambda reason: None)
    assert (await site.hook(call="publish_done", **said)).status_code == 204
    again = site.media.admit(channel_id, on_cut=lambda reason: None)
    await site.media.leave(channel_id, again, "")


def test_a_configuration_cannot_be_written_through_a_path() -> None:
    with pytest.raises(PathRefused):
        write_nginx_config(Settings(), hls_dir=Path("/x; } evil {"), rtmp_port=1, http_port=2)
