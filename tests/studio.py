"""A streamer with a shop, a directory for files, and jobs that run when the test says so."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from films import film
from laotie import uploads, videos
from laotie.base import jobs
from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.ids import ViewerId, new_id
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.identity import Actor
from laotie.uploads import UploadId
from laotie.videos import OwnVideo, VideoChange, VideoDraft, VideoId, VideoState
from stage import Host, host


@dataclass
class Studio:
    """See the module."""

    db: Database
    context: jobs.Context
    host: Host
    data: Path

    async def bring(self, data: bytes, *, actor: Actor | None = None) -> UploadId:
        """A file, all of it, as bytes on disk."""
        actor = actor or self.host.actor
        upload_id = UploadId(new_id())
        async with self.db.tx() as tx:
            upload = await videos.begin_upload(
                tx, actor, self.host.shop_id, upload_id, size_bytes=len(data), bytes_max=10**9
            )
        await uploads.append(self.data, upload, offset=0, pieces=pieces(data))
        return upload_id

    async def make(self, data: bytes | None = None, **said: Any) -> OwnVideo:
        """A video of a file, its film still to be prepared."""
        upload_id = await self.bring(film() if data is None else data)
        draft = VideoDraft(**{"id": VideoId(new_id()), "upload_id": upload_id, "title": "海边", **said})
        async with self.db.tx() as tx:
            return await videos.make_video(tx, self.host.actor, self.host.shop_id, draft, data=self.data, lanes=1)

    async def develop(self, video_id: UUID) -> OwnVideo:
        """Run its job."""
        await videos.develop(self.context, video_id=str(video_id))
        return await self.see(video_id)

    async def publish(self, **said: Any) -> OwnVideo:
        """A video that everybody sees."""
        return await self.develop((await self.make(is_published=True, **said)).id)

    async def change(self, video_id: VideoId, **said: Any) -> OwnVideo:
        async with self.db.tx() as tx:
            return await videos.change_video(tx, self.host.actor, video_id, VideoChange(**said))

    async def hide(self, video_id: VideoId) -> OwnVideo:
        return await self.change(video_id, state=VideoState.hidden)

    async def see(self, video_id: UUID) -> OwnVideo:
        async with self.db.read() as tx:
            return await videos.get_own(tx, VideoId(video_id))

    async def watch(self, viewer: ViewerId, video_id: UUID, play_id: UUID, watched_ms: int) -> videos.Played:
        async with self.db.tx() as tx:
            return await videos.acknowledge_play(
                tx,
                viewer,
                VideoId(video_id),
                videos.PlayId(play_id),
                watched_ms=watched_ms,
                source="direct",
                placement="direct",
            )

    def files(self) -> list[str]:
        """What lies on disk."""
        return sorted(str(path.relative_to(self.data)) for path in self.data.rglob("*") if path.is_file())


async def pieces(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def open_studio(db: Database, signer: Signer, data: Path) -> Studio:
    """With a streamer who is live."""
    settings = Settings(data_dir=str(data))
    context = jobs.Context(db=db, settings=settings, signer=signer, bus=LocalBus())
    return Studio(db, context, await host(db), settings.data_path)
