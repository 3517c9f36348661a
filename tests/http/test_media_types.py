"""Media types of an Accept header."""

import pytest

from orthancproxy.errors import InvalidRequest, NotAcceptable
from orthancproxy.http.media_types import MAX_ACCEPT_LENGTH, MAX_MEDIA_RANGES, best, parse_accept

DICOM = 'multipart/related; type="application/dicom"'
OFFERS = ("application/dicom+json", "application/json", DICOM)


@pytest.mark.parametrize("accept", [None, "", " ", " , ,", "*/*"])
def test_anything_is_accepted_without_media_types(accept: str | None) -> None:
    [anything] = parse_accept(accept)
    assert (anything.type, anything.subtype, anything.parameters, anything.quality) == ("*", "*", {}, 1.0)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/json", "application/json"),
        ("Application/JSON", "application/json"),
        ("application/dicom+json, application/json", "application/dicom+json"),
        ("application/json, application/dicom+json", "application/json"),
        ("application/json;q=0.5, application/dicom+json;q=0.7", "application/dicom+json"),
        ("application/*;q=0.1, application/json", "application/json"),
        ("*/*, application/dicom+json;q=0", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ("text/html, */*;q=0.1", "application/dicom+json"),
        # of Java, without a word of its user
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "application/dicom+json"),
        ("multipart/related", DICOM),
        (DICOM, DICOM),
        ("multipart/related; type=application/dicom", DICOM),
        ("multipart/related;type=application/dicom;transfer-syntax=*", DICOM),
        ('multipart/related ; type="*/*" ; transfer-syntax=1.2.840.10008.1.2.1 ; q=0.5', DICOM),
        ("multipart/related; type=image/jpeg, application/json;q=0.1", "application/json"),
    ],
)
def test_best_offer_is_the_one_that_accept_prefers(accept: str, expected: str) -> None:
    assert best(parse_accept(accept), OFFERS) == expected


@pytest.mark.parametrize(
    "accept", ["text/html", "multipart/related; type=application/dicom+xml", "*/*;q=0", "application/json;q=0"]
)
def test_nothing_acceptable_is_an_error_that_names_the_offers(accept: str) -> None:
    with pytest.raises(NotAcceptable, match=r"application/dicom\+json, application/json"):
        best(parse_accept(accept), OFFERS)


@pytest.mark.parametrize(
    "accept",
    [
        "nonsense",
        "application",
        "application/",
        "*/json",
        "application/json application/xml",
        "application/json;q=2",
        "application/json;q=0.1234",
        "application/json;q=high",
        'multipart/related; type="application/dicom',
        "application/json;=1",
        "application/ü",
        "\x00/\x00",
        "a/b," * (MAX_MEDIA_RANGES + 1),
        "a" * MAX_ACCEPT_LENGTH + "/b",
        'a/b;c="' + "\\" * MAX_ACCEPT_LENGTH,
    ],
)
def test_malformed_accept_is_rejected(accept: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_accept(accept)


def test_quoted_values_may_have_separators_and_escapes() -> None:
    first, second = parse_accept(r'a/b;c="1, 2; \"3\"";Q=0.5, d/e')
    assert (first.parameters, first.quality, second.type) == ({"c": '1, 2; "3"'}, 0.5, "d")
