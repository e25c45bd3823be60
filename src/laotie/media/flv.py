"""FLV tags, the form in which RTMP carries media and ffmpeg takes it (Adobe's "Video File Format", 10.1)."""

from enum import IntEnum
from struct import pack

import msgspec

from laotie.media.model import CodecUnsupported, MediaBroken

VIDEO_CODECS = {2: "h263", 3: "screen", 4: "vp6", 5: "vp6a", 6: "screen2", 7: "h264", 8: "h263", 12: "hevc", 13: "av1"}
AUDIO_CODECS = {0: "pcm", 1: "adpcm", 2: "mp3", 3: "pcm", 4: "nellymoser", 5: "nellymoser", 6: "nellymoser"}
AUDIO_CODECS |= {7: "g711a", 8: "g711u", 10: "aac", 11: "speex", 14: "mp3"}
READABLE = frozenset(("h263", "screen", "vp6", "vp6a", "screen2", "h264")) | frozenset(AUDIO_CODECS.values())
"""By ffmpeg's FLV demuxer; of codecs 12 and 13, which some encoders made up, it knows nothing."""
FOURCC_CODECS = {"avc1": "h264", "hvc1": "hevc", "av01": "av1", "vp09": "vp9", "vp08": "vp8"}
FOURCC_CODECS |= {"mp4a": "aac", "Opus": "opus", "fLaC": "flac", "ac-3": "ac3", "ec-3": "eac3", ".mp3": "mp3"}
"""Enhanced RTMP's names (Veovera, "Enhanced RTMP (v2)")."""
WITH_HEADER = frozenset(("h264", "hevc", "av1", "vp9", "vp8", "aac", "opus", "flac"))
"""Codecs whose set-up comes before the first picture or sound."""
PLAYED_PROFILES = frozenset((66, 77, 100))
"""H.264 Baseline, Main and High: 8 bits, 4:2:0. Phones play no others."""


class TagKind(IntEnum):
    """Types of tag."""

    AUDIO = 8
    VIDEO = 9
    SCRIPT = 18


class Frame(msgspec.Struct, frozen=True):
    """What the first bytes of a media tag tell."""

    codec: str
    header: bool = False
    """Codec set-up (avcC, AudioSpecificConfig), not a picture or a sound."""
    key: bool = False
    idle: bool = False
    """Neither set-up nor media: the end of a sequence, colour information."""


def header(*, video: bool, audio: bool) -> bytes:
    """The beginning of an FLV stream."""
    return pack(">3sBBII", b"FLV", 1, 4 * audio | video, 9, 0)


def tag(kind: int, timestamp: int, payload: bytes) -> bytes:
    """One tag; `timestamp` in ms, 32 bits."""
    time = timestamp & 0xFFFFFFFF
    head = pack(">B", kind) + len(payload).to_bytes(3, "big")
    head += (time & 0xFFFFFF).to_bytes(3, "big") + pack(">B", time >> 24) + b"\0\0\0"
    return b"".join((head, payload, pack(">I", 11 + len(payload))))


def frame(kind: int, payload: bytes) -> Frame:
    """Look at a media payload; refuses codecs that nothing here can read."""
    if len(payload) < 2:
        raise MediaBroken(reason="media message without a body")
    first = payload[0]
    if (kind == TagKind.VIDEO and first & 0x80) or (kind == TagKind.AUDIO and first >> 4 == 9):
        return _enhanced(kind, payload)
    if kind == TagKind.VIDEO:
        codec, key = VIDEO_CODECS.get(first & 0xF, f"video {first & 0xF}"), first >> 4 == 1
    else:
        codec, key = AUDIO_CODECS.get(first >> 4, f"audio {first >> 4}"), False
    if codec not in READABLE:
        raise CodecUnsupported(codec=codec)
    if codec not in WITH_HEADER:
        return Frame(codec, key=key)
    return Frame(codec, header=payload[1] == 0, key=key and payload[1] == 1, idle=payload[1] > 1)


def plays_everywhere(setup: bytes) -> bool:
    """Whether H.264 of this set-up (a tag's payload with avcC) is played by every phone as it is."""
    at = 5  # of an enhanced tag too: first byte, then four of name
    return len(setup) > at + 1 and setup[at] == 1 and setup[at + 1] in PLAYED_PROFILES


def _enhanced(kind: int, payload: bytes) -> Frame:
    """A tag that names its codec in four letters."""
    named = payload[1:5].decode("ascii", "replace")
    codec, packet = FOURCC_CODECS.get(named), payload[0] & 0xF
    if codec is None or packet in (5, 6, 7) or len(payload) < 5:  # several tracks in one, extended headers
        raise CodecUnsupported(codec=named)
    key = kind == TagKind.VIDEO and payload[0] >> 4 & 7 == 1
    return Frame(codec, header=packet == 0, key=key and packet in (1, 3), idle=packet in (2, 4))
