"""What `kubectl sophia explain` says of a release that waits for a warm cache."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.api.managed_service import ManagedService
from sophia_operator.api.release import Release
from sophia_operator.core.explain import explain
from tests.support import objects

STAGE = {"index": 0, "weightPercent": 10, "startedAt": objects.ago(400), "effectiveAt": objects.ago(390)}
SAID = "CacheTier near has filled 40 % of what hello-2 reads, 80 % are needed; the warm-up is under way"


@pytest.mark.parametrize("reason", ["WarmingUp", "WarmUpFailed", "TierNotFound"])
@pytest.mark.parametrize(
    ("state", "status"),
    [("SmokeTesting", {"smokeTests": [{"name": "answers", "passed": True}]}), ("Shifting", {"stage": STAGE})],
)
def test_a_release_that_waits_for_its_cache_says_which_and_how_far(
    reason: str, state: str, status: dict[str, Any]
) -> None:
    told = objects.condition("Ready", "False", reason, SAID)
    release = Release.model_validate(objects.release(2, state, color="green", conditions=[told], **status))
    service = ManagedService.model_validate(objects.service(status={"rollout": {"name": "hello-2", "revision": 2}}))
    assert f"It waits for its cache to be warm: {SAID}." in explain(service, [release], objects.NOW)
