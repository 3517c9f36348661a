"""Text in any character set is converted to UTF-8 without loss (PS3.3 section C.12.1.1.2)."""

import warnings
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import data as pydicom_data
from pydicom.dataset import FileDataset
from pydicom.uid import CTImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from orthancproxy.dicom.elements import Element
from orthancproxy.dicom.file_format import read
from orthancproxy.dicom.rewrite import rewrite
from orthancproxy.dicom.sources import InMemory
from orthancproxy.dicom.text import FALLBACK_CODECS, vr_of
from orthancproxy.errors import InvalidDicom
from tests.dicom.comparison import REWRITTEN, texts, values
from tests.dicom.encoding import BIG_ENDIAN, EXPLICIT, IMPLICIT, ElementEncoder, part10
from tests.dicom.rewriting import (
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_DESCRIPTION,
    dataset,
    reread,
    result,
    rewritten,
    target,
)

CHARSET_FILES = sorted((Path(pydicom_data.__file__).parent / "charset_files").glob("*.dcm"))

NATIVE = {
    "implicit little endian": (ImplicitVRLittleEndian, IMPLICIT),
    "explicit little endian": (ExplicitVRLittleEndian, EXPLICIT),
    "explicit big endian": (ExplicitVRBigEndian, BIG_ENDIAN),
}

CHARACTER_SETS: Mapping[str, tuple[str, bytes, str]] = {
    "Latin 1": ("ISO_IR 100", b"Andr\xe9 \xd8", "André Ø"),
    "Latin 2": ("ISO_IR 101", b"Wa\xb3\xeasa", "Wałęsa"),
    "Latin 5": ("ISO_IR 148", b"\xddstanbul", "İstanbul"),
    "Cyrillic": ("ISO_IR 144", "Люкceмбypг".encode("iso8859_5"), "Люкceмбypг"),
    "Arabic": ("ISO_IR 127", "قباني لنزار".encode("iso8859_6"), "قباني لنزار"),
    "Greek": ("ISO_IR 126", "Διονυσιος".encode("iso8859_7"), "Διονυσιος"),
    "Hebrew": ("ISO_IR 138", "שרון דבורה".encode("iso8859_8"), "שרון דבורה"),
    "Thai": ("ISO_IR 166", "นามสกุล".encode("tis_620"), "นามสกุล"),
    "half-width katakana": ("ISO_IR 13", b"\xd4\xcf\xc0\xde \xc0\xdb\xb3", "ﾔﾏﾀﾞ ﾀﾛｳ"),
    "kanji with 0x5C within": ("\\ISO 2022 IR 87", b"A\x1b$BF|K\\\x1b(BB", "A日本B"),
    "kanji and katakana": ("ISO 2022 IR 13\\ISO 2022 IR 87", b"\xd4\xcf \x1b$BK\\\x1b(J", "ﾔﾏ 本"),
    "supplementary kanji": ("ISO 2022 IR 6\\ISO 2022 IR 159", b"\x1b$(D0!\x1b(B", "丂"),
    "Korean": ("\\ISO 2022 IR 149", b"\x1b$)C\xb1\xe8\xc8\xf1\xc1\xdf", "김희중"),
    "Korean without an empty first value": ("ISO 2022 IR 149", b"\x1b$)C\xb1\xe8\xc8\xf1\xc1\xdf", "김희중"),
    "Korean without escape sequences": ("ISO 2022 IR 149", b"\xb1\xe8\xc8\xf1\xc1\xdf", "김희중"),
    "simplified Chinese": ("\\ISO 2022 IR 58", b"\x1b$)A\xd0\xa1\xb6\xab", "小东"),
    "GB18030 that ends in 0x5C": ("GB18030", "小嘰".encode("gb18030"), "小嘰"),
    "GB18030 of four bytes": ("GB18030", "ༀ".encode("gb18030"), "ༀ"),
    "GBK that ends in 0x5C": ("GBK", "誠".encode("gbk"), "誠"),
    "UTF-8": ("ISO_IR 192", "서울 😀 e\u0301".encode(), "서울 😀 e\u0301"),
    "ASCII": ("", b"Plain 1.5 ~", "Plain 1.5 ~"),
}

character_sets = pytest.mark.parametrize(
    ("character_set", "value", "text"), CHARACTER_SETS.values(), ids=CHARACTER_SETS
)


