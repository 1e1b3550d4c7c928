"""Names, labels and headers of everything that belongs to a model route."""

from __future__ import annotations

from typing import Final

from sophia_operator.api.common import GROUP
from sophia_operator.core import names

LABEL_ROUTE: Final = f"{GROUP}/model-route"
#: On pods of a gateway that reads a ConfigMap: hash of what the kubelet was last made to bring to them at once.
ANNOTATION_CONFIG: Final = f"{GROUP}/model-config-hash"
#: On a ModelRoute: why somebody set its pin, who, and when.
ANNOTATION_PIN_REASON: Final = f"{GROUP}/pin-reason"

#: On the operator's own requests through a gateway: who looks at its logs can tell them.
MARK_HEADER: Final = "x-sophia-mark"
#: On answers: by which revision of what the gateway is told they were given, and by which model of the route.
REVISION_HEADER: Final = "x-sophia-revision"
MODEL_HEADER: Final = "x-sophia-model"
#: On a client's request: the model of the route that it wants first (a release that is bound to one).
CHOICE_HEADER: Final = "x-sophia-choose"
#: A model of the route that a client wants first, in the body of a request to a LiteLLM proxy: `<route>/<model>`.
CHOICE_SEPARATOR: Final = "/"


#: Keys of the binding's Secret.
BINDING_KEYS: Final = ("host", "model", "port", "provider", "type", "uri")


def workload(route: str) -> str:
    """Name of the HTTPRoute, and of the Service that leads to the gateway's pods."""
    return f"{route}-models"


def litellm_config_map(route: str) -> str:
    """ConfigMap that LiteLLM proxies read."""
    return f"{route}-litellm"


def binding_secret(route: str) -> str:
    """Secret with what applications need to connect."""
    return f"{route}-model-binding"


def common_labels(route: str, component: str) -> dict[str, str]:
    """Labels of every child."""
    return {
        "app.kubernetes.io/name": route,
        "app.kubernetes.io/instance": route,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": route,
        "app.kubernetes.io/managed-by": names.MANAGER,
        LABEL_ROUTE: route,
    }
