"""Pools of one server, whatever happens to it: together they never keep more than it has, and come to rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sophia_operator.api.connection_pool_status import BudgetStatus
from sophia_operator.core.pool.budget import effective_size, grant
from sophia_operator.core.pool.findings import Backends
from sophia_operator.core.pool.shares import could_open
from sophia_operator.core.pool.views import Claim
from tests.support.pool_scene import at, failure, observed, pool, server, spec

RESERVED = 3
#: So often each pool decides until nothing changes any more.
ROUNDS = 60


@dataclass
class Several:
    """The pools of a server, which decide one after the other."""

    most: int = 100
    others: int = 0
    up: bool = True
    wishes: dict[str, Any] = field(default_factory=dict)
    held: dict[str, BudgetStatus] = field(default_factory=dict)

    def round(self) -> None:
        """Each decides once, and sees what those before it wrote."""
        for name, wish in self.wishes.items():
            claims = tuple(Claim("shop", n, None, h.granted) for n, h in self.held.items() if n != name)
            sessions = (Backends("x", "y", "10.9.0.9", "psql", self.others),) if self.others else ()
            found = server(backends=sessions, max_connections=self.most) if self.up else failure()
            view = pool(wish) if name not in self.held else pool(wish, budget=self.held[name])
            self.held[name] = grant(view, observed(found, claims=claims), wish.size.max, at(0))

    def settle(self) -> None:
        """Until nothing changes. Raises AssertionError when that does not come."""
        for _ in range(ROUNDS):
            before = dict(self.held)
            self.round()
            if self.held == before:
                return
        raise AssertionError(f"it never comes to rest: {self.held}")


SIZES = st.tuples(st.integers(1, 60), st.integers(0, 200), st.integers(0, 4), st.integers(0, 10))
EVENTS = st.one_of(
    st.tuples(st.just("pool"), st.sampled_from("abcdef"), SIZES),
    st.tuples(st.just("gone"), st.sampled_from("abcdef"), st.none()),
    st.tuples(st.just("most"), st.integers(20, 400), st.none()),
    st.tuples(st.just("others"), st.integers(0, 300), st.none()),
    st.tuples(st.just("up"), st.booleans(), st.none()),
    st.tuples(st.just("settle"), st.none(), st.none()),
)


def apply(several: Several, what: str, value: Any, size: Any) -> None:
    if what == "pool":
        least, more, instances, reserve = size
        most = max(least + more, instances, 1)
        several.wishes[value] = spec(instances=instances, size={"min": least, "max": most, "reserve": reserve})
    elif what == "gone":
        several.wishes.pop(value, None)
        several.held.pop(value, None)
    elif what == "settle":
        several.settle()
    else:
        setattr(several, what, value)
        several.round()


@settings(max_examples=200, deadline=None)
@given(st.lists(EVENTS, max_size=25))
def test_together_they_never_keep_more_than_the_server_has(events: list[tuple[str, Any, Any]]) -> None:
    several = Several()
    for event in events:
        apply(several, *event)
    several.up = True
    several.settle()
    least = {name: could_open(wish, max(1, wish.instances)) for name, wish in several.wishes.items()}
    kept = {name: h.granted - least[name] for name, h in several.held.items()}
    assert min(kept.values(), default=0) >= 0, "each instance has one connection"
    # What is above the least, that no pool can do without, fits beside all the rest.
    if sum(h.granted for h in several.held.values()) > several.most - RESERVED:
        assert not any(kept.values()), several.held
    for name, wish in several.wishes.items():
        size = effective_size(wish, wish.size.max, several.held[name].granted)
        assert could_open(wish, size) <= several.held[name].granted
