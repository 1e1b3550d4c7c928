"""Routes and Gateways as a pass sees them. Pure functions over objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.release import Color
from sophia_operator.api.traffic import GatewayTraffic, ParentRef
from sophia_operator.core.hashing import canonical_json
from sophia_operator.core.hosts import bracketed
from sophia_operator.core.kept_traffic import is_for_probes, user_matches
from sophia_operator.core.names import LABEL_RELEASE, color_service
from sophia_operator.core.views import Blocker, RouteView

_CONDITIONS: Final = ("Accepted", "ResolvedRefs")
_EVERYTHING: Final[dict[str, Any]] = {"path": {"type": "PathPrefix", "value": "/"}}

#: Controller of each Gateway, by (namespace, name); None while the Gateway or its class is not known.
Controllers = Mapping[tuple[str, str], str | None]
Gateways = Mapping[tuple[str, str], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Standing:
    """What the controllers of all parents say of an HTTPRoute."""

    #: Every one of them has seen the newest spec.
    caught_up: bool
    #: Whether all are content; None until all have seen it.
    accepted: bool | None
    message: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Requests that an HTTPRoute is to answer."""

    namespace: str
    #: Of the HTTPRoute.
    name: str
    parents: Sequence[ParentRef]
    hostnames: Sequence[str]
    matches: Sequence[Mapping[str, Any]]


def claim_of(traffic: GatewayTraffic, namespace: str, name: str) -> Claim:
    """What a service is to answer."""
    matches = [m for rule in traffic.rules for m in (rule.matches or [_EVERYTHING])]
    return Claim(namespace, name, traffic.parent_refs, traffic.hostnames, matches)


def route_view(route: Mapping[str, Any], service: str, controllers: Controllers) -> RouteView:
    """The HTTPRoute of a service, and whether every parent's controller has seen its newest spec."""
    standing = standing_of(route, controllers)
    return RouteView(
        weights=_weights(route, service),
        caught_up=standing.caught_up,
        accepted=standing.accepted,
        message=standing.message,
    )


def standing_of(route: Mapping[str, Any], controllers: Controllers) -> Standing:
    """What the controllers say of the route's newest spec."""
    generation = int(route["metadata"].get("generation", 0))
    caught_up, accepted, messages = True, True, []
    for parent in route["spec"].get("parentRefs", ()):
        seen, good, message = _parent_state(route, parent, generation, controllers)
        caught_up, accepted = caught_up and seen, accepted and good
        if message:
            messages.append(message)
    return Standing(caught_up, accepted if caught_up else None, "; ".join(messages))


def plain_view(service: Mapping[str, Any], colors: Mapping[str, Color | None]) -> RouteView:
    """The plain Service of traffic `none`: all its traffic goes to the release that it selects."""
    release = (service.get("spec", {}).get("selector") or {}).get(LABEL_RELEASE)
    color = colors.get(release) if release is not None else None
    weights = {c: 100 if c is color else 0 for c in Color}
    return RouteView(weights=weights, caught_up=True, accepted=True, plain=True)


def _parent_state(
    route: Mapping[str, Any], parent: Mapping[str, Any], generation: int, controllers: Controllers
) -> tuple[bool, bool, str]:
    """(the controller has seen the newest spec, it is content, what it says if not) for one parent."""
    home = route["metadata"].get("namespace", "")
    wanted = _reference(parent, home)
    controller = controllers.get((wanted[0], wanted[1]))
    for entry in (route.get("status") or {}).get("parents", ()):
        if _reference(entry.get("parentRef", {}), home) != wanted:
            continue
        # An entry of a controller that used to be responsible can linger for ever.
        if controller is not None and entry.get("controllerName") != controller:
            continue
        found = {c["type"]: c for c in entry.get("conditions", ()) if c.get("type") in _CONDITIONS}
        if any(t not in found or int(found[t].get("observedGeneration", 0)) < generation for t in _CONDITIONS):
            continue
        bad = [c for c in found.values() if c.get("status") != "True"]
        words = "; ".join(f"{c['type']} is {c['status']}: {c.get('reason')}: {c.get('message', '')}" for c in bad)
        return True, not bad, words
    return False, False, ""


def _reference(parent: Mapping[str, Any], home: str) -> tuple[str, str, str | None, int | None]:
    return parent.get("namespace") or home, parent.get("name", ""), parent.get("sectionName"), parent.get("port")


def _weights(route: Mapping[str, Any], service: str) -> dict[Color, int]:
    """Percent of each colour in the first rule for users. Marked requests have rules of their own."""
    names = {color_service(service, color): color for color in Color}
    for rule in route["spec"].get("rules", ()):
        backends = [b for b in rule.get("backendRefs", ()) if b.get("name") in names]
        if not backends or is_for_probes(rule):
            continue
        counts = dict.fromkeys(Color, 0)
        for backend in backends:
            counts[names[backend["name"]]] += int(backend.get("weight", 1))
        total = sum(counts.values())
        return {c: round(100 * count / total) if total else 0 for c, count in counts.items()}
    return dict.fromkeys(Color, 0)


