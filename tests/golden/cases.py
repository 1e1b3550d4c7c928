"""Cases of rendering: a folder each, with `in.yaml` (what there is) and `out.yaml` (what should be rendered).

`in.yaml` holds `about` (what the case shows), `service` and `releases` as users see them, `placement`, `caches`
(numbers of generations, by tier and namespace), and `existing` (children that are there already). Whatever a case is
not about is left out and filled in here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from sophia_operator.api.managed_service import ManagedServiceSpec, ManagedServiceStatus
from sophia_operator.api.release import Color, ReleaseSpec, ReleaseStatus
from sophia_operator.core.placement import Placement
from sophia_operator.core.render import ChildRef, Desired, drain_warnings, render
from sophia_operator.core.views import CacheView, Observed, ReleaseView, ServiceView

FOLDER: Final = Path(__file__).parent / "render"
CASES: Final = sorted(path.parent.name for path in FOLDER.glob("*/in.yaml"))

_HASH: Final = "v1:" + "0" * 64
_LONG_AGO: Final = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """One case, parsed."""

    service: ServiceView
    observed: Observed
    placement: Placement
    existing: tuple[ChildRef, ...]

    def render(self) -> Desired:
        return render(self.service, self.observed, self.placement, self.existing)


def load(name: str) -> Case:
    """The case in the folder of that name."""
    return parse(read(name))


def read(name: str) -> dict[str, Any]:
    """`in.yaml` of that case as it stands."""
    raw: dict[str, Any] = yaml.safe_load((FOLDER / name / "in.yaml").read_text())
    return raw


def parse(raw: dict[str, Any]) -> Case:
    unknown = raw.keys() - {"about", "service", "releases", "placement", "caches", "existing"}
    assert not unknown, f"in.yaml holds what nobody reads: {unknown}"
    service = _service(raw["service"])
    return Case(
        service=service,
        observed=Observed(
            releases=tuple(_release(service.name, r) for r in raw.get("releases", ())),
            caches={name: CacheView(numbers) for name, numbers in raw.get("caches", {}).items()},
        ),
        placement=_placement(raw["placement"]),
        existing=tuple(ChildRef(c["apiVersion"], c["kind"], c["name"]) for c in raw.get("existing", ())),
    )


def to_yaml(desired: Desired, case: Case) -> str:
    """What goes into `out.yaml`."""
    copies = [
        {
            "kind": c.kind.value,
            "sourceName": c.source_name,
            "copyName": c.copy_name,
            "hash": c.hash,
            "owners": [{"name": o.name, "uid": o.uid} for o in c.owners],
        }
        for c in desired.config_copies
    ]
    warnings = {r.name: found for r in case.observed.releases if (found := drain_warnings(r.spec.snapshot))}
    out = {
        "configCopies": copies,
        "objects": list(desired.objects),
        "delete": [{"apiVersion": r.api_version, "kind": r.kind, "name": r.name} for r in desired.delete],
        "drainWarnings": warnings,
        "chains": desired.chains,
    }
    return yaml.dump(
        {k: v for k, v in out.items() if v}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120
    )


class _Dumper(yaml.SafeDumper):
    """Writes out in full what stands in several places."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    """Texts of several lines as such."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def _service(raw: dict[str, Any]) -> ServiceView:
    return ServiceView(
        namespace=raw.get("namespace", "shop"),
        name=raw["name"],
        uid=raw.get("uid", "00000000-0000-4000-8000-000000000000"),
        generation=raw.get("generation", 1),
        resource_version="1",
        spec=ManagedServiceSpec.model_validate(raw["spec"]),
        status=ManagedServiceStatus.model_validate(raw.get("status", {})),
    )


def _release(service: str, raw: dict[str, Any]) -> ReleaseView:
    revision = int(raw["name"].rsplit("-", 1)[1])
    identity = {"serviceName": service, "revision": revision, "hash": _HASH}
    return ReleaseView(
        name=raw["name"],
        uid=f"00000000-0000-4000-8000-{revision:012}",
        generation=1,
        resource_version="1",
        created_at=_LONG_AGO,
        spec=ReleaseSpec.model_validate(identity | {"snapshot": raw["snapshot"]}),
        status=ReleaseStatus.model_validate(raw.get("status", {})),
    )


def _placement(raw: dict[str, Any]) -> Placement:
    return Placement(
        releases={Color(c): name for c, name in raw["releases"].items()},
        weights={Color(c): weight for c, weight in raw["weights"].items()},
        replicas=raw.get("replicas", {}),
        candidate=Color(raw["candidate"]) if "candidate" in raw else None,
    )
