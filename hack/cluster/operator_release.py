"""Install the operator on the cluster by its own Helm chart, as users do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hack.cluster import console, paths, shell

RELEASE = "sophia-operator"
NAMESPACE = "sophia-system"
PENDING = f"owner=helm,name={RELEASE},status in (pending-install,pending-upgrade,pending-rollback)"
_TIMEOUT_SECONDS = 120


def command(helm: Path, kubeconfig: Path, image_key: str) -> list[str]:
    """Return the helm command. ``image_key`` changes with the image's content, and then the pods are replaced."""
    return [
        *(str(helm), "upgrade", "--install", RELEASE, str(paths.REPOSITORY / "charts" / "sophia-operator")),
        *(f"--kubeconfig={kubeconfig}", f"--namespace={NAMESPACE}", "--create-namespace"),
        *("--values", str(paths.SOURCE / "operator-values.yaml")),
        # The tag stays "dev" whatever is in the image, so Kubernetes would see no reason to start new pods.
        *("--set-string", f"podAnnotations.sophia\\.ai/image={image_key}"),
        *("--wait", f"--timeout={_TIMEOUT_SECONDS}s"),
    ]


def install(programs: Path, kubeconfig: Path, archives: Sequence[Path]) -> None:
    """Install or upgrade the operator and wait until it is ready. Raises CommandError, with what hinders its pods."""
    keys = [archive.stem for archive in archives if archive.name.startswith(f"{RELEASE}-")]
    home = paths.cache() / "helm"
    environment = {f"HELM_{kind}_HOME": str(home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
    with console.step("Install the operator with Helm", "3-15 s"):
        # An install that was killed leaves a record that says it is still going on, and Helm would wait for it.
        _kubectl(programs, kubeconfig, "delete", "secret", f"--selector={PENDING}", "--ignore-not-found")
        words = command(programs / "helm", kubeconfig, keys[0] if keys else "unknown")
        try:
            shell.run(words, timeout=_TIMEOUT_SECONDS + 60, env=environment)
        except shell.CommandError as error:
            pods = _kubectl(programs, kubeconfig, "get", "pods", "--output=wide")
            logs = _kubectl(programs, kubeconfig, "logs", f"deployment/{RELEASE}", "--tail=15", "--all-pods")
            raise shell.CommandError(error.argv, error.why, f"{error.output}\n{pods}\n{logs}") from error


def _kubectl(programs: Path, kubeconfig: Path, *words: str) -> str:
    start = [str(programs / "kubectl"), f"--kubeconfig={kubeconfig}", f"--namespace={NAMESPACE}"]
    result = shell.run([*start, *words], timeout=60, check=False)
    return result.stdout + result.stderr
