"""When the chart's alerts fire, as Prometheus's own rule tester sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.helm import pick, render
from tests.support.promtool import STEP, check_rules


@dataclass(frozen=True)
class Story:
    """Stages that a service's rollout is scraped at, by pod, and when the alert must begin to fire.

    Stages are in promtool's notation: `1x9` is ten samples, one each 30 s; `_` is none.
    """

    stages: Mapping[str, str]
    fires_at: int | None
    """Minutes from the start; None when it must never fire."""
    still_for: str = "30m"


STORIES = {
    "its first stage, from minute 5": Story({"a": "0x9 1x400"}, 35),
    "a later stage, from minute 25": Story({"a": "0x9 1x39 2x400"}, 55),
    "a series that is new at minute 10": Story({"a": "_x20 2x400"}, 40),
    "back to an earlier stage at minute 20": Story({"a": "1x19 2x19 1x400"}, 50),
    "another pod goes on with it": Story({"a": "0x9 1x19 stale", "b": "_x34 1x400"}, 35),
    "a rollout that ended": Story({"a": "1x29 0x400"}, None),
    "no rollout": Story({"a": "0x400"}, None),
    "a shorter wait": Story({"a": "0x9 1x400"}, 15, still_for="10m"),
}


def rules(still_for: str) -> Any:
    rule = {"enabled": True, "stillFor": still_for}
    return pick(render({"metrics": {"prometheusRule": rule}}), "PrometheusRule")["spec"]


def firing_at(seconds: int, value: int | None) -> dict[str, Any]:
    """What promtool must find among the firing alerts then."""
    labels = '{alertname="SophiaRolloutStandsStill",namespace="shop",service="web"}'
    samples = [] if value is None else [{"labels": labels, "value": value}]
    expression = 'sum by (alertname, namespace, service) (ALERTS{alertname="SophiaRolloutStandsStill", %s})'
    return {
        "expr": expression % 'alertstate="firing"',
        "eval_time": f"{seconds}s",
        "exp_samples": samples,
    }


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_a_rollout_that_stands_still_is_told_of_in_the_documented_time(story: Story, tmp_path: Path) -> None:
    series = [
        {"series": f'sophia_rollout_stage{{namespace="shop",service="web",pod="{pod}"}}', "values": values}
        for pod, values in story.stages.items()
    ]
    minutes = range(120) if story.fires_at is None else range(story.fires_at)
    looks = [firing_at(minute * 60, None) for minute in minutes]
    if story.fires_at is not None:
        begin = story.fires_at * 60
        looks += [firing_at(begin - STEP, None), firing_at(begin, 1), firing_at(begin + 20 * 60, 1)]
    check_rules(tmp_path, rules(story.still_for), series, looks)
