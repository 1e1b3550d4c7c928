"""Install what runs on the cluster beside the operator: DNS, Gateway API with Contour and Envoy, Prometheus."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import manifests, versions
from hack.cluster.console import step
from hack.cluster.image_specs import ImageSpec, all_images
from hack.cluster.kubectl import Kubectl
from hack.cluster.shell import CommandError, run

_ROLLOUT_SECONDS = 180.0
_READY_SECONDS = 60.0
_POLL_SECONDS = 0.2
_GATEWAY_API = "sigs.k8s.io/gateway-api"
_CONTOUR = "github.com/projectcontour/contour"


@dataclass(frozen=True)
class Settings:
    """What differs between clusters.

    ``gateway_ip`` is the fixed ClusterIP of Envoy, inside the cluster's Service range. ``dns_ip`` is the address for
    CoreDNS, None where the cluster brings its own DNS. ``host_reaches_services`` says whether this machine has a
    route to Service addresses, so that they can be tried from here. ``gateway_node_port`` is the port of the node at
    which Envoy listens as well, None where it need not.
    """

    gateway_ip: str = "10.77.128.80"
    dns_ip: str | None = "10.77.128.10"
    host_reaches_services: bool = True
    gateway_node_port: int | None = None


NODE = Settings()


def prepare() -> None:
    """Have everything that :func:`install` needs beside programs and images. Raises gobuild.GoMissingError."""
    for module, version in _modules().items():
        manifests.ensure(module, version)


def missing() -> list[str]:
    """Return the Go modules that :func:`prepare` would fetch."""
    return [module for module, version in _modules().items() if not manifests.there(module, version)]


def _modules() -> dict[str, str]:
    return {_GATEWAY_API: versions.of("gateway-api"), _CONTOUR: versions.of("contour")}


def install(kubeconfig: Path, binaries: Path, settings: Settings = NODE) -> None:
    """Bring the platform to what the manifests say and return when it really works. Safe to repeat.

    ``binaries`` is a folder with kubectl and contour. The images must be on the cluster's nodes already.
    Raises CommandError when something is refused or does not start, TimeoutError when it starts but does not answer.
    """
    kubectl = Kubectl(binaries, kubeconfig)
    values, identities = _values(settings), _identities(settings, binaries)
    with step("Platform: DNS, gateway, Prometheus", usually="15 s") as progress:
        progress.update("CustomResourceDefinitions")
        if settings.dns_ip is not None:
            kubectl.apply(manifests.render("coredns.yaml", values, identities))
        kubectl.apply(_foundation())
        _wait_for_crds(kubectl)
        progress.update("certificates")
        _certificates(kubectl)
        progress.update("workloads")
        kubectl.apply(manifests.join([manifests.render(name, values, identities) for name in _templates(settings)]))
        for name, namespace in _deployments(settings):
            progress.update(name)
            kubectl.rollout(name, namespace, _ROLLOUT_SECONDS)
        progress.update("the first answers")
        kubectl.wait("Programmed", "gateway/sophia", namespace="projectcontour", timeout=_READY_SECONDS)
        _wait_for_metrics(kubectl)
        if settings.host_reaches_services:
            _wait_for_addresses(settings)


def _values(settings: Settings) -> dict[str, str]:
    images = {_image_variable(spec): spec.reference for spec in all_images()}
    node_port = str(settings.gateway_node_port or "")
    addresses = {"GATEWAY_IP": settings.gateway_ip, "DNS_IP": settings.dns_ip or "", "GATEWAY_NODE_PORT": node_port}
    return {**images, **addresses}


def _templates(settings: Settings) -> list[str]:
    """Return what is applied once the CRDs are there; its fixed addresses must come before others are given out."""
    node_port = ["envoy-nodeport.yaml"] if settings.gateway_node_port is not None else []
    return ["contour.yaml", "gateway.yaml", "envoy.yaml", *node_port, "prometheus.yaml"]


def _identities(settings: Settings, binaries: Path) -> dict[str, str]:
    """Return what the images that we run are made from: tags stay the same when that changes."""
    names = {"contour", "envoy", "prometheus"} | ({"coredns"} if settings.dns_ip is not None else set())
    return {_image_variable(spec): spec.key(binaries) for spec in all_images() if spec.name in names}


def _image_variable(spec: ImageSpec) -> str:
    return f"{spec.name.upper().replace('-', '_')}_IMAGE"


def _deployments(settings: Settings) -> list[tuple[str, str]]:
    dns = [("coredns", "kube-system")] if settings.dns_ip is not None else []
    return [*dns, ("contour", "projectcontour"), ("envoy", "projectcontour"), ("prometheus", "monitoring")]


def _foundation() -> str:
    """Return the CRDs, and Contour's namespace, service accounts and roles."""
    gateway_api = manifests.module_files(_GATEWAY_API, versions.of("gateway-api"), ["config/crd/standard/*.yaml"])
    names = ("00-common", "01-crds", "02-rbac", "02-role-contour")
    files = [f"examples/contour/{name}.yaml" for name in names]
    return manifests.join([gateway_api, manifests.module_files(_CONTOUR, versions.of("contour"), files)])


def _wait_for_crds(kubectl: Kubectl) -> None:
    groups = (
        "gateways.gateway.networking.k8s.io",
        "httproutes.gateway.networking.k8s.io",
        "httpproxies.projectcontour.io",
    )
    kubectl.wait("Established", *(f"crd/{name}" for name in groups), timeout=_READY_SECONDS)


def _certificates(kubectl: Kubectl) -> None:
    """Make the certificates of the connection between Contour and Envoy, once."""
    if all(kubectl.exists("secret", name, "projectcontour") for name in ("contourcert", "envoycert")):
        return
    run(
        [
            *(kubectl.binaries / "contour", "certgen", "--kube", "--overwrite"),
            *("--secrets-format=compact", "--namespace=projectcontour", f"--kubeconfig={kubectl.kubeconfig}"),
        ],
        timeout=_READY_SECONDS,
    )


def _wait_for_metrics(kubectl: Kubectl) -> None:
    """Wait until Prometheus has scraped Envoy: that takes the whole way through DNS, Contour and Envoy."""
    query = urllib.parse.quote('up{job="envoy"}')
    path = f"/api/v1/namespaces/monitoring/services/prometheus:http/proxy/api/v1/query?query={query}"

    def scraped() -> bool:
        result = json.loads(kubectl.raw(path))["data"]["result"]
        return any(series["value"][1] == "1" for series in result)

    _poll("Prometheus has not scraped Envoy", scraped)


def _wait_for_addresses(settings: Settings) -> None:
    """Wait until the Service addresses lead somewhere, which is later than the pods are ready."""

    def envoy() -> bool:
        with urllib.request.urlopen(f"http://{settings.gateway_ip}:8002/ready", timeout=2) as answer:
            return bool(answer.status == 200)

    _poll(f"Envoy does not answer at {settings.gateway_ip}", envoy)


def _poll(complaint: str, holds: Callable[[], bool]) -> None:
    """Try until ``holds`` returns True; TimeoutError with the complaint and the last error otherwise."""
    deadline = time.monotonic() + _READY_SECONDS
    last: Exception | None = None
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except (OSError, CommandError, ValueError, KeyError) as error:
            last = error
        time.sleep(_POLL_SECONDS)
    raise TimeoutError(f"{complaint} after {_READY_SECONDS:g} s; the last error was: {last}")
