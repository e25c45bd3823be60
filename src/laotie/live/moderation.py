"""Order in a room: who keeps it, by which rules, what is in force against whom, and the log of it all.

The streamer and every seat with the scope `show` have all rights in the room, operators have them everywhere, others
as far as a moderator's rights go. Every act is logged with its reason in the same transaction; the log is append-only.
Gateways hear `RegulationsChanged` and read the `Regulations` anew; what is said between is theirs to judge.
"""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from laotie import catalog, identity
from laotie.base.db import Tx
from laotie.base.ids import AccountId, RoomId, ShopId, ShowId, ViewerId, new_id
from laotie.base.refusals import Forbidden, IdReused, NotFound, Unauthenticated
from laotie.catalog import Page
from laotie.events.live import RegulationsChanged
from laotie.identity import Actor, Role, Scope
from laotie.live.model import PAGE_SIZE_MAX
from laotie.live.moderation_model import (
    ALL_RIGHTS,
    KICK_MINUTES,
    MODERATORS_MAX,
    SANCTIONS_MAX,
    Banned,
    ChatRules,
    Kicked,
    ModerationEntry,
    Moderator,
    Regulations,
    Right,
    RightLacking,
    RoomRules,
    Sanction,
    SanctionDraft,
    SanctionKind,
    SanctionRefused,
    Speaker,
    Target,
    Untouchable,
    WhereaboutsUnknown,
    bare_address,
    network_of,
)
from laotie.live.rooms import get_room
from laotie.live.stage import find_people
from laotie.words import check_list


class _ShowPlace(msgspec.Struct, frozen=True):
    id: ShowId
    room_id: RoomId


async def require_right(tx: Tx, actor: Actor, room_id: RoomId, right: Right) -> None:
    """`NotFound` for who has nothing to say in this room, `RightLacking` for who has not this to say."""
    rights = await list_rights(tx, actor, room_id)
    if not rights:
        raise NotFound()
    if right not in rights:
        raise RightLacking(right=right)


async def list_rights(tx: Tx, actor: Actor, room_id: RoomId) -> list[Right]:
    """What the actor may do for order in a room; a guest is refused, a room that does not exist is `NotFound`."""
    room = await get_room(tx, room_id)
    if actor.seat_holder_id is None and actor.account_id is None:
        raise Unauthenticated()
    if Role.operator in actor.roles or await _has_seat(tx, actor, room.shop_id):
        return list(ALL_RIGHTS)
    if actor.account_id is None:
        return []
    rights = await tx.maybe(
        _Rights,
        "SELECT rights FROM live.moderator WHERE room_id = %(room_id)s AND account_id = %(account_id)s",
        room_id=room_id,
        account_id=actor.account_id,
    )
    return rights.rights if rights is not None else []


class _Rights(msgspec.Struct, frozen=True):
    rights: list[Right]


async def find_room_of_show(tx: Tx, show_id: ShowId) -> RoomId:
    """Where a show is held, or `NotFound`."""
    room_id = await tx.maybe(RoomId, "SELECT room_id FROM live.show WHERE id = %(id)s", id=show_id)
    if room_id is None:
        raise NotFound()
    return room_id


# Moderators.


async def list_moderators(tx: Tx, actor: Actor, room_id: RoomId) -> list[Moderator]:
    """Who keeps order in a room. Whoever does may see."""
    if not await list_rights(tx, actor, room_id):
        raise NotFound()
    rows = await tx.tuples(
        """
        SELECT account_id, rights, added_at FROM live.moderator WHERE room_id = %(room_id)s ORDER BY added_at, account_id
        """,
        room_id=room_id,
    )
    people = await find_people(tx, [AccountId(row[0]) for row in rows])
    return [
        Moderator(
            account_id=AccountId(account_id),
            name=people[AccountId(account_id)].name,
            rights=[Right(right) for right in rights],
            added_at=added_at,
        )
        for account_id, rights, added_at in rows
    ]


