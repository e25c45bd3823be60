"""Comments under videos: one level of answers, likes, removal by author, streamer's people or operator.

Texts are cleaned like a room's chat and judged by the house's word lists: refused, masked, or held until somebody of the
shop lets them pass.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from laotie import identity, words
from laotie.base.db import Tx
from laotie.base.ids import AccountId, ShopId, ViewerId
from laotie.base.refusals import IdReused, NotFound, TooFast
from laotie.catalog import Page
from laotie.events.videos import VideoCommented
from laotie.identity import Actor, Role, Scope
from laotie.videos.audience import count
from laotie.videos.model import (
    COMMENTS_PER_MINUTE_MAX,
    PAGE_SIZE_MAX,
    Comment,
    CommentId,
    CommentRefused,
    VideoId,
    VideoStreamer,
    clean_comment,
)


class _Row(msgspec.Struct, frozen=True):
    id: CommentId
    video_id: VideoId
    parent_id: CommentId | None
    author_id: AccountId
    text: str
    is_held: bool
    likes: int
    replies: int
    said_at: datetime
    is_liked: bool


class _Place(msgspec.Struct, frozen=True):
    shop_id: ShopId
    streamer_id: AccountId


async def add_comment(
    tx: Tx, actor: Actor, video_id: VideoId, comment_id: CommentId, *, text: str, parent_id: CommentId | None = None
) -> Comment:
    """Say something under a video, or in answer to a comment (an answer's answer stands under the first comment).

    The same again is the same comment. Tells `VideoCommented` for one that is seen. Refuses `CommentEmpty`,
    `CommentTooLong`, `CommentRefused`, `TooFast`, `NotFound`, `IdReused`.
    """
    author_id = actor.signed_in()
    place = await _place_of(tx, video_id)
    cleaned = clean_comment(text)
    known = await _find(tx, actor, comment_id)
    if known is None:
        await _check_pace(tx, author_id)
        answered = await _find_answered(tx, video_id, parent_id) if parent_id is not None else None
        verdict = words.judge_text(cleaned)
        if verdict.action is words.Action.block:
            raise CommentRefused(words=[found.seen for found in verdict.found])
        is_held = verdict.action is words.Action.hold
        await tx.run(
            """
            INSERT INTO videos.comment (id, video_id, parent_id, author_id, text, is_held, said_at)
            VALUES (%(id)s, %(video_id)s, %(parent_id)s, %(author_id)s, %(text)s, %(is_held)s, %(now)s)
            """,
            id=comment_id,
            video_id=video_id,
            parent_id=None if answered is None else answered.parent_id or answered.id,
            author_id=author_id,
            text=verdict.text,
            is_held=is_held,
            now=tx.now,
        )
        known = await _find(tx, actor, comment_id)
        assert known is not None
        if not is_held:
            await _appear(tx, known, answers_id=answered.author_id if answered else None)
    elif known.author_id != author_id or known.video_id != video_id:
        raise IdReused()
    return (await _view(tx, actor, place, [known]))[0]


async def list_comments(
    tx: Tx, actor: Actor, video_id: VideoId, *, after: CommentId | None = None, limit: int = 20
) -> Page[Comment]:
    """What was said under a video, newest first, without the answers."""
    place = await _place_of(tx, video_id)
    limit = min(limit, PAGE_SIZE_MAX)
    rows = await tx.all(
        _Row,
        """
        SELECT id, video_id, parent_id, author_id, text, is_held, like_count AS likes, reply_count AS replies, said_at,
               EXISTS (SELECT FROM videos.comment_liking AS liking
                       WHERE liking.comment_id = comment.id AND liking.viewer_id = %(viewer_id)s) AS is_liked
        FROM videos.comment
        WHERE video_id = %(video_id)s AND parent_id IS NULL AND removed_at IS NULL
          AND (NOT is_held OR author_id = %(viewer_id)s OR %(judges)s)
          AND (%(after)s::uuid IS NULL OR id < %(after)s)
        ORDER BY id DESC LIMIT %(limit)s
        """,
        video_id=video_id,
        viewer_id=actor.viewer_id,
        judges=await _judges(tx, actor, place),
        after=after,
        limit=limit + 1,
    )
    items = await _view(tx, actor, place, rows[:limit])
    return Page(items, rows[limit - 1].id if len(rows) > limit else None)


async def list_answers(
    tx: Tx, actor: Actor, comment_id: CommentId, *, after: CommentId | None = None, limit: int = 20
) -> Page[Comment]:
    """The answers to a comment, oldest first."""
    parent = await _find(tx, actor, comment_id)
    if parent is None:
        raise NotFound()
    place = await _place_of(tx, parent.video_id)
    limit = min(limit, PAGE_SIZE_MAX)
    rows = await tx.all(
        _Row,
        """
        SELECT id, video_id, parent_id, author_id, text, is_held, like_count AS likes, reply_count AS replies, said_at,
               EXISTS (SELECT FROM videos.comment_liking AS liking
                       WHERE liking.comment_id = comment.id AND liking.viewer_id = %(viewer_id)s) AS is_liked
        FROM videos.comment
        WHERE parent_id = %(parent_id)s AND removed_at IS NULL
          AND (NOT is_held OR author_id = %(viewer_id)s OR %(judges)s)
          AND (%(after)s::uuid IS NULL OR id > %(after)s)
        ORDER BY id LIMIT %(limit)s
        """,
        parent_id=comment_id,
        viewer_id=actor.viewer_id,
        judges=await _judges(tx, actor, place),
        after=after,
        limit=limit + 1,
    )
    items = await _view(tx, actor, place, rows[:limit])
    return Page(items, rows[limit - 1].id if len(rows) > limit else None)


async def let_pass(tx: Tx, actor: Actor, comment_id: CommentId) -> Comment:
    """Let everybody see a held comment. Who may: the shop's people with the scope `show`, and operators."""
    held = await _find(tx, actor, comment_id)
    if held is None:
        raise NotFound()
    place = await _place_of(tx, held.video_id)
    if not await _judges(tx, actor, place):
        actor.signed_in()
        raise NotFound()
    if await tx.run(
        "UPDATE videos.comment SET is_held = false WHERE id = %(id)s AND is_held AND removed_at IS NULL", id=comment_id
    ):
        await _appear(tx, held, answers_id=await _author_of(tx, held.parent_id))
        await identity.record(tx, actor, "video_comment.let_pass", subject=str(comment_id))
    return (await _view(tx, actor, place, [msgspec.structs.replace(held, is_held=False)]))[0]


async def remove_comment(tx: Tx, actor: Actor, comment_id: CommentId) -> None:
    """Take a comment away, with its answers. Who may: its author, the shop's people with `show`, and operators.

    Anybody else finds nothing. One that is gone already is fine for who may.
    """
    account_id = actor.signed_in()
    comment = await _find(tx, actor, comment_id)
    if comment is None:
        raise NotFound()
    place = await _place_of(tx, comment.video_id, any_state=True)
    if comment.author_id != account_id:
        if not await _judges(tx, actor, place):
            raise NotFound()
        await identity.record(tx, actor, "video_comment.removed", subject=str(comment_id), author=comment.author_id)
    removed = await tx.all(
        _Removed,
        """
        UPDATE videos.comment SET removed_at = %(now)s, removed_by = %(by)s
        WHERE (id = %(id)s OR parent_id = %(id)s) AND removed_at IS NULL
        RETURNING author_id, parent_id, is_held
        """,
        id=comment_id,
        by=account_id,
        now=tx.now,
    )
    for one in sorted(removed, key=lambda one: one.author_id.bytes[15]):
        if not one.is_held:
            await count(tx, comment.video_id, ViewerId(one.author_id), comments=-1)
    if comment.parent_id is not None and any(not one.is_held for one in removed):
        await tx.run(
            "UPDATE videos.comment SET reply_count = reply_count - 1 WHERE id = %(id)s AND reply_count > 0",
            id=comment.parent_id,
        )


async def like_comment(tx: Tx, actor: Actor, comment_id: CommentId, *, is_liked: bool) -> None:
    """Like a comment, or take that back; again changes nothing."""
    viewer_id = ViewerId(actor.signed_in())
    if await _find(tx, actor, comment_id) is None:
        raise NotFound()
    asked = {"id": comment_id, "viewer_id": viewer_id}
    if is_liked:
        changed = await tx.run(
            "INSERT INTO videos.comment_liking (comment_id, viewer_id) VALUES (%(id)s, %(viewer_id)s) "
            "ON CONFLICT DO NOTHING",
            **asked,
        )
    else:
        changed = -await tx.run(
            "DELETE FROM videos.comment_liking WHERE comment_id = %(id)s AND viewer_id = %(viewer_id)s", **asked
        )
    if changed:
        await tx.run(
            "UPDATE videos.comment SET like_count = like_count + %(by)s WHERE id = %(id)s", id=comment_id, by=changed
        )


async def erase(tx: Tx, account_id: AccountId) -> None:
    """A person left: what they said is gone, and they like nothing any more."""
    videos = await tx.all(
        UUID,
        "SELECT id FROM videos.comment WHERE author_id = %(id)s AND removed_at IS NULL ORDER BY id",
        id=account_id,
    )
    person = Actor(viewer_id=ViewerId(account_id), account_id=account_id, seat_holder_id=account_id)
    for comment_id in videos:
        await remove_comment(tx, person, CommentId(comment_id))
    await tx.run("UPDATE videos.comment SET text = '' WHERE author_id = %(id)s", id=account_id)


class _Removed(msgspec.Struct, frozen=True):
    author_id: AccountId
    parent_id: CommentId | None
    is_held: bool


async def _appear(tx: Tx, comment: _Row, *, answers_id: AccountId | None) -> None:
    await count(tx, comment.video_id, ViewerId(comment.author_id), comments=1)
    if comment.parent_id is not None:
        await tx.run(
            "UPDATE videos.comment SET reply_count = reply_count + 1 WHERE id = %(id)s", id=comment.parent_id
        )
    tx.tell(
        VideoCommented(
            video_id=comment.video_id,
            comment_id=comment.id,
            author_id=comment.author_id,
            answers_id=answers_id if answers_id != comment.author_id else None,
            commented_at=tx.now,
        )
    )


async def _find(tx: Tx, actor: Actor, comment_id: CommentId) -> _Row | None:
    return await tx.maybe(
        _Row,
        """
        SELECT id, video_id, parent_id, author_id, text, is_held, like_count AS likes, reply_count AS replies, said_at,
               EXISTS (SELECT FROM videos.comment_liking AS liking
                       WHERE liking.comment_id = comment.id AND liking.viewer_id = %(viewer_id)s) AS is_liked
        FROM videos.comment WHERE id = %(id)s AND removed_at IS NULL
        """,
        id=comment_id,
        viewer_id=actor.viewer_id,
    )


async def _find_answered(tx: Tx, video_id: VideoId, comment_id: CommentId) -> _Row:
    """The comment that is answered, which everybody sees and which stands under the same video."""
    answered = await _find(tx, Actor(viewer_id=ViewerId(UUID(int=0))), comment_id)
    if answered is None or answered.video_id != video_id or answered.is_held:
        raise NotFound()
    return answered


async def _author_of(tx: Tx, comment_id: CommentId | None) -> AccountId | None:
    if comment_id is None:
        return None
    return await tx.maybe(AccountId, "SELECT author_id FROM videos.comment WHERE id = %(id)s", id=comment_id)


async def _place_of(tx: Tx, video_id: VideoId, *, any_state: bool = False) -> _Place:
    place = await tx.maybe(
        _Place,
        """
        SELECT shop_id, streamer_id FROM videos.video
        WHERE id = %(id)s AND (%(any_state)s OR (state = 'published' AND film_state = 'ready'))
        """,
        id=video_id,
        any_state=any_state,
    )
    if place is None:
        raise NotFound()
    return place


async def _check_pace(tx: Tx, author_id: AccountId) -> None:
    said = await tx.one(
        int,
        """
        SELECT count(*) FROM videos.comment
        WHERE author_id = %(id)s AND said_at > %(now)s::timestamptz - interval '1 minute'
        """,
        id=author_id,
        now=tx.now,
    )
    if said >= COMMENTS_PER_MINUTE_MAX:
        raise TooFast(retry_after_s=60)


async def _judges(tx: Tx, actor: Actor, place: _Place) -> bool:
    """Whether the actor may let comments pass and take them away here."""
    if Role.operator in actor.roles:
        return True
    if actor.seat_holder_id is None:
        return False
    seat = await identity.find_seat(tx, actor, place.shop_id)
    return (
        seat is not None
        and Scope.show in seat.scopes
        and (actor.token_scopes is None or Scope.show.value in actor.token_scopes)
    )


async def _view(tx: Tx, actor: Actor, place: _Place, rows: Iterable[_Row]) -> list[Comment]:
    rows = list(rows)
    profiles = await identity.find_profiles(tx, {row.author_id for row in rows})
    judges = await _judges(tx, actor, place)
    views = []
    for row in rows:
        profile = profiles.get(row.author_id)
        views.append(
            Comment(
                id=row.id,
                video_id=row.video_id,
                parent_id=row.parent_id,
                author=VideoStreamer(
                    row.author_id, profile.name if profile else "", profile.avatar if profile else None
                ),
                text=row.text,
                is_held=row.is_held,
                is_by_streamer=row.author_id == place.streamer_id,
                is_liked=row.is_liked,
                may_remove=judges or row.author_id == actor.account_id,
                likes=row.likes,
                replies=row.replies,
                said_at=row.said_at,
            )
        )
    return views
