"""Videos: short films with a cart, a surface of their own beside the shows.

Owns: a video with its film, products and the show that it warms up; plays, likes, comments; what was bought from it.
Promises: what is shown was remuxed or encoded here, never the file that came; a film that is killed in the making is
begun anew or fails with a reason, and nothing of it stays on disk; a play counts once, by the server's clock; a viewer
likes once; texts are cleaned and judged before anybody sees them; sums are raw, and every play behind them is kept.
Not here: uploads (`uploads`), the confined programs (`media`), the feed (`traffic`), shows (`live`).
"""

from laotie import identity
from laotie.videos.audience import acknowledge_play, like, unlike
from laotie.videos.comments import (
    add_comment,
    let_pass,
    like_comment,
    list_answers,
    list_comments,
    remove_comment,
)
from laotie.videos.films import check_head, develop, film_place, find_film
from laotie.videos.listing import (
    export,
    find_streamer,
    find_titles,
    find_videos,
    get_own,
    get_video,
    list_merits,
    list_of_shop,
    list_of_streamer,
)
from laotie.videos.model import (
    Comment,
    CommentEmpty,
    CommentId,
    CommentRefused,
    CommentTooLong,
    Figures,
    FilmNotReady,
    FilmState,
    Merits,
    OwnVideo,
    Played,
    PlayId,
    Video,
    VideoChange,
    VideoDraft,
    VideoGone,
    VideoId,
    VideoProduct,
    VideoProductsRefused,
    VideoState,
    VideoStreamer,
    VideoTitleRefused,
    WarmUpRefused,
    placement_of,
)
from laotie.videos.publishing import begin_upload, change_video, make_video, shop_of

__all__ = [
    "Comment", "CommentEmpty", "CommentId", "CommentRefused", "CommentTooLong", "Figures", "FilmNotReady", "FilmState",
    "Merits", "OwnVideo", "PlayId", "Played", "Video", "VideoChange", "VideoDraft", "VideoGone", "VideoId",
    "VideoProduct", "VideoProductsRefused", "VideoState", "VideoStreamer", "VideoTitleRefused", "WarmUpRefused", "acknowledge_play",
    "add_comment", "begin_upload", "change_video", "check_head", "develop", "film_place", "find_film", "find_streamer", "find_titles",
    "find_videos",
    "get_own", "get_video", "let_pass", "like", "like_comment", "list_answers", "list_comments", "list_merits",
    "list_of_shop", "list_of_streamer", "make_video", "placement_of", "remove_comment", "shop_of", "unlike",
]  # fmt: skip

identity.add_to_export("videos", export)
