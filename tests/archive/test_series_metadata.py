"""Tags that are read from attachments of the DICOMweb plugin are those of the files, whatever happens to these."""

import json
import random
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import md5
from typing import Any

import pytest
import requests
from pydicom.datadict import DicomDictionary  # type: ignore[attr-defined]

from orthancproxy.archive import series_metadata
from orthancproxy.archive.extended_find import ExtendedFind
from orthancproxy.archive.fetcher import Fetcher
from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.keywords import ALL_COMPUTED, tag_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.object_budget import ObjectBudget
from orthancproxy.archive.plan import Filter, LevelPlan, Needs, Order
from orthancproxy.archive.records import Resource, Series
from orthancproxy.archive.revisions import RevisionCache
from orthancproxy.archive.series_metadata import (
    MalformedMetadata,
    are_instances,
    has_exact_text,
    tags_by_uid,
)
from orthancproxy.archive.series_metadata_fetcher import MIN_INSTANCES, SeriesMetadataFetcher
from orthancproxy.orthanc.calls import recording
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.orthanc.endpoints import SERIES_METADATA
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import ask, instance, load
from tests.orthancs import StartOrthanc
from tests.waiting import wait_until

PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
# the shortest for which a stable series proves anything
STABLE_AGE = 5
INSTANCES = MIN_INSTANCES + 2
OF_SLICES = {"ImageType": ["ORIGINAL", "AXIAL"], "PerformingPhysicianName": "Kim=金"}
TAGS = Needs(frozenset({"PatientAge", "ConvolutionKernel", "Rows", "ScanOptions", "SeriesInstanceUID", *OF_SLICES}))


def attachment(instances: Sequence[Any], ids: Sequence[str] = (), version: str = "2") -> bytes:
    compressor = zlib.compressobj(wbits=31)
    compressed = compressor.compress(json.dumps(instances).encode()) + compressor.flush()
    checksum = md5("".join(sorted(ids)).encode(), usedforsecurity=False).hexdigest()
    return f"{version};{checksum};".encode() + compressed


def metadata(uid: str, **elements: Any) -> dict[str, Any]:
    return {"00080018": {"vr": "UI", "Value": [uid]}, **{tag[1:]: element for tag, element in elements.items()}}


@pytest.mark.parametrize(
    ("keyword", "element", "text"),
    [
        ("ImageType", {"vr": "CS", "Value": ["ORIGINAL", None, "AXIAL"]}, "ORIGINAL\\\\AXIAL"),
        ("ImageType", {"vr": "CS"}, ""),
        ("OperatorsName", {"vr": "PN", "Value": [{"Alphabetic": "A", "Ideographic": "洪^吉洞"}, {}]}, "A=洪^吉洞\\"),
        ("OperatorsName", {"vr": "PN", "Value": [{"Alphabetic": "", "Ideographic": "x"}]}, "=x"),
        ("Rows", {"vr": "US", "Value": [512, 0]}, "512\\0"),
        ("Rows", {"vr": "US"}, None),
        ("Rows", None, None),
        ("StudyID", {"vr": "SH", "Value": ["$)Cx"]}, "$)Cx"),
        ("StudyID", {"vr": "SH", "Value": ["$)C김"]}, "김"),
    ],
)
def test_text_is_the_value_as_stored(keyword: str, element: Any, text: str | None) -> None:
    tag = f"t{tag_of(keyword).replace(',', '').upper()}"
    content = attachment([metadata("1.2", **({tag: element} if element else {}))])

    assert tags_by_uid(content, {keyword})["1.2"].get(keyword) == text


@pytest.mark.parametrize(
    "element",
    [
        {"vr": "UN", "BulkDataURI": "$WADO_BASE_PLACEHOLDER$studies/1/bulk"},
        {"vr": "OB", "InlineBinary": "AAA="},
        {"vr": "DS", "Value": ["1"]},
        {"vr": "IS", "Value": [1]},
        {"vr": "UT", "Value": ["x"]},
        {"vr": "SQ"},
        {"vr": "US", "Value": [1.5]},
        {"vr": "US", "Value": [True]},
        {"vr": "LO", "Value": [1]},
        {"vr": "PN", "Value": ["A"]},
        {"vr": "PN", "Value": [{"Alphabetic": 1}]},
        # the plugin drops a fourth group
        {"vr": "PN", "Value": [{"Alphabetic": "A", "Ideographic": "B", "Phonetic": "C"}]},
    ],
)
def test_an_instance_whose_text_cannot_be_told_is_left_out(element: Any) -> None:
    content = attachment([metadata("1.2", t00080070=element), metadata("1.3")])

    assert tags_by_uid(content, {"Manufacturer"}) == {"1.3": {}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"2;",
        attachment([], version="1"),
        attachment([])[:-4],
        b"2;0;" + b"x" * 40,
        attachment([metadata("1.2", t00080070=1)]),
        attachment([1]),
        attachment({"00080018": []}),  # type: ignore[arg-type]
        attachment([metadata("1.2", t00080070={"vr": "LO", "Value": "x"})]),
    ],
)
def test_a_malformed_attachment_is_rejected(content: bytes) -> None:
    with pytest.raises(MalformedMetadata):
        tags_by_uid(content, {"Manufacturer"})


