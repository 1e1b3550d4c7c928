"""The pod of a node."""

from __future__ import annotations

import copy
from typing import Any, Final

from sophia_operator.api.redis_level import ManagedRedis
from sophia_operator.core.cache import names
from sophia_operator.core.cache.conf import (
    CA,
    DATA,
    FOLDER,
    PROBE,
    SHUTDOWN_SECONDS,
    START,
    TLS_FOLDER,
    files,
    static_settings,
)
from sophia_operator.core.cache.render.services import PORT_NAME
from sophia_operator.core.cache.views import TierAccess, TierObserved, TierView
from sophia_operator.core.hashing import versioned_hash

CONTAINER: Final = "redis"
#: Name of the volume with a node's data.
DATA_VOLUME: Final = "data"

#: Between the request that a pod is to go and the signal to its process: a primary hands over meanwhile.
HAND_OVER_SECONDS: Final = 10
#: To write a last snapshot.
_SAVE_SECONDS: Final = 100
#: All of these: then the kubelet kills what is left.
GRACE_SECONDS: Final = HAND_OVER_SECONDS + SHUTDOWN_SECONDS + _SAVE_SECONDS

_USER: Final = 65_532
_CONFIG: Final = "config"
_TLS: Final = "tls"
#: So that a node is not the first to be evicted; users ask for what their data needs.
_RESOURCES: Final = {"requests": {"cpu": "50m", "memory": "64Mi"}}


def restart_hash(tier: TierView, observed: TierObserved, default_image: str) -> str:
    """Changes with what only a new pod takes over, and with nothing else."""
    redis = tier.spec.redis.managed if tier.spec.redis is not None else None
    if redis is None:
        return versioned_hash(None)
    return node_hash(tier, redis, observed.access, default_image)


def node_hash(tier: TierView, redis: ManagedRedis, access: TierAccess | None, default_image: str) -> str:
    """The same of a tier that has nodes.

    Users are among it: the operator's own password is random and part of this, so nobody can guess the others and
    compare hashes.
    """
    template = _template(tier, redis, default_image)
    storage = redis.storage.model_dump(mode="json") if redis.storage is not None else None
    secret: Any = None
    if access is not None:
        configured = files(tier, access) or {}
        passwords = [access.client_password, access.admin_password, access.replicator_password, access.prober_password]
        users = {name: text for name, text in configured.items() if name.endswith(".acl")}
        secret = {"certificate": access.certificate_hash, "passwords": passwords, "users": users}
    return versioned_hash(
        {"template": template, "settings": static_settings(redis), "storage": storage, "secret": secret}
    )


def pod_template(tier: TierView, redis: ManagedRedis, access: TierAccess, default_image: str) -> dict[str, Any]:
    """A pod. Nothing that Redis takes while it runs is in it, nor the number of nodes: else nodes would be replaced."""
    template = _template(tier, redis, default_image)
    template["metadata"]["annotations"][names.ANNOTATION_RESTART] = node_hash(tier, redis, access, default_image)
    return template


def _template(tier: TierView, redis: ManagedRedis, default_image: str) -> dict[str, Any]:
    theirs = copy.deepcopy(redis.template)
    pod_spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            # Not each file of a large volume, at each start.
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(tier, redis, default_image)],
        "volumes": _volumes(tier, redis),
        "topologySpreadConstraints": theirs.topology_spread_constraints or [_spread(tier)],
    }
    optional = {
        "nodeSelector": theirs.node_selector,
        "affinity": theirs.affinity,
        "tolerations": theirs.tolerations,
        "priorityClassName": theirs.priority_class_name,
    }
    # A pod has a role when its node said so, never from the start.
    labels = {key: value for key, value in theirs.labels.items() if key != names.LABEL_ROLE}
    return {
        "metadata": {"labels": labels | names.labels(tier.name), "annotations": dict(theirs.annotations)},
        "spec": pod_spec | {name: value for name, value in optional.items() if value},
    }


def _container(tier: TierView, redis: ManagedRedis, default_image: str) -> dict[str, Any]:
    prober = {"name": names.access_secret(tier.name), "key": names.PROBER_KEY}
    mounts: list[dict[str, Any]] = [
        {"name": _CONFIG, "mountPath": FOLDER, "readOnly": True},
        {"name": DATA_VOLUME, "mountPath": DATA},
    ]
    if redis.tls is not None:
        mounts.append({"name": _TLS, "mountPath": TLS_FOLDER, "readOnly": True})
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": redis.image or default_image,
        "command": ["sh", f"{FOLDER}/{START}"],
        "workingDir": DATA,
        "env": [
            # Where the primary tells the operator to find this node.
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "REDISCLI_AUTH", "valueFrom": {"secretKeyRef": prober}},
        ],
        "ports": [{"name": PORT_NAME, "containerPort": names.PORT, "protocol": "TCP"}],
        "readinessProbe": _probe(redis, "ready", every=5, limit=3, failures=2),
        # A node that is busy is left alone, and so is one that reads its data: it answers, if only to say so.
        "livenessProbe": _probe(redis, "alive", every=20, limit=10, failures=6),
        "lifecycle": {"preStop": {"sleep": {"seconds": HAND_OVER_SECONDS}}},
        "resources": copy.deepcopy(redis.resources or _RESOURCES),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }
    if redis.image_pull_policy is not None:
        container["imagePullPolicy"] = redis.image_pull_policy
    return container


def _probe(redis: ManagedRedis, question: str, *, every: int, limit: int, failures: int) -> dict[str, Any]:
    # Not in the script, which changes below a node that runs: this one knows what its own node speaks.
    options = ["--tls", "--cacert", f"{TLS_FOLDER}/{CA}"] if redis.tls is not None else []
    return {
        "exec": {"command": ["sh", f"{FOLDER}/{PROBE}", question, *options]},
        "periodSeconds": every,
        "timeoutSeconds": limit,
        "failureThreshold": failures,
    }


def _volumes(tier: TierView, redis: ManagedRedis) -> list[dict[str, Any]]:
    config = {"secretName": names.config_secret(tier.name), "defaultMode": 0o440}
    volumes: list[dict[str, Any]] = [{"name": _CONFIG, "secret": config}]
    if redis.storage is None:
        volumes.append({"name": DATA_VOLUME, "emptyDir": {}})
    if redis.tls is not None:
        volumes.append({"name": _TLS, "secret": {"secretName": redis.tls.secret_name, "defaultMode": 0o440}})
    return volumes


def _spread(tier: TierView) -> dict[str, Any]:
    """Over machines, where possible: one that fails takes one node along."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": names.selector(tier.name)},
    }
