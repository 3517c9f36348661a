"""Pseudonyms: random ones, and those of a project, which are made with a key and kept.

Without the key, nobody can tell whether a pseudonym is that of a given patient, as one could with a hash alone: there
are few possible PatientIDs.
"""

import hmac
from base64 import b32encode

import orjson

from orthancproxy.anonymization.models import Pseudonym
from orthancproxy.conf import conf
from orthancproxy.database import storable
from orthancproxy.errors import InvalidRequest

MAX_PROJECT_CHARACTERS = 64
PSEUDONYM_CHARACTERS = 16  # 80 bits
MAX_SHIFT_DAYS = 3650


def check_project(project: str) -> None:
    """Raise InvalidRequest unless a project can have this name, and there is a key."""
    if not (0 < len(project) <= MAX_PROJECT_CHARACTERS and project.strip() == project and project.isprintable()):
        raise InvalidRequest(f"A project has a name of 1 to {MAX_PROJECT_CHARACTERS} characters.")
    if storable(project) != project:
        raise InvalidRequest("The name of the project has characters that cannot be stored.")
    if not conf.ORTHANC_PSEUDONYM_KEY:
        raise InvalidRequest("The gateway has no key for the pseudonyms of projects (ORTHANC_PSEUDONYM_KEY).")


def look_up(project: str, patient_id: str, created_by: str = "") -> Pseudonym:
    """Return the pseudonym of a patient in a project: the one of the table, else a new one, which is not saved.

    What was assigned stays when the key changes. Raises InvalidRequest for a patient without PatientID: all of them
    would be one.
    """
    patient_id = patient_id.strip(" \0")
    if not patient_id:
        raise InvalidRequest("The study has no PatientID, so that its patient has no pseudonym in a project.")
    known = Pseudonym.objects.filter(project=project, patient_id=storable(patient_id)).first()
    if known:
        return known
    check_project(project)
    pseudonym, days = derive(conf.ORTHANC_PSEUDONYM_KEY.encode(), project, patient_id)
    return Pseudonym(
        project=project, patient_id=storable(patient_id), pseudonym=pseudonym, days=days, created_by=created_by
    )


def assign(project: str, patient_id: str, created_by: str = "") -> Pseudonym:
    """Return the pseudonym of a patient in a project, which is kept from now on. Raises like `look_up`."""
    new = look_up(project, patient_id, created_by)
    if new.pk:
        return new
    defaults = {"pseudonym": new.pseudonym, "days": new.days, "created_by": created_by}
    return Pseudonym.objects.get_or_create(project=project, patient_id=new.patient_id, defaults=defaults)[0]


def derive(key: bytes, *names: str) -> tuple[str, int]:
    """Return a pseudonym, and a number of days by which dates are moved back: 1 to MAX_SHIFT_DAYS."""
    digest = hmac.digest(key, orjson.dumps(names), "sha256")
    days = int.from_bytes(digest[16:], "big") % MAX_SHIFT_DAYS + 1
    return b32encode(digest[:10]).decode()[:PSEUDONYM_CHARACTERS], -days
