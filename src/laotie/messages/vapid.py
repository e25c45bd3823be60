"""The house's own key for web push (VAPID, RFC 8292): push services know the sender by it.

Made once in the data directory and readable by its owner alone; `LAOTIE_VAPID_KEY` gives several hosts one. It is never
logged. A new key is a new sender: subscriptions made with the old one are refused by the services and removed here.
"""

import base64
import os
from functools import lru_cache
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02, VapidException

from laotie.base.clock import Clock
from laotie.base.settings import SettingRefused, Settings

TOKEN_VALID_S = 12 * 3600
"""A token may be good for a day (RFC 8292, 2); clocks differ."""


def open_vapid(settings: Settings) -> Vapid02:
    """The key of these settings, made now if there is none yet. Refuses a key or subject that no service would take."""
    vapid = _open(settings.vapid_key, str(settings.data_path))
    try:
        vapid.sign({"aud": "https://push.example", "sub": subject_of(settings)})
    except VapidException:
        raise SettingRefused(reason="vapid_subject: a mailto: or https: address that push services may write to") from None
    return vapid


@lru_cache(maxsize=8)
def _open(key: str | None, data_dir: str) -> Vapid02:
    if key is not None:
        try:
            return Vapid02.from_string(key)
        except (ValueError, VapidException):
            raise SettingRefused(reason="vapid_key: not a private key of the curve P-256, base64url") from None
    path = os.path.join(data_dir, "vapid.pem")  # noqa: PTH118 (a plain name for the cache's key)
    try:
        os.makedirs(data_dir, exist_ok=True)  # noqa: PTH103
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        with open(path, "rb") as file:  # noqa: PTH123
            return Vapid02.from_pem(file.read())
    made = Vapid02()
    made.generate_keys()
    with os.fdopen(descriptor, "wb") as file:
        file.write(made.private_pem())
    return made


def public_key_of(settings: Settings) -> str:
    """What a browser needs to subscribe (`applicationServerKey`): the public point, base64url."""
    point = _open(settings.vapid_key, str(settings.data_path)).public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return base64.urlsafe_b64encode(point).rstrip(b"=").decode()


def sign_push(settings: Settings, clock: Clock, endpoint: str) -> dict[str, str]:
    """The headers that say to this push service who is calling."""
    parts = urlsplit(endpoint)
    signed: dict[str, str] = _open(settings.vapid_key, str(settings.data_path)).sign(
        {
            "aud": f"{parts.scheme}://{parts.netloc}",
            "exp": int(clock.now().timestamp()) + TOKEN_VALID_S,
            "sub": subject_of(settings),
        }
    )
    return signed


def subject_of(settings: Settings) -> str:
    """Whom a push service may ask about our pushes."""
    if settings.vapid_subject:
        return settings.vapid_subject
    parts = urlsplit(settings.base_url)
    host = parts.hostname or "localhost"
    return f"https://{host}" if parts.scheme == "https" and "." in host else f"mailto:webmaster@{host}"
