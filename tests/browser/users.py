"""Users of a gateway that runs, made as an administrator makes them: with manage.py."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from playwright.sync_api import Page

from orthancproxy.sandbox.gateway import CHECKOUT

PASSWORD = "맞는 말 battery staple"
MAKE = """
import json, sys
from django.contrib.auth.models import Group, User
for user in json.load(sys.stdin):
    make = User.objects.create_superuser if user["is_superuser"] else User.objects.create_user
    made = make(user["name"], password=user["password"])
    made.groups.set([Group.objects.get(name=name) for name in user["groups"]])
"""
CONFINE = """
import json, sys
from django.contrib.auth.models import Group
from orthancproxy.access.models import AccessScope
name, patient_id = json.load(sys.stdin)
AccessScope.objects.create(group=Group.objects.create(name=name), value=patient_id)
"""
CONFINE_TO_LABEL = """
import sys
from django.contrib.auth.models import Group
from orthancproxy.access.models import AccessScope
label = sys.stdin.read()
AccessScope.objects.create(group=Group.objects.create(name=label), kind=AccessScope.Kind.STUDY_LABEL, value=label)
"""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who can log in."""

    name: str
    groups: Sequence[str] = ()
    is_superuser: bool = False
    password: str = PASSWORD


def make(folder: Path, *users: User) -> None:
    """Add them to the database of the gateway whose folder it is."""
    _manage(folder, "shell", "--verbosity", "0", "--command", MAKE, text=json.dumps([asdict(user) for user in users]))


def confine(folder: Path, group: str, patient_id: str) -> None:
    """Add a group whose members see one patient."""
    _manage(folder, "shell", "--verbosity", "0", "--command", CONFINE, text=json.dumps([group, patient_id]))


def confine_to_label(folder: Path, label: str) -> None:
    """Add a group of the name of a label, whose members see the studies that have it."""
    _manage(folder, "shell", "--verbosity", "0", "--command", CONFINE_TO_LABEL, text=label)


def create_token(folder: Path, user: User) -> str:
    """Return a new API token."""
    return _manage(folder, "create_api_token", user.name).strip()


def _manage(folder: Path, *command: str, text: str = "") -> str:
    environment = {**os.environ, "DJANGO_DATA_DIR": str(folder / "data")}
    managed = subprocess.run(
        [sys.executable, str(CHECKOUT / "manage.py"), *command],
        env=environment,
        input=text,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return managed.stdout


def enter(page: Page, user: User) -> None:
    """Fill in the form of the login page, and send it."""
    page.get_by_label("User").fill(user.name)
    page.get_by_label("Password").fill(user.password)
    page.get_by_role("button", name="Log in").click()
