"""Names of files: what operating systems leave behind, and names in ZIP files of unknown character set."""

import re
from collections.abc import Sequence
from zipfile import ZipInfo

from orthancproxy.conf import conf
from orthancproxy.dicom.text import FALLBACK_CODECS, LATIN_1

UTF_8_FLAG = 0x800
DIRECTORY_ATTRIBUTE = 0x10
# macOS adds a file to each file of a ZIP
RESOURCE_FORKS = "__MACOSX/"
_LEFT_BEHIND = re.compile(r"\._.*|\.DS_Store|\.localized|Thumbs\.db|ehthumbs\.db|desktop\.ini|Icon\r", re.IGNORECASE)
_KANA_OR_KANJI = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")


def is_left_behind(name: str) -> bool:
    """Whether an operating system adds files of this name to folders."""
    return bool(_LEFT_BEHIND.fullmatch(name))


def member_paths(infos: Sequence[ZipInfo]) -> list[str]:
    """Return the paths of the members of a ZIP, with slashes; a directory ends with one.

    Names without the flag for UTF-8 should be in CP437 (APPNOTE.TXT D.1), but are in the character set of the system
    that made the ZIP. It is the same for all names of a ZIP.
    """
    unflagged = [_raw(info) for info in infos if not info.flag_bits & UTF_8_FLAG]
    codec = _codec(b"\n".join(unflagged))
    return [_path(info, codec) for info in infos]


def _path(info: ZipInfo, codec: str) -> str:
    name = info.filename if info.flag_bits & UTF_8_FLAG else _raw(info).decode(codec)
    # Windows PowerShell 5 writes backslashes
    path = name.replace("\\", "/")
    is_directory = info.external_attr & DIRECTORY_ATTRIBUTE and not info.file_size
    return f"{path.rstrip('/')}/" if is_directory else path


def _raw(info: ZipInfo) -> bytes:
    return info.orig_filename.partition("\0")[0].encode("cp437")


def _codec(names: bytes) -> str:
    default = FALLBACK_CODECS[conf.ORTHANC_DEFAULT_ENCODING]
    configured = [default] if default != LATIN_1 else []
    for codec in ("utf-8", *configured, "euc_kr", "cp932"):
        try:
            text = names.decode(codec)
        except UnicodeError:
            continue
        # an accented letter and an ASCII letter are valid in Shift JIS too
        pairs = (character.encode("cp932") for character in _KANA_OR_KANJI.findall(text))
        if codec != "cp932" or codec == default or any(pair[1] >= 0x80 for pair in pairs):
            return codec
    return "cp437"
