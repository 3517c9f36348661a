"""The interface for fetching lists of resources, independent of Orthanc's version and of the caller's scope."""

from collections.abc import Sequence
from typing import Protocol

from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Filter, LevelPlan, Needs
from orthancproxy.archive.records import Page, Resource

# The highest resources below which a list contains exactly the resources of its level; None is the whole archive.
# The higher the roots, the faster Orthanc finds what is below them.
Roots = Sequence[Resource] | None


class Fetcher(Protocol):
    """Fetches resources with the data that `needs` names. It ignores the related plans of a plan."""

    def page(self, plan: LevelPlan) -> Page:
        """Return one sorted page of a root list."""

    def matching(self, level: Level, criteria: Filter, needs: Needs) -> list[Resource]:
        """Return all matching resources of a level, unordered."""

    def children(
        self, level: Level, parents: Sequence[Resource], criteria: Filter, needs: Needs, roots: Roots
    ) -> list[Resource]:
        """Return the matching resources of a level below these parents, unordered, possibly with those of others."""

    def parents(self, level: Level, children: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the resources of a level above these children, possibly with others."""

    def by_ids(self, level: Level, ids: Sequence[str], needs: Needs) -> list[Resource]:
        """Return the resources of this level with these Orthanc ids; missing ones are left out."""

    def complete(self, level: Level, found: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the same resources in the same order, with the missing data added."""
