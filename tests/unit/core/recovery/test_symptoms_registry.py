"""Each symptom has its check, checks are asked of what policies select, and nothing else knows a symptom."""

from __future__ import annotations

import ast
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from sophia_operator.api.conditions import ConditionType
from sophia_operator.api.recovery_policy import Rule
from sophia_operator.api.recovery_values import SYMPTOM_KINDS, Symptom, TargetKind
from sophia_operator.core import recovery
from sophia_operator.core.recovery.role_health import ROLE, healthy_by_role
from sophia_operator.core.recovery.symptoms import CHECKS, read
from sophia_operator.core.recovery.views import CrashingPod, Sign, TargetView
from tests.support.symptom_scene import START, at, look, model, policy, pool, route, said, tier

POOLS = {"kind": "ConnectionPool"}
LOST = Symptom.CONNECTION_LOST
LAG = Symptom.REPLICATION_LAG


def test_each_symptom_has_a_check_and_kinds() -> None:
    assert set(CHECKS) == set(Symptom) == set(SYMPTOM_KINDS)
    assert len(set(CHECKS.values())) == len(Symptom)


@pytest.mark.parametrize("symptom", [s for s in Symptom if s is not Symptom.POD_CRASH_LOOP])
def test_of_a_target_that_was_never_looked_at_nothing_can_be_told(symptom: Symptom) -> None:
    by_kind = {
        TargetKind.CONNECTION_POOL: pool(observedGeneration=0),
        TargetKind.CACHE_TIER: tier(observedGeneration=0),
        TargetKind.MODEL_ROUTE: route(observedGeneration=0),
    }
    for kind in SYMPTOM_KINDS[symptom]:
        assert look(by_kind[kind], symptom).present is None


def test_pods_crash_whatever_the_status_says() -> None:
    crashing = (CrashingPod("db-1", "u1", 4, "exit code 1"), CrashingPod("db-0", "u0", 7, "out of memory"))
    sign = look(replace(pool(), crashing=crashing), Symptom.POD_CRASH_LOOP)
    assert (sign.present, sign.value) == (True, 7.0)
    assert "db-0 crashes again and again: out of memory" in sign.message
    assert look(pool(), Symptom.POD_CRASH_LOOP).present is False


def test_policies_select_by_kind_name_labels_and_namespace() -> None:
    loud = replace(pool(name="loud"), labels={"team": "a", "tier": "1"})
    quiet = replace(pool(name="quiet"), labels={"team": "b"})
    going = replace(pool(name="going"), deleting=True)
    away = replace(pool(name="away"), namespace="other")
    policies = (
        policy("all", POOLS, symptoms=(LOST,)),
        policy("named", {**POOLS, "names": ["quiet", "going"]}, symptoms=(LOST,)),
        policy("labelled", {**POOLS, "matchLabels": {"team": "a", "tier": "1"}}, symptoms=(LOST,)),
        policy("neither", {**POOLS, "names": ["quiet"], "matchLabels": {"team": "a"}}, symptoms=(LOST,)),
        policy("tiers", {"kind": "CacheTier"}, symptoms=(Symptom.HIGH_MEMORY,)),
    )
    seen = read((quiet, going, away, loud, tier()), policies, START)
    assert {name: [key[1] for key in keys] for name, keys in seen.selected.items()} == {
        "all": ["loud", "quiet"],
        "named": ["quiet"],
        "labelled": ["loud"],
        "neither": [],
        "tiers": ["hot"],
    }


def test_only_symptoms_that_the_kind_can_show_are_looked_for() -> None:
    both = policy("both", POOLS, {"kind": "CacheTier"}, symptoms=(LOST, Symptom.HIGH_MEMORY, Symptom.POD_CRASH_LOOP))
    seen = read((pool(), tier()), (both,), START).seen
    assert [(s.target[1], s.symptom) for s in seen] == [
        ("hot", Symptom.HIGH_MEMORY),
        ("hot", Symptom.POD_CRASH_LOOP),
        ("db", LOST),
        ("db", Symptom.POD_CRASH_LOOP),
    ]
    assert {s.policy for s in seen} == {"both"}


def test_a_new_check_is_all_that_a_new_symptom_needs() -> None:
    def seen_at(target: TargetView, wish: Rule, now: datetime) -> Sign:
        return Sign(True, float(len(target.name)), f"{wish.symptom.value} at {now:%H:%M}")

    found = read((pool(),), (policy("p", POOLS, symptoms=(LAG,)),), at(60), {LAG: seen_at}).seen
    assert [s.sign for s in found] == [Sign(True, 2.0, "ReplicationLag at 12:01")]


def test_nothing_but_checks_knows_a_symptom_by_its_name() -> None:
    root = Path(recovery.__path__[0])
    named = [
        f"{path.relative_to(root)}: {node.attr}"
        for path in sorted(root.rglob("*.py"))
        if "symptoms" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Symptom"
    ]
    assert named == []


def test_each_kind_says_whether_it_is_healthy_by_its_role() -> None:
    assert set(ROLE) == set(TargetKind)
    well = pool(said("Ready", "True", "PoolReady"), said("RoleCorrect", "True", "RoleVerified"))
    assert healthy_by_role(well) is True
    assert healthy_by_role(pool(said("Ready", "True", "PoolReady"), said("Healthy", "False", "Slow"))) is None
    wrong = pool(said("Ready", "True", "PoolReady"), said("RoleCorrect", "False", "WrongRole"))
    assert healthy_by_role(wrong) is False
    older = pool(said("Ready", "True", "PoolReady"), said("RoleCorrect", "True", "RoleVerified", generation=2))
    assert healthy_by_role(older) is None
    assert healthy_by_role(tier(said("Ready", "False", "OutOfMemory"))) is False
    assert healthy_by_role(tier(said("Ready", "Unknown", "NotChecked"))) is None


@pytest.mark.parametrize("missing", [None, *ROLE[TargetKind.MODEL_ROUTE]])
def test_a_route_is_healthy_once_its_model_is_and_it_is_proved(missing: ConditionType | None) -> None:
    conditions = tuple(
        said(kind.value, "False" if kind is missing else "True", "Proved") for kind in ROLE[TargetKind.MODEL_ROUTE]
    )
    assert healthy_by_role(route(model("large", "Healthy"), conditions=conditions)) is (missing is None)