def test_a_decompression_bomb_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_metadata, "MAX_METADATA_BYTES", 1000)
    short, long = (attachment([metadata("1.2", t00080070={"vr": "LO", "Value": ["x" * n]})]) for n in (900, 1000))

    assert tags_by_uid(short, {"Manufacturer"})
    with pytest.raises(MalformedMetadata):
        tags_by_uid(long, {"Manufacturer"})


@pytest.mark.parametrize(
    ("keyword", "expected"),
    [
        ("ImageType", True),
        ("Rows", True),
        ("KVP", False),
        ("ExposureTime", False),
        ("ImageComments", False),
        # Orthanc answers `ONLINE` itself
        ("InstanceAvailability", False),
        # the plugin leaves out the first value
        ("SpecificCharacterSet", False),
    ],
)
def test_values_are_read_from_attachments_if_their_text_is_exact(keyword: str, expected: bool) -> None:
    assert has_exact_text(keyword) is expected


def test_an_attachment_is_of_the_instances_with_its_checksum() -> None:
    content = attachment([], ["a", "b"])

    assert are_instances(content, ["b", "a"])
    assert not are_instances(content, ["a"])


Tags = dict[str, dict[str, str | None]]


class Archive:
    """An Orthanc with the plugin, and two ways to read tags from it."""

    def __init__(self, orthanc: LocalOrthanc) -> None:
        self.orthanc = orthanc
        self.client = OrthancClient(ConnectionOptions(base_url=orthanc.base_url))
        self.client.capabilities()
        # all of them become stable together
        self.series = {name: self.load(files) for name, files in series_files().items()}

    def load(self, files: Iterable[bytes]) -> str:
        """Store a series and return its id."""
        before = set(json.loads(ask(self.orthanc, "/series")))
        load(self.orthanc, files)
        [series] = set(json.loads(ask(self.orthanc, "/series"))) - before
        return str(series)

    def stable(self, name: str) -> str:
        """Return the id of a series of `series_files`, when its attachment is used."""
        wait_until(lambda: self.reads_attachment(self.series[name]))
        return self.series[name]

    def from_files(self, series: str, needs: Needs = TAGS) -> Tags:
        return self._tags(self.reading_files(), series, needs)

    def from_attachment(self, series: str, needs: Needs = TAGS) -> Tags:
        return self._tags(self.reading_attachments(), series, needs)

    def reads_attachment(self, series: str, needs: Needs = TAGS) -> bool:
        with recording() as calls:
            self.from_attachment(series, needs)
        return SERIES_METADATA.template in {call.template for call in calls.calls}

    def reading_files(self) -> Fetcher:
        return ExtendedFind(self.client, ObjectBudget())

    def reading_attachments(self) -> Fetcher:
        return SeriesMetadataFetcher(self.reading_files(), self.client)

    @staticmethod
    def _tags(fetcher: Fetcher, series: str, needs: Needs) -> Tags:
        root = Series(series, None, {}, {})
        return tags_of(fetcher.children(Level.INSTANCE, [root], Filter(), needs, [root]), needs)


def tags_of(found: Iterable[Resource], needs: Needs) -> Tags:
    return {one.orthanc_id: {keyword: one.tags.get(keyword) for keyword in needs.tags} for one in found}


def slices(series: int, numbers: Sequence[int] = range(1, INSTANCES + 1), **tags: Any) -> Iterator[bytes]:
    for number in numbers:
        yield instance(series=series, number=number, **{**OF_SLICES, "ConvolutionKernel": f"B{number}", **tags})


