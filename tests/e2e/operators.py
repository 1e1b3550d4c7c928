"""The operator's own process: killed as the kernel kills what takes too much memory, or replaced as an upgrade does."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hack.rig.api import Api, is_ready
from hack.rig.processes import first_process

_NAMESPACE = "sophia-system"
_NAME = "sophia-operator"
_SELECTOR = f"app.kubernetes.io/name={_NAME}"
_KILLED = 128 + signal.SIGKILL


def leader(api: Api) -> dict[str, Any]:
    """The pod that holds the Lease, once it is ready."""

    def look() -> dict[str, Any] | None:
        holder = _lease(api)["holderIdentity"]
        pod = api.get("Pod", _NAMESPACE, holder) if holder else None
        return pod if pod is not None and is_ready(pod) and not pod["metadata"].get("deletionTimestamp") else None

    return api.until("an operator that is ready and holds the lease", look, seconds=90)


def fresh(api: Api) -> None:
    """Replace an operator whose container has ended before: the kubelet would make it wait after the next end.

    For 10 s after the second one, 20 s after the third, and so on; a new pod begins anew.
    """
    if _container(leader(api))["restartCount"] > 0:
        replace(api)


def replace(api: Api) -> None:
    """Replace the operator's pod, as an upgrade does: it is asked to end, and gives its Lease back before it does."""
    old, before = leader(api)["metadata"]["name"], _lease(api)
    api.delete("Pod", _NAMESPACE, old)
    api.until("another operator to lead", lambda: leader(api)["metadata"]["name"] != old, seconds=90)
    # Once to nobody and once to the new one; if it had had to expire, it would have changed hands but once.
    assert _lease(api)["leaseTransitions"] == before["leaseTransitions"] + 2


@dataclass(frozen=True)
class Killed:
    """An operator that was killed, as it was before."""

    pod: dict[str, Any]
    transitions: int
    #: False where its process cannot be reached from this machine.
    at_once: bool

    def wait_back(self, api: Api) -> None:
        """Wait until an operator works again, and make sure that the one that was killed had no time to tidy up."""
        name, before = self.pod["metadata"]["name"], _container(self.pod)["restartCount"]
        if not self.at_once:
            api.until("a new operator", lambda: leader(api)["metadata"]["name"] != name, seconds=90)
            return

        def back() -> dict[str, Any] | None:
            pod = api.get("Pod", _NAMESPACE, name)
            return pod if pod is not None and is_ready(pod) and _container(pod)["restartCount"] > before else None

        found = _container(api.until("the operator to come back", back, seconds=90))
        assert found["restartCount"] == before + 1
        assert found["lastState"]["terminated"]["exitCode"] == _KILLED
        # It came back as the same holder: the Lease was never given back, as it is by one that is asked to end.
        assert _lease(api)["leaseTransitions"] == self.transitions


def kill(api: Api) -> Killed:
    """Kill the operator that leads with SIGKILL, and return at once: it is dead for a second or two, so look around.

    Nothing can be sent to a process of a node on another machine, nor does a container's first process take SIGKILL
    from within it. There, the pod is deleted without grace, which is milder: the kubelet sends SIGTERM first.
    """
    pod, transitions = leader(api), _lease(api)["leaseTransitions"]
    pid = first_process(_container(pod)["containerID"].rpartition("/")[2])
    if pid is not None:
        with suppress(PermissionError):
            os.kill(pid, signal.SIGKILL)
            return Killed(pod, transitions, at_once=True)
    api.delete("Pod", _NAMESPACE, pod["metadata"]["name"], grace_seconds=0)
    return Killed(pod, transitions, at_once=False)


def _lease(api: Api) -> dict[str, Any]:
    found = api.get("Lease", _NAMESPACE, _NAME)
    assert found is not None
    spec: dict[str, Any] = found["spec"]
    return spec


def _container(pod: dict[str, Any]) -> dict[str, Any]:
    (status,) = pod["status"]["containerStatuses"]
    found: dict[str, Any] = status
    return found
