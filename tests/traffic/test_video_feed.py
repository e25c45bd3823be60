"""The feed of videos: its published formula, and why each stands where it stands."""

from datetime import UTC, datetime, timedelta

from laotie.base.ids import AccountId, ShowId, new_id
from laotie.traffic.video_feed import explain_video, weigh_videos
from laotie.videos import Merits, VideoId

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def merits(*, hours: float = 0, **figures: int) -> Merits:
    known = {"plays": 0, "likes": 0, "comments": 0, "orders": 0} | figures
    return Merits(
        id=VideoId(new_id()),
        streamer_id=AccountId(new_id()),
        warms_up=None,
        published_at=NOW - timedelta(hours=hours),
        **known,
    )


def test_the_value_is_the_published_formula() -> None:
    one = merits(hours=24, plays=3, likes=2, comments=1, orders=1)
    (weight,) = weigh_videos([one], followed=set(), soon=set(), at=NOW)
    assert weight.value == round(4 / 2 + 3.169925 + 1, 6)  # log2(1 + 2 + 2 + 4) and log2(4) / 2


def test_new_ones_come_before_old_ones_and_liked_ones_before_both() -> None:
    new, old, liked = merits(), merits(hours=72), merits(hours=72, likes=60)
    order = [one.id for one in weigh_videos([old, new, liked], followed=set(), soon=set(), at=NOW)]
    assert order == [liked.id, new.id, old.id]


def test_whom_one_follows_and_what_starts_soon_counts_and_is_said() -> None:
    one = merits(hours=3)
    show = ShowId(new_id())
    warming = Merits(**{name: getattr(one, name) for name in one.__struct_fields__} | {"warms_up": show})
    (weight,) = weigh_videos([warming], followed={one.streamer_id}, soon={show}, at=NOW)
    (plain,) = weigh_videos([one], followed=set(), soon=set(), at=NOW)
    assert round(weight.value - plain.value, 6) == 5
    assert explain_video(weight, locale="zh-CN") == "你关注的主播 · 即将开播"
    assert explain_video(plain, locale="en") == "posted 3 h ago"


def test_of_equal_ones_the_younger_comes_first_and_the_same_figures_give_the_same_list() -> None:
    several = [merits() for _ in range(5)]
    once = [one.id for one in weigh_videos(several, followed=set(), soon=set(), at=NOW)]
    again = [one.id for one in weigh_videos(several[::-1], followed=set(), soon=set(), at=NOW)]
    assert once == again == sorted(once, reverse=True)
