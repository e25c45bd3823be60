"""The RTMP wire format, without a network."""

import contextlib
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laotie.media import MediaBroken, amf, rtmp
from laotie.media.rtmp import PENDING_BYTES_MAX, ChunkReader, ChunkWriter, Kind, Message, unwrapped

VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=4),
    max_leaves=12,
)
MEDIA = st.tuples(st.sampled_from([8, 9, 18, 20]), st.integers(0, 2**32 - 1), st.binary(max_size=900))


@given(st.lists(VALUES, max_size=5))
def test_amf_values_survive_the_wire(values: list[amf.Value]) -> None:
    assert amf.decode(amf.encode(*values)) == values


@given(st.binary(max_size=300))
def test_any_bytes_are_amf_or_refused(data: bytes) -> None:
    with contextlib.suppress(MediaBroken):
        amf.decode(data)


def test_deep_amf_is_refused_before_it_hurts() -> None:
    with pytest.raises(MediaBroken):
        amf.decode(b"\x03\0\x01a" * 5000)
    with pytest.raises(MediaBroken):
        amf.decode(b"\x0a\xff\xff\xff\xff" + b"\x05" * 100)


@given(st.lists(MEDIA, max_size=12), st.integers(1, 400), st.integers(1, 70000))
def test_messages_survive_any_cutting_of_the_stream(
    messages: list[tuple[int, int, bytes]], step: int, chunk_size: int
) -> None:
    writer, reader = ChunkWriter(), ChunkReader()
    wire = writer.chunk_size(chunk_size)
    wire += b"".join(writer.message(kind, body, timestamp=time, stream_id=1) for kind, time, body in messages)
    read = [one for at in range(0, len(wire), step) for one in reader.feed(wire[at : at + step])]
    assert [(one.kind, one.timestamp % 2**32, one.payload) for one in read] == messages


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=400), max_size=12))
def test_any_bytes_are_chunks_or_refused_within_bounds(pieces: list[bytes]) -> None:
    reader = ChunkReader()
    try:
        for piece in pieces:
            for message in reader.feed(piece):
                if message.kind == Kind.COMMAND:
                    rtmp.command(message)
                if message.kind == Kind.AGGREGATE:
                    list(rtmp.aggregated(message))
    except MediaBroken:
        pass


@given(st.binary(min_size=1, max_size=600), st.integers(0, 599), st.integers(0, 255))
def test_one_wrong_byte_never_crashes_the_reader(body: bytes, where: int, value: int) -> None:
    writer, reader = ChunkWriter(), ChunkReader()
    wire = bytearray(writer.chunk_size(200) + writer.message(9, body, timestamp=0xFFFFFF) + writer.message(8, body))
    wire[where % len(wire)] = value
    with contextlib.suppress(MediaBroken):
        list(reader.feed(bytes(wire)))


def test_time_goes_on_when_its_32_bits_wrap() -> None:
    reader, writer = ChunkReader(), ChunkWriter()
    times = [2**32 - 40, 2**32 - 1, 0, 39]
    wire = b"".join(writer.message(9, b"x" * 300, timestamp=time) for time in times)
    assert [one.timestamp for one in reader.feed(wire)] == [2**32 - 40, 2**32 - 1, 2**32, 2**32 + 39]
    assert unwrapped(2**32 - 1, near=5) == 2**32 - 1  # before time began there is nothing


def test_steps_and_repeated_steps_add_up() -> None:
    first = b"\x06" + (1000).to_bytes(3, "big") + (2).to_bytes(3, "big") + b"\x09" + b"\1\0\0\0" + b"ab"
    step = b"\x46" + (40).to_bytes(3, "big") + (2).to_bytes(3, "big") + b"\x09" + b"cd"
    same = b"\xc6" + b"ef"
    short = b"\x86" + (7).to_bytes(3, "big") + b"gh"
    read = list(ChunkReader().feed(first + step + same + short))
    assert [(one.timestamp, one.payload) for one in read] == [
        (1000, b"ab"),
        (1040, b"cd"),
        (1080, b"ef"),
        (1087, b"gh"),
    ]


