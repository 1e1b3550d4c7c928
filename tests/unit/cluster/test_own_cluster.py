"""A run of the tests takes away the cluster that it brought up, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from hack.cluster import bringup
from hack.cluster.providers import choose
from tests.support import own_cluster


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Clusters that were taken away; bringing one up only notes that it is there."""
    taken: list[str] = []

    def up() -> None:
        (tmp_path / "state").mkdir(exist_ok=True)
        choose.remember("node")

    def down() -> None:
        taken.append("node")

    monkeypatch.setenv("SOPHIA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SOPHIA_STATE", str(tmp_path / "state"))
    monkeypatch.delenv(own_cluster.KEEP, raising=False)
    monkeypatch.setenv(own_cluster.RUN, "this")
    monkeypatch.setattr(bringup, "up", up)
    monkeypatch.setattr(bringup, "down", down)
    return taken


def test_its_own_cluster_goes_with_it(gone: list[str]) -> None:
    own_cluster.bring_up()
    own_cluster.bring_up()
    own_cluster.take_away()
    assert gone == ["node"]


def test_a_cluster_that_was_there_stays(gone: list[str]) -> None:
    bringup.up()
    own_cluster.bring_up()
    own_cluster.take_away()
    assert gone == []


def test_a_cluster_that_others_brought_up_meanwhile_stays(gone: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    own_cluster.bring_up()
    monkeypatch.setenv(own_cluster.RUN, "another")
    own_cluster.take_away()
    assert gone == []


def test_without_a_cluster_there_is_nothing_to_do(gone: list[str]) -> None:
    own_cluster.take_away()
    assert gone == []


def test_it_stays_when_it_is_to(gone: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    own_cluster.bring_up()
    monkeypatch.setenv(own_cluster.KEEP, "1")
    own_cluster.take_away()
    assert gone == []
