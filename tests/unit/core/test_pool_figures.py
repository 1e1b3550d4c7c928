"""Figures of a pool, when they are written down, and the score that they make."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sophia_operator.core.pool.findings import InsightsFinding, ServerRole
from sophia_operator.core.pool.views import Claim, PoolObserved
from tests.support.pool_scene import (
    OLD_HASH,
    after,
    at,
    connection,
    console,
    failure,
    healthy,
    look,
    looks,
    observed,
    server,
    spec,
    step,
    well,
    with_first,
)


def test_figures_that_come_and_go_are_not_written_at_each_look() -> None:
    view, changes = healthy(spec(autosize={"enabled": False})), 0
    for second in range(1, 601):
        busy = 5 + second % 2
        shown = console(
            pool_size=10, servers_active=busy, clients_active=busy, clients=40 + second % 5,
            connections=(connection(0),), transactions=1000 * second,
        )  # fmt: skip
        latencies = tuple(2.0 + second % 3 / 10 + i / 100 for i in range(20))
        marks = looks(second, console=shown, transactions_before=1000 * (second - 1), opened=second % 2)
        kept = {"query_ms": latencies, "connect_ms": latencies, "insights": (InsightsFinding(at(0)),)}
        decision = step(view, observed(server(), marks, server_at=second, kept=kept), second)
        changes += decision.status != view.status
        view = after(view, decision)
    assert changes <= 3
    assert (view.status.usage, view.status.hit_percent, view.status.score) == ("12/20", 100, 100)


def test_between_full_looks_figures_stay() -> None:
    view = healthy()
    busy = looks(9, 0, console=console(servers_active=9, clients_waiting=9))
    assert step(view, observed(server(), busy), 9).status.in_use == 2
    full = step(view, observed(server(), looks(9, console=console(servers_active=9, clients_waiting=9))), 9).status
    assert (full.in_use, full.waiting, full.utilization_percent) == (18, 18, 100)
    parts = {p.name: (p.points, p.why) for p in full.score_parts}
    assert parts["saturation"] == (0, "18 clients waiting for a connection")


SCORES: list[tuple[PoolObserved, dict[str, int]]] = [
    (well(), {"role": 40, "instances": 20, "latency": 15, "saturation": 15, "budget": 10}),
    (with_first(look(1, console=failure())), {"instances": 10}),
    (with_first(look(1, console=console(config_hash=OLD_HASH))), {"instances": 10}),
    (observed(server(role=ServerRole.STANDBY), looks(0)), {"role": 0}),
    (replace(well(), claims=(Claim("a", "b", None, 90),)), {"budget": 0}),
    (observed(server(), looks(1, console=console(servers_active=3))), {"saturation": 7}),
]


@pytest.mark.parametrize(("seen", "parts"), SCORES)
def test_the_score_adds_up(seen: PoolObserved, parts: dict[str, int]) -> None:
    seen = replace(seen, kept=replace(seen.kept, query_ms=(5.0,) * 20))
    status = step(healthy(), seen, 1).status
    found = {p.name: p for p in status.score_parts}
    assert {name: found[name].points for name in parts} == parts
    assert status.score == sum(p.points for p in status.score_parts)
    assert all(bool(p.why) is (p.points < p.of) for p in status.score_parts)


@pytest.mark.parametrize(("ms", "points"), [(100, 15), (101, 7), (200, 7), (201, 0)])
def test_points_for_latency(ms: float, points: int) -> None:
    seen = replace(well(), kept=replace(well().kept, query_ms=(ms,) * 20))
    status = step(healthy(), seen, 1).status
    assert next(p.points for p in status.score_parts if p.name == "latency") == points
