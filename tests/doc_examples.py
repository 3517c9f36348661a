"""The code blocks of README.md and docs/."""

import re

from orthancproxy.sandbox.gateway import CHECKOUT


def example(page: str, section: str, language: str, marker: str = "") -> str:
    """Return the only code block of a section (without its subsections) in `language` that contains `marker`."""
    content = (CHECKOUT / page).read_text("utf-8")
    [(_, text)] = re.findall(rf"^(#+) {re.escape(section)}\n(.*?)(?=^##+ |\Z)", content, re.MULTILINE | re.DOTALL)
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    [block] = [block for block in blocks if marker in block]
    assert isinstance(block, str)
    return block
