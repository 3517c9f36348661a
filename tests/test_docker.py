"""The Docker files keep Orthanc private and agree with the code. No test needs a Docker engine."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from django.urls import resolve
from packaging.specifiers import SpecifierSet

from orthancproxy.conf import DEPLOYMENT_VARIABLES, SETTINGS, conf
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS

CHECKOUT = Path(__file__).resolve().parents[1]
COMPOSE_FILE = (CHECKOUT / "docker-compose.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE_FILE)["services"]
DOCKERFILE = (CHECKOUT / "Dockerfile").read_text()
REFERENCE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


def environment(service: str) -> dict[str, str]:
    """Return the variables of a service that have a value; a reference becomes its default or <NAME>."""
    variables = {name: value for name, value in SERVICES[service]["environment"].items() if value is not None}
    return {
        name: REFERENCE.sub(lambda found: found["rest"] if found["kind"] == "-" else f"<{found['name']}>", value)
        for name, value in variables.items()
    }


def images(name: str) -> list[str]:
    return re.findall(rf"^FROM {name}:([\d.]+)", DOCKERFILE, re.MULTILINE)


def spool_folder() -> str:
    """Return the image's folder for temporary files, which uploads are."""
    [folder] = re.findall(r"\bTMPDIR=(\S+)", DOCKERFILE)
    assert isinstance(folder, str)
    return folder


def version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


