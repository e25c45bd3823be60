"""Media: live pictures in, low-latency HLS out. An engine: it knows channels and bytes, nothing of shows or people.

Owns the broadcasts that are on air in this process (`MediaServer`): ffmpeg under bounds, the window of parts in
memory and the poster made of it, the grace time of a lost encoder, the figures that a streamer sees. Doors bring
encoders (`gateway.rtmp`) and players (`web.media`); who may publish is a question that the door asks (`Grant`).
Nothing outlives the process.

Promises: no ffmpeg is left behind, however the process ends; memory is bounded by `Limits`, whatever encoders send or
players fail to read; a returning encoder continues the same channel; an encoder that fails never harms another channel.
"""

from laotie.media.feed import Feed
from laotie.media.model import (
    Action,
    Answer,
    Change,
    ChannelBusy,
    ChannelId,
    ChannelUnknown,
    CodecUnsupported,
    EncoderFailed,
    FFmpegMissing,
    Grant,
    Limits,
    MediaBroken,
    News,
    Scene,
    ServerFull,
    State,
    Stats,
    TestCard,
)
from laotie.media.server import MediaServer
from laotie.media.testcard import broadcast, draw

__all__ = [
    "Action",
    "Answer",
    "Change",
    "ChannelBusy",
    "ChannelId",
    "ChannelUnknown",
    "CodecUnsupported",
    "EncoderFailed",
    "FFmpegMissing",
    "Feed",
    "Grant",
    "Limits",
    "MediaBroken",
    "MediaServer",
    "News",
    "Scene",
    "ServerFull",
    "State",
    "Stats",
    "TestCard",
    "broadcast",
    "draw",
]
