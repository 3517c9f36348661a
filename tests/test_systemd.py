"""The units of docker/systemd are valid, lock the services in, and run the gateway.

`make drill-systemd` boots a system with them.
"""

import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from orthancproxy.conf import SETTINGS
from orthancproxy.project.variables import DEPLOYMENT_VARIABLES, DeploymentVariables
from orthancproxy.sandbox.gateway import CHECKOUT
from orthancproxy.sandbox.orthanc import free_port
from orthancproxy.sandbox.process import ChildProcess
from tests.waiting import wait_until

SYSTEMD = CHECKOUT / "docker/systemd"
GATEWAY, NGINX = "orthanc-gateway.service", "orthanc-gateway-nginx.service"
INSTALLED = "/opt/orthanc-gateway"
VARIABLE = re.compile(r"^#?([A-Z_]+)=(.*)$", re.MULTILINE)


class Unit:
    """The section [Service] of a unit: a setting can be given several times."""

    def __init__(self, name: str) -> None:
        self.lines = re.findall(r"^(\w+)=(.*)$", (SYSTEMD / name).read_text(), re.MULTILINE)

    def __getitem__(self, name: str) -> str:
        [value] = self.all(name)
        return value

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.lines if key == name]

    def environment(self) -> dict[str, str]:
        pairs = [pair for value in self.all("Environment") for pair in shlex.split(value)]
        return dict(pair.split("=", 1) for pair in pairs)


@pytest.mark.parametrize("name", [GATEWAY, NGINX])
def test_systemd_finds_no_mistake(name: str, tmp_path: Path) -> None:
    """It warns of unknown and misspelled settings, and of commands that do not exist."""
    (tmp_path / name).write_text((SYSTEMD / name).read_text().replace(INSTALLED, str(tmp_path)))
    for command in ("venv/bin/python", "docker/nginx/start"):
        (tmp_path / command).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / command).symlink_to("/bin/true")
    verify = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(tmp_path / name)]
    result = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("name", [GATEWAY, NGINX])
def test_the_services_have_no_more_than_they_need(name: str) -> None:
    # from 0, all locked, to 100; docs/deployment.md has the numbers
    check = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(SYSTEMD / name)]
    result = subprocess.run(check, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    unit = Unit(name)
    assert unit["UMask"] == "0077"
    assert unit["User"] not in ("root", "0")
    assert unit["ProtectSystem"] == "strict"
    assert unit["CapabilityBoundingSet"] == ("" if name == GATEWAY else "CAP_NET_BIND_SERVICE")


def test_systemd_waits_until_the_gateway_has_drained() -> None:
    unit = Unit(GATEWAY)
    drain = (
        DeploymentVariables.ORTHANC_DRAIN_SECONDS.default + DeploymentVariables.ORTHANC_SHUTDOWN_DELAY_SECONDS.default
    )
    assert int(unit["TimeoutStopSec"]) >= drain + 10
    assert unit["KillMode"] == "mixed"
    assert unit["ExecReload"] == "/bin/kill -HUP $MAINPID"


def test_the_files_of_settings_name_what_exists() -> None:
    settings = {setting.name for setting in (*SETTINGS, *DEPLOYMENT_VARIABLES)}
    given = {name for name, _ in VARIABLE.findall((SYSTEMD / "gateway.env").read_text())}
    assert given <= settings
    start = (CHECKOUT / "docker/nginx/start").read_text()
    for name, _ in VARIABLE.findall((SYSTEMD / "nginx.env").read_text()):
        assert f"${{{name}:" in start or f"${name}" in start
    manage = (SYSTEMD / "manage").read_text()
    for name, value in Unit(GATEWAY).environment().items():
        assert f"--setenv={name}={value}" in manage or name.startswith("PYTHON")
    # a folder with another mode would get it
    folders = [f"{name}Directory{mode}" for name in ("State", "Cache") for mode in ("", "Mode")]
    for name in ("User", "UMask", "WorkingDirectory", "EnvironmentFile", *folders):
        assert f"--property={name}={Unit(GATEWAY)[name]}" in manage


def test_the_command_serves_with_the_folders_and_the_umask_of_the_unit(tmp_path: Path) -> None:
    unit, port = Unit(GATEWAY), free_port()
    state, cache = tmp_path / "state", tmp_path / "cache"
    folders = {f"/var/lib/{unit['StateDirectory']}": state, f"/var/cache/{unit['CacheDirectory']}": cache}
    for folder in folders.values():
        folder.mkdir(mode=int(unit["StateDirectoryMode"], 8))
    variables = unit.environment()
    variables |= dict(re.findall(r"^([A-Z_]+)=(.*)$", (SYSTEMD / "gateway.env").read_text(), re.MULTILINE))
    environment = {name: str(folders.get(value, value)) for name, value in variables.items()}
    assert Path(environment["TMPDIR"]) == cache
    command = unit["ExecStart"].replace(f"{INSTALLED}/venv/bin/python", sys.executable).replace("8000", str(port))
    assert f"--port {port}" in command
    process = ChildProcess(
        ["sh", "-c", f"umask {unit['UMask']} && cd {CHECKOUT} && exec {command}"],
        log=tmp_path / "log",
        environment={"PATH": os.environ["PATH"], **environment},
    )

    def ready() -> bool:
        try:
            parts = requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).json()["parts"]
        except requests.ConnectionError:
            return False
        return bool(parts["migrations"] == "ok")

    try:
        wait_until(ready, seconds=60)
        files = [*state.rglob("*"), *cache.rglob("*")]
        assert {path.name for path in files} >= {"gateway.sqlite3", "secret-key"}
        assert [path for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077] == []
    finally:
        process.stop()
    assert process.exit_code == 0


def test_compose_waits_as_long() -> None:
    text = (CHECKOUT / "docker-compose.yml").read_text()
    [seconds] = re.findall(r"GATEWAY_STOP_GRACE_PERIOD:-(\d+)s", text)
    assert seconds == Unit(GATEWAY)["TimeoutStopSec"]
