"""The hub: the rooms of this process, and the news that becomes frames in them.

Listens on the bus to what the house has committed. What a frame needs beyond the fact itself (a cart item as a whole, a
show's title) is read again from the database, merged while a read is under way, so frames show a state at least as new
as the fact they follow. Snapshots for joins are read once and shared for a moment.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial
from typing import Any, Protocol
from uuid import UUID

import msgspec
from picows import WSCloseCode

from laotie import catalog, identity, live
from laotie.base.bus import Bus, Subscription
from laotie.base.db import Database, Tx
from laotie.base.events import Event, decode, tag_of
from laotie.base.ids import AccountId, CartItemId, ShowId, SkuId
from laotie.base.logs import log
from laotie.base.money import Money
from laotie.base.refusals import NotFound, Refusal, TooBusy, Unavailable
from laotie.events import catalog as goods
from laotie.events import identity as people
from laotie.events import live as shows
from laotie.events import messages as notices
from laotie.events import orders as sales
from laotie.gateway import frames
from laotie.gateway.discipline import Discipline
from laotie.gateway.games import Games
from laotie.gateway.limits import Limits
from laotie.gateway.room import Picture, Room
from laotie.gateway.sayings import SayingStore

READ_AGAIN_S = 0.5
READS_MAX = 20
ROOMS_MAX = 20_000
SAID_ABROAD_MAX = 1_000
STOCK_REMEMBERED_MAX = 100_000
SALES_WAITING_MAX = 500
"""Sales of one show that wait for their buyers' names; more are told with what is known."""
Pile = tuple[SkuId, UUID | None]
"""Pieces of a SKU: those on the shelf, or those a wave has aside."""
NOBODY = UUID(int=0)
STOCK_RESTS_S = 2.0
"""Several relays may carry two changes of one SKU in the wrong order: once it rests, the shelf itself is asked."""


class Guest(Protocol):
    """A socket that wants into a room (see `RoomSocket`)."""

    room: Room | None

    @property
    def shutting(self) -> bool: ...
    def turned_away(self, room: Room) -> bool: ...
    def entered(self, room: Room) -> None: ...
    def welcome(self, picture: Picture) -> None: ...
    def resume(self, missed: bytes) -> None: ...
    def refuse(self, refusal: Refusal, re: UUID | None = None) -> None: ...
    def bye(self, code: str, reason: str, close: WSCloseCode = ...) -> None: ...


class Crowd(Protocol):
    """Finds the sockets of one account in this process."""

    def sockets_of(self, account_id: UUID) -> list[Any]: ...


class AbroadNews(msgspec.Struct, frozen=True):
    """What one gateway tells the others of a room that they share."""

    origin: UUID
    said: list[frames.Said] = []
    likes: int = 0
    waiting: list[frames.WaitingText] = []


class _ChannelNews(msgspec.Struct, frozen=True):
    channel_id: UUID


