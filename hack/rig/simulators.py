"""Models that are none, on the cluster: servers that speak the OpenAI API, and fail as they are told."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress
from typing import Any, Final

import httpx

from hack.cluster import paths
from hack.rig import restricted
from hack.rig.api import Api, Json
from hack.rig.processes import first_process
from hack.rig.waiting import until

PORT: Final = 8000
#: One file, and nothing but the standard library: any image with a Python runs it.
PROGRAM: Final = paths.REPOSITORY / "tests" / "support" / "openai_server.py"
_IMAGE: Final = "localhost/sophia-operator:dev"
_MOUNT: Final = "/simulator"
_CONFIG_MAP: Final = "simulator"
_TIMEOUT_SECONDS: Final = 10.0


class Simulator:
    """One model, behind the Service of its name, at PORT."""

    def __init__(self, api: Api, namespace: str, name: str) -> None:
        self.api = api
        self.namespace = namespace
        self.name = name

    def up(self, **settings: Any) -> None:
        """Start it, with settings of the server; `wait_ready` waits until it answers."""
        self.api.apply(program(self.namespace))
        self.api.apply(restricted.service(self.name, self.namespace, PORT))
        self.api.apply(_deployment(self.name, self.namespace, settings))

    def wait_ready(self, *, seconds: float = 90) -> None:
        """Wait until it answers. Raises TimeoutError."""
        restricted.wait_pods(self.api, self.namespace, self.name, 1, seconds=seconds)
        until(f"{self.name} to answer", self._answers, seconds=45, every=0.1)

    def control(self, **changes: Any) -> Json:
        """Change its settings at once; what it tells of itself then."""
        return self._told(httpx.post(self._url, json=changes, timeout=_TIMEOUT_SECONDS, trust_env=False))

    def told(self) -> Json:
        """Its settings, and counters of what it was asked."""
        return self._told(httpx.get(self._url, timeout=_TIMEOUT_SECONDS, trust_env=False))

    def requests(self) -> int:
        """How many completions it was asked for since it started."""
        return int(self.told()["requests"])

    def kill(self) -> float:
        """End it as the kernel does what takes too much memory, and let nothing take its place; when that was, in
        seconds since the epoch.

        Where its process cannot be reached from this machine, its pod is deleted without grace, which is milder.
        """
        (pod,) = restricted.pods(self.api, self.namespace, self.name)
        pid = first_process(pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2])
        # First of all, or its container would be started anew.
        self._scale(0)
        if pid is not None:
            with suppress(PermissionError, ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return time.time()
        self.api.delete("Pod", self.namespace, pod["metadata"]["name"], grace_seconds=0)
        return time.time()

    def revive(self) -> None:
        """Start one in its place, with the settings of its beginning, and wait until that answers."""
        self.start_again()
        self.wait_ready()

    def start_again(self) -> None:
        """The same, without waiting."""
        self._scale(1)

    def service_address(self) -> str:
        """Address of its Service."""
        service = self.api.get("Service", self.namespace, self.name)
        assert service is not None, f"the Service of {self.name} is gone"
        return str(service["spec"]["clusterIP"])

    @property
    def address(self) -> str:
        """Address of its pod."""
        (pod,) = restricted.pods(self.api, self.namespace, self.name)
        return str(pod["status"]["podIP"])

    @property
    def _url(self) -> str:
        return f"http://{self.address}:{PORT}/control"

    def _told(self, answer: httpx.Response) -> Json:
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    def _answers(self) -> bool:
        """Whether it answers by its Service too: proxies learn of a pod a moment after it is ready."""
        url = f"http://{self.service_address()}:{PORT}/control"
        try:
            return bool(self.told()) and httpx.get(url, timeout=_TIMEOUT_SECONDS, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def _scale(self, replicas: int) -> None:
        self.api.merge("Deployment", self.namespace, self.name, {"spec": {"replicas": replicas}}, sub="scale")


def program(namespace: str) -> Json:
    """The ConfigMap that all simulators of a namespace run from."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _CONFIG_MAP, "namespace": namespace},
        "data": {PROGRAM.name: PROGRAM.read_text()},
    }


def _deployment(name: str, namespace: str, settings: dict[str, Any]) -> Json:
    told = [f"--set={key}={json.dumps(value)}" for key, value in sorted(settings.items())]
    container = {
        "image": _IMAGE,
        "command": ["python3", f"{_MOUNT}/{PROGRAM.name}"],
        "args": [f"--port={PORT}", f"--name={name}", *told],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/v1/models", "port": PORT}, "periodSeconds": 1, "timeoutSeconds": 5},
        "volumeMounts": [{"name": "program", "mountPath": _MOUNT, "readOnly": True}],
    }
    volumes = [{"name": "program", "configMap": {"name": _CONFIG_MAP}}]
    return restricted.deployment(name, namespace, container, volumes=volumes)
