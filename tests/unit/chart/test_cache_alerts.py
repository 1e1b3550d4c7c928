"""When the chart's alerts about cache tiers fire, as Prometheus's own rule tester sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.promtool import STEP
from tests.unit.chart.test_pool_alerts import check, firing

_PLACE = 'namespace="shop",tier="hot"'


@dataclass(frozen=True)
class Story:
    """Samples of a tier's metric, one each 30 s in promtool's notation, and when the alert begins to fire."""

    alert: str
    metric: str
    samples: str
    fires_at: float | None
    """Minutes from the start; None when it must never fire."""
    #: Labels beside the tier's, and whether the alert keeps them.
    more: str = ""
    kept: bool = False


_UNPLANNED = 'planned="false"'
_SPACE = 'cache_namespace="emb"'
STORIES = {
    "no primary": Story("SophiaCacheWithoutPrimary", "sophia_cache_has_primary", "1x9 0x60", 6),
    "a failover": Story("SophiaCacheWithoutPrimary", "sophia_cache_has_primary", "1x9 0 1x60", None),
    "a lost primary": Story("SophiaCacheFailedOver", "sophia_cache_failovers_total", "0x9 1x28", 5, _UNPLANNED),
    "a roll": Story("SophiaCacheFailedOver", "sophia_cache_failovers_total", "0x9 1x60", None, 'planned="true"'),
    "not healthy": Story("SophiaCacheUnhealthy", "sophia_cache_healthy", "1x9 0x60", 10),
    "not healthy for a while": Story("SophiaCacheUnhealthy", "sophia_cache_healthy", "1x9 0x8 1x60", None),
    "over its quota": Story(
        "SophiaCacheOverQuota", "sophia_cache_namespace_quota_percent", "90x9 120x120", 35, _SPACE, kept=True
    ),
    "at its quota": Story("SophiaCacheOverQuota", "sophia_cache_namespace_quota_percent", "100x120", None, _SPACE),
    "a low hit ratio": Story("SophiaCacheHitRatioLow", "sophia_cache_hit_ratio_on_target", "1x9 0x120", 35),
    "a flush that waits": Story("SophiaCacheFlushPaused", "sophia_cache_flush_paused", "0x9 1x120", 35),
    "a flush that goes on": Story("SophiaCacheFlushPaused", "sophia_cache_flush_paused", "0x9 1x40 0 1x40", None),
    "old settings": Story("SophiaCacheConfigNotApplied", "sophia_cache_live_config_applied", "1x9 0x60", 20),
    "nothing is known": Story("SophiaCacheUnhealthy", "sophia_cache_healthy", "_x60", None),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_an_alert_about_a_tier(story: Story, tmp_path: Path) -> None:
    labels = f"{_PLACE},{story.more}" if story.more else _PLACE
    series = [{"series": f'{story.metric}{{{labels},pod="a"}}', "values": story.samples}]
    told = labels if story.kept else _PLACE
    if story.fires_at is None:
        looks = [firing(story.alert, told, minute * 60, fires=False) for minute in range(60)]
    else:
        begin = story.fires_at * 60
        looks = [firing(story.alert, told, begin - STEP, fires=False)]
        looks += [firing(story.alert, told, begin + later, fires=True) for later in (0, 300)]
    check(tmp_path, series, looks)
