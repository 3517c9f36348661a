"""The gateway's index of 350,000 studies over SQLite and PostgreSQL: rows of its table, without an Orthanc."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from random import Random
from typing import Any

from benchmarks.measuring import BenchmarkError, Quantity, Row, at_most, steadily, tell
from benchmarks.options import Options
from orthancproxy.sandbox.gateway import CHECKOUT, make_database

STUDIES = 350_000
PAGE_SIZE = 50
DEEP_PAGE = 3_500
WRITTEN_STUDIES = 10_000  # written one by one; the others are copies with other identifiers
GOAL = at_most(150)  # ms
_BASE_URL = "http://127.0.0.1:8042"
_NAMES = ("홍^길동", "김^영희", "Yamada^Tarou", "Müller^Jörg", "Smith^Anna", "박^지훈", "최^서연", "이^민준")
_DESCRIPTIONS = (("Brain MRI", "MR"), ("CT Chest", "CT"), ("Abdomen CT", "CT"), ("Knee MR", "MR"), ("PET/CT", "PT"))


def rows(options: Options) -> Iterator[Row]:
    """Return a row for each database and each kind of selection."""
    # a PostgreSQL of its own, which only this benchmark and tests need
    from tests.postgresql import run_postgresql

    for database in ("SQLite", "PostgreSQL"):
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="index-"))
            url = stack.enter_context(run_postgresql()) if database == "PostgreSQL" else ""
            environment = {
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "orthancproxy.project.settings",
                "DJANGO_DATA_DIR": folder,
                "DATABASE_URL": url,
            }
            make_database(environment)
            tell(f"index of {STUDIES:,} studies over {database}")
            measured = _measured(environment, options.rounds)
            for what, seconds in measured.items():
                name = f"index of {STUDIES:,} studies over {database}: {what}"
                yield Row(name, Quantity("", "ms", tuple(1000 * one for one in seconds)), (), GOAL)


def _measured(environment: Mapping[str, str], rounds: int) -> Mapping[str, list[float]]:
    """Return the seconds of each selection, measured in a process with Django's settings for the database."""
    process = subprocess.run(  # noqa: S603  the command is this project's own
        [sys.executable, "-m", "benchmarks.large.index_database", str(rounds)],
        cwd=CHECKOUT,
        env=dict(environment),
        stdout=subprocess.PIPE,
        check=False,
    )
    if process.returncode:
        raise BenchmarkError("The index could not be measured.")
    measured: Mapping[str, list[float]] = json.loads(process.stdout)
    return measured


def _main(rounds: int) -> None:
    # only this process has settings
    import django

    django.setup()
    from orthancproxy.archive.index import Selection
    from orthancproxy.archive.levels import Level
    from orthancproxy.archive.ordering import position_of
    from orthancproxy.archive.plan import Filter, LevelPlan, Order
    from orthancproxy.archive.scope import EVERYTHING
    from orthancproxy.archive.search import words
    from orthancproxy.index.store import DjangoIndex

    index = DjangoIndex(_BASE_URL)
    _fill(index)

    def select(plan: LevelPlan) -> Selection:
        selection = index.select(plan, EVERYTHING)
        if selection is None or len(selection.resources) != PAGE_SIZE + 1:
            raise BenchmarkError(f"The page {plan} is not full.")
        return selection

    def page(**criteria: Any) -> Callable[[], object]:
        total = "filter" in criteria
        return partial(select, LevelPlan(level=Level.STUDY, first=PAGE_SIZE, total=total, **criteria))

    # a page begins behind the last study of the page before it
    before = LevelPlan(level=Level.STUDY, first=PAGE_SIZE, offset=PAGE_SIZE * (DEEP_PAGE - 2))
    position = position_of(select(before).resources[PAGE_SIZE - 1], before.full_order)

    actions = {
        "page 1": page(),
        f"page {DEEP_PAGE:,}": page(after=position),
        "page by PatientName": page(order=(Order("PatientName"),)),
        "total": lambda: index.count(Level.STUDY),
        "search by a Hangul name, page and total": page(filter=Filter(search=words("홍길동"))),
        "search by a part of a description, page and total": page(
            filter=Filter(tags=(("StudyDescription", "*brain*"),))
        ),
        "filter by modality, page and total": page(filter=Filter(tags=(("ModalitiesInStudy", "MR"),))),
    }
    measured: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            measured[name].append(steadily(action, 0.25))
    json.dump(measured, sys.stdout)


def _fill(index: Any) -> None:
    """Write the index's own entries of some studies, then copies of them with other identifiers."""
    from django.db import connection

    from orthancproxy.archive.levels import Level
    from orthancproxy.archive.records import RESOURCE_TYPES
    from orthancproxy.index.models import IndexedStudy

    make = RESOURCE_TYPES[Level.STUDY]
    studies = []
    random = Random(0)  # noqa: S311  repeatable, not secret
    for number in range(WRITTEN_STUDIES):
        description, modality = _DESCRIPTIONS[number % 5]
        tags = {
            "PatientID": f"P{number:07d}",
            "PatientName": _NAMES[number // 5 % 8],
            "PatientBirthDate": f"19{number % 90 + 10}0515",
            "StudyInstanceUID": f"2.25.{number}",
            "StudyDate": f"20{random.randrange(24):02d}{random.randrange(12) + 1:02d}{random.randrange(28) + 1:02d}",
            "StudyTime": f"{random.randrange(24):02d}{random.randrange(60):02d}12",
            "StudyDescription": description,
            "AccessionNumber": f"A{number:07d}",
            "ModalitiesInStudy": modality,
        }
        studies.append(make(f"00000000-{number:035d}", f"{number:044d}", tags, {"LastUpdate": "20250101T000000"}))
    index.put(studies)
    model = IndexedStudy._meta
    columns = [str(field.column) for field in model.concrete_fields if not field.primary_key]
    quoted = [connection.ops.quote_name(column) for column in columns]
    for copy in range(1, STUDIES // WRITTEN_STUDIES):
        values = {
            "orthanc_id": f"'{copy:08d}' || substr(orthanc_id, 9)",
            "study_instance_uid": f"study_instance_uid || '.{copy}'",
        }
        selected = ", ".join(values.get(column, name) for column, name in zip(columns, quoted, strict=True))
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {model.db_table} ({', '.join(quoted)}) SELECT {selected} FROM {model.db_table} "  # noqa: S608
                "WHERE substr(orthanc_id, 1, 8) = '00000000'"
            )
    if connection.vendor == "postgresql":
        # as its autovacuum does within a minute
        with connection.cursor() as cursor:
            cursor.execute(f"VACUUM ANALYZE {model.db_table}")


if __name__ == "__main__":
    _main(int(sys.argv[1]))
