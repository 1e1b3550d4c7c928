"""Bad input, and what breaks: each is told in a condition that says what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from sophia_operator.api.cache_tier_status import NodeRole
from sophia_operator.api.conditions import ConditionStatus, ConditionType, Reason, find
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import NodeCommandResult, NodeVerb
from sophia_operator.core.cache.names import EXTERNAL as ADOPTED
from sophia_operator.core.cache.table import Table, TableFinding
from sophia_operator.core.cache.views import Link, TierObserved, TierView
from sophia_operator.core.decision import EventType
from sophia_operator.core.views import Blocker, PodProblem
from tests.support.cache_scene import (
    EXTERNAL,
    MANAGED,
    MEMORY,
    NOW,
    PRIMARY,
    REPLICA,
    TABLE,
    answers,
    condition,
    decide,
    failing,
    node,
    observed,
    settled,
    tier,
)

_QUOTA = {"name": "embeddings", "prefix": "emb", "maxMemoryMegabytes": 10}
See = Callable[[TierView, TierObserved], TierObserved]


@dataclass(frozen=True)
class Case:
    """What is bad, and what is to be told."""

    spec: Mapping[str, Any]
    see: See
    reason: Reason
    words: tuple[str, ...]
    kind: ConditionType = ConditionType.READY
    stalled: bool = False
    #: What else the spec has.
    fields: Mapping[str, Any] = field(default_factory=dict)


def _external(fault: CacheFault) -> See:
    return lambda _, seen: failing(seen, ADOPTED, fault)


def _primary(fault: CacheFault) -> See:
    """It answers, and refuses a write."""
    return lambda of, seen: answers(
        seen, PRIMARY, node(of, check_ms=None, check_failure=CacheFailure(fault, "its words"))
    )


def _table(fault: CacheFault) -> See:
    def see(_: TierView, seen: TierObserved) -> TierObserved:
        return replace(seen, kept=replace(seen.kept, table=TableFinding(NOW, CacheFailure(fault, "its words"))))

    return see


def _blocked(reason: Reason, message: str) -> See:
    return lambda _, seen: replace(seen, access=None, blockers=(Blocker(reason, message),))


def _below(*links: Link, cycle: bool = False) -> See:
    return lambda _, seen: replace(seen, below=links, cycle=cycle)


def _two_primaries(of: TierView, seen: TierObserved) -> TierObserved:
    return answers(seen, REPLICA, node(of, 1, role=NodeRole.PRIMARY, primary_host=None, link_up=False))


def _loading(of: TierView, seen: TierObserved) -> TierObserved:
    return failing(seen, PRIMARY, CacheFault.LOADING)


def _settings_refused(of: TierView, seen: TierObserved) -> TierObserved:
    seen = answers(seen, PRIMARY, node(of, settings={**node(of).settings, "maxclients": "1000"}))
    told = NodeCommandResult(NOW - timedelta(seconds=2), CacheFailure(CacheFault.OTHER, "too many open files"))
    return replace(seen, kept=replace(seen.kept, commands={(PRIMARY, NodeVerb.CONFIGURE.value): told}))


def _crashing(_: TierView, seen: TierObserved) -> TierObserved:
    assert seen.stateful_set is not None
    problem = PodProblem(Reason.CRASH_LOOP, "container redis exits with 1")
    return replace(seen, stateful_set=replace(seen.stateful_set, ready_pods=1, problem=problem))


_COLD = tier(MEMORY).spec
CASES = {
    "wrong password": Case(
        EXTERNAL,
        _external(CacheFault.AUTHENTICATION_FAILED),
        Reason.AUTHENTICATION_FAILED,
        ("redis.example.com:6379", "Secret redis-user", "its words"),
        stalled=True,
    ),
    "missing Secret": Case(
        EXTERNAL,
        _blocked(Reason.SECRET_NOT_FOUND, "Secret redis-user is not there: make it"),
        Reason.SECRET_NOT_FOUND,
        ("Secret redis-user is not there: make it", "the tier keeps what it has"),
        stalled=True,
    ),
    "pool not found": Case(
        TABLE,
        _blocked(Reason.POOL_NOT_FOUND, "ConnectionPool orders is not there: make it"),
        Reason.POOL_NOT_FOUND,
        ("ConnectionPool orders is not there: make it",),
        stalled=True,
    ),
    "unreachable": Case(
        EXTERNAL,
        _external(CacheFault.UNREACHABLE),
        Reason.NODE_UNREACHABLE,
        ("redis.example.com:6379 does not answer", "see whether it runs", "network"),
    ),
    "nothing listens": Case(
        EXTERNAL,
        _external(CacheFault.REFUSED),
        Reason.NODE_UNREACHABLE,
        ("nothing listens at redis.example.com:6379", "correct redis.external.host and port"),
    ),
    "host unknown": Case(
        EXTERNAL,
        _external(CacheFault.HOST_UNKNOWN),
        Reason.HOST_UNKNOWN,
        ("host redis.example.com is not known", "correct redis.external.host"),
        stalled=True,
    ),
    "no permission": Case(
        EXTERNAL,
        _external(CacheFault.NO_PERMISSION),
        Reason.NO_PERMISSION,
        ("does not let the user", "ACL SETUSER", "its words"),
        stalled=True,
    ),
    "TLS required": Case(
        EXTERNAL,
        _external(CacheFault.TLS_REQUIRED),
        Reason.TLS_REQUIRED,
        ("set redis.external.tls",),
        stalled=True,
    ),
    "TLS unavailable": Case(
        EXTERNAL,
        _external(CacheFault.TLS_UNAVAILABLE),
        Reason.TLS_UNAVAILABLE,
        ("remove redis.external.tls",),
        stalled=True,
    ),
    "certificate not trusted": Case(
        EXTERNAL,
        _external(CacheFault.TLS_UNTRUSTED),
        Reason.TLS_UNTRUSTED,
        ("redis.external.tls.caSecretRef",),
        stalled=True,
    ),
    "an adopted replica": Case(
        EXTERNAL,
        lambda of, seen: answers(seen, ADOPTED, node(of, role=NodeRole.REPLICA, check_ms=None)),
        Reason.READ_ONLY,
        ("is a replica and takes no writes", "name its primary in redis.external.host"),
    ),
    "adopted one reads its data": Case(EXTERNAL, _external(CacheFault.LOADING), Reason.LOADING, ("once it is done",)),
    "memory full": Case(
        MANAGED,
        _primary(CacheFault.OUT_OF_MEMORY),
        Reason.OUT_OF_MEMORY,
        (PRIMARY, "raise redis.managed.maxMemoryMegabytes", "its words"),
    ),
    "disk full": Case(
        MANAGED,
        _primary(CacheFault.PERSISTENCE_FAILED),
        Reason.PERSISTENCE_FAILED,
        (PRIMARY, "make its volume larger"),
    ),
    "read-only": Case(MANAGED, _primary(CacheFault.READ_ONLY), Reason.READ_ONLY, (PRIMARY, "takes no writes")),
    "loading": Case(MANAGED, _loading, Reason.LOADING, (PRIMARY, "once it is done")),
    "two primaries": Case(MANAGED, _two_primaries, Reason.TWO_PRIMARIES, (REPLICA,), kind=ConditionType.HEALTHY),
    "next not found": Case(
        MEMORY,
        _below(Link("cold", None)),
        Reason.TIER_NOT_FOUND,
        ("tier cold, which spec.next of hot names", "make it, or correct spec.next"),
        stalled=True,
        fields={"next": "cold"},
    ),
    "next of a tier below not found": Case(
        MEMORY,
        _below(Link("cold", _COLD), Link("ice", None)),
        Reason.TIER_NOT_FOUND,
        ("tier ice, which spec.next of cold names",),
        stalled=True,
        fields={"next": "cold"},
    ),
    "a circle of tiers": Case(
        MEMORY,
        _below(Link("cold", _COLD.model_copy(update={"next": "hot"})), cycle=True),
        Reason.CHAIN_CYCLE,
        ("hot -> cold -> hot", "take spec.next from one of them"),
        stalled=True,
        fields={"next": "cold"},
    ),
    "table of somebody else": Case(
        TABLE,
        _table(CacheFault.NOT_OURS),
        Reason.TABLE_NOT_OURS,
        ("table sophia_cache is there", "choose another name in postgresql.table"),
        stalled=True,
    ),
    "table of a newer operator": Case(
        TABLE, _table(CacheFault.NEWER_LAYOUT), Reason.TABLE_NOT_OURS, ("newer layout",), stalled=True
    ),
    "table may not be made": Case(
        TABLE, _table(CacheFault.NO_PERMISSION), Reason.NO_PERMISSION, ("GRANT", "sophia_cache"), stalled=True
    ),
    "database does not answer": Case(
        TABLE, _table(CacheFault.TIMEOUT), Reason.SERVER_UNREACHABLE, ("pool orders", "see what the pool says")
    ),
    "disk of the database full": Case(
        TABLE, _table(CacheFault.PERSISTENCE_FAILED), Reason.PERSISTENCE_FAILED, ("disk of the database", "make room")
    ),
    "an adopted one that answers something else": Case(
        EXTERNAL, _external(CacheFault.OTHER), Reason.NODE_UNREACHABLE, ("answers, and cannot be used", "its words")
    ),
    "nodes do not start": Case(
        MANAGED, _crashing, Reason.CRASH_LOOP, ("container redis exits with 1", "keeps what it has"), stalled=True
    ),
    "settings refused": Case(
        MANAGED,
        _settings_refused,
        Reason.CONFIG_PENDING,
        (PRIMARY, "maxclients", "too many open files", "correct the spec"),
        kind=ConditionType.LIVE_CONFIG_APPLIED,
        fields={"redis": {"managed": {"parameters": {"maxclients": "50000"}}}},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_told_with_what_to_do(name: str) -> None:
    case = CASES[name]
    of = settled(case.spec, **case.fields)
    decision = decide(of, case.see(of, observed(of)))
    told = condition(decision, case.kind)
    assert (told.status, told.reason) == (ConditionStatus.FALSE, case.reason), told.message
    for words in case.words:
        assert words in told.message
    assert "secret" not in told.message
    stalled = find(decision.status.conditions, ConditionType.STALLED)
    assert (stalled is not None) == case.stalled
    if stalled is not None:
        assert (stalled.reason, stalled.message) == (told.reason, told.message)


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.kind is ConditionType.READY])
def test_the_same_on_the_first_look(name: str) -> None:
    case = CASES[name]
    of = tier(case.spec, **case.fields)
    decision = decide(of, case.see(of, observed(of)))
    assert condition(decision, ConditionType.READY).status is ConditionStatus.FALSE


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.stalled])
def test_it_is_over_when_it_is_mended(name: str) -> None:
    case = CASES[name]
    of = settled(case.spec, **case.fields)
    bad = replace(of, status=decide(of, case.see(of, observed(of))).status)
    good = decide(bad, observed(bad))
    assert condition(good, ConditionType.READY).status is ConditionStatus.TRUE
    assert find(good.status.conditions, ConditionType.STALLED) is None


def test_a_host_that_was_known_a_moment_ago_is_no_mistake_yet() -> None:
    of = settled(EXTERNAL)
    seen = failing(observed(of), ADOPTED, CacheFault.HOST_UNKNOWN)
    found = seen.kept.nodes[ADOPTED]
    assert found.last_at is not None
    fresh = replace(found, last_at=NOW - timedelta(seconds=59))
    seen = replace(seen, kept=replace(seen.kept, nodes={ADOPTED: fresh}))
    decision = decide(of, seen)
    assert condition(decision, ConditionType.RECONCILING).reason == Reason.HOST_UNKNOWN
    assert condition(decision, ConditionType.READY).reason == Reason.HOST_UNKNOWN
    assert find(decision.status.conditions, ConditionType.STALLED) is None


def test_a_refused_flush_is_told_and_clients_are_served() -> None:
    of = settled(MANAGED, namespaces=[{"name": "embeddings", "prefix": "emb", "tags": ["ml"]}])
    wish = {"name": "model-7", "tag": "other"}
    of = replace(of, spec=of.spec.model_validate({**of.spec.to_dict(), "flush": wish}))
    decision = decide(of, observed(of))
    ready = condition(decision, ConditionType.READY)
    assert ready.status is ConditionStatus.TRUE
    assert "no namespace has the tag other; tags are: ml" in ready.message
    assert "nothing was deleted" in ready.message
    assert [(n.type, n.reason) for n in decision.notices] == [(EventType.WARNING, Reason.FLUSH_REFUSED.value)]
    after = replace(of, status=decision.status)
    assert decide(after, observed(after)).notices == ()


def test_over_quota_is_told_once_with_what_happens() -> None:
    of = settled(MANAGED, namespaces=[_QUOTA])
    assert condition(decide(of, observed(of)), ConditionType.WITHIN_QUOTA).reason == Reason.NOT_SCANNED
    (before,) = of.status.namespaces
    scanned = before.model_copy(update={"used_bytes": 12 * 1024 * 1024, "quota_percent": 120, "scanned_at": NOW})
    status = of.status.model_copy(update={"namespaces": [scanned], "scanned_at": NOW})
    over = replace(of, status=status)
    decision = decide(over, observed(over))
    quota = condition(decision, ConditionType.WITHIN_QUOTA)
    assert (quota.status, quota.reason) == (ConditionStatus.FALSE, Reason.OVER_QUOTA)
    assert "namespace embeddings uses 12 MiB of 10 MiB" in quota.message
    assert "raise its maxMemoryMegabytes" in quota.message
    assert [n.reason for n in decision.notices] == [Reason.OVER_QUOTA.value]
    assert condition(decision, ConditionType.READY).status is ConditionStatus.TRUE
    again = replace(over, status=decision.status)
    assert decide(again, observed(again)).notices == ()
    kept = decision.status.namespaces[0].model_copy(update={"quota_percent": 80})
    under = replace(over, status=decision.status.model_copy(update={"namespaces": [kept]}))
    assert [n.reason for n in decide(under, observed(under)).notices] == [Reason.QUOTAS_KEPT.value]


def test_a_write_that_was_refused_is_not_forgotten_by_a_look_without_one() -> None:
    of = settled()
    full = _primary(CacheFault.OUT_OF_MEMORY)(of, observed(of))
    refused = replace(of, status=decide(of, full).status)
    quick = answers(observed(of), PRIMARY, node(of, check_ms=None))
    assert condition(decide(refused, quick), ConditionType.READY).reason == Reason.OUT_OF_MEMORY
    assert condition(decide(refused, observed(of)), ConditionType.READY).status is ConditionStatus.TRUE


def test_a_table_that_refuses_the_check_serves_nobody() -> None:
    of = settled(TABLE)
    failure = CacheFailure(CacheFault.READ_ONLY, "its words")
    table = Table(1, 10, 0, 0, True, check_failure=failure)
    seen = observed(of, table=TableFinding(NOW, table))
    ready = condition(decide(of, seen), ConditionType.READY)
    assert (ready.status, ready.reason) == (ConditionStatus.FALSE, Reason.READ_ONLY)
    assert "name a pool of role ReadWrite in postgresql.poolRef" in ready.message


def test_a_replica_that_does_not_answer_is_told_and_clients_are_served() -> None:
    of = settled()
    decision = decide(of, failing(observed(of), REPLICA, CacheFault.TIMEOUT))
    healthy = condition(decision, ConditionType.HEALTHY)
    assert (healthy.status, healthy.reason) == (ConditionStatus.FALSE, Reason.NODE_UNREACHABLE)
    assert f"node {REPLICA} does not answer: see its log" in healthy.message
    assert condition(decision, ConditionType.RECONCILING).reason == Reason.NODE_UNREACHABLE
    assert condition(decision, ConditionType.READY).status is ConditionStatus.TRUE


def test_a_node_that_is_just_starting_is_not_told_as_one_that_does_not_answer() -> None:
    of = tier()
    seen = failing(observed(of), REPLICA, CacheFault.REFUSED)
    found = {**seen.kept.nodes, REPLICA: replace(seen.kept.nodes[REPLICA], last=None, last_at=None)}
    first, second = seen.nodes
    seen = replace(seen, nodes=(first, replace(second, ready=False)), kept=replace(seen.kept, nodes=found))
    assert condition(decide(of, seen), ConditionType.HEALTHY).reason != Reason.NODE_UNREACHABLE


@pytest.mark.parametrize(("most", "told"), [(64, True), (100, False), (0, False)])
def test_quotas_that_do_not_fit_into_an_adopted_redis_are_told(most: int, told: bool) -> None:
    namespaces = [{"name": n, "prefix": n, "maxMemoryMegabytes": 50} for n in ("a", "b")]
    of = settled(EXTERNAL, namespaces=namespaces)
    seen = answers(observed(of), ADOPTED, node(of, max_memory=most * 1024 * 1024))
    message = condition(decide(of, seen), ConditionType.WITHIN_QUOTA).message
    assert ("together quotas are 100 MiB, and maxmemory of redis.example.com:6379 is 64 MiB" in message) == told
    # While it does not answer, it is as big as it was.
    silent = failing(seen, ADOPTED, CacheFault.TIMEOUT)
    assert ("lower them, or raise that" in condition(decide(of, silent), ConditionType.WITHIN_QUOTA).message) == told
    # An operator that starts anew says what was said.
    known = replace(of, status=decide(of, seen).status)
    blind = replace(seen, kept=replace(seen.kept, nodes={}))
    assert condition(decide(known, blind), ConditionType.WITHIN_QUOTA).message == message
