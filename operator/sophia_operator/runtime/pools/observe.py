"""What a pass over a pool sees: the store's objects, parsed into the core's values. Pure functions, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.api.connection_pool_status import ConnectionPoolStatus
from sophia_operator.core.pool import names
from sophia_operator.core.pool.servers import server_key
from sophia_operator.core.pool.views import Access, Claim, FleetView, InstanceView, Kept, PoolObserved, PoolView
from sophia_operator.core.views import Blocker
from sophia_operator.ports import Object
from sophia_operator.runtime.heads import head_of
from sophia_operator.runtime.observe_workloads import has_failed, is_ending, is_ready, worst_problem
from sophia_operator.runtime.ownership import is_ours
from sophia_operator.runtime.recovery.requests import requests_for
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.wakeups import SERVER, Dependency, Key


@dataclass(frozen=True, slots=True)
class PoolSight:
    """What was seen, and what else than the pool's own objects it came from."""

    observed: PoolObserved
    depends_on: frozenset[Dependency]


_KIND: Final = "ConnectionPool"


def pool_view(obj: Object) -> PoolView:
    """A ConnectionPool. Raises pydantic.ValidationError when its spec breaks a rule that admission did not check."""
    return PoolView(**head_of(obj), spec=ConnectionPoolSpec.model_validate(obj["spec"]), status=pool_status(obj))


def pool_status(obj: Object) -> ConnectionPoolStatus:
    """The status, or an empty one when there is none or it cannot be read: it can be rebuilt."""
    try:
        return in_order(ConnectionPoolStatus.model_validate(obj.get("status") or {}))
    except ValidationError:
        return ConnectionPoolStatus()


def in_order(status: ConnectionPoolStatus) -> ConnectionPoolStatus:
    """The API server merges lists that are told apart by keys in an order of its own. Here they have one order, so
    that what is the same compares as the same."""
    return status.model_copy(
        update={
            "conditions": sorted(status.conditions, key=lambda c: c.type),
            "members": sorted(status.members, key=lambda m: m.name),
            "score_parts": sorted(status.score_parts, key=lambda p: p.name),
            "acts": sorted(status.acts, key=lambda a: (a.started_at, a.name)),
        }
    )


def server_of(pool: PoolView) -> str:
    """The server that the pool is in front of."""
    return server_key(pool.namespace, pool.spec.database.host, pool.spec.database.port)


def observe(
    store: ObjectStore,
    pool: PoolView,
    access: Access | None,
    kept: Kept,
    *,
    usernames: Mapping[Key, str],
    known_blockers: Iterable[Blocker] = (),
) -> PoolSight:
    """Everything else that a pass sees of the pool.

    `usernames` are the users that other pools connect as, as far as they are known; `known_blockers` are what the
    loop itself ran into.
    """
    pods = [p for p in store.children("Pod", pool.namespace, pool.name, names.LABEL_POOL) if not _has_ended(p)]
    deployment = store.get("Deployment", pool.namespace, names.workload(pool.name))
    if deployment is not None and not is_ours(deployment, pool.name, (pool.uid,), names.LABEL_POOL):
        deployment = None
    instances = tuple(_instance(pod, deployment, pods) for pod in pods)
    observed = PoolObserved(
        fleet=_fleet(store, pool, deployment, pods, instances) if deployment is not None else None,
        instances=instances,
        access=access,
        claims=_claims(store, pool, usernames),
        kept=kept,
        blockers=tuple(known_blockers),
        acts=requests_for(store, _KIND, pool.namespace, pool.name, acted := set[Dependency]()),
    )
    return PoolSight(observed, _dependencies(pool) | acted)


def instances_of(store: ObjectStore, pool: PoolView) -> tuple[InstanceView, ...]:
    """The pool's instances alone."""
    return _workload(store, pool)[2]


def _workload(store: ObjectStore, pool: PoolView) -> tuple[Object | None, Sequence[Object], tuple[InstanceView, ...]]:
    """The Deployment if it is the pool's, the pods that did not end, and these as instances."""
    pods = [p for p in store.children("Pod", pool.namespace, pool.name, names.LABEL_POOL) if not _has_ended(p)]
    deployment = store.get("Deployment", pool.namespace, names.workload(pool.name))
    if deployment is not None and not is_ours(deployment, pool.name, (pool.uid,), names.LABEL_POOL):
        deployment = None
    return deployment, pods, tuple(_instance(pod, deployment, pods) for pod in pods)


