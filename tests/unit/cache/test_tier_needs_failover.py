"""When nodes are looked at while the primary changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sophia_operator.core.cache.findings import NodeCommandResult, NodeVerb
from sophia_operator.core.cache.needs import needs
from tests.support.cache_scene import NOW, PRIMARY, REPLICA, observed, settled
from tests.unit.cache.test_tier_needs import _FAILOVER


def test_in_a_failover_a_command_to_one_node_is_a_reason_to_look_at_all() -> None:
    tier = settled()
    told = {(PRIMARY, NodeVerb.HAND_OVER.value): NodeCommandResult(NOW)}
    seen = observed(tier, commands=told)
    soon = NOW + timedelta(seconds=0.3)
    assert needs(tier, seen, soon).nodes == {PRIMARY: False}
    changing = replace(tier, status=tier.status.model_copy(update={"failover": _FAILOVER}))
    assert needs(changing, seen, soon).nodes == {PRIMARY: False, REPLICA: False}
