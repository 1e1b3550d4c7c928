"""When the chart's alerts about pools fire, as Prometheus's own rule tester sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from sophia_operator.runtime.telemetry import Telemetry
from tests.support.helm import pick, render
from tests.support.promtool import STEP, check_rules

_PLACE = 'namespace="shop",pool="orders"'


@dataclass(frozen=True)
class Story:
    """Samples of a pool's metric, one each 30 s in promtool's notation, and when the alert begins to fire."""

    alert: str
    metric: str
    samples: str
    fires_at: float | None
    """Minutes from the start; None when it must never fire."""


STORIES = {
    "a reconnect that does not end": Story("SophiaPoolReconnecting", "sophia_pool_reconnecting", "0x9 1x60", 7),
    "reconnects that end": Story("SophiaPoolReconnecting", "sophia_pool_reconnecting", "0x9 1x2 0x2 1x2 0x40", None),
    "a demoted primary": Story("SophiaPoolWrongRole", "sophia_pool_role_correct", "1x9 0x60", 6),
    "the right role": Story("SophiaPoolWrongRole", "sophia_pool_role_correct", "1x60", None),
    "a pool that is not healthy": Story("SophiaPoolUnhealthy", "sophia_pool_healthy", "1x9 0x60", 10),
    "a pool that is not healthy for long": Story("SophiaPoolUnhealthy", "sophia_pool_healthy", "1x9 0x8 1x60", None),
    "clients that wait": Story("SophiaPoolClientsWaiting", "sophia_pool_waiting_clients", "0x9 7x60", 10),
    "clients that wait now and then": Story("SophiaPoolClientsWaiting", "sophia_pool_waiting_clients", "7 0 7 0", None),
    "over its budget": Story("SophiaPoolOverBudget", "sophia_pool_within_budget", "1x9 0x60", 20),
    "an old configuration": Story("SophiaPoolConfigNotApplied", "sophia_pool_config_applied", "1x9 0x60", 20),
    "nothing is known": Story("SophiaPoolUnhealthy", "sophia_pool_healthy", "_x60", None),
}


def check(folder: Path, series: list[dict[str, str]], looks: list[dict[str, object]]) -> None:
    """What promtool says of the rules."""
    rules = pick(render({"metrics": {"prometheusRule": {"enabled": True}}}), "PrometheusRule")["spec"]
    check_rules(folder, rules, series, looks)


def firing(alert: str, labels: str, seconds: float, *, fires: bool) -> dict[str, object]:
    names = ", ".join(label.split("=")[0] for label in labels.split(","))
    which = f'ALERTS{{alertname="{alert}", alertstate="firing"}}'
    samples = [{"labels": f"{{{labels}}}", "value": 1}] if fires else []
    return {"expr": f"sum by ({names}) ({which})", "eval_time": f"{seconds:.0f}s", "exp_samples": samples}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_an_alert_about_a_pool(story: Story, tmp_path: Path) -> None:
    series = [{"series": f'{story.metric}{{{_PLACE},pod="a"}}', "values": story.samples}]
    if story.fires_at is None:
        looks = [firing(story.alert, _PLACE, minute * 60, fires=False) for minute in range(30)]
    else:
        begin = story.fires_at * 60
        looks = [firing(story.alert, _PLACE, begin - STEP, fires=False)]
        looks += [firing(story.alert, _PLACE, begin + later, fires=True) for later in (0, 300)]
    check(tmp_path, series, looks)


def test_many_pools_do_not_hide_that_passes_over_services_fail(tmp_path: Path) -> None:
    name = "sophia_reconcile_duration_seconds_count"
    series = [
        {"series": f'{name}{{kind="ManagedService",result="failed"}}', "values": "0+10x80"},
        {"series": f'{name}{{kind="ManagedService",result="settled"}}', "values": "0+10x80"},
        {"series": f'{name}{{kind="ConnectionPool",result="failed"}}', "values": "0+1x80"},
        {"series": f'{name}{{kind="ConnectionPool",result="settled"}}', "values": "0+1200x80"},
    ]
    alert = "SophiaReconcileErrors"
    looks = [firing(alert, 'kind="ManagedService"', 1800, fires=True)]
    check(tmp_path, series, looks)


def test_every_metric_of_an_alert_is_one_that_the_operator_has() -> None:
    told = Telemetry(process=False).exposition().decode()
    rules = pick(render({"metrics": {"prometheusRule": {"enabled": True}}}), "PrometheusRule")["spec"]
    named = {word for group in rules["groups"] for rule in group["rules"] for word in _metrics(rule["expr"])}
    assert "sophia_pool_healthy" in named
    for metric in named:
        assert f"# TYPE {metric.removesuffix('_count')} " in told, metric


def _metrics(expression: str) -> list[str]:
    words = expression.replace("(", " ").replace(")", " ").replace("{", " ").replace("[", " ").split()
    return [word for word in words if word.startswith("sophia_")]
