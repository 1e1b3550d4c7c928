"""The StatefulSet of a tier and its pods, as a pass sees them. Pure functions, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sophia_operator.api.redis_level import RedisLevel
from sophia_operator.core.cache import names
from sophia_operator.core.cache.findings import Node
from sophia_operator.core.cache.views import Kept, NodesView, NodeView
from sophia_operator.ports import Object
from sophia_operator.runtime.apply import Owner
from sophia_operator.runtime.observe_workloads import has_failed, is_ending, is_ready, worst_problem
from sophia_operator.runtime.store import ObjectStore


def nodes_view(store: ObjectStore, owner: Owner) -> NodesView | None:
    """The StatefulSet if it is the tier's."""
    found = _stateful_set(store, owner)
    if found is None:
        return None
    pods = _pods(store, owner)
    staying = [p for p in pods if not is_ending(p)]
    status, spec, meta = found.get("status") or {}, found.get("spec") or {}, found["metadata"]
    containers = ((spec.get("template") or {}).get("spec") or {}).get("containers") or [{}]
    wanted, ready = int(spec.get("replicas", 1)), sum(1 for p in staying if is_ready(p))
    ended = [p for p in pods if has_failed(p)] if ready < wanted else []
    return NodesView(
        spec_replicas=wanted,
        pods=len(staying),
        ready_pods=ready,
        caught_up=int(status.get("observedGeneration", 0)) >= int(meta.get("generation", 0)),
        image=containers[0].get("image"),
        problem=worst_problem(found, staying, ended),
    )


def node_views(store: ObjectStore, owner: Owner, redis: RedisLevel | None, kept: Kept) -> tuple[NodeView, ...]:
    """The nodes in the order of their numbers, or the adopted Redis."""
    if redis is None:
        return ()
    if redis.external is not None:
        found = kept.nodes.get(names.EXTERNAL)
        answers = found is not None and isinstance(found.answer, Node)
        (uid,) = owner.uids
        return (NodeView(names.EXTERNAL, uid, redis.external.host, ready=answers, terminating=False, current=True),)
    stateful_set = _stateful_set(store, owner)
    return tuple(_node(pod, stateful_set) for pod in _pods(store, owner))


def _stateful_set(store: ObjectStore, owner: Owner) -> Object | None:
    found = store.get("StatefulSet", owner.namespace, names.workload(owner.name))
    return found if found is not None and owner.has(found) else None


def _pods(store: ObjectStore, owner: Owner) -> Sequence[Object]:
    """Pods that carry the label but no such name are somebody else's."""
    found = store.children("Pod", owner.namespace, owner.name, names.LABEL_CACHE)
    numbered = {number: pod for pod in found if (number := _number(pod["metadata"]["name"], owner.name)) is not None}
    return [numbered[number] for number in sorted(numbered)]


def _number(pod: str, tier: str) -> int | None:
    rest = pod.removeprefix(f"{names.workload(tier)}-")
    return int(rest) if rest != pod and rest.isdecimal() else None


def _node(pod: Object, stateful_set: Object | None) -> NodeView:
    meta, status = pod["metadata"], pod.get("status") or {}
    run: Mapping[str, Any] = next(iter(status.get("runs") or ()), {})
    began = run.get("startedAt")
    return NodeView(
        name=meta["name"],
        uid=meta["uid"],
        address=status.get("podIP"),
        ready=is_ready(pod),
        terminating=bool(meta.get("deletionTimestamp")),
        current=stateful_set is not None and _is_current(pod, stateful_set),
        role_label=(meta.get("labels") or {}).get(names.LABEL_ROLE) or None,
        ended=bool(run.get("over")) or status.get("phase") in ("Succeeded", "Failed"),
        started_at=datetime.fromisoformat(began) if began else None,
    )


def _is_current(pod: Object, stateful_set: Object) -> bool:
    """Whether the pod was made from the newest template, by what makes a difference for how it works."""
    return _restart_hash((stateful_set.get("spec") or {}).get("template") or {}) == _restart_hash(pod)


def _restart_hash(obj: Mapping[str, Any]) -> str | None:
    annotations: Mapping[str, str] = (obj.get("metadata") or {}).get("annotations") or {}
    return annotations.get(names.ANNOTATION_RESTART)
