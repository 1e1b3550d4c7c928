"""The Deployment of the PgBouncers."""

from __future__ import annotations

import copy
from typing import Any, Final

from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.core.pool import names
from sophia_operator.core.pool.render import metadata
from sophia_operator.core.pool.render.service import PORT_NAME
from sophia_operator.core.pool.scripts import DRAIN, GRACE_SECONDS, SETTLE_SECONDS, START
from sophia_operator.core.pool.settings import FOLDER, restart_hash
from sophia_operator.core.pool.views import Access, PoolView

CONTAINER: Final = "pgbouncer"

_USER: Final = 65_532
_CONFIG: Final = "config"
_SCRATCH: Final = "tmp"
#: So that an instance is not the first to be evicted; users may ask for more.
_RESOURCES: Final = {"requests": {"cpu": "50m", "memory": "64Mi"}}


def deployment(pool: PoolView, access: Access, default_image: str) -> dict[str, Any]:
    """So many instances as the pool wants; pods are replaced one at a time, each after its successor is ready."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata.child(pool, names.workload(pool.name)),
        "spec": {
            "replicas": pool.spec.instances,
            "revisionHistoryLimit": 1,
            # A pod that is drained holds server connections still, and a Deployment does not wait for it. So the next
            # one goes only when the one before has given back what no transaction holds: one drains at a time, while
            # one starts, and that is what the budget counts.
            "minReadySeconds": SETTLE_SECONDS,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": names.selector(pool.name)},
            "template": pod_template(pool, access, default_image),
        },
    }


def pod_template(pool: PoolView, access: Access, default_image: str) -> dict[str, Any]:
    """A pod. Nothing that PgBouncer takes while it runs is in it, nor the number of instances: else it would roll."""
    theirs = copy.deepcopy(pool.spec.template)
    restart = restart_hash(pool.spec, access.admin_password)
    pod_spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(pool.spec, default_image)],
        "volumes": _volumes(pool),
        "topologySpreadConstraints": theirs.topology_spread_constraints or [_spread(pool)],
    }
    optional = {
        "nodeSelector": theirs.node_selector,
        "affinity": theirs.affinity,
        "tolerations": theirs.tolerations,
        "priorityClassName": theirs.priority_class_name,
    }
    return {
        "metadata": {
            "labels": theirs.labels | names.labels(pool.name),
            "annotations": theirs.annotations | {names.ANNOTATION_RESTART: restart},
        },
        "spec": pod_spec | {name: value for name, value in optional.items() if value},
    }


def _container(spec: ConnectionPoolSpec, default_image: str) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": spec.image or default_image,
        "command": ["sh", f"{FOLDER}/{START}"],
        "ports": [{"name": PORT_NAME, "containerPort": names.PORT, "protocol": "TCP"}],
        "readinessProbe": _probe(every=5, failures=3),
        # A PgBouncer that is busy is left alone: the kernel accepts connections for it.
        "livenessProbe": _probe(every=20, failures=6),
        "lifecycle": {"preStop": {"exec": {"command": ["sh", f"{FOLDER}/{DRAIN}"]}}},
        "resources": copy.deepcopy(spec.template.resources or _RESOURCES),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": _CONFIG, "mountPath": FOLDER, "readOnly": True},
            {"name": _SCRATCH, "mountPath": "/tmp"},  # noqa: S108 - the pod's own
        ],
    }
    if spec.image_pull_policy is not None:
        container["imagePullPolicy"] = spec.image_pull_policy
    return container


def _probe(*, every: int, failures: int) -> dict[str, Any]:
    return {
        "tcpSocket": {"port": PORT_NAME},
        "periodSeconds": every,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _volumes(pool: PoolView) -> list[dict[str, Any]]:
    # One Secret, so that the kubelet changes everything that an instance reads in one step.
    return [
        {"name": _CONFIG, "secret": {"secretName": names.config_secret(pool.name), "defaultMode": 0o440}},
        {"name": _SCRATCH, "emptyDir": {"sizeLimit": "16Mi"}},
    ]


def _spread(pool: PoolView) -> dict[str, Any]:
    """Over nodes, where possible. Pods of an older template do not count: they go."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": names.selector(pool.name)},
        "matchLabelKeys": ["pod-template-hash"],
    }
