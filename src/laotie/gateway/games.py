"""Activities in the room: what they are now becomes frames, what viewers do goes to the desk, likes cheer in duels.

A change is read again from the database, merged while a read is under way, so that ten thousand grabs a second become a
few frames. What a viewer did is answered at once and alone; what everybody sees is the whole activity, the last one wins.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from laotie import fun
from laotie.base.bus import Bus, Subscription
from laotie.base.db import Database, Tx
from laotie.base.events import Event, decode, tag_of
from laotie.base.ids import ShowId, ViewerId
from laotie.base.logs import log
from laotie.base.money import Money
from laotie.base.refusals import Refusal, Unavailable
from laotie.events import fun as news
from laotie.gateway import frames
from laotie.gateway.socket import Bug
from laotie.identity import Actor

if TYPE_CHECKING:
    from laotie.gateway.room import Room
    from laotie.gateway.socket import RoomSocket

CHEER_EVERY_S = 1.0
CHEERS_WAITING_MAX = 5_000
READS_MAX = 20
READ_AGAIN_S = 0.5


class Crowd(Protocol):
    """Finds the sockets of one account in this process."""

    def sockets_of(self, account_id: UUID) -> list[Any]: ...


class Games:
    """All activities that this process's rooms show."""

    def __init__(self, db: Database, bus: Bus, rooms: "dict[ShowId, Room]", crowd: Crowd, desk: fun.Desk) -> None:
        self._db = db
        self._bus = bus
        self._rooms = rooms
        self._crowd = crowd
        self._desk = desk
        self._loop = asyncio.get_running_loop()
        self._dirty: set[fun.ActivityId] = set()
        self._reading = False
        self._duels: dict[ShowId, fun.ActivityId] = {}
        self._cheers: dict[tuple[ShowId, ViewerId], int] = {}
        self._subscriptions: list[Subscription] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Listen, and cheer once a second."""
        ears: dict[type[Event], Callable[[Any], None]] = {
            news.ActivityChanged: self._changed,
            news.PrizeWon: self._won,
            news.BargainHelped: self._helped,
        }
        for kind, hear in ears.items():
            tag = tag_of(kind)
            self._subscriptions.append(self._bus.subscribe(f"events.{tag}", partial(_hear, tag, hear)))
        self._spawn(self._keep_cheering())

    async def stop(self) -> None:
        """Hear no more."""
        for subscription in self._subscriptions:
            subscription.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def snapshot(self, tx: Tx, show_id: ShowId) -> bytes:
        """The activities of a welcome."""
        running = await fun.list_running(tx, show_id)
        for activity in running:
            self._note_duel(activity)
        return frames.encode(running)

    # What viewers do.

    def take_part(
        self, socket: "RoomSocket", frame: "frames.Grab | frames.Enter | frames.Vote | frames.Answer | frames.Help"
    ) -> None:
        """Hand it to the desk; the answer goes to this socket alone."""
        assert socket.ticket is not None
        self._desk.submit(
            fun.Ask(
                subject_id=frame.id,
                viewer_id=socket.ticket.viewer_id,
                has_account=socket.ticket.account_id is not None,
                nonce=getattr(frame, "nonce", ""),
                choice=getattr(frame, "choice", None),
                is_help=isinstance(frame, frames.Help),
            ),
            partial(_answer, socket, frame.id),
        )

    def liked(self, show_id: ShowId, viewer_id: ViewerId, count: int) -> None:
        """Hearts of an account count in a duel that its room is in."""
        if show_id not in self._duels:
            return
        key = (show_id, viewer_id)
        if key in self._cheers or len(self._cheers) < CHEERS_WAITING_MAX:
            self._cheers[key] = self._cheers.get(key, 0) + count

    async def _keep_cheering(self) -> None:
        while True:
            await asyncio.sleep(CHEER_EVERY_S)
            await self.cheer()

    async def cheer(self) -> None:
        """Put down what was liked since the last time."""
        waiting, self._cheers = self._cheers, {}
        cheers = [
            fun.Cheer(self._duels[show_id], show_id, viewer_id, likes=count)
            for (show_id, viewer_id), count in waiting.items()
            if show_id in self._duels
        ]
        if not cheers:
            return
        try:
            async with self._db.tx() as tx:
                await fun.cheer_many(tx, cheers)
        except Unavailable:
            log.info("cheers were lost while the database was away", count=len(cheers))
        except Exception:
            log.exception("cheers could not be put down")

    # News.

    def _changed(self, event: news.ActivityChanged) -> None:
        if not any(show_id in self._rooms for show_id in event.show_ids):
            return
        self._dirty.add(fun.ActivityId(event.activity_id))
        if not self._reading:
            self._reading = True
            self._spawn(self._read())

    async def _read(self) -> None:
        """Read what changed; what changes during a read is read in the next turn."""
        try:
            while wanted := sorted(self._dirty):
                self._dirty = set()
                for activity in await self._again(partial(fun.find_activities, activity_ids=wanted)):
                    self._show(activity)
        finally:
            self._reading = False

    def _show(self, activity: fun.Activity) -> None:
        if activity.state in (fun.State.ready, fun.State.invited) or (
            activity.state is fun.State.cancelled and activity.opens_at is None
        ):
            return self._tell_sides(activity)
        self._note_duel(activity)
        frame = b'{"t":"activity",' + frames.encode(activity)[1:]
        for show_id in _shows_of(activity):
            room = self._rooms.get(show_id)
            if room is not None:
                room.put(("activity", activity.id), frame)
        return None

    def _tell_sides(self, activity: fun.Activity) -> None:
        """What is only planned or asked for is news for the shows' own people."""
        frame = b'{"t":"activity",' + frames.encode(activity)[1:]
        for show_id in _shows_of(activity):
            room = self._rooms.get(show_id)
            if room is not None:
                room.tell_staff(frame)

    def _note_duel(self, activity: fun.Activity) -> None:
        if activity.pk is None:
            return
        for side in activity.pk.sides:
            if activity.state is fun.State.open:
                self._duels[side.show_id] = activity.id
            elif self._duels.get(side.show_id) == activity.id:
                del self._duels[side.show_id]

    def _won(self, event: news.PrizeWon) -> None:
        sockets = self._crowd.sockets_of(event.viewer_id)
        if sockets:
            amount = Money(event.amount, event.currency) if event.amount else None
            payload = frames.encode(frames.Won(activity=event.activity_id, prize=event.prize, amount=amount))
            for socket in sockets:
                socket.send(payload)

    def _helped(self, event: news.BargainHelped) -> None:
        if self._crowd.sockets_of(event.buyer_id):
            self._spawn(self._show_bargain(event))

    async def _show_bargain(self, event: news.BargainHelped) -> None:
        buyer = Actor(viewer_id=event.buyer_id, account_id=None)
        bargain = await self._again(
            partial(fun.get_bargain, actor=buyer, bargain_id=fun.BargainId(event.bargain_id))
        )
        payload = b'{"t":"bargain",' + frames.encode(bargain)[1:]
        for socket in self._crowd.sockets_of(event.buyer_id):
            socket.send(payload)

    async def _again(self, read: Callable[[Tx], Awaitable[Any]]) -> Any:
        for _ in range(READS_MAX):
            try:
                async with self._db.read() as tx:
                    return await read(tx)
            except Unavailable:
                await asyncio.sleep(READ_AGAIN_S)
        raise Unavailable(part="database")

    def _spawn(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task of the games failed", error=repr(error), exc_info=error)


def _hear(tag: str, hear: Callable[[Any], None], _subject: str, payload: bytes) -> None:
    hear(decode(tag, payload))


def _shows_of(activity: fun.Activity) -> list[ShowId]:
    return [side.show_id for side in activity.pk.sides] if activity.pk is not None else [activity.show_id]


def _answer(socket: "RoomSocket", re: UUID, answer: fun.Entered | BaseException) -> None:
    if isinstance(answer, fun.Entered):
        if answer.bargain_id is not None or answer.activity_id != re:
            assert answer.amount is not None
            helped = frames.Helped(re=re, no=answer.no, head=answer.head, cut=answer.amount, price=answer.price)
            socket.send(frames.encode(helped))
        else:
            socket.send(
                frames.encode(
                    frames.Entered(
                        re=re,
                        no=answer.no,
                        head=answer.head,
                        choice=answer.choice,
                        amount=answer.amount,
                        again=answer.again,
                    )
                )
            )
    elif isinstance(answer, Refusal):
        socket.refuse(answer, re)
    else:
        log.error("an entry failed", error=repr(answer))
        socket.refuse(Bug(), re)