async def add_moderator(tx: Tx, actor: Actor, room_id: RoomId, handle: str, rights: list[Right]) -> Moderator:
    """Have somebody keep order, or change how far they may go. Only the room's own people and operators may.

    Refuses `NoSuchHandle`, and `TooMany` beyond `MODERATORS_MAX`.
    """
    await _require_host(tx, actor, room_id)
    account_id = await identity.find_by_handle(tx, handle)
    if account_id is None:
        raise identity.NoSuchHandle()
    wanted = [right for right in ALL_RIGHTS if right in rights]
    if not wanted:
        raise SanctionRefused(reason="rights")
    others = await tx.one(
        int,
        "SELECT count(*) FROM live.moderator WHERE room_id = %(room_id)s AND account_id <> %(account_id)s",
        room_id=room_id,
        account_id=account_id,
    )
    if others >= MODERATORS_MAX:
        raise identity.TooMany(count_max=MODERATORS_MAX)
    await tx.run(
        """
        INSERT INTO live.moderator (room_id, account_id, rights, added_by, added_at)
        VALUES (%(room_id)s, %(account_id)s, %(rights)s, %(by)s, %(now)s)
        ON CONFLICT (room_id, account_id) DO UPDATE SET rights = excluded.rights
        """,
        room_id=room_id,
        account_id=account_id,
        rights=[right.value for right in wanted],
        by=_who(actor),
        now=tx.now,
    )
    await log(tx, actor, room_id, "moderator.added", whom=ViewerId(account_id), rights=wanted)
    tx.tell(RegulationsChanged(room_id=room_id))
    return next(one for one in await list_moderators(tx, actor, room_id) if one.account_id == account_id)


async def remove_moderator(tx: Tx, actor: Actor, room_id: RoomId, account_id: AccountId) -> None:
    """Take a moderator's rights back; anybody may lay down their own. `NotFound` when there are none."""
    if actor.account_id != account_id:
        await _require_host(tx, actor, room_id)
    removed = await tx.run(
        "DELETE FROM live.moderator WHERE room_id = %(room_id)s AND account_id = %(account_id)s",
        room_id=room_id,
        account_id=account_id,
    )
    if not removed:
        raise NotFound()
    await log(tx, actor, room_id, "moderator.removed", whom=ViewerId(account_id))
    tx.tell(RegulationsChanged(room_id=room_id))


# Rules.


async def get_rules(tx: Tx, actor: Actor, room_id: RoomId) -> RoomRules:
    """A room's rules, word lists and all, for whoever keeps order there."""
    if not await list_rights(tx, actor, room_id):
        raise NotFound()
    return await _read_rules(tx, room_id)


async def change_rules(
    tx: Tx, actor: Actor, room_id: RoomId, rules: ChatRules, *, expected_version: int | None = None
) -> RoomRules:
    """Other rules from now on. Refuses `WordsRefused`, and `ChangedMeanwhile` when somebody was faster."""
    await require_right(tx, actor, room_id, Right.rules)
    await tx.one(UUID, "SELECT id FROM live.room WHERE id = %(id)s FOR NO KEY UPDATE", id=room_id)
    before = await _read_rules(tx, room_id)
    if expected_version not in (None, before.version):
        raise catalog.ChangedMeanwhile(version=before.version)
    rules = msgspec.structs.replace(rules, lists=tuple(check_list(one) for one in rules.lists))
    await tx.run(
        """
        INSERT INTO live.rules (room_id, rules, version, changed_by, changed_at)
        VALUES (%(room_id)s, %(rules)s, %(version)s, %(by)s, %(now)s)
        ON CONFLICT (room_id) DO UPDATE
        SET rules = excluded.rules, version = excluded.version, changed_by = excluded.changed_by,
            changed_at = excluded.changed_at
        """,
        room_id=room_id,
        rules=Jsonb(msgspec.to_builtins(rules)),
        version=before.version + 1,
        by=_who(actor),
        now=tx.now,
    )
    old, new = msgspec.to_builtins(before.rules), msgspec.to_builtins(rules)
    changed = {part: new[part] for part in new if new[part] != old[part] and part != "lists"}
    if new["lists"] != old["lists"]:
        changed["lists"] = [{"name": one.name, "words": len(one.words), "action": one.action} for one in rules.lists]
    await log(tx, actor, room_id, "rules.changed", **changed)
    tx.tell(RegulationsChanged(room_id=room_id))
    return RoomRules(room_id=room_id, version=before.version + 1, rules=rules)


async def _read_rules(tx: Tx, room_id: RoomId) -> RoomRules:
    found = await tx.maybe(
        RoomRules, "SELECT room_id, version, rules FROM live.rules WHERE room_id = %(room_id)s", room_id=room_id
    )
    return found or RoomRules(room_id=room_id, version=0, rules=ChatRules())


# Sanctions.


