"""Chat: what a text must be to be said, and which texts are shown when more is said than anyone can read."""

import random
from uuid import UUID

from laotie.base.refusals import Invalid
from laotie.base.texts import UNSEEN, plain_line

__all__ = ["UNSEEN", "ChatEmpty", "ChatTooLong", "Sample", "clean"]


class ChatEmpty(Invalid, code="chat-empty"):
    """There is nothing to say in this text."""


class ChatTooLong(Invalid, code="chat-too-long"):
    """The text is too long."""

    length_max: int


def clean(text: str, *, length_max: int) -> str:
    """The text as it is shown: NFC, one line, nothing unseen. Refuses what is empty or too long after that."""
    cleaned = plain_line(text)
    if not cleaned:
        raise ChatEmpty()
    if len(cleaned) > length_max:
        raise ChatTooLong(length_max=length_max)
    return cleaned


class Sample:
    """The chat of one window. When there is more than fits, every sender has the same chance.

    Senders are drawn by reservoir sampling (Vitter's algorithm R), then their texts are taken in turns; what is chosen
    keeps its order of arrival. Memory is bounded by the window's size.
    """

    __slots__ = ("_by_sender", "_count", "_per_sender_max", "_senders_seen", "_window_max", "dropped")

    def __init__(self, window_max: int | None, per_sender_max: int) -> None:
        self._window_max = window_max
        self._per_sender_max = per_sender_max
        self._by_sender: dict[UUID, list[tuple[int, bytes]]] = {}
        self._senders_seen = 0
        self._count = 0
        self.dropped = 0

    def __len__(self) -> int:
        return self._count

    def add(self, sender: UUID, frame: bytes) -> None:
        """Something was said."""
        self._count += 1
        said = self._by_sender.get(sender)
        if said is not None:
            if self._window_max is None or len(said) < self._per_sender_max:
                said.append((self._count, frame))
            else:
                self.dropped += 1
            return
        self._senders_seen += 1
        if self._window_max is not None and len(self._by_sender) >= self._window_max:
            place = random.randrange(self._senders_seen)  # noqa: S311 (a fair draw, not a secret)
            if place >= self._window_max:
                self.dropped += 1
                return
            out = list(self._by_sender)[place]
            self.dropped += len(self._by_sender.pop(out))
        self._by_sender[sender] = [(self._count, frame)]

    def take(self) -> list[bytes]:
        """What the room gets to see of this window; the next one starts empty."""
        chosen: list[tuple[int, bytes]] = []
        rows = list(self._by_sender.values())
        if self._window_max is None:
            chosen = [said for row in rows for said in row]
        else:
            for turn in range(self._per_sender_max):
                chosen.extend(row[turn] for row in rows if len(row) > turn)
            self.dropped += max(0, len(chosen) - self._window_max)
            del chosen[self._window_max :]
        chosen.sort()
        self._by_sender = {}
        self._senders_seen = self._count = 0
        return [frame for _, frame in chosen]
