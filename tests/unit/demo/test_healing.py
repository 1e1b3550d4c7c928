"""The fault that heals itself, as the demo plays, judges and shows it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console

from hack.demo import __main__ as demo
from hack.demo import result, show_healing
from hack.demo.healing_figures import GOAL_SECONDS, HealingFigures
from tests.unit.demo.fake_healing import action, at
from tests.unit.demo.fakes import FakeCluster

Json = dict[str, Any]
QUICK = ("--rate", "1")


def figures() -> Json:
    found: Json = json.loads(result.OUT.read_text())
    return found


def test_it_is_the_last_act_and_its_figures_are_told(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(QUICK) == 0
    done = cluster.healing.done
    assert done[:2] == ["policy for ConnectionPool: SlowQueries", "watches 1"]
    assert sorted(done[2:-1]) == ["block", *["sell"] * 5]
    assert done[-1] == "CancelStatement helped"
    told = figures()["healing"]
    assert (told["acts"], told["verified"], told["skipped"]) == (1, "Helped", None)
    out = capsys.readouterr().out
    assert "A fault that heals itself" in out
    assert "5 users want to write to that row, and wait." in out
    assert "act CancelStatement: Succeeded, Helped: gone" in out


@pytest.mark.parametrize(
    "acts", [[], [action(), action()], [action("Failed", "NoChange")]], ids=["none", "two", "no help"]
)
def test_demo_is_not_good_without_one_act_that_helped(cluster: FakeCluster, acts: list[Json]) -> None:
    cluster.healing.wanted = acts
    assert demo.main(QUICK) == 1
    assert figures()["failure"] is None


def test_users_who_are_never_served_end_the_demo(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    def helping() -> None:
        raise TimeoutError("waited 90 s for CancelStatement")

    cluster.healing.helping = helping
    assert demo.main(QUICK) == 1
    assert figures()["failure"] == "waited 90 s for CancelStatement"
    assert "error: waited 90 s for CancelStatement" in capsys.readouterr().err


def made(**changes: Any) -> HealingFigures:
    values: dict[str, Any] = {"blocked_at": 100.0, "freed_at": 108.0, "ended": "cancelled", "skipped": None}
    return HealingFigures.of([action(claimedAt="1970-01-01T00:01:47Z")], **values | changes)


def test_figures_are_counted_from_when_users_had_to_wait() -> None:
    assert made().is_good
    assert made().to_json() == {
        "actedSeconds": 7.0,
        "freedSeconds": 8.0,
        "verified": "Helped",
        "acts": 1,
        "skipped": None,
    }
    assert ("from when users had to wait until the operator acted", "7.0 s") in made().rows()


@pytest.mark.parametrize("changes", [{"freed_at": 100 + GOAL_SECONDS + 1}, {"freed_at": None}, {"ended": None}])
def test_late_or_unfinished_is_not_good(changes: Json) -> None:
    assert not made(**changes).is_good


def test_what_this_machine_cannot_see_is_no_failure() -> None:
    left_out = HealingFigures.of([], blocked_at=None, freed_at=None, ended=None, skipped="no way to pods")
    assert left_out.is_good
    assert left_out.rows() == [("the fault that heals itself", "left out: no way to pods")]


class Seen:
    """A policy that sees a symptom, and the act that follows."""

    name = "self-healing"

    def __init__(self) -> None:
        self.looks = 0

    def policy(self) -> Json:
        symptom = {
            "kind": "ConnectionPool",
            "name": "orders",
            "symptom": "SlowQueries",
            "since": at(-3),
            "reason": "SymptomIsNew",
        }
        return {
            "apiVersion": "sophia.ai/v1alpha1",
            "kind": "RecoveryPolicy",
            "metadata": {"name": "self-healing", "namespace": "sophia-demo"},
            "spec": {
                "targets": [{"kind": "ConnectionPool"}],
                "rules": [{"symptom": "SlowQueries", "escalation": [{"action": "CancelStatement"}]}],
            },
            "status": {"symptoms": [symptom]},
        }

    def action(self) -> Json | None:
        self.looks += 1
        return action() if self.looks > 1 else None

    def steps(self) -> list[tuple[float, str]]:
        return [(0.0, "a row is [held]")]


@pytest.mark.parametrize("terminal", [True, False])
def test_what_is_seen_and_done_is_shown(terminal: bool) -> None:
    file, seen = io.StringIO(), Seen()
    console = Console(file=file, force_terminal=terminal, width=140, color_system=None)
    show_healing.watch_healing(console, seen, lambda: seen.looks >= 2, seconds=20.0)  # type: ignore[arg-type]
    said = file.getvalue()
    assert "a row is [held]" in said
    assert ("pg_cancel_backend: process 7" if terminal else "act CancelStatement: Succeeded, Helped: gone") in said
    if not terminal:
        assert "policy: SlowQueries of orders: SymptomIsNew" in said
