"""The code that the README shows."""

import re

from orthancproxy.sandbox.gateway import CHECKOUT


def example(section: str, language: str, marker: str = "") -> str:
    """The only code block of a section (its subsections are not part of it) in a language, with a text in it."""
    readme = (CHECKOUT / "README.md").read_text("utf-8")
    [(_, text)] = re.findall(rf"^(##+) {re.escape(section)}\n(.*?)(?=^##+ |\Z)", readme, re.MULTILINE | re.DOTALL)
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    [block] = [block for block in blocks if marker in block]
    assert isinstance(block, str)
    return block
