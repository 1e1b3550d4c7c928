"""The provider ``kind``: Kubernetes in a container, where a Docker daemon works."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from hack.cluster import binaries, console, kubeconfig, paths, platform, shell, versions
from hack.cluster.node import imagestore, network
from hack.cluster.providers import routes
from hack.cluster.providers.base import ProviderError

CLUSTER = "sophia"
CONTEXT = f"kind-{CLUSTER}"
CONTAINER = f"{CLUSTER}-control-plane"
_CREATE_TIMEOUT_SECONDS = 900.0
_LOAD_TIMEOUT_SECONDS = 600.0
_SHORT_TIMEOUT_SECONDS = 60.0
_ANSWER_SECONDS = 90.0
"""How long a cluster that was whole may be silent (a restarted Docker, a busy machine) before it is made anew."""
_POLL_SECONDS = 2.0
_GATEWAY_PORT = 30080
"""The node's port of Envoy's Service. Docker leads a free port of 127.0.0.1 to it."""
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
    """Return kind's configuration (YAML): the addresses that the node without Docker has, and a way to the gateway."""
    # Without a hostPort kind takes a free one, so nothing that listens here is in the way. Nobody else gets in.
    way_in = {"containerPort": _GATEWAY_PORT, "listenAddress": "127.0.0.1", "protocol": "TCP"}
    node = {"role": "control-plane", "image": versions.image("kind-node"), "extraPortMappings": [way_in]}
    settings: dict[str, Any] = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": {"podSubnet": network.POD_CIDR, "serviceSubnet": network.SERVICE_CIDR},
        "nodes": [node],
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
        """Create the cluster, or keep it; one of ours that is not whole is made anew.

        Raises ProviderError when there is a cluster of that name that this state folder did not make.
        """
        kind, target = binaries.view() / "kind", paths.kubeconfig()
        there = self._exists(kind)
        if there and not self._ours():
            raise ProviderError(self._not_ours(kind))
        if there and not self._answers():
            with console.step("Delete a kind cluster that is not whole"):
                shell.run(delete_command(kind, target), timeout=_SHORT_TIMEOUT_SECONDS * 5)
            there = False
        if not there:
            self._create(kind, target)
        self.load(archives)

    def _create(self, kind: Path, target: Path) -> None:
        self._forget()
        paths.state().mkdir(parents=True, exist_ok=True)
        file = paths.state() / "kind.yaml"
        file.write_text(config())
        # From here on a cluster of that name is ours, also when nobody is left to write down that it is ready.
        self._creating().touch()
        with console.step("Create a kind cluster", "1-5 min, most of it for the node image") as step:
            log = paths.cache() / "kind-create.log"
            step.follow(log)
            try:
                shell.run(create_command(kind, file, target), timeout=_CREATE_TIMEOUT_SECONDS, log=log)
            except shell.CommandError:
                if not self._exists(kind):  # then a later cluster of that name is somebody else's
                    self._creating().unlink()
                raise
        # The container's id, so that nobody else's cluster of that name is ever taken for ours.
        self._creating().write_text(self._inspect("{{.Id}}", check=True))
        self._creating().rename(self._ready())

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
        """Delete the cluster, if this state folder made it; the routes to it go too, where we may remove them."""
        kind = binaries.ensure(("kind",)) / "kind"
        ours = False
        if self._exists(kind):
            if ours := self._ours():
                address = self._address()
                shell.run(delete_command(kind, paths.kubeconfig()), timeout=_SHORT_TIMEOUT_SECONDS * 5)
                if address:
                    routes.remove(address)
            else:
                console.say(self._not_ours(kind))
        self._forget()
        return ours

    def problems(self) -> list[str] | None:
        """Ask the API server whether it is ready."""
        if not self._ready().exists():
            return None
        return [] if self._complete() else ["its API server does not answer"]

    def platform(self) -> platform.Settings:
        """Lead the host to pods and Services where it can be done, and say how it is."""
        address = self._address()
        reaches = address is not None and routes.add(address)
        return platform.Settings(dns_ip=None, host_reaches_services=reaches, gateway_node_port=_GATEWAY_PORT)

    def gateway_url(self) -> str:
        """Return the port of 127.0.0.1 that Docker leads to Envoy: it needs neither routes nor root."""
        command = ["docker", "port", CONTAINER, f"{_GATEWAY_PORT}/tcp"]
        listening = shell.run(command, timeout=_SHORT_TIMEOUT_SECONDS, check=False).stdout.split()
        if not listening:
            raise ProviderError(
                f"No port of this machine leads to the kind cluster's gateway (`{' '.join(command)}` names none). "
                "Make the cluster anew: run `python -m hack.cluster down`, then `up`."
            )
        return f"http://{listening[0]}"

    def _address(self) -> str | None:
        answer = self._inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}").split()
        return answer[0] if answer else None

    def _inspect(self, template: str, *, check: bool = False) -> str:
        command = ["docker", "inspect", "--format", template, CONTAINER]
        return shell.run(command, timeout=_SHORT_TIMEOUT_SECONDS, check=check).stdout.strip()

    def _exists(self, kind: Path) -> bool:
        answer = shell.run([kind, "get", "clusters"], timeout=_SHORT_TIMEOUT_SECONDS)
        return CLUSTER in answer.stdout.split()

    def _ours(self) -> bool:
        """Tell whether this state folder made the container that is there, or was about to."""
        if self._creating().exists():
            return True
        # Ours may have been deleted, and somebody else's made under its name: the id tells.
        return self._ready().exists() and self._ready().read_text() == self._inspect("{{.Id}}")

    def _not_ours(self, kind: Path) -> str:
        return (
            f"There is a kind cluster named {CLUSTER!r} that was not made from {paths.state()}; it was left alone. "
            f"If nobody needs it, delete it: `{kind} delete cluster --name={CLUSTER}`. If somebody does, make it anew "
            f"under another name, or use it: CLUSTER=existing CLUSTER_ALLOW={CONTEXT}."
        )

    def _answers(self) -> bool:
        """Tell whether the cluster is whole, and wait a while for one that was: deleting it is no cure for a pause."""
        if self._creating().exists():
            return False
        if self._complete():
            return True
        deadline = time.monotonic() + _ANSWER_SECONDS
        with console.step("Wait for the kind cluster's API server, which does not answer"):
            while time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                if self._complete():
                    return True
        return False

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
    def _creating() -> Path:
        return paths.state() / "creating"

    @staticmethod
    def _ready() -> Path:
        return paths.state() / "ready"

    @staticmethod
    def _forget() -> None:
        shutil.rmtree(paths.state(), ignore_errors=True)
