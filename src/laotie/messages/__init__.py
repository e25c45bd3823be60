"""Messages: what the house tells a person who is not looking: notices in the product, and web push to their devices.

Owns notices with their read marks, what each person does not want to hear, devices that take web push, and what is on
its way to them. Promises: one (cause, content) reaches a viewer once however often it is asked for; a notice exists
exactly when the change it tells of does; a dead device is forgotten; no address that a client named is called unless
it is a public one. Not here: whom to tell (rooms decide, with their own consents), the words (pages have them).
"""

from laotie.messages.devices import add_device, list_devices, remove_device, sign_out_devices
from laotie.messages.model import (
    VIEWERS_AT_ONCE_MAX,
    Device,
    DeviceId,
    DeviceRefused,
    MessageId,
    NewDevice,
    Notice,
    NoticePage,
    Preference,
    PreferenceRefused,
)
from laotie.messages.notices import (
    Export,
    count_unread,
    erase,
    export,
    list_notices,
    mark_all_read,
    merge,
    notify_many,
    open_notice,
    sweep_notices,
)
from laotie.messages.preferences import get_preference, set_preference
from laotie.messages.push import push_batch
from laotie.messages.vapid import open_vapid, public_key_of

__all__ = [
    "VIEWERS_AT_ONCE_MAX",
    "Device",
    "DeviceId",
    "DeviceRefused",
    "Export",
    "MessageId",
    "NewDevice",
    "Notice",
    "NoticePage",
    "Preference",
    "PreferenceRefused",
    "add_device",
    "count_unread",
    "erase",
    "export",
    "get_preference",
    "list_devices",
    "list_notices",
    "mark_all_read",
    "merge",
    "notify_many",
    "open_notice",
    "open_vapid",
    "public_key_of",
    "push_batch",
    "remove_device",
    "set_preference",
    "sign_out_devices",
    "sweep_notices",
]
