"""The Deployment of a release, and the template of its pods."""

from __future__ import annotations

import copy
from typing import Any

from sophia_operator.api.release import Color
from sophia_operator.core import names
from sophia_operator.core.render import metadata
from sophia_operator.core.render.bindings import add_bindings
from sophia_operator.core.render.config import copied, use_copies
from sophia_operator.core.render.drain import add_drain
from sophia_operator.core.views import ReleaseView, ServiceView


def deployment(service: ServiceView, release: ReleaseView, color: Color | None, replicas: int) -> dict[str, Any]:
    """The Deployment that runs one release at that size."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": release.name,
            "namespace": service.namespace,
            "labels": _labels(service.name, release.name, color),
            "ownerReferences": [metadata.release_owner(release), metadata.service_co_owner(service)],
        },
        "spec": {
            "replicas": replicas,
            # A release's template never changes, so there is no revision to go back to: going back is another release.
            "revisionHistoryLimit": 0,
            "progressDeadlineSeconds": release.spec.snapshot.plan.progress_deadline_seconds,
            # For what replaces pods of a release all the same (evictions do not count): never below full size.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
            "selector": {"matchLabels": names.pod_selector(service.name, release.name)},
            "template": pod_template(service.name, release, color),
        },
    }


def pod_template(service: str, release: ReleaseView, color: Color | None) -> dict[str, Any]:
    """The release's template with the operator's labels, copies of configuration and bindings, and draining.

    A function of the snapshot, the names and the colour alone: anything else would replace pods for nothing. Parts
    of the wrong shape are passed on as they are, for the API server to refuse in its own words.
    """
    template = copy.deepcopy(release.spec.snapshot.template)
    meta = template.get("metadata")
    if meta is None:
        meta = template["metadata"] = {}
    if isinstance(meta, dict):
        labels = meta.get("labels")
        if labels is None or isinstance(labels, dict):
            meta["labels"] = (labels or {}) | _labels(service, release.name, color)
    pod_spec = template.get("spec")
    if isinstance(pod_spec, dict):
        use_copies(pod_spec, copied(release.spec.snapshot))
        add_bindings(pod_spec, release.spec.snapshot.bindings, release.name)
        add_drain(pod_spec, release.spec.snapshot.plan.drain_seconds)
    return template


def _labels(service: str, release: str, color: Color | None) -> dict[str, str]:
    labels = names.common_labels(service, metadata.WORKLOAD) | names.pod_selector(service, release)
    if color is not None:
        labels[names.LABEL_COLOR] = color.value
    return labels
