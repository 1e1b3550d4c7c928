"""Whether this machine has a way to the addresses of a cluster's pods and Services."""

from __future__ import annotations

import socket
import time
from typing import Final

from hack.rig.api import Api, is_ready

_CONNECT_SECONDS: Final = 2.0
_LEARN_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.25
#: The operator's pods are there before anything of the demo's is.
_KNOWN: Final = ("sophia-system", "app.kubernetes.io/name=sophia-operator")


def why_no_pods(api: Api) -> str | None:
    """Why pods cannot be reached at their own addresses, None when they can."""
    namespace, labels = _KNOWN
    reasons = []
    for pod in filter(is_ready, api.list("Pod", namespace, labels)):
        ports = (port["containerPort"] for each in pod["spec"]["containers"] for port in each.get("ports") or ())
        for port in ports:
            if (why := why_not(str(pod["status"]["podIP"]), int(port))) is None:
                return None
            reasons.append(why)
    return f"this machine has no way to pods ({reasons[0] if reasons else 'the operator has none that is ready'})"


def why_no_service(address: str, port: int, *, seconds: float = _LEARN_SECONDS) -> str | None:
    """Why a Service cannot be reached at its address, None when it can: tried for so long, since proxies learn a moment
    after a pod is ready that there is one, and on a busy machine later."""
    end = time.monotonic() + seconds
    while (why := why_not(address, port)) is not None:
        if time.monotonic() >= end:
            return f"this machine has no way to Services ({why})"
        time.sleep(_LOOK_SECONDS)
    return None


def why_not(address: str, port: int) -> str | None:
    """Why nothing answers there, None when something does."""
    try:
        with socket.create_connection((address, port), timeout=_CONNECT_SECONDS):
            return None
    except OSError as error:
        return f"{address}:{port}: {error.strerror or error}"
