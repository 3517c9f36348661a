"""Keeps the index in Django's database."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from django.db import DEFAULT_DB_ALIAS, Error, connections, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from orthancproxy.archive import parsing, search
from orthancproxy.archive.index import (
    INDEXED_LEVELS,
    INDEXED_TAGS,
    IndexChanged,
    IndexUnavailable,
    Progress,
    Selection,
    indexed,
)
from orthancproxy.archive.levels import Level
from orthancproxy.archive.matching import day_of, fold
from orthancproxy.archive.plan import Filter, LevelPlan
from orthancproxy.archive.records import RESOURCE_TYPES, Resource
from orthancproxy.archive.scope import EVERYTHING, Scope
from orthancproxy.database import UNSTORABLE
from orthancproxy.index.conditions import behind, condition, scope_condition, sort_keys
from orthancproxy.index.models import IndexedPatient, IndexedStudy, IndexState

IDS_PER_STATEMENT = 500
MAX_SORTED = 2000
_OF_PATIENT = INDEXED_TAGS[Level.PATIENT] - {Level.PATIENT.identifier}


class DjangoIndex:
    """The index of the archive at one base URL."""

    def __init__(self, base_url: str, using: str = DEFAULT_DB_ALIAS) -> None:
        self._base_url = base_url
        self._using = using
        self._state_id: int | None = None

    def progress(self) -> Progress:
        """Return how far the index has come."""
        with _available():
            state = self._states().first()
            if state is None:
                # the database was emptied
                self._state_id = None
                return Progress()
            return Progress(state.is_ready, state.last_change, state.newest_update, state.updated_at, state.version)

    def advance(self, progress: Progress, before: Progress | None = None) -> bool:
        """Record how far the index has come; return False, and do nothing, unless it is still where it was `before`."""
        same = {} if before is None else {"is_ready": before.is_ready, "last_change": before.last_change}
        with _available():
            updated = (
                self._states()
                .filter(**same)
                .update(
                    is_ready=progress.is_ready,
                    last_change=progress.last_change,
                    newest_update=progress.newest_update,
                    updated_at=timezone.now(),
                )
            )
            return bool(updated)

    def select(self, plan: LevelPlan, scope: Scope, hidden: Collection[str] = ()) -> Selection | None:
        """Return the resources of a page, without hidden ones, with their indexed data; None if it cannot tell."""
        in_scope, order = scope_condition(scope), sort_keys(plan.full_order)
        matching = self._condition(plan.level, plan.filter)
        is_stored = not (plan.after and any(UNSTORABLE.search(str(value)) for value in plan.after.values))
        if in_scope is None or order is None or matching is None or not is_stored:
            return None
        with _available():
            entries = self._shown(plan.level, hidden)
            found, total = entries.filter(in_scope & matching), None
            if matching:
                # to walk through all studies by date for the few that match takes longer
                few = list(found.values_list("pk", flat=True)[: MAX_SORTED + 1])
                if len(few) <= MAX_SORTED:
                    found, total = entries.filter(pk__in=few), len(few)
            page, start = found, plan.offset
            if plan.after:
                page, start = found.filter(behind(plan.after, plan.full_order)), 0
            last = None if plan.first is None else start + plan.first + 1
            # to skip entries, the database reads an index by date, but not their tags
            ids = page.order_by(*order).values("orthanc_id")[start:last]
            resources = _resources(plan.level, entries.filter(orthanc_id__in=ids).order_by(*order))
            return Selection(resources, total if total is not None or not plan.total else found.count())

    def write(
        self, found: Sequence[Resource], gone: Mapping[Level, Collection[str]], version: int | None = None
    ) -> list[Resource]:
        """Write the entries of patients, and of studies with their modalities; return those that were removed.

        `gone` are the Orthanc ids of what is removed, with the studies of a patient. Raises IndexChanged, and writes
        nothing, if others have written since the index had this version, before Orthanc was read.
        """
        same = {} if version is None else {"version": version}
        with _available(), transaction.atomic(self._using):
            # first, so that others wait
            if not self._states().filter(**same).update(version=F("version") + 1) and same:
                raise IndexChanged
            removed = [one for level, ids in gone.items() for one in self._remove(level, ids)]
            for level in INDEXED_LEVELS:
                entries = list({one.orthanc_id: one for one in found if one.level is level}.values())
                for start in range(0, len(entries), IDS_PER_STATEMENT):
                    self._put(level, entries[start : start + IDS_PER_STATEMENT])
        return removed

    def _put(self, level: Level, resources: Sequence[Resource]) -> None:
        if level is Level.STUDY:
            self._insert(level, self._with_patients_tags(resources))
            return
        known = self._tags_of_patients(patient.orthanc_id for patient in resources)
        self._insert(level, resources)
        # their studies have copies of their tags
        renamed = [one.orthanc_id for one in resources if known.get(one.orthanc_id) != indexed(one).tags]
        studies = _resources(Level.STUDY, self._entries(Level.STUDY).filter(patient__in=renamed))
        self._insert(Level.STUDY, self._with_patients_tags(studies))

    def _insert(self, level: Level, resources: Sequence[Resource]) -> None:
        rows = [_row(self._state(), one) for one in resources]
        if not rows:
            return
        # bulk_create takes twice as long, most of it to make models and long statements
        database = connections[self._using]
        names = [database.ops.quote_name(name) for name in rows[0]]
        changed = (f"{name} = EXCLUDED.{name}" for name in rows[0] if name not in ("state_id", "orthanc_id"))
        with database.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {_TABLES[level]._meta.db_table} ({', '.join(names)}) "  # noqa: S608
                f"VALUES ({', '.join(['%s'] * len(names))}) "
                f"ON CONFLICT (orthanc_id, state_id) DO UPDATE SET {', '.join(changed)}",
                [tuple(row.values()) for row in rows],
            )

    def _with_patients_tags(self, studies: Sequence[Resource]) -> list[Resource]:
        """Return the studies with the tags of their patients instead of their copies, as lists show them."""
        patients = self._tags_of_patients({study.parent_id or "" for study in studies})
        return [
            replace(study, tags={**study.tags, **dict.fromkeys(_OF_PATIENT, ""), **patients[study.parent_id or ""]})
            if study.parent_id in patients
            else study
            for study in studies
        ]

    def _tags_of_patients(self, ids: Iterable[str]) -> dict[str, dict[str, str]]:
        patients = self._entries(Level.PATIENT).filter(orthanc_id__in=ids)
        return dict(patients.values_list("orthanc_id", "tags"))

    def _remove(self, level: Level, ids: Collection[str]) -> list[Resource]:
        removed: list[Resource] = []
        found = {level: self._entries(level).filter(orthanc_id__in=ids)}
        if level is Level.PATIENT:
            found[Level.STUDY] = self._entries(Level.STUDY).filter(patient__in=ids)
        for one, entries in found.items():
            removed += _resources(one, entries)
            entries.delete()
        return removed

    def ids(self, level: Level, parents: Iterable[str] | None = None) -> set[str]:
        """Return the Orthanc ids of all entries of a level, or of the studies of these patients."""
        with _available():
            entries = self._entries(level)
            found = entries if parents is None else entries.filter(patient__in=parents)
            return set(found.values_list("orthanc_id", flat=True))

    def count(self, level: Level, scope: Scope = EVERYTHING, hidden: Collection[str] = ()) -> int | None:
        """Return the number of entries of a level in a scope that are not hidden; None if the index cannot tell."""
        in_scope = scope_condition(scope)
        with _available():
            return None if in_scope is None else int(self._shown(level, hidden).filter(in_scope).count())

    def _state(self) -> int:
        if self._state_id is None:
            with _available():
                self._state_id = IndexState.objects.using(self._using).get_or_create(base_url=self._base_url)[0].pk
        return self._state_id

    def _states(self) -> QuerySet[IndexState]:
        return IndexState.objects.using(self._using).filter(pk=self._state())

    def _entries(self, level: Level) -> QuerySet[Any]:
        entries: QuerySet[Any] = _TABLES[level].objects.using(self._using).filter(state=self._state())
        return entries

    def _shown(self, level: Level, hidden: Collection[str]) -> QuerySet[Any]:
        """Return the entries of a level but those of hidden studies, and of patients who have no others."""
        entries, studies = self._entries(level), self._entries(Level.STUDY)
        if not hidden:
            return entries
        if level is Level.STUDY:
            return entries.exclude(orthanc_id__in=hidden)
        patients = set(studies.filter(orthanc_id__in=hidden).values_list("patient", flat=True))
        others = studies.filter(patient__in=patients).exclude(orthanc_id__in=hidden).values_list("patient", flat=True)
        return entries.exclude(orthanc_id__in=patients.difference(others))

    def _condition(self, level: Level, criteria: Filter) -> Q | None:
        if not criteria.search or level is Level.STUDY:
            return condition(level, criteria)
        # the patients of the studies that are found
        others = condition(level, replace(criteria, search=()))
        words = condition(Level.STUDY, Filter(search=criteria.search))
        if others is None or words is None:
            return None
        return others & Q(orthanc_id__in=self._entries(Level.STUDY).filter(words).values("patient"))


_TABLES: Mapping[Level, Any] = {Level.PATIENT: IndexedPatient, Level.STUDY: IndexedStudy}


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except Error as error:
        # of every kind: a table that is missing, or an entry that another process wrote
        raise IndexUnavailable from error


def _resources(level: Level, entries: QuerySet[Any]) -> list[Resource]:
    make = RESOURCE_TYPES[level]
    if level is Level.PATIENT:
        patients = entries.values_list("orthanc_id", "tags", "last_update")
        return [make(orthanc_id, None, tags, {"LastUpdate": update or None}) for orthanc_id, tags, update in patients]
    studies = entries.values_list("orthanc_id", "patient", "tags", "last_update", "modalities")
    return [
        make(orthanc_id, patient, tags | {"ModalitiesInStudy": _joined(modalities)}, {"LastUpdate": update or None})
        for orthanc_id, patient, tags, update, modalities in studies
    ]


def _row(state: int, resource: Resource) -> dict[str, str | int]:
    """Return the values of the columns of an entry."""
    entry = indexed(resource)
    tags = entry.tags
    patient_id = tags.get("PatientID", "")
    row: dict[str, str | int] = {
        "state_id": state,
        "orthanc_id": entry.orthanc_id,
        "tags": json.dumps(tags, ensure_ascii=False),
        "last_update": entry.facts["LastUpdate"] or "",
        "patient_id": _text(patient_id),
        "patient_name": _text(tags.get("PatientName")),
        "patient_birth_date": _day(tags.get("PatientBirthDate")),
        "folded_patient_id": _folded(patient_id),
        "folded_patient_name": _folded(tags.get("PatientName")),
        "folded_patient_sex": _list_of(tags.get("PatientSex")),
    }
    if resource.level is Level.PATIENT:
        return row
    time = parsing.time_of_day(tags.get("StudyTime"))
    return row | {
        "patient": resource.parent_id or "",
        "scoped_patient_id": patient_id.rstrip(" \0"),
        "study_instance_uid": _text(tags.get("StudyInstanceUID")),
        "study_date": _day(tags.get("StudyDate")),
        "study_time": time.strftime("%H%M%S.%f") if time else "",
        "study_description": _text(tags.get("StudyDescription")),
        "accession_number": _text(tags.get("AccessionNumber")),
        "folded_study_description": _folded(tags.get("StudyDescription")),
        "folded_accession_number": _folded(tags.get("AccessionNumber")),
        "folded_referring_physician_name": _folded(tags.get("ReferringPhysicianName")),
        "searchable": search.searchable(tags),
        "modalities": _list_of(resource.tags.get("ModalitiesInStudy")),
    }


def _text(text: str | None) -> str:
    return parsing.text(text) or ""


def _folded(text: str | None) -> str:
    return fold(text or "")


def _day(text: str | None) -> str:
    return day_of(text or "") or ""


def _list_of(values: str | None) -> str:
    return "".join(f"|{fold(value)}" for value in values.split("\\")) + "|" if values else ""


def _joined(values: str) -> str:
    return values.strip("|").replace("|", "\\")
