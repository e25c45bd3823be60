"""One connection's life: ticket, welcome, frames both ways, and a close that says why.

Nothing that a client sends can raise past this file, and nothing it does not read can fill memory. Watch time is
measured here: only time between two beats that both said "visible", came in time, and acknowledged what had been sent.
"""

import asyncio
import math
import random
import socket as sockets
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from laotie.base import metrics
from laotie.base.ids import AccountId, ViewerId, new_id
from laotie.base.logs import log
from laotie.base.money import Money
from laotie.base.refusals import Conflict, IdReused, Invalid, Refusal, TooBusy, TooFast, Unauthenticated, Unreadable
from laotie.gateway import frames
from laotie.gateway.chat import clean
from laotie.gateway.limits import Pace
from laotie.gateway.room import Picture, Room
from laotie.lake import Act, Chatted, Clicked, Entered, Left, Liked, Stay, Watched
from laotie.live import HeldSaying, Right, Sanction, SanctionKind, Speaker, Ticket
from laotie.orders import Ask, AskLine, Placed

if TYPE_CHECKING:
    from laotie.gateway.door import Gateway

SAID_KEPT = 4
PULSE = frames.wrap(frames.encode(frames.Pulse()))


class HelloFirst(Conflict, code="hello-first"):
    """The first frame is a hello with a ticket."""


class HelloTwice(Conflict, code="hello-twice"):
    """This connection has said hello already."""


class FrameTooLarge(Invalid, code="frame-too-large"):
    """The frame is larger than any this door reads."""

    size_max: int


class VersionUnknown(Invalid, code="version-unknown"):
    """The room has not reached this version."""

    version: int


class Bug(Refusal, code="internal", status=500):
    """Something went wrong on our side; it has been noted."""


class Viewer:
    """One viewer's connections, and the paces that they share."""

    __slots__ = (
        "buy_due", "chat_due", "click_due", "frames_due", "gone_at", "like_due", "out_until", "penalty_s", "resyncs_due",
        "said", "sockets", "strikes_due",
    )  # fmt: skip

    def __init__(self) -> None:
        self.sockets: list[RoomSocket] = []
        self.frames_due = self.strikes_due = self.resyncs_due = self.click_due = self.out_until = self.penalty_s = 0.0
        self.chat_due = self.buy_due = self.like_due = self.gone_at = 0.0
        self.said: tuple[UUID, ...] = ()


def _nowhere(_frame: bytes) -> None:
    """Where a closed connection writes to."""