def _dependencies(pool: PoolView) -> frozenset[Dependency]:
    spec = pool.spec
    secrets = {spec.database.credentials_secret_ref.name, names.access_secret(pool.name)}
    if spec.database.ca_secret_ref is not None:
        secrets.add(spec.database.ca_secret_ref.name)
    if spec.tls is not None:
        secrets.add(spec.tls.secret_name)
    return frozenset({(SERVER, "", server_of(pool)), *(("Secret", pool.namespace, name) for name in secrets)})


def _claims(store: ObjectStore, pool: PoolView, usernames: Mapping[Key, str]) -> tuple[Claim, ...]:
    """What other pools are granted of the server, in the order of their names. A pool that is being deleted holds
    what it has until it is gone."""
    return tuple(
        Claim(*key, usernames.get(key), granted, store.addresses_of(*key, names.LABEL_POOL))
        for key, granted in store.granted_at(server_of(pool))
        if key != (pool.namespace, pool.name)
    )


def _has_ended(pod: Mapping[str, Any]) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def _instance(pod: Object, deployment: Object | None, pods: Sequence[Object]) -> InstanceView:
    meta = pod["metadata"]
    return InstanceView(
        name=meta["name"],
        uid=meta["uid"],
        address=pod["status"].get("podIP"),
        ready=is_ready(pod),
        terminating=is_ending(pod),
        current=deployment is not None and (_all_current(deployment, pods) or _is_current(pod, deployment)),
        poked=(meta.get("annotations") or {}).get(names.ANNOTATION_CONFIG),
    )


def _all_current(deployment: Object, pods: Sequence[Object]) -> bool:
    """Whether the Deployment's controller says that all pods there are, are of the newest template."""
    status = deployment.get("status") or {}
    updated, total = int(status.get("updatedReplicas", 0)), int(status.get("replicas", 0))
    living = sum(1 for pod in pods if not is_ending(pod))
    return _caught_up(deployment) and updated == total == living == len(pods)


def _is_current(pod: Object, deployment: Object) -> bool:
    """Whether the pod was made from the newest template, by what makes a difference for how it works."""
    template = (deployment.get("spec") or {}).get("template") or {}
    return _restart_hash(template) == _restart_hash(pod) and _images(template) <= _images(pod)


def _restart_hash(obj: Mapping[str, Any]) -> str | None:
    annotations: Mapping[str, str] = (obj.get("metadata") or {}).get("annotations") or {}
    return annotations.get(names.ANNOTATION_RESTART)


def _images(obj: Mapping[str, Any]) -> set[str | None]:
    return {c.get("image") for c in (obj.get("spec") or {}).get("containers") or ()}


def _caught_up(deployment: Object) -> bool:
    status, meta = deployment.get("status") or {}, deployment["metadata"]
    return int(status.get("observedGeneration", 0)) >= int(meta.get("generation", 0))


def _fleet(
    store: ObjectStore,
    pool: PoolView,
    deployment: Object,
    pods: Sequence[Object],
    instances: Sequence[InstanceView],
) -> FleetView:
    status, spec = deployment.get("status") or {}, deployment.get("spec") or {}
    staying = [i for i in instances if not i.terminating]
    ready = sum(1 for i in staying if i.ready)
    wanted = int(spec.get("replicas", 1))
    ended: list[Object] = []
    if ready < wanted:
        every = store.children("Pod", pool.namespace, pool.name, names.LABEL_POOL)
        ended = [p for p in every if has_failed(p)]
    containers = ((spec.get("template") or {}).get("spec") or {}).get("containers") or [{}]
    caught_up = _caught_up(deployment)
    old = int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))
    return FleetView(
        spec_replicas=wanted,
        pods=len(staying),
        ready_pods=ready,
        caught_up=caught_up,
        image=containers[0].get("image"),
        problem=worst_problem(deployment, [p for p in pods if not is_ending(p)], ended),
        rolling=(caught_up and old > 0) or any(not i.current for i in staying),
    )
