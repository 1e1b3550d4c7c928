"""What a test PostgreSQL on the cluster is made of: pods that keep to restricted Pod Security, Services, Secrets."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hack.cluster import pki, versions
from hack.rig.api import Json

IMAGE: Final = f"localhost/postgres:{versions.of('postgres')}"
PORT: Final = 5432
_USER: Final = 65_532


def secret(name: str, namespace: str, keys: Mapping[str, str]) -> Json:
    """A Secret with these keys."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in keys.items()},
    }


def certificate(name: str, hosts: Sequence[str]) -> dict[str, str]:
    """A certificate for these host names, by an authority that is made for it: `tls.crt`, `tls.key`, `ca.crt`."""
    alternatives = tuple(f"DNS:{host}" for host in hosts)
    with tempfile.TemporaryDirectory() as folder:
        made = pki.create(Path(folder) / "pki", [pki.Identity("server", name, alternative_names=alternatives)])
        files = {"tls.crt": made.certificate("server"), "tls.key": made.key("server"), "ca.crt": made.ca}
        return {key: file.read_text() for key, file in files.items()}


def service(name: str, namespace: str, selector: Mapping[str, str]) -> Json:
    """A Service that leads to the servers with these labels."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": dict(selector),
            "ports": [{"name": "postgresql", "port": PORT, "targetPort": PORT}],
        },
    }


def pod(
    name: str, namespace: str, labels: Mapping[str, str], *, env: Mapping[str, str], passwords: str, tls: str | None
) -> Json:
    """A server. `passwords` names the Secret with more variables, `tls` that with a certificate."""
    mounts: list[dict[str, Any]] = [{"name": "data", "mountPath": "/data"}]
    volumes: list[dict[str, Any]] = [{"name": "data", "emptyDir": {}}]
    if tls is not None:
        mounts.append({"name": "tls", "mountPath": "/tls", "readOnly": True})
        volumes.append({"name": "tls", "secret": {"secretName": tls}})
    ordinary = {"runAsNonRoot": True, "runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER}
    container = {
        "name": "postgres",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": "postgresql", "containerPort": PORT}],
        "env": [{"name": key, "value": value} for key, value in sorted(env.items())],
        "envFrom": [{"secretRef": {"name": passwords}}],
        "volumeMounts": mounts,
        "readinessProbe": {"tcpSocket": {"port": "postgresql"}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "securityContext": {**ordinary, "seccompProfile": {"type": "RuntimeDefault"}},
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 5,
            "volumes": volumes,
            "containers": [container],
        },
    }