async def impose(tx: Tx, actor: Actor, show_id: ShowId, draft: SanctionDraft) -> Sanction:
    """Mute, send out or ban somebody, from a show. The same draft again gives the same sanction.

    A device or network is the one they last spoke from. Refuses `Untouchable` (the room's own people, operators, and
    other moderators unless one is above them), `WhereaboutsUnknown`, `SanctionRefused`, `IdReused`, `TooMany`.
    """
    show = await _find_show(tx, show_id)
    await require_right(tx, actor, show.room_id, Right(draft.kind.value))
    _check(actor, draft)
    digest = catalog.digest_of(show_id, draft)
    known = await tx.maybe(bytes, "SELECT digest FROM live.sanction WHERE id = %(id)s", id=draft.id)
    if known is not None:
        if known != digest:
            raise IdReused()
        return await _get(tx, draft.id)
    await _check_touchable(tx, actor, show.room_id, draft.viewer_id)
    in_force = await tx.one(
        int,
        """
        SELECT count(*) FROM live.sanction
        WHERE room_id = %(room_id)s AND lifted_at IS NULL AND (ends_at IS NULL OR ends_at > %(now)s)
        """,
        room_id=show.room_id,
        now=tx.now,
    )
    if in_force >= SANCTIONS_MAX:
        raise identity.TooMany(count_max=SANCTIONS_MAX)
    device_id, network = await _find_hold(tx, actor, show_id, draft)
    minutes = draft.minutes or (KICK_MINUTES if draft.kind is SanctionKind.kick else None)
    for_show = draft.for_show or draft.kind is SanctionKind.kick
    await tx.run(
        """
        INSERT INTO live.sanction (id, kind, room_id, show_id, target, viewer_id, device_id, network, reason, digest,
            imposed_by, imposed_at, ends_at)
        VALUES (%(id)s, %(kind)s, %(room_id)s, %(show_id)s, %(target)s, %(viewer_id)s, %(device_id)s,
            %(network)s::cidr, %(reason)s, %(digest)s, %(by)s, %(now)s, %(ends_at)s)
        """,
        id=draft.id,
        kind=draft.kind,
        room_id=None if draft.everywhere else show.room_id,
        show_id=show_id if for_show and not draft.everywhere else None,
        target=draft.target,
        viewer_id=draft.viewer_id,
        device_id=device_id,
        network=network,
        reason=_clean_reason(draft.reason),
        digest=digest,
        by=_who(actor),
        now=tx.now,
        ends_at=None if minutes is None else tx.now + timedelta(minutes=minutes),
    )
    await log(
        tx,
        actor,
        show.room_id,
        f"{draft.kind}.imposed",
        show_id=show_id,
        whom=draft.viewer_id,
        reason=draft.reason,
        sanction_id=str(draft.id),
        target=draft.target,
        minutes=minutes,
        for_show=for_show,
        everywhere=draft.everywhere,
    )
    tx.tell(RegulationsChanged(room_id=None if draft.everywhere else show.room_id))
    return await _get(tx, draft.id)


async def lift(tx: Tx, actor: Actor, sanction_id: UUID, *, reason: str = "") -> None:
    """End a sanction before its time. Lifting a lifted one changes nothing; `NotFound` for strangers."""
    sanction = await tx.maybe(
        _Kept, "SELECT kind, room_id, viewer_id FROM live.sanction WHERE id = %(id)s", id=sanction_id
    )
    if sanction is None:
        raise NotFound()
    if sanction.room_id is None:
        actor.require_operator()
    else:
        await require_right(tx, actor, sanction.room_id, Right(sanction.kind.value))
    lifted = await tx.run(
        "UPDATE live.sanction SET lifted_at = %(now)s, lifted_by = %(by)s WHERE id = %(id)s AND lifted_at IS NULL",
        id=sanction_id,
        by=_who(actor),
        now=tx.now,
    )
    if lifted:
        act = f"{sanction.kind}.lifted"
        await log(
            tx, actor, sanction.room_id, act, whom=sanction.viewer_id, reason=reason, sanction_id=str(sanction_id)
        )
        tx.tell(RegulationsChanged(room_id=sanction.room_id))


class _Kept(msgspec.Struct, frozen=True):
    kind: SanctionKind
    room_id: RoomId | None
    viewer_id: ViewerId


async def list_sanctions(tx: Tx, actor: Actor, show_id: ShowId) -> list[Sanction]:
    """What is in force in a show, newest first, for whoever keeps order there."""
    show = await _find_show(tx, show_id)
    if not await list_rights(tx, actor, show.room_id):
        raise NotFound()
    return await _in_force(tx, show)


