"""Synthetic archives of up to millions of instances: rows in Orthanc's SQLite index, without files behind them.

Orthanc answers all calls that do not read files. 1,000,000 instances take about two minutes and 1.8 GB; storing files
would take hours.
"""

from __future__ import annotations

import hashlib
import sqlite3
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from random import Random

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from benchmarks import contents
from benchmarks.measuring import tell

_SEED = 7
_NEWEST = datetime(2026, 1, 1, tzinfo=UTC)  # no LastUpdate is younger
_MINUTES = 1_500_000  # the oldest LastUpdate is as much older
_FAMILY_NAMES = ("홍", "김", "이", "Yamada", "Müller", "Smith", "박", "최")
_GIVEN_NAMES = ("길동", "영희", "Tarou^太郎", "Anna", "Jörg", "지훈", "서연", "민준")
_DESCRIPTIONS = (("Brain MRI", "MR"), ("CT Chest", "CT"), ("Abdomen CT", "CT"), ("Knee MR", "MR"), ("PET/CT WB", "CT"))
_FILE_BYTES = 525_000
_PATIENTS_AT_ONCE = 100
# Orthanc's enumerations: ChangeType, MetadataType, FileContentType
_NEW_INSTANCE, _NEW_PATIENT, _NEW_SERIES, _NEW_STUDY = 2, 3, 4, 5
_INDEX_IN_SERIES, _RECEPTION_DATE, _REMOTE_AET, _LAST_UPDATE, _ORIGIN = 1, 2, 3, 7, 8
_TRANSFER_SYNTAX, _SOP_CLASS_UID, _SIGNATURE = 9, 10, 15
_DICOM = 1
_PATIENT, _STUDY, _SERIES, _INSTANCE = range(1, 5)
_TABLES: Mapping[str, Sequence[str]] = {
    "Resources": ("internalId", "resourceType", "publicId", "parentId"),
    "MainDicomTags": ("id", "tagGroup", "tagElement", "value"),
    "DicomIdentifiers": ("id", "tagGroup", "tagElement", "value"),
    "Metadata": ("id", "type", "value"),
    "AttachedFiles": (
        *("id", "fileType", "uuid", "compressedSize", "uncompressedSize", "compressionType"),
        *("uncompressedMD5", "compressedMD5"),
    ),
    "Changes": ("seq", "changeType", "internalId", "resourceType", "date"),
}


@dataclass(frozen=True, slots=True)
class Group:
    """Patients with the same number of studies; each study has as many series, and each series as many instances."""

    patients: int
    studies: int
    series: int
    instances: int

    @property
    def size(self) -> int:
        """The number of instances."""
        return self.patients * self.studies * self.series * self.instances


@dataclass(frozen=True, slots=True)
class SyntheticStudy:
    """A study of an archive: its Orthanc id, and the numbers of its series and of the instances in each of them."""

    orthanc_id: str
    series: int
    instances: int


@dataclass(frozen=True, slots=True)
class SyntheticArchive:
    """Groups of patients, numbered through."""

    groups: tuple[Group, ...]

    @property
    def patients(self) -> int:
        """The number of patients."""
        return sum(group.patients for group in self.groups)

    @property
    def studies(self) -> int:
        """The number of studies."""
        return sum(group.patients * group.studies for group in self.groups)

    @property
    def instances(self) -> int:
        """The number of instances."""
        return sum(group.size for group in self.groups)

    @property
    def digest(self) -> str:
        """A digest that changes with the archive and with this module."""
        return hashlib.sha256(repr(self).encode() + Path(__file__).read_bytes()).hexdigest()[:12]

    def studies_of(self, group: Group) -> Iterator[SyntheticStudy]:
        """Yield the studies of one of the groups."""
        before = sum(one.patients for one in self.groups[: self.groups.index(group)])
        for patient in range(before, before + group.patients):
            for study in range(group.studies):
                path = (_patient_id(patient), _study_uid(patient, study))
                yield SyntheticStudy(_orthanc_id(*path), group.series, group.instances)

    def series_of(self, group: Group) -> Iterator[str]:
        """Yield the Orthanc ids of the series of one of the groups."""
        before = sum(one.patients for one in self.groups[: self.groups.index(group)])
        for patient in range(before, before + group.patients):
            for study in range(group.studies):
                path = (_patient_id(patient), _study_uid(patient, study))
                for number in range(1, group.series + 1):
                    yield _orthanc_id(*path, _uid(path[1], number))

    def fill(self, index: Path) -> None:
        """Replace what the index of a stopped Orthanc contains. It needs an instance, whose signatures are copied.

        The tags are those of Orthanc's default configuration with `INDEXED_INSTANCE_TAGS`.
        """
        with closing(sqlite3.connect(index, isolation_level=None)) as database:
            _Filling(database, self).run()


