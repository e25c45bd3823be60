"""Media: live pictures in, low-latency HLS out. An engine: it knows channels and bytes, nothing of shows or people.

Owns the broadcasts that are on air in this process (`MediaServer`): ffmpeg under bounds, the window of parts in
memory and the poster made of it, the grace time of a lost encoder, the figures that a streamer sees. Doors bring
encoders (`gateway.rtmp`), browsers (`gateway.ingest`), news of other servers (`web.hooks`) and players (`web.media`);
who may publish is a question that the door asks (`Grant`).
Nothing outlives the process but recordings (`Recorder` writes, `Archive` reads them), which survive its being killed.

Promises: no ffmpeg is left behind, however the process ends; memory is bounded by `Limits`, whatever encoders send or
players fail to read; a returning encoder continues the same channel; an encoder that fails never harms another channel.
"""

from laotie.media import recording
from laotie.media.clip import cut as cut_clip
from laotie.media.feed import Feed
from laotie.media.film import (
    Film,
    FilmBounds,
    FilmBroken,
    FilmCrowded,
    FilmTooDense,
    FilmTooHard,
    FilmTooLarge,
    FilmTooLong,
    FilmTooShort,
    Finished,
    NotAFilm,
    container_of,
    examine,
    finish,
)
from laotie.media.model import (
    Action,
    Answer,
    Change,
    ChannelBusy,
    ChannelId,
    ChannelUnknown,
    CodecUnsupported,
    Door,
    EncoderFailed,
    FFmpegMissing,
    Grant,
    Limits,
    MediaBroken,
    News,
    Rejection,
    Scene,
    ServerFull,
    State,
    Stats,
    TestCard,
)
from laotie.media.paper import DocumentBroken, DocumentLocked, DocumentTooLong, NotADocument, print_document
from laotie.media.picture import NotAPicture, PictureBounds, PictureBroken, PictureTooLarge, Print, print_picture
from laotie.media.recorder import Recorder, RecordingLimits, RecordingState, RecordingStats
from laotie.media.recorder import finish as finish_recording
from laotie.media.recording import Archive, Why
from laotie.media.rtmp_feed import RtmpFeed
from laotie.media.server import MediaServer
from laotie.media.stream_feed import StreamFeed
from laotie.media.testcard import broadcast, cut, draw

__all__ = [
    "Action",
    "Answer",
    "Archive",
    "Change",
    "ChannelBusy",
    "ChannelId",
    "ChannelUnknown",
    "CodecUnsupported",
    "DocumentBroken",
    "DocumentLocked",
    "DocumentTooLong",
    "Door",
    "EncoderFailed",
    "FFmpegMissing",
    "Feed",
    "Film",
    "FilmBounds",
    "FilmBroken",
    "FilmCrowded",
    "FilmTooDense",
    "FilmTooHard",
    "FilmTooLarge",
    "FilmTooLong",
    "FilmTooShort",
    "Finished",
    "Grant",
    "Limits",
    "MediaBroken",
    "MediaServer",
    "News",
    "NotADocument",
    "NotAFilm",
    "NotAPicture",
    "PictureBounds",
    "PictureBroken",
    "PictureTooLarge",
    "Print",
    "Recorder",
    "RecordingLimits",
    "RecordingState",
    "RecordingStats",
    "Rejection",
    "RtmpFeed",
    "Scene",
    "ServerFull",
    "State",
    "Stats",
    "StreamFeed",
    "TestCard",
    "Why",
    "broadcast",
    "container_of",
    "cut",
    "cut_clip",
    "draw",
    "examine",
    "finish",
    "finish_recording",
    "print_document",
    "print_picture",
    "recording",
]