class Hub:
    """Rooms by show. `start` before the first socket, `stop` after the last."""

    def __init__(
        self,
        db: Database,
        bus: Bus,
        limits: Limits,
        crowd: Crowd,
        *,
        origin: UUID,
        store: SayingStore,
        playback: Callable[[live.Show], live.Playback | None] | None = None,
    ) -> None:
        self._db = db
        self._bus = bus
        self._limits = limits
        self._crowd = crowd
        self._origin = origin
        self._playback = playback or (lambda show: show.playback)
        self._liked: dict[ShowId, int] = {}
        self._loop = asyncio.get_running_loop()
        self.rooms: dict[ShowId, Room] = {}
        self.order = Discipline(self, db, store)
        self._by_sku: dict[SkuId, set[ShowId]] = {}
        self._entering: dict[ShowId, list[tuple[Guest, int | None]]] = {}
        self._dirty: dict[ShowId, set[CartItemId]] = {}
        self._sales: dict[ShowId, list[sales.OrderPlaced | sales.OrderPaid]] = {}
        self._stock: dict[Pile, tuple[int, float]] = {}
        self._stock_at: dict[Pile, datetime] = {}
        self._subscriptions: list[Subscription] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.games: Games | None = None
        """The activities of these rooms."""

    def start(self) -> None:
        """Listen."""
        for kind, hear in self._ears().items():
            tag = tag_of(kind)
            self._subscriptions.append(self._bus.subscribe(f"events.{tag}", self._listener(tag, hear)))
        self._subscriptions.append(self._bus.subscribe("events.media.*", self._picture_changed))
        self._subscriptions.append(self._bus.subscribe("room.*", self._hear_abroad))

    async def stop(self) -> None:
        """Hear and say no more."""
        for subscription in self._subscriptions:
            subscription.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for room in self.rooms.values():
            room.close()
        self.rooms.clear()

    # Coming in.

    def enter(self, guest: Guest, show_id: ShowId, resume: int | None) -> None:
        """Let a socket into its show's room: at once when a snapshot is at hand, else when one has been read.

        A socket that is in already gets a fresh welcome.
        """
        room = self.rooms.get(show_id)
        if room is not None and self._admit(guest, room, resume):
            return
        waiting = self._entering.setdefault(show_id, [])
        waiting.append((guest, resume))
        if len(waiting) == 1:
            self._spawn(self._open(show_id))

    def _admit(self, guest: Guest, room: Room, resume: int | None) -> bool:
        if guest.shutting:
            return True
        missed = room.since(resume) if resume is not None else None
        picture = room.fresh_picture() if missed is None else None
        if missed is None and picture is None:
            return False
        if guest.room is None:
            if guest.turned_away(room):
                return True
            guest.entered(room)
        if missed is not None:
            guest.resume(missed)
        elif picture is not None:
            guest.welcome(picture)
        return True

    async def _open(self, show_id: ShowId) -> None:
        """Read the show for everybody who waits at its door."""
        refusal: Refusal | None = None
        try:
            await self._read_snapshot(show_id)
        except Refusal as refused:
            refusal = refused
        except Exception:
            log.exception("a room could not be opened", show_id=str(show_id))
            refusal = TooBusy()
        waiting = self._entering.pop(show_id, [])
        room = self.rooms.get(show_id)
        for guest, resume in waiting:
            if refusal is None and room is not None and self._admit(guest, room, resume):
                continue
            refusal = refusal or TooBusy()
            guest.refuse(refusal)
            if guest.room is None:
                close = WSCloseCode.POLICY_VIOLATION if refusal.status < 500 else WSCloseCode.TRY_AGAIN_LATER
                guest.bye(refusal.code, refusal.title, close)

    async def _read_snapshot(self, show_id: ShowId) -> None:
        room = self.rooms.get(show_id)
        mark = room.mark() if room is not None else None
        async with self._db.read() as tx:
            snapshot = await live.snapshot(tx, show_id)
            activities = await self._look_at_games(tx, show_id)
        if room is None:
            if len(self.rooms) >= ROOMS_MAX:
                raise TooBusy()
            room = Room(show_id, self._limits, tell_abroad=self._tell_abroad, keep=self.order.keep)
            room.likes = snapshot.show.like_count
            room.liked_here = self._liked.pop(show_id, 0)
            room.empty_since = self._loop.time()
            self.rooms[show_id] = room
            # Facts committed while the first snapshot was being read had no room to go to: read once more, with ears.
            try:
                async with self._db.read() as tx:
                    await self.order.open(tx, room)
                    mark = room.mark()
                    snapshot = await live.snapshot(tx, show_id)
                    activities = await self._look_at_games(tx, show_id)
            except BaseException:
                del self.rooms[show_id]  # a room without its keeper is not opened
                raise
        assert mark is not None
        for item in snapshot.cart:
            self._index(room, item.id, _skus_of(item), _sells_from(item))
        cover, playback = self._look(snapshot.show)
        show = msgspec.structs.replace(
            snapshot.show, viewer_count=room.viewer_count, like_count=room.likes, cover=cover, playback=playback
        )
        room.paint(mark, frames.encode(show), frames.encode(snapshot.cart), activities)

    async def _look_at_games(self, tx: Tx, show_id: ShowId) -> bytes:
        return await self.games.snapshot(tx, show_id) if self.games is not None else b"[]"

    def sweep(self, now: float) -> None:
        """Let go of rooms that have been empty for a while; look once more at stock that has come to rest."""
        resting = {pile: told for pile, (told, at) in self._stock.items() if now - at > STOCK_RESTS_S}
        if resting:
            for pile in resting:
                del self._stock[pile]
            self._spawn(self._settle_stock(resting))
        for show_id, room in list(self.rooms.items()):
            if not room.members and show_id not in self._entering and now - room.empty_since > self._limits.room_kept_s:
                for item_id in list(room.skus):
                    self._index(room, item_id, frozenset())
                room.close()
                if room.liked_here:
                    self._liked[show_id] = room.liked_here
                del self.rooms[show_id]

    # News.

    def _ears(self) -> dict[type[Event], Callable[[Any], None]]:
        return {
            goods.StockChanged: self._stock_changed,
            goods.AsideChanged: self._stock_changed,
            shows.ShowStarted: self._show_changed,
            shows.ShowEnded: self._show_changed,
            shows.ShowChanged: self._show_changed,
            shows.CartItemChanged: self._item_changed,
            shows.CartItemRemoved: self._item_removed,
            shows.ItemPinned: self._item_pinned,
            **self.order.ears(),
            shows.IngestRefused: self._publisher_refused,
            sales.OrderPlaced: self._order_placed,
            sales.OrderPaid: self._order_paid,
            sales.OrderCancelled: self._order_cancelled,
            sales.OrderRefunded: self._order_refunded,
            sales.OrderShipped: self._order_shipped,
            sales.OrderCompleted: self._order_completed,
            notices.Noticed: self._noticed,
            people.SessionsEnded: self._signed_out,
            people.AccountErased: self._signed_out,
            people.SeatRevoked: self._signed_out,
        }

    def _listener(self, tag: str, hear: Callable[[Any], None]) -> Callable[[str, bytes], None]:
        def listen(_subject: str, payload: bytes) -> None:
            hear(decode(tag, payload))

        return listen

    def hear_at_once(self, told: list[Event]) -> None:
        """What this process has just committed: a sale's stock is shown without waiting for the relay."""
        for event in told:
            if isinstance(event, goods.StockChanged | goods.AsideChanged):
                self._stock_changed(event)

    def _stock_changed(self, event: goods.StockChanged | goods.AsideChanged) -> None:
        if event.sku_id not in self._by_sku:
            return
        pile = (event.sku_id, event.aside_id if isinstance(event, goods.AsideChanged) else None)
        if event.at is not None:
            if event.at < self._stock_at.get(pile, event.at):
                return  # the relay brings again, later, what was heard at once
            if len(self._stock_at) >= STOCK_REMEMBERED_MAX:
                self._stock_at.clear()
            self._stock_at[pile] = event.at
        self._stock[pile] = (event.available, self._loop.time())
        self._show_stock(pile, event.available)

    def _show_stock(self, pile: Pile, available: int) -> None:
        """To the rooms that sell from this pile: an item with a wave sells from what the wave has aside."""
        sku_id, aside_id = pile
        frame = frames.encode(frames.Stock(sku=sku_id, available=available))
        for show_id in self._by_sku.get(sku_id, ()):
            room = self.rooms[show_id]
            if room.waves.get(sku_id) == aside_id:
                room.put(("stock", sku_id), frame)

    async def _settle_stock(self, told: dict[Pile, int]) -> None:
        async def read() -> dict[Pile, int]:
            async with self._db.read() as tx:
                skus = await catalog.find_skus(tx, [sku_id for sku_id, aside_id in told if aside_id is None])
                asides = await catalog.find_asides(tx, [aside_id for _, aside_id in told if aside_id is not None])
            found: dict[Pile, int] = {(sku.id, None): sku.available for sku in skus.values()}
            return found | {(one.sku_id, one.id): one.remaining for of in asides.values() for one in of.values()}

        for pile, available in (await self._again(read)).items():
            if pile in told and available != told[pile] and pile not in self._stock:
                self._show_stock(pile, available)

    def _item_changed(self, event: shows.CartItemChanged) -> None:
        self._read_item_soon(event.show_id, event.item_id)

    def _item_removed(self, event: shows.CartItemRemoved) -> None:
        self._read_item_soon(event.show_id, event.item_id)

    def _item_pinned(self, event: shows.ItemPinned) -> None:
        room = self.rooms.get(event.show_id)
        if room is not None:
            room.put(("pin", None), frames.encode(frames.Pin(item=event.item_id, at=event.at)))

    def _show_changed(self, event: shows.ShowStarted | shows.ShowEnded | shows.ShowChanged) -> None:
        if event.show_id in self.rooms:
            self._spawn(self._read_show(event.show_id))

    def _picture_changed(self, _subject: str, payload: bytes) -> None:
        """A channel bears its show's id."""
        show_id = ShowId(msgspec.json.decode(payload, type=_ChannelNews).channel_id)
        if show_id in self.rooms:
            self._spawn(self._read_show(show_id))

    def _publisher_refused(self, event: shows.IngestRefused) -> None:
        """The desk sees why its encoder does not come in."""
        room = self.rooms.get(event.show_id) if event.show_id is not None else None
        if room is not None:
            facts = {name: getattr(event, name) for name in frames.IngestRefused.__struct_fields__}
            room.tell_staff(frames.encode(frames.IngestRefused(**facts)))

    def _order_placed(self, event: sales.OrderPlaced) -> None:
        room = self.rooms.get(event.show_id) if event.show_id is not None else None
        if room is None:
            return
        room.notice_purchase(_initial(room.name_of(event.buyer_id)), event.lines[0].title)
        self._tell_staff_soon(room, event)

    def _order_paid(self, event: sales.OrderPaid) -> None:
        self._tell_buyer(event.buyer_id, frames.Paid(order=event.order_id))
        room = self.rooms.get(event.show_id) if event.show_id is not None else None
        if room is not None:
            self._tell_staff_soon(room, event)

    def _order_cancelled(self, event: sales.OrderCancelled) -> None:
        self._tell_buyer(event.buyer_id, frames.OrderMoved(order=event.order_id, state="cancelled"))

    def _order_refunded(self, event: sales.OrderRefunded) -> None:
        self._tell_buyer(event.buyer_id, frames.OrderMoved(order=event.order_id, state="refunded"))

    def _order_shipped(self, event: sales.OrderShipped) -> None:
        self._tell_buyer(event.buyer_id, frames.OrderMoved(order=event.order_id, state="shipped"))

    def _order_completed(self, event: sales.OrderCompleted) -> None:
        self._tell_buyer(event.buyer_id, frames.OrderMoved(order=event.order_id, state="completed"))

    def _noticed(self, event: notices.Noticed) -> None:
        payload: bytes | None = None
        for viewer_id in event.viewer_ids:
            for socket in self._crowd.sockets_of(viewer_id):
                if payload is None:
                    payload = frames.encode(
                        frames.Notice(
                            id=event.message_id, kind=event.kind, facts=event.facts, link=event.link, at=event.at
                        )
                    )
                socket.send(payload)

    def _tell_buyer(self, buyer_id: AccountId, frame: frames.Down) -> None:
        sockets = self._crowd.sockets_of(buyer_id)
        if sockets:
            payload = frames.encode(frame)
            for socket in sockets:
                socket.send(payload)

    def _signed_out(self, event: people.SessionsEnded | people.AccountErased | people.SeatRevoked) -> None:
        """Close the account's sockets; who still has a session comes back with a new ticket."""
        for socket in self._crowd.sockets_of(event.account_id):
            socket.bye("rights-changed", "your sign-in or your rights have changed; come back with a new ticket")

    def _tell_staff_soon(self, room: Room, event: sales.OrderPlaced | sales.OrderPaid) -> None:
        """In the order of the facts: what comes during a look-up waits for it."""
        if not room.staff:
            return
        waiting = self._sales.get(room.show_id)
        if waiting is None:
            self._sales[room.show_id] = [event]
            self._spawn(self._tell_staff(room))
        elif len(waiting) < SALES_WAITING_MAX:
            waiting.append(event)
        else:
            room.tell_staff(_as_told(room, event, {}))

    # What a fact alone does not say.

    async def _tell_staff(self, room: Room) -> None:
        """Tell what waits. Who is not in the room is looked up, all of them in one query."""
        try:
            while events := self._sales[room.show_id]:
                self._sales[room.show_id] = []
                buyers = {event.buyer_id for event in events if isinstance(event, sales.OrderPlaced)}
                names = await self._find_names({buyer for buyer in buyers if room.name_of(buyer) is None})
                for event in events:
                    room.tell_staff(_as_told(room, event, names))
        finally:
            del self._sales[room.show_id]

    async def _find_names(self, account_ids: set[AccountId]) -> dict[AccountId, str]:
        if not account_ids:
            return {}
        try:
            async with self._db.read() as tx:
                profiles = await identity.find_profiles(tx, account_ids)
        except Unavailable:  # a sale is news without a name, too
            return {}
        return {profile.id: profile.name for profile in profiles.values()}

    def _read_item_soon(self, show_id: ShowId, item_id: CartItemId) -> None:
        if show_id not in self.rooms:
            return
        dirty = self._dirty.get(show_id)
        if dirty is None:
            self._dirty[show_id] = {item_id}
            self._spawn(self._read_items(show_id))
        else:
            dirty.add(item_id)

    async def _read_items(self, show_id: ShowId) -> None:
        """Read what changed; what changes during a read is read in the next turn."""
        try:
            while wanted := self._dirty[show_id]:
                self._dirty[show_id] = set()
                views = await self._again(partial(self._find_items, wanted))
                room = self.rooms.get(show_id)
                if room is None:
                    return
                for item_id in wanted:
                    self._show_item(room, item_id, views.get(item_id))
        finally:
            del self._dirty[show_id]

    async def _find_items(self, item_ids: set[CartItemId]) -> dict[CartItemId, live.CartItem]:
        async with self._db.read() as tx:
            found = [await live.cart_item_view(tx, item_id) for item_id in sorted(item_ids)]
        return {item.id: item for item in found if item is not None}

    def _show_item(self, room: Room, item_id: CartItemId, item: live.CartItem | None) -> None:
        if item is None:
            self._index(room, item_id, frozenset())
            room.put(("item", item_id), frames.encode(frames.Gone(item=item_id)))
            return
        self._index(room, item_id, _skus_of(item), _sells_from(item))
        room.put(("item", item_id), b'{"t":"item",' + frames.encode(item)[1:])

    async def _read_show(self, show_id: ShowId) -> None:
        async def read() -> live.Show:
            async with self._db.read() as tx:
                return await live.get_show(tx, show_id)

        show = await self._again(read)
        room = self.rooms.get(show_id)
        if room is not None:
            cover, playback = self._look(show)
            state = frames.ShowState(state=show.state, title=show.title, cover=cover, playback=playback)
            room.put(("show", None), frames.encode(state))
            room.picture = None

    def _look(self, show: live.Show) -> tuple[str | None, live.Playback | None]:
        """Cover and picture of a show: on air, a frame of the picture stands in for a cover."""
        playback = self._playback(show)
        return show.cover if show.cover or playback is None else live.poster_of(show.id), playback

    def sockets_of(self, account_id: UUID) -> list[Any]:
        """One account's sockets here."""
        return self._crowd.sockets_of(account_id)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Have this done; a failure is logged."""
        self._spawn(work)

    async def again(self, read: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Read until the database answers, within reason."""
        return await self._again(read)

    async def _again(self, read: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        for _ in range(READS_MAX):
            try:
                return await read()
            except Unavailable:
                await asyncio.sleep(READ_AGAIN_S)
        return await read()

    def _index(self, room: Room, item_id: CartItemId, skus: frozenset[SkuId], wave_id: UUID | None = None) -> None:
        """Keep the way from a SKU to the rooms that show it, and whether it sells from a wave there."""
        before = room.skus.pop(item_id, frozenset())
        for sku_id in before:
            room.waves.pop(sku_id, None)
        if skus:
            room.skus[item_id] = skus
        if wave_id is not None:
            room.waves |= dict.fromkeys(skus, wave_id)
        for sku_id in skus - before:
            self._by_sku.setdefault(sku_id, set()).add(room.show_id)
        for sku_id in before - skus:
            if any(sku_id in shown for shown in room.skus.values()):
                continue
            show_ids = self._by_sku.get(sku_id, set())
            show_ids.discard(room.show_id)
            if not show_ids:
                self._by_sku.pop(sku_id, None)

    # Several gateways, one room.

    def _tell_abroad(self, room: Room, said: list[bytes], likes: int) -> None:
        payload = b'{"origin":"%b","said":[%b],"likes":%d}' % (
            str(self._origin).encode(),
            b",".join(said[:SAID_ABROAD_MAX]),
            likes,
        )
        self._spawn(self._bus.publish(f"room.{room.show_id}", payload))

    def tell_gateways(self, room: Room, waiting: frames.WaitingText) -> None:
        """The other gateways' moderators hear of a text that waits."""
        news = AbroadNews(origin=self._origin, waiting=[waiting])
        self._spawn(self._bus.publish(f"room.{room.show_id}", frames.encode(news)))

    def _hear_abroad(self, subject: str, payload: bytes) -> None:
        if payload.startswith(b'{"origin":"%b"' % str(self._origin).encode()):
            return
        room = self.rooms.get(ShowId(UUID(subject.removeprefix("room."))))
        if room is None:
            return
        news = msgspec.json.decode(payload, type=AbroadNews)
        for said in news.said:
            room.say(said.from_.id, frames.encode(said), here=False, said=said)
        for waiting in news.waiting:
            self.order.waits(room, waiting)
        if news.likes:
            room.like(news.likes, here=False)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, NotFound):
            log.error("a hub task failed", error=repr(error), exc_info=error)


