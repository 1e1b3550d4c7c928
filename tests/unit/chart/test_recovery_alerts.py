"""When the chart's alerts about recovery fire, and what the documented rules say, as Prometheus's own rule tester sees
it."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus
from sophia_operator.runtime.telemetry_recovery import RecoveryTelemetry
from tests.support.promtool import STEP, check_rules
from tests.support.recovery_scene import act, incident, policy
from tests.unit.chart.test_pool_alerts import check, firing

_POLICY = 'namespace="shop",policy="pools"'
_SPACE = 'namespace="shop"'
_ACT = 'namespace="shop",action="RefreshPlans"'
_KIND = 'receiver_kind="Slack"'
_PAGE = Path(__file__).resolve().parents[3] / "docs/how-to/recovery-metrics.md"


@dataclass(frozen=True)
class Story:
    """Samples of a metric, one each 30 s in promtool's notation, and when the alert begins to fire."""

    alert: str
    metric: str
    samples: str
    fires_at: float | None
    """Minutes from the start; None when it must never fire."""
    told: str = _POLICY
    #: Labels beside those that the alert keeps.
    more: str = 'pod="a"'


_UNKNOWN = 'symptom="SlowQueries",result="Unknown"'
_ACTS, _SIGNALS = "sophia_recovery_acts_total", "sophia_recovery_signals_total"
STORIES = {
    "gave up": Story("SophiaRecoveryGaveUp", "sophia_recovery_gave_up", "0x9 1x60", 5),
    "did not give up": Story("SophiaRecoveryGaveUp", "sophia_recovery_gave_up", "0x60", None),
    "a storm": Story("SophiaRecoveryStorm", "sophia_recovery_storm", "0x9 1x60", 6),
    "no storm": Story("SophiaRecoveryStorm", "sophia_recovery_storm", "0x9 1 0x60", None),
    "nobody answers": Story(
        "SophiaRecoveryAwaitsApproval", "sophia_recovery_awaiting_approval", "0x9 2x60", 20, _SPACE
    ),
    "somebody answers": Story(
        "SophiaRecoveryAwaitsApproval", "sophia_recovery_awaiting_approval", "0x9 1x28 0x60", None, _SPACE
    ),
    "the first unknown": Story("SophiaRecoveryOutcomeUnknown", _ACTS, "_x10 1x28", 5, _ACT, _UNKNOWN),
    "another unknown": Story("SophiaRecoveryOutcomeUnknown", _ACTS, "1x69 2x28", 35, _ACT, _UNKNOWN),
    "an act that failed": Story(
        "SophiaRecoveryOutcomeUnknown", _ACTS, "0x9 1x60", None, _ACT, 'symptom="SlowQueries",result="Failed"'
    ),
    "a breaker": Story("SophiaRecoveryBreakerOpen", "sophia_recovery_breaker_open", "0x9 1x60", 10),
    "no breaker for long": Story("SophiaRecoveryBreakerOpen", "sophia_recovery_breaker_open", "0x9 1x8 0x60", None),
    "dropped": Story("SophiaRecoverySignalsDropped", _SIGNALS, "0x9 1x28", 5, _KIND, 'result="Dropped"'),
    "retried": Story("SophiaRecoverySignalsDropped", _SIGNALS, "0+1x60", None, _KIND, 'result="Retried"'),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_an_alert_about_recovery(story: Story, tmp_path: Path) -> None:
    series = [{"series": f"{story.metric}{{{story.told},{story.more}}}", "values": story.samples}]
    if story.fires_at is None:
        # An unknown that was there from the beginning is told of in the first fifteen minutes.
        looks = [firing(story.alert, story.told, minute * 60, fires=False) for minute in range(45)]
    else:
        begin = story.fires_at * 60
        looks = [firing(story.alert, story.told, begin - STEP, fires=False)]
        looks += [firing(story.alert, story.told, begin + later, fires=True) for later in (0, 300)]
    check(tmp_path, series, looks)


def documented() -> Any:
    """The recording rules of the page."""
    (block,) = re.findall(r"```yaml\n(groups:.*?)```", _PAGE.read_text(), re.DOTALL)
    return yaml.safe_load(block)


@pytest.mark.parametrize(
    ("record", "value"),
    [
        ("sophia:recovery_verified:share7d", 0.75),
        ("sophia:recovery_false_fires:share7d", 0.125),
        ("sophia:recovery_recurrences:share7d", 0.25),
        ("sophia:recovery_seconds:p90_7d", 20),
    ],
)
def test_the_documented_rules_say_what_they_are_to_say(record: str, value: float, tmp_path: Path) -> None:
    labels = 'namespace="shop",action="Reconnect",symptom="ConnectionLost"'
    person = 'namespace="shop",action="Reconnect",symptom="None"'
    series = [
        {"series": f'{_ACTS}{{{labels},result="Helped"}}', "values": "0x10 6x50"},
        {"series": f'{_ACTS}{{{labels},result="NoChange"}}', "values": "0x10 1x50"},
        {"series": f'{_ACTS}{{{labels},result="Failed"}}', "values": "0x10 1x50"},
        {"series": f'{_ACTS}{{{person},result="Done"}}', "values": "0x10 90x50"},
        {"series": f"sophia_recovery_false_fires_total{{{labels}}}", "values": "0x10 1x50"},
        {"series": f"sophia_recovery_recurrences_total{{{labels}}}", "values": "0x10 2x50"},
        {"series": f'sophia_recovery_seconds_bucket{{{labels},le="10"}}', "values": "0x10 5.4x50"},
        {"series": f'sophia_recovery_seconds_bucket{{{labels},le="20"}}', "values": "0x10 5.4x50"},
        {"series": f'sophia_recovery_seconds_bucket{{{labels},le="30"}}', "values": "0x10 6x50"},
        {"series": f'sophia_recovery_seconds_bucket{{{labels},le="+Inf"}}', "values": "0x10 6x50"},
    ]
    look = {
        "expr": f"round({record}, 0.0001)",
        "eval_time": "30m",
        "exp_samples": [{"labels": '{namespace="shop"}', "value": value}],
    }
    if record.endswith("p90_7d"):
        series[7]["values"] = "0x10 5.4x50"
        series[6]["values"] = "0x10 0x50"
    check_rules(tmp_path, documented(), series, [look])


def exposed(telemetry: RecoveryTelemetry, registry: CollectorRegistry) -> dict[str, list[float]]:
    """What a Prometheus sees that scrapes at the start, once the policy is seen, at each claim and at each end."""
    seen = defaultdict[str, list[float]](list)
    scrapes = 0

    def scrape() -> None:
        nonlocal scrapes
        for metric in registry.collect():
            for s in metric.samples:
                if s.name.startswith("sophia_recovery_") and not s.name.endswith("_created") and s.labels:
                    labels = ",".join(f'{key}="{value}"' for key, value in s.labels.items())
                    line = seen[f"{s.name}{{{labels}}}"]
                    line += [math.nan] * (scrapes - len(line)) + [s.value]
        scrapes += 1

    scrape()
    telemetry.policy_seen("shop", "pools", policy().spec, RecoveryPolicyStatus(symptoms=[incident()]))
    scrape()
    for number, verified in enumerate(("Helped", "NoChange", "Helped", "Helped", "Helped")):
        name, phase = f"act-{number}", "Succeeded" if verified == "Helped" else "Failed"
        claimed = act(name, "Claimed", status={"recurrence": number == 0})
        telemetry.action_changed(act(name), claimed)
        scrape()
        telemetry.action_changed(claimed, act(name, phase, ended=5 if number else 50, status={"verified": verified}))
        scrape()
    return seen


@pytest.mark.parametrize(
    ("record", "value"),
    [
        ("sophia:recovery_verified:share7d", 0.8),
        ("sophia:recovery_recurrences:share7d", 0.2),
        # The first act that helped took 50 s, and the others 5 s.
        ("sophia:recovery_seconds:p90_7d", 48),
    ],
)
def test_the_documented_rules_see_first_acts(record: str, value: float, tmp_path: Path) -> None:
    registry = CollectorRegistry()
    lines = exposed(RecoveryTelemetry(registry), registry)
    series = [
        {"series": name, "values": " ".join("_" if math.isnan(v) else f"{v:g}" for v in (*values, *[values[-1]] * 30))}
        for name, values in lines.items()
    ]
    look = {
        "expr": f"round({record}, 0.0001)",
        "eval_time": "10m",
        "exp_samples": [{"labels": '{namespace="shop"}', "value": value}],
    }
    check_rules(tmp_path, documented(), series, [look])


def test_no_false_fire_is_a_share_of_nothing_and_no_gap(tmp_path: Path) -> None:
    labels = 'namespace="shop",action="Reconnect",symptom="ConnectionLost"'
    series = [{"series": f'{_ACTS}{{{labels},result="Helped"}}', "values": "0x10 6x50"}]
    names = ("sophia:recovery_false_fires:share7d", "sophia:recovery_recurrences:share7d")
    looks = [
        {"expr": f"round({n}, 1)", "eval_time": "30m", "exp_samples": [{"labels": '{namespace="shop"}', "value": 0}]}
        for n in names
    ]
    check_rules(tmp_path, documented(), series, looks)
