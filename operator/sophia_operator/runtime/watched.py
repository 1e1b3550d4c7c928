"""What is watched: one table for those who watch and for the audit that compares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sophia_operator.api.common import GROUP, VERSION
from sophia_operator.core.names import MANAGER

#: On everything that the operator makes, and on what the cluster makes of it.
MANAGED: Final = f"app.kubernetes.io/managed-by={MANAGER}"
_GATEWAY: Final = "gateway.networking.k8s.io"
#: Secrets of these types are never named in a spec, and there are many of them.
_OTHER_SECRETS: Final = ("kubernetes.io/service-account-token", "helm.sh/release.v1", "bootstrap.kubernetes.io/token")


@dataclass(frozen=True, slots=True)
class Watched:
    """One kind, and which of its objects."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    #: Kinds that do not work without it, when they are no others than these: an operator whose rights are those of a
    #: version without them does the rest without it.
    only_for: tuple[str, ...] = ()
    label_selector: str = ""
    field_selector: str = ""

    @property
    def api_version(self) -> str:
        """As in an object."""
        return f"{self.group}/{self.version}" if self.group else self.version


SERVICES: Final = Watched(GROUP, VERSION, "ManagedService", "managedservices")
POOLS: Final = Watched(GROUP, VERSION, "ConnectionPool", "connectionpools", only_for=("ConnectionPool",))
TIERS: Final = Watched(GROUP, VERSION, "CacheTier", "cachetiers", only_for=("CacheTier",))
ROUTES: Final = Watched(GROUP, VERSION, "ModelRoute", "modelroutes", only_for=("ModelRoute",))
#: Neither works without the other: budgets are counted from actions, and actions ask the guard rails of policies.
_RECOVERY: Final = ("RecoveryPolicy", "RecoveryAction")
POLICIES: Final = Watched(GROUP, VERSION, "RecoveryPolicy", "recoverypolicies", only_for=_RECOVERY)
ACTIONS: Final = Watched(GROUP, VERSION, "RecoveryAction", "recoveryactions", only_for=_RECOVERY)

#: Everything else than what has a loop of its own. Kinds that are not installed are not watched.
OTHERS: Final = (
    Watched(GROUP, VERSION, "Release", "releases"),
    Watched("apps", "v1", "Deployment", "deployments", label_selector=MANAGED),
    Watched("", "v1", "Service", "services", label_selector=MANAGED),
    Watched("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", label_selector=MANAGED),
    Watched("", "v1", "Pod", "pods", label_selector=MANAGED),
    Watched("apps", "v1", "StatefulSet", "statefulsets", label_selector=MANAGED, only_for=("CacheTier",)),
    Watched(
        *("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
        label_selector=MANAGED,
        only_for=("ConnectionPool", "CacheTier"),
    ),
    # In every namespace there is one that Kubernetes puts there.
    Watched("", "v1", "ConfigMap", "configmaps", field_selector="metadata.name!=kube-root-ca.crt"),
    Watched("", "v1", "Secret", "secrets", field_selector=",".join(f"type!={name}" for name in _OTHER_SECRETS)),
    Watched(_GATEWAY, "v1", "HTTPRoute", "httproutes"),
    Watched(_GATEWAY, "v1", "Gateway", "gateways"),
    Watched(_GATEWAY, "v1", "GatewayClass", "gatewayclasses", namespaced=False),
)

#: All that is watched.
ALL: Final = (SERVICES, POOLS, TIERS, ROUTES, POLICIES, ACTIONS, *OTHERS)
