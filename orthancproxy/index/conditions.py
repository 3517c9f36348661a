"""Filters, scopes and orders as the database's, with the results of `archive.matching`, `scope` and `ordering`."""

from collections.abc import Sequence

from django.db.models import Lookup, Q

from orthancproxy.archive import matching
from orthancproxy.archive.keywords import vr_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Filter, Order, Position
from orthancproxy.archive.scope import Scope
from orthancproxy.database import UNSTORABLE
from orthancproxy.index.models import BinaryTextField

NOTHING = Q(pk__in=())
# SQLite nests at most 1,000 expressions
MAX_ALTERNATIVES = 100
FOLDED = {
    "PatientID": "folded_patient_id",
    "PatientName": "folded_patient_name",
    "StudyDescription": "folded_study_description",
    "AccessionNumber": "folded_accession_number",
    "ReferringPhysicianName": "folded_referring_physician_name",
}
DAYS = {"PatientBirthDate": "patient_birth_date", "StudyDate": "study_date"}
LISTS = {"PatientSex": "folded_patient_sex", "ModalitiesInStudy": "modalities"}
SORTED = {
    "PatientID": "patient_id",
    "PatientName": "patient_name",
    "PatientBirthDate": "patient_birth_date",
    "StudyInstanceUID": "study_instance_uid",
    "StudyDate": "study_date",
    "StudyTime": "study_time",
    "StudyDescription": "study_description",
    "AccessionNumber": "accession_number",
    "LastUpdate": "last_update",
}
_LAST = "\U0010ffff"
_ESCAPED = str.maketrans({"%": r"\%", "_": r"\_", "\\": r"\\"})
_LIKE = _ESCAPED | str.maketrans({"*": "%", "?": "_"})


@BinaryTextField.register_lookup
class Like(Lookup):
    """`LIKE`, as the database has it, with a backslash to escape."""

    lookup_name = "like"

    def as_sql(self, compiler, connection):  # type: ignore[no-untyped-def]
        """Return the SQL and its parameters."""
        column, column_parameters = self.process_lhs(compiler, connection)
        value, value_parameters = self.process_rhs(compiler, connection)
        return f"{column} LIKE {value} ESCAPE '\\'", [*column_parameters, *value_parameters]


def condition(level: Level, criteria: Filter) -> Q | None:
    """Return the condition of a filter; None if the index does not hold what it needs. Raises InvalidRequest."""
    if criteria.labels or criteria.identifiers or any(UNSTORABLE.search(word) for word in criteria.search):
        return None
    if criteria.nothing:
        return NOTHING
    found = Q()
    for word in criteria.search:
        found &= Q(searchable__like=f"%{word.translate(_ESCAPED)}%")
    for one in matching.criteria_of(level, criteria):
        part = _matches(one.keyword, one.alternatives)
        if part is None:
            return None
        found &= part
    return found


def scope_condition(scope: Scope) -> Q | None:
    """Return the condition of a scope by PatientID; None if the index cannot tell."""
    if not scope.is_restricted:
        return Q()
    if scope.studies is not None or len(scope.patient_ids) > MAX_ALTERNATIVES:
        return None
    found = NOTHING
    for pattern in scope.patient_ids:
        prefix, star, rest = pattern.partition("*")
        if "?" in pattern or rest:
            return None
        if star:
            found |= Q(scoped_patient_id__gte=prefix, scoped_patient_id__lt=prefix + _LAST)
        else:
            found |= Q(scoped_patient_id=pattern)
    return found


def sort_keys(order: Sequence[Order]) -> list[str] | None:
    """Return the columns to sort by; None if the index does not hold a key."""
    if any(key.by not in SORTED for key in order):
        return None
    return [f"-{SORTED[key.by]}" if key.descending else SORTED[key.by] for key in order] + ["orthanc_id"]


def behind(position: Position, order: Sequence[Order]) -> Q:
    """Return the condition of what comes after a position in this order, of which the index holds all keys."""
    found = Q(orthanc_id__gt=position.orthanc_id)
    for key, value in reversed(list(zip(order, position.values, strict=True))):
        column, limit, further = SORTED[key.by], value or "", "lt" if key.descending else "gt"
        is_further, is_equal = Q(**{f"{column}__{further}": limit}), Q(**{column: limit})
        # the first condition, which the others imply, lets the database begin there
        found = Q(**{f"{column}__{further}e": limit}) & (is_further | is_equal & found)
    return found


def _matches(keyword: str, alternatives: Sequence[str]) -> Q | None:
    if not 0 < len(alternatives) <= MAX_ALTERNATIVES:
        return None
    found = NOTHING
    for wanted in alternatives:
        part = _matches_one(keyword, wanted)
        if part is None:
            return None
        found |= part
    return found


def _matches_one(keyword: str, wanted: str) -> Q | None:
    if column := FOLDED.get(keyword):
        folded = matching.fold(wanted)
        if "*" in folded or "?" in folded:
            return Q(**{f"{column}__like": folded.translate(_LIKE)})
        return Q(**{column: folded})
    if column := LISTS.get(keyword):
        if "*" in wanted or "?" in wanted:
            return None
        return Q(**{f"{column}__like": f"%|{matching.fold(wanted).translate(_ESCAPED)}|%"})
    if (column := DAYS.get(keyword)) and vr_of(keyword) == "DA":
        first, separator, last = wanted.partition("-")
        if separator:
            bounds = {"gt": "", "gte": matching.digits(first), "lte": f"{matching.digits(last)}~"}
            return Q(**{f"{column}__{comparison}": bound for comparison, bound in bounds.items()})
        day = matching.day_of(wanted)
        return Q(**{column: day}) if day else None
    return None