ASCII = ["", " ", "a", " a ", "a \\ b ", "a\\", "\\b", "\\", "a\\\\b", "x" * 300, 'q"\t\x1b[', "$)C", "$B"]
VALUES: dict[str, Sequence[Any]] = {
    "code": ASCII,
    "text": [*ASCII, "é", "가나\\다", "洪=김"],
    "PN": ["A^B", "A=B=C", "A=B=C=D", "A=", "=B", "==C", "^^^", "A=B\\C", "金^民洙=김", ""],
    "DA": ["20200101", "2020.01.01", "", "x"],
    "UI": ["1.2.3", "1.2\\3.4", ""],
    "US": [0, 512, [1, 2], None],
    "SL": [-5, [7, -(2**15)], None],
    "DS": ["1.50", " 2", "-1.", "x"],
    "IS": ["007", "x", "1"],
    "FD": [0.1, 1e-20],
}
NOT_CHOSEN = {
    *ALL_COMPUTED,
    *(level.identifier for level in Level),
    # Orthanc rejects it, for instances
    "SOPClassesInStudy",
    # of the pixels
    *("SOPClassUID SpecificCharacterSet Rows Columns BitsAllocated BitsStored HighBit SamplesPerPixel".split()),
    *("PixelRepresentation PhotometricInterpretation NumberOfFrames PlanarConfiguration".split()),
}
KINDS = {
    "SS": "SL",
    "UL": "US",
    **dict.fromkeys(("AE", "AS", "CS", "DT", "TM"), "code"),
    **dict.fromkeys(("LO", "SH", "LT", "UT"), "text"),
}


KINDS_OF_KEYWORDS = {
    keyword: KINDS.get(vr, vr)
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items()
    if tag >= 0x00080000 and keyword not in NOT_CHOSEN
}


def random_keywords() -> list[str]:
    """Some keywords, and that of an attribute which Orthanc answers itself."""
    known = [one for one, kind in KINDS_OF_KEYWORDS.items() if kind in VALUES]
    return [*random.Random(1).sample(known, 300), "InstanceAvailability"]


def random_slices(series: int, charset: str | Sequence[str]) -> Iterator[bytes]:
    chance = random.Random(series)
    for number in range(1, INSTANCES + 1):
        tags = {
            keyword: chance.choice(VALUES[KINDS_OF_KEYWORDS[keyword]])
            for keyword in random_keywords()
            if chance.random() < 0.5
        }
        yield instance(
            2,
            1,
            series,
            number,
            **{"SpecificCharacterSet": charset if isinstance(charset, str) else [*charset], **tags},
        )


CASES = ("unchanged", "overwritten", "deleted", "added", "replaced", "reconstructed", "modified", "stored again")
CHARSETS = {
    "UTF-8": "ISO_IR 192",
    "Latin": "ISO_IR 100",
    "Korean": "ISO 2022 IR 149",
    "katakana": "ISO_IR 13",
    "extended": ("", "ISO 2022 IR 149"),
}


def series_files() -> dict[str, list[bytes]]:
    """The files of each series, by a name."""
    filtered = [
        *slices(40),
        *slices(40, [50], ConvolutionKernel="b1", ImageType=None),
        *slices(40, [51], ConvolutionKernel=None, PerformingPhysicianName="A=B=C=D"),
    ]
    return {
        **{case: list(slices(number)) for number, case in enumerate(CASES, 1)},
        "pages": list(slices(20)),
        "malformed": list(slices(30)),
        "filtered": filtered,
        "kept": list(slices(1, patient=3)),
        **{name: list(random_slices(number, charset)) for number, (name, charset) in enumerate(CHARSETS.items(), 1)},
    }


@pytest.fixture(scope="module")
def archive(start_orthanc: StartOrthanc) -> Archive:
    options = {"StableAge": STABLE_AGE, "OverwriteInstances": True}
    return Archive(start_orthanc(plugins=[PLUGIN], configuration=options))


