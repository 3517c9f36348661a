"""A `docker` for hosts without one: it checks commands against docker-compose.yml, and runs what they run inside.

    docker …    in a folder with docker-compose.yml, with DOCKER_STAND_IN, the path of a JSON file:

    {"state": folder, "storage": folder, "containers": {service: {"cwd": folder, "env": {…}, "replace": {…}}}}

Containers do not run. `exec` runs its command on this machine, in the folder "cwd", with the variables of "env", after
"replace" has given paths and ports of the container those that they have here. What a real Docker rejects is rejected:
unknown options and services, secrets and mounted files that do not exist, `exec` in what was not started.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

REFERENCE = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}")
DETACHED = ("--detach", "-d")


class Stack:
    """The services of docker-compose.yml and its override, in the current folder."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._state = Path(options["state"])
        self._variables = self._env()
        self.services: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        self.volumes: set[str] = set()
        for name in ("docker-compose.yml", "docker-compose.override.yml"):
            if Path(name).exists():
                self._merge(yaml.safe_load(self._interpolated(Path(name).read_text())))

    def _env(self) -> dict[str, str]:
        if not Path(".env").exists():
            return {}
        return dict(re.findall(r"^([A-Z_]+)=(.*)$", Path(".env").read_text(), re.MULTILINE))

    def _interpolated(self, text: str) -> str:
        return REFERENCE.sub(lambda found: self._variables.get(found[1]) or found[2] or "", text)

    def _merge(self, document: dict[str, Any]) -> None:
        for name, service in document["services"].items():
            merged = self.services.setdefault(name, {})
            for key, value in service.items():
                if isinstance(value, dict) and key in merged:
                    merged[key] = {**merged[key], **value}
                elif key in ("ports", "volumes", "secrets"):
                    merged[key] = [*merged.get(key, []), *value]
                else:
                    merged[key] = value
        self.secrets |= document.get("secrets", {})
        self.volumes |= set(document.get("volumes", {}))

    def named(self, names: list[str], *, with_dependencies: bool = True) -> list[str]:
        """Return the services with these names, all without a profile if there are none, and what they depend on."""
        if unknown := set(names) - set(self.services):
            sys.exit(f"no such service: {', '.join(sorted(unknown))}")
        found = names or [name for name, service in self.services.items() if "profiles" not in service]
        if with_dependencies:
            for name in found:
                needed = self.services[name].get("depends_on", {})
                found += [one for one, how in needed.items() if how.get("required", True) and one not in found]
        return found

    def create(self, name: str) -> None:
        """Reject what a container cannot be made of."""
        service = self.services[name]
        for secret in service.get("secrets", []):
            file = self.secrets[secret if isinstance(secret, str) else secret["source"]]["file"]
            if not Path(file).is_file():
                sys.exit(f"invalid mount config for type bind: bind source path does not exist: {file}")
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith((".", "/")):
                if not Path(source).exists():
                    sys.exit(f"bind source path does not exist: {source}")
            elif source not in self.volumes:
                sys.exit(f"service {name} refers to undefined volume {source}")

    def note(self, kind: str, names: list[str]) -> None:
        """Note what exists or runs; `docker exec` needs it."""
        for name in names:
            (self._state / f"{kind}-{name}").touch()

    def has(self, kind: str, name: str) -> bool:
        return (self._state / f"{kind}-{name}").exists()

    def execute(self, name: str, command: list[str]) -> int:
        """Run a command of a container here, and return its exit code."""
        container = self._options["containers"][name]
        for before, after in container.get("replace", {}).items():
            command = [part.replace(before, after) for part in command]
        done = subprocess.run(
            command, env={**os.environ, **container.get("env", {})}, cwd=container.get("cwd"), check=False
        )
        return done.returncode


def write_lines(lines: Iterable[str]) -> None:
    """Print what the real one does."""
    sys.stdout.writelines(f"{line}\n" for line in lines)


def compose_parser() -> argparse.ArgumentParser:
    """Return what knows the commands and options of Compose that the documentation uses."""
    parser = argparse.ArgumentParser(prog="docker compose", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, *flags: str | tuple[str, ...], services: str = "*") -> argparse.ArgumentParser:
        made = commands.add_parser(name, allow_abbrev=False)
        for flag in flags:
            made.add_argument(*((flag,) if isinstance(flag, str) else flag), action="store_true")
        if services:
            made.add_argument("services", nargs=services)
        return made

    command("up", DETACHED, "--wait", "--no-deps", "--no-build", "--force-recreate")
    command("create")
    command("build", "--pull")
    command("pull")
    command("stop")
    command("kill").add_argument("--signal", "-s")
    command("ps", ("--all", "-a"), ("--quiet", "-q"))
    command("logs")
    command("config", "--images", "--quiet")
    executed = command("exec", "-T", services="")
    executed.add_argument("service")
    executed.add_argument("inner", nargs=argparse.REMAINDER)
    return parser


def compose(stack: Stack, arguments: list[str]) -> int:
    """Carry out `docker compose …`, and return its exit code."""
    given = compose_parser().parse_args(arguments)
    if given.command == "exec":
        [name] = stack.named([given.service], with_dependencies=False)
        if not stack.has("running", name):
            sys.exit(f'service "{name}" is not running')
        return stack.execute(name, given.inner)
    together = given.command in ("up", "create") and not getattr(given, "no_deps", False)
    names = stack.named(given.services, with_dependencies=together)
    if given.command in ("up", "create"):
        for name in names:
            stack.create(name)
        stack.note("created", names)
        if given.command == "up":
            stack.note("running", names)
    elif given.command == "ps":
        write_lines(f"container-of-{name}" for name in names if stack.has("created", name))
    elif given.command == "config":
        if given.images:
            write_lines(stack.services[name]["image"] for name in stack.named([]))
    elif given.command == "pull" and any("build" in stack.services[name] for name in given.services):
        sys.exit("this image is built here")
    return 0


def main() -> int:
    """Carry out `docker …`, and return its exit code."""
    options = json.loads(Path(os.environ["DOCKER_STAND_IN"]).read_text())
    stack = Stack(options)
    command, *arguments = sys.argv[1:]
    known = {service["image"] for service in stack.services.values()}
    match command, arguments:
        case "compose", _:
            return compose(stack, arguments)
        case "inspect", ["--format", template, container]:
            name = container.removeprefix("container-of-")
            [folder] = re.findall(r'eq \.Destination "([^"]+)"', template)
            assert any(volume.split(":")[1] == folder for volume in stack.services[name]["volumes"])
            write_lines([options["storage"]])
        case "tag", [image, tagged]:
            assert image in known
            assert tagged == image.partition("@")[0]
            stack.note("tagged", [tagged.replace("/", "%")])
        case "save", [*images]:
            # those with a digest would have no name after `docker load`
            assert all("@" not in image and stack.has("tagged", image.replace("/", "%")) for image in images)
            write_lines(images)
        case "load", []:
            loaded = sys.stdin.read().split()
            assert loaded
            stack.note("loaded", [image.replace("/", "%") for image in loaded])
        case _:
            sys.exit(f"unknown command: docker {command} {' '.join(arguments)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