def _skus_of(item: live.CartItem) -> frozenset[SkuId]:
    return frozenset(sku.sku_id for sku in item.skus)


def _sells_from(item: live.CartItem) -> UUID | None:
    """Whose pieces: the open wave's; nobody's while one is only ready; the shelf's (nothing) without a wave."""
    if item.wave is None:
        return None
    return item.wave.id if item.wave.state is live.WaveState.open else NOBODY


def _initial(name: str | None) -> str:
    """Enough of a name to be a person, too little to know which."""
    return f"{name[0]}**" if name else "**"


def _as_told(
    room: Room, event: sales.OrderPlaced | sales.OrderPaid, names: dict[AccountId, str]
) -> bytes:
    if isinstance(event, sales.OrderPaid):
        return frames.encode(frames.SalePaid(order=event.order_id))
    name = room.name_of(event.buyer_id) or names.get(event.buyer_id, "")
    return frames.encode(frames.Sale(order=_brief(event, name)))


def _brief(event: sales.OrderPlaced, name: str) -> frames.SaleBrief:
    return frames.SaleBrief(
        id=event.order_id,
        buyer=name,
        total=Money(event.total_amount, event.currency),
        lines=tuple(
            frames.SaleLine(
                sku=line.sku_id,
                item=line.cart_item_id,
                title=line.title,
                qty=line.quantity,
                price=line.unit_price_amount,
            )
            for line in event.lines
        ),
        placed_at=event.placed_at,
    )
