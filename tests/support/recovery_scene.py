"""Namespaces for the engine of recovery: policies, targets, symptoms and acts, as views."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sophia_operator.api.managed_service import ManagedServiceStatus
from sophia_operator.api.recovery_action import RecoveryActionSpec
from sophia_operator.api.recovery_action_status import ActStatus, RecoveryActionStatus
from sophia_operator.api.recovery_policy import RecoveryPolicySpec
from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus, SymptomStatus
from sophia_operator.api.recovery_values import Symptom, TargetKind
from sophia_operator.core.recovery.action.advance import advance_action
from sophia_operator.core.recovery.action.values import ActionDecision, ActionObserved
from sophia_operator.core.recovery.decide import decide
from sophia_operator.core.recovery.decision import Decisions
from sophia_operator.core.recovery.role_health import ROLE
from sophia_operator.core.recovery.views import (
    ActionView,
    CrashingPod,
    History,
    MovingRelease,
    PolicyView,
    Sign,
    Symptoms,
    SymptomSeen,
    TargetKey,
    TargetView,
)
from tests.support.symptom_scene import START, at, model, pool, route, said, tier

NAMESPACE: Final = "shop"
ORDERS: Final[TargetKey] = (TargetKind.CONNECTION_POOL, "orders")
USERS: Final[TargetKey] = (TargetKind.CONNECTION_POOL, "users")
HOT: Final[TargetKey] = (TargetKind.CACHE_TIER, "hot")
CHAT: Final[TargetKey] = (TargetKind.MODEL_ROUTE, "chat")
LOST: Final = Symptom.CONNECTION_LOST
#: What a sign may say.
YES: Final = Sign(True, 5.0, "no server")
NO: Final = Sign(False)
UNTOLD: Final = Sign(None, message="not looked at")

_LADDER: Final = ("Reconnect", "Notify")


def rule(symptom: str, *steps: str | dict[str, Any], **more: Any) -> dict[str, Any]:
    """A rule with these steps, each by its action's name or as a whole."""
    ladder = [{"action": step} if isinstance(step, str) else step for step in steps]
    return {"symptom": symptom, "escalation": ladder, **more}


def policy(
    name: str = "pools", *rules: dict[str, Any], status: RecoveryPolicyStatus | None = None, **spec: Any
) -> PolicyView:
    """A policy, of all kinds that its rules need when no targets are given."""
    rules = rules or (rule("ConnectionLost", *_LADDER, forSeconds=0, clearSeconds=30),)
    kinds = {"HighMemory": "CacheTier", "CacheHitRatioLow": "CacheTier", "ModelTimeout": "ModelRoute"}
    chosen = dict.fromkeys(kinds.get(r["symptom"], "ConnectionPool") for r in rules)
    written = {"targets": [{"kind": kind, "names": ["x"]} for kind in chosen], "rules": list(rules), **spec}
    return PolicyView(
        namespace=NAMESPACE,
        name=name,
        uid=f"uid-{name}",
        generation=1,
        resource_version="1",
        created_at=START,
        spec=RecoveryPolicySpec.model_validate(written),
        status=status or RecoveryPolicyStatus(),
    )


def seen(policies: Iterable[PolicyView], signs: Mapping[tuple[TargetKey, Symptom], Sign]) -> Symptoms:
    """Every one of the policies selects every target, and sees that of each."""
    chosen = tuple(dict.fromkeys(target for target, _ in signs))
    found = [
        SymptomSeen(p.name, target, symptom, sign)
        for p in policies
        for (target, symptom), sign in signs.items()
        if any(r.symptom is symptom for r in p.spec.rules)
    ]
    return Symptoms({p.name: chosen for p in policies}, tuple(found))


def lost(*policies: PolicyView, sign: Sign = YES, well: Sequence[TargetKey] = (USERS,)) -> Symptoms:
    """One pool that shows a symptom, beside one that does not."""
    return seen(policies, {(ORDERS, LOST): sign, **dict.fromkeys(((key, LOST) for key in well), NO)})


def incident(since: float = 0, target: TargetKey = ORDERS, symptom: Symptom = LOST, **more: Any) -> SymptomStatus:
    """An incident that began then."""
    return SymptomStatus(kind=target[0], name=target[1], symptom=symptom, since=at(since), **more)


