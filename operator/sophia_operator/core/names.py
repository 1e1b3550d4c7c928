"""Names and labels of everything that belongs to a service."""

from __future__ import annotations

import hashlib
from typing import Final

from sophia_operator.api.common import GROUP
from sophia_operator.api.release import Color

MANAGER: Final = "sophia-operator"

LABEL_SERVICE: Final = f"{GROUP}/service"
LABEL_RELEASE: Final = f"{GROUP}/release"
LABEL_COLOR: Final = f"{GROUP}/color"
ANNOTATION_APPLIED: Final = f"{GROUP}/applied-hash"
#: On pods of a release: hash of the chains that the kubelet was last made to bring to it at once.
ANNOTATION_CHAINS: Final = f"{GROUP}/chains-hash"

#: Marks the operator's own requests through the Gateway; such requests go by the check Services and so
#: never count in the metrics of the colour Services.
PROBE_HEADER: Final = "x-sophia-probe"
PROBE_WEIGHTED: Final = "weighted"
PROBE_CANDIDATE: Final = "candidate"
#: Response header, set by the route on marked requests only, that says which colour answered.
COLOR_HEADER: Final = "x-sophia-color"


def release_name(service: str, revision: int) -> str:
    """Name of the Release and of its Deployment: `<service>-<revision>`."""
    return f"{service}-{revision}"


def color_service(service: str, color: Color) -> str:
    """Name of the Service that is one of the two backends of the route."""
    return f"{service}-{color.value}"


def check_service(service: str, color: Color) -> str:
    """Name of the Service for the operator's own requests through the Gateway to that colour."""
    return f"{service}-{color.value}-check"


def config_copy_name(service: str, source: str, content_hash: str) -> str:
    """Name of the immutable copy of a ConfigMap or Secret: at most 253 characters, the same for the same content."""
    digest = content_hash.split(":", 1)[-1][:10]
    name = f"{service}-{source}"
    if len(name) > 253 - 11:
        name = f"{name[:230]}-{hashlib.sha256(name.encode()).hexdigest()[:10]}"
    return f"{name}-{digest}"


def live_chain(release: str, tier: str) -> str:
    """Name of the ConfigMap with the chain that begins at that CacheTier, as the release's pods read it."""
    return f"{release}-{tier}"


def model_choice(release: str, route: str) -> str:
    """Name of the ConfigMap that says which model the release's pods ask a ModelRoute for."""
    return f"{release}-{route}"


def common_labels(service: str, component: str) -> dict[str, str]:
    """Labels of every child."""
    return {
        "app.kubernetes.io/name": service,
        "app.kubernetes.io/instance": service,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": service,
        "app.kubernetes.io/managed-by": MANAGER,
        LABEL_SERVICE: service,
    }


def pod_selector(service: str, release: str) -> dict[str, str]:
    """Labels that tell the pods of one release."""
    return {LABEL_SERVICE: service, LABEL_RELEASE: release}
