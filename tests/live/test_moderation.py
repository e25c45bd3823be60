"""Order in a room: rights, rules, sanctions, what was said, and the log of it."""

from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from laotie import live, words
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import AccountId, ShowId, ViewerId, new_id
from laotie.base.outbox import list_waiting
from laotie.base.refusals import Forbidden, IdReused, NotFound, Unauthenticated
from laotie.catalog import ChangedMeanwhile
from laotie.events.identity import AccountErased
from laotie.events.live import RegulationsChanged, SayingDeleted, SayingReviewed
from laotie.identity import Actor, NoSuchHandle, Role, Scope, grant_seat
from laotie.live import Right, SanctionDraft, SanctionKind, Target
from laotie.live.sayings import forget_person
from stage import Host, guest, host, join


def operator(actor: Actor) -> Actor:
    return Actor(
        viewer_id=actor.viewer_id, account_id=actor.account_id, seat_holder_id=actor.account_id,
        roles=frozenset({Role.operator}),
    )  # fmt: skip


def said(actor: Actor, text: str, *, at: object, name: str = "小明") -> live.Saying:
    return live.Saying(
        id=new_id(),
        viewer_id=actor.viewer_id,
        name=name,
        level=0,
        text=text,
        said_at=at,  # type: ignore[arg-type]
    )


def draft(actor: Actor, kind: SanctionKind = SanctionKind.mute, **more: object) -> SanctionDraft:
    return SanctionDraft(id=new_id(), kind=kind, viewer_id=actor.viewer_id, **more)  # type: ignore[arg-type]


async def moderate(db: Database, someone: Host, handle: str, *rights: Right) -> Actor:
    actor = await join(db, handle)
    async with db.tx() as tx:
        await live.add_moderator(tx, someone.actor, someone.room_id, handle, list(rights))
    return actor


@pytest.mark.parametrize("right", list(Right))
async def test_a_moderator_may_what_their_rights_say_and_nothing_else(db: Database, right: Right) -> None:
    someone, viewer = await host(db), await join(db, "viewer")
    moderator = await moderate(db, someone, "mod", right)
    for asked in Right:
        async with db.tx() as tx:
            if asked is right:
                await live.require_right(tx, moderator, someone.room_id, asked)
            else:
                with pytest.raises(live.RightLacking):
                    await live.require_right(tx, moderator, someone.room_id, asked)
            with pytest.raises(NotFound):
                await live.require_right(tx, viewer, someone.room_id, asked)
            with pytest.raises(Unauthenticated):
                await live.require_right(tx, guest(), someone.room_id, asked)


async def test_the_streamer_the_seat_show_and_operators_have_all_rights(db: Database) -> None:
    someone, staff, packer = await host(db), await join(db, "staff"), await join(db, "packer")
    boss = operator(await join(db, "boss"))
    async with db.tx() as tx:
        await grant_seat(tx, someone.actor, someone.shop_id, "staff", scopes=[Scope.show])
        await grant_seat(tx, someone.actor, someone.shop_id, "packer", scopes=[Scope.orders])
        for actor in (someone.actor, staff, boss):
            assert await live.list_rights(tx, actor, someone.room_id) == list(Right)
        assert await live.list_rights(tx, packer, someone.room_id) == []


async def test_only_the_rooms_own_people_make_moderators(db: Database) -> None:
    someone = await host(db)
    moderator, viewer = await moderate(db, someone, "mod", *Right), await join(db, "viewer")
    async with db.tx() as tx:
        with pytest.raises(live.RightLacking):
            await live.add_moderator(tx, moderator, someone.room_id, "viewer", [Right.mute])
        with pytest.raises(NotFound):
            await live.add_moderator(tx, viewer, someone.room_id, "viewer", [Right.mute])
        with pytest.raises(NoSuchHandle):
            await live.add_moderator(tx, someone.actor, someone.room_id, "nobody", [Right.mute])
        changed = await live.add_moderator(tx, someone.actor, someone.room_id, "mod", [Right.mute])
        assert (changed.name, changed.rights) == ("mod", [Right.mute])
        assert [one.account_id for one in await live.list_moderators(tx, moderator, someone.room_id)] == [
            moderator.account_id
        ]
        assert moderator.account_id is not None
        await live.remove_moderator(tx, moderator, someone.room_id, moderator.account_id)
        assert await live.list_rights(tx, moderator, someone.room_id) == []


