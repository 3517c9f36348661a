"""The data of a patient that a restricted caller sees are those of its visible studies."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from orthancproxy.archive.fetcher import Fetcher
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Fact, Needs
from orthancproxy.archive.records import Patient, Study
from orthancproxy.archive.scope import Scope
from orthancproxy.archive.scoped_fetcher import ScopedFetcher


class OnePatient:
    """A fetcher of one patient, whose studies are stable or not, and visible or hidden."""

    def __init__(self, stable: Sequence[bool], hidden: Sequence[bool]) -> None:
        labels = [["shown"], ["hidden"]]
        states = [(state, labels[0]) for state in stable] + [(state, labels[1]) for state in hidden]
        self._studies = [
            Study(f"{number}", "patient", {"PatientID": "P1"}, {"IsStable": state, "Labels": of_study})
            for number, (state, of_study) in enumerate(states)
        ]

    def by_ids(self, *_: Any) -> list[Patient]:
        """Return the patient."""
        return [Patient("patient", None, {"PatientID": "P1"}, {"IsStable": False})]

    def children(self, *_: Any) -> list[Study]:
        """Return its studies."""
        return self._studies


@pytest.mark.parametrize(
    ("visible", "hidden", "expected"),
    [
        ([True, True], [], True),
        ([True, False], [], False),
        ([False, True], [], False),
        ([False, False], [], False),
        ([True], [False], True),
    ],
)
def test_a_patient_is_stable_if_all_its_visible_studies_are(
    visible: list[bool], hidden: list[bool], expected: bool
) -> None:
    fetcher = ScopedFetcher(cast("Fetcher", OnePatient(visible, hidden)), Scope(labels=frozenset({"shown"})))
    [patient] = fetcher.by_ids(Level.PATIENT, ["patient"], Needs(facts=frozenset({Fact.CHANGES})))
    assert patient.is_stable is expected
