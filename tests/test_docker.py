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

from orthancproxy.conf import SETTINGS, conf
from orthancproxy.project.variables import DEPLOYMENT_VARIABLES
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS

CHECKOUT = Path(__file__).resolve().parents[1]
COMPOSE_FILE = (CHECKOUT / "docker-compose.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE_FILE)["services"]
DOCKERFILE = (CHECKOUT / "Dockerfile").read_text()
# they end before the others start
JOBS = {"ohif", "orthanc-volume"}
REFERENCE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


def environment(service: str) -> dict[str, str]:
    """Return the variables of a service that have a value; a reference becomes its default or <NAME>."""
    variables = {name: value for name, value in SERVICES[service]["environment"].items() if value is not None}
    return {
        name: REFERENCE.sub(lambda found: found["rest"] if found["kind"] == "-" else f"<{found['name']}>", value)
        for name, value in variables.items()
    }


def secrets_of(service: str) -> set[str]:
    """Return the names of the secrets that a service has."""
    return {one if isinstance(one, str) else one["source"] for one in SERVICES[service].get("secrets", [])}


def secret_files(service: str) -> dict[str, str]:
    """Return the variables of a service that name the file of a secret, with the secret's name."""
    return {
        name: value.removeprefix("/run/secrets/")
        for name, value in SERVICES[service].get("environment", {}).items()
        if str(value).startswith("/run/secrets/")
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
            "orthanc-volume": [],
            "postgres": [],
        }
        assert not any("network_mode" in service for service in SERVICES.values())

    def test_only_nginx_and_the_gateway_have_an_external_network(self) -> None:
        networks = yaml.safe_load(COMPOSE_FILE)["networks"]
        inside = {name for name, options in networks.items() if options and options.get("internal")}
        assert {name for name, service in SERVICES.items() if set(service["networks"]) - inside} == {"nginx", "gateway"}

    def test_nginx_gets_what_the_gateway_permits_from_the_same_orthanc(self) -> None:
        nginx, gateway = environment("nginx"), environment("gateway")
        for name in ("ORTHANC_BASE_URL", "ORTHANC_USERNAME", "ORTHANC_PASSWORD_FILE"):
            assert nginx[name] == gateway[name]
        assert f'location ~ "^{gateway["ORTHANC_ACCEL_REDIRECT"]}/' in read("docker/nginx/nginx.conf")
        # it sets or removes what the gateway trusts
        assert gateway["ORTHANC_TRUST_FORWARDED"] == "true"
        [port] = re.findall(r"GATEWAY:-gateway:(\d+)", read("docker/nginx/start"))
        assert f"--port {port}" in read("docker/entrypoint")
        assert "LISTEN:-8080" in read("docker/nginx/start")

    def test_orthanc_requires_the_gateways_password(self) -> None:
        assert environment("orthanc")["ORTHANC__AUTHENTICATION_ENABLED"] == "true"
        assert secret_files("gateway")["ORTHANC_PASSWORD_FILE"] == "orthanc-password"
        # docker/make-env writes it with the same password
        assert "orthanc.json" in secrets_of("orthanc")

    def test_orthanc_indexes_the_instance_tags_that_the_gateway_returns(self) -> None:
        tags = json.loads(environment("orthanc")["ORTHANC__EXTRA_MAIN_DICOM_TAGS"])
        assert tags == INDEXED_INSTANCE_TAGS["ExtraMainDicomTags"]

    def test_orthanc_and_the_gateway_have_separate_databases(self) -> None:
        orthanc = json.loads(environment("orthanc")["ORTHANC__POSTGRESQL"])
        assert (orthanc["Username"], orthanc["Database"], "Password" in orthanc) == ("orthanc", "orthanc", False)
        assert secret_files("postgres") == {
            "POSTGRES_PASSWORD_FILE": "postgres-password",
            "ORTHANC_DATABASE_PASSWORD_FILE": "orthanc-database-password",
            "GATEWAY_DATABASE_PASSWORD_FILE": "gateway-database-password",
        }
        # the other's password is in neither
        assert secrets_of("gateway") & set(secret_files("postgres").values()) == set()
        assert secrets_of("orthanc") & set(secret_files("postgres").values()) == set()

    def test_orthanc_tells_the_gateway_what_it_deletes(self) -> None:
        orthanc = environment("orthanc")
        [mounted] = json.loads(orthanc["ORTHANC__LUA_SCRIPTS"])
        [script] = [volume for volume in SERVICES["orthanc"]["volumes"] if f":{mounted}:" in volume]
        assert script == f"./docker/orthanc-events.lua:{mounted}:ro"
        url = urlsplit(orthanc["ORTHANC_EVENTS_URL"])
        assert set(SERVICES[url.hostname or ""]["networks"]) & set(SERVICES["orthanc"]["networks"])
        assert (url.hostname, f"--port {url.port}" in read("docker/entrypoint")) == ("gateway", True)
        assert resolve(url.path).route == "orthanc-events"
        for service in ("gateway", "orthanc"):
            assert secret_files(service)["ORTHANC_EVENTS_SECRET_FILE"] == "orthanc-events-secret"
        read_by_the_script = set(re.findall(r"os\.getenv\('(\w+)'\)", read("docker/orthanc-events.lua")))
        assert read_by_the_script - set(SERVICES["orthanc"]["environment"]) == {"ORTHANC_EVENTS_SECRET"}

    def test_orthanc_keeps_the_tags_of_series(self) -> None:
        orthanc = environment("orthanc")
        assert orthanc["DICOM_WEB_PLUGIN_ENABLED"] == orthanc["ORTHANC__DICOM_WEB__ENABLE_METADATA_CACHE"] == "true"

    def test_postgresql_has_connections_for_orthanc_and_two_workers(self) -> None:
        [workers] = re.findall(r"WEB_CONCURRENCY:-(\d+)", read("docker/entrypoint"))
        assert int(workers) >= 2
        [limit] = [option for option in SERVICES["postgres"]["command"] if option.startswith("max_connections=")]
        # 50 of Orthanc's plugin; docs/deployment.md has the formula
        assert int(limit.partition("=")[2]) >= 50 + int(workers) * 9 + conf.ORTHANC_MAX_CALLS + 10

    @pytest.mark.parametrize("name", SERVICES)
    def test_no_environment_has_a_secret(self, name: str) -> None:
        """`docker inspect` shows it; what is passed on from .env would be there as well."""
        secret = {setting.name for setting in (*SETTINGS, *DEPLOYMENT_VARIABLES) if setting.secret}
        variables = SERVICES[name].get("environment", {})
        assert not secret & set(variables)
        # two name a file
        assert not [one for one in variables if re.search(r"(PASSWORD|SECRET)$|(?<!TLS)(?<!AUDIT)_KEY$", one)]
        referred = {found["name"] for found in REFERENCE.finditer(yaml.safe_dump(SERVICES[name]))}
        assert not [one for one in referred if re.search("PASSWORD|SECRET|KEY|DATABASE_URL", one)]
        # and is a file that the container has
        assert set(secret_files(name).values()) <= secrets_of(name)

    def test_each_secret_is_a_file_of_make_env_that_only_those_have_who_use_it(self) -> None:
        declared = yaml.safe_load(COMPOSE_FILE)["secrets"]
        assert {name: options["file"] for name, options in declared.items()} == {
            name: f"./.secrets/{name}" for name in declared
        }
        assert set().union(*map(secrets_of, SERVICES)) == set(declared)
        for name in SERVICES:
            used = {*secret_files(name).values()} | (
                {"orthanc.json", "orthanc-host-id"} if name == "orthanc" else set()
            )
            assert secrets_of(name) == used

    def test_ohif_is_copied_once_to_where_the_gateway_serves_it_from(self) -> None:
        job, gateway = SERVICES["ohif"], SERVICES["gateway"]
        assert (job["profiles"], job["restart"], job["build"]["target"]) == (["ohif"], "no", "ohif")
        [volume] = job["volumes"]
        assert f"{volume}:ro" in gateway["volumes"]
        assert gateway["environment"]["OHIF_DIR"] == volume.partition(":")[2]
        [stage] = re.findall(r"^FROM \S+ AS ohif\n(.*?)^FROM", DOCKERFILE, re.MULTILINE | re.DOTALL)
        assert f'"{volume.partition(":")[2]}/"]' in stage
        assert job["cap_drop"] == ["ALL"]

    @pytest.mark.parametrize("name", sorted(SERVICES.keys() - JOBS))
    def test_each_service_has_a_health_check_and_restarts(self, name: str) -> None:
        service = SERVICES[name]
        assert service["healthcheck"]["test"][0] == "CMD"
        assert service["restart"] == "unless-stopped"

    @pytest.mark.parametrize("name", SERVICES)
    def test_each_service_drops_privileges(self, name: str) -> None:
        service = SERVICES[name]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["read_only"] is True
        # the image of nginx has the user 101, and the gateway's 10001; the job changes owners
        expected = {"orthanc": "999:999", "postgres": "999:999", "orthanc-volume": "0:0"}
        assert service.get("user") == expected.get(name)
        assert set(service.get("cap_add", [])) == ({"CHOWN", "DAC_READ_SEARCH"} if name == "orthanc-volume" else set())

    @pytest.mark.parametrize("name", SERVICES)
    def test_each_service_has_limits_and_a_log_that_ends(self, name: str) -> None:
        service = SERVICES[name]
        defaults = [REFERENCE.sub(r"\g<rest>", str(service[limit])) for limit in ("mem_limit", "cpus", "pids_limit")]
        assert re.fullmatch(r"\d+[mg]", defaults[0])
        # more than the cores of the host are an error of Docker
        assert 1 <= float(defaults[1]) <= 2
        assert int(defaults[2]) >= 64
        if name not in JOBS:
            for limit in ("mem_limit", "cpus", "pids_limit"):
                [found] = REFERENCE.finditer(service[limit])
                kind = {"mem_limit": "MEMORY", "cpus": "CPUS", "pids_limit": "PIDS"}[limit]
                assert found["name"] == f"{name.upper()}_{kind}"
        assert service["logging"]["driver"] == "json-file"
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}

    def test_two_workers_have_threads(self) -> None:
        """As in docs/deployment.md: 288 of a worker with the default settings, and some for requests beyond."""
        limit = REFERENCE.sub(r"\g<rest>", SERVICES["gateway"]["pids_limit"])
        assert int(limit) >= 2 * (288 + 100)

    def test_orthanc_runs_plugins_from_a_folder_of_its_own(self) -> None:
        """Its image copies them there; on a read-only file system it could not link them to their usual folder."""
        [options] = [mount.partition(":")[2] for mount in SERVICES["orthanc"]["tmpfs"] if "plugins" in mount]
        assert {"exec", "uid=999", "gid=999"} <= set(options.split(","))
        assert SERVICES["orthanc"]["environment"]["GENERATE_HOST_ID_IF_MISSING"] == "false"
        assert SERVICES["orthanc-volume"]["image"] == SERVICES["orthanc"]["image"]
        assert SERVICES["orthanc-volume"]["entrypoint"][1:] == [
            SERVICES["orthanc"]["volumes"][0].partition(":")[2],
            SERVICES["orthanc"]["user"],
        ]

    def test_nginx_waits_for_a_gateway_that_is_ready(self) -> None:
        assert SERVICES["gateway"]["healthcheck"]["test"] == ["CMD", "docker/healthcheck", "--ready"]
        # an orchestrator that restarts what is unhealthy would restart a gateway whose database is down
        [command] = re.findall(r"^HEALTHCHECK .* CMD (.*)$", DOCKERFILE, re.MULTILINE)
        assert json.loads(command) == ["docker/healthcheck"]

    def test_services_wait_for_their_dependencies(self) -> None:
        assert {name: service.get("depends_on", {}) for name, service in SERVICES.items()} == {
            "nginx": {"gateway": {"condition": "service_healthy", "restart": True}},
            "gateway": {
                "orthanc": {"condition": "service_healthy"},
                "postgres": {"condition": "service_healthy"},
                "ohif": {"condition": "service_completed_successfully", "required": False},
            },
            "ohif": {},
            "orthanc": {
                "postgres": {"condition": "service_healthy"},
                "orthanc-volume": {"condition": "service_completed_successfully"},
            },
            "orthanc-volume": {},
            "postgres": {},
        }

    def test_every_setting_can_be_set_in_the_env_file(self) -> None:
        variables = SERVICES["gateway"]["environment"]
        settings = {
            f"{setting.name}_FILE" if setting.secret else setting.name for setting in (*SETTINGS, *DEPLOYMENT_VARIABLES)
        }
        entrypoint = set(re.findall(r"\$\{(\w+):-", read("docker/entrypoint")))
        # the container has no data folder, and is no place to debug
        own = {name for name in variables if not name.startswith("OTEL_") or name.endswith("_FILE")}
        assert own == (settings | entrypoint) - {"DJANGO_DATA_DIR", "DJANGO_DEBUG"}
        # so that their defaults are those of the code: anonymous callers have no permissions, for one
        assert {name for name, value in variables.items() if value is not None} == {
            "DATABASE_URL_FILE",
            "DJANGO_SECRET_KEY_FILE",
            "OHIF_DIR",
            "ORTHANC_ACCEL_REDIRECT",
            "ORTHANC_BASE_URL",
            "ORTHANC_EVENTS_SECRET_FILE",
            "ORTHANC_OIDC_CLIENT_SECRET_FILE",
            "ORTHANC_PASSWORD_FILE",
            "ORTHANC_PSEUDONYM_KEY_FILE",
            "ORTHANC_TRUST_FORWARDED",
            "ORTHANC_USERNAME",
            "OTEL_EXPORTER_OTLP_HEADERS_FILE",
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
        assert len(set(foreign)) == 3
        # with a digest or without: dev/pin_images.py
        assert all(re.search(r":\d[\w.-]*(@sha256:[0-9a-f]{64})?$", image) for image in foreign)

    def test_images_of_the_gateway_have_its_version(self) -> None:
        version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
        own = [service["image"] for service in SERVICES.values() if "build" in service]
        assert own == [f"orthanc-graphql-gateway:{version}", f"orthanc-graphql-gateway-ohif:{version}"]
        assert SERVICES["gateway"]["build"]["args"]["VERSION"] == version
        final_stage = DOCKERFILE.rpartition("FROM ")[2]
        assert final_stage.index("ARG VERSION") < final_stage.index('org.opencontainers.image.version="$VERSION"')


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

    def test_health_check_asks_whether_the_gateway_is_ready(self, alive: "Alive") -> None:
        assert health_check(alive, "", "--ready").returncode == 0
        assert alive.requests == [("/readyz", "localhost")]
        alive.status = 503
        assert health_check(alive, "", "--ready").returncode != 0

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


def health_check(server: Alive, allowed_hosts: str = "", *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, CHECKOUT / "docker/healthcheck", *arguments, str(server.port)],
        env={**os.environ, "DJANGO_ALLOWED_HOSTS": allowed_hosts},
        capture_output=True,
        timeout=30,
        check=False,
    )


def read(path: str) -> str:
    return (CHECKOUT / path).read_text()
