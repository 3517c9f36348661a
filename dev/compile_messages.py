"""`make messages`: compile the translations, which Django reads from .mo files, without GNU gettext."""

import ast
import re
import struct
from pathlib import Path

LOCALES = Path(__file__).resolve().parents[1] / "orthancproxy/locale"
MAGIC = 0x950412DE
ENTRY = re.compile(r'^msgid (".*")\n(?:msgid_plural (".*")\n)?msgstr(?:\[0\])? (".*")$', re.MULTILINE)


def messages(po: str) -> dict[str, str]:
    """Return the translations of a catalog that has one line for each string, and one plural form."""
    found: dict[str, str] = {}
    for entry in ENTRY.finditer(po):
        singular, plural, translation = (ast.literal_eval(text or '""') for text in entry.groups())
        found[f"{singular}\0{plural}" if plural else singular] = translation
    if len(found) != len(re.findall("^msgid ", po, re.MULTILINE)):
        raise ValueError("A message is repeated or malformed.")
    return found


def compiled(po: str) -> bytes:
    """Return the catalog in GNU gettext's binary format, whose two tables have the length and offset of each string."""
    entries = sorted((key.encode(), value.encode()) for key, value in messages(po).items())
    strings = [key for key, _ in entries] + [value for _, value in entries]
    offset = 28 + 8 * len(strings)
    tables = b""
    for text in strings:
        tables += struct.pack("<II", len(text), offset)
        offset += len(text) + 1
    head = struct.pack("<7I", MAGIC, 0, len(entries), 28, 28 + 8 * len(entries), 0, 0)
    return head + tables + b"".join(text + b"\0" for text in strings)


def main() -> None:
    """Write the .mo file beside each .po file."""
    for path in sorted(LOCALES.rglob("*.po")):
        path.with_suffix(".mo").write_bytes(compiled(path.read_text("utf-8")))


if __name__ == "__main__":
    main()
