"""The Services: one a colour for users' requests, one a colour for the operator's own, or a plain one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sophia_operator.api.release import Color
from sophia_operator.api.traffic import ServicePort
from sophia_operator.core import names
from sophia_operator.core.render import metadata
from sophia_operator.core.render.scene import Scene

#: No release has this name: release names end in a number.
_NO_RELEASE: Final = "none"


def color_service(scene: Scene, color: Color) -> dict[str, Any]:
    """The Service that is one of the two backends of the route."""
    name = names.color_service(scene.service.name, color)
    return _service(scene, color, name, metadata.TRAFFIC, {names.LABEL_COLOR: color.value})


def check_service(scene: Scene, color: Color) -> dict[str, Any]:
    """The Service behind the operator's marked requests to that colour.

    Gateways count requests by Service: through a Service of their own, marked requests are no evidence about users'.
    """
    name = names.check_service(scene.service.name, color)
    return _service(scene, color, name, metadata.CHECK, {names.LABEL_COLOR: color.value})


def plain_service(scene: Scene, color: Color) -> dict[str, Any]:
    """The Service that users reach when there is no Gateway; it selects what the colour that serves selects."""
    return _service(scene, color, scene.service.name, metadata.TRAFFIC, {})


def _service(scene: Scene, color: Color, name: str, component: str, labels: Mapping[str, str]) -> dict[str, Any]:
    release = scene.occupant(color) or _NO_RELEASE
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata.service_child(scene.service, name, component, labels),
        "spec": {
            "type": "ClusterIP",
            "selector": names.pod_selector(scene.service.name, release),
            "ports": [_port(p) for p in scene.ports(color)],
        },
    }


def _port(port: ServicePort) -> dict[str, Any]:
    out: dict[str, Any] = {
        "name": port.name,
        "protocol": "TCP",
        "port": port.port,
        "targetPort": port.port if port.target_port is None else port.target_port,
    }
    if port.app_protocol is not None:
        out["appProtocol"] = port.app_protocol
    return out
