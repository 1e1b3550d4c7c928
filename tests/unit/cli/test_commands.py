"""The frame of the command line: options, output forms, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.objects import LATCHED, ROLLING, SETTLED, release, rolled_back, service, shifting, stable
from tests.unit.cli.conftest import Run

ROLLING_NOW: list[dict[str, Any]] = [service(status=ROLLING), stable(), shifting()]
LATCHED_NOW: list[dict[str, Any]] = [service(status=LATCHED), stable(), rolled_back()]


@pytest.mark.parametrize(
    "arguments",
    [["-n", "chat", "get"], ["get", "-n", "chat"], ["get", "--namespace=chat"], ["-n", "shop", "get", "-n", "chat"]],
)
def test_global_options_stand_before_or_after_the_command(run: Run, arguments: list[str]) -> None:
    objects = [service(status=SETTLED), service(name="other", metadata={"namespace": "chat"})]
    out = run(*arguments, objects=objects).out
    assert "other" in out
    assert "hello" not in out


@pytest.mark.parametrize("command", ["get", "status", "explain", "history", "pause", "rollback", "lint"])
def test_every_command_explains_itself(run: Run, command: str) -> None:
    ran = run(command, "--help")
    assert ran.code == 0
    assert "--namespace" in ran.out


def test_the_help_names_the_exit_codes(run: Run) -> None:
    out = " ".join(run("--help").out.split())
    assert "Exit codes: 0 all is well; 1 the answer is bad" in out
    assert "2 wrong usage, not found" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["status", "hello", "--nonsense"],
        ["nonsense"],
        ["get", "-o", "yaml"],
        ["rollback", "hello", "--to", "x"],
        ["status", "hello", "--timeout", "5"],
        ["status", "hello", "--wait", "--timeout", "0"],
    ],
)
def test_wrong_usage_is_exit_code_2(run: Run, arguments: list[str]) -> None:
    ran = run(*arguments, objects=ROLLING_NOW)
    assert ran.code == 2
    assert ran.err


@pytest.mark.parametrize("command", ["status", "explain", "history", "pause", "resume", "abort", "retry", "rollback"])
def test_a_missing_service_is_exit_code_2(run: Run, command: str) -> None:
    ran = run(command, "nobody", objects=ROLLING_NOW)
    assert ran.code == 2
    assert "error: ManagedService shop/nobody: not found" in ran.err


def test_an_object_of_a_newer_version_is_an_error_and_no_traceback(run: Run) -> None:
    ran = run("status", "hello", objects=[service(status=SETTLED), release(9, "Levitating")])
    assert ran.code == 2
    assert "Release hello-9 cannot be read at status.state" in ran.err
    assert "newer" in ran.err


def test_fields_of_a_newer_version_do_no_harm(run: Run) -> None:
    objects = [service(status={**SETTLED, "mood": "good"}, spec={"color": "red"}), stable(novelty=1)]
    assert run("status", "hello", objects=objects).code == 0


def test_health_decides_the_exit_code(run: Run) -> None:
    for command in ("status", "explain"):
        assert run(command, "hello", objects=ROLLING_NOW).code == 0
        assert run(command, "hello", objects=LATCHED_NOW).code == 1


def test_json_is_whole_and_plain(run: Run) -> None:
    objects = [*ROLLING_NOW, service(name="other")]
    assert [o["metadata"]["name"] for o in json.loads(run("get", "-o", "json", objects=objects).out)["items"]] == [
        "hello",
        "other",
    ]
    assert json.loads(run("get", "hello", "-o", "json", objects=objects).out) == objects[0]
    status = json.loads(run("status", "hello", "-o", "json", objects=LATCHED_NOW, terminal=True, width=20).out)
    assert status == {"healthy": False, "service": LATCHED_NOW[0], "releases": LATCHED_NOW[1:]}
    words = json.loads(run("explain", "hello", "-o", "json", objects=LATCHED_NOW).out)
    assert words["healthy"] is False
    assert any("retry" in line for line in words["explanation"])
    history = json.loads(run("history", "hello", "-o", "json", objects=LATCHED_NOW).out)
    assert [o["metadata"]["name"] for o in history["items"]] == ["hello-2", "hello-3"]


def test_nothing_to_list_is_said(run: Run) -> None:
    assert "no ManagedServices in namespace shop" in run("get").out
    assert "no releases yet" in run("history", "hello", objects=[service()]).out


def test_lint_tells_what_is_wrong_and_where(run: Run, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(json.dumps(service()))
    bad.write_text(json.dumps(service(spec={"replicas": -1})))
    assert run("lint", str(good)).code == 0
    ran = run("lint", str(good), str(bad))
    assert ran.code == 1
    assert f"{bad}:1:" in ran.out
    assert run("lint", str(tmp_path / "absent.yaml")).code == 2


def test_explanations_are_folded_for_people_only(run: Run) -> None:
    piped = run("explain", "hello", objects=LATCHED_NOW, width=40).out.splitlines()
    assert max(len(line) for line in piped) > 80
    folded = run("explain", "hello", objects=LATCHED_NOW, width=40, terminal=True).out.splitlines()
    assert max(len(line.rstrip()) for line in folded) <= 40
