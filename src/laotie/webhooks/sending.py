"""Sending: who has something due is served by one sender at a time, a few messages at once, outside any transaction.

A sender leases an endpoint, not its messages: so all processes together never call one endpoint more often than agreed,
its messages go in order but for what fails, and after a crash nothing has to be repaired: the lease runs out (`LEASE_S`)
and the next sender finds the same messages due. What was called and not yet written down is called again, with the same
id: at least once.

Endpoints that fail or are slow have lanes of their own and few of them, so they delay nobody else.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import msgspec

from laotie import __version__
from laotie.base import metrics
from laotie.base.db import Database, Tx
from laotie.base.ids import ShopId, new_id
from laotie.base.logs import log
from laotie.base.post import AddressForbidden, CallFailed, Post
from laotie.base.refusals import Unavailable
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.payments import signature
from laotie.webhooks.endpoints import disable
from laotie.webhooks.model import (
    FAILING_MAX,
    GONE,
    RETRY_AFTER_MAX,
    SECRET_PURPOSE,
    Call,
    DeliveryId,
    EndpointId,
    EndpointOffFor,
    Verdict,
    clean_answer,
    judge,
    key_of,
    rest_of,
)

LEASE_S = 8.0
RENEW_EVERY_S = 2.0
IDLE_S = 0.5
STOP_S = 3.0
STAND_BACK_S = 0.25
QUICK_LANES_MAX, SLOW_LANES_MAX = 32, 32
"""Endpoints served at once by a process."""
SLOW_MS = 2_000
QUICK_BATCH, QUICK_AT_ONCE = 32, 8
SLOW_AT_ONCE = 4
"""A slow endpoint has so many at once and a turn; one that fails has one."""
BREAK_S = 60.0
"""An endpoint whose turn broke off by a bug of ours rests so long."""


class _Leased(msgspec.Struct, frozen=True):
    id: EndpointId
    shop_id: ShopId
    url: str
    secret: bytes
    old_secret: bytes | None
    failures: int
    answer_ms: int


class _Due(msgspec.Struct, frozen=True):
    id: DeliveryId
    endpoint_id: EndpointId
    body: str
    tries: int


class Sender:
    """Sends what is due until stopped. Any number may run on one database."""

    def __init__(
        self,
        db: Database,
        settings: Settings,
        signer: Signer,
        *,
        post: Post | None = None,
        stand_back: Callable[[], bool] = lambda: False,
    ) -> None:
        """`post` calls; unset: one of its own, as the settings allow. `stand_back` says that a sale is under way."""
        self._stand_back = stand_back
        self._db = db
        self._signer = signer
        self._post = post or Post(private=settings.webhook_private, connections_max=QUICK_AT_ONCE)
        self._agent = f"Laotie/{__version__} (+{settings.base_url})"
        self._lease_id = new_id()
        self._lanes: dict[EndpointId, tuple[asyncio.Task[None], bool]] = {}
        self._free = asyncio.Event()
        self._stopping = False

    async def run(self) -> None:
        """Serve until cancelled; then what is on its way is written down."""
        renewing = asyncio.create_task(self._renew())
        try:
            while True:
                self._free.clear()
                if self._stand_back():
                    await asyncio.sleep(STAND_BACK_S)
                if not await self.begin():
                    await _wait(self._free, IDLE_S)
        finally:
            renewing.cancel()
            await self.stop()

    async def drain(self) -> int:
        """Serve until nothing is due (tests); how many turns endpoints had."""
        total = 0
        while begun := await self.begin():
            total += begun
            await asyncio.gather(*(task for task, _ in self._lanes.values()))
        return total

    async def stop(self) -> None:
        """Begin no call any more, give those on their way a moment, and write down what came of them."""
        self._stopping = True
        tasks = [task for task, _ in self._lanes.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._post.close()

    async def begin(self) -> int:
        """Give a turn to endpoints with something due, as many as there is room for; how many."""
        slow = sum(is_slow for _, is_slow in self._lanes.values())
        begun = await self._begin(slow=False, room=QUICK_LANES_MAX - (len(self._lanes) - slow))
        return begun + await self._begin(slow=True, room=SLOW_LANES_MAX - slow)

    async def _begin(self, *, slow: bool, room: int) -> int:
        if room <= 0:
            return 0
        async with self._db.tx() as tx:
            leased = await self._lease(tx, slow=slow, room=room)
            due = await _read_due(tx, leased) if leased else []
        for endpoint in leased:
            own = [one for one in due if one.endpoint_id == endpoint.id]
            task = asyncio.create_task(self._serve(endpoint, own), name=f"webhooks.{endpoint.id}")
            self._lanes[endpoint.id] = (task, slow)
        return len(leased)

    async def _lease(self, tx: Tx, *, slow: bool, room: int) -> list[_Leased]:
        return await tx.all(
            _Leased,
            """
            UPDATE webhooks.endpoint AS e SET lease_id = %(lease)s, leased_until = %(until)s
            FROM (
                SELECT id FROM webhooks.endpoint
                WHERE EXISTS (SELECT FROM webhooks.delivery WHERE state = 'waiting' AND due_at <= %(now)s)
                  AND state = 'active' AND NOT id = ANY(%(serving)s) AND leased_until <= %(now)s AND resting_until <= %(now)s
                  AND (failures > 0 OR answer_ms > %(slow_ms)s) = %(slow)s
                  AND EXISTS (SELECT FROM webhooks.delivery AS d
                              WHERE d.endpoint_id = endpoint.id AND d.state = 'waiting' AND d.due_at <= %(now)s)
                ORDER BY leased_until, id LIMIT %(room)s FOR NO KEY UPDATE SKIP LOCKED
            ) AS ready
            WHERE e.id = ready.id
            RETURNING e.id, shop_id, url, secret, CASE WHEN old_secret_until > %(now)s THEN old_secret END AS old_secret,
                      failures, answer_ms
            """,
            serving=list(self._lanes),
            lease=self._lease_id,
            until=tx.now + timedelta(seconds=LEASE_S),
            now=tx.now,
            slow=slow,
            slow_ms=SLOW_MS,
            room=room,
        )

    async def _renew(self) -> None:
        """Keep the leases of those who are being served; hang up where nobody was called for a while."""
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            await self._post.tidy()
            if not self._lanes:
                continue
            try:
                async with self._db.tx() as tx:
                    await tx.run(
                        """
                        UPDATE webhooks.endpoint SET leased_until = %(until)s
                        WHERE id IN (SELECT id FROM webhooks.endpoint WHERE id = ANY(%(ids)s) AND lease_id = %(lease)s
                                     ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
                        """,
                        ids=list(self._lanes),
                        lease=self._lease_id,
                        until=tx.now + timedelta(seconds=LEASE_S),
                    )
            except Unavailable:
                continue
            except Exception:
                log.exception("the leases of endpoints could not be renewed")

    async def _serve(self, endpoint: _Leased, due: list[_Due]) -> None:
        """One endpoint's turn: call, then write down all that came of it in one transaction, which ends the lease."""
        called: list[tuple[_Due, Call]] = []
        broken = False
        try:
            await self._call_all(endpoint, due, called)
        except asyncio.CancelledError:
            log.info("a webhook call was cut short", endpoint_id=str(endpoint.id))
        except Exception:
            broken = True
            log.exception("an endpoint's turn broke off", endpoint_id=str(endpoint.id))
        try:
            async with self._db.tx() as tx:
                await self._write(tx, endpoint, called, broken=broken)
        except Unavailable:
            pass  # the lease runs out, and it is sent again
        except Exception:
            log.exception("what came of webhook calls could not be written down", endpoint_id=str(endpoint.id))
        finally:
            del self._lanes[endpoint.id]
            self._free.set()

    async def _call_all(self, endpoint: _Leased, due: list[_Due], called: list[tuple[_Due, Call]]) -> None:
        """In order, several at once; an endpoint that asks for quiet is called no more in this turn."""
        sealed = [endpoint.secret, *([endpoint.old_secret] if endpoint.old_secret is not None else [])]
        keys = [key_of(self._signer.unseal(SECRET_PURPOSE, one, about=endpoint.id)) for one in sealed]
        waiting = iter(due)

        async def work() -> None:
            for one in waiting:
                if self._stopping or any(call.asks_for_quiet or call.status == GONE for _, call in called):
                    return
                called.append((one, await self._call(endpoint, one, keys)))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(len(due), _at_once(endpoint))):
                group.create_task(work())

    async def _call(self, endpoint: _Leased, one: _Due, keys: Sequence[bytes]) -> Call:
        at, began = self._db.clock.now(), time.monotonic()
        body = one.body.encode()
        headers = {
            "content-type": "application/json",
            "user-agent": self._agent,
            **signature.sign(keys, str(one.id), at=at, body=body),
        }
        status: int | None = None
        failure: str | None = None
        text = ""
        retry_after_s: int | None = None
        try:
            answer = await self._post.send(endpoint.url, headers, body, line=endpoint.id)
            status, text = answer.status, clean_answer(answer.body)
            retry_after_s = read_retry_after(answer.headers.get("retry-after"), now=at)
        except AddressForbidden:
            failure = "forbidden"
        except CallFailed as error:
            failure = error.reason
        return Call(at, int((time.monotonic() - began) * 1000), status, failure, text, retry_after_s)

    async def _write(self, tx: Tx, endpoint: _Leased, called: list[tuple[_Due, Call]], *, broken: bool) -> None:
        calls = [call for _, call in called]
        failed = [call for call in calls if not call.is_taken]
        taken = len(calls) - len(failed)
        failures = 0 if taken else endpoint.failures + bool(failed)
        rest = rest_of(calls, failures=failures, now=tx.now) if calls else None
        if broken:
            rest = tx.now + timedelta(seconds=BREAK_S)
        standing = await tx.maybe(
            _Standing,
            """
            UPDATE webhooks.endpoint
            SET leased_until = CASE WHEN lease_id = %(lease)s THEN %(now)s ELSE leased_until END,
                lease_id = NULLIF(lease_id, %(lease)s),
                failures = CASE WHEN %(count)s = 0 THEN failures ELSE %(failures)s END,
                failing_since = CASE WHEN %(count)s = 0 THEN failing_since
                                     WHEN %(failures)s > 0 THEN coalesce(failing_since, %(first)s::timestamptz) END,
                resting_until = coalesce(%(rest)s::timestamptz, resting_until), answer_ms = %(answer_ms)s,
                delivered_at = CASE WHEN %(taken)s > 0 THEN %(now)s ELSE delivered_at END
            WHERE id = %(id)s AND state <> 'removed' RETURNING failing_since
            """,
            id=endpoint.id,
            lease=self._lease_id,
            now=tx.now,
            count=len(calls),
            failures=failures,
            taken=taken,
            first=failed[0].at if failed else None,
            rest=rest,
            answer_ms=sorted(call.ms for call in calls)[len(calls) // 2] if calls else endpoint.answer_ms,
        )
        if standing is None or not called:
            return
        verdicts = [judge(call, tries=one.tries + 1, now=tx.now, luck=random.random()) for one, call in called]  # noqa: S311
        await _write_attempts(tx, called, verdicts)
        if any(call.status == GONE for call in calls):
            await disable(tx, endpoint.id, EndpointOffFor.gone)
        elif standing.failing_since is not None and tx.now - standing.failing_since >= FAILING_MAX:
            await disable(tx, endpoint.id, EndpointOffFor.failing)
        metrics.WEBHOOKS.labels("delivered").inc(taken)
        metrics.WEBHOOKS.labels("failed").inc(len(failed))


class _Standing(msgspec.Struct, frozen=True):
    failing_since: datetime | None


async def _read_due(tx: Tx, leased: list[_Leased]) -> list[_Due]:
    """Each leased endpoint's next messages, the oldest first."""
    return await tx.all(
        _Due,
        """
        SELECT next.id, leased.id AS endpoint_id, body, tries
        FROM unnest(%(ids)s::uuid[], %(sizes)s::bigint[]) WITH ORDINALITY AS leased (id, size, no)
        CROSS JOIN LATERAL (
            SELECT id, event_id, tries FROM webhooks.delivery
            WHERE endpoint_id = leased.id AND state = 'waiting' AND due_at <= %(now)s
            ORDER BY due_at, event_id LIMIT leased.size
        ) AS next
        JOIN webhooks.message USING (event_id) ORDER BY leased.no, event_id
        """,
        ids=[one.id for one in leased],
        sizes=[_batch(one) for one in leased],
        now=tx.now,
    )


async def _write_attempts(tx: Tx, called: list[tuple[_Due, Call]], verdicts: list[Verdict]) -> None:
    """Number and keep the attempts, and move their deliveries on; one sent again meanwhile has begun anew."""
    await tx.run(
        """
        WITH called AS (
            SELECT * FROM unnest(%(ids)s::uuid[], %(tries)s::bigint[], %(states)s::text[], %(dues)s::timestamptz[],
                                 %(ats)s::timestamptz[], %(ms)s::bigint[], %(statuses)s::int[], %(failures)s::text[],
                                 %(answers)s::text[])
              AS called (id, tries, state, due_at, at, ms, status, failure, answer)
        ), moved AS (
            UPDATE webhooks.delivery AS d
            SET attempts = attempts + 1, tries = d.tries + 1,
                state = CASE WHEN d.tries = called.tries OR called.state = 'delivered' THEN called.state ELSE d.state END,
                due_at = CASE WHEN d.tries = called.tries OR called.state = 'delivered' THEN called.due_at ELSE d.due_at END,
                ended_at = CASE WHEN d.tries = called.tries OR called.state = 'delivered'
                                THEN CASE WHEN called.due_at IS NULL THEN %(now)s::timestamptz END ELSE d.ended_at END
            FROM called WHERE d.id = called.id RETURNING d.id, attempts
        )
        INSERT INTO webhooks.attempt (delivery_id, no, at, ms, status, failure, answer)
        SELECT id, attempts, at, ms, status, failure, answer FROM moved JOIN called USING (id)
        """,
        ids=[one.id for one, _ in called],
        tries=[one.tries for one, _ in called],
        states=[verdict.state.value for verdict in verdicts],
        dues=[verdict.due_at for verdict in verdicts],
        ats=[call.at for _, call in called],
        ms=[call.ms for _, call in called],
        statuses=[call.status for _, call in called],
        failures=[call.failure for _, call in called],
        answers=[call.answer for _, call in called],
        now=tx.now,
    )


def read_retry_after(said: str | None, *, now: datetime) -> int | None:
    """How many seconds an answer asks us to wait (seconds, or a date), at most a day."""
    if said is None:
        return None
    if said.strip().isascii() and said.strip().isdecimal() and len(said) < 12:
        wanted = float(said)
    else:
        try:
            wanted = (parsedate_to_datetime(said) - now).total_seconds()
        except (ValueError, TypeError):
            return None
    return int(max(0.0, min(wanted, RETRY_AFTER_MAX.total_seconds())))


def _batch(endpoint: _Leased) -> int:
    return QUICK_BATCH if _at_once(endpoint) == QUICK_AT_ONCE else _at_once(endpoint)


def _at_once(endpoint: _Leased) -> int:
    if endpoint.failures:
        return 1
    return SLOW_AT_ONCE if endpoint.answer_ms > SLOW_MS else QUICK_AT_ONCE


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
