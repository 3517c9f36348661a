"""The dictionary of the tag browser."""

from dev.generate_dictionary import lines
from orthancproxy.sandbox.gateway import CHECKOUT

DICTIONARY = CHECKOUT / "orthancproxy/web/src/explorer/study/dictionary.txt"


def test_dictionary_is_that_of_pydicom() -> None:
    assert DICTIONARY.read_text().splitlines() == list(lines())
