"""A resource as DICOMweb names it: by its UID and those of the levels above (PS3.18 section 10.1.1)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from orthancproxy.archive.levels import Level
from orthancproxy.archive.records import Resource
from orthancproxy.errors import InvalidRequest

# archives have UIDs with letters, too
_UID = re.compile(r"[0-9A-Za-z._-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class UIDPath:
    """The UIDs of a study, of a series of it, and of an instance of that; without any, the whole archive."""

    study: str | None = None
    series: str | None = None
    instance: str | None = None

    @property
    def level(self) -> Level | None:
        """The level of the resource; None for the whole archive."""
        return next(reversed(list(self.levels)), None)

    @property
    def named_level(self) -> Level:
        """The level of a path that is not the whole archive."""
        assert self.level is not None  # noqa: S101 - for mypy: routes without a UID read lists
        return self.level

    @property
    def levels(self) -> Mapping[Level, str]:
        """The UIDs by level, from the study down."""
        named = ((Level.STUDY, self.study), (Level.SERIES, self.series), (Level.INSTANCE, self.instance))
        return {level: uid for level, uid in named if uid is not None}

    @property
    def identifiers(self) -> Mapping[str, str]:
        """The UIDs by keyword."""
        return {level.identifier: uid for level, uid in self.levels.items()}

    @property
    def url(self) -> str:
        """The path of its URL below the DICOMweb service: `studies/1/series/2`."""
        return "/".join(f"{level.path}/{uid}" for level, uid in self.levels.items())

    def leads_to(self, resource: Resource) -> bool:
        """Whether a resource has the UIDs of its own level and of those above; it must hold them."""
        return all(
            resource.tags.get(level.identifier, "").rstrip(" \0") == uid
            for level, uid in self.levels.items()
            if level.depth <= resource.level.depth
        )


def check_uid(uid: str) -> str:
    """Return a UID of a URL. Raises InvalidRequest for what no archive has."""
    if not _UID.fullmatch(uid) or ".." in uid:
        raise InvalidRequest("A UID in the URL is not valid.")
    return uid
