"""A limit on the number of resources in one request, since each takes memory and time."""

from collections.abc import Sequence

from orthancproxy.archive.plan import LevelPlan
from orthancproxy.archive.records import Resource
from orthancproxy.errors import LimitExceeded


class ObjectBudget:
    """At most `maximum` patients, studies, series and instances, counted as often as the response shows them.

    Not thread-safe: the operations of a request run one after the other.
    """

    def __init__(self, maximum: int = 2**31 - 2) -> None:
        self.maximum = maximum
        self._reserved = self._spent = 0

    def reserve(self, objects: int) -> None:
        """Charge the minimum of an operation before anything is fetched for it. Raises LimitExceeded."""
        self._reserved += objects
        if self._reserved > self.maximum:
            raise LimitExceeded(
                f"The query asks for {self._reserved} objects or more; at most {self.maximum} are allowed "
                "(server.limits.maxObjects). Ask for smaller pages (`first`), or for fewer lists at once."
            )

    def check_fetch(self, count: int) -> None:
        """Raise LimitExceeded if a list of this length exceeds the maximum."""
        if count > self.maximum:
            raise self._exceeded()

    def spend(self, plan: LevelPlan, resources: Sequence[Resource]) -> None:
        """Charge resources and all that are related to them. Raises LimitExceeded."""
        self._spent += _objects(plan, resources, {})
        if self._spent > self.maximum:
            raise self._exceeded()

    def _exceeded(self) -> LimitExceeded:
        return LimitExceeded(
            f"The response would contain more than {self.maximum} patients, studies, series and instances "
            "(server.limits.maxObjects). Ask for fewer, with `first` or a filter."
        )


def _objects(plan: LevelPlan, resources: Sequence[Resource], known: dict[tuple[int, str], int]) -> int:
    """The number of objects in the response for these resources. Repeated ones are computed once."""
    if not plan.related:
        return len(resources)
    total = 0
    for resource in resources:
        place = id(plan), resource.orthanc_id
        if place not in known:
            known[place] = 1 + sum(
                _objects(related_plan, _listed(resource.related[name]), known)
                for name, related_plan in plan.related.items()
            )
        total += known[place]
    return total


def _listed(link: Resource | Sequence[Resource]) -> Sequence[Resource]:
    return (link,) if isinstance(link, Resource) else link
