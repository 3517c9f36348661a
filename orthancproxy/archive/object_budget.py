"""How many resources one request may be given, since each takes memory and time."""

from collections.abc import Sequence

from orthancproxy.archive.plan import LevelPlan
from orthancproxy.archive.records import Resource
from orthancproxy.errors import LimitExceeded


class ObjectBudget:
    """So many patients, studies, series and instances, counted as often as the answer shows them.

    Safe for the operations of one request, which are carried out one after the other.
    """

    def __init__(self, maximum: int = 2**31 - 2) -> None:
        self.maximum = maximum
        self._expected = self._taken = 0

    def expect(self, objects: int) -> None:
        """Count what one more operation asks for at least. Raises LimitExceeded before anything is fetched for it."""
        self._expected += objects
        if self._expected > self.maximum:
            raise LimitExceeded(
                f"The query asks for {self._expected} objects or more; at most {self.maximum} are allowed "
                "(server.limits.maxObjects). Ask for smaller pages (`first`), or for fewer lists at once."
            )

    def check_fetch(self, count: int) -> None:
        """Raise LimitExceeded where a list that is fetched, or about to be, has more."""
        if count > self.maximum:
            raise self._exceeded()

    def spend(self, plan: LevelPlan, records: Sequence[Resource]) -> None:
        """Count records and all that is related to them. Raises LimitExceeded."""
        self._taken += _objects(plan, records, {})
        if self._taken > self.maximum:
            raise self._exceeded()

    def _exceeded(self) -> LimitExceeded:
        return LimitExceeded(
            f"It takes more than {self.maximum} patients, studies, series and instances to answer this "
            "(server.limits.maxObjects): ask for fewer, with `first` or a filter."
        )


def _objects(plan: LevelPlan, records: Sequence[Resource], known: dict[tuple[int, str], int]) -> int:
    """How many objects the answer shows for these records. Those that it shows in many places are looked at once."""
    if not plan.related:
        return len(records)
    total = 0
    for record in records:
        place = id(plan), record.orthanc_id
        if place not in known:
            known[place] = 1 + sum(
                _objects(related_plan, _listed(record.related[name]), known)
                for name, related_plan in plan.related.items()
            )
        total += known[place]
    return total


def _listed(link: Resource | Sequence[Resource]) -> Sequence[Resource]:
    return (link,) if isinstance(link, Resource) else link
