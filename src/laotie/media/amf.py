"""AMF0, the value format of RTMP commands (Adobe's "Action Message Format -- AMF 0").

Python's own types stand for AMF's: `float`, `bool`, `str`, `None`, `dict[str, Value]` (object and ECMA array),
`list[Value]` (strict array). References and AMF3 bodies are refused: no encoder sends them.
"""

import struct
from struct import pack, unpack_from

from laotie.media.model import MediaBroken

DEPTH_MAX = 8
ITEMS_MAX = 512

Value = float | bool | str | None | dict[str, "Value"] | list["Value"]


def decode(data: bytes) -> list[Value]:
    """Every value in `data`, which holds nothing else."""
    reader = _Reader(data)
    values: list[Value] = []
    try:
        while reader.at < len(data):
            values.append(reader.value(0))
    except (struct.error, IndexError, UnicodeDecodeError):
        raise MediaBroken(reason="AMF0 cut short") from None
    return values


def encode(*values: Value) -> bytes:
    """The values one after another."""
    return b"".join(_encode(value) for value in values)


def _encode(value: Value) -> bytes:
    match value:
        case bool():
            return pack(">BB", 1, value)
        case int() | float():
            return pack(">Bd", 0, value)
        case str():
            raw = value.encode()
            return pack(">BH", 2, len(raw)) + raw if len(raw) < 65536 else pack(">BI", 12, len(raw)) + raw
        case dict():
            return b"\x03" + b"".join(_name(name) + _encode(item) for name, item in value.items()) + b"\0\0\x09"
        case list():
            return pack(">BI", 10, len(value)) + b"".join(_encode(item) for item in value)
        case None:
            return b"\x05"


def _name(name: str) -> bytes:
    raw = name.encode()
    return pack(">H", len(raw)) + raw


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.items = 0

    def value(self, depth: int) -> Value:
        self.items += 1
        if depth > DEPTH_MAX or self.items > ITEMS_MAX:
            raise MediaBroken(reason="AMF0 too deep or too long")
        marker = self.data[self.at]
        self.at += 1
        match marker:
            case 0 | 11:  # number; a date is a number and a time zone
                number: float = unpack_from(">d", self.data, self.at)[0]
                self.at += 8 if marker == 0 else 10
                return number
            case 1:
                self.at += 1
                return bool(self.data[self.at - 1])
            case 2:
                return self.text(2)
            case 12 | 15:
                return self.text(4)
            case 3:
                return self.members(depth)
            case 16:
                self.text(2)
                return self.members(depth)
            case 8:
                self.at += 4  # a hint of the length, often wrong
                return self.members(depth)
            case 10:
                count = unpack_from(">I", self.data, self.at)[0]
                self.at += 4
                if count > ITEMS_MAX:
                    raise MediaBroken(reason="AMF0 too deep or too long")
                return [self.value(depth + 1) for _ in range(count)]
            case 5 | 6 | 13:
                return None
        raise MediaBroken(reason=f"AMF0 marker {marker}")

    def text(self, width: int) -> str:
        size = unpack_from(">H" if width == 2 else ">I", self.data, self.at)[0]
        self.at += width
        raw = self.data[self.at : self.at + size]
        if len(raw) < size:
            raise IndexError
        self.at += size
        return raw.decode("utf-8", "replace")

    def members(self, depth: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        while True:
            name = self.text(2)
            if not name and self.data[self.at] == 9:
                self.at += 1
                return found
            found[name] = self.value(depth + 1)
