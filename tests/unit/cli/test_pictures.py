"""The pictures that people see, drawn at a fixed width and time.

`UPDATE_GOLDEN=1 pytest tests/unit/cli` writes the files anew; review happens in the diff.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import pytest

from sophia_operator.api.release import ReleaseState
from tests.support.objects import (
    LATCHED,
    ROLLING,
    SETTLED,
    ago,
    condition,
    gate,
    release,
    rolled_back,
    service,
    shifting,
    stable,
    status_of,
)
from tests.unit.cli.conftest import Run

FOLDER: Final = Path(__file__).parent / "pictures"

SMOKE: Final = release(
    1,
    "SmokeTesting",
    color="blue",
    stateSince=ago(5),
    smokeTests=[{"name": "answers", "passed": False, "attempts": 2, "message": "status 500, 200 wanted"}],
)
FIRST: Final = status_of(
    condition("Ready", "False", "SmokeTesting", "release hello-1: smoke tests to pass: answers"),
    condition("Reconciling", "True", "SmokeTesting", "release hello-1: smoke tests to pass: answers"),
    condition("Available", "False", "NoRelease", "no release serves yet"),
    replicas=0,
    readyReplicas=0,
)
PAUSED: Final = status_of(
    condition("Ready", "False", "InconclusiveLimit", "release hello-3: gate success-rate: no verdict in 21 looks"),
    condition("Paused", "True", "InconclusiveLimit", "release hello-3: gate success-rate: no verdict in 21 looks"),
    stable=SETTLED["stable"],
    rollout=ROLLING["rollout"],
)
ASKED: Final = status_of(
    condition("Ready", "False", "PausedByIntent", "release hello-3: asked to pause: lunch"),
    condition("Paused", "True", "PausedByIntent", "release hello-3: asked to pause: lunch"),
    stable=SETTLED["stable"],
    rollout=ROLLING["rollout"],
)
OUTAGE: Final = condition("MetricsAvailable", "False", "MetricsUnavailable", "Prometheus: connection refused")
PAUSE: Final = {
    "since": ago(30),
    "reason": "InconclusiveLimit",
    "message": "gate success-rate: no verdict in 21 looks",
    "generation": 1,
}
BLIND: Final = [gate("success-rate", "Inconclusive", inconclusives=21, message="Prometheus: connection refused")]
DOUBT: Final = [
    gate("success-rate", "Inconclusive", inconclusives=4, requests=3, message="3 requests, 100 needed"),
    gate("latency-p95", "Fail", value="312.5", baseline="171", requests=900, failures=1, message="312.5 ms"),
]

NO_GATEWAY: Final = "Gateway edge/sophia does not exist; hello-2 keeps serving"
BLOCKED: Final = status_of(
    condition("Ready", "False", "GatewayNotFound", NO_GATEWAY),
    condition("Stalled", "True", "GatewayNotFound", NO_GATEWAY),
    stable=SETTLED["stable"],
    rollout={"name": "hello-3", "revision": 3, "phase": "Pending"},
)
STARVED: Final = status_of(
    condition("Ready", "False", "NotReady", "0 of 2 pods of hello-2 are ready"),
    condition("Reconciling", "True", "NotReady", "0 of 2 pods of hello-2 are ready"),
    condition("Available", "False", "StableNotReady", "hello-2 has no ready pods"),
    condition("DrainSafe", "False", "GraceTooShort", "the grace period of 5 s is shorter than drainSeconds"),
    readyReplicas=0,
)
PULLING: Final = release(
    3,
    "Provisioning",
    color="green",
    stateSince=ago(90),
    startedAt=ago(90),
    conditions=[condition("Ready", "False", "ImagePullFailed", "0 of 2 pods are ready: cannot pull localhost/hello:3")],
)
RETURNING: Final[dict[str, Any]] = {
    "phase": "RollingBack",
    "state": "RollingBack",
    "outcome": {"state": "RolledBack", "reason": "Aborted", "message": "asked to abort: p99 doubled"},
    "conditions": [condition("Ready", "False", "RollingBack", "metrics: 4 of 180 requests at green, 0 % wanted")],
}
UNGATED: Final = shifting(gates=[])
UNGATED["spec"]["snapshot"]["plan"]["gates"] = []
TRIAL: Final = [gate("success-rate", "Pass", value="100", requests=900), gate("queue", "Fail", value="7", dryRun=True)]

SCENES: Final[dict[str, list[dict[str, Any]]]] = {
    "unseen": [service()],
    "first": [service(status=FIRST), SMOKE],
    "settled": [service(status=SETTLED), stable()],
    "kept": [
        service(status={**SETTLED, "previous": {"name": "hello-1", "revision": 1}}),
        stable(1, promoted=9000, color="green"),
        stable(promoted=100),
    ],
    "shifting": [service(status=ROLLING), stable(), shifting()],
    "unobserved": [
        service(status=ROLLING),
        stable(),
        shifting(
            effective=None,
            gates=[],
            weights={
                "wantedPercent": 25,
                "writtenPercent": 25,
                "message": "the gateway has not taken up the route yet",
            },
        ),
    ],
    "doubtful": [service(status=ROLLING), stable(), shifting(gates=DOUBT)],
    "over-but-holding": [service(status=ROLLING), stable(), shifting(effective=400, gates=DOUBT[:1])],
    "paused-by-operator": [
        service(status=PAUSED),
        stable(),
        shifting(pause=PAUSE, phase="Paused 25%", gates=BLIND, conditions=[OUTAGE]),
    ],
    "paused-by-person": [
        service(status=ASKED),
        stable(),
        shifting(spec={"intent": "Pause", "reason": "lunch [bob, 2026-03-02T03:00:00Z]"}, phase="Paused 25%"),
    ],
    "held-by-service": [service(spec={"paused": True}, status=ROLLING), stable(), shifting()],
    "blocked": [service(status=BLOCKED), stable(), release(3, "Pending")],
    "starved": [service(status=STARVED), stable()],
    "pulling": [service(status=ROLLING), stable(), PULLING],
    "rolling-back": [service(status=ROLLING), stable(), shifting(**RETURNING)],
    "dry-run": [service(status=ROLLING), stable(), shifting(gates=TRIAL)],
    "unlooked": [service(status=ROLLING), stable(), shifting(gates=[])],
    "without-gates": [service(status=ROLLING), stable(), UNGATED],
    "rolled-back": [service(status=LATCHED), stable(), rolled_back()],
    "retried": [
        service(status=ROLLING),
        stable(),
        shifting(attempt=2, spec={"intent": "Retry", "reason": "flaky node"}),
    ],
}


def compare(name: str, text: str) -> None:
    file = FOLDER / f"{name}.txt"
    trimmed = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        FOLDER.mkdir(exist_ok=True)
        file.write_text(trimmed)
    assert trimmed == file.read_text()


@pytest.mark.parametrize("name", SCENES)
def test_status_and_explanation(run: Run, name: str) -> None:
    status = run("status", "hello", objects=SCENES[name])
    words = run("explain", "hello", objects=SCENES[name])
    assert status.code == words.code
    text = "".join(f"* {line}\n" for line in words.out.splitlines())
    compare(name, f"exit code {status.code}\n\n{status.out}\n{text}")


RELEASES: Final = [*SCENES["rolled-back"], stable(1, color="green")]
STATES: Final = [state.value for state in ReleaseState]


@pytest.mark.parametrize("state", STATES)
def test_a_status_that_says_next_to_nothing_is_still_explained(run: Run, state: str) -> None:
    """An operator that was killed between two writes, or a newer one, may leave any part of a status out."""
    for bare in (release(3, state), shifting(state=state), rolled_back(state=state)):
        sparse: list[dict[str, Any] | None] = [None, {}, {"conditions": []}, ROLLING]
        for status in sparse:
            objects = [service(status=status), bare]
            assert run("explain", "hello", objects=objects).out.strip()
            assert run("status", "hello", objects=objects).out.strip()
            assert run("history", "hello", objects=objects).code == 0


def test_every_picture_is_of_a_scene() -> None:
    assert {file.stem for file in FOLDER.glob("*.txt")} == {*SCENES, "get", "history", "narrow"}


def test_a_narrow_terminal_loses_nothing(run: Run) -> None:
    out = run("status", "hello", objects=SCENES["doubtful"], width=72).out
    compare("narrow", out)
    assert all(len(line.rstrip()) <= 72 for line in out.splitlines())


def test_the_list_of_services(run: Run) -> None:
    objects = [service(status=ROLLING), service(name="other", metadata={"namespace": "chat"}), service(name="new")]
    compare("get", run("get", "-A", objects=objects).out)


def test_the_history(run: Run) -> None:
    compare("history", run("history", "hello", objects=RELEASES, terminal=True).out)


def test_a_narrow_terminal_loses_columns_of_the_history_but_no_part_of_a_name(run: Run) -> None:
    lines = run("history", "hello", objects=RELEASES, terminal=True, width=62).out.splitlines()
    assert lines[0].split() == ["RELEASE", "STATE", "REASON", "STARTED", "TOOK"]
    assert lines[1].startswith("hello-3  RolledBack        GateFailed  5 min ago")


def test_a_pipe_gets_the_history_whole(run: Run) -> None:
    lines = run("history", "hello", objects=RELEASES, width=40).out.splitlines()
    assert len(lines) == 1 + 3
    assert lines[1].rstrip().endswith("418 requests succeeded, at least 99 % wanted")
