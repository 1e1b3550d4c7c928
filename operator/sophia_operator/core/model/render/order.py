"""Whom a request asks, and whom after that: what shares and fallbacks of the status mean to a gateway."""

from __future__ import annotations

from sophia_operator.core.model.views import ModelRouteView


def shares_of(route: ModelRouteView) -> dict[str, int]:
    """Percent by model, in the order of the spec, 0 for models without a share; empty while none serves.

    A model that was just removed may be in the status for one more pass: it is not here.
    """
    told = {share.name: share.percent for share in route.status.shares}
    found = {model.name: told.get(model.name, 0) for model in route.spec.models}
    return found if any(found.values()) else {}


def chain(route: ModelRouteView, first: str) -> tuple[str, ...]:
    """Models by name in the order in which a request is to ask them, `first` first."""
    shares = shares_of(route)
    fallbacks = [name for name in route.status.fallbacks if name in shares]
    # The model with most of the traffic is there for what another one does not answer, listed or not.
    leader = max(shares, key=lambda name: shares[name], default=first)
    after = fallbacks if leader in fallbacks else [leader, *fallbacks]
    return first, *(name for name in after if name != first)
