"""ModalitiesInStudy, which is computed from Modality, a value that some devices give twice."""

from orthancproxy.archive.records import Study


def test_modalities_are_sorted_and_each_is_listed_once() -> None:
    study = Study("id", "patient", {"ModalitiesInStudy": "PT\\CT\\CT\\MR \\PT"}, {})
    assert study.modalities == ["CT", "MR", "PT"]
