"""What the demo takes away at its end, and what it leaves."""

from __future__ import annotations

import pytest

from hack.demo.__main__ import main
from tests.unit.demo.fakes import FakeCluster
from tests.unit.demo.test_demo import QUICK, raising

NAMESPACE = "sophia-demo"


def fate(capsys: pytest.CaptureFixture[str]) -> str:
    """What the demo says it does with the cluster."""
    said = " ".join(capsys.readouterr().out.split())
    return "stays" if "The cluster stays up" in said else "goes" if "Taking the cluster away" in said else ""


@pytest.mark.parametrize(
    ("was_up", "flags", "expected"),
    [
        (False, (), "goes"),
        (False, ("--keep",), "stays"),
        (True, (), "stays"),
        (True, ("--keep",), "stays"),
        (True, ("--down",), "goes"),
    ],
)
def test_only_a_cluster_of_its_own_is_taken_away_unless_told(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str], was_up: bool, flags: tuple[str, ...], expected: str
) -> None:
    cluster.is_up = was_up
    assert main((*QUICK, *flags)) == 0
    assert cluster.is_up is (expected == "stays")
    assert fate(capsys) == expected


def test_an_interrupt_while_it_is_brought_up_takes_it_away(cluster: FakeCluster) -> None:
    cluster.up = raising(KeyboardInterrupt())
    assert main(QUICK) == 130
    assert cluster.api.done == ["up", "down"]


def test_nothing_is_taken_away_where_nothing_was_brought_up(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        cluster.is_up = False
        raise OSError("no Docker, no root")

    cluster.up = refuse
    assert main(QUICK) == 1
    assert cluster.api.done == ["up"]
    assert fate(capsys) == ""


def test_it_works_again_and_again_on_a_cluster_that_stays(cluster: FakeCluster) -> None:
    cluster.is_up = True
    cluster.api.namespaces = {NAMESPACE, "shop"}
    assert main(QUICK) == 0
    done = cluster.api.done
    assert done[:3] == ["up", f"delete {NAMESPACE}", f"make {NAMESPACE}"]
    assert done[-2:] == [f"delete {NAMESPACE}", "close"]
    assert cluster.api.namespaces == {"shop"}
    cluster.api.revisions = 0
    assert main(QUICK) == 0


def test_somebody_elses_cluster_keeps_nothing_of_the_demo_when_it_is_forgotten(cluster: FakeCluster) -> None:
    cluster.name = "existing"
    assert main(QUICK) == 0
    assert cluster.api.done[-3:] == [f"delete {NAMESPACE}", "close", "down"]
    assert cluster.api.namespaces == set()


def test_the_namespace_goes_after_a_failure_too(cluster: FakeCluster) -> None:
    cluster.api.before[2] = raising(TimeoutError("no"))
    assert main((*QUICK, "--keep")) == 1
    assert cluster.api.namespaces == set()


def test_the_cluster_goes_even_when_the_namespace_does_not(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.name = "existing"
    monkeypatch.setattr(cluster.api, "delete", lambda *_: raising(TimeoutError("a finalizer"))())
    assert main(QUICK) == 1
    assert cluster.api.done[-1] == "down"


def test_keep_and_down_contradict_each_other(cluster: FakeCluster) -> None:
    with pytest.raises(SystemExit) as ended:
        main(("--keep", "--down"))
    assert ended.value.code == 2
