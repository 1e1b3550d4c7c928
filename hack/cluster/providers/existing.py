"""The provider ``existing``: a cluster that somebody else runs, and that its owner has named as free to use."""

from __future__ import annotations

import fnmatch
import ipaddress
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from hack.cluster import binaries, console, kubeconfig, paths, platform, shell
from hack.cluster.providers.base import ProviderError

ALLOW = "CLUSTER_ALLOW"
LOAD_COMMAND = "CLUSTER_LOAD_COMMAND"
GATEWAY_URL = "CLUSTER_GATEWAY_URL"
_TIMEOUT_SECONDS = 60.0
_LOAD_TIMEOUT_SECONDS = 900.0
_GATEWAY_OFFSET = 79  # from the address of the Service `kubernetes`, which is the first of its range


def kubeconfig_files(environment: Mapping[str, str]) -> list[Path]:
    """Return the kubeconfig files that kubectl would read."""
    if listed := environment.get("KUBECONFIG"):
        return [Path(each) for each in listed.split(os.pathsep) if each]
    return [Path.home() / ".kube" / "config"]


def current_context(files: Sequence[Path]) -> str | None:
    """Return the current context of a list of kubeconfigs: the first that has one decides, as in kubectl."""
    return next((context for file in files if (context := kubeconfig.current_context(file))), None)


def allowed(context: str, patterns: str) -> bool:
    """Tell whether one of the comma-separated globs in ``patterns`` matches the whole context name."""
    return any(fnmatch.fnmatchcase(context, each.strip()) for each in patterns.split(",") if each.strip())


def require_allowed(environment: Mapping[str, str]) -> str:
    """Return the current context's name, when the allow-list has it. Raises ProviderError otherwise."""
    files = kubeconfig_files(environment)
    context = current_context(files)
    if context is None:
        raise ProviderError(
            f"CLUSTER=existing: no current context in {', '.join(map(str, files))}. Set KUBECONFIG, or run "
            "`kubectl config use-context NAME`."
        )
    patterns = environment.get(ALLOW, "")
    if not allowed(context, patterns):
        has = f"{ALLOW}={patterns}" if patterns.strip() else f"{ALLOW} is not set"
        raise ProviderError(
            f"CLUSTER=existing: the context {context!r} is not on the allow-list ({has}), and nothing was touched. "
            f"If it is a cluster to experiment on, name it: {ALLOW}={shlex.quote(context)}"
        )
    return context


def load_command(template: str, archive: Path) -> list[str]:
    """Return the words of the user's command with the archive's path in place of ``{archive}``."""
    if "{archive}" not in template:
        raise ProviderError(f"{LOAD_COMMAND} must hold {{archive}}, as in `minikube image load {{archive}}`.")
    return [word.replace("{archive}", str(archive)) for word in shlex.split(template)]


def gateway_address(first: str) -> str:
    """Return the gateway's Service address in a range whose first address is ``first``."""
    return str(ipaddress.ip_address(first) + _GATEWAY_OFFSET)


class Existing:
    """The cluster of the current context."""

    name = "existing"
    programs: tuple[str, ...] = ("kubectl", "helm", "contour")
    images: tuple[str, ...] | None = (
        *("contour", "envoy", "prometheus", "postgres", "portkey", "litellm"),
        *("sophia-pgbouncer", "pgbouncer-newer", "sophia-redis", "valkey", "sophia-demo-app", "sophia-operator"),
    )

    def check(self) -> None:
        """Raise ProviderError unless the current context is on the allow-list."""
        require_allowed(os.environ)

    def up(self, archives: Sequence[Path]) -> None:
        """Copy the access to the cluster to our own kubeconfig, and load the images."""
        context = require_allowed(os.environ)
        kubectl = str(binaries.view() / "kubectl")
        words = [kubectl, "config", "view", "--minify", "--flatten", "--raw", f"--context={context}"]
        content = shell.run(words, timeout=_TIMEOUT_SECONDS).stdout
        paths.state().mkdir(parents=True, exist_ok=True, mode=0o700)
        target = paths.kubeconfig()
        target.touch(mode=0o600)
        target.write_text(content)
        version = shell.run([kubectl, f"--kubeconfig={target}", "get", "--raw=/version"], timeout=_TIMEOUT_SECONDS)
        console.say(f"Use the cluster of context {context!r}: {' '.join(version.stdout.split())}")
        self.load(archives)

    def load(self, archives: Sequence[Path]) -> None:
        """Run the user's command on each archive, or say that the images are taken to be there."""
        require_allowed(os.environ)
        template = os.environ.get(LOAD_COMMAND)
        if template is None:
            console.say(
                f"{LOAD_COMMAND} is not set: the nodes must have the images localhost/... already. Set it to what "
                "loads an archive into the cluster, as in `minikube image load {archive}`."
            )
            return
        for archive in archives:
            with console.step(f"Load {archive.name}"):
                shell.run(load_command(template, archive), timeout=_LOAD_TIMEOUT_SECONDS)

    def down(self) -> bool:
        """Forget the cluster. What was installed stays: it may be shared, and its owner knows."""
        there = paths.state().exists()
        if there:
            console.say(
                "The cluster keeps what was installed. To remove it: `helm uninstall sophia-operator "
                "-n sophia-system`, then delete the namespaces sophia-system, projectcontour and monitoring."
            )
        shutil.rmtree(paths.state(), ignore_errors=True)
        return there

    def problems(self) -> list[str] | None:
        """Ask the API server whether it is ready."""
        if not paths.kubeconfig().exists():
            return None
        words = [str(binaries.view() / "kubectl"), f"--kubeconfig={paths.kubeconfig()}", "get", "--raw=/readyz"]
        answer = shell.run(words, timeout=_TIMEOUT_SECONDS, check=False)
        return [] if answer.stdout == "ok" else ["its API server does not answer"]

    def gateway_url(self) -> str:
        """Return what the user says, else Envoy's Service address: only its owner knows the ways into a cluster."""
        return os.environ.get(GATEWAY_URL, "").strip().rstrip("/") or f"http://{self.platform().gateway_ip}"

    def platform(self) -> platform.Settings:
        """Find an address for the gateway in the cluster's own range; the cluster brings its DNS."""
        words = [str(binaries.view() / "kubectl"), f"--kubeconfig={paths.kubeconfig()}"]
        words += ["get", "service", "kubernetes", "--namespace=default", "--output=jsonpath={.spec.clusterIP}"]
        first = shell.run(words, timeout=_TIMEOUT_SECONDS).stdout.strip()
        return platform.Settings(gateway_ip=gateway_address(first), dns_ip=None, host_reaches_services=False)
