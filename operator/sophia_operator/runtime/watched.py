"""What is watched: one table for those who watch and for the audit that compares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sophia_operator.api.common import GROUP, VERSION
from sophia_operator.core.names import LABEL_SERVICE

_GATEWAY: Final = "gateway.networking.k8s.io"
#: Secrets of these types are never named in a spec.config, and there are many of them.
_OTHER_SECRETS: Final = ("kubernetes.io/service-account-token", "helm.sh/release.v1", "bootstrap.kubernetes.io/token")


@dataclass(frozen=True, slots=True)
class Watched:
    """One kind, and which of its objects."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    label_selector: str = ""
    field_selector: str = ""

    @property
    def api_version(self) -> str:
        """As in an object."""
        return f"{self.group}/{self.version}" if self.group else self.version


SERVICES: Final = Watched(GROUP, VERSION, "ManagedService", "managedservices")

#: Everything else than ManagedServices. Kinds that are not installed are not watched.
OTHERS: Final = (
    Watched(GROUP, VERSION, "Release", "releases"),
    Watched("apps", "v1", "Deployment", "deployments", label_selector=LABEL_SERVICE),
    Watched("", "v1", "Service", "services", label_selector=LABEL_SERVICE),
    Watched("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", label_selector=LABEL_SERVICE),
    Watched("", "v1", "Pod", "pods", label_selector=LABEL_SERVICE),
    # In every namespace there is one that Kubernetes puts there.
    Watched("", "v1", "ConfigMap", "configmaps", field_selector="metadata.name!=kube-root-ca.crt"),
    Watched("", "v1", "Secret", "secrets", field_selector=",".join(f"type!={name}" for name in _OTHER_SECRETS)),
    Watched(_GATEWAY, "v1", "HTTPRoute", "httproutes"),
    Watched(_GATEWAY, "v1", "Gateway", "gateways"),
    Watched(_GATEWAY, "v1", "GatewayClass", "gatewayclasses", namespaced=False),
)
