"""What the files of an upload should agree on, since they become one study of one patient."""

import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping

from django.utils.crypto import salted_hmac

from orthancproxy.uploads.files import InspectedFile

MAX_DISTINCT_VALUES = 100
DIGEST_CHARACTERS = 16
VALUES: Mapping[str, Callable[[InspectedFile], str]] = {
    "patient IDs": lambda file: file.patient_id,
    "patient names": lambda file: comparable(file.patient_name),
    "birth dates": lambda file: file.birth_date,
    "sexes": lambda file: comparable(file.sex),
    "studies": lambda file: file.old_study_uid,
    "study dates": lambda file: file.study_date,
    "study times": lambda file: file.study_time,
}


def digests(study_instance_uid: str, files: Collection[InspectedFile]) -> dict[str, set[str]]:
    """Return digests of the distinct values of files, which tell whether the files of an upload agree and no more.

    They are keyed by SECRET_KEY and the upload's StudyInstanceUID: nobody can try all birth dates, or compare uploads.
    """
    return {
        what: {
            salted_hmac(f"orthancproxy upload {study_instance_uid} {what}", value, algorithm="sha256").hexdigest()[
                :DIGEST_CHARACTERS
            ]
            for value in {value_of(file) for file in files} - {""}
        }
        for what, value_of in VALUES.items()
    }


def merged(known: Mapping[str, Iterable[str]], new: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Return the digests of both, at most MAX_DISTINCT_VALUES of each kind."""
    return {what: sorted({*known.get(what, ()), *new.get(what, ())})[:MAX_DISTINCT_VALUES] for what in VALUES}


def disagreements(known: Mapping[str, Collection[str]]) -> list[str]:
    """Return the warning that files differ and may be of several patients; nothing if they agree."""
    counts = [(len(known.get(what, ())), what) for what in VALUES]
    different = [
        f"{'at least ' if count == MAX_DISTINCT_VALUES else ''}{count} {what}" for count, what in counts if count > 1
    ]
    if not different:
        return []
    return [f"The files have {', '.join(different)}, and became one study: check that they are of one patient."]


def comparable(value: str) -> str:
    """A value without padding and without delimiters of empty components at its end (PS3.5 section 6.2).

    Case and width do not count: one device writes `KIM^MINSU` and `ﾔﾏﾀﾞ`, another `Kim^Minsu` and `ヤマダ`.
    """
    return unicodedata.normalize("NFKC", value).casefold().strip(" \0").rstrip("^= ")
