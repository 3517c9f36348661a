"""How SQLite reads the index: a filtered list scans the table once, and a page begins at its position."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Filter, LevelPlan, Order, Position
from orthancproxy.archive.scope import EVERYTHING
from orthancproxy.index.store import DjangoIndex

pytestmark = pytest.mark.django_db


def _steps(plan: LevelPlan) -> list[str]:
    index = DjangoIndex("here")
    index.progress()
    with CaptureQueriesContext(connection) as queries:
        index.select(plan, EVERYTHING)
    with connection.cursor() as cursor:
        steps = []
        for query in queries.captured_queries:
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql'].replace('%', '%%')}")
            steps += [str(row[-1]) for row in cursor.fetchall()]
        return steps


@pytest.mark.parametrize(
    "plan",
    [
        LevelPlan(level=Level.STUDY, filter=Filter(search=("kim",)), first=5, total=True),
        LevelPlan(level=Level.STUDY, filter=Filter((("ModalitiesInStudy", "MR"),)), first=5, total=True),
        LevelPlan(level=Level.STUDY, filter=Filter((("PatientName", "kim*"),)), first=5, total=True),
        LevelPlan(level=Level.STUDY, order=(Order("PatientName"),), first=5, total=True),
        LevelPlan(level=Level.PATIENT, filter=Filter((("PatientName", "kim*"),)), first=5, total=True),
    ],
)
def test_entries_are_not_looked_up_by_the_archive_that_they_share(plan: LevelPlan) -> None:
    assert not [step for step in _steps(plan) if "(state_id=?)" in step]


def test_page_by_date_begins_at_its_position() -> None:
    position = Position(("20240101", "101010.000000", "1.2.3"), "0a")
    steps = _steps(LevelPlan(level=Level.STUDY, first=5, after=position))
    assert any("COVERING INDEX studies_by_date (study_date<?)" in step for step in steps)


def test_filter_by_an_identifier_reads_an_index() -> None:
    steps = _steps(LevelPlan(level=Level.STUDY, filter=Filter((("AccessionNumber", "A1"),)), first=5, total=True))
    assert any("INDEX studies_by_accession_number (folded_accession_number=?" in step for step in steps)