def _with_text(character_set: str, elements: Mapping[int, bytes], encoding: ElementEncoder = EXPLICIT) -> bytes:
    specific = encoding.element(0x00080005, "CS", character_set.encode())
    syntax = ImplicitVRLittleEndian if encoding.implicit else ExplicitVRLittleEndian
    return part10(
        encoding.dataset({0x00080005: specific, **elements}), ExplicitVRBigEndian if encoding.big_endian else syntax
    )


def _kept_texts(file: FileDataset) -> dict[str, list[str]]:
    """All text values except those that rewriting replaces."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            path: value for path, value in texts(file).items() if path not in {f"/{_tag(tag)}" for tag in REWRITTEN}
        }


def _tag(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _character_sets(file: FileDataset) -> list[object]:
    """The SpecificCharacterSet of the file, and of each item that has one."""
    found: list[object] = []
    file.walk(lambda _, element: found.append(element.value) if element.tag == 0x00080005 else None)
    return found


def _charset_file(path: Path) -> bytes:
    """One of pydicom's files, with the SOPClassUID that two of them lack."""
    content = path.read_bytes()
    file = dataset(content)
    if "SOPClassUID" in file:
        return content
    file.SOPClassUID = CTImageStorage
    whole = BytesIO()
    file.save_as(whole)
    return whole.getvalue()


@pytest.mark.parametrize("path", CHARSET_FILES, ids=lambda path: path.name)
def test_each_charset_file_of_pydicom_keeps_its_texts(path: Path) -> None:
    data = _charset_file(path)
    old = dataset(data)

    new = result(data)
    new_file = dataset(bytes(new.payload))

    assert _kept_texts(new_file) == _kept_texts(old)
    assert set(_character_sets(new_file)) == {"ISO_IR 192"}
    assert not new.text_guessed


@pytest.mark.parametrize("path", CHARSET_FILES, ids=lambda path: path.name)
def test_the_names_of_a_charset_file_survive_being_given_as_the_new_ones(path: Path) -> None:
    data = _charset_file(path)
    names = values(dataset(data)["PatientName"]) if "PatientName" in dataset(data) else ["洪^吉洞"]

    new = reread(data, patient_name="\\".join(names))

    assert values(new["PatientName"]) == names


def test_there_are_charset_files() -> None:
    assert len(CHARSET_FILES) >= 16


@character_sets
@pytest.mark.parametrize(("_syntax", "encoding"), NATIVE.values(), ids=NATIVE)
def test_text_is_decoded_by_its_character_set(
    character_set: str, value: bytes, text: str, _syntax: str, encoding: ElementEncoder
) -> None:
    elements = {
        0x00080080: encoding.element(0x00080080, "LO", value),
        0x00080081: encoding.element(0x00080081, "ST", value),
        0x00081010: encoding.element(0x00081010, "SH", value),
        0x001021B0: encoding.element(0x001021B0, "LT", value),
        0x0040A160: encoding.element(0x0040A160, "UT", value),
        0x00080119: encoding.element(0x00080119, "UC", value),
    }

    new = reread(_with_text(character_set, elements, encoding))

    assert new.InstitutionName == text
    assert new.InstitutionAddress == text
    assert new.StationName == text
    assert new.AdditionalPatientHistory == text
    assert new.TextValue == text
    assert new.LongCodeValue == text


@character_sets
def test_text_is_utf8_in_the_file(character_set: str, value: bytes, text: str) -> None:
    payload = rewritten(_with_text(character_set, {0x00080080: EXPLICIT.element(0x00080080, "LO", value)}))

    assert text.encode() in payload
    assert dataset(payload).InstitutionName == text


@character_sets
def test_items_without_a_character_set_have_that_of_the_file(character_set: str, value: bytes, text: str) -> None:
    item = EXPLICIT.element(0x00080104, "LO", value)
    inner = EXPLICIT.sequence(0x00081140, item, defined=False)
    sequence = EXPLICIT.sequence(0x00081032, item, inner + item)

    new = reread(_with_text(character_set, {0x00081032: sequence}))

    first, second = new.ProcedureCodeSequence
    assert first.CodeMeaning == second.CodeMeaning == text
    assert second.ReferencedImageSequence[0].CodeMeaning == text


