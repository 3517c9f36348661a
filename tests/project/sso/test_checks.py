"""System checks of the settings of logins at the provider."""

from typing import Any

import pytest
from django.core.checks import run_checks
from pytest_django import Settings


@pytest.mark.parametrize(
    ("changed", "ids"),
    [
        ({}, []),
        ({"AUDIENCE": ""}, []),
        ({"CLIENT_SECRET": ""}, []),
        ({"ISSUER": "", "AUDIENCE": ""}, ["sso.E001"]),
        ({"CLIENT_ID": ""}, ["sso.E002"]),
        ({"CLIENT_ID": "", "CLIENT_SECRET": "", "AUDIENCE": ""}, ["orthancproxy.E018"]),
        ({"CLIENT_ID": "", "CLIENT_SECRET": "", "REQUIRED": True}, ["sso.E003"]),
        ({"SCOPES": ["profile"]}, ["sso.E004"]),
    ],
    ids=str,
)
def test_settings_that_contradict_each_other_are_reported(
    settings: Settings, changed: dict[str, Any], ids: list[str]
) -> None:
    for name, value in changed.items():
        setattr(settings, f"ORTHANC_OIDC_{name}", value)
    found = [message for message in run_checks() if not message.is_silenced()]
    assert [message.id for message in found] == ids
    assert all(message.is_serious() and message.hint and "keep & safe" not in message.msg for message in found)