@pytest.mark.parametrize("repeated", [True, False])
def test_extended_times_are_read_whether_or_not_continuations_repeat_them(repeated: bool) -> None:
    time = pack(">I", 20_000_000)
    head = b"\x06\xff\xff\xff" + (200).to_bytes(3, "big") + b"\x09" + b"\1\0\0\0" + time
    wire = head + b"a" * 128 + b"\xc6" + (time if repeated else b"") + b"b" * 72
    assert list(ChunkReader().feed(wire)) == [Message(9, 20_000_000, 1, b"a" * 128 + b"b" * 72)]


def test_interleaved_messages_come_out_whole() -> None:
    def start(lane: int, body: bytes) -> bytes:
        return bytes([lane]) + b"\0\0\0" + (200).to_bytes(3, "big") + b"\x09" + b"\1\0\0\0" + body

    wire = start(4, b"a" * 128) + start(6, b"b" * 128) + b"\xc4" + b"A" * 72 + b"\xc6" + b"B" * 72
    assert [one.payload[-1:] for one in ChunkReader().feed(wire)] == [b"A", b"B"]


def test_an_aborted_message_is_forgotten() -> None:
    head = b"\x06\0\0\0" + (200).to_bytes(3, "big") + b"\x09" + b"\1\0\0\0"
    abort = ChunkWriter().message(Kind.ABORT, pack(">I", 6))
    assert len(list(ChunkReader().feed(head + b"a" * 128 + abort + head + b"b" * 128 + b"\xc6" + b"b" * 72))) == 1


@pytest.mark.parametrize(
    "wire",
    [
        b"\xc5" + b"x" * 20,  # continues a stream that never began
        b"\x06\0\0\0\xff\xff\xff\x09\1\0\0\0",  # a message of 16 MB
        ChunkWriter().message(Kind.SET_CHUNK_SIZE, pack(">I", 0)),
        ChunkWriter().message(Kind.SET_CHUNK_SIZE, pack(">I", 0x7FFFFFFF)),
        ChunkWriter().message(Kind.SET_CHUNK_SIZE, b"\0"),
        b"".join(bytes([lane]) + b"\0\0\0\0\0\x01\x09\1\0\0\0z" for lane in range(2, 64))
        + b"".join(b"\0" + bytes([lane]) + b"\0\0\0\0\0\x01\x09\1\0\0\0z" for lane in range(5)),
    ],
)
def test_what_is_out_of_bounds_is_refused(wire: bytes) -> None:
    with pytest.raises(MediaBroken):
        list(ChunkReader().feed(wire))


def test_unfinished_messages_are_bounded_in_sum() -> None:
    reader, writer = ChunkReader(), ChunkWriter()
    list(reader.feed(writer.chunk_size(1024 * 1024)))
    length = (4 * 1024 * 1024).to_bytes(3, "big")
    with pytest.raises(MediaBroken):
        for lane in range(3, 60):
            list(reader.feed(bytes([lane]) + b"\0\0\0" + length + b"\x09\1\0\0\0" + bytes(1024 * 1024)))
            assert 1024 * 1024 * (lane - 2) <= PENDING_BYTES_MAX


def test_an_aggregate_gives_its_parts_at_their_times() -> None:
    def inner(kind: int, time: int, body: bytes) -> bytes:
        head = bytes([kind]) + len(body).to_bytes(3, "big") + time.to_bytes(3, "big") + b"\0\0\0\0"
        return head + body + pack(">I", 11 + len(body))

    whole = Message(Kind.AGGREGATE, 5000, 1, inner(9, 100, b"v") + inner(8, 123, b"a"))
    assert [(one.kind, one.timestamp, one.payload) for one in rtmp.aggregated(whole)] == [
        (9, 5000, b"v"),
        (8, 5023, b"a"),
    ]