class TestComposeFile:
    def test_publishes_only_nginx_and_only_on_loopback(self) -> None:
        assert {name: service.get("ports", []) for name, service in SERVICES.items()} == {
            "nginx": ["127.0.0.1:${PORT:-8000}:8080"],
            "gateway": [],
            "ohif": [],
            "orthanc": [],
            "postgres": [],
        }
        assert not any("network_mode" in service for service in SERVICES.values())

    def test_only_nginx_and_the_gateway_have_an_external_network(self) -> None:
        networks = yaml.safe_load(COMPOSE_FILE)["networks"]
        inside = {name for name, options in networks.items() if options and options.get("internal")}
        assert {name for name, service in SERVICES.items() if set(service["networks"]) - inside} == {"nginx", "gateway"}

    def test_nginx_gets_what_the_gateway_permits_from_the_same_orthanc(self) -> None:
        nginx, gateway = environment("nginx"), environment("gateway")
        for name in ("ORTHANC_BASE_URL", "ORTHANC_USERNAME", "ORTHANC_PASSWORD"):
            assert nginx[name] == gateway[name]
        assert f'location ~ "^{gateway["ORTHANC_ACCEL_REDIRECT"]}/' in read("docker/nginx/nginx.conf")
        # it sets or removes what the gateway trusts
        assert gateway["ORTHANC_TRUST_FORWARDED"] == "true"
        [port] = re.findall(r"GATEWAY:-gateway:(\d+)", read("docker/nginx/start"))
        assert f"--port {port}" in read("docker/entrypoint")
        assert "LISTEN:-8080" in read("docker/nginx/start")

    def test_orthanc_requires_the_gateways_password(self) -> None:
        orthanc, gateway = environment("orthanc"), environment("gateway")
        assert orthanc["ORTHANC__AUTHENTICATION_ENABLED"] == "true"
        assert gateway["ORTHANC_PASSWORD"] == "<ORTHANC_PASSWORD>"
        assert json.loads(orthanc["ORTHANC__REGISTERED_USERS"]) == {
            gateway["ORTHANC_USERNAME"]: gateway["ORTHANC_PASSWORD"]
        }

    def test_orthanc_indexes_the_instance_tags_that_the_gateway_returns(self) -> None:
        tags = json.loads(environment("orthanc")["ORTHANC__EXTRA_MAIN_DICOM_TAGS"])
        assert tags == INDEXED_INSTANCE_TAGS["ExtraMainDicomTags"]

    def test_orthanc_and_the_gateway_have_separate_databases(self) -> None:
        postgres = environment("postgres")
        orthanc = json.loads(environment("orthanc")["ORTHANC__POSTGRESQL"])
        made = re.findall(r'^make_database (\w+) "\$(\w+)"', read("docker/postgres-init.sh"), re.MULTILINE)
        passwords = {name: postgres[variable] for name, variable in made}
        assert {orthanc["Username"]: orthanc["Password"]} == {"orthanc": passwords["orthanc"]}
        assert (
            environment("gateway")["DATABASE_URL"] == f"postgres://gateway:{passwords['gateway']}@postgres:5432/gateway"
        )
        assert len({*passwords.values(), postgres["POSTGRES_PASSWORD"]}) == 3

    def test_orthanc_tells_the_gateway_what_it_deletes(self) -> None:
        orthanc = environment("orthanc")
        [mounted] = json.loads(orthanc["ORTHANC__LUA_SCRIPTS"])
        [script] = [volume for volume in SERVICES["orthanc"]["volumes"] if f":{mounted}:" in volume]
        assert script == f"./docker/orthanc-events.lua:{mounted}:ro"
        url = urlsplit(orthanc["ORTHANC_EVENTS_URL"])
        assert set(SERVICES[url.hostname or ""]["networks"]) & set(SERVICES["orthanc"]["networks"])
        assert (url.hostname, f"--port {url.port}" in read("docker/entrypoint")) == ("gateway", True)
        assert resolve(url.path).route == "orthanc-events"
        # both from .env; without it, none is sent or accepted
        for service in ("gateway", "orthanc"):
            assert SERVICES[service]["environment"]["ORTHANC_EVENTS_SECRET"] is None
        assert set(re.findall(r"os\.getenv\('(\w+)'\)", read("docker/orthanc-events.lua"))) <= set(
            SERVICES["orthanc"]["environment"]
        )

    def test_orthanc_keeps_the_tags_of_series(self) -> None:
        orthanc = environment("orthanc")
        assert orthanc["DICOM_WEB_PLUGIN_ENABLED"] == orthanc["ORTHANC__DICOM_WEB__ENABLE_METADATA_CACHE"] == "true"

    def test_postgresql_has_connections_for_orthanc_and_two_workers(self) -> None:
        [workers] = re.findall(r"WEB_CONCURRENCY:-(\d+)", read("docker/entrypoint"))
        assert int(workers) >= 2
        [limit] = [option for option in SERVICES["postgres"]["command"] if option.startswith("max_connections=")]
        # 50 of Orthanc's plugin; docs/deployment.md has the formula
        assert int(limit.partition("=")[2]) >= 50 + int(workers) * 9 + conf.ORTHANC_MAX_CALLS + 10

    def test_every_secret_is_required(self) -> None:
        names = {found["name"]: found["kind"] for found in REFERENCE.finditer(COMPOSE_FILE)}
        secrets = {name for name in names if name.endswith(("PASSWORD", "KEY"))}
        assert {name for name, kind in names.items() if kind == "?"} == secrets
        assert {found["kind"] for found in REFERENCE.finditer(COMPOSE_FILE) if found["name"] in secrets} == {"?"}

    def test_ohif_is_copied_once_to_where_the_gateway_serves_it_from(self) -> None:
        job, gateway = SERVICES["ohif"], SERVICES["gateway"]
        assert (job["profiles"], job["restart"], job["build"]["target"]) == (["ohif"], "no", "ohif")
        [volume] = job["volumes"]
        assert f"{volume}:ro" in gateway["volumes"]
        assert gateway["environment"]["OHIF_DIR"] == volume.partition(":")[2]
        [stage] = re.findall(r"^FROM \S+ AS ohif\n(.*?)^FROM", DOCKERFILE, re.MULTILINE | re.DOTALL)
        assert f'"{volume.partition(":")[2]}/"]' in stage
        assert job["cap_drop"] == ["ALL"]

    @pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"ohif"}))
    def test_each_service_has_a_health_check_restarts_and_drops_privileges(self, name: str) -> None:
        service = SERVICES[name]
        assert service["healthcheck"]["test"][0] == "CMD"
        assert service["restart"] == "unless-stopped"
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]

    def test_services_wait_for_their_dependencies(self) -> None:
        assert {name: service.get("depends_on", {}) for name, service in SERVICES.items()} == {
            "nginx": {"gateway": {"condition": "service_healthy", "restart": True}},
            "gateway": {
                "orthanc": {"condition": "service_healthy"},
                "postgres": {"condition": "service_healthy"},
                "ohif": {"condition": "service_completed_successfully", "required": False},
            },
            "ohif": {},
            "orthanc": {"postgres": {"condition": "service_healthy"}},
            "postgres": {},
        }

    def test_every_setting_can_be_set_in_the_env_file(self) -> None:
        variables = SERVICES["gateway"]["environment"]
        settings = {setting.name for setting in (*SETTINGS, *DEPLOYMENT_VARIABLES)}
        entrypoint = set(re.findall(r"\$\{(\w+):-", read("docker/entrypoint")))
        # the container has no data folder, and is no place to debug
        own = {name for name in variables if not name.startswith("OTEL_")}
        assert own == (settings | entrypoint) - {"DJANGO_DATA_DIR", "DJANGO_DEBUG"}
        # so that their defaults are those of the code: anonymous callers have no permissions, for one
        assert {name for name, value in variables.items() if value is not None} == {
            "DATABASE_URL",
            "DJANGO_SECRET_KEY",
            "OHIF_DIR",
            "ORTHANC_ACCEL_REDIRECT",
            "ORTHANC_BASE_URL",
            "ORTHANC_PASSWORD",
            "ORTHANC_TRUST_FORWARDED",
            "ORTHANC_USERNAME",
        }

    def test_uploads_are_spooled_on_disk(self) -> None:
        gateway = SERVICES["gateway"]
        volumes = dict(volume.split(":") for volume in gateway["volumes"] if not volume.endswith(":ro"))
        assert gateway["read_only"]
        # a named volume: a folder of the host would belong to root
        assert set(volumes) <= set(yaml.safe_load(COMPOSE_FILE)["volumes"])
        assert list(volumes.values()) == [spool_folder()]
        assert not any(spool_folder().startswith(mounted.partition(":")[0]) for mounted in gateway["tmpfs"])
        # it would override the image's
        assert "TMPDIR" not in gateway["environment"]

    def test_images_are_pinned_to_a_version(self) -> None:
        foreign = [service["image"] for service in SERVICES.values() if "build" not in service]
        assert len(foreign) == 3
        assert all(re.search(r":\d[\w.-]*$", image) for image in foreign)


