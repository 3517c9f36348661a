"""Print the keywords of DICOM's data elements (PS3.6) by tag, which the tag browser of the page shows.

python -m dev.generate_dictionary > orthancproxy/web/src/explorer/study/dictionary.txt
"""

import sys
from collections.abc import Iterator

from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary


def lines() -> Iterator[str]:
    """Yield `TTTTTTTT Keyword`, by tag; then the repeating groups, such as `60xx3000 OverlayData`."""
    for tag, (*_, keyword) in sorted(DicomDictionary.items()):
        if keyword:
            yield f"{tag:08X} {keyword}"
    for mask, (*_, keyword) in sorted(RepeatersDictionary.items()):
        if mask[2:4] == "xx":
            yield f"{mask} {keyword}"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lines())
