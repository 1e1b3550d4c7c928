"""Releases whose keys are of a generation of their own, as a pass over the tier sees them. Pure functions, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sophia_operator.api.release import Color, ReleaseState
from sophia_operator.core.bound import WARMING_STATES
from sophia_operator.core.cache.views import BoundRelease, TierView
from sophia_operator.core.names import LABEL_SERVICE, color_service
from sophia_operator.ports import Object
from sophia_operator.runtime.store import ObjectStore

_WARMING: Final = frozenset(state.value for state in WARMING_STATES)
_COLORS: Final = frozenset(color.value for color in Color)
_PENDING: Final = ReleaseState.PENDING.value


def bound_releases(store: ObjectStore, tier: TierView) -> tuple[BoundRelease, ...]:
    """Those that are bound to the tier, or to one above it, with a generation of their own."""
    there = [r for r in store.releases_of(tier.namespace, tier.name) if not r["metadata"].get("deletionTimestamp")]
    own = [r for r in there if _has_own_generation(r, tier.name)]
    return tuple(_view(release, [r for r in own if _service(r) == _service(release)]) for release in own)


def _view(release: Object, of_service: Sequence[Object]) -> BoundRelease:
    return BoundRelease(
        name=release["metadata"]["name"],
        service=_service(release),
        revision=_revision(release),
        # With traffic as well: a later stage may ask for more warmth, and what is there already is left alone.
        warming=_status(release).get("state", _PENDING) in _WARMING,
        before=_before(release, of_service),
        url=_url(release),
        started_at=datetime.fromisoformat(began) if (began := _status(release).get("startedAt")) else None,
    )


def _before(release: Object, of_service: Sequence[Object]) -> int | None:
    """The release that serves: of those with traffic the one with most of it."""
    serving = [r for r in of_service if r["metadata"]["uid"] != release["metadata"]["uid"] and _weight(r) > 0]
    most = max(serving, key=lambda r: (_weight(r), _revision(r)), default=None)
    return _revision(most) if most is not None else None


def _url(release: Object) -> str | None:
    color, ports = _status(release).get("color"), _ports(release)
    if color not in _COLORS or not ports:
        return None
    host = f"{color_service(_service(release), Color(color))}.{release['metadata']['namespace']}.svc"
    return f"http://{host}:{ports[0]['port']}"


def _ports(release: Object) -> Sequence[Mapping[str, Any]]:
    ports: Sequence[Mapping[str, Any]] = _snapshot(release).get("ports") or ()
    return ports


def _has_own_generation(release: Object, tier: str) -> bool:
    return any(
        bound.get("kind") == "CacheTier"
        and bound.get("ownGeneration")
        and tier in [bound["name"], *(level["name"] for level in bound.get("levels") or ())]
        for bound in _snapshot(release).get("bindings") or ()
    )


def _snapshot(release: Object) -> Mapping[str, Any]:
    snapshot: Mapping[str, Any] = (release.get("spec") or {}).get("snapshot") or {}
    return snapshot


def _status(release: Object) -> Mapping[str, Any]:
    status: Mapping[str, Any] = release.get("status") or {}
    return status


def _service(release: Object) -> str:
    return str((release["metadata"].get("labels") or {}).get(LABEL_SERVICE, ""))


def _revision(release: Object) -> int:
    return int((release.get("spec") or {}).get("revision") or 0)


def _weight(release: Object) -> int:
    return int((_status(release).get("weights") or {}).get("wantedPercent") or 0)
