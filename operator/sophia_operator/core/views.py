"""What a pass sees of the cluster: frozen values, already parsed.

`None` always means "not there" or "not known yet".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sophia_operator.api.binding_version import BindingKind
from sophia_operator.api.cache_tier_status import WarmUpStatus
from sophia_operator.api.conditions import Reason
from sophia_operator.api.managed_service import ManagedServiceSpec, ManagedServiceStatus
from sophia_operator.api.release import Color, ConfigKind, ReleaseSpec, ReleaseStatus
from sophia_operator.core.findings import Findings
from sophia_operator.core.recovery.seen import RecoverySeen


@dataclass(frozen=True, slots=True)
class ServiceView:
    """A ManagedService."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    spec: ManagedServiceSpec
    status: ManagedServiceStatus


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """A Release. `status_lost` when the object has no status though the operator always writes one at once."""

    name: str
    uid: str
    generation: int
    resource_version: str
    created_at: datetime
    spec: ReleaseSpec
    status: ReleaseStatus
    status_lost: bool = False
    snapshot_intact: bool = True


@dataclass(frozen=True, slots=True)
class PodProblem:
    """Why pods of a release do not become ready, the worst first."""

    reason: Reason  # CrashLoop, ImagePullFailed, QuotaExceeded or NotReady
    message: str


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """The Deployment of a release."""

    release: str
    spec_replicas: int
    #: Pods that exist and are not being deleted, and ready ones among them, of the current template.
    pods: int
    ready_pods: int
    #: The Deployment's controller has seen its newest spec.
    current: bool
    problem: PodProblem | None = None


@dataclass(frozen=True, slots=True)
class EndpointsView:
    """Endpoints of one colour's Service."""

    #: Release that the Service selects.
    release: str | None
    #: Endpoints that are ready, not terminating, and belong to pods of that release.
    ready: int


@dataclass(frozen=True, slots=True)
class RouteView:
    """The HTTPRoute (or, without a Gateway, the plain Service) that spreads the traffic."""

    #: Weight of each colour in percent, as the newest spec says.
    weights: Mapping[Color, int]
    #: Every parent's controller has seen the newest spec (a plain Service is always caught up).
    caught_up: bool
    #: Accepted and ResolvedRefs as the controllers say, for the newest spec; None until they say.
    accepted: bool | None
    message: str = ""
    #: A plain Service: there are no shares to be seen, its selector is all there is.
    plain: bool = False

    @property
    def in_effect(self) -> bool:
        """Whether the controllers say that they did what the newest spec says."""
        return self.caught_up and self.accepted is not False


@dataclass(frozen=True, slots=True)
class ConfigView:
    """A ConfigMap or Secret that the service names; `hash` is None when it is missing."""

    kind: ConfigKind
    name: str
    hash: str | None


@dataclass(frozen=True, slots=True)
class LevelView:
    """One object that says how to connect; `hash` is None while the Secret that says it is missing."""

    name: str
    secret_name: str
    hash: str | None
    #: Whether the object itself is there.
    exists: bool = True


@dataclass(frozen=True, slots=True)
class BindingView:
    """Something that the service is bound to; `hash` is None while the Secret that says how to connect is missing."""

    kind: BindingKind
    name: str
    containers: tuple[str, ...]
    secret_name: str
    hash: str | None
    #: Whether the object itself is there.
    exists: bool = True
    #: Of a CacheTier, as in the snapshot of a release.
    own_generation: bool = False
    chain: str | None = None
    #: Tiers below it.
    levels: tuple[LevelView, ...] = ()
    #: Of a ModelRoute, as in the snapshot of a release.
    model: str | None = None
    choice: str | None = None
    chosen: str | None = None
    prompt_version: str | None = None

    @property
    def missing(self) -> LevelView | None:
        """The first part of it that there is no Secret of; None when it is whole."""
        parts = (LevelView(self.name, self.secret_name, self.hash, self.exists), *self.levels)
        return next((part for part in parts if part.hash is None), None)


@dataclass(frozen=True, slots=True)
class CacheView:
    """A CacheTier that the service, or a release of it, is bound to, or that is below such a one."""

    #: Number of the generation of each of its namespaces.
    numbers: Mapping[str, int] = field(default_factory=dict)
    #: Whether its spec says how the generation of a new release is filled.
    warms: bool = False
    #: By the name of the Release.
    warm_ups: Mapping[str, WarmUpStatus] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Blocker:
    """Something only the cluster can know that keeps the spec from being carried out."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything else that a pass sees."""

    releases: tuple[ReleaseView, ...] = ()
    deployments: Mapping[str, DeploymentView] = field(default_factory=dict)
    endpoints: Mapping[Color, EndpointsView] = field(default_factory=dict)
    route: RouteView | None = None
    config: tuple[ConfigView, ...] = ()
    bindings: tuple[BindingView, ...] = ()
    #: By the name of the CacheTier; one that is missing, or cannot be read, is not in it.
    caches: Mapping[str, CacheView] = field(default_factory=dict)
    #: What keeps the traffic from being steered, or new releases from being made.
    blockers: tuple[Blocker, ...] = ()
    #: Where the Gateway answers, as in `http://10.0.0.7:80`; None without a Gateway or an address.
    gateway_url: str | None = None
    #: Why the template of the current spec is refused by the API server; None when it is not, or not asked yet.
    template_refused: str | None = None
    findings: Findings = field(default_factory=Findings)
    #: What recovery does in the namespace.
    recovery: RecoverySeen = field(default_factory=RecoverySeen)

    def ready(self, color: Color, release: str) -> int:
        """Ready endpoints of that release behind that colour; 0 when the colour selects another release."""
        seen = self.endpoints.get(color)
        return seen.ready if seen is not None and seen.release == release else 0

    def written_weight(self, color: Color) -> int | None:
        """Weight of the colour in the route; None without a route."""
        return None if self.route is None else self.route.weights.get(color, 0)
