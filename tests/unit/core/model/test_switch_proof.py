"""When a revision is proved, and who is named that keeps it from that."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.core.model.findings import ReplicaFinding
from sophia_operator.core.model.switches.proof import highest, prove
from sophia_operator.core.model.switches.scene import Scene
from sophia_operator.core.model.views import GatewayPod
from tests.support.model_scene import at, failed, observed, ranking, replica, route

SHARES = {"large": 100}


def scene(seconds: float = 10, *, revision: int = 3, revision_at: float | None = 0, **seen: Any) -> Scene:
    moment = None if revision_at is None else at(revision_at)
    view = route(revision=revision, revision_at=moment, active="large", fallbacks=["small"])
    return Scene(view, observed(5, **seen), ranking(), at(seconds))


def both(*found: ReplicaFinding) -> dict[str, Any]:
    return {"replicas": {r.name: r for r in found}}


SILENT = replica("gw-1", None, 5, failure=failed(5).answer)
CASES: list[tuple[dict[str, Any], bool, tuple[str, ...], tuple[str, ...]]] = [
    ({}, True, (), ()),
    (both(), False, ("gw-0 was not asked yet", "gw-1 was not asked yet"), ()),
    (both() | {"pods": ()}, False, (), ()),
    (both(replica("gw-0", 3, 5), replica("gw-1", 2, 5)), False, ("gw-1 serves by 2",), ("gw-1 serves by 2",)),
    (both(replica("gw-0", 3, 5), replica("gw-1", 4, 5)), False, ("gw-1 serves by 4",), ("gw-1 serves by 4",)),
    (both(replica("gw-0", 3, 5), SILENT), False, ("gw-1 (Timeout)",), ()),
    (both(replica("gw-0", 3, 5), replica("gw-1", None, 5)), False, ("gw-1 (says no revision)",), ()),
    (both(replica("gw-0", 3, 5)), False, ("gw-1 was not asked yet",), ()),
    (both(replica("gw-0", 3, 5)) | {"pods": (GatewayPod("gw-1", "x", ready=False),)}, True, (), ()),
    ({"asking_failed": "no such host"}, False, (), ()),
    # The model that was asked first failed, and another one answered, or none did.
    (both(replica("gw-0", 3, 5, model="small"), replica("gw-1", 3, 5, model=None)), True, (), ()),
    (
        both(replica("gw-0", 3, 5), replica("gw-1", 3, 5, model="gone")),
        False,
        ("gw-1 sends requests to gone",),
        ("gw-1 sends requests to gone",),
    ),
]


@pytest.mark.parametrize(("seen", "proved", "late", "behind"), CASES)
def test_only_what_every_replica_showed_proves(
    seen: dict[str, Any], proved: bool, late: tuple[str, ...], behind: tuple[str, ...]
) -> None:
    proof = prove(scene(**seen), SHARES)
    assert (proof.proved, proof.late, proof.behind) == (proved, late, behind)


def test_what_a_replica_showed_before_the_revision_was_set_says_nothing() -> None:
    assert prove(scene(revision_at=5), SHARES).proved
    before = prove(scene(revision_at=5.1), SHARES)
    assert (before.proved, before.late) == (False, ())
    one_of_two = both(replica("gw-0", 3, 4), replica("gw-1", 3, 6))
    assert not prove(scene(revision_at=5, **one_of_two), SHARES).proved


def test_a_clock_that_was_set_back_does_not_hold_up_a_proof() -> None:
    assert prove(scene(revision_at=86_400), SHARES).proved
    assert prove(scene(revision_at=None), SHARES).proved


def test_nothing_is_proved_of_no_revision() -> None:
    assert not prove(scene(revision=0, **both(replica("gw-0", 0, 5), replica("gw-1", 0, 5))), SHARES).proved


def test_fallbacks_that_answered_are_named() -> None:
    proof = prove(scene(**both(replica("gw-0", 3, 5, model="small"), replica("gw-1", 3, 5))), SHARES)
    assert (proof.by_fallback, proof.replicas) == (("gw-0 by small",), 2)


def test_numbers_that_replicas_know_are_not_used_again() -> None:
    assert highest(scene(**both(replica("gw-0", 9, 5), replica("gw-1", None, 5)))) == 9
    assert highest(scene(**both(replica("gw-0", 2**60, 5)))) == 3
    assert highest(scene(revision=0, **both())) == 0
