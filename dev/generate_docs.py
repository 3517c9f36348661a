"""Write the generated sections of the documents, or compare them with the code.

    python -m dev.generate_docs [--check] [DOCUMENT ...]

A section stands between the lines `<!-- begin NAME -->` and `<!-- end NAME -->`, in docs/ unless documents are named.
To add one, add a function to SECTIONS and the two lines to a document.
"""

import argparse
import difflib
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orthancproxy.project.settings")
django.setup()

from prometheus_client import Counter, Gauge, Histogram  # noqa: E402

from orthancproxy import metrics  # noqa: E402
from orthancproxy.access.actions import Action  # noqa: E402
from orthancproxy.audit.kinds import EventKind  # noqa: E402
from orthancproxy.conf import SETTINGS  # noqa: E402
from orthancproxy.project.variables import DEPLOYMENT_VARIABLES  # noqa: E402
from orthancproxy.resolvers.operations import OPERATIONS  # noqa: E402
from orthancproxy.setting import Setting  # noqa: E402

CHECKOUT = Path(__file__).resolve().parents[1]
SECTION = re.compile(r"(<!-- begin (?P<name>[a-z-]+) -->\n).*?(<!-- end (?P=name) -->\n)", re.DOTALL)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [headings, ["---"] * len(headings), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def settings_table(settings: Iterable[Setting[Any]]) -> str:
    """Return a table of settings."""
    rows = (
        (
            f"`{setting.name}`",
            f"{setting.expected} (secret)" if setting.secret else setting.expected,
            _default(setting),
            setting.description,
        )
        for setting in settings
    )
    return table(("Name", "Value", "Default", "Description"), rows)


def _default(setting: Setting[Any]) -> str:
    """Return the default as it would be written in the environment."""
    match setting.default:
        case str() as secret if secret and setting.secret:
            text = setting.display(secret)
        case bool() as flag:
            text = str(flag).lower()
        case float() as number:
            text = f"{number:g}"
        case tuple() as items:
            text = ",".join(items)
        case other:
            text = str(other)
    return f"`{text}`" if text else "empty"


def groups_table() -> str:
    """Return a table of the actions, and the groups that have each."""
    groups = list(dict.fromkeys(group for action in Action for group in action.groups))
    rows = (
        (f"`{action.value}`", action.description, *("yes" if group in action.groups else "" for group in groups))
        for action in Action
    )
    return table(("Action", "Description", *groups), rows)


def operations_table() -> str:
    """Return a table of the operations with what they need and how they are audited."""
    rows = (
        (
            operation.description,
            f"`{operation.action.value}`" if operation.action else "none",
            f"`{operation.kind.value}`",
            "before and after"
            if operation.changes or operation.is_job
            else "each viewing"
            if operation.viewed
            else "once",
        )
        for operation in OPERATIONS
    )
    return table(("Operation", "Permission", "Audit event", "Audited"), rows)


def events_table() -> str:
    """Return a table of the kinds of audit events with their DICOM events."""
    codes = ((kind, kind.dicom.type or kind.dicom.id) for kind in EventKind)
    rows = ((f"`{kind.value}`", kind.description, f"{code.meaning} ({code.value})") for kind, code in codes)
    return table(("Event", "Meaning", "DICOM code"), rows)


def metrics_table() -> str:
    """Return a table of the metrics, by name, as a scrape has them."""
    rows = []
    for metric in vars(metrics).values():
        if isinstance(metric, Counter | Gauge | Histogram):
            [described] = metric.describe()
            # prometheus_client adds the label to gauges of each process
            pid = ["pid"] if isinstance(metric, Gauge) and metric._multiprocess_mode == "liveall" else []
            labels = ", ".join(f"`{label}`" for label in [*metric._labelnames, *pid])
            suffix = "_total" if isinstance(metric, Counter) else ""
            rows.append((f"`{described.name}{suffix}`", described.type, labels, described.documentation))
    return table(("Name", "Type", "Labels", "Description"), sorted(rows))


SECTIONS: Mapping[str, Callable[[], str]] = {
    "groups": groups_table,
    "operations": operations_table,
    "events": events_table,
    "settings": lambda: settings_table(SETTINGS),
    "metrics": metrics_table,
    "deployment-variables": lambda: settings_table(DEPLOYMENT_VARIABLES),
}


def generate(text: str) -> str:
    """Return a document with its generated sections up to date. KeyError for a section that is not in SECTIONS."""
    return SECTION.sub(lambda found: f"{found[1]}{SECTIONS[found['name']]()}{found[3]}", text)


def main() -> int:
    """Write or compare the documents; return 1 if a compared one is out of date."""
    parser = argparse.ArgumentParser(description="Write the generated sections of the documents.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a section is out of date")
    parser.add_argument("documents", nargs="*", type=Path, metavar="DOCUMENT")
    arguments = parser.parse_args()
    status = 0
    for path in arguments.documents or sorted(CHECKOUT.glob("docs/*.md")):
        text = path.read_text("utf-8")
        generated = generate(text)
        if generated == text:
            continue
        if arguments.check:
            status = 1
            lines = text.splitlines(keepends=True), generated.splitlines(keepends=True)
            sys.stdout.writelines(difflib.unified_diff(*lines, str(path), "generated by make docs"))
        else:
            path.write_text(generated, "utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
