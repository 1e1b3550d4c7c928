"""Cases of rendering a tier: a folder each, with `in.yaml` (what there is) and `out.yaml` (what should be rendered).

`in.yaml` holds `about` (what the case shows), `tier` as users see it, `access` (None: a Secret is missing), and `below`
(the tiers below it). Whatever a case is not about is left out and filled in here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from sophia_operator.api.cache_tier import CacheTierSpec
from sophia_operator.api.cache_tier_status import CacheTierStatus
from sophia_operator.core.cache import names
from sophia_operator.core.cache.render import render
from sophia_operator.core.cache.views import Link, TierAccess, TierDesired, TierObserved, TierView
from tests.golden.plain import in_plain_text

FOLDER: Final = Path(__file__).parent / "cache"
CASES: Final = sorted(path.parent.name for path in FOLDER.glob("*/in.yaml"))
DEFAULT_IMAGE: Final = "registry.example/redis:7.0.15"

_LONG_AGO: Final = datetime(2025, 1, 1, tzinfo=UTC)
_ACCESS: Final = {
    "client_password": "of-applications",
    "admin_password": "of-the-operator",
    "replicator_password": "of-replicas",
    "prober_password": "of-probes",
}


@dataclass(frozen=True)
class Case:
    """One case, parsed."""

    tier: TierView
    observed: TierObserved

    def render(self) -> TierDesired:
        return render(self.tier, self.observed, DEFAULT_IMAGE)


def load(name: str) -> Case:
    """The case in the folder of that name."""
    raw: dict[str, Any] = yaml.safe_load((FOLDER / name / "in.yaml").read_text())
    return parse(raw)


def parse(raw: dict[str, Any], namespace: str = "shop") -> Case:
    unknown = raw.keys() - {"about", "tier", "access", "below"}
    assert not unknown, f"in.yaml holds what nobody reads: {unknown}"
    given = raw["tier"]
    tier = TierView(
        namespace=namespace,
        name=given["name"],
        uid="00000000-0000-4000-8000-000000000000",
        generation=1,
        resource_version="1",
        created_at=_LONG_AGO,
        spec=CacheTierSpec.model_validate(given["spec"]),
        status=CacheTierStatus.model_validate(given.get("status", {})),
    )
    access = raw.get("access", {})
    below = tuple(_link(link) for link in raw.get("below", []))
    return Case(tier, TierObserved(access=None if access is None else access_of(tier, **access), below=below))


def access_of(tier: TierView, **given: Any) -> TierAccess:
    """What there is for a tier, the passwords that the operator makes for its nodes among it."""
    made = _ACCESS if tier.spec.redis is not None and tier.spec.redis.managed is not None else {"client_password": None}
    known = {"client_username": names.client_user(tier.name) if len(made) > 1 else None}
    return TierAccess(**{**known, **made, **given})


def _link(given: dict[str, Any]) -> Link:
    spec = CacheTierSpec.model_validate(given["spec"]) if "spec" in given else None
    return Link(given["name"], spec, given.get("generations", {}))


def to_yaml(desired: TierDesired) -> str:
    """What goes into `out.yaml`, with the content of Secrets in plain text."""
    return in_plain_text({}, desired.objects)
