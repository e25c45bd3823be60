"""What one connection, one viewer and one address may do. Every bound of the gateway stands here."""

import msgspec


class Pace:
    """A steady rate with room for a burst (the generic cell rate algorithm, ITU-T I.371): one float of state a user."""

    __slots__ = ("every_s", "slack_s")

    def __init__(self, *, per_s: float, burst: int) -> None:
        assert per_s > 0 and burst >= 1
        self.every_s = 1 / per_s
        self.slack_s = (burst - 1) / per_s

    def take(self, due: float, now: float, count: int = 1) -> float | None:
        """The state after `count` more, or `None` when that is too fast. The state of a newcomer is 0."""
        if due < now:
            due = now
        if due - now > self.slack_s + 1e-9:
            return None
        return due + self.every_s * count


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds, with the values used unless a benchmark or a test says otherwise."""

    hello_s: float = 5.0
    beat_s: int = 10
    beat_slack_s: float = 5.0
    idle_s: float = 45.0
    closing_s: float = 2.0

    frames_per_s: float = 20.0
    frames_burst: int = 60
    chats_per_s: float = 1.0
    chats_burst: int = 5
    buys_per_s: float = 5.0
    buys_burst: int = 10
    likes_per_s: float = 20.0
    likes_burst: int = 100
    resyncs_per_s: float = 0.2
    resyncs_burst: int = 3
    strikes_per_s: float = 0.2
    strikes_burst: int = 20
    """Refused frames that a connection may cause before it is closed."""

    clicks_per_s: float = 2.0
    clicks_burst: int = 20
    penalty_s: float = 5.0
    penalty_s_max: float = 300.0
    """How long an account that was closed for abuse stays out; doubled each time, forgotten after as long in peace."""
    handshakes_per_s: float = 50.0
    handshakes_burst: int = 512
    """Connections one address may open; loopback is exempt."""

    sockets_max: int = 50_000
    sockets_per_viewer_max: int = 8
    sockets_per_address_max: int = 512
    """Loopback is exempt: behind a proxy that is not declared in `trusted_proxies`, everybody comes from there."""
    tickets_seen_max: int = 500_000

    frame_bytes_max: int = 16_384
    frame_bytes_hard_max: int = 65_536
    """Beyond the first a frame is refused; beyond the second it is not read and the connection closed."""
    chat_length_max: int = 200

    window_s: float = 0.05
    chats_per_window_max: int | None = 20
    chats_per_sender_max: int = 3
    """Within one window. `None` for `chats_per_window_max` turns sampling off."""
    notices_every_s: float = 1.0
    counts_every_s: float = 0.5
    sales_per_window_max: int = 40
    slice_size: int = 256
    """Sockets written to in one turn of the loop, so that a buy's answer never waits for a whole room."""

    history_frames_max: int = 2_000
    history_bytes_max: int = 512 * 1024
    chat_kept_max: int = 50
    snapshot_s: float = 1.0
    room_kept_s: float = 30.0
    """How long an empty room keeps its history."""

    lean_bytes: int = 64 * 1024
    waiting_bytes_max: int = 256 * 1024
    """Beyond the first, waiting bytes make a connection lean (no chat); beyond the second it is closed."""
    send_buffer_bytes: int = 128 * 1024
    read_buffer_bytes: int = 2_048


def is_loopback(address: str) -> bool:
    """Whether an address is this machine's own."""
    return address == "::1" or address.startswith("127.")
