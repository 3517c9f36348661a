"""README.md, CONTRIBUTING.md and docs/ name only files, links, settings and commands that exist."""

import re
import tomllib
from pathlib import Path

import pytest
from django.utils.module_loading import import_string

from orthancproxy.conf import SETTINGS
from orthancproxy.project.variables import DEPLOYMENT_VARIABLES
from orthancproxy.sandbox.gateway import CHECKOUT

MAX_README_BYTES = 9 * 1024
PAGES = [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
# what only the tests, the benchmarks, Orthanc's own image, its script and that of backups read
OTHER_VARIABLES = {"ORTHANC_BIN", "ORTHANC_DATABASE_URL", "ORTHANC_EVENTS_URL", "ORTHANC_ROOT"}

LINK = r"\]\(([^)\s]+)\)"
PATH = r"(?<!`)`((?:orthancproxy|schema|tests|docs|benchmarks|dev|docker)/[\w./-]*)`(?!`)"
NAME = r'"?(orthancproxy(?:\.\w+)+)(?=["`])'
VARIABLE = r"\b(?:ORTHANC|DJANGO)_[A-Z_]*[A-Z]\b(?!_*…)"
MAKE_TARGET = r"(?:^|`)(?:[A-Z_]+=\S* )*make ([a-z-]+)"

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_short() -> None:
    assert (CHECKOUT / "README.md").stat().st_size <= MAX_README_BYTES


def test_the_readme_links_to_every_page() -> None:
    readme = (CHECKOUT / "README.md").read_text("utf-8")
    pages = [str(page.relative_to(CHECKOUT)) for page in (CHECKOUT / "docs").glob("*.md")]
    assert [page for page in pages if f"]({page})" not in readme] == []


@pytest.mark.parametrize("pattern", [LINK, PATH, NAME, VARIABLE, MAKE_TARGET])
def test_the_pages_have_what_is_checked_below(pattern: str) -> None:
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    assert len(re.findall(pattern, text, re.MULTILINE)) >= 3


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(LINK, page.read_text("utf-8")):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@each_page
def test_paths_exist(page: Path) -> None:
    paths = re.findall(PATH, page.read_text("utf-8"))
    assert [path for path in paths if not (CHECKOUT / path).exists()] == []


@each_page
def test_names_can_be_imported(page: Path) -> None:
    names = re.findall(NAME, page.read_text("utf-8"))
    for name in names:
        if re.fullmatch(r"orthancproxy\.(view|download|upload|delete|view_audit)", name):
            continue  # a permission
        if (CHECKOUT / name.replace(".", "/")).exists() or (CHECKOUT / f"{name.replace('.', '/')}.py").exists():
            continue  # a module
        import_string(name)


@each_page
def test_settings_exist(page: Path) -> None:
    known = {setting.name for setting in (*SETTINGS, *DEPLOYMENT_VARIABLES)} | OTHER_VARIABLES
    named = set(re.findall(VARIABLE, page.read_text("utf-8")))
    assert {name for name in named if name.removesuffix("_FILE") not in known and "__" not in name} == set()


@each_page
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(MAKE_TARGET, page.read_text("utf-8"), re.MULTILINE))
    assert named <= targets


def test_test_classes_named_in_security_md_exist() -> None:
    tests = "\n".join(path.read_text("utf-8") for path in (CHECKOUT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(Test\w+)`", (CHECKOUT / "docs/security.md").read_text("utf-8")))
    assert named
    assert {name for name in named if f"class {name}" not in tests} == set()


def test_contributing_lists_the_layers_in_order() -> None:
    contracts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    contributing = (CHECKOUT / "CONTRIBUTING.md").read_text("utf-8")
    [table] = re.findall(r"^## Layers\n(.*?)^## ", contributing, re.MULTILINE | re.DOTALL)
    rows = [re.findall(r"`(\w+)`", cell) for cell in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)[1:]]
    assert [row for row in rows if row] == [layer.split(" | ") for layer in layers]
