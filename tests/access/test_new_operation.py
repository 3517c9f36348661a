"""A new operation is declared once: its action, event kind, operation and mutation; everything else reads these."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

# by edited file: the line after the declaration, and the declaration
DECLARATIONS = {
    "orthancproxy/access/actions.py": (
        "    description: str\n",
        '    FREEZE = ("freeze", "Freeze studies", ("Manager",))\n\n',
    ),
    "orthancproxy/audit/kinds.py": (
        "    description: str\n    dicom: DicomEvent\n",
        """    FROZEN = (
        "FROZEN",
        "A study was frozen.",
        DicomEvent(id=Code("110108", "DCM", "Network Entry"), action="E"),
    )

""",
    ),
    "orthancproxy/resolvers/operations.py": (
        "OPERATIONS: tuple",
        """FREEZE = Operation(
    description="Freeze a study",
    action=Action.FREEZE,
    kind=EventKind.FROZEN,
    changes=True,
    target_level=Level.STUDY,
)
""",
    ),
    "schema/mutations.py": (
        '    @strawberry.mutation(description="Delete a series',
        """    @strawberry.mutation(description="Freeze a study.")
    def freeze_study(self, info: Info, orthanc_id: OrthancId) -> bool:
        from orthancproxy.resolvers.guard import audited_write
        from orthancproxy.resolvers.operations import FREEZE

        with audited_write(gateway(info), FREEZE, orthanc_id) as event:
            event.write_intent()
        return True

""",
    ),
}

SCRIPT = """
import json, os, sys
from pathlib import Path
os.environ["DJANGO_SETTINGS_MODULE"] = "orthancproxy.project.settings"
import django
django.setup()
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.core.checks import run_checks
from django.test import Client, override_settings
call_command("makemigrations", check=True, dry_run=True, verbosity=0)
call_command("migrate", verbosity=0)
from knox.models import get_token_model
from orthancproxy.audit.dicom_messages import messages
from orthancproxy.audit.models import AuditEvent
from orthancproxy.schema import schema
from dev.generate_docs import generate

user = User.objects.create_user("kim", password="secret")
_, token = get_token_model().objects.create(user)
query = '{"query": "mutation { freezeStudy(orthancId: \\\\"1\\\\") }"}'
def ask():
    headers = {"Authorization": f"Bearer {token}"}
    return Client(headers=headers).post("/graphql/", query, content_type="application/json").json()
denied = ask()
user.groups.add(Group.objects.get(name="Manager"))
done = ask()
with override_settings(ORTHANC_ANONYMOUS_ACTIONS=["freeze"]):
    problems = [str(message) for message in run_checks() if "ANONYMOUS" in str(message)]
events = list(AuditEvent.objects.order_by("pk"))
print(json.dumps({
    "sdl": schema.as_str(),
    "docs": generate(Path("docs/access.md").read_text("utf-8")),
    "denied": denied,
    "done": done,
    "problems": problems,
    "events": [[one.event, one.operation, one.outcome, one.target] for one in events if one.event == "FROZEN"],
    "messages": [text for one in events for text in messages(one, "gateway")],
}))
"""


@pytest.fixture(scope="module")
def extended_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the code with the declarations of a new mutation."""
    copy = tmp_path_factory.mktemp("extended")
    ignored = shutil.ignore_patterns("node_modules", "static", "web", "__pycache__", "schema")
    shutil.copytree(CHECKOUT / "orthancproxy", copy / "orthancproxy", ignore=ignored)
    (copy / "orthancproxy/schema").symlink_to("../schema")
    for folder in ("schema", "dev", "docs", "tests"):
        ignored = shutil.ignore_patterns("node_modules", "__pycache__", "*.png")
        shutil.copytree(CHECKOUT / folder, copy / folder, ignore=ignored)
    for name, (before, declaration) in DECLARATIONS.items():
        source = (copy / name).read_text("utf-8")
        assert source.count(before) == 1, name
        (copy / name).write_text(source.replace(before, declaration + before), "utf-8")
    return copy


@pytest.fixture(scope="module")
def extended_gateway(extended_checkout: Path) -> dict[str, Any]:
    """Return the output of the gateway with the new mutation."""
    output = run(extended_checkout, "-c", SCRIPT)
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def run(copy: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env={"PATH": "/usr/bin:/bin", "DJANGO_DATA_DIR": str(copy / ".data"), "DJANGO_ALLOWED_HOSTS": "testserver"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_a_new_mutation_touches_four_files_and_the_matrix() -> None:
    assert sorted(DECLARATIONS) == [
        "orthancproxy/access/actions.py",
        "orthancproxy/audit/kinds.py",
        "orthancproxy/resolvers/operations.py",
        "schema/mutations.py",
    ]


def test_the_graphql_schema_has_the_action_the_event_kind_and_the_mutation(extended_gateway: dict[str, Any]) -> None:
    assert '"""Freeze studies."""\n  FREEZE' in extended_gateway["sdl"]
    assert "A study was frozen. DICOM: Network Entry." in extended_gateway["sdl"]
    assert "freezeStudy(" in extended_gateway["sdl"]


def test_the_documentation_has_the_permission_the_operation_and_the_event(extended_gateway: dict[str, Any]) -> None:
    assert "| Freeze a study | `freeze` | `FROZEN` | before and after |\n" in extended_gateway["docs"]
    assert "| `FROZEN` | A study was frozen. | Network Entry (110108) |\n" in extended_gateway["docs"]
    assert "| `freeze` | Freeze studies |  |  | yes |\n" in extended_gateway["docs"]


def test_the_permission_is_needed_and_the_manager_has_it(extended_gateway: dict[str, Any]) -> None:
    assert extended_gateway["denied"]["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert extended_gateway["done"] == {"data": {"freezeStudy": True}}
    assert extended_gateway["problems"] == []


def test_the_audit_log_has_its_events(extended_gateway: dict[str, Any]) -> None:
    target = "studies/1"
    assert extended_gateway["events"] == [
        ["FROZEN", "freezeStudy", "DENIED", target],
        ["FROZEN", "freezeStudy", "INTENDED", target],
        ["FROZEN", "freezeStudy", "SUCCESS", target],
    ]
    assert sum('originalText="Network Entry"' in message for message in extended_gateway["messages"]) == 3


def test_the_access_matrix_fails_until_it_has_a_row(extended_checkout: Path) -> None:
    script = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "orthancproxy.project.settings"
import django
django.setup()
from tests.access.cases import CASES, root_fields
print(root_fields() - {name.split(" ")[0] for name in CASES})
"""
    assert run(extended_checkout, "-c", script).splitlines()[-1] == "{'Mutation.freezeStudy'}"