def gateway_blockers(parents: Iterable[ParentRef], namespace: str, gateways: Gateways) -> list[Blocker]:
    """A blocker for each Gateway that is referred to and does not exist."""
    out = []
    for parent in parents:
        where = (parent.namespace or namespace, parent.name)
        if gateways.get(where) is None:
            out.append(
                Blocker(
                    Reason.GATEWAY_NOT_FOUND,
                    f"Gateway {where[1]} in namespace {where[0]} does not exist: create it, or mend parentRefs",
                )
            )
    return out


def hostname_blockers(
    claim: Claim, ours: Mapping[str, Any] | None, others: Iterable[Mapping[str, Any]]
) -> list[Blocker]:
    """A blocker when another HTTPRoute answers the same requests and has precedence.

    As the Gateway API has it: of two equal matches the older route's counts, then the first by name. What our route
    does not answer yet is no older than the wish for it: it would take somebody else's users.
    """
    out = []
    parents = [(p.namespace or claim.namespace, p.name, p.section_name) for p in claim.parents]
    matches = {_match_key(m) for m in claim.matches}
    hostnames = set(claim.hostnames) or {""}
    for other in others:
        meta = other["metadata"]
        where = (meta.get("namespace", ""), meta["name"])
        if where == (claim.namespace, claim.name) or meta.get("deletionTimestamp"):
            continue
        shared = hostnames & _hosts(other)
        theirs = [_reference(p, where[0]) for p in other["spec"].get("parentRefs", ())]
        if not shared or not any(_same_listener(a, b) for a in parents for b in theirs):
            continue
        overlap = matches & _match_keys(other)
        held = ours is not None and shared <= _hosts(ours) and overlap <= _match_keys(ours)
        if not overlap or (held and ours is not None and _precedence(ours) < _precedence(other)):
            continue
        host = ", ".join(sorted(h or "every host" for h in shared))
        out.append(
            Blocker(
                Reason.HOSTNAME_TAKEN,
                f"HTTPRoute {where[1]} in namespace {where[0]} already answers {host} at the same Gateway: "
                "choose another host name or match, or remove that route",
            )
        )
    return out


def _same_listener(ours: tuple[str, str, str | None], theirs: tuple[str, str, str | None, int | None]) -> bool:
    same_gateway = ours[:2] == theirs[:2]
    return same_gateway and (ours[2] is None or theirs[2] is None or ours[2] == theirs[2])


def _hosts(route: Mapping[str, Any]) -> set[str]:
    return set(route["spec"].get("hostnames") or ("",))


def _match_keys(route: Mapping[str, Any]) -> set[str]:
    """What users' requests the route answers."""
    rules = [r for r in route["spec"].get("rules", ()) if not is_for_probes(r)]
    return {_match_key(m) for rule in rules for m in user_matches(rule) or [_EVERYTHING]}


def _match_key(match: Mapping[str, Any]) -> str:
    path = {"type": "PathPrefix", "value": "/"} | dict(match.get("path") or {})
    headers = sorted(
        (h.get("name", "").lower(), h.get("type", "Exact"), h.get("value", "")) for h in match.get("headers") or ()
    )
    params = sorted(
        (q.get("name", ""), q.get("type", "Exact"), q.get("value", "")) for q in match.get("queryParams") or ()
    )
    return canonical_json([path, match.get("method"), headers, params])


def _precedence(route: Mapping[str, Any]) -> tuple[str, str]:
    meta = route["metadata"]
    return meta.get("creationTimestamp", ""), f"{meta.get('namespace', '')}/{meta['name']}"


def gateway_url(traffic: GatewayTraffic, namespace: str, gateways: Gateways) -> str | None:
    """Where the operator's own requests reach a Gateway, as in `http://10.0.0.7:80`; None when nothing says so."""
    return traffic.probe_url or listener_url(traffic.parent_refs, namespace, gateways)


def listener_url(parents: Iterable[ParentRef], namespace: str, gateways: Gateways) -> str | None:
    """Where one of the Gateways answers by what it says of itself; None when none has an address."""
    for parent in parents:
        gateway = gateways.get((parent.namespace or namespace, parent.name))
        if gateway is None:
            continue
        addresses = [a["value"] for a in (gateway.get("status") or {}).get("addresses", ()) if a.get("value")]
        listeners = [
            listener
            for listener in gateway.get("spec", {}).get("listeners", ())
            if parent.section_name in (None, listener.get("name")) and listener.get("protocol") in ("HTTP", "HTTPS")
        ]
        listeners.sort(key=lambda listener: listener["protocol"])
        if addresses and listeners:
            return f"{listeners[0]['protocol'].lower()}://{bracketed(addresses[0])}:{listeners[0]['port']}"
    return None