class TestDockerfile:
    def test_python_version_is_supported_by_the_project(self) -> None:
        project = tomllib.loads(read("pyproject.toml"))["project"]
        versions = images("python")
        assert len(versions) == 2
        assert len(set(versions)) == 1
        assert versions[0] in SpecifierSet(project["requires-python"])
        # requirements.txt is locked for it
        assert f"--python-version {versions[0]}" in read("requirements.txt")

    def test_node_version_is_supported_by_the_front_end(self) -> None:
        engines = json.loads(read("orthancproxy/web/package.json"))["engines"]["node"]
        [node] = set(images("node"))
        # the image is the newest of the pinned major version
        assert version(node) >= version(engines.removeprefix(">="))[:1]

    def test_image_runs_as_an_unprivileged_user(self) -> None:
        final_stage = DOCKERFILE.rpartition("FROM ")[2]
        assert re.search(r"^USER [1-9]\d+:[1-9]\d+$", final_stage, re.MULTILINE)

    def test_image_has_a_spool_folder_that_its_user_can_write_to(self) -> None:
        final_stage = DOCKERFILE.rpartition("FROM ")[2]
        [(user, group)] = re.findall(r"^USER (\d+):(\d+)$", final_stage, re.MULTILINE)
        [made] = re.findall(r'^RUN install (.*) "\$TMPDIR"$', final_stage, re.MULTILINE)
        options = dict(option.removeprefix("--").partition("=")[::2] for option in made.split())
        assert options == {"directory": "", "owner": "gateway", "group": "gateway", "mode": "700"}
        assert f"groupadd --gid {group} gateway" in final_stage
        assert f"useradd --uid {user} --gid gateway" in final_stage
        # its user could not create it
        assert final_stage.index("$TMPDIR") < final_stage.index("USER ")

    def test_image_contains_no_secret_key(self) -> None:
        commands = re.findall(r"^RUN (?:.*\\\n)*.*manage\.py.*", DOCKERFILE, re.MULTILINE)
        assert commands
        assert all(command.startswith("RUN DJANGO_SECRET_KEY=") for command in commands)

    def test_copied_files_exist_and_are_in_the_build_context(self) -> None:
        sent = {line.removeprefix("!") for line in read(".dockerignore").splitlines() if line.startswith("!")}
        copied = re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE)
        assert copied
        for path in " ".join(copied).split():
            assert (CHECKOUT / path).exists(), path
            assert any(path == root or path.startswith(f"{root}/") for root in sent), path
        assert all((CHECKOUT / path).exists() for path in sent)

    def test_image_has_all_that_the_gateway_imports(self, tmp_path: Path) -> None:
        """Copy and remove the same files as the Dockerfile; COPY keeps symbolic links."""
        [app] = re.findall(r"^FROM \S+ AS app\n(.*?)^FROM", DOCKERFILE, re.MULTILINE | re.DOTALL)
        for sources, target in re.findall(r"^COPY (?!--)(.+) (\S+)$", app, re.MULTILINE):
            for source in sources.split():
                if (CHECKOUT / source).is_dir():
                    left_out = shutil.ignore_patterns("__pycache__", "node_modules", "static")
                    shutil.copytree(CHECKOUT / source, tmp_path / target, symlinks=True, ignore=left_out)
                else:
                    (tmp_path / target).mkdir(exist_ok=True)
                    shutil.copy(CHECKOUT / source, tmp_path / target)
        [removed] = re.findall(r"^RUN rm -r (.+)$", app, re.MULTILINE)
        for name in removed.split():
            path = tmp_path / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        assert not list(tmp_path.rglob("sandbox*"))
        subprocess.run([sys.executable, "-m", "compileall", "-q", "orthancproxy", "schema"], cwd=tmp_path, check=True)
        # it imports the modules of all URLs
        check = [sys.executable, "manage.py", "check"]
        subprocess.run(check, cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, check=True, timeout=60)
        assert list((tmp_path / "orthancproxy/schema/__pycache__").glob("view.*.pyc"))


