"""What a person does not want to hear, and when."""

from zoneinfo import available_timezones

from laotie.base.db import Tx
from laotie.base.ids import ViewerId
from laotie.messages.model import Preference, PreferenceRefused


async def get_preference(tx: Tx, viewer_id: ViewerId) -> Preference:
    """A viewer's wishes; who never said anything hears everything."""
    return (
        await tx.maybe(
            Preference,
            """
            SELECT off_kinds, quiet_from, quiet_to, time_zone FROM messages.preference
            WHERE viewer_id = %(viewer_id)s
            """,
            viewer_id=viewer_id,
        )
        or Preference()
    )


async def set_preference(tx: Tx, viewer_id: ViewerId, preference: Preference) -> Preference:
    """Replace a viewer's wishes. Refuses `PreferenceRefused`."""
    if (preference.quiet_from is None) != (preference.quiet_to is None):
        raise PreferenceRefused()
    if preference.time_zone not in available_timezones():
        raise PreferenceRefused()
    await tx.run(
        """
        INSERT INTO messages.preference (viewer_id, off_kinds, quiet_from, quiet_to, time_zone)
        VALUES (%(viewer_id)s, %(off_kinds)s, %(quiet_from)s, %(quiet_to)s, %(time_zone)s)
        ON CONFLICT (viewer_id) DO UPDATE
        SET off_kinds = excluded.off_kinds, quiet_from = excluded.quiet_from, quiet_to = excluded.quiet_to,
            time_zone = excluded.time_zone
        """,
        viewer_id=viewer_id,
        off_kinds=sorted(set(preference.off_kinds)),
        quiet_from=preference.quiet_from,
        quiet_to=preference.quiet_to,
        time_zone=preference.time_zone,
    )
    return await get_preference(tx, viewer_id)