def change(orthanc: LocalOrthanc, case: str, number: int, series: str) -> None:
    """Do to a series, of this SeriesNumber, what its case says."""
    first = json.loads(ask(orthanc, f"/series/{series}"))["Instances"][0]
    slice_number = int(json.loads(ask(orthanc, f"/instances/{first}/tags?short"))["0020,0013"])
    if case in ("deleted", "replaced"):
        ask(orthanc, f"/instances/{first}", "DELETE")
    match case:
        case "overwritten" | "replaced":
            load(orthanc, slices(number, [slice_number], PatientAge="001Y"))
        case "added":
            load(orthanc, slices(number, [INSTANCES + 1]))
        case "reconstructed":
            post(orthanc, f"/series/{series}/reconstruct", {})
        case "modified":
            keep = ["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"]
            changed = {"Replace": {"ConvolutionKernel": "new"}, "Keep": keep, "KeepSource": True, "Force": True}
            post(orthanc, f"/series/{series}/modify", changed)
        case "stored again":
            ask(orthanc, f"/series/{series}", "DELETE")
            load(orthanc, slices(number, PatientAge="002Y"))


@pytest.mark.live
@pytest.mark.since("1.12.5")
def test_tags_are_never_old(archive: Archive) -> None:
    series = {case: archive.stable(case) for case in CASES}
    before = {case: archive.from_files(one) for case, one in series.items()}
    assert {case: archive.from_attachment(one) for case, one in series.items()} == before

    for number, case in enumerate(CASES, 1):
        change(archive.orthanc, case, number, series[case])
    after = {case: archive.from_files(one) for case, one in series.items()}
    assert [case for case in CASES if after[case] == before[case]] == ["unchanged", "reconstructed"]

    # the plugin does not write another attachment after a deletion
    expected = set(CASES) - {"deleted"}

    def attachments_are_read_again() -> bool:
        read = {case for case, one in series.items() if archive.reads_attachment(one)}
        for case, one in series.items():
            assert archive.from_attachment(one) == after[case], case
        assert read <= expected
        return read == expected

    assert not attachments_are_read_again()
    wait_until(attachments_are_read_again)

    # an Orthanc that ends before the series is stable never writes it again
    one = series["overwritten"]
    load(archive.orthanc, slices(CASES.index("overwritten") + 1, PatientAge="003Y"))
    archive.orthanc.kill()
    archive.orthanc.start()
    archive.client.capabilities()
    after["overwritten"] = archive.from_files(one)
    time.sleep(STABLE_AGE + 2)
    assert archive.from_attachment(one) == after["overwritten"]
    assert not archive.reads_attachment(one)


def post(orthanc: LocalOrthanc, path: str, body: Any) -> None:
    reply = requests.post(f"{orthanc.base_url}{path}", json=body, timeout=60)
    assert reply.status_code == 200, reply.text


@pytest.mark.live
@pytest.mark.since("1.12.5")
def test_pages_and_parts_of_a_series_are_the_same_from_attachments_and_from_files(archive: Archive) -> None:
    series = archive.stable("pages")
    ids = json.loads(ask(archive.orthanc, f"/series/{series}"))["Instances"]
    few = ids[: MIN_INSTANCES - 1]
    of_series = Filter((("SeriesNumber", "20"),))
    by_number = LevelPlan(
        level=Level.INSTANCE, needs=TAGS, filter=of_series, order=(Order("SOPInstanceUID"),), first=MIN_INSTANCES
    )
    by_kernel = replace(by_number, order=(Order("ConvolutionKernel"),))
    kernels = Filter((("ConvolutionKernel", "B1*"), ("SeriesNumber", "20")))
    reads: list[tuple[Callable[[Fetcher], Iterable[Resource]], bool]] = [
        (lambda fetcher: fetcher.by_ids(Level.INSTANCE, ids[:-1], TAGS), True),
        (lambda fetcher: fetcher.by_ids(Level.INSTANCE, few, TAGS), False),
        (lambda fetcher: fetcher.complete(Level.INSTANCE, fetcher.by_ids(Level.INSTANCE, ids, Needs()), TAGS), True),
        (lambda fetcher: fetcher.page(by_number).resources, True),
        (lambda fetcher: fetcher.page(by_kernel).resources, False),
        (lambda fetcher: fetcher.matching(Level.INSTANCE, kernels, TAGS), False),
        (lambda fetcher: fetcher.by_ids(Level.SERIES, [series], Needs(frozenset({"ConvolutionKernel"}))), False),
    ]
    for read, reads_attachment in reads:
        with recording() as calls:
            found = tags_of(read(archive.reading_attachments()), TAGS)
        assert found == tags_of(read(archive.reading_files()), TAGS) != {}
        assert (SERIES_METADATA.template in {call.template for call in calls.calls}) is reads_attachment


