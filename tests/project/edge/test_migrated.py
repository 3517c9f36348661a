"""Requests wait until the first check of the database has ended, also where it takes longer than a probe may."""

import asyncio
from typing import Any

import pytest

from orthancproxy.project.edge import migrated
from orthancproxy.project.health import MAX_SECONDS, Check, Checked, State


def test_first_request_waits_for_a_check_that_takes_longer_than_a_probe_may(monkeypatch: pytest.MonkeyPatch) -> None:
    scope = {"type": "http", "method": "GET", "path": "/graphql/", "headers": []}
    passed: list[dict[str, Any]] = []

    async def check() -> Checked:
        await asyncio.sleep(MAX_SECONDS + 0.3)
        return Checked({"migrations": State.OK})

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        passed.append(scope)

    async def run() -> None:
        await migrated.until_migrated(application)(scope, nothing, nothing)

    async def nothing(*_: object) -> Any:
        return {"type": "http.disconnect"}

    monkeypatch.setattr(migrated, "DATABASE", Check(check, {"migrations": State.UNKNOWN}))
    asyncio.run(run())
    # a rejected request has another
    assert passed[0] is scope
