"""Which breaking changes of the schema the changelog does not announce."""

import re
from collections.abc import Iterator

from graphql import GraphQLSchema
from graphql.utilities import find_breaking_changes

HEADING = re.compile(r"^(#+)\s+(.*?)\s*#*$")
BULLET = re.compile(r"^[-*+]\s+")


def unannounced(released: GraphQLSchema, current: GraphQLSchema, changelog: str) -> list[str]:
    """The changes since the release that break a client's query, except those announced word for word.

    An announcement is an item of the list under `## Unreleased`, `### Breaking`. It begins with the description
    that graphql-core gives of the change; more may follow, such as what to use instead.
    """
    items = list(announcements(changelog))
    changes = (change.description for change in find_breaking_changes(released, current))
    return [change for change in changes if not any(item.startswith(change) for item in items)]


def announcements(changelog: str) -> Iterator[str]:
    """The items of the list of breaking changes to come, each on one line and without backticks."""
    section, part, item = "", "", ""
    for line in [*changelog.splitlines(), "# the end"]:
        heading = HEADING.match(line)
        if heading or BULLET.match(line) or not line.strip():
            if item and (section, part) == ("unreleased", "breaking"):
                yield item
            item = ""
        if heading:
            level, title = len(heading[1]), heading[2].strip("[]").lower()
            if level <= 2:
                section, part = title, ""
            elif level == 3:
                part = title
        elif BULLET.match(line):
            item = _plain(BULLET.sub("", line))
        elif item:
            item += " " + _plain(line)


def _plain(text: str) -> str:
    return " ".join(text.replace("`", "").split())