async def test_rules_are_kept_and_a_slower_change_is_refused(db: Database) -> None:
    someone = await host(db)
    moderator = await moderate(db, someone, "mod", Right.rules)
    mine = words.WordList(name="mine", words=("  bad  ", "bad", "坏"), action=words.Action.hold)
    async with db.tx() as tx:
        first = await live.get_rules(tx, moderator, someone.room_id)
        assert (first.version, first.rules) == (0, live.ChatRules())
        changed = await live.change_rules(
            tx, moderator, someone.room_id, live.ChatRules(slow_s=8, lists=(mine,)), expected_version=0
        )
        assert changed.version == 1 and changed.rules.lists[0].words == ("bad", "坏")
        assert await live.get_rules(tx, someone.actor, someone.room_id) == changed
        with pytest.raises(ChangedMeanwhile):
            await live.change_rules(tx, moderator, someone.room_id, live.ChatRules(), expected_version=0)
        with pytest.raises(words.WordsRefused):
            bad = words.WordList(name="", words=())
            await live.change_rules(tx, moderator, someone.room_id, live.ChatRules(lists=(bad,)))
        regulations = await live.read_regulations(tx, someone.show_id)
        assert regulations.rules == changed.rules and regulations.rights == {moderator.account_id: [Right.rules]}


async def test_a_sanction_is_in_force_until_it_ends_or_is_lifted(db: Database, clock: Clock) -> None:
    someone, viewer, other = await host(db), await join(db, "viewer"), await join(db, "other")
    async with db.tx() as tx:
        asked = draft(viewer, SanctionKind.ban, minutes=10, reason="spam")
        banned = await live.impose(tx, someone.actor, someone.show_id, asked)
        assert banned.ends_at == tx.now + timedelta(minutes=10)
        assert await live.impose(tx, someone.actor, someone.show_id, asked) == banned
        with pytest.raises(IdReused):
            again = SanctionDraft(id=asked.id, kind=SanctionKind.mute, viewer_id=viewer.viewer_id)
            await live.impose(tx, someone.actor, someone.show_id, again)
        with pytest.raises(live.Banned) as refused:
            await live.check_entry(tx, someone.show_id, viewer_id=viewer.viewer_id, device_id=None, address=None)
        assert refused.value.facts() == {"until": banned.ends_at, "reason": "spam"}
        await live.check_entry(tx, someone.show_id, viewer_id=other.viewer_id, device_id=None, address=None)
    clock.advance(seconds=601)
    async with db.tx() as tx:
        await live.check_entry(tx, someone.show_id, viewer_id=viewer.viewer_id, device_id=None, address=None)
        assert await live.list_sanctions(tx, someone.actor, someone.show_id) == []
        forever = await live.impose(tx, someone.actor, someone.show_id, draft(viewer, SanctionKind.ban))
        assert forever.ends_at is None
        await live.lift(tx, someone.actor, forever.id, reason="sorry")
        await live.lift(tx, someone.actor, forever.id)
        await live.check_entry(tx, someone.show_id, viewer_id=viewer.viewer_id, device_id=None, address=None)


async def test_a_kick_and_a_mute_for_the_show_hold_in_that_show_alone(db: Database) -> None:
    someone, viewer = await host(db), await join(db, "viewer")
    async with db.tx() as tx:
        planned = await live.plan_show(tx, someone.actor, live.ShowDraft(id=ShowId(new_id()), title="next"))
        kicked = await live.impose(tx, someone.actor, someone.show_id, draft(viewer, SanctionKind.kick))
        await live.impose(tx, someone.actor, someone.show_id, draft(viewer, for_show=True))
        assert kicked.ends_at == tx.now + timedelta(minutes=10)
        with pytest.raises(live.Kicked):
            await live.check_entry(tx, someone.show_id, viewer_id=viewer.viewer_id, device_id=None, address=None)
        await live.check_entry(tx, planned.id, viewer_id=viewer.viewer_id, device_id=None, address=None)
        assert len((await live.read_regulations(tx, someone.show_id)).sanctions) == 2
        assert (await live.read_regulations(tx, planned.id)).sanctions == []


