"""The manifests of docs/kubernetes are valid, and agree with the image and with each other."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from orthancproxy.conf import SETTINGS
from orthancproxy.project.variables import DEPLOYMENT_VARIABLES
from orthancproxy.sandbox.gateway import CHECKOUT

FOLDER = CHECKOUT / "docs/kubernetes"
MANIFESTS = sorted(path for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml")
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
# the oldest that gets fixes when this was written, and the newest that the validator knows
VERSIONS = ("1.33", kubernetes_validate.latest_version())
DOCKERFILE = (CHECKOUT / "Dockerfile").read_text()


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return found


@pytest.fixture
def pod() -> dict[str, Any]:
    spec: dict[str, Any] = read("deployment.yaml")["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    [found] = pod["containers"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_are_valid_without_unknown_fields(path: Path, version: str) -> None:
    kubernetes_validate.validate(yaml.safe_load(path.read_text()), version, strict=True)


def test_the_validator_finds_a_mistake() -> None:
    wrong = read("service.yaml")
    wrong["spec"]["prots"] = wrong["spec"].pop("ports")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[1], strict=True)


def test_everything_but_the_example_is_part_of_the_base() -> None:
    assert {path.name for path in MANIFESTS} - {"ingress-example.yaml"} == set(KUSTOMIZATION["resources"])
    [labels] = [one["pairs"] for one in KUSTOMIZATION["labels"]]
    for name, path in (
        ("deployment.yaml", "selector"),
        ("disruption.yaml", "selector"),
        ("network.yaml", "podSelector"),
    ):
        assert read(name)["spec"][path]["matchLabels"] == labels
    assert read("service.yaml")["spec"]["selector"] == labels
    assert read("deployment.yaml")["spec"]["template"]["metadata"]["labels"] == labels


def test_orthanc_and_the_ingress_controller_reach_the_pods() -> None:
    """Kustomize (5.5) writes labels over those of all selectors if it is told to, those of other pods among them."""
    assert all(set(one) == {"pairs"} for one in KUSTOMIZATION["labels"])
    [rule] = read("network.yaml")["spec"]["ingress"]
    controller, orthanc = rule["from"]
    assert controller["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "ingress-nginx"}
    assert orthanc["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "orthanc"}


def test_pods_are_not_root_and_write_to_their_volumes_only(pod: dict[str, Any], container: dict[str, Any]) -> None:
    [(user, group)] = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert (security["runAsUser"], security["runAsGroup"], security["fsGroup"]) == (int(user), int(group), int(group))
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    [spool] = re.findall(r"\bTMPDIR=(\S+)", DOCKERFILE)
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert (mounts["spool"], mounts["tmp"]) == (spool, "/tmp")  # noqa: S108 - of the container
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert all("sizeLimit" in volumes[name]["emptyDir"] for name in ("spool", "tmp"))
    # mode 0440 in YAML 1.1, whose octal numbers begin with 0
    assert volumes["secrets"]["secret"]["defaultMode"] == 0o440
    assert {"cpu", "memory", "ephemeral-storage"} == set(container["resources"]["limits"])


def test_secrets_are_files_and_settings_exist(container: dict[str, Any]) -> None:
    literals = dict(one.split("=", 1) for one in KUSTOMIZATION["configMapGenerator"][0]["literals"])
    secret = {setting.name for setting in (*SETTINGS, *DEPLOYMENT_VARIABLES) if setting.secret}
    known = {setting.name for setting in (*SETTINGS, *DEPLOYMENT_VARIABLES)}
    assert set(literals) <= known - secret
    [mount] = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "secrets"]
    for variable in container["env"]:
        assert variable["name"].removesuffix("_FILE") in secret
        assert variable["value"].startswith(f"{mount}/")
    # the guide makes a secret with these keys
    page = (CHECKOUT / "docs/deployment.md").read_text()
    keys = {variable["value"].rpartition("/")[2] for variable in container["env"]}
    assert (
        set(re.findall(r"--from-file=([\w-]+)=", page)) | set(re.findall(r"--from-file=\.secrets/([\w-]+)", page))
        == keys
    )


def test_a_pod_ends_after_it_has_drained(pod: dict[str, Any], container: dict[str, Any]) -> None:
    literals = dict(one.split("=", 1) for one in KUSTOMIZATION["configMapGenerator"][0]["literals"])
    delay, drain = (int(literals[f"ORTHANC_{name}_SECONDS"]) for name in ("SHUTDOWN_DELAY", "DRAIN"))
    assert pod["terminationGracePeriodSeconds"] == delay + drain + 10
    # until the pod is unready for everybody
    readiness = container["readinessProbe"]
    assert delay >= readiness["periodSeconds"] * readiness["failureThreshold"]
    assert container["livenessProbe"]["httpGet"]["path"] == container["startupProbe"]["httpGet"]["path"] == "/livez"
    assert readiness["httpGet"]["path"] == "/readyz"


def test_ports_fit_each_other(container: dict[str, Any]) -> None:
    [port] = container["ports"]
    assert f"--port {port['containerPort']}" in (CHECKOUT / "docker/entrypoint").read_text()
    [service] = read("service.yaml")["spec"]["ports"]
    assert service["targetPort"] == port["name"]
    [rule] = read("ingress-example.yaml")["spec"]["rules"]
    assert rule["http"]["paths"][0]["backend"]["service"] == {
        "name": "orthanc-gateway",
        "port": {"name": service["name"]},
    }
    [allowed] = read("network.yaml")["spec"]["ingress"]
    assert allowed["ports"] == [{"protocol": "TCP", "port": port["containerPort"]}]


def test_the_image_is_that_of_this_version(container: dict[str, Any]) -> None:
    [image] = KUSTOMIZATION["images"]
    assert container["image"] == image["name"]
    compose = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())
    assert f"{image['name']}:{image['newTag']}" == compose["services"]["gateway"]["image"]