async def check_entry(
    tx: Tx, show_id: ShowId, *, viewer_id: ViewerId, device_id: UUID | None, address: str | None
) -> None:
    """Let somebody in, or refuse `Banned` or `Kicked` with the reason and the end."""
    show = await _find_show(tx, show_id)
    sanction = await tx.maybe(
        Sanction,
        """
        SELECT id, kind, room_id, show_id, target, viewer_id, device_id, network::text AS network, reason, imposed_by,
               imposed_at, ends_at
        FROM live.sanction
        WHERE (room_id = %(room_id)s OR room_id IS NULL) AND lifted_at IS NULL AND kind <> 'mute'
          AND (show_id IS NULL OR show_id = %(show_id)s) AND (ends_at IS NULL OR ends_at > %(now)s)
          AND ((target = 'account' AND viewer_id = %(viewer_id)s) OR device_id = %(device_id)s
               OR network >>= %(address)s::inet)
        ORDER BY ends_at DESC NULLS FIRST, id LIMIT 1
        """,
        room_id=show.room_id,
        show_id=show_id,
        viewer_id=viewer_id,
        device_id=device_id,
        address=bare_address(address),
        now=tx.now,
    )
    if sanction is not None:
        raise refusal_of(sanction)


def refusal_of(sanction: Sanction) -> Forbidden:
    """What somebody is told of a sanction that keeps them out."""
    kind = Banned if sanction.kind is SanctionKind.ban else Kicked
    return kind(until=sanction.ends_at, reason=sanction.reason)


async def read_regulations(tx: Tx, show_id: ShowId) -> Regulations:
    """Rules, rights and sanctions of a show's room, for the gateways."""
    show = await _find_show(tx, show_id)
    room = await get_room(tx, show.room_id)
    rules = await _read_rules(tx, show.room_id)
    rights = await tx.tuples(
        "SELECT account_id, rights FROM live.moderator WHERE room_id = %(room_id)s", room_id=show.room_id
    )
    return Regulations(
        room_id=show.room_id,
        streamer_id=room.streamer_id,
        version=rules.version,
        rules=rules.rules,
        rights={AccountId(account_id): [Right(right) for right in held] for account_id, held in rights},
        sanctions=await _in_force(tx, show),
    )


# The log.


async def log(
    tx: Tx,
    actor: Actor,
    room_id: RoomId | None,
    act: str,
    *,
    show_id: ShowId | None = None,
    whom: ViewerId | None = None,
    reason: str = "",
    **detail: object,
) -> None:
    """Append a line, with this transaction."""
    await tx.run(
        """
        INSERT INTO live.moderation_entry (id, at, room_id, show_id, actor_id, act, whom, reason, detail)
        VALUES (%(id)s, %(now)s, %(room_id)s, %(show_id)s, %(actor_id)s, %(act)s, %(whom)s, %(reason)s, %(detail)s)
        """,
        id=new_id(),
        now=tx.now,
        room_id=room_id,
        show_id=show_id,
        actor_id=_who(actor),
        act=act,
        whom=whom,
        reason=_clean_reason(reason),
        detail=Jsonb(detail),
    )


async def list_moderation_entries(
    tx: Tx, actor: Actor, room_id: RoomId, *, show_id: ShowId | None = None, after: UUID | None = None, limit: int = 50
) -> Page[ModerationEntry]:
    """The room's log, or one show's, newest first, for whoever keeps order there."""
    if not await list_rights(tx, actor, room_id):
        raise NotFound()
    limit = max(1, min(limit, PAGE_SIZE_MAX))
    found = await tx.all(
        ModerationEntry,
        """
        SELECT id, at, show_id, actor_id, act, whom, reason, detail FROM live.moderation_entry
        WHERE room_id = %(room_id)s AND (%(show_id)s::uuid IS NULL OR show_id = %(show_id)s)
          AND (%(after)s::uuid IS NULL OR id < %(after)s)
        ORDER BY id DESC LIMIT %(limit)s
        """,
        room_id=room_id,
        show_id=show_id,
        after=after,
        limit=limit + 1,
    )
    return Page(found[:limit], found[limit - 1].id if len(found) > limit else None)


