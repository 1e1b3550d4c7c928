"""The provider ``kind``: Kubernetes in a container, where a Docker daemon works."""

from __future__ import annotations

import contextlib
import json
import os
import platform as machine
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from hack.cluster import binaries, console, kubeconfig, paths, platform, shell, versions
from hack.cluster.node import imagestore, network
from hack.cluster.providers.base import ProviderError

CLUSTER = "sophia"
CONTEXT = f"kind-{CLUSTER}"
CONTAINER = f"{CLUSTER}-control-plane"
_CREATE_TIMEOUT_SECONDS = 900.0
_LOAD_TIMEOUT_SECONDS = 600.0
_SHORT_TIMEOUT_SECONDS = 60.0
_WITHOUT = ("coredns", "pause")  # kind brings its own


def docker_works() -> bool:
    """Tell whether there is a docker command and a daemon that answers it."""
    if shutil.which("docker") is None:
        return False
    try:
        answer = shell.run(["docker", "info", "--format", "{{.ServerVersion}}"], timeout=10, check=False)
    except shell.CommandError:
        return False
    return answer.returncode == 0 and bool(answer.stdout.strip())


def config() -> str:
    """Return kind's configuration (YAML): the same addresses as the node without Docker has."""
    settings: dict[str, Any] = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": {"podSubnet": network.POD_CIDR, "serviceSubnet": network.SERVICE_CIDR},
        "nodes": [{"role": "control-plane", "image": versions.image("kind-node")}],
    }
    return yaml.safe_dump(settings, sort_keys=False)


def create_command(kind: Path, config_file: Path, target: Path) -> list[str]:
    """Return the command that creates the cluster and writes its kubeconfig to ``target``."""
    words = [str(kind), "create", "cluster", f"--name={CLUSTER}", f"--config={config_file}"]
    return [*words, f"--kubeconfig={target}", "--wait=180s"]


def load_command(kind: Path, archive: Path) -> list[str]:
    """Return the command that loads an archive into the cluster's node."""
    return [str(kind), "load", "image-archive", str(archive), f"--name={CLUSTER}"]


def delete_command(kind: Path, target: Path) -> list[str]:
    """Return the command that deletes the cluster and its entry in the kubeconfig ``target``."""
    return [str(kind), "delete", "cluster", f"--name={CLUSTER}", f"--kubeconfig={target}"]


def route_commands(address: str) -> list[list[str]]:
    """Return the commands that lead the host to pods and Services through the container's ``address``."""
    ranges = (network.POD_CIDR, network.SERVICE_CIDR)
    return [["ip", "route", "replace", each, "via", address] for each in ranges]


class Kind:
    """A cluster of one container, named ``sophia``."""

    name = "kind"
    programs: tuple[str, ...] = ("kind", "kubectl", "helm", "contour")

    def __init__(self) -> None:
        from hack.cluster import image_specs  # noqa: PLC0415 - the images read files of the whole repository

        self.images: tuple[str, ...] | None = tuple(
            spec.name for spec in image_specs.all_images() if spec.name not in _WITHOUT
        )

    def check(self) -> None:
        """Raise ProviderError unless a Docker daemon answers."""
        if not docker_works():
            raise ProviderError(
                "CLUSTER=kind needs a Docker daemon, and `docker info` does not reach one. Start Docker, or use "
                "CLUSTER=node (Linux, as root), or CLUSTER=existing."
            )

    def up(self, archives: Sequence[Path]) -> None:
        """Create the cluster, or keep it; one whose creation was interrupted is made anew."""
        kind, target = binaries.view() / "kind", paths.kubeconfig()
        if self._exists(kind) and not self._complete():
            with console.step("Delete a kind cluster that is not whole"):
                shell.run(delete_command(kind, target), timeout=_SHORT_TIMEOUT_SECONDS * 5)
            self._forget()
        if not self._exists(kind):
            self._forget()
            paths.state().mkdir(parents=True, exist_ok=True)
            file = paths.state() / "kind.yaml"
            file.write_text(config())
            with console.step("Create a kind cluster", "1-5 min, most of it for the node image") as step:
                log = paths.cache() / "kind-create.log"
                step.follow(log)
                shell.run(create_command(kind, file, target), timeout=_CREATE_TIMEOUT_SECONDS, log=log)
            self._ready().touch()
        self.load(archives)

    def load(self, archives: Sequence[Path]) -> None:
        """Load the archives that the cluster does not have."""
        if not self._ready().exists():
            raise ProviderError("The kind cluster is not up: run `python -m hack.cluster up` first.")
        record = paths.state() / "images.json"
        have: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError):
            have = json.loads(record.read_text())
        for archive in archives:
            identity = imagestore.identity(archive)
            if have.get(archive.name) != identity:
                with console.step(f"Load {archive.name}", "2-20 s"):
                    shell.run(load_command(binaries.view() / "kind", archive), timeout=_LOAD_TIMEOUT_SECONDS)
                have[archive.name] = identity
                record.write_text(json.dumps(have))

    def down(self) -> bool:
        """Delete the cluster; the routes to it go too."""
        programs = binaries.ensure(("kind",))
        there = self._exists(programs / "kind")
        if there:
            if address := self._address():
                for words in route_commands(address):
                    words[2] = "delete"
                    shell.run(words, timeout=_SHORT_TIMEOUT_SECONDS, check=False)
            command = delete_command(programs / "kind", paths.kubeconfig())
            shell.run(command, timeout=_SHORT_TIMEOUT_SECONDS * 5)
        self._forget()
        return there

    def problems(self) -> list[str] | None:
        """Ask the API server whether it is ready."""
        if not self._ready().exists():
            return None
        return [] if self._complete() else ["its API server does not answer"]

    def platform(self) -> platform.Settings:
        """Lead the host to pods and Services where it can be done, and say how it is."""
        return platform.Settings(dns_ip=None, host_reaches_services=self._route())

    def _route(self) -> bool:
        address = self._address()
        if machine.system() != "Linux" or address is None:
            console.say("This machine has no routes to pods and Services; use `kubectl port-forward`.")
            return False
        commands = route_commands(address)
        if os.geteuid() != 0:
            lines = "".join(f"\n  sudo {' '.join(words)}" for words in commands)
            console.say(f"To reach pods and Services from this machine, run:{lines}")
            return False
        for words in commands:
            shell.run(words, timeout=_SHORT_TIMEOUT_SECONDS)
        return True

    def _address(self) -> str | None:
        template = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        command = ["docker", "inspect", "--format", template, CONTAINER]
        answer = shell.run(command, timeout=_SHORT_TIMEOUT_SECONDS, check=False).stdout.split()
        return answer[0] if answer else None

    def _exists(self, kind: Path) -> bool:
        answer = shell.run([kind, "get", "clusters"], timeout=_SHORT_TIMEOUT_SECONDS)
        return CLUSTER in answer.stdout.split()

    def _complete(self) -> bool:
        """Tell whether the cluster came up whole, is ours, and answers."""
        target = paths.kubeconfig()
        if not self._ready().exists() or kubeconfig.current_context(target) != CONTEXT:
            return False
        command = [str(binaries.view() / "kubectl"), f"--kubeconfig={target}", "get", "--raw=/readyz"]
        try:
            return shell.run(command, timeout=_SHORT_TIMEOUT_SECONDS, check=False).stdout == "ok"
        except shell.CommandError:
            return False

    @staticmethod
    def _ready() -> Path:
        return paths.state() / "ready"

    @staticmethod
    def _forget() -> None:
        shutil.rmtree(paths.state(), ignore_errors=True)
