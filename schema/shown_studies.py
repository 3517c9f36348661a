"""The studies of what is shown together, such as a page of changes or of jobs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from orthancproxy.archive import records
from orthancproxy.archive.levels import Level
from orthancproxy.resolvers import hierarchy
from orthancproxy.schema.context import Info, gateway
from orthancproxy.schema.selection import Selection


@dataclass(eq=False)
class ShownStudies:
    """Studies, without duplicates: what a field selects of them is fetched once for all."""

    orthanc_ids: Sequence[str]
    _fetched: dict[object, Any] = field(default_factory=dict)

    def study(self, info: Info, orthanc_id: str) -> records.Resource | None:
        """Return the study with what the field selects of it; None if it is gone, or hidden from the caller."""
        place = tuple(key for key in info.path.as_list() if isinstance(key, str))
        if place not in self._fetched:
            try:
                self._fetched[place] = self._fetch(info)
            except Exception as error:
                # the same error for all, instead of as many calls
                self._fetched[place] = error
                raise
        found = self._fetched[place]
        if isinstance(found, Exception):
            raise found
        return cast("records.Resource | None", found.get(orthanc_id))

    def _fetch(self, info: Info) -> Any:
        plan = Selection(info).resource(Level.STUDY)
        info.context.gateway.budget.reserve(len(self.orthanc_ids) * (1 + plan.objects))
        return hierarchy.get_by_orthanc_ids(gateway(info), plan, list(self.orthanc_ids))