@pytest.mark.parametrize(
    ("address", "prefix", "inside", "outside"),
    [
        ("203.0.113.77", None, ["203.0.113.1", "::ffff:203.0.113.9"], ["203.0.114.1", "::1", "local"]),
        ("203.0.113.77", 32, ["203.0.113.77"], ["203.0.113.78"]),
        ("2001:db8:1:2:aaaa::1", None, ["2001:db8:1:2::9"], ["2001:db8:1:3::9", "203.0.113.1"]),
    ],
)
async def test_a_network_is_banned_as_wide_as_it_says(
    db: Database, address: str, prefix: int | None, inside: list[str], outside: list[str]
) -> None:
    someone, viewer, other = await host(db), await join(db, "viewer"), await join(db, "other")
    async with db.tx() as tx:
        with pytest.raises(live.WhereaboutsUnknown):
            await live.impose(
                tx, someone.actor, someone.show_id, draft(viewer, SanctionKind.ban, target=Target.network)
            )
        speaker = live.Speaker(viewer_id=viewer.viewer_id, device_id=None, address=address)
        await live.store_sayings(tx, someone.show_id, said=[], speakers=[speaker])
        asked = draft(viewer, SanctionKind.ban, target=Target.network, prefix=prefix)
        await live.impose(tx, someone.actor, someone.show_id, asked)
        for one in inside:
            with pytest.raises(live.Banned):
                await live.check_entry(tx, someone.show_id, viewer_id=other.viewer_id, device_id=None, address=one)
        for one in outside:
            await live.check_entry(tx, someone.show_id, viewer_id=other.viewer_id, device_id=None, address=one)


@pytest.mark.parametrize(("address", "prefix"), [("203.0.113.77", 20), ("2001:db8::1", 48)])
async def test_only_an_operator_bans_a_wide_network_and_nobody_bans_loopback(
    db: Database, address: str, prefix: int
) -> None:
    someone, viewer, near = await host(db), await join(db, "viewer"), await join(db, "near")
    boss = operator(await join(db, "boss"))
    async with db.tx() as tx:
        speakers = [
            live.Speaker(viewer_id=viewer.viewer_id, device_id=None, address=address),
            live.Speaker(viewer_id=near.viewer_id, device_id=None, address="127.0.0.1"),
        ]
        await live.store_sayings(tx, someone.show_id, said=[], speakers=speakers)
        asked = draft(viewer, SanctionKind.ban, target=Target.network, prefix=prefix)
        with pytest.raises(live.SanctionRefused):
            await live.impose(tx, someone.actor, someone.show_id, asked)
        await live.impose(tx, boss, someone.show_id, asked)
        with pytest.raises(live.WhereaboutsUnknown):
            await live.impose(tx, boss, someone.show_id, draft(near, SanctionKind.ban, target=Target.network))


async def test_a_device_is_banned_whoever_uses_it(db: Database) -> None:
    someone, viewer, other = await host(db), await join(db, "viewer"), await join(db, "other")
    device = uuid4()
    async with db.tx() as tx:
        speaker = live.Speaker(viewer_id=viewer.viewer_id, device_id=device, address="203.0.113.1")
        await live.store_sayings(tx, someone.show_id, said=[], speakers=[speaker])
        await live.impose(tx, someone.actor, someone.show_id, draft(viewer, SanctionKind.ban, target=Target.device))
        with pytest.raises(live.Banned):
            await live.check_entry(
                tx, someone.show_id, viewer_id=other.viewer_id, device_id=device, address="198.51.100.1"
            )
        await live.check_entry(tx, someone.show_id, viewer_id=other.viewer_id, device_id=uuid4(), address="203.0.113.1")