@character_sets
@pytest.mark.parametrize("defined", [True, False], ids=["defined lengths", "delimiters"])
def test_items_with_a_character_set_of_their_own_are_decoded_by_it(
    character_set: str, value: bytes, text: str, *, defined: bool
) -> None:
    own = EXPLICIT.element(0x00080005, "CS", character_set.encode()) + EXPLICIT.element(0x00080104, "LO", value)
    # an item of the item has the character set of the item
    own += EXPLICIT.sequence(0x00081140, EXPLICIT.element(0x00080104, "LO", value), defined=defined)
    other = EXPLICIT.element(0x00080104, "LO", "Größe".encode("latin-1"))
    sequence = EXPLICIT.sequence(0x00081032, own, other, defined=defined)
    data = _with_text("ISO_IR 100", {0x00081032: sequence})

    new = reread(data)

    first, second = new.ProcedureCodeSequence
    assert first.CodeMeaning == text
    assert first.ReferencedImageSequence[0].CodeMeaning == text
    assert second.CodeMeaning == "Größe"
    assert set(_character_sets(new)) == {"ISO_IR 192"}


@pytest.mark.parametrize(
    ("character_set", "value", "name"),
    [
        (
            "\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        (
            "\\ISO 2022 IR 149",
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            "Hong^Gildong=洪^吉洞=홍^길동",
        ),
        ("GB18030", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小東".encode(), "Wang^XiaoDong=王^小東"),
    ],
    ids=["Japanese", "Korean", "Chinese", "UTF-8"],
)
def test_names_keep_their_three_groups(character_set: str, value: bytes, name: str) -> None:
    elements = {0x00080090: EXPLICIT.element(0x00080090, "PN", value)}

    new = reread(_with_text(character_set, elements))

    assert str(new.ReferringPhysicianName).rstrip("=") == name
    assert new.ReferringPhysicianName.alphabetic == name.split("=", maxsplit=1)[0]
    assert new.ReferringPhysicianName.ideographic == name.split("=")[1]


def test_names_of_several_people_keep_their_number() -> None:
    value = b"\x1b$BK\\\x1b(B^A\\B^\x1b$BK\\\x1b(B\\C"

    new = reread(_with_text("\\ISO 2022 IR 87", {0x00081050: EXPLICIT.element(0x00081050, "PN", value)}))

    assert [str(name) for name in new.PerformingPhysicianName] == ["本^A", "B^本", "C"]


@pytest.mark.parametrize(("tag", "vr"), [(0x00101000, "LO"), (0x00081010, "SH"), (0x00080119, "UC")])
def test_multiple_values_stay_multiple(tag: int, vr: str) -> None:
    value = b"\x1b$BF|K\\\x1b(B\\B\\\\\x1b$BK\\\x1b(B"
    elements = {
        tag: EXPLICIT.element(tag, vr, value),
        0x00081072: EXPLICIT.sequence(0x00081072, EXPLICIT.element(0x00101000, "LO", value)),
    }

    new = reread(_with_text("\\ISO 2022 IR 87", elements))

    assert list(new[tag].value) == ["日本", "B", "", "本"]
    assert list(new.OperatorIdentificationSequence[0].OtherPatientIDs) == ["日本", "B", "", "本"]


def test_a_backslash_in_a_text_of_one_value_is_a_character() -> None:
    value = b"C:\\\xb1\xe8\\next"
    elements = {0x00104000: EXPLICIT.element(0x00104000, "LT", value)}

    new = reread(_with_text("\\ISO 2022 IR 149", {0x00104000: EXPLICIT.element(0x00104000, "LT", b"C:\\a\\b")}))
    korean = reread(_with_text("GBK", elements))

    assert new.PatientComments == "C:\\a\\b"
    assert korean.PatientComments == value.decode("gbk")


def test_line_ends_and_tabs_in_text_stay() -> None:
    value = b"one\r\ntwo\n\tthree \xe9\x0c"

    new = reread(_with_text("ISO_IR 100", {0x0040A160: EXPLICIT.element(0x0040A160, "UT", value)}))

    assert new.TextValue == value.decode("latin-1")


def test_korean_for_a_file_without_a_character_set() -> None:
    payload = rewritten(part10(EXPLICIT.dataset()))
    new = dataset(payload)

    assert new.SpecificCharacterSet == "ISO_IR 192"
    assert (new.PatientID, new.StudyDescription) == (PATIENT_ID, STUDY_DESCRIPTION)
    assert str(new.PatientName) == PATIENT_NAME
    assert EXPLICIT.element(0x00100020, "LO", PATIENT_ID.encode()) in payload
    assert b"?" not in payload


@character_sets
def test_the_old_patient_within_sequences_is_recognised_in_any_character_set(
    character_set: str, value: bytes, text: str
) -> None:
    same = EXPLICIT.element(0x00100020, "LO", value)
    other = EXPLICIT.element(0x00100020, "LO", value + b"2 ")
    elements = {
        0x00100020: same,
        0x00101002: EXPLICIT.sequence(0x00101002, same, other, defined=False),
    }

    new = reread(_with_text(character_set, elements))

    assert [item.PatientID for item in new.OtherPatientIDsSequence] == [PATIENT_ID, f"{text}2"]


@character_sets
def test_private_text_is_decoded_where_the_file_says_that_it_is_text(
    character_set: str, value: bytes, text: str
) -> None:
    private = (
        EXPLICIT.element(0x00090010, "LO", b"GATEWAY TESTS")
        + EXPLICIT.element(0x00091001, "LO", value)
        + EXPLICIT.element(0x00091002, "UN", value)
    )

    payload = rewritten(_with_text(character_set, {0x00090010: private}))

    assert dataset(payload)[0x00091001].value == text
    assert EXPLICIT.element(0x00091002, "UN", value) in payload


@pytest.mark.parametrize(
    ("tag", "vr"), [(0x00091101, "LO"), (0x00091127, "SL"), (0x00091001, "UN"), (0x00091201, "UN"), (0x000911FF, "UN")]
)
def test_the_vr_of_a_private_element_is_that_of_the_creator_of_its_block(tag: int, vr: str) -> None:
    creators = {0x00090010: b"UNKNOWN ", 0x00090011: b"GEMS_IDEN_01"}
    elements = {tag: Element(tag, "LO", creator) for tag, creator in creators.items()}
    assert vr_of(Element(tag, "UN", b""), elements) == vr
    assert vr_of(Element(tag, None, b""), elements) == vr
    assert vr_of(Element(tag, "SH", b""), elements) == "SH"


def test_a_private_creator_is_text_in_implicit_vr_too() -> None:
    private = IMPLICIT.element(0x00090010, "LO", b"Soci\xe9t\xe9") + IMPLICIT.element(0x00091001, "OB", b"\xe9\xff")

    payload = rewritten(_with_text("ISO_IR 100", {0x00090010: private}, IMPLICIT))

    assert IMPLICIT.element(0x00090010, "LO", "Société".encode()) in payload
    assert IMPLICIT.element(0x00091001, "OB", b"\xe9\xff") in payload


@pytest.mark.parametrize(
    ("character_set", "value"),
    [
        ("ISO_IR 192", b"\xff\xfe\xe9 A"),
        ("", b"Andr\xe9 B"),
        ("ISO_IR 999", b"\xe9\xe8"),
        ("GB18030", b"\x81\xff\xff "),
    ],
    ids=["no UTF-8", "no character set", "an unknown character set", "no GB18030"],
)
def test_text_that_is_not_in_its_character_set_keeps_every_byte(character_set: str, value: bytes) -> None:
    new = result(_with_text(character_set, {0x00080080: EXPLICIT.element(0x00080080, "LO", value)}))

    file = dataset(bytes(new.payload))
    assert file.InstitutionName == value.decode("latin-1").rstrip(" ")
    assert (file.PatientID, file.SpecificCharacterSet) == (PATIENT_ID, "ISO_IR 192")


def test_invalid_text_is_reported() -> None:
    undecodable = EXPLICIT.element(0x00080080, "LO", b"\xff\xfe")

    assert result(_with_text("ISO_IR 192", {0x00080080: undecodable})).text_guessed
    nested = EXPLICIT.sequence(0x00081032, EXPLICIT.element(0x00080104, "LO", b"\xff\xfe"))
    assert result(_with_text("ISO_IR 192", {0x00081032: nested})).text_guessed


@character_sets
def test_valid_text_is_not_reported(character_set: str, value: bytes, text: str) -> None:
    assert text
    assert not result(_with_text(character_set, {0x00080080: EXPLICIT.element(0x00080080, "LO", value)})).text_guessed


def test_values_that_no_character_set_applies_to_stay() -> None:
    elements = {
        0x00420011: EXPLICIT.element(0x00420011, "OB", b"%PDF \xe9\\\x1b$B"),
    }

    payload = rewritten(_with_text("ISO_IR 100", elements))

    for element in elements.values():
        assert element in payload


@pytest.mark.parametrize(
    ("vr", "tag"), [("CS", 0x00180015), ("AE", 0x00080054), ("DA", 0x00080022), ("UR", 0x00081190)]
)
def test_values_that_should_be_ascii_are_converted_too(vr: str, tag: int) -> None:
    elements = {
        tag: EXPLICIT.element(tag, vr, "SCHÄDEL".encode("latin-1")),
        0x00081032: EXPLICIT.sequence(0x00081032, EXPLICIT.element(tag, vr, "SCHÄDEL".encode("latin-1"))),
    }

    new = result(_with_text("ISO_IR 100", elements))

    assert bytes(new.payload).count("SCHÄDEL".encode()) == 2
    assert not new.text_guessed


def test_long_numbers_stay_in_the_source() -> None:
    value = b"\\".join([b"1.25"] * 5_000)
    data = _with_text("ISO_IR 100", {0x30060050: EXPLICIT.element(0x30060050, "DS", value[:60_000])})

    assert value[:60_000] in rewritten(data)


@pytest.mark.parametrize("padding", [b"\0", b"\0\0\0", b"\0 "])
def test_text_padded_with_nul_has_no_blank_behind_it(padding: bytes) -> None:
    value = "André".encode("latin-1") + padding
    payload = rewritten(_with_text("ISO_IR 100", {0x00080080: EXPLICIT.element(0x00080080, "LO", value)}))

    assert dataset(payload)["InstitutionName"].value == "André"
    assert "André\0".encode() not in payload


KOREAN = "한^길동"
# what each defined term of PS3.3 C.12.1.1.2 can hold, with the escape sequences of its code extension
TERMS: Mapping[str, tuple[str, str, bytes]] = {
    "100": ("André Ø", "latin_1", b"\x1b-A"),
    "101": ("Wałęsa PÓŁTORAK", "iso8859_2", b"\x1b-B"),
    "109": ("Ħal Għargħur", "iso8859_3", b"\x1b-C"),
    "110": ("Žukaitė Āboliņš", "iso8859_4", b"\x1b-D"),
    "203": ("Œuvre Ÿ Ž", "iso8859_15", b"\x1b-b"),
    "144": ("Люкceмбypг ЮН ТА", "iso8859_5", b"\x1b-L"),
    "127": ("قباني لنزار", "iso8859_6", b"\x1b-G"),
    "126": ("Διονυσιος ΜΑΣΊΑ", "iso8859_7", b"\x1b-F"),
    "138": ("שרון דבורה", "iso8859_8", b"\x1b-H"),
    "148": ("İstanbul Şişli", "iso8859_9", b"\x1b-M"),
    "166": ("นามสกุล", "tis_620", b"\x1b-T"),
    "13": ("ﾔﾏﾀﾞ ﾐｷ", "shift_jis", b"\x1b)I"),
    "149": (KOREAN, "euc_kr", b"\x1b$)C"),
    "58": ("小东", "gb2312", b"\x1b$)A"),
}


@pytest.mark.parametrize("number", TERMS)
@pytest.mark.parametrize(
    "form",
    ["ISO_IR {}", "ISO 2022 IR {}", "\\ISO 2022 IR {}", "ISO 2022 IR 6\\ISO 2022 IR {}", "iso-ir-{}", "\\ISO_IR {}"],
)
@pytest.mark.parametrize("escaped", ["with escape sequences", "without escape sequences", "with one at the beginning"])
def test_each_defined_term_is_decoded_with_and_without_escape_sequences(number: str, form: str, escaped: str) -> None:
    text, codec, escape = TERMS[number]
    value = text.encode(codec)
    if escaped == "with one at the beginning":
        value = escape + value
    elif escaped == "with escape sequences":
        value = b"^".join(escape + part for part in value.split(b"^"))

    new = result(_with_text(form.format(number), {0x00080090: EXPLICIT.element(0x00080090, "PN", value)}))

    assert str(dataset(bytes(new.payload)).ReferringPhysicianName) == text
    assert not new.text_guessed


@pytest.mark.parametrize("number", TERMS)
def test_the_initial_character_set_is_active_again_after_a_delimiter(number: str) -> None:
    text, codec, escape = TERMS[number]
    value = escape + text.partition("^")[0].encode(codec) + b"^\xe9"
    data = _with_text(f"ISO 2022 IR 100\\ISO 2022 IR {number}", {0x00080090: EXPLICIT.element(0x00080090, "PN", value)})

    assert str(reread(data).ReferringPhysicianName) == text.partition("^")[0] + "^é"


@pytest.mark.parametrize(
    ("character_set", "value", "text"),
    [
        ("", "홍^길동".encode(), "홍^길동"),
        ("ISO_IR 100", "홍^길동".encode(), "홍^길동"),
        ("ISO_IR 100", "José Ñandú".encode(), "José Ñandú"),
        ("ISO_IR 144", "Юн Ли".encode(), "Юн Ли"),
        ("ISO_IR 13", "ﾔﾏ^山田".encode(), "ﾔﾏ^山田"),
        ("ISO_IR 166", "นาม".encode(), "นาม"),
        ("\\ISO 2022 IR 149", "홍^길동".encode(), "홍^길동"),
        ("ISO 2022 IR 149", "꽩^곱".encode(), "꽩^곱"),
        ("ISO_IR 999", "홍".encode(), "홍"),
        ("ISO_IR 149", "뷁".encode("cp949"), "뷁"),
        ("ISO_IR 13", "髙".encode("cp932"), "髙"),
        ("\\ISO 2022 IR 58", "東".encode("gbk"), "東"),
        ("", b"\x1b$)C" + "홍".encode("euc_kr"), "홍"),
        ("ISO_IR 100", b"\x1b$B;3ED\x1b(B", "山田"),
        ("\\ISO 2022 IR 87", b"\x1b(IDL\x1b(B", "ﾄﾌ"),
        ("ISO_IR 100\\ISO_IR 144\\ISO_IR 126", b"\xe9", "é"),
    ],
)
def test_other_text_is_recognized_and_reported(character_set: str, value: bytes, text: str) -> None:
    new = result(_with_text(character_set, {0x00080090: EXPLICIT.element(0x00080090, "PN", value)}))

    assert str(dataset(bytes(new.payload)).ReferringPhysicianName) == text
    assert new.text_guessed == (text != "é")


@pytest.mark.parametrize(
    ("name", "codec", "text"),
    [
        ("EUC-KR", "euc_kr", "홍"),
        ("KS_C_5601-1987", "euc_kr", "홍"),
        ("CP949", "cp949", "뷁"),
        ("GB2312", "gb2312", "东"),
        ("Big5", "big5", "東"),
        ("Shift_JIS", "shift_jis", "山"),
        ("EUC-JP", "euc_jp", "山"),
        ("ISO8859-1", "latin_1", "é"),
        ("ISO-8859-2", "iso8859_2", "ł"),
        ("windows-1251", "cp1251", "Ю"),
        ("windows-1252", "cp1252", "“é”"),
        ("KOI8-R", "koi8_r", "Ю"),
    ],
)
def test_character_sets_that_are_named_as_on_the_web_are_decoded(name: str, codec: str, text: str) -> None:
    new = result(_with_text(name, {0x00080080: EXPLICIT.element(0x00080080, "LO", text.encode(codec))}))

    assert dataset(bytes(new.payload)).InstitutionName == text
    assert not new.text_guessed


@pytest.mark.parametrize(
    "name", ["utf-7", "rot13", "punycode", "hz", "idna", "unicode_escape", "utf-16", "ISO-2022-KR"]
)
def test_other_codecs_of_python_are_no_character_sets(name: str) -> None:
    new = result(_with_text(name, {0x00080080: EXPLICIT.element(0x00080080, "LO", b"+AGE- \xe9")}))

    assert dataset(bytes(new.payload)).InstitutionName == "+AGE- é"
    assert new.text_guessed


@pytest.mark.parametrize(
    ("character_set", "value", "text"),
    [
        # cut at a number of bytes, within a character or an escape sequence
        ("ISO_IR 192", "홍길".encode()[:5], "홍ê¸"),
        ("ISO_IR 192", "홍길".encode()[:4] + b" ", "홍ê"),
        ("", "홍길".encode()[:5], "홍ê¸"),
        ("\\ISO 2022 IR 149", "홍길".encode("euc_kr")[:3], "홍±"),
        ("\\ISO 2022 IR 149", b"\x1b$)C" + "홍길".encode("euc_kr")[:3], "홍±"),
        ("GB18030", "东东".encode("gb18030")[:3], "东¶"),
        ("\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b", "山田"),
        ("\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b( ", "山田"),
        ("\\ISO 2022 IR 149", b"Kim\x1b$)", "Kim"),
        # what Windows writes for Latin-1 and Latin-5
        ("ISO_IR 100", b"\x93\xe9\x94 \x80", "“é” €"),
        ("", b"\x93\xe9\x94", "“é”"),
        ("ISO_IR 148", b"\x93\xfe\x94", "“ş”"),
        # a byte order mark
        ("ISO_IR 192", "\ufeffé".encode(), "é"),
    ],
)
def test_text_of_careless_devices_is_readable(character_set: str, value: bytes, text: str) -> None:
    new = result(_with_text(character_set, {0x00080080: EXPLICIT.element(0x00080080, "LO", value)}))

    assert dataset(bytes(new.payload)).InstitutionName == text
    assert new.text_guessed == (not text.endswith(("田", "Kim", "é")) or character_set == "")
    assert reread(bytes(new.payload)).InstitutionName == text


KANJI, ASCII, ROMAJI = b"\x1b$B", b"\x1b(B", b"\x1b(J"
YAMADA = b";3ED"
# characters that Windows adds to JIS X 0208: row 13, and rows 89 to 92 (NEC's selection of IBM's)
EXTENDED = {"①": b"-!", "Ⅲ": b"-7", "№": b"-b", "㈱": b"-j", "﨑": b"yu", "彅": b"y,", "髙": b"|b"}
JAPANESE = ["\\ISO 2022 IR 87", "ISO 2022 IR 13\\ISO 2022 IR 87", "\\ISO 2022 IR 13\\ISO 2022 IR 87", "ISO 2022 IR 87"]


@pytest.mark.parametrize("character_set", [*JAPANESE, "ISO_IR 100", "ISO_IR 192"])
@pytest.mark.parametrize("text", EXTENDED)
def test_kanji_that_windows_adds_are_decoded_and_reported(character_set: str, text: str) -> None:
    value = KANJI + YAMADA + EXTENDED[text] + ROMAJI + b"^A"
    new = result(_with_text(character_set, {0x00080090: EXPLICIT.element(0x00080090, "PN", value)}))

    assert str(dataset(bytes(new.payload)).ReferringPhysicianName) == f"山田{text}^A"
    assert new.text_guessed


@pytest.mark.parametrize(
    ("character_set", "value", "text", "guessed"),
    [
        # katakana of G1 stay available among kanji of G0
        ("ISO 2022 IR 13\\ISO 2022 IR 87", b"\xd4\xcf=" + KANJI + b";3\xd4\xcfED" + ROMAJI, "ﾔﾏ=山ﾔﾏ田", False),
        ("\\ISO 2022 IR 13\\ISO 2022 IR 87", b"\x1b)I\xd4\xcf" + KANJI + YAMADA + ASCII, "ﾔﾏ山田", False),
        ("\\ISO 2022 IR 13\\ISO 2022 IR 87", b"\xd4\xcf" + KANJI + YAMADA + ASCII, "ﾔﾏ山田", True),
        # without a return to ASCII
        ("\\ISO 2022 IR 87", KANJI + YAMADA, "山田", False),
        ("\\ISO 2022 IR 87", KANJI + YAMADA + b"\r\nabc", "山田\r\nabc", False),
        ("\\ISO 2022 IR 87", KANJI + YAMADA + b"^" + KANJI + YAMADA + ASCII, "山田^山田", True),
        ("\\ISO 2022 IR 87", KANJI + YAMADA + b";", "山田;", True),
        # the announcement that JIS X 0208 is of 1990; JIS X 0213
        ("\\ISO 2022 IR 87", b"\x1b&@" + KANJI + YAMADA + ASCII, "山田", False),
        ("\\ISO 2022 IR 87", b"\x1b$(O" + b'."' + ASCII, "𠀋", True),
        ("\\ISO 2022 IR 87", b"\x1b$(Q" + b"\x2e\x21" + ASCII, "俱", True),
        # what Windows adds to other character sets, beside escape sequences
        ("\\ISO 2022 IR 149", b"\x1b$)C" + "뷁".encode("cp949"), "뷁", True),
        ("\\ISO 2022 IR 58", b"\x1b$)A" + "東".encode("gbk"), "東", True),
        ("ISO 2022 IR 13\\ISO 2022 IR 87", "ﾔﾏ髙".encode("cp932") + KANJI + YAMADA + ROMAJI, "ﾔﾏ髙山田", True),
        ("\\ISO 2022 IR 87", b"\xe9" + KANJI + YAMADA + ASCII, "é山田", True),
        # escape sequences that a conversion to UTF-8 forgot
        ("ISO_IR 192", KANJI + YAMADA + ASCII, "山田", True),
        ("GB18030", KANJI + YAMADA + ASCII, "山田", True),
    ],
)
def test_code_extensions_are_taken_leniently(character_set: str, value: bytes, text: str, *, guessed: bool) -> None:
    new = result(_with_text(character_set, {0x00080080: EXPLICIT.element(0x00080080, "LT", value)}))

    assert dataset(bytes(new.payload)).InstitutionName == text
    assert new.text_guessed == guessed
    assert reread(bytes(new.payload)).InstitutionName == text


def test_escape_sequences_within_utf_8_stay_and_are_reported() -> None:
    value = "é".encode() + KANJI + YAMADA + ASCII
    new = result(_with_text("ISO_IR 192", {0x00080080: EXPLICIT.element(0x00080080, "LO", value)}))

    assert value in bytes(new.payload)
    assert new.text_guessed


@pytest.mark.parametrize(
    ("fallback", "value", "text"),
    [
        ("Korean", KOREAN.encode("euc_kr"), KOREAN),
        ("Japanese", "山田".encode("shift_jis"), "山田"),
        ("Windows1251", "Люк".encode("cp1251"), "Люк"),
        ("Latin1", KOREAN.encode("euc_kr"), KOREAN.encode("euc_kr").decode("latin-1")),
        ("Utf8", b"\xe9", "é"),
    ],
)
def test_text_of_no_character_set_is_in_the_default_encoding(fallback: str, value: bytes, text: str) -> None:
    data = _with_text("", {0x00080090: EXPLICIT.element(0x00080090, "PN", value)})

    new = rewrite(read(InMemory(data), FALLBACK_CODECS[fallback]), target())

    assert str(dataset(bytes(new.payload)).ReferringPhysicianName) == text
    assert new.text_guessed


@pytest.mark.parametrize("name", FALLBACK_CODECS)
def test_each_default_encoding_decodes_ascii(name: str) -> None:
    assert b"Kim^A".decode(FALLBACK_CODECS[name]) == "Kim^A"


def test_the_longest_valid_text_is_complete() -> None:
    # 10,240 characters of two bytes each become three bytes each (PS3.5 section 6.2)
    text = "한" * 10_240
    element = EXPLICIT.element(0x00104000, "LT", text.encode("gb18030"))

    assert reread(_with_text("GB18030", {0x00104000: element})).PatientComments == text


def test_text_without_a_limit_grows_beyond_two_bytes_of_length() -> None:
    element = EXPLICIT.element(0x0040A160, "UT", b"\xe9" * 100_000)

    assert reread(_with_text("ISO_IR 100", {0x0040A160: element})).TextValue == "é" * 100_000


def test_text_too_long_for_its_vr_in_utf8_is_rejected() -> None:
    element = EXPLICIT.element(0x00104000, "LT", b"\xe9" * 40_000)

    with pytest.raises(InvalidDicom):
        reread(_with_text("ISO_IR 100", {0x00104000: element}))


def test_text_of_unknown_vr_is_decoded_where_the_dictionary_knows_it_as_text() -> None:
    element = EXPLICIT.element(0x00080080, "UN", "Größe".encode("latin-1"))
    nested = EXPLICIT.sequence(0x00081032, EXPLICIT.element(0x00080104, "UN", "Größe".encode("latin-1")))

    new = reread(_with_text("ISO_IR 100", {0x00080080: element, 0x00081032: nested}))

    assert new.InstitutionName == "Größe"
    assert new.ProcedureCodeSequence[0].CodeMeaning == "Größe"
