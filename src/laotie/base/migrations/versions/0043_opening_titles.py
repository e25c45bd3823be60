"""The title that a show began under, so that the lake can be told again of it as it was told."""

from laotie.base.migrations import run

revision = "0043"
down_revision = "0042"

OPENING_TITLE = """
    -- Empty until the show begins. What shows of before were renamed from is not known: theirs is the title that they have.
    ALTER TABLE live.show ADD COLUMN opening_title text;
    UPDATE live.show SET opening_title = title WHERE started_at IS NOT NULL;
"""


def upgrade() -> None:
    run(OPENING_TITLE)
