"""The four levels of the DICOM hierarchy (PS3.3 section 7, PS3.4 section C.6)."""

from enum import Enum
from hashlib import sha1


class Level(Enum):
    """A level. Its value is Orthanc's name for it."""

    PATIENT = "Patient"
    STUDY = "Study"
    SERIES = "Series"
    INSTANCE = "Instance"

    @property
    def path(self) -> str:
        """The level's collection in Orthanc's REST API and in the gateway's own."""
        return _PATHS[self]

    @property
    def identifier(self) -> str:
        """The keyword of the tag that identifies a resource of this level."""
        return _IDENTIFIERS[self]

    @property
    def depth(self) -> int:
        """0 for patients to 3 for instances."""
        return _DEPTHS[self]

    @property
    def above(self) -> tuple["Level", ...]:
        """The levels above, from the patient down."""
        return tuple(_DEPTHS)[: self.depth]

    @property
    def below(self) -> tuple["Level", ...]:
        """The levels below, down to the instance."""
        return tuple(_DEPTHS)[self.depth + 1 :]

    @property
    def parent(self) -> "Level":
        """The next level up. Raises IndexError for the patient."""
        return self.above[-1]

    @property
    def child(self) -> "Level":
        """The next level down. Raises IndexError for the instance."""
        return self.below[0]


def orthanc_id_of(*identifiers: str) -> str:
    """Return the Orthanc id of what has this PatientID, StudyInstanceUID and so on as stored, whether it exists or not.

    There are one to four identifiers.
    """
    return _orthanc_id("|".join(identifiers))


def patient_orthanc_id(patient_id: str) -> str:
    """Return the Orthanc id of the patient with this PatientID as stored, whether there is one or not."""
    return _orthanc_id(patient_id)


def study_orthanc_id(patient_id: str, study_instance_uid: str) -> str:
    """Return the Orthanc id of the study with these identifiers as stored, whether there is one or not."""
    return _orthanc_id(f"{patient_id}|{study_instance_uid}")


def _orthanc_id(identifiers: str) -> str:
    digest = sha1(identifiers.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()
    return "-".join(digest[start : start + 8] for start in range(0, 40, 8))


_PATHS = {
    Level.PATIENT: "patients",
    Level.STUDY: "studies",
    Level.SERIES: "series",
    Level.INSTANCE: "instances",
}
_IDENTIFIERS = {
    Level.PATIENT: "PatientID",
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.INSTANCE: "SOPInstanceUID",
}
_DEPTHS = {level: depth for depth, level in enumerate(Level)}
