"""Run kubectl against one cluster."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.cluster.shell import CommandError, run

_CALL_SECONDS = 60.0
# Who owns the fields that we apply, for server-side apply.
FIELD_MANAGER = "sophia-local-cluster"


@dataclass(frozen=True)
class Kubectl:
    """kubectl from the folder ``binaries``, with one ``kubeconfig``. All calls raise CommandError."""

    binaries: Path
    kubeconfig: Path

    def call(self, *words: str, stdin: str | None = None, timeout: float = _CALL_SECONDS) -> str:
        """Run ``kubectl WORDS`` and return what it prints; ``timeout`` is in seconds."""
        command = [str(self.binaries / "kubectl"), f"--kubeconfig={self.kubeconfig}", *words]
        return run(command, timeout=timeout, stdin=stdin).stdout

    def apply(self, manifests: str) -> None:
        """Server-side apply a YAML stream, taking over fields that somebody changed by hand."""
        words = ("apply", "--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}", "--filename=-")
        self.call(*words, stdin=manifests, timeout=2 * _CALL_SECONDS)

    def wait(self, condition: str, *targets: str, timeout: float, namespace: str = "default") -> None:
        """Wait until all ``targets`` ("deployment/x") have the condition; ``timeout`` is in seconds."""
        words = ("wait", f"--for=condition={condition}", f"--timeout={timeout:g}s", f"--namespace={namespace}")
        self.call(*words, *targets, timeout=timeout + _CALL_SECONDS)

    def rollout(self, name: str, namespace: str, timeout: float) -> None:
        """Wait until the Deployment ``name`` runs what it says; in the error is what hinders its pods."""
        words = ("rollout", "status", f"deployment/{name}", f"--namespace={namespace}", f"--timeout={timeout:g}s")
        try:
            self.call(*words, timeout=timeout + _CALL_SECONDS)
        except CommandError as error:
            raise CommandError(error.argv, f"{name} is not ready", self._hindrance(name, namespace)) from error

    def _hindrance(self, name: str, namespace: str) -> str:
        """Return pods, events and last log lines, as far as they can be had."""
        looks = (
            ("get", "pods", "--output=wide"),
            ("get", "events", "--sort-by=.lastTimestamp", "--field-selector=type=Warning"),
            ("logs", f"deployment/{name}", "--all-containers", "--tail=5", "--prefix"),
        )
        found: list[str] = []
        for look in looks:
            try:
                found.append(self.call(*look, f"--namespace={namespace}").strip())
            except CommandError as error:
                found.append(str(error))
        return "\n".join(found)

    def exists(self, kind: str, name: str, namespace: str) -> bool:
        """Tell whether the object is there."""
        words = ("get", kind, name, f"--namespace={namespace}", "--ignore-not-found", "--output=name")
        return bool(self.call(*words).strip())

    def raw(self, path: str, timeout: float = 5.0) -> str:
        """GET a path of the API server, such as a proxied Service, and return the body."""
        return self.call("get", "--raw", path, f"--request-timeout={timeout:g}s", timeout=timeout + _CALL_SECONDS)

    def json(self, *words: str) -> Any:
        """Run ``kubectl WORDS --output=json`` and return the parsed answer."""
        return json.loads(self.call(*words, "--output=json"))