async def test_the_rooms_own_people_operators_and_oneself_are_untouchable(db: Database) -> None:
    someone = await host(db)
    one, two = await moderate(db, someone, "one", Right.mute), await moderate(db, someone, "two", Right.mute)
    staff, boss = await join(db, "staff"), operator(await join(db, "boss"))
    async with db.tx() as tx:
        await grant_seat(tx, someone.actor, someone.shop_id, "staff", scopes=[Scope.show])
        assert boss.account_id is not None
        await tx.run("UPDATE identity.account SET roles = '{operator}' WHERE id = %(id)s", id=boss.account_id)
        for actor, whom in [(one, someone.actor), (one, staff), (one, two), (one, one), (staff, someone.actor)]:
            with pytest.raises(live.Untouchable):
                await live.impose(tx, actor, someone.show_id, draft(whom))
        with pytest.raises(live.Untouchable):
            await live.impose(tx, someone.actor, someone.show_id, draft(boss))
        await live.impose(tx, someone.actor, someone.show_id, draft(two))


async def test_only_operators_act_everywhere(db: Database) -> None:
    someone, elsewhere = await host(db), await host(db, "elsewhere")
    viewer, boss = await join(db, "viewer"), operator(await join(db, "boss"))
    async with db.tx() as tx:
        with pytest.raises(Forbidden):
            await live.impose(tx, someone.actor, someone.show_id, draft(viewer, SanctionKind.ban, everywhere=True))
        ban = await live.impose(tx, boss, someone.show_id, draft(viewer, SanctionKind.ban, everywhere=True))
        assert ban.room_id is None
        with pytest.raises(live.Banned):
            await live.check_entry(tx, elsewhere.show_id, viewer_id=viewer.viewer_id, device_id=None, address=None)
        with pytest.raises(Forbidden):
            await live.lift(tx, someone.actor, ban.id)


async def test_sayings_are_listed_by_time_without_what_was_deleted(db: Database, clock: Clock) -> None:
    someone, viewer = await host(db), await join(db, "viewer")
    async with db.tx() as tx:
        start = tx.now
        lines = [said(viewer, f"{n}", at=start + timedelta(seconds=n)) for n in range(5)]
        await live.store_sayings(tx, someone.show_id, said=lines)
        await live.store_sayings(tx, someone.show_id, said=lines)
        await live.delete_saying(tx, someone.actor, someone.show_id, lines[2].id, reason="rude")
        await live.delete_saying(tx, viewer, someone.show_id, lines[3].id)
        await live.delete_saying(tx, someone.actor, someone.show_id, lines[2].id)
        kept = await live.list_sayings(tx, someone.show_id)
        assert [one.text for one in kept] == ["0", "1", "4"]
        part = await live.list_sayings(
            tx, someone.show_id, start + timedelta(seconds=1), start + timedelta(seconds=4), 10
        )
        assert [one.text for one in part] == ["1"]
        assert [one.text for one in await live.latest_sayings(tx, someone.show_id, limit=2)] == ["1", "4"]
    async with db.read() as tx:
        told = [one.event for one in await list_waiting(tx)]
    assert [event.saying_id for event in told if isinstance(event, SayingDeleted)] == [lines[2].id, lines[3].id]


async def test_a_text_deleted_before_it_is_written_stays_deleted(db: Database) -> None:
    someone, viewer = await host(db), await join(db, "viewer")
    async with db.tx() as tx:
        line = said(viewer, "quick", at=tx.now)
        with pytest.raises(NotFound):
            await live.delete_saying(tx, viewer, someone.show_id, line.id)
        await live.delete_saying(tx, someone.actor, someone.show_id, line.id)
        await live.store_sayings(tx, someone.show_id, said=[line])
        assert await live.list_sayings(tx, someone.show_id) == []
        row = await tx.tuples("SELECT text, deleted_at IS NOT NULL FROM live.saying WHERE id = %(id)s", id=line.id)
        assert row == [("quick", True)]