class TestScripts:
    def test_make_env_generates_every_secret_once(self, tmp_path: Path) -> None:
        (tmp_path / "docker").mkdir()
        shutil.copy(CHECKOUT / "docker/make-env", tmp_path / "docker")
        shutil.copy(CHECKOUT / ".env.example", tmp_path)
        subprocess.run([tmp_path / "docker/make-env"], check=True)

        made = tmp_path / ".env"
        secrets = dict(re.findall(r"^([A-Z_]+)=(.*)$", made.read_text(), re.MULTILINE))
        required = {found["name"] for found in REFERENCE.finditer(COMPOSE_FILE) if found["kind"] == "?"}
        assert set(secrets) == required | {"ORTHANC_EVENTS_SECRET"}
        assert all(re.fullmatch("[0-9a-f]{64}", secret) for secret in secrets.values())
        assert len(set(secrets.values())) == len(secrets)
        assert made.stat().st_mode & 0o077 == 0

        again = subprocess.run([tmp_path / "docker/make-env"], capture_output=True, check=False)
        assert again.returncode != 0
        assert dict(re.findall(r"^([A-Z_]+)=(.*)$", made.read_text(), re.MULTILINE)) == secrets

    def test_entrypoint_rejects_invalid_settings(self, tmp_path: Path) -> None:
        python = Path(sys.executable).parent
        result = subprocess.run(
            [CHECKOUT / "docker/entrypoint"],
            env={
                "PATH": f"{python}:/usr/bin:/bin",
                "DJANGO_DATA_DIR": str(tmp_path),
                "ORTHANC_BASE_URL": "nonsense",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode != 0
        assert any("ORTHANC_BASE_URL" in json.loads(line)["event"] for line in result.stderr.splitlines())
        assert result.stdout == ""

    @pytest.mark.parametrize(
        ("allowed", "host"),
        [
            ("", "localhost"),
            ("images.example.org, localhost", "images.example.org"),
            (".example.org", "example.org"),
            ("*", "localhost"),
        ],
    )
    def test_health_check_sends_an_allowed_host(self, alive: "Alive", allowed: str, host: str) -> None:
        assert health_check(alive, allowed).returncode == 0
        assert alive.requests == [("/livez", host)]

    def test_health_check_fails_with_the_gateway(self, alive: "Alive") -> None:
        alive.status = 503
        assert health_check(alive).returncode != 0
        alive.close()
        assert health_check(alive).returncode != 0


class Alive:
    """A server that responds with a status and keeps the requests."""

    def __init__(self) -> None:
        self.status = 200
        self.requests: list[tuple[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append((self.path, self.headers["Host"]))
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def alive() -> Iterator[Alive]:
    server = Alive()
    yield server
    server.close()


def health_check(server: Alive, allowed_hosts: str = "") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, CHECKOUT / "docker/healthcheck", str(server.port)],
        env={**os.environ, "DJANGO_ALLOWED_HOSTS": allowed_hosts},
        capture_output=True,
        timeout=30,
        check=False,
    )


def read(path: str) -> str:
    return (CHECKOUT / path).read_text()
