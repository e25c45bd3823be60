"""FLV tags, the form in which RTMP carries media and ffmpeg takes it (Adobe's "Video File Format", 10.1)."""

from enum import IntEnum
from struct import pack

import msgspec

from laotie.media.model import CodecUnsupported, MediaBroken

VIDEO_CODECS = {2: "h263", 3: "screen", 4: "vp6", 5: "vp6a", 6: "screen2", 7: "h264", 8: "h263", 12: "hevc", 13: "av1"}
AUDIO_CODECS = {0: "pcm", 1: "adpcm", 2: "mp3", 3: "pcm", 7: "g711a", 8: "g711u", 10: "aac", 11: "speex", 14: "mp3"}


class TagKind(IntEnum):
    """Types of tag."""

    AUDIO = 8
    VIDEO = 9
    SCRIPT = 18


class Frame(msgspec.Struct, frozen=True):
    """What the first bytes of a media tag tell."""

    header: bool
    """Codec set-up (avcC, AudioSpecificConfig), not a picture or a sound."""
    key: bool
    end: bool = False


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
    """Look at a media payload; refuses codecs other than H.264 and AAC."""
    if len(payload) < 2:
        raise MediaBroken(reason="media message without a body")
    first = payload[0]
    if kind == TagKind.VIDEO:
        if first & 0x80:  # enhanced RTMP: the codec as four letters
            raise CodecUnsupported(codec=payload[1:5].decode("ascii", "replace"))
        if first & 0xF != 7:
            raise CodecUnsupported(codec=VIDEO_CODECS.get(first & 0xF, f"video {first & 0xF}"))
        return Frame(header=payload[1] == 0, key=first >> 4 == 1 and payload[1] == 1, end=payload[1] == 2)
    if first >> 4 != 10:
        codec = payload[1:5].decode("ascii", "replace") if first >> 4 == 9 else AUDIO_CODECS.get(first >> 4, "audio")
        raise CodecUnsupported(codec=codec)
    return Frame(header=payload[1] == 0, key=False)
