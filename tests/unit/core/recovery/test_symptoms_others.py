"""What is wrong with tiers of caches, and with the model that serves a route."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.api.recovery_values import Symptom
from tests.support.symptom_scene import look, model, route, said, tier

MEMORY = Symptom.HIGH_MEMORY
TIMEOUT = Symptom.MODEL_TIMEOUT
WELL = said("Healthy", "True", "ChecksPassed")


def namespace(name: str, percent: int | None = None, ratio: int | None = None) -> dict[str, Any]:
    return {"name": name, "quotaPercent": percent, "hitRatioPercent": ratio}


@pytest.mark.parametrize(
    ("used", "quota", "present", "value"),
    [
        ("240Mi/256Mi", None, True, 93.8),
        ("128Mi/256Mi", 40, False, None),
        ("128Mi/256Mi", 97, True, 97.0),
        ("128Mi", 97, True, 97.0),
        ("128Mi", None, None, None),
        (None, None, None, None),
    ],
)
def test_memory_that_is_almost_in_use(used: str | None, quota: int | None, present: bool | None, value: Any) -> None:
    sign = look(tier(WELL, used=used, primary="hot-cache-0", namespaces=[namespace("emb", quota)]), MEMORY)
    assert (sign.present, sign.value) == (present, value)


def test_the_rule_says_how_much_is_too_much() -> None:
    half = tier(WELL, used="140Mi/256Mi", primary="hot-cache-0")
    assert look(half, MEMORY).present is False
    sign = look(half, MEMORY, thresholdPercent=50)
    assert (sign.present, sign.message) == (True, "the memory of hot-cache-0 uses 50 % or more of what it may")


def test_writes_that_are_refused_for_memory_are_enough() -> None:
    sign = look(tier(said("Healthy", "False", "OutOfMemory"), used="128Mi"), MEMORY)
    assert (sign.present, sign.value, sign.message) == (True, 100.0, "it is OutOfMemory")


def test_the_memory_of_clients_is_their_own() -> None:
    assert look(tier(WELL, spec={"level": "Memory"}), MEMORY).present is False


def test_of_an_older_spec_and_before_the_first_look_nothing_is_known() -> None:
    older = tier(said("Healthy", "True", "ChecksPassed", generation=2), used="250Mi/256Mi")
    assert look(older, MEMORY).present is None
    assert look(tier(said("Healthy", "Unknown", "NotChecked"), used="250Mi/256Mi"), MEMORY).present is None


def test_a_cache_that_answers_too_little() -> None:
    low, spec = (
        said("HitRatioOnTarget", "False", "HitRatioLow"),
        {
            "level": "Redis",
            "redis": {"managed": {}},
            "hitRatioTargetPercent": 80,
        },
    )
    found = tier(low, spec=spec, hitRatioPercent=75, namespaces=[namespace("emb", ratio=60), namespace("web")])
    sign = look(found, Symptom.CACHE_HIT_RATIO_LOW)
    assert (sign.present, sign.value) == (True, 20.0)
    reached = tier(said("HitRatioOnTarget", "True", "HitRatioReached"))
    assert look(reached, Symptom.CACHE_HIT_RATIO_LOW).present is False
    unread = tier(said("HitRatioOnTarget", "Unknown", "NoReads"))
    assert look(unread, Symptom.CACHE_HIT_RATIO_LOW).present is None


@pytest.mark.parametrize("state", ["Failing", "Unhealthy"])
@pytest.mark.parametrize("reason", ["ModelFailed", "ModelSlow", "ModelErrors", "ServerUnreachable"])
def test_the_model_that_serves_fails(state: str, reason: str) -> None:
    bad = model("large", state, reason=reason, message="no answer", failures=5)
    sign = look(route(bad, model("small", "Healthy")), TIMEOUT)
    assert (sign.present, sign.value, sign.message) == (True, 25.0, f"model large is {state}: no answer")


@pytest.mark.parametrize(
    ("state", "reason"),
    [("Paused", "RateLimited"), ("Refused", "CredentialsRefused"), ("Failing", "RateLimited"), ("Healthy", None)],
)
def test_limits_of_the_provider_and_credentials_are_no_time_outs(state: str, reason: str | None) -> None:
    assert look(route(model("large", state, reason=reason), model("small", "Healthy")), TIMEOUT).present is False


def test_another_model_that_fails_is_none_of_it() -> None:
    assert look(route(model("large", "Healthy"), model("small", "Unhealthy")), TIMEOUT).present is False


def test_all_models_down_counts() -> None:
    sign = look(route(model("large", "Paused"), model("small", "Unhealthy", failures=20)), TIMEOUT)
    assert sign.present is True
    assert sign.message.startswith("no model may be chosen; model large is Paused")
    refused = route(model("large", "Refused"), model("small", "Refused"))
    assert look(refused, TIMEOUT).present is False


def test_models_that_were_not_asked_yet() -> None:
    assert look(route(model("large", "Unknown"), model("small", "Unknown")), TIMEOUT).present is None
    assert look(route(), TIMEOUT).present is None
    assert look(route(model("large", "Failing"), observedGeneration=2), TIMEOUT).present is None
    unasked = route(model("large", "Failing", requests=0))
    assert look(unasked, TIMEOUT).value is None
