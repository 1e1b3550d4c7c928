"""What a pass over a ModelRoute sees: frozen values, already parsed.

`None` always means "not there" or "not known yet".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sophia_operator.api.model_route import ModelRouteSpec
from sophia_operator.api.model_route_status import ModelRouteStatus
from sophia_operator.core.model.findings import ModelFinding, PassiveFinding, QualityFinding, ReplicaFinding
from sophia_operator.core.recovery.views import ActRequest
from sophia_operator.core.render.desired import ChildRef
from sophia_operator.core.views import Blocker


@dataclass(frozen=True, slots=True)
class ModelRouteView:
    """A ModelRoute."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    created_at: datetime
    spec: ModelRouteSpec
    status: ModelRouteStatus


@dataclass(frozen=True, slots=True)
class ModelAccess:
    """Everything secret that one model works with. Never in a status, an event, a log, a metric or another object."""

    api_key: str | None = field(default=None, repr=False)
    ca: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class GatewayPod:
    """A pod of a gateway that somebody else runs."""

    name: str
    address: str
    ready: bool
    #: Hash of the configuration that its volume was last made to look at.
    poked: str | None = None
    #: Tells it from another pod of the same name; empty when the cluster does not say.
    uid: str = ""


@dataclass(frozen=True, slots=True)
class HttpRouteView:
    """The HTTPRoute as the cluster has it."""

    #: Every parent's controller has seen the newest spec.
    caught_up: bool
    #: Accepted and ResolvedRefs as the controllers say, for the newest spec; None until they say.
    accepted: bool | None
    message: str = ""


@dataclass(frozen=True, slots=True)
class ModelKept:
    """What was found before and is remembered in memory. A restart of the operator forgets it."""

    #: By the name of the model: its newest probes, the newest last, as `evidence.remember` keeps them: those of the
    #: window, and the newest two in any case, since two that failed in a row say that a model is down.
    probes: Mapping[str, tuple[ModelFinding, ...]] = field(default_factory=dict)
    passive: PassiveFinding | None = None
    qualities: Mapping[str, QualityFinding] = field(default_factory=dict)
    #: By the name of the model: when its key or its certificates were last seen to be others than before.
    access_changed_at: Mapping[str, datetime] = field(default_factory=dict)
    #: By the name of the replica; of replicas that the newest request named, or its names resolved to.
    replicas: Mapping[str, ReplicaFinding] = field(default_factory=dict)
    #: When marked requests were last sent to every replica, and why that was not possible at all.
    asked_at: datetime | None = None
    asking_failed: str | None = None
    #: Requests that are under way now, and since when: `probe/<model>`, `passive`, `quality/<model>`, `replicas`.
    under_way: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelRouteObserved:
    """Everything else that a pass sees."""

    #: By the name of the model; one whose Secret is missing is not in it, and `missing` says what it lacks.
    access: Mapping[str, ModelAccess] = field(default_factory=dict)
    missing: Mapping[str, Blocker] = field(default_factory=dict)
    #: The key for marked requests to LiteLLM proxies.
    gateway_key: str | None = field(default=None, repr=False)
    #: None without one, or while it is not there.
    http_route: HttpRouteView | None = None
    #: Where the Gateway answers, as in `http://10.0.0.7:80`; None without a Gateway or an address.
    gateway_url: str | None = None
    #: Pods of liteLLM and portkey.
    pods: tuple[GatewayPod, ...] = ()
    kept: ModelKept = field(default_factory=ModelKept)
    #: What keeps the route from being carried out.
    blockers: tuple[Blocker, ...] = ()
    #: RecoveryActions that were claimed.
    acts: tuple[ActRequest, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelRouteDesired:
    """What the cluster should hold, in the order to apply."""

    objects: tuple[Mapping[str, Any], ...] = ()
    #: To be deleted once every object is applied: what another kind of gateway left.
    delete: tuple[ChildRef, ...] = ()
    #: Hash of what pods of the gateway read from a volume; None when they read nothing.
    mounted_hash: str | None = None