class _Filling:
    def __init__(self, database: sqlite3.Connection, archive: SyntheticArchive) -> None:
        self._database = database
        self._archive = archive
        self._random = Random(_SEED)  # noqa: S311  nothing secret
        self._signatures = dict(
            database.execute(
                "SELECT resourceType, value FROM Metadata JOIN Resources ON internalId = id WHERE type = ?",
                (_SIGNATURE,),
            )
        )
        self._rows: dict[str, list[tuple[object, ...]]] = {table: [] for table in _TABLES}
        self._resources = 0
        self._changes = 0

    def run(self) -> None:
        database = self._database
        # a crash leaves a file without the marker of a complete archive
        database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -400000")
        database.execute("BEGIN")
        # creating the indexes at the end is several times as fast; the triggers call functions that only Orthanc has
        deferred = database.execute(
            "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('index', 'trigger') AND sql IS NOT NULL"
        ).fetchall()
        for kind, name, _ in deferred:
            database.execute(f"DROP {kind} {name}")
        for table in (*_TABLES, "PatientRecyclingOrder"):
            database.execute(f"DELETE FROM {table}")  # noqa: S608
        patients = self._patients()
        while list(islice(patients, _PATIENTS_AT_ONCE)):
            self._write()
        database.execute(
            "INSERT INTO PatientRecyclingOrder (patientId) SELECT internalId FROM Resources WHERE resourceType = ?",
            (_PATIENT,),
        )
        # the total size of the files, compressed and uncompressed
        database.execute(
            "UPDATE GlobalIntegers SET value = ? WHERE key IN (0, 1)", (self._archive.instances * _FILE_BYTES,)
        )
        tell(f"creating the SQLite indexes of {self._resources:,} resources")
        for _, _, sql in deferred:
            database.execute(sql)
        database.execute("COMMIT")

    def _patients(self) -> Iterator[int]:
        """Add the rows of each patient, and yield its number."""
        number = 0
        for group in self._archive.groups:
            for _ in range(group.patients):
                self._add_patient(number, group)
                number += 1
                if number % 1000 == 0:
                    tell(f"making an archive of {self._archive.instances:,} instances, once: {number:,} patients")
                yield number

    def _write(self) -> None:
        for table, rows in self._rows.items():
            columns = list(_TABLES[table])
            known = {row[1] for row in self._database.execute(f"PRAGMA table_info({table})")}
            # since Orthanc 1.12.8
            revision = ["revision"] if "revision" in known else []
            marks = ", ".join([*("?" for _ in columns), *("0" for _ in revision)])
            self._database.executemany(
                f"INSERT INTO {table} ({', '.join(columns + revision)}) VALUES ({marks})",  # noqa: S608
                rows,
            )
            rows.clear()

    def _add_patient(self, number: int, group: Group) -> None:
        patient_id = _patient_id(number)
        when = (_NEWEST - timedelta(minutes=self._random.randrange(_MINUTES))).strftime("%Y%m%dT%H%M%S")
        name = f"{_FAMILY_NAMES[number % 8]}^{_GIVEN_NAMES[number // 8 % 8]}"
        birth_date = f"19{number % 90 + 10}{number % 12 + 1:02d}{number % 28 + 1:02d}"
        tags = {(16, 16): name, (16, 32): patient_id, (16, 48): birth_date, (16, 64): "MFO"[number % 3]}
        identifiers = {(16, 16): name, (16, 32): patient_id, (16, 48): birth_date}
        patient = self._add(_PATIENT, _orthanc_id(patient_id), None, tags, identifiers, {_LAST_UPDATE: when})
        for study in range(group.studies):
            self._add_study(patient, (number, study), group, tags, identifiers, when)
        self._change(_NEW_PATIENT, patient, _PATIENT, when)

    def _add_study(
        self,
        patient: int,
        numbers: tuple[int, int],
        group: Group,
        of_patient: Mapping[tuple[int, int], str],
        identifiers: Mapping[tuple[int, int], str],
        when: str,
    ) -> None:
        path = (_patient_id(numbers[0]), _study_uid(*numbers))
        description, modality = _DESCRIPTIONS[sum(numbers) % 5]
        date = (_NEWEST - timedelta(days=self._random.randrange(3000))).strftime("%Y%m%d")
        own = {(32, 13): path[1], (8, 80): f"A{numbers[0]:07d}{numbers[1]}", (8, 4144): description, (8, 32): date}
        time = f"{numbers[0] % 24:02d}{numbers[0] % 60:02d}12"
        tags = {**of_patient, **own, (8, 48): time, (32, 16): "1"}
        identifiers = {**identifiers, **own}
        study = self._add(_STUDY, _orthanc_id(*path), patient, tags, identifiers, {_LAST_UPDATE: when})
        for number in range(1, group.series + 1):
            self._add_series(study, path, number, group, modality, when)
        self._change(_NEW_STUDY, study, _STUDY, when)

    def _add_series(
        self, study: int, path: tuple[str, str], number: int, group: Group, modality: str, when: str
    ) -> None:
        series_uid = _uid(path[1], number)
        tags = {
            (8, 96): modality,
            (8, 4158): f"series {number}",
            (32, 14): series_uid,
            (32, 17): str(number),
            (8, 112): "Benchmark Imaging",
            (24, 21): "HEAD",
        }
        metadata = {_REMOTE_AET: "", _LAST_UPDATE: when}
        series = self._add(_SERIES, _orthanc_id(*path, series_uid), study, tags, {(32, 14): series_uid}, metadata)
        for position in range(1, group.instances + 1):
            self._add_instance(series, (*path, series_uid), (number, position), when)
        self._change(_NEW_SERIES, series, _SERIES, when)

    def _add_instance(self, series: int, path: tuple[str, str, str], numbers: tuple[int, int], when: str) -> None:
        instance_uid = _uid(path[2], numbers[1])
        slice_position = contents.slice_position(*numbers)
        tags = {
            (8, 24): instance_uid,
            (8, 22): CTImageStorage,
            (24, 80): str(contents.THICKNESS),
            (32, 19): str(numbers[1]),
            (32, 50): "\\".join(map(str, slice_position)),
            (32, 55): r"1\0\0\0\1\0",
            (32, 4161): str(slice_position[2]),
            (40, 8): "1",
            (40, 16): str(contents.SIDE),
            (40, 17): str(contents.SIDE),
            (40, 48): rf"{contents.SPACING}\{contents.SPACING}",
        }
        metadata = {
            _INDEX_IN_SERIES: str(numbers[1]),
            _RECEPTION_DATE: when,
            _REMOTE_AET: "",
            _ORIGIN: "RestApi",
            _TRANSFER_SYNTAX: ExplicitVRLittleEndian,
            _SOP_CLASS_UID: CTImageStorage,
        }
        instance = self._add(
            _INSTANCE, _orthanc_id(*path, instance_uid), series, tags, {(8, 24): instance_uid}, metadata
        )
        digest = hashlib.md5(instance_uid.encode(), usedforsecurity=False).hexdigest()
        attached = (instance, _DICOM, str(uuid.UUID(digest)), _FILE_BYTES, _FILE_BYTES, 1, digest, digest)
        self._rows["AttachedFiles"].append(attached)
        self._change(_NEW_INSTANCE, instance, _INSTANCE, when)

    def _add(
        self,
        level: int,
        orthanc_id: str,
        parent: int | None,
        tags: Mapping[tuple[int, int], str],
        identifiers: Mapping[tuple[int, int], str],
        metadata: Mapping[int, str],
    ) -> int:
        self._resources += 1
        number = self._resources
        rows = self._rows
        rows["Resources"].append((number, level, orthanc_id, parent))
        rows["MainDicomTags"] += [(number, *tag, value) for tag, value in tags.items()]
        rows["DicomIdentifiers"] += [(number, *tag, _normalized(value)) for tag, value in identifiers.items()]
        signature = {_SIGNATURE: self._signatures[level]}
        rows["Metadata"] += [(number, *one) for one in chain(metadata.items(), signature.items())]
        return number

    def _change(self, kind: int, resource: int, level: int, when: str) -> None:
        self._changes += 1
        self._rows["Changes"].append((self._changes, kind, resource, level, when))


def _patient_id(number: int) -> str:
    return f"P{number:07d}"


def _study_uid(patient: int, number: int) -> str:
    return _uid(_patient_id(patient), number)


def _uid(parent: str, number: int) -> str:
    digest = hashlib.sha256(f"{parent}|{number}".encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def _orthanc_id(*path: str) -> str:
    """Return the SHA-1 of the PatientID and UIDs, as Orthanc writes it."""
    digest = hashlib.sha1("|".join(path).encode(), usedforsecurity=False).hexdigest()
    return "-".join(digest[start : start + 8] for start in range(0, 40, 8))


def _normalized(identifier: str) -> str:
    """Return an identifier as Orthanc's index has it: only ASCII, in upper case."""
    return identifier.upper().encode("ascii", "ignore").decode()
