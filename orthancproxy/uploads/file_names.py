"""Names of files: what operating systems leave behind, and names in ZIP files of unknown character set."""

import re
from collections.abc import Sequence
from zipfile import ZipInfo

from orthancproxy.conf import conf
from orthancproxy.dicom.text import FALLBACK_CODECS, LATIN_1

UTF_8_FLAG = 0x800
DIRECTORY_ATTRIBUTE = 0x10
_LEFT_BEHIND = re.compile(
    r"\._.*|\.DS_Store|\.localized|\.apdisk|\.VolumeIcon\.icns|\.com\.apple\..*|Icon\r"  # macOS
    r"|(eh)?thumbs(_vista)?\.db|desktop\.ini|IconCache\.db|.*:Zone\.Identifier"  # Windows
    r"|\.directory|\.hidden|\.goutputstream-.*|\.nfs[0-9a-f]+|\.fuse_hidden.*|\.smbdelete.*"  # Linux, and shares
    r"|~\$.*|\.~lock\..*#|.*@Syno(EAStream|Resource)|\.dropbox(\.attr)?|\.gitignore|\.gitattributes|\.gitkeep",
    re.IGNORECASE,
)
# what they contain belongs to an operating system, a NAS or a program
_LEFT_BEHIND_FOLDER = re.compile(
    r"\.AppleDouble|\.AppleDB|\.fseventsd|\.Spotlight-V100|\.DocumentRevisions-V100|\.TemporaryItems"
    r"|System Volume Information|@eaDir|@tmp|\.@__thumb|\.thumbnails|lost\+found|\.dropbox\.cache|\.git|\.svn|\.hg|CVS",
    re.IGNORECASE,
)
# what they contain was deleted, or is a copy of another file, also where it is DICOM. macOS adds __MACOSX to ZIPs.
_DELETED = re.compile(
    r"__MACOSX|\.Trash(es|-[0-9]+)?|\$RECYCLE\.BIN|RECYCLE[DR]|#recycle|@Recycle|\.recycle|[.~#@]snapshots?",
    re.IGNORECASE,
)
_KANA_OR_KANJI = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")


def is_left_behind(folder: str, name: str) -> bool:
    """Whether operating systems and their like add files of this name, or in this folder, to what people store."""
    return bool(_LEFT_BEHIND.fullmatch(name)) or any(map(_LEFT_BEHIND_FOLDER.fullmatch, folder.split("/")))


def is_deleted(folder: str) -> bool:
    """Whether a folder is, or is in, the trash, the snapshots of a NAS, or what macOS adds to ZIPs."""
    return any(map(_DELETED.fullmatch, folder.split("/")))


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
