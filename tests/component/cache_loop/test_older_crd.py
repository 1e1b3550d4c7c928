"""A CRD that is older than the operator: the API server drops fields of the status without a word."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.ports import Object
from tests.support.fake_caches_harness import CacheHarness
from tests.support.fake_cluster import FakeCluster


def without(field: str, patch: pytest.MonkeyPatch) -> None:
    """The CRD has no such field."""
    apply = FakeCluster.apply_status

    async def pruned(cluster: FakeCluster, obj: Object) -> Object:
        status: dict[str, Any] = {key: value for key, value in obj["status"].items() if key != field}
        return await apply(cluster, {**obj, "status": status})

    patch.setattr(FakeCluster, "apply_status", pruned)


@pytest.mark.parametrize("field", ["guarded", "scale"])
async def test_what_is_not_kept_is_not_written_again_and_again(
    field: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(field, monkeypatch)
    harness = CacheHarness()
    await harness.run(40)
    assert harness.settled(), harness.describe()
    before = len(harness.cluster.writes)
    await harness.run(30, every=2.0)
    assert [(c.verb, c.kind) for c in harness.cluster.writes[before:]] == []
    assert "update the CRD" in caplog.text
    assert not getattr(harness.status(), field)
    # The rest is written all the same.
    harness.change(paused=True)
    await harness.run_until(lambda: harness.is_true("Paused"))


async def test_a_status_that_somebody_else_sets_back_is_written_again() -> None:
    harness = CacheHarness()
    await harness.run_until(lambda: harness.settled() and harness.status().guarded)
    for _ in range(2):
        harness.cluster.edit("CacheTier", "hot", lambda o: o["status"].update(guarded=False))
        assert not harness.status().guarded
        await harness.run_until(lambda: harness.status().guarded)
    assert harness.settled(), harness.describe()
