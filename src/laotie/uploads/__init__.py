"""Uploads: what people bring. Bytes on their way here, pictures, and the sweeping of what nobody came back for.

Promises: an upload is streamed to disk, goes on where it broke off, and is never larger than announced; nothing that a
client says of a file (its name, its type) is believed or becomes part of a path; a picture is shown only after it was
made anew in a confined process, without metadata; what nothing shows for a day is removed.
Not here: films (`videos` makes them of uploads), who may bring what (the doors and rooms above).
"""

from laotie.uploads.documents import (
    Document,
    DocumentGone,
    DocumentsTooMany,
    bring_document,
    find_documents,
    hold_documents,
    page_place,
    sweep_documents,
)
from laotie.uploads.intake import (
    append,
    begin,
    check_disk,
    discard,
    find,
    forget,
    get_own,
    place_of,
    received_bytes,
    release,
    take,
)
from laotie.uploads.model import (
    PICTURE_PATH,
    DiskFull,
    DocumentId,
    OffsetWrong,
    Picture,
    PictureGone,
    PictureId,
    PicturesTooMany,
    Purpose,
    Upload,
    UploadBusy,
    UploadEmpty,
    UploadId,
    UploadIncomplete,
    UploadOverflow,
    UploadsOpen,
    UploadTaken,
    UploadTooLarge,
    picture_id_in,
)
from laotie.uploads.pictures import bring_picture, evidence_place, get_picture, picture_place, show_pictures
from laotie.uploads.sweep import sweep, sweep_strays

__all__ = [
    "PICTURE_PATH", "DiskFull", "Document", "DocumentGone", "DocumentId", "DocumentsTooMany", "OffsetWrong", "Picture",
    "PictureGone", "PictureId", "PicturesTooMany", "Purpose", "Upload", "UploadBusy", "UploadEmpty", "UploadId",
    "UploadIncomplete", "UploadOverflow", "UploadTaken", "UploadTooLarge", "UploadsOpen", "append", "begin",
    "bring_document", "bring_picture", "check_disk", "discard", "evidence_place", "find", "find_documents", "forget", "get_own",
    "get_picture", "hold_documents", "page_place", "picture_id_in", "picture_place", "place_of", "received_bytes",
    "release", "show_pictures", "sweep", "sweep_documents", "sweep_strays", "take",
]  # fmt: skip