class RoomSocket(WSListener):
    """What picows calls for one connection. Slots only: a hundred thousand of these stand idle."""

    __slots__ = (
        "address",
        "beat_at",
        "closing_at",
        "followed_at",
        "frames_due",
        "gateway",
        "lean",
        "moderates",
        "opened_at",
        "rights",
        "room",
        "sent_then",
        "standing",
        "stay",
        "strikes_due",
        "tell",
        "ticket",
        "transport",
        "underlying",
        "viewer",
        "visible",
        "watched_ms",
        "write",
        "zero_us",
    )

    def __init__(self, gateway: "Gateway", address: str) -> None:
        self.gateway = gateway
        self.address = address
        self.ticket: Ticket | None = None
        self.viewer: Viewer | None = None
        self.room: Room | None = None
        self.lean = False
        self.moderates = False
        self.rights: frozenset[Right] = frozenset()
        self.followed_at: datetime | None = None
        self.standing: frames.You | None = None
        self.stay: Stay
        self.tell: Callable[[Act], None]
        self.visible = True
        self.watched_ms = 0
        self.zero_us = 0
        self.sent_then = 0
        self.frames_due = self.strikes_due = 0.0
        self.opened_at = self.beat_at = self.closing_at = 0.0
        self.write: Callable[[bytes], None] = _nowhere

    # Called by picows.

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.underlying = underlying = transport.underlying_transport
        limits = self.gateway.limits
        transport.request.headers.clear()
        transport.response.headers.clear()
        underlying.get_extra_info("socket").setsockopt(
            sockets.SOL_SOCKET, sockets.SO_SNDBUF, limits.send_buffer_bytes
        )
        underlying.set_write_buffer_limits(high=limits.lean_bytes, low=limits.lean_bytes // 4)
        self.write = underlying.write
        self.opened_at = self.beat_at = self.gateway.now()
        self.gateway.add(self)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.write = _nowhere
        self._leave()
        self.gateway.remove(self)

    def pause_writing(self) -> None:
        self.lean = True

    def resume_writing(self) -> None:
        self.lean = False

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if self.closing_at:
            if frame.msg_type == WSMsgType.CLOSE:
                transport.disconnect()
            return
        frame_in: frames.Upstream | None = None
        try:
            now = self.gateway.now()
            # Paces and strikes are the account's, however many sockets it opens; a stranger's are the connection's.
            payer = self.viewer or self
            due = self.gateway.frame_pace.take(payer.frames_due, now)
            if due is None:
                self._strike(TooFast(retry_after_s=1), now)
                return
            payer.frames_due = due
            kind = frame.msg_type
            if kind == WSMsgType.TEXT and frame.fin and not frame.rsv1:
                if frame.payload_size > self.gateway.limits.frame_bytes_max:
                    raise FrameTooLarge(size_max=self.gateway.limits.frame_bytes_max)
                frame_in = frames.read(frame.get_payload_as_memoryview())
                READ[type(frame_in)].inc()
                self._take(frame_in, now)
            elif kind == WSMsgType.CLOSE:
                self._close(WSCloseCode.OK, "")
                transport.disconnect()
            elif kind == WSMsgType.PING:
                if not self.lean:
                    transport.send_pong(frame.get_payload_as_bytes())
            elif kind != WSMsgType.PONG:
                self.bye("unreadable", "only whole text messages are read", WSCloseCode.UNSUPPORTED_DATA)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._strike(Unreadable(reason=str(error)[:200]), self.gateway.now())
        except FrameTooLarge as refusal:
            self._strike(refusal, self.gateway.now())
        except Refusal as refusal:
            self.refuse(refusal, getattr(frame_in, "id", None))
        except Exception:
            log.exception("a frame could not be handled", kind=type(frame_in).__name__)
            self.refuse(Bug(), getattr(frame_in, "id", None))

    # Told by the gateway and the room.

    @property
    def shutting(self) -> bool:
        """Whether the close has begun."""
        return self.closing_at > 0

    def write_lean(self, frame: bytes) -> None:
        """Write to a client that does not keep up; close it when too much waits already."""
        if self.closing_at:
            return
        if self.underlying.get_write_buffer_size() > self.gateway.limits.waiting_bytes_max:
            metrics.SOCKETS_CLOSED.labels("too-slow").inc()
            self._close(WSCloseCode.TRY_AGAIN_LATER, "too-slow")
        else:
            self.write(frame)

    def send(self, payload: bytes) -> None:
        """A personal frame, at once."""
        self._write_now(frames.wrap(payload))

    def _write_now(self, frame: bytes) -> None:
        metrics.FRAMES_SENT.inc()
        if self.lean:
            self.write_lean(frame)
        else:
            self.write(frame)

    def refuse(self, refusal: Refusal, re: UUID | None = None) -> None:
        """Say no."""
        self.send(frames.refuse(refusal, re))

    def bye(
        self,
        code: str,
        reason: str,
        close: WSCloseCode = WSCloseCode.POLICY_VIOLATION,
        *,
        until: datetime | None = None,
    ) -> None:
        """Say why, and close."""
        if self.closing_at:
            return
        metrics.SOCKETS_CLOSED.labels(code).inc()
        self.write(frames.wrap(frames.encode(frames.Bye(code=code, reason=reason, until=until))))
        self._close(close, code)

    def welcome(self, picture: Picture) -> None:
        """The whole room, and what has happened since the picture was taken."""
        assert self.room is not None and self.ticket is not None
        self.standing = self._you()
        head = b'{"t":"welcome","v":%d,"you":%b,' % (picture.version, frames.encode(self.standing))
        size = len(head) + len(picture.body)
        self.underlying.writelines([frames.header(size) + head, picture.body])
        if picture.version != self.room.version:
            missed = self.room.since(picture.version)
            assert missed is not None
            self.write(missed)
        self._start_watching()

    def resume(self, missed: bytes) -> None:
        """Only what was missed, and what one may do now."""
        self.write(missed)
        self.standing = self._you()
        self.send(frames.encode(frames.Standing(you=self.standing)))
        self._start_watching()

    def _start_watching(self) -> None:
        assert self.room is not None
        self.sent_then = self.room.version
        self.beat_at = self.gateway.now()

    # Frames.

    def _take(self, frame: frames.Upstream, now: float) -> None:
        if type(frame) is frames.Hello:
            self._hello(frame)
            return
        if self.ticket is None:
            raise HelloFirst()
        TAKERS[type(frame)](self, frame, now)

    def _hello(self, frame: frames.Hello) -> None:
        if self.ticket is not None:
            raise HelloTwice()
        try:
            self.ticket = self.gateway.redeem(frame.ticket)
            self.viewer = self.gateway.seat(self, self.ticket.viewer_id)
            wait_s = self.viewer.out_until - self.gateway.now()
            if wait_s > 0:
                raise TooFast(retry_after_s=math.ceil(wait_s))
            self.followed_at = self.ticket.followed_at
        except Refusal as refusal:
            self.refuse(refusal)
            self.bye(refusal.code, refusal.title)
            if not self.underlying.is_closing():
                self.underlying.pause_reading()
            return
        self.gateway.hub.enter(self, self.ticket.show_id, frame.resume.v if frame.resume else None)

    def entered(self, room: Room) -> None:
        """The room is known; frames may come."""
        assert self.ticket is not None
        ticket = self.ticket
        self.room = room
        self._take_rights(room)
        room.join(self, ticket.viewer_id, ticket.name, staff="orders" in ticket.scopes)
        visit = ticket.visit
        entered_us = self.gateway.clock.now_us()
        self.zero_us = entered_us - int(self.gateway.now() * 1e6)
        self.stay = Stay.of(visit, new_id())
        self.tell = self.gateway.sink.append if visit.counts else self.gateway.minutes.count
        self.tell(
            Entered(
                self.stay,
                entered_us,
                placement=visit.placement,
                is_guest=ticket.account_id is None,
                campaign=visit.campaign,
                position=visit.position,
                sharer_id=visit.sharer_id,
                shop_id=ticket.shop_id,
                streamer_id=visit.streamer_id,
            )
        )

    def turned_away(self, room: Room) -> bool:
        """Whether a ban or a kick keeps this viewer out; then the close has begun, with the reason."""
        assert self.ticket is not None and room.keeper is not None
        if self.ticket.scopes:
            return False
        sanction = room.keeper.find_exclusion(
            self.ticket.viewer_id, self.ticket.device_id, self.address, self.gateway.clock.now()
        )
        if sanction is not None:
            self._send_out(sanction)
        return sanction is not None

    def regulate(self) -> None:
        """The room's order is another one: go if that is so, or hear what one may do now."""
        room = self.room
        if room is None or self.turned_away(room):
            return
        self._take_rights(room)
        self._tell_standing()

    def follows_since(self, at: datetime | None) -> None:
        """The viewer follows this room's streamer since then, or no longer."""
        self.followed_at = at
        self._tell_standing()

    def _take_rights(self, room: Room) -> None:
        assert self.ticket is not None and room.keeper is not None
        self.rights = room.keeper.rights_of(self.ticket.account_id, self.ticket.scopes)
        self.moderates = Right.delete in self.rights

    def _tell_standing(self) -> None:
        if self.room is not None and self.standing is not None and (standing := self._you()) != self.standing:
            self.standing = standing
            self.send(frames.encode(frames.Standing(you=standing)))

    def _send_out(self, sanction: Sanction) -> None:
        code = "banned" if sanction.kind is SanctionKind.ban else "kicked"
        self.bye(code, sanction.reason, until=sanction.ends_at)

    def _buy(self, frame: frames.Buy, now: float) -> None:
        ticket, viewer = self._account()
        viewer.buy_due = _paced(self.gateway.buy_pace, viewer.buy_due, now)
        ask = Ask(
            buyer_id=AccountId(ticket.viewer_id),
            client_id=frame.id,
            show_id=ticket.show_id,
            lines=tuple(AskLine(line.sku, line.item, line.qty, line.price, line.grant) for line in frame.lines),
            source=ticket.visit.source,
            placement=ticket.visit.placement,
            visit_id=ticket.visit.id,
            campaign=ticket.visit.campaign,
            streamer_id=ticket.visit.streamer_id,
            is_fan=ticket.visit.is_fan,
            rule_version=ticket.visit.rule_version,
            request_id=new_id().hex,
            coupons=frame.coupons,
            total_amount=frame.total,
        )
        self.gateway.till.submit(ask, partial(self._answer, ask))

    def _answer(self, ask: Ask, answer: Placed | BaseException) -> None:
        if isinstance(answer, Placed):
            self.send(
                frames.encode(
                    frames.Order(
                        re=ask.client_id,
                        order=frames.OrderBrief(
                            id=answer.id,
                            state=answer.state,
                            total=Money(answer.total_amount, answer.currency),
                            placed_at=answer.placed_at,
                            pay_by=answer.pay_by,
                        ),
                    )
                )
            )
        elif isinstance(answer, Refusal):
            self.refuse(answer, ask.client_id)
        else:
            log.error("a purchase failed", request_id=ask.request_id, error=repr(answer))
            self.refuse(Bug(), ask.client_id)

    def _chat(self, frame: frames.Chat, now: float) -> None:
        ticket, viewer = self._account()
        room = self._present()
        if frame.id in viewer.said:
            self.send(frames.encode(frames.Sent(re=frame.id)))
            return
        viewer.chat_due = _paced(self.gateway.chat_pace, viewer.chat_due, now)
        text = clean(frame.text, length_max=self.gateway.limits.chat_length_max)
        speaker = room.speaker_of(frame.id)
        if speaker is not None and speaker != ticket.viewer_id:
            raise IdReused()
        assert room.keeper is not None
        at = self.gateway.clock.now()
        try:
            speech = room.keeper.judge(
                text,
                viewer_id=ticket.viewer_id,
                rights=self.rights,
                followed_at=self.followed_at,
                since_last_s=now - room.spoke_at.get(ticket.viewer_id, -math.inf),
                now=at,
            )
        except Refusal as refusal:
            metrics.CHAT_REFUSED.labels(refusal.code).inc()
            raise
        viewer.said = (*viewer.said[1 - SAID_KEPT :], frame.id)
        self.gateway.store.place(
            ticket.show_id,
            Speaker(viewer_id=ticket.viewer_id, device_id=ticket.device_id, address=self.address),
        )
        who = frames.Speaker(id=ticket.viewer_id, name=ticket.name, level=ticket.fan_level)
        if speech.held is not None:
            self._hold(room, frame.id, who, speech.text, speech.held, at)
            return
        said = frames.Said(id=frame.id, from_=who, text=speech.text, at=at)
        room.say(ticket.viewer_id, frames.encode(said), said=said)
        self.send(frames.encode(frames.Sent(re=frame.id)))
        self.tell(Chatted(self.stay, self.gateway.clock.now_us(), len(speech.text)))

    def _hold(self, room: Room, saying_id: UUID, who: frames.Speaker, text: str, why: str, at: datetime) -> None:
        """Put a text before the moderators; only its sender knows of it until they have decided."""
        held = HeldSaying(
            id=saying_id, viewer_id=who.id, name=who.name, level=who.level, text=text, why=why, said_at=at
        )
        if not self.gateway.store.hold(room.show_id, held):
            raise TooBusy()
        metrics.CHAT_REFUSED.labels("held").inc()
        room.spoke_at[who.id] = self.gateway.now()
        self.gateway.hub.order.hold(room, frames.WaitingText(id=saying_id, from_=who, text=text, why=why, at=at))
        self.send(frames.encode(frames.Held(re=saying_id)))

    def _like(self, frame: frames.Like, now: float) -> None:
        assert self.viewer is not None
        self.viewer.like_due = _paced(self.gateway.like_pace, self.viewer.like_due, now, frame.n)
        room = self._present()
        room.like(frame.n)
        if self.ticket is not None and self.ticket.account_id is not None:
            self.gateway.games.liked(room.show_id, self.ticket.viewer_id, frame.n)
        self.tell(Liked(self.stay, self.gateway.clock.now_us(), frame.n))

    def _take_part(
        self, frame: frames.Grab | frames.Enter | frames.Vote | frames.Answer | frames.Help, now: float
    ) -> None:
        assert self.viewer is not None
        self._present()
        self.viewer.buy_due = _paced(self.gateway.buy_pace, self.viewer.buy_due, now)
        self.gateway.games.take_part(self, frame)

    def _beat(self, frame: frames.Beat, now: float) -> None:
        room = self._present()
        limits = self.gateway.limits
        if frame.v > room.version:
            raise VersionUnknown(version=room.version)
        span = now - self.beat_at
        if self.visible and frame.visible and frame.v >= self.sent_then and span <= limits.beat_s + limits.beat_slack_s:
            self._watched(now)
        self.beat_at = now
        self.visible = frame.visible
        self.sent_then = room.version
        self._write_now(PULSE)

    def _watched(self, now: float) -> None:
        """From the last beat to this one. By a clock that nobody sets, so that spans of one connection never overlap."""
        since_us, at_us = self.zero_us + int(self.beat_at * 1e6), self.zero_us + int(now * 1e6)
        self.watched_ms += (at_us - since_us) // 1_000
        self.tell(Watched(self.stay, at_us, since_us))

    def _resync(self, _frame: frames.Resync, now: float) -> None:
        assert self.ticket is not None and self.viewer is not None
        self.viewer.resyncs_due = _paced(self.gateway.resync_pace, self.viewer.resyncs_due, now)
        self._present()
        if not self.lean:
            self.gateway.hub.enter(self, self.ticket.show_id, None)

    def _click(self, frame: frames.Click, now: float) -> None:
        assert self.viewer is not None
        due = self.gateway.click_pace.take(self.viewer.click_due, now)
        if due is None:
            return  # nobody looks at so many things; it is not worth an answer
        self.viewer.click_due = due
        if self.room is not None:
            self.tell(Clicked(self.stay, self.gateway.clock.now_us(), frame.item))

    # Helpers.

    def _present(self) -> Room:
        if self.room is None:
            raise HelloFirst()
        return self.room

    def _account(self) -> tuple[Ticket, Viewer]:
        assert self.ticket is not None and self.viewer is not None
        if self.ticket.account_id is None:
            raise Unauthenticated()
        return self.ticket, self.viewer

    def _you(self) -> frames.You:
        """The viewer as the room knows them now."""
        ticket, room = self.ticket, self.room
        assert ticket is not None and room is not None and room.keeper is not None
        mute = room.keeper.find_mute(ticket.viewer_id, self.gateway.clock.now())
        return frames.You(
            viewer_id=ViewerId(ticket.viewer_id),
            name=ticket.name,
            guest=ticket.account_id is None,
            staff="orders" in ticket.scopes,
            follows=self.followed_at is not None,
            muted=mute is not None,
            muted_until=mute.ends_at if mute is not None else None,
            mute_reason=mute.reason if mute is not None else "",
            followed_at=self.followed_at,
            rights=[right for right in Right if right in self.rights],
        )

    def _strike(self, refusal: Refusal, now: float) -> None:
        """Refuse something that no honest client sends; too much of it ends the connection."""
        payer = self.viewer or self
        due = self.gateway.strike_pace.take(payer.strikes_due, now)
        if due is None:
            self._end_abuse(now)
            return
        payer.strikes_due = due
        self.refuse(refusal)

    def _end_abuse(self, now: float) -> None:
        """Close, read no more of what still comes, and have the account wait outside, longer each time."""
        viewer, limits = self.viewer, self.gateway.limits
        if viewer is not None:
            peaceful = now - viewer.out_until > limits.penalty_s_max
            viewer.penalty_s = limits.penalty_s if peaceful else min(2 * viewer.penalty_s, limits.penalty_s_max)
            viewer.out_until = now + viewer.penalty_s
        for socket in list(viewer.sockets) if viewer is not None else [self]:
            socket.bye("abuse", "too many frames that had to be refused")
            if not socket.underlying.is_closing():
                socket.underlying.pause_reading()

    def _close(self, code: WSCloseCode, reason: str) -> None:
        if self.closing_at:
            return
        self.closing_at = self.gateway.now()
        self.write = _nowhere
        self.transport.send_close(code, reason)
        # Not all at once: who was sent away together would come back together, in one turn of the loop.
        patience_s = self.gateway.limits.closing_s * random.uniform(0.5, 1)  # noqa: S311 (no secret)
        asyncio.get_running_loop().call_later(patience_s, self._hang_up)
        self._leave()

    def _hang_up(self) -> None:
        """The other side had its time to close."""
        if not self.underlying.is_closing():
            self.underlying.abort()

    def _leave(self) -> None:
        room, self.room = self.room, None
        if room is None:
            return
        assert self.ticket is not None
        room.leave(self, self.ticket.viewer_id)
        self.tell(Left(self.stay, self.gateway.clock.now_us(), self.watched_ms))


def _paced(pace: Pace, due: float, now: float, count: int = 1) -> float:
    after = pace.take(due, now, count)
    if after is None:
        raise TooFast(retry_after_s=max(1, math.ceil(due - now - pace.slack_s)))
    return after


TAKERS: dict[type, Callable[[RoomSocket, Any, float], None]] = {
    frames.Buy: RoomSocket._buy,
    frames.Chat: RoomSocket._chat,
    frames.Like: RoomSocket._like,
    frames.Beat: RoomSocket._beat,
    frames.Resync: RoomSocket._resync,
    frames.Click: RoomSocket._click,
    frames.Grab: RoomSocket._take_part,
    frames.Enter: RoomSocket._take_part,
    frames.Vote: RoomSocket._take_part,
    frames.Answer: RoomSocket._take_part,
    frames.Help: RoomSocket._take_part,
}
READ = {kind: metrics.FRAMES_READ.labels(kind.__name__.lower()) for kind in (frames.Hello, *TAKERS)}
