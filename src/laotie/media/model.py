"""The words of media: channels, their states and limits, what a door grants, what a player is answered."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import NewType
from uuid import UUID

import msgspec

from laotie.base.refusals import Conflict, Invalid, NotFound, Refusal, TooBusy, Unavailable

ChannelId = NewType("ChannelId", UUID)
"""Whatever the caller broadcasts under this id (the house uses the show's)."""


class Action(StrEnum):
    """What a door asks permission for."""

    PUBLISH = "publish"


class Grant(msgspec.Struct, frozen=True):
    """Permission to publish: the channel that the key stands for."""

    channel_id: ChannelId


class Door(StrEnum):
    """The way that a picture comes in by."""

    RTMP = "rtmp"
    BROWSER = "browser"
    EXTERNAL = "external"
    """Another media server, which asks us by its hooks."""


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """A publisher was refused or sent away. The channel is known once permission was given; the key is a secret."""

    door: Door
    address: str
    refusal: Refusal
    channel_id: ChannelId | None = None
    key: str = ""


class State(StrEnum):
    """Of a channel: announced but dark, on air, encoder lost but expected back, over."""

    IDLE = "idle"
    LIVE = "live"
    AWAY = "away"
    ENDED = "ended"


class News(StrEnum):
    """What a channel tells its listener, in this order: live, then away and back any number of times, then ended."""

    LIVE = "live"
    AWAY = "away"
    BACK = "back"
    ENDED = "ended"


class Change(msgspec.Struct, frozen=True):
    """Something happened to a channel."""

    channel_id: ChannelId
    news: News
    at: datetime
    reason: str = ""


class Stats(msgspec.Struct, frozen=True):
    """What the streamer sees of the own channel; rates are over the last seconds."""

    channel_id: ChannelId
    state: State
    door: str = ""
    """What it is fed through: `rtmp`, `browser`, `external`; empty while nothing does."""
    transcoding: bool = False
    lag_ms: int | None = None
    """Age of the newest picture that players can fetch."""
    bits_per_s: int = 0
    frames_per_s: float = 0.0
    width: int = 0
    height: int = 0
    codecs: str = ""
    key_frame_interval_s: float | None = None
    last_packet_age_s: float | None = None
    dropped_count: int = 0
    """Media messages thrown away: before the first key frame, while ffmpeg restarted."""
    encoder_restarts: int = 0
    interruptions: int = 0
    memory_bytes: int = 0
    live_since: datetime | None = None
    away_since: datetime | None = None


class Answer(msgspec.Struct, frozen=True):
    """What a player gets; the door adds nothing but the transport."""

    status: int
    headers: dict[str, str]
    body: bytes


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Every bound of the media engine."""

    ffmpeg: str = ""
    """Path of the program; empty: the one in the `imageio-ffmpeg` wheel, else `ffmpeg` on the PATH."""
    grace_s: float = 60.0
    """How long a lost encoder may stay away before its channel ends."""
    takeover_s: float = 3.0
    """An encoder silent for this long gives way to another with the same key (it is half open)."""
    first_picture_s: float = 15.0
    """An encoder that has not produced a playable part by then is cut off."""
    ahead_s_max: float = 10.0
    """A recording whose clock runs ahead of time by more is cut off."""
    begin_anew_s_max: float = 10.0
    """A browser that was asked to begin its recording anew must have done so by then."""
    afterglow_s: float = 30.0
    """How long an ended channel still answers its last playlist."""
    channels_max: int = 64
    external_hls_url: str = "/hls"
    """Where the playlists of another media server are."""
    external_channels_max: int = 4_096
    external_ready_s: float = 4.0
    """From its encoder's coming until the other server has made segments to play."""
    external_silence_s: float = 25.0
    """Without a pulse for this long the other server has lost the channel, or is gone itself."""

    part_s: float = 0.195
    """ffmpeg cuts a fragment at the first frame this far in: 195 gives 200 ms at 20, 25, 30, 50 and 60 fps."""
    part_target_s: float = 0.235
    """PART-TARGET: no part may be longer, none but a segment's last shorter than 85 % (iPhones enforce both)."""
    hold_back_s: float = 0.9
    """PART-HOLD-BACK: how far behind the live edge players stay."""
    segment_s: float = 1.0
    """A segment ends at the first key frame after this much media."""
    segment_s_max: float = 12.0
    """A segment ends here even without a key frame."""
    window_s: float = 16.0
    """Media in the playlist."""
    window_bytes_max: int = 48 * 1024 * 1024
    """Media of one channel in memory, whatever the bit rate."""

    wait_s_max: float = 4.0
    """A blocking request is answered by then, with what there is."""
    waiters_max: int = 20_000
    """Blocking requests held at once, over all channels."""

    poster_fresh_s: float = 15.0
    """How long a channel's poster is shown before another is made."""
    poster_width_max: int = 540
    poster_bytes_max: int = 512 * 1024
    poster_s_max: float = 5.0
    """A poster is made by then or not at all."""
    posters_at_once_max: int = 2

    memory_bytes_max: int = 1536 * 1024 * 1024
    """Address space of one ffmpeg (a copying one takes 0.4 GB of it, mostly mapped program)."""
    cpu_share_max: float = 0.5
    """Cores that one ffmpeg may take, averaged over `cpu_period_s`; one that copies takes 0.01."""
    transcode_cpu_share_max: float = 1.5
    """The same of one that decodes and encodes pictures (1080p in, 720p30 out: 0.4)."""
    transcode_side_max: int = 1280
    """Longer side of a transcoded picture; a larger one is made smaller."""
    transcode_bits_per_s: int = 2_500_000
    cpu_period_s: float = 60.0
    niceness: int = 5
    write_s_max: float = 5.0
    """ffmpeg must take its input within this time or is replaced."""
    stop_s_max: float = 3.0
    """ffmpeg must finish within this time after its input ended or is killed."""
    restarts_max: int = 6
    """Restarts in a row without a single new part; then the encoder is cut off."""
    restart_pause_s: float = 0.2
    restart_pause_s_max: float = 5.0


class ChannelBusy(Conflict, code="channel-busy"):
    """Another encoder is already sending to this channel."""


class ChannelUnknown(NotFound, code="channel-unknown"):
    """No such channel is on air."""


class CodecUnsupported(Invalid, code="codec-unsupported"):
    """This codec cannot be read here; set the encoder to H.264 video and AAC audio."""

    codec: str


class MediaBroken(Invalid, code="media-broken"):
    """The media data is malformed."""

    reason: str


class EncoderFailed(Unavailable, code="encoder-failed"):
    """The media program does not run or cannot make sense of the input."""

    part: str = "ffmpeg"
    reason: str


class ServerFull(TooBusy, code="media-full"):
    """No more channels can be on air here."""


class FFmpegMissing(Unavailable, code="ffmpeg-missing"):
    """No ffmpeg program was found."""

    part: str = "ffmpeg"
    tried: list[str]


class Scene(StrEnum):
    """The demonstration pictures."""

    SHORE = "shore"
    WARDROBE = "wardrobe"


class TestCard(msgspec.Struct, frozen=True, kw_only=True):
    """A demonstration broadcast: what is shown and where it is sent."""

    __test__ = False  # pytest would take the name for a test

    scene: Scene
    url: str
    """`rtmp://host:port/live`, without the key."""
    key: str
    data: Path
    """Where the drawn loop is kept between starts."""
    label: str = "DEMO"