@pytest.mark.live
@pytest.mark.since("1.12.5")
def test_a_filter_finds_the_same_in_attachments_and_in_files(archive: Archive) -> None:
    series = archive.stable("filtered")
    root = Series(series, None, {}, {})
    filters: list[tuple[tuple[tuple[str, str], ...], int, bool]] = [
        ((("ConvolutionKernel", "B1"),), 2, True),
        ((("ConvolutionKernel", "B1*"),), 5, True),
        ((("ConvolutionKernel", "B3\\B4"), ("ImageType", "AXIAL")), 2, True),
        ((("ConvolutionKernel", "B1*"), ("InstanceNumber", "10")), 1, False),
        ((("PerformingPhysicianName", "=金"),), 0, True),
        ((("PerformingPhysicianName", "A*"),), 1, True),
        ((("ConvolutionKernel", "*"),), INSTANCES + 2, True),
        ((("ConvolutionKernel", "B1*"), ("KVP", "120")), 5, False),
        ((("Rows", "8"),), INSTANCES + 2, True),
    ]
    for tags, count, reads_attachment in filters:
        for needs in (TAGS, Needs()):
            with recording() as calls:
                fetcher = archive.reading_attachments()
                found = fetcher.children(Level.INSTANCE, [root], Filter(tags), needs, [root])
            from_files = archive.reading_files().children(Level.INSTANCE, [root], Filter(tags), needs, [root])
            assert tags_of(found, needs) == tags_of(from_files, needs), tags
            assert len(found) == count, tags
            is_read = SERIES_METADATA.template in {call.template for call in calls.calls}
            assert is_read is (reads_attachment and (needs is TAGS or tags[0][1] != "*")), tags


@pytest.mark.live
@pytest.mark.since("1.12.5")
def test_tags_from_an_attachment_are_kept_under_the_last_update_of_their_study(archive: Archive) -> None:
    series = archive.stable("kept")
    cache = RevisionCache(archive.client.clock, max_bytes=10**8, min_age=2)
    plan = LevelPlan(level=Level.SERIES, related={"instances": LevelPlan(level=Level.INSTANCE, needs=TAGS)})

    def instances() -> tuple[Tags, bool]:
        with recording() as calls:
            [found] = Hierarchy(archive.client, cache=cache).by_ids(plan, [series])
        return tags_of(found.related["instances"], TAGS), SERIES_METADATA.template in {
            call.template for call in calls.calls
        }

    assert instances() == (archive.from_files(series), True)
    assert instances() == (archive.from_files(series), False)

    load(archive.orthanc, slices(1, [1], patient=3, ConvolutionKernel="new"))
    tags, _ = instances()
    assert tags == archive.from_files(series)
    assert "new" in {one["ConvolutionKernel"] for one in tags.values()}


@pytest.mark.live
@pytest.mark.since("1.12.5")
def test_a_malformed_attachment_is_replaced_by_the_files_with_one_warning(
    archive: Archive, caplog: pytest.LogCaptureFixture
) -> None:
    series = archive.stable("malformed")
    expected = archive.from_files(series)
    url = f"{archive.orthanc.base_url}/series/{series}/attachments/4301"
    revision = requests.get(f"{url}/data", timeout=60).headers["ETag"]
    for content in (b"2;0", b"x"):
        reply = requests.put(url, content, headers={"If-Match": revision}, timeout=60)
        assert reply.status_code == 200, reply.text
        revision = requests.get(f"{url}/data", timeout=60).headers["ETag"]
        caplog.clear()

        for _ in range(3):
            assert archive.from_attachment(series) == expected
        assert [record.message.split(":")[0] for record in caplog.records] == ["metadata attachment is not usable"]
    # nor is another attachment of the series told apart by Orthanc's log
    requests.put(url.replace("4301", "4302"), b"x", timeout=60)
    assert not archive.reads_attachment(series)


@pytest.mark.live
@pytest.mark.since("1.12.5")
def test_random_tags_are_the_same_from_attachments_and_from_files(archive: Archive) -> None:
    series = [archive.stable(name) for name in CHARSETS]
    chance = random.Random(20)
    keywords = random_keywords()
    read = 0
    exact = [one for one in keywords if has_exact_text(one)]
    for _ in range(12):
        for one in series:
            needs = Needs(frozenset(chance.sample(chance.choice((exact, exact, keywords)), chance.randint(1, 12))))
            assert archive.from_attachment(one, needs) == archive.from_files(one, needs), needs
            read += archive.reads_attachment(one, needs)
    assert read > 20