async def test_a_held_text_is_decided_once_and_shown_from_then_on(db: Database, clock: Clock) -> None:
    someone, viewer = await host(db), await join(db, "viewer")
    moderator = await moderate(db, someone, "mod", Right.mute)
    async with db.tx() as tx:
        waiting = [
            live.HeldSaying(
                id=new_id(), viewer_id=viewer.viewer_id, name="小明", level=0, text=text, why="fraud", said_at=tx.now
            )
            for text in ("yes", "no")
        ]
        await live.store_sayings(tx, someone.show_id, said=[], held=waiting)
        with pytest.raises(live.RightLacking):
            await live.list_held(tx, moderator, someone.show_id)
        assert await live.list_held(tx, someone.actor, someone.show_id) == waiting
    clock.advance(seconds=30)
    async with db.tx() as tx:
        await live.review(tx, someone.actor, someone.show_id, waiting[0].id, approved=True)
        await live.review(tx, someone.actor, someone.show_id, waiting[1].id, approved=False, reason="scam")
        with pytest.raises(NotFound):
            await live.review(tx, someone.actor, someone.show_id, waiting[0].id, approved=False)
        assert await live.list_held(tx, someone.actor, someone.show_id) == []
        assert [(one.text, one.said_at) for one in await live.list_sayings(tx, someone.show_id)] == [("yes", tx.now)]
    async with db.read() as tx:
        told = [one.event for one in await list_waiting(tx)]
    assert [event.approved for event in told if isinstance(event, SayingReviewed)] == [True, False]


async def test_the_log_tells_who_what_whom_why_and_cannot_be_rewritten(db: Database) -> None:
    someone, viewer = await host(db), await join(db, "viewer")
    async with db.tx() as tx:
        await live.impose(tx, someone.actor, someone.show_id, draft(viewer, minutes=10, reason="rude"))
        await live.change_rules(tx, someone.actor, someone.room_id, live.ChatRules(slow_s=5))
        page = await live.list_moderation_entries(tx, someone.actor, someone.room_id)
        assert [(one.act, one.actor_id, one.whom, one.reason) for one in page.items] == [
            ("rules.changed", someone.id, None, ""),
            ("mute.imposed", someone.id, viewer.viewer_id, "rude"),
        ]
        assert page.items[0].detail == {"slow_s": 5} and page.items[1].detail["minutes"] == 10
        of_show = await live.list_moderation_entries(
            tx, someone.actor, someone.room_id, show_id=someone.show_id, limit=1
        )
        assert [one.act for one in of_show.items] == ["mute.imposed"]
        with pytest.raises(NotFound):
            await live.list_moderation_entries(tx, viewer, someone.room_id)
        told = [one for one in tx.told if isinstance(one, RegulationsChanged)]
        assert len(told) == 2
    for change in ("DELETE FROM live.moderation_entry", "UPDATE live.moderation_entry SET reason = 'nice'"):
        with pytest.raises(psycopg.errors.RaiseException):
            async with db.tx() as tx:
                await tx.run(change)


async def test_what_an_erased_person_said_goes_with_them(db: Database) -> None:
    someone, viewer = await host(db), await join(db, "viewer")
    async with db.tx() as tx:
        line = said(viewer, "my address is …", at=tx.now)
        speaker = live.Speaker(viewer_id=viewer.viewer_id, device_id=None, address="203.0.113.1")
        await live.store_sayings(tx, someone.show_id, said=[line], speakers=[speaker])
        await live.delete_saying(tx, someone.actor, someone.show_id, line.id)
        await forget_person(tx, AccountErased(account_id=AccountId(viewer.viewer_id)))
        assert await tx.tuples("SELECT name, text FROM live.saying") == [("", "")]
        assert await tx.tuples("SELECT viewer_id FROM live.speaker") == []
        entry = (await live.list_moderation_entries(tx, someone.actor, someone.room_id)).items[0]
        assert (entry.act, entry.detail) == ("saying.deleted", {})


async def test_where_people_spoke_from_is_forgotten_after_a_month(db: Database, clock: Clock) -> None:
    someone = await host(db)
    async with db.tx() as tx:
        speaker = live.Speaker(viewer_id=ViewerId(new_id()), device_id=None, address="203.0.113.1")
        await live.store_sayings(tx, someone.show_id, said=[], speakers=[speaker])
        assert await live.forget_speakers(tx) == 0
    clock.advance(seconds=31 * 86_400)
    async with db.tx() as tx:
        assert await live.forget_speakers(tx) == 1
