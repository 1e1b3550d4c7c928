"""When the chart's alerts about model routes fire, as Prometheus's own rule tester sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.promtool import STEP
from tests.unit.chart.test_pool_alerts import check, firing

_PLACE = 'namespace="shop",route="answers"'


@dataclass(frozen=True)
class Story:
    """Samples of a route's metric, one each 30 s in promtool's notation, and when the alert begins to fire."""

    alert: str
    metric: str
    samples: str
    fires_at: float | None
    """Minutes from the start; None when it must never fire."""
    #: Labels beside the route's.
    more: str = ""


_SWITCHES = "sophia_model_switches_total"
_FAILOVER = 'kind="Failover",result="Switched"'
_REVERTED = 'kind="Failback",result="Reverted"'
STORIES = {
    "no model": Story("SophiaModelUnavailable", "sophia_model_available", "1x9 0x60", 6),
    "a switch": Story("SophiaModelUnavailable", "sophia_model_available", "1x9 0 1x60", None),
    "a failover": Story("SophiaModelFailedOver", _SWITCHES, "0x9 1x28", 5, _FAILOVER),
    "a failback": Story("SophiaModelFailedOver", _SWITCHES, "0x9 1x60", None, 'kind="Failback",result="Switched"'),
    "not healthy": Story("SophiaModelUnhealthy", "sophia_model_healthy", "1x9 0x60", 10),
    "not healthy for a while": Story("SophiaModelUnhealthy", "sophia_model_healthy", "1x9 0x8 1x60", None),
    "a replica that lags": Story("SophiaModelReplicaLags", "sophia_model_traffic_verified", "1x9 0x60", 10),
    "a refused key": Story("SophiaModelCredentialsInvalid", "sophia_model_credentials_valid", "1x9 0x60", 10),
    "one failback that fails": Story("SophiaModelFailbacksFail", _SWITCHES, "0x9 1x60", None, _REVERTED),
    "failbacks that fail": Story("SophiaModelFailbacksFail", _SWITCHES, "0x9 1x20 2x60", 15.5, _REVERTED),
    "no counts": Story("SophiaModelMetricsUnavailable", "sophia_model_metrics_available", "1x9 0x90", 20),
    "nothing is known": Story("SophiaModelUnavailable", "sophia_model_available", "_x60", None),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_an_alert_about_a_route(story: Story, tmp_path: Path) -> None:
    labels = f"{_PLACE},{story.more}" if story.more else _PLACE
    series = [{"series": f'{story.metric}{{{labels},pod="a"}}', "values": story.samples}]
    if story.fires_at is None:
        looks = [firing(story.alert, _PLACE, minute * 60, fires=False) for minute in range(60)]
    else:
        begin = story.fires_at * 60
        looks = [firing(story.alert, _PLACE, begin - STEP, fires=False)]
        looks += [firing(story.alert, _PLACE, begin + later, fires=True) for later in (0, 300)]
    check(tmp_path, series, looks)
