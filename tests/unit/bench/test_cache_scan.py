"""The benchmark of scans measures what the operator's scan did, and compares it with the truth."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench import cache_keys, cache_scan, figures
from bench.cache_neighbour import Seen
from bench.cache_scan import QUICK, Truth, Turn
from bench.cache_world import Load, Work
from sophia_operator.api.cache_tier_status import CacheTierStatus, NamespaceStatus
from sophia_operator.core.cache.findings import ScanResult

EACH = QUICK.keys // 4


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of tests are no figures."""
    monkeypatch.setattr(figures, "OUT", tmp_path)


def status(**changes: Any) -> CacheTierStatus:
    values = {"keys": 100, "used_bytes": 990, "ttls_given": 10, **changes}
    return CacheTierStatus(namespaces=[NamespaceStatus(name="docs", generation=1, **values)])


def test_it_scans_all_keys_and_gives_each_its_ttl(capsys: pytest.CaptureFixture[str]) -> None:
    found = cache_scan.run(QUICK, print)
    assert [each["keysPerSecond"] for each in found["scans"]] == list(QUICK.rates)
    for each in found["scans"]:
        assert list(each["namespaces"]) == list(cache_keys.NAMESPACES)
        for namespace in each["namespaces"].values():
            assert EACH <= namespace["keys"] < EACH * 1.5
            assert namespace["ttlsGiven"] == EACH / cache_keys.ONE_LACKS
            assert abs(namespace["errorPercent"]) < 15
        assert each["commands"]["ttl"] >= QUICK.keys
        assert each["commands"]["expire"] == QUICK.keys / cache_keys.ONE_LACKS
        assert not {"get", "set", "keys"} & each["commands"].keys()
        assert each["cpuSeconds"] > 0
        assert each["neighbour"]["busy"]["count"] > 0
    assert found["scans"][0]["scannedPerSecond"] <= QUICK.rates[0] * 1.05
    assert "TTLs given" in capsys.readouterr().out
    written = json.loads((figures.OUT / "cache_scan.json").read_text())
    assert written["scans"] == found["scans"]
    assert "password" not in str(written)


def test_figures_of_a_scan() -> None:
    commands = {"get": 500, "set": 500, "ttl": 300, "scan": 100}
    work = Work(2.0, (10.0, 12.0), 0.3, 1.2, commands, 3, status(), ScanResult(None, 1_000, 2.0))
    turn = Turn(500, work, ((0.0, 10.0), (12.0, 20.0)), 0.1, {"docs": Truth(100, 1_000, 0)})
    found = cache_scan.result(turn, Seen([1.0, 11.0, 13.0], [1.0, 3.0, 2.0]))
    assert found["commandsPerSecond"] == 200
    assert found["commands"] == {"ttl": 300, "scan": 100}
    # A second of the neighbour costs Redis 0.1 s.
    assert found["redisCpuSeconds"] == 1.0
    assert found["redisCpuMicrosecondsAKey"] == 1_000.0
    assert found["cpuMicrosecondsAKey"] == 300.0
    assert found["namespaces"]["docs"]["errorPercent"] == -1.0
    assert found["neighbour"]["ratio"]["p99"] == 1.5


@pytest.mark.parametrize(("estimated", "error"), [(1_100, 10.0), (950, -5.0), (1_000, 0.0), (None, None)])
def test_errors_of_estimates(estimated: int | None, error: float | None) -> None:
    assert cache_scan.error_percent(estimated, 1_000) == error


def test_a_scan_that_missed_something_is_no_figure() -> None:
    cache_scan._check(status(), {"docs": Truth(100, 1_000, 0)})
    with pytest.raises(RuntimeError, match="100 keys of docs were counted, of 101"):
        cache_scan._check(status(), {"docs": Truth(101, 1_000, 0)})
    with pytest.raises(RuntimeError, match="1 keys of docs have no TTL after the scan"):
        cache_scan._check(status(), {"docs": Truth(100, 1_000, 1)})


def test_loads_are_told_apart() -> None:
    before, after = Load(1.0, {"get": 5, "info": 1}), Load(2.0, {"get": 5, "info": 3, "ttl": 9})
    assert list(after.since(before).items()) == [("ttl", 9), ("info", 2)]
