"""A new server, user or password reaches the instances only once it was seen to work."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sophia_operator.api.conditions import ConditionType as Type
from sophia_operator.core.pool.advance import advance
from sophia_operator.core.pool.decision import PoolDecision
from sophia_operator.core.pool.findings import Fault
from sophia_operator.core.pool.needs import needs
from sophia_operator.core.pool.render import render, wanted_config_hash
from sophia_operator.core.pool.views import PoolObserved, PoolView
from tests.support.pool_scene import (
    NAMES,
    after,
    at,
    condition,
    failure,
    looks,
    observed,
    pool,
    server,
    spec,
    step,
    well,
)


def passed(view: PoolView, seen: PoolObserved, seconds: float) -> PoolDecision:
    """A pass with the real configuration."""
    return advance(view, seen, at(seconds), 0.5)


def settled() -> PoolView:
    view = pool()
    for _ in range(2):
        view = after(view, passed(view, well(), 0))
    return view


def elsewhere(view: PoolView) -> PoolView:
    database = view.spec.database.model_copy(update={"host": "elsewhere"})
    return replace(view, spec=view.spec.model_copy(update={"database": database}))


def another_password(seen: PoolObserved) -> PoolObserved:
    assert seen.access is not None
    return replace(seen, access=replace(seen.access, password="another"))


def test_the_first_target_is_used_at_once() -> None:
    seen = observed(failure(Fault.AUTHENTICATION_FAILED), looks(0))
    decision = passed(pool(), seen, 0)
    view = after(pool(), decision)
    assert decision.status.target is not None
    assert decision.status.config_hash == wanted_config_hash(view, seen) is not None


def test_after_a_target_that_never_worked_the_next_is_used_at_once() -> None:
    seen = observed(failure(Fault.AUTHENTICATION_FAILED), looks(0))
    view = after(pool(), passed(pool(), seen, 0))
    decision = passed(view, another_password(seen), 1)
    assert decision.status.target != view.status.target
    assert decision.status.config_hash != view.status.config_hash


@pytest.mark.parametrize("fault", [Fault.HOST_UNKNOWN, Fault.UNREACHABLE, Fault.AUTHENTICATION_FAILED])
@pytest.mark.parametrize("changed", ["host", "password"])
def test_a_target_that_does_not_work_changes_nothing(fault: Fault, changed: str) -> None:
    view, seen = settled(), observed(failure(fault), looks(1), server_at=1)
    wish, seen = (elsewhere(view), seen) if changed == "host" else (view, another_password(seen))
    decision = passed(wish, seen, 1)
    assert (decision.status.target, decision.status.config_hash) == (view.status.target, view.status.config_hash)
    assert decision.status.reconnect is None
    assert decision.commands == ()
    assert {o["kind"] for o in render(after(wish, decision), seen, "image").objects} == {
        "Service",
        "PodDisruptionBudget",
    }
    said = condition(decision.status, Type.RECONCILING if fault is Fault.UNREACHABLE else Type.STALLED)
    assert said.message.endswith("until then, the pool keeps what it connects to")


def test_it_is_not_used_before_it_was_looked_at() -> None:
    view = settled()
    unseen = another_password(observed(None, looks(1)))
    decision = passed(view, unseen, 1)
    assert (decision.status.target, decision.status.config_hash) == (view.status.target, view.status.config_hash)
    assert needs(view, unseen, at(1)).server


@pytest.mark.parametrize("changed", ["host", "password"])
def test_it_is_used_once_a_server_answers(changed: str) -> None:
    view, seen = settled(), well(1)
    wish, seen = (elsewhere(view), seen) if changed == "host" else (view, another_password(seen))
    decision = passed(wish, seen, 1)
    assert decision.status.target != view.status.target
    assert decision.status.config_hash != view.status.config_hash
    assert decision.status.config_hash == render(after(wish, decision), seen, "image").config_hash


def test_another_server_at_a_new_host_is_reconnected_to() -> None:
    seen = observed(server(identity="B1"), looks(1), server_at=1)
    view = elsewhere(settled())
    view = after(view, passed(view, seen, 1))
    assert view.status.reconnect is None
    decision = passed(view, seen, 1.1)
    assert decision.status.reconnect is not None
    assert {c.instance for c in decision.commands} == set(NAMES)


@pytest.mark.parametrize(("seconds", "due"), [(9, False), (10, True)])
def test_it_is_tried_again_soon(seconds: float, due: bool) -> None:
    """The password may reach the Secret before it reaches the server."""
    view = settled()
    seen = another_password(observed(failure(Fault.AUTHENTICATION_FAILED), looks(1), server_at=1))
    view = after(view, passed(view, seen, 1))
    assert needs(view, seen, at(1) + timedelta(seconds=seconds)).server is due


def test_a_lost_server_is_not_taken_for_a_new_target() -> None:
    view = settled()
    decision = passed(view, observed(failure(), looks(1), server_at=1), 1)
    assert decision.status.reconnect is not None
    assert decision.status.target == view.status.target


def test_a_hash_tells_nothing_about_the_password() -> None:
    one: Any = well()
    other = replace(one, access=replace(one.access, admin_password="another"))
    assert passed(pool(spec()), one, 0).status.target != passed(pool(spec()), other, 0).status.target


def test_a_binding_is_named_once_it_is_made_and_from_then_on() -> None:
    """While a certificate is missing, say, there is access to the pool, and still nothing to bind to."""
    view = pool()
    first = step(view, well(), 0, wanted=None)
    assert first.status.binding is None
    second = step(after(view, first), well(), 1)
    assert second.status.binding is not None
    assert second.status.binding.name == "orders-pool-binding"
    third = step(after(view, second), well(), 2, wanted=None)
    assert third.status.binding == second.status.binding
