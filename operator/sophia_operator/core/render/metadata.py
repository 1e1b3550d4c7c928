"""Names, labels and owners: the metadata of every child."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sophia_operator.api.common import API_VERSION
from sophia_operator.core import names
from sophia_operator.core.views import ReleaseView, ServiceView

#: Values of app.kubernetes.io/component.
WORKLOAD: Final = "workload"  # Deployments and pods
TRAFFIC: Final = "traffic"  # what users' requests go through
CHECK: Final = "check"  # what the operator's own requests go through
CONFIG: Final = "config"  # copies of ConfigMaps and Secrets


def service_owner(service: ServiceView) -> dict[str, Any]:
    """Owner reference to a ManagedService."""
    return _owner("ManagedService", service.name, service.uid, controller=True)


def service_co_owner(service: ServiceView) -> dict[str, Any]:
    """Second owner of what a Release controls: who deletes the Release by hand does not take its pods from users."""
    return _owner("ManagedService", service.name, service.uid, controller=False)


def release_owner(release: ReleaseView) -> dict[str, Any]:
    """Owner reference to a Release."""
    return _owner("Release", release.name, release.uid, controller=True)


def shared_release_owner(name: str, uid: str) -> dict[str, Any]:
    """Owner reference to one of many Releases: the object goes when the last of them goes."""
    return _owner("Release", name, uid, controller=False)


def _owner(kind: str, name: str, uid: str, *, controller: bool) -> dict[str, Any]:
    reference: dict[str, Any] = {"apiVersion": API_VERSION, "kind": kind, "name": name, "uid": uid}
    if controller:
        reference |= {"controller": True, "blockOwnerDeletion": True}
    return reference


def service_child(
    service: ServiceView, name: str, component: str, labels: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Metadata of an object that belongs to a ManagedService."""
    return {
        "name": name,
        "namespace": service.namespace,
        "labels": names.common_labels(service.name, component) | dict(labels or {}),
        "ownerReferences": [service_owner(service)],
    }


def release_config(service: ServiceView, release: ReleaseView, name: str) -> dict[str, Any]:
    """Metadata of a ConfigMap that is made for one Release."""
    return {
        "name": name,
        "namespace": service.namespace,
        "labels": names.common_labels(service.name, CONFIG) | {names.LABEL_RELEASE: release.name},
        "ownerReferences": [release_owner(release), service_co_owner(service)],
    }
