"""The traffic that a live route stands for: what is kept while what the spec asks for cannot take its place.

Going back must be possible at every instant, so a spec that names a Gateway that is not there, a host name of somebody
else's or a rule that the API server refuses must not get in the way of writing weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.traffic import GatewayTraffic
from sophia_operator.core.names import PROBE_HEADER

#: Blockers that are about the route: while there is one, the route that serves keeps its shape.
KEEP: Final = frozenset({Reason.GATEWAY_NOT_FOUND, Reason.HOSTNAME_TAKEN, Reason.INVALID_ROUTE})


def traffic_of(route: Mapping[str, Any], wanted: GatewayTraffic) -> GatewayTraffic | None:
    """Gateways, host names and rules of a live HTTPRoute of the operator's; the rest as wanted.

    None when somebody edited it into what the API does not know.
    """
    spec = route["spec"]
    rules = [
        {"matches": user_matches(rule), "filters": rule.get("filters") or [], "timeouts": rule.get("timeouts")}
        for rule in spec.get("rules") or ()
        if not is_for_probes(rule)
    ]
    try:
        return GatewayTraffic.model_validate(
            {
                "parentRefs": spec.get("parentRefs") or [],
                "hostnames": spec.get("hostnames") or [],
                "rules": rules,
                "port": wanted.port,
                "probeUrl": wanted.probe_url,
            }
        )
    except ValueError:
        return None


def user_matches(rule: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Matches of a rule but for those of marked requests."""
    return [m for m in rule.get("matches") or () if not is_marked(m)]


def is_for_probes(rule: Mapping[str, Any]) -> bool:
    """Whether a rule of an HTTPRoute is for the operator's own marked requests alone."""
    matches = rule.get("matches") or ()
    return bool(matches) and all(is_marked(match) for match in matches)


def is_marked(match: Mapping[str, Any]) -> bool:
    """Whether a match of an HTTPRoute is about the mark of the operator's own requests."""
    return any(h.get("name", "").lower() == PROBE_HEADER for h in match.get("headers") or ())
