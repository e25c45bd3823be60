"""Order in the rooms of this process, as news brings it: regulations read anew, texts taken back, reviewed, recalled.

The hub owns the rooms and hears; what is heard of order is handled here. Each room's `Keeper` judges by itself.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol
from uuid import UUID

from laotie import live
from laotie.base.db import Database, Tx
from laotie.base.events import Event
from laotie.base.ids import ShowId
from laotie.events import fans as follows
from laotie.events import live as shows
from laotie.gateway import frames
from laotie.gateway.keeper import Keeper
from laotie.gateway.room import Room
from laotie.gateway.sayings import SayingStore

CHAT_RECALLED_MAX = 50


class Rooms(Protocol):
    """The hub, as far as order needs it."""

    rooms: dict[ShowId, Room]

    def spawn(self, work: Any) -> None: ...
    async def again(self, read: Callable[[], Any]) -> Any: ...
    def sockets_of(self, account_id: UUID) -> list[Any]: ...
    def tell_gateways(self, room: Room, waiting: frames.WaitingText) -> None: ...


class Discipline:
    """What the hub does for order."""

    def __init__(self, hub: Rooms, db: Database, store: SayingStore) -> None:
        self._hub = hub
        self._db = db
        self._store = store
        self._stale: set[ShowId] = set()

    def ears(self) -> dict[type[Event], Callable[[Any], None]]:
        """What is listened to."""
        return {
            shows.RegulationsChanged: self._regulations_changed,
            shows.SayingDeleted: self._saying_deleted,
            shows.SayingReviewed: self._saying_reviewed,
            follows.Followed: self._followed,
            follows.Unfollowed: self._followed,
        }

    async def open(self, tx: Tx, room: Room) -> None:
        """Give a new room its keeper, and what was said in it before."""
        room.keeper = Keeper(await live.read_regulations(tx, room.show_id))
        room.recall([_said(one) for one in await live.latest_sayings(tx, room.show_id, limit=CHAT_RECALLED_MAX)])

    def waits(self, room: Room, waiting: frames.WaitingText) -> None:
        """A text waits for review: the moderators who are here hear of it."""
        room.claim(waiting.id, waiting.from_.id)
        room.tell_moderators(frames.encode(frames.Waiting(saying=waiting)))

    def hold(self, room: Room, waiting: frames.WaitingText) -> None:
        """The same, said here: the other gateways hear of it too."""
        self.waits(room, waiting)
        self._hub.tell_gateways(room, waiting)

    def keep(self, show_id: ShowId, said: frames.Said) -> None:
        """The room was shown this."""
        self._store.keep(
            show_id,
            live.Saying(
                id=said.id,
                viewer_id=said.from_.id,
                name=said.from_.name,
                level=said.from_.level,
                text=said.text,
                said_at=said.at,
            ),
        )

    def _regulations_changed(self, event: shows.RegulationsChanged) -> None:
        for show_id, room in self._hub.rooms.items():
            if event.room_id is None or room.keeper is None or room.keeper.room_id == event.room_id:
                self._stale.add(show_id)
        if self._stale:
            self._hub.spawn(self._read_regulations())

    async def _read_regulations(self) -> None:
        """Read the order of rooms anew, each once however often it changed meanwhile, and have everybody feel it."""
        while self._stale:
            show_id = self._stale.pop()
            regulations = await self._hub.again(partial(self._find_regulations, show_id))
            room = self._hub.rooms.get(show_id)
            if room is None:
                continue
            before, room.keeper = room.keeper, Keeper(regulations)
            rules = frames.rules_of(regulations.rules)
            if before is None or frames.rules_of(before.rules) != rules:
                room.put(("rules", None), frames.encode(rules))
            room.picture = None
            for member in list(room.members):
                member.regulate()

    async def _find_regulations(self, show_id: ShowId) -> live.Regulations:
        async with self._db.read() as tx:
            return await live.read_regulations(tx, show_id)

    def _saying_deleted(self, event: shows.SayingDeleted) -> None:
        room = self._hub.rooms.get(event.show_id)
        if room is not None:
            room.unsay(event.saying_id)

    def _saying_reviewed(self, event: shows.SayingReviewed) -> None:
        room = self._hub.rooms.get(event.show_id)
        if room is None:
            return
        if event.approved:
            said = frames.Said(
                id=event.saying_id,
                from_=frames.Speaker(id=event.viewer_id, name=event.name, level=event.level),
                text=event.text,
                at=event.at,
            )
            room.say(event.viewer_id, frames.encode(said), here=False, said=said)
        room.tell_moderators(frames.encode(frames.Decided(id=event.saying_id, approved=event.approved)))
        payload = frames.encode(frames.Reviewed(re=event.saying_id, approved=event.approved))
        for socket in self._hub.sockets_of(event.viewer_id):
            if socket.room is room:
                socket.send(payload)

    def _followed(self, event: follows.Followed | follows.Unfollowed) -> None:
        for socket in self._hub.sockets_of(event.viewer_id):
            room = socket.room
            if room is not None and room.keeper is not None and room.keeper.streamer_id == event.streamer_id:
                socket.follows_since(event.at if isinstance(event, follows.Followed) else None)


def _said(saying: live.Saying) -> frames.Said:
    return frames.Said(
        id=saying.id,
        from_=frames.Speaker(id=saying.viewer_id, name=saying.name, level=saying.level),
        text=saying.text,
        at=saying.said_at,
    )
