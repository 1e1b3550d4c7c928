"""Gateways for models that somebody else runs: LiteLLM proxies and Portkey gateways, two of each."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from hack.cluster import versions
from hack.rig import restricted
from hack.rig.api import Api, ApiError, Json
from hack.rig.database_objects import secret

LITELLM_PORT: Final = 4000
PORTKEY_PORT: Final = 8787
#: The Secret with the key that the proxies ask for, and that key.
MASTER_SECRET: Final = "litellm-master"
MASTER_KEY: Final = "sk-of-the-proxies"
_LITELLM: Final = "litellm"
_PORTKEY: Final = "portkey"
#: They import for many seconds of a processor, and other tests run beside.
_START_SECONDS: Final = 240.0


@dataclass(frozen=True)
class Life:
    """What of a pod says that nothing of it was started anew."""

    uid: str
    restarts: int
    started_at: str


class GatewayPods:
    """Two pods of a gateway."""

    def __init__(self, api: Api, namespace: str, app: str) -> None:
        self.api = api
        self.namespace = namespace
        self.app = app

    @property
    def selector(self) -> dict[str, str]:
        """Their labels."""
        return {"app": self.app}

    def names(self) -> list[str]:
        """Their names."""
        return [pod["metadata"]["name"] for pod in restricted.pods(self.api, self.namespace, self.app)]

    def wait_ready(self, *, seconds: float = _START_SECONDS) -> None:
        """Wait until both are. Raises TimeoutError, which ends with what one of them wrote."""
        try:
            restricted.wait_pods(self.api, self.namespace, self.app, 2, seconds=seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; one of them wrote:\n{self._log()}") from None

    def _log(self) -> str:
        for name in self.names():
            with suppress(ApiError):
                return self.api.logs(self.namespace, name)[-2000:]
        return "nothing"

    def lives(self) -> dict[str, Life]:
        """Which pods those are, and since when they run, by name."""
        return {pod["metadata"]["name"]: _life(pod) for pod in restricted.pods(self.api, self.namespace, self.app)}


def _life(pod: Mapping[str, Any]) -> Life:
    (container,) = pod["status"]["containerStatuses"]
    return Life(pod["metadata"]["uid"], container["restartCount"], container["state"]["running"]["startedAt"])


def master_secret(namespace: str) -> Json:
    """The Secret that a route and its proxies share."""
    return secret(MASTER_SECRET, namespace, {"api-key": MASTER_KEY})


def litellm(api: Api, namespace: str, route: str, keys: Mapping[str, str]) -> GatewayPods:
    """Start proxies that read what the operator writes for that route: its ConfigMap must be there, and the Secret that
    they share. `keys` are variables with the keys of models, as the route's documentation names them."""
    api.apply(secret("litellm-keys", namespace, keys))
    master = {"name": "LITELLM_MASTER_KEY", "valueFrom": {"secretKeyRef": {"name": MASTER_SECRET, "key": "api-key"}}}
    container = {
        "image": f"localhost/litellm:{versions.of('litellm')}",
        "args": ["--config", "/etc/litellm/config.yaml", "--host", "0.0.0.0", "--port", str(LITELLM_PORT)],
        "env": [master],
        "envFrom": [{"secretRef": {"name": "litellm-keys"}}],
        "ports": [{"containerPort": LITELLM_PORT}],
        "readinessProbe": _ready("/health/readiness", LITELLM_PORT),
        "volumeMounts": [{"name": "config", "mountPath": "/etc/litellm", "readOnly": True}],
    }
    volumes = [{"name": "config", "configMap": {"name": f"{route}-litellm"}}]
    memory = ("256Mi", "768Mi")
    api.apply(restricted.deployment(_LITELLM, namespace, container, replicas=2, volumes=volumes, memory=memory))
    return GatewayPods(api, namespace, _LITELLM)


def portkey(api: Api, namespace: str) -> GatewayPods:
    """Start gateways."""
    container = {
        "image": f"localhost/portkey:{versions.of('portkey')}",
        "ports": [{"containerPort": PORTKEY_PORT}],
        "readinessProbe": _ready("/", PORTKEY_PORT),
    }
    api.apply(restricted.deployment(_PORTKEY, namespace, container, replicas=2, memory=("64Mi", "256Mi")))
    return GatewayPods(api, namespace, _PORTKEY)


def _ready(path: str, port: int) -> Json:
    return {"httpGet": {"path": path, "port": port}, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 10}
