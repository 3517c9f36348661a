"""The audits of GraphQL over HTTP (npm's graphql-http), against the gateway as it is deployed."""

import json
import subprocess
from pathlib import Path

import pytest

from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import free_port
from tests.identity.provider import node

AUDITS = Path(__file__).parent / "audits"
STRICT = {
    "ORTHANC_ANONYMOUS_ACTIONS": "",
    "ORTHANC_COMPILED_EXECUTION": "false",
    "ORTHANC_INTROSPECTION": "false",
    "ORTHANC_MAX_PAGE_SIZE": "1",
}


@pytest.mark.parametrize("variables", [{}, STRICT], ids=["open", "strict"])
def test_the_endpoint_passes_every_audit(tmp_path: Path, variables: dict[str, str]) -> None:
    # no audit asks for anything of the archive
    with serving(f"http://127.0.0.1:{free_port()}", tmp_path, settings=variables) as gateway:
        command = [node(), str(AUDITS / "audit.mjs"), f"{gateway.address}/graphql/"]
        run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    results: list[tuple[str, str | None]] = [tuple(result) for result in json.loads(run.stdout)]
    assert {name: reason for name, reason in results if reason} == {}
    assert sum(name.startswith("MUST ") for name, _ in results) == 13
    assert sum(name.startswith("SHOULD ") for name, _ in results) == 23
    assert len(results) == 61