def act(
    name: str = "act",
    phase: str = "Pending",
    action: str = "Reconnect",
    *,
    target: TargetKey = ORDERS,
    of: str | None = "pools",
    symptom: str = "ConnectionLost",
    since: float = 0,
    step: int = 1,
    claimed: float | None = None,
    ended: float | None = None,
    status: Mapping[str, Any] | None = None,
    **spec: Any,
) -> ActionView:
    """An action of the policy `of`; of a person when that is None. One that has acted was claimed at 0, unless told
    otherwise, and one that is over ended ten seconds later."""
    trigger = {"policy": of, "symptom": symptom, "since": at(since), "step": step, "timeoutSeconds": 60}
    by = {"trigger": trigger} if of is not None else {"requestedBy": "eve"}
    written = RecoveryActionStatus.model_validate({"phase": phase, "changes": 1, **(status or {})})
    if written.phase.has_acted and claimed is None:
        claimed = 0
    if written.phase.is_over and ended is None:
        ended = (claimed or 0) + 10
    times = {
        "claimed_at": at(claimed) if claimed is not None else None,
        "ended_at": at(ended) if ended is not None else None,
    }
    (kind, named), elsewhere = target, spec.pop("elsewhere", None)
    where = {"namespace": elsewhere} if elsewhere is not None else {}
    asked = {"target": {"kind": kind, "name": named, **where}, "action": action, "verifySeconds": 60, **by, **spec}
    return ActionView(
        namespace=NAMESPACE,
        name=name,
        uid=f"uid-{name}",
        generation=1,
        resource_version="1",
        created_at=START,
        spec=RecoveryActionSpec.model_validate(asked),
        status=written.model_copy(update=times),
    )


def helped(name: str, ended: float = 10, **more: Any) -> ActionView:
    """An act that was verified to help."""
    return act(name, "Succeeded", ended=ended, claimed=ended - 10, status={"verified": "Helped"}, **more)


def failed(name: str, ended: float = 10, **more: Any) -> ActionView:
    """An act that changed nothing."""
    return act(name, "Failed", ended=ended, claimed=ended - 10, status={"verified": "NoChange"}, **more)


def moving(*bound: TargetKey, began: float = 0, traffic: bool = False) -> MovingRelease:
    """A release that is being rolled out."""
    return MovingRelease("shop", "shop-7", 7, at(began), frozenset(bound or (ORDERS,)), traffic)


def target(
    key: TargetKey = ORDERS,
    well: bool | None = True,
    *,
    acts: Sequence[ActStatus] = (),
    crashing: Sequence[CrashingPod] = (),
    readable: bool = True,
) -> TargetView:
    """An object, healthy by its role or not, or that does not say so (None)."""
    kind, name = key
    truth = {True: "True", False: "False", None: "Unknown"}[well]
    conditions = [said(told.value, truth, "Told") for told in sorted(ROLE[kind])]
    make = {TargetKind.CONNECTION_POOL: pool, TargetKind.CACHE_TIER: tier, TargetKind.MODEL_ROUTE: _route}[kind]
    made = make(*conditions)
    status = made.status.model_copy(update={"acts": list(acts)})
    return replace(
        made,
        name=name,
        uid=f"uid-{name}",
        status=status,
        crashing=tuple(crashing),
        spec=made.spec if readable else None,
    )


def knowing(policy: PolicyView, *incidents: SymptomStatus) -> PolicyView:
    """The policy, whose status knows these incidents."""
    return replace(policy, status=RecoveryPolicyStatus(symptoms=list(incidents)))


def look(
    policies: Sequence[PolicyView],
    symptoms: Symptoms,
    now: float,
    actions: Sequence[ActionView] = (),
    **history: Any,
) -> Decisions:
    """What is decided then."""
    return decide(symptoms, tuple(policies), History(actions=tuple(actions), **history), at(now))


def written(policies: Sequence[PolicyView], decisions: Decisions) -> tuple[PolicyView, ...]:
    """The policies with what was decided persisted."""
    return tuple(replace(p, status=decisions.statuses[p.name]) for p in policies)


def _route(*conditions: dict[str, Any]) -> TargetView:
    return route(model("large", "Healthy"), model("small", "Healthy"), conditions=conditions)


def advance(
    action: ActionView,
    now: float,
    *,
    of: TargetView | None = None,
    sign: Sign | None = YES,
    policies: Sequence[PolicyView] = (),
    symptoms: Symptoms | None = None,
    actions: Sequence[ActionView] = (),
    there: bool = True,
    **history: Any,
) -> ActionDecision:
    """What becomes of an action then, when its target shows that and others did these acts."""
    found = of if of is not None else target(action.target) if there else None
    acts = found.status.acts if found is not None and not isinstance(found.status, ManagedServiceStatus) else []
    observed = ActionObserved(
        target=found,
        act=next((done for done in acts if done.uid == action.uid), None),
        sign=sign if action.spec.trigger is not None else None,
        policies=tuple(policies),
        symptoms=symptoms if symptoms is not None else lost(*policies, sign=sign or UNTOLD),
        history=History(actions=(*actions, action), **history),
    )
    return advance_action(action, observed, at(now))
