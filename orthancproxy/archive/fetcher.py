"""How lists of records are fetched, whichever Orthanc there is and whoever asks."""

from collections.abc import Sequence
from typing import Protocol

from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Filter, LevelPlan, Needs
from orthancproxy.archive.records import Page, Resource

# What resources were all found below: those of their level that Orthanc has below the roots are they, and no others.
# The higher the roots, the less Orthanc has to look for. None is the whole archive.
Roots = Sequence[Resource] | None


class Fetcher(Protocol):
    """How one kind of Orthanc is asked. Records hold what `needs` says; the plan's related are not its business."""

    def page(self, plan: LevelPlan) -> Page:
        """One page of a root list, sorted."""

    def matching(self, level: Level, criteria: Filter, needs: Needs) -> list[Resource]:
        """All resources of a level that match, in no order."""

    def children(
        self, level: Level, parents: Sequence[Resource], criteria: Filter, needs: Needs, roots: Roots
    ) -> list[Resource]:
        """The resources of a level below these parents that match, and perhaps others, in no order."""

    def parents(self, level: Level, children: Sequence[Resource], needs: Needs) -> list[Resource]:
        """The resources of a level above these children, and perhaps others."""

    def by_ids(self, level: Level, ids: Sequence[str], needs: Needs) -> list[Resource]:
        """The resources with these Orthanc ids, as far as they exist at this level."""

    def complete(self, level: Level, found: Sequence[Resource], needs: Needs) -> list[Resource]:
        """The same resources, in their order, with what was not needed when they were fetched."""
