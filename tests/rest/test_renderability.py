"""`isRenderable`, which tells what a preview answers."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from io import BytesIO
from itertools import product
from typing import Any

import pytest
from django.test import Client
from pydicom import dcmread
from pydicom.uid import JPEG2000, ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless, generate_uid

from orthancproxy.archive.renderability import is_renderable
from orthancproxy.errors import ArchiveRejected, NotFound
from orthancproxy.orthanc.capabilities import Capabilities
from orthancproxy.orthanc.endpoints import PLUGINS, STATISTICS, Endpoint
from orthancproxy.orthanc.find_limits import FindLimits
from orthancproxy.orthanc.plugins import Plugins
from orthancproxy.orthanc.responses import Statistics
from orthancproxy.sandbox.orthanc import Installation, LocalOrthanc
from tests.conftest import GraphQL, UseOrthanc
from tests.corpus import instance, load
from tests.orthancs import StartOrthanc
from tests.rest.conftest import encoded, shipped

SIDE = 16
GREY = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
GDCM = "/usr/share/orthanc/plugins/libOrthancGdcm.so"


def image(interpretation: str, bits: int, planar: int) -> bytes:
    samples = 1 if interpretation in GREY else 3
    tags: dict[str, Any] = {"PlanarConfiguration": planar} if samples == 3 else {}
    if interpretation == "PALETTE COLOR":
        for colour in ("Red", "Green", "Blue"):
            tags[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
            tags[f"{colour}PaletteColorLookupTableData"] = bytes(512)
    bytes_count = SIDE * SIDE * (2 if interpretation == "YBR_FULL_422" else samples) * bits // 8
    return instance(
        SOPInstanceUID=generate_uid(),
        Rows=SIDE,
        Columns=SIDE,
        PhotometricInterpretation=interpretation,
        SamplesPerPixel=samples,
        BitsAllocated=bits,
        BitsStored=bits,
        HighBit=bits - 1,
        PixelData=(bytes(range(256)) * 64)[:bytes_count],
        **tags,
    )


def images() -> Iterator[bytes]:
    interpretations = (*GREY, "RGB", "YBR_FULL", "YBR_FULL_422", "HSV")
    for interpretation, bits, planar in product(interpretations, (1, 8, 16, 32, 64), (0, 1)):
        if planar and interpretation in GREY:
            continue
        file = image(interpretation, bits, planar)
        yield file
        dataset = dcmread(BytesIO(file))
        # not all are valid as RLE (PS3.5 section 8.2)
        with suppress(ValueError):
            dataset.compress(RLELossless, generate_instance_uid=False)
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            yield encoded(dataset)


SHIPPED = (
    *("CT_small", "examples_ybr_color", "SC_rgb_small_odd", "rtplan", "test-SR", "rtdose_1frame", "rtdose_rle_1frame"),
    *("JPGExtended", "JPEGLSNearLossless_16", "SC_rgb_jls_lossy_line", "SC_rgb_jpeg_gdcm", "image_dfl"),
)
OF_JPEG_2000 = ("MR_small_jp2klossless", "JPEG2000", "SC_rgb_gdcm_KY")


def check(graphql: GraphQL) -> Mapping[str, bool]:
    """Assert that `isRenderable` is what a preview answers; return it by PatientID."""
    query = "{ instances(first: 200) { nodes { isRenderable previewUrl tags(keywords: %s) } } }"
    keywords = '["PatientID", "PhotometricInterpretation", "BitsAllocated", "PlanarConfiguration"]'
    nodes = graphql(query % keywords)["instances"]["nodes"]
    wrong = {}
    for node in nodes:
        status = Client().get(node["previewUrl"]).status_code
        assert status in (200, 415), node
        if node["isRenderable"] is not (status == 200):
            wrong[node["previewUrl"]] = node["tags"]
    assert wrong == {}
    return {node["tags"]["PatientID"]: node["isRenderable"] for node in nodes}


@pytest.fixture(autouse=True)
def _without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.live
def test_every_image_is_renderable_as_told(
    start_session_orthanc: StartOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    orthanc = start_session_orthanc()
    load(orthanc, [*images(), *(encoded(shipped(name)) for name in (*SHIPPED, *OF_JPEG_2000))])
    use_orthanc(orthanc)
    told = check(graphql)
    assert {name for name in told if told[name]} >= {"CT_small", "examples_ybr_color", "JPGExtended"}
    assert not any(told[name] for name in OF_JPEG_2000)


@pytest.mark.live
@pytest.mark.once
def test_jpeg_2000_is_renderable_with_the_gdcm_plugin_which_gets_no_dose(
    use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    # Debian's package, which is installed for the Orthanc of this machine only
    with LocalOrthanc(installation=Installation("/usr/sbin/Orthanc"), plugins=[GDCM]) as orthanc:
        load(orthanc, (encoded(shipped(name)) for name in (*SHIPPED, *OF_JPEG_2000)))
        use_orthanc(orthanc)
        told = check(graphql)
        assert all(told[name] for name in OF_JPEG_2000)
        assert not told["rtdose_1frame"]
        assert orthanc.is_running


def capabilities(version: str = "1.13.0", plugins: list[str] | type[Exception] = ArchiveRejected) -> Capabilities:
    def call(endpoint: Endpoint, *, body: Any = None, query: str = "", decoder: Any = None) -> Any:
        if endpoint != PLUGINS:
            return Statistics(0, 0, 0, 0, 0) if endpoint == STATISTICS else []
        if isinstance(plugins, list):
            return plugins
        raise plugins

    return Capabilities("x", version, "", True, True, True, None, {}, {}, False, None, FindLimits(call), Plugins(call))


@pytest.mark.parametrize(
    ("plugins", "expected"),
    [(["explorer.js", "gdcm"], True), (["explorer.js"], False), (NotFound, False), (ArchiveRejected, False)],
    ids=["GDCM", "others", "built without plugins", "forbidden"],
)
@pytest.mark.parametrize("syntax", [JPEG2000, JPEG2000Lossless])
def test_jpeg_2000_depends_on_the_plugins(plugins: Any, expected: bool, syntax: str) -> None:
    tags = {"Rows": "5", "Columns": "5", "BitsAllocated": "16", "PhotometricInterpretation": "MONOCHROME2"}
    assert is_renderable(tags, syntax, capabilities(plugins=plugins)) is expected


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1.10.1", False), ("1.12.7", True), ("1.12.10", True), ("2.0.0", True), ("mainline", True)],
)
def test_colours_of_16_bits_depend_on_the_version(version: str, expected: bool) -> None:
    tags = {"Rows": "5", "Columns": "5", "BitsAllocated": "16", "PhotometricInterpretation": "RGB"}
    assert is_renderable(tags, ExplicitVRLittleEndian, capabilities(version)) is expected
