"""What a scope's rules can be like."""

import re
import unicodedata

_LABEL = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_PATH_STEP = re.compile(r"\.\.[/\\]|\.\.%2f|%2e%2e", re.IGNORECASE)


def is_label(text: str) -> bool:
    """Whether it can be a label (Orthanc 1.12.0)."""
    return _LABEL.fullmatch(text) is not None


def is_patient_id_pattern(text: str) -> bool:
    """Whether a PatientID can be like it: an LO (PS3.5 section 6.2) with the wildcards `*` and `?`."""
    return (
        0 < len(text) <= 64
        and "\\" not in text
        and not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)
        # what looks like a path is never sent on, and so no patient's
        and not _PATH_STEP.search(text)
    )
