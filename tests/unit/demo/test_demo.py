"""What the demo says about how it went: exit codes, figures, messages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest

from hack.cluster import gobuild, shell
from hack.cluster.node.machine import UnsuitableError
from hack.cluster.providers.base import ProviderError
from hack.demo import result
from hack.demo.__main__ import main
from hack.rig.access import KubeconfigError
from hack.rig.api import ApiError
from tests.unit.demo.fakes import ENDS, LOST, RECORDS, FakeCluster

QUICK = ("--rate", "1")


def raising(error: BaseException) -> Callable[[], NoReturn]:
    def act() -> NoReturn:
        raise error

    return act


def figures() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.OUT.read_text())
    return found


def test_all_as_it_should_be(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(QUICK) == 0
    assert figures() == {
        "sent": 24,
        "lost": 0,
        "repeated": 1,
        "promoted": True,
        "rolledBack": True,
        "faultToAllStableSeconds": 3.5,
        "errorsOnPurpose": 1,
        "stages": [
            {"release": "shop-2", "weightPercent": 10, "requests": 10, "sharePercent": 10.0},
            {"release": "shop-2", "weightPercent": 100, "requests": 10, "sharePercent": 100.0},
        ],
        "pool": {
            "committed": 30,
            "lost": 0,
            "lostInFailover": 0,
            "refusedInFailover": 0,
            "noticedSeconds": 0.5,
            "firstWriteSeconds": 1.5,
            "verifiedSeconds": 2.5,
            "score": 97,
            "ready": True,
            "skipped": None,
        },
        "cache": {
            "warmth": {"copied": 60, "beforeTrafficSeconds": 4.0, "found": 60, "wanted": 60},
            "reads": {
                "originMs": 50.0,
                "redisMs": 4.0,
                "memoryMs": 1.0,
                "emptyHitPercent": 0.0,
                "fullHitPercent": 100.0,
            },
            "handOver": {
                "planned": True,
                "seconds": 2.0,
                "acknowledged": 1000,
                "refused": 3,
                "lost": 0,
                "longestGap": 0.75,
            },
            "flushed": {
                "phase": "Done",
                "deleted": 4000,
                "wanted": 4000,
                "left": 0,
                "seconds": 6.0,
                "keysPerSecond": 1000,
            },
            "ready": True,
            "skipped": None,
        },
        "models": {
            "failover": {
                "actedSeconds": pytest.approx(3.0, abs=0.05),
                "provedSeconds": 0.5,
                "replicas": 2,
                "replicasWanted": 2,
            },
            "failback": {
                "seconds": pytest.approx(18.0, abs=0.5),
                "stages": [5, 25, 100],
                "replicas": 2,
                "replicasWanted": 2,
                "result": "Switched",
            },
            "sent": 63,
            "failedInFailover": 3,
            "failedOutside": 0,
            "answered": {"fallback": 30, "primary": 30},
            "flaps": 0,
            "ready": True,
            "skipped": None,
        },
        "healing": {
            "actedSeconds": pytest.approx(0.0, abs=0.5),
            "freedSeconds": pytest.approx(0.0, abs=0.5),
            "verified": "Helped",
            "acts": 1,
            "skipped": None,
        },
        "failure": None,
    }
    said = " ".join(capsys.readouterr().out.split())
    assert "All as it should be." in said
    assert "Why shop-3 went back: GateFailed: too many errors" in said
    assert "requests sent twice" in said


def test_the_load_begins_when_the_gateway_knows_the_host(cluster: FakeCluster) -> None:
    main(QUICK)
    begin = cluster.api.done.index("load")
    assert cluster.api.done[begin - 1] == "wait for shop.sophia-demo.example.com at http://192.0.2.1/"


def test_a_lost_request_is_a_failure(cluster: FakeCluster) -> None:
    cluster.records = (*RECORDS, LOST)
    assert main(QUICK) == 1
    assert figures()["lost"] == 1


@pytest.mark.parametrize(("revision", "key"), [(2, "promoted"), (3, "rolledBack")])
def test_a_release_that_ends_as_something_else_is_a_failure(cluster: FakeCluster, revision: int, key: str) -> None:
    cluster.api.ends = {**ENDS, revision: "Failed"}
    assert main(QUICK) == 1
    assert figures()[key] is False


def test_a_bad_release_that_is_promoted_is_a_failure(cluster: FakeCluster) -> None:
    cluster.api.ends = {**ENDS, 3: "Promoted"}
    assert main(QUICK) == 1
    assert figures()["rolledBack"] is False


def test_an_interrupt_has_its_own_code_and_leaves_what_was_measured(cluster: FakeCluster) -> None:
    cluster.api.before[3] = raising(KeyboardInterrupt())
    assert main(QUICK) == 130
    assert (figures()["promoted"], figures()["rolledBack"], figures()["failure"]) == (True, False, "interrupted")
    assert cluster.api.done[-1] == "down"


@pytest.mark.parametrize(
    "error",
    [
        ProviderError("no cluster here"),
        UnsuitableError("not Linux"),
        gobuild.GoMissingError("no Go"),
        shell.CommandError(["helm"], "exit code 1"),
        TimeoutError("waited 60 s"),
        OSError("disk full"),
        KubeconfigError("no token"),
        ApiError(403, "forbidden"),
        httpx.ConnectError("refused"),
    ],
)
def test_an_expected_error_is_one_line(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    cluster.up = raising(error)
    assert main(QUICK) == 1
    said = capsys.readouterr().err
    assert f"error: {error}\n" in said
    assert "Traceback" not in said
    assert cluster.api.done[-1] == "down"
    assert not result.OUT.exists()


def test_a_bug_shows_where_it_is_and_is_cleaned_up_after(cluster: FakeCluster) -> None:
    cluster.up = raising(KeyError("x"))
    with pytest.raises(KeyError):
        main(QUICK)
    assert cluster.api.done[-1] == "down"


def test_an_earlier_runs_figures_are_not_taken_for_this_ones(cluster: FakeCluster) -> None:
    assert main(QUICK) == 0
    cluster.reachable = raising(TimeoutError("the gateway leads nowhere"))
    cluster.api.revisions = 0
    assert main(QUICK) == 1
    assert not result.OUT.exists()


def test_a_failure_in_the_middle_shows_the_figures_so_far(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.api.before[3] = raising(TimeoutError("shop took longer than 240 s"))
    assert main(QUICK) == 1
    assert figures()["failure"] == "shop took longer than 240 s"
    assert figures()["promoted"] is True
    told = capsys.readouterr()
    assert "What the load saw" in told.out
    assert "error: shop took longer than 240 s\n" in told.err


def test_the_loads_figures_need_no_api_server(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> NoReturn:
        monkeypatch.setattr(cluster.api, "get", lambda *_: raising(httpx.ConnectError("refused"))())
        raise httpx.ConnectError("refused")

    cluster.api.before[3] = fail
    assert main((*QUICK, "--keep")) == 1
    assert (figures()["sent"], figures()["promoted"]) == (24, False)


def test_a_clean_up_that_fails_is_a_failure(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.down = raising(TimeoutError("processes do not end"))
    assert main(QUICK) == 1
    assert "error: processes do not end\n" in capsys.readouterr().err


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "many"])
def test_a_rate_that_is_none_is_refused_before_anything_is_done(cluster: FakeCluster, rate: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(("--rate", rate))
    assert ended.value.code == 2
    assert cluster.api.done == []


def test_the_log_of_requests_lies_beside_the_figures(cluster: FakeCluster, tmp_path: Path) -> None:
    assert result.log() == tmp_path / "out" / "demo-requests.jsonl"
