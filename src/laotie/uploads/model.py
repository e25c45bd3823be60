"""The words of uploads: what is on its way here, pictures, their bounds, and what is refused. No I/O here."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType
from uuid import UUID

import msgspec

from laotie.base.ids import AccountId
from laotie.base.refusals import Conflict, Invalid, Unavailable

UploadId = NewType("UploadId", UUID)
PictureId = NewType("PictureId", UUID)
DocumentId = NewType("DocumentId", UUID)

OPEN_MAX = 5
"""Uploads that one account may have on their way at once."""
PICTURES_PER_DAY_MAX = 500
UPLOAD_AGE_MAX = timedelta(hours=24)
UNUSED_AGE_MAX = timedelta(hours=24)
STRAY_AGE_MAX = timedelta(hours=1)
DISK_LEFT_BYTES_MIN = 512 * 1024 * 1024
SWEPT_AT_ONCE_MAX = 200
USES_MAX = 100

PICTURE_PATH = "/media/uploads/"


class Purpose(StrEnum):
    """What a picture is for."""

    product = "product"
    avatar = "avatar"
    cover = "cover"
    review = "review"
    evidence = "evidence"
    """Only for the sides of a case (`aftersales`): kept apart from what everybody may see."""


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes on their way here. `taken_by` says what has been made of them, or is being made."""

    id: UploadId
    owner_id: AccountId
    size_bytes: int
    taken_by: str | None
    created_at: datetime


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that was brought here and made anew: WebP, upright, without metadata."""

    id: PictureId
    owner_id: AccountId
    purpose: Purpose
    width: int
    height: int
    size_bytes: int
    created_at: datetime

    @property
    def url(self) -> str:
        """Where everybody gets it."""
        return f"{PICTURE_PATH}{self.id}.webp"


class UploadTooLarge(Invalid, code="upload-too-large"):
    """The file is too large; make it smaller and try again."""

    bytes_max: int


class UploadEmpty(Invalid, code="upload-empty"):
    """The file is empty; choose another one."""


class UploadsOpen(Conflict, code="uploads-open"):
    """You have too many uploads on their way; finish or cancel one first."""

    count_max: int


class OffsetWrong(Conflict, code="offset-wrong"):
    """The upload stands elsewhere; go on from `received_bytes`."""

    received_bytes: int


class UploadBusy(Conflict, code="upload-busy"):
    """This upload is being written to already; go on when that is done."""


class UploadOverflow(Conflict, code="upload-overflow"):
    """More came than was announced; begin again with the file as it is now."""

    size_bytes: int


class UploadIncomplete(Conflict, code="upload-incomplete"):
    """The upload is not complete; go on from `received_bytes`."""

    received_bytes: int
    size_bytes: int


class UploadTaken(Conflict, code="upload-taken"):
    """This upload has been used already; bring the file again."""


class DiskFull(Unavailable, code="disk-full"):
    """There is no room for more files just now; tell the operator."""

    part: str = "disk"


class PicturesTooMany(Conflict, code="pictures-too-many"):
    """You brought too many pictures today; go on tomorrow."""

    count_max: int


class PictureGone(Invalid, code="picture-gone"):
    """This picture is not here any more; bring it again."""

    image: str


def picture_id_in(image: str | None) -> PictureId | None:
    """The picture that an address here means; nothing for an address elsewhere."""
    if image is None or not image.startswith(PICTURE_PATH) or not image.endswith(".webp"):
        return None
    try:
        return PictureId(UUID(image.removeprefix(PICTURE_PATH).removesuffix(".webp")))
    except ValueError:
        return None