async def _in_force(tx: Tx, show: _ShowPlace) -> list[Sanction]:
    return await tx.all(
        Sanction,
        """
        SELECT id, kind, room_id, show_id, target, viewer_id, device_id, network::text AS network, reason, imposed_by,
               imposed_at, ends_at
        FROM live.sanction
        WHERE (room_id = %(room_id)s OR room_id IS NULL) AND lifted_at IS NULL
          AND (show_id IS NULL OR show_id = %(show_id)s) AND (ends_at IS NULL OR ends_at > %(now)s)
        ORDER BY id DESC LIMIT %(limit)s
        """,
        room_id=show.room_id,
        show_id=show.id,
        now=tx.now,
        limit=SANCTIONS_MAX,
    )


async def _get(tx: Tx, sanction_id: UUID) -> Sanction:
    return await tx.one(
        Sanction,
        """
        SELECT id, kind, room_id, show_id, target, viewer_id, device_id, network::text AS network, reason, imposed_by,
               imposed_at, ends_at
        FROM live.sanction WHERE id = %(id)s
        """,
        id=sanction_id,
    )


async def _find_show(tx: Tx, show_id: ShowId) -> _ShowPlace:
    return _ShowPlace(show_id, await find_room_of_show(tx, show_id))


async def _find_hold(tx: Tx, actor: Actor, show_id: ShowId, draft: SanctionDraft) -> tuple[UUID | None, str | None]:
    """The device or network to hold on to."""
    if draft.target is Target.account:
        return None, None
    speaker = await tx.maybe(
        Speaker,
        """
        SELECT viewer_id, device_id, host(address) AS address FROM live.speaker
        WHERE show_id = %(show_id)s AND viewer_id = %(viewer_id)s
        """,
        show_id=show_id,
        viewer_id=draft.viewer_id,
    )
    if draft.target is Target.network:
        address = speaker.address if speaker is not None else None
        return None, network_of(address, draft.prefix, is_operator=Role.operator in actor.roles)
    if speaker is None or speaker.device_id is None:
        raise WhereaboutsUnknown(target=draft.target)
    return speaker.device_id, None


def _check(actor: Actor, draft: SanctionDraft) -> None:
    if draft.kind is not SanctionKind.ban and draft.target is not Target.account:
        raise SanctionRefused(reason="target")
    if draft.prefix is not None and draft.target is not Target.network:
        raise SanctionRefused(reason="prefix")
    if draft.everywhere:
        actor.require_operator()
        if draft.for_show or draft.kind is SanctionKind.kick:
            raise SanctionRefused(reason="everywhere")


async def _check_touchable(tx: Tx, actor: Actor, room_id: RoomId, viewer_id: ViewerId) -> None:
    """Nobody acts against the room's own people, nor against themselves; a moderator not against another."""
    room = await get_room(tx, room_id)
    account_id = AccountId(viewer_id)
    if account_id in (room.streamer_id, _who(actor)) or await identity.has_role(tx, account_id, Role.operator):
        raise Untouchable()
    theirs = Actor(viewer_id=viewer_id, account_id=account_id, seat_holder_id=account_id)
    rights = await list_rights(tx, theirs, room_id)
    is_host = Role.operator in actor.roles or await _has_seat(tx, actor, room.shop_id)
    if len(rights) == len(ALL_RIGHTS) and await _has_seat(tx, theirs, room.shop_id):
        raise Untouchable()
    if rights and not is_host:
        raise Untouchable()


async def _require_host(tx: Tx, actor: Actor, room_id: RoomId) -> None:
    room = await get_room(tx, room_id)
    if actor.seat_holder_id is None and actor.account_id is None:
        raise Unauthenticated()
    if Role.operator in actor.roles or await _has_seat(tx, actor, room.shop_id):
        return
    raise RightLacking(right="moderators") if await list_rights(tx, actor, room_id) else NotFound()


async def _has_seat(tx: Tx, actor: Actor, shop_id: ShopId) -> bool:
    try:
        await identity.require_seat(tx, actor, shop_id, Scope.show)
    except (NotFound, Forbidden, Unauthenticated):
        return False
    return True


def _who(actor: Actor) -> AccountId:
    who = actor.seat_holder_id or actor.account_id
    assert who is not None
    return who


def _clean_reason(reason: str) -> str:
    return catalog.clean_text("reason", reason, kind="note")


def gather_rights(scopes: Iterable[str], held: list[Right] | None) -> frozenset[Right]:
    """What a ticket's scopes and a moderator's rights make together."""
    if Scope.show.value in scopes or Role.operator.value in scopes:
        return frozenset(ALL_RIGHTS)
    return frozenset(held or ())
