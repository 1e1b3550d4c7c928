"""The benchmarks run, small: what they measure is there, and the operator that they measure works."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from bench import figures, overhead, scale
from tests.support.apiserver import apiserver as apiserver  # noqa: PLC0414 - a fixture, handed on by its name

pytestmark = pytest.mark.apiserver


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, apiserver: Any) -> None:
    """Figures of tests are no figures. The fixture `apiserver` provides the programs beforehand."""
    monkeypatch.setattr(figures, "OUT", tmp_path)


def test_scale(capsys: pytest.CaptureFixture[str]) -> None:
    found = scale.run(replace(scale.QUICK, services=6, settle_minutes=1 / 60, idle_seconds=0.5, changes=3), print)
    assert found["objects"]["ManagedService"] == 6
    assert found["objects"]["Pod"] == 12
    assert found["warmStart"]["writes"] == 0
    assert found["settled"]["passes"] == 0
    assert found["settled"]["rss_mib"] > 10
    assert found["resize"]["requests"]["apply Deployment"] == 3
    assert found["newRelease"]["requests"]["create Release"] == 3
    assert 0 < found["newRelease"]["reaction"][0]["p50"] < found["newRelease"]["reaction"][1]["max"]
    assert "6 services settled" in capsys.readouterr().out


async def test_requests_of_a_rollout() -> None:
    found = await asyncio.wait_for(overhead.count_requests(overhead.QUICK, print), 90)
    change = found["rollout"]
    assert change["byVerb"]["create releases"] == 1
    assert change["byVerb"]["apply httproutes"] >= 2  # for the smoke test, and for the stage
    assert change["agreement"]["auditLog"] == change["agreement"]["apiserverRequestTotal"]
    assert change["time"]["stages"] == 1
    assert found["settled"]["besideTheLease"] == 0
