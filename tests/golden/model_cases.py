"""Cases of rendering a ModelRoute: a folder each, with `in.yaml` (what there is) and `out.yaml` (what is rendered).

`in.yaml` holds `about` (what the case shows), `route` as users see it with its status, and `gatewayUrl` (where the
Gateway answers). What pods of LiteLLM read is no part of `out.yaml`: it has tests of its own, with real proxies.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from sophia_operator.api.model_route import ModelRouteSpec
from sophia_operator.api.model_route_status import ModelRouteStatus
from sophia_operator.core.model.render import render
from sophia_operator.core.model.views import ModelRouteDesired, ModelRouteObserved, ModelRouteView
from tests.golden.plain import in_plain_text

FOLDER: Final = Path(__file__).parent / "model"
CASES: Final = sorted(path.parent.name for path in FOLDER.glob("*/in.yaml"))

_LONG_AGO: Final = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """One case, parsed."""

    route: ModelRouteView
    observed: ModelRouteObserved

    def render(self) -> ModelRouteDesired:
        return render(self.route, self.observed)


def load(name: str) -> Case:
    """The case in the folder of that name."""
    raw: dict[str, Any] = yaml.safe_load((FOLDER / name / "in.yaml").read_text())
    return parse(raw)


def parse(raw: dict[str, Any], namespace: str = "shop") -> Case:
    unknown = raw.keys() - {"about", "route", "gatewayUrl"}
    assert not unknown, f"in.yaml holds what nobody reads: {unknown}"
    given = raw["route"]
    route = ModelRouteView(
        namespace=namespace,
        name=given["name"],
        uid="00000000-0000-4000-8000-000000000000",
        generation=1,
        resource_version="1",
        created_at=_LONG_AGO,
        spec=ModelRouteSpec.model_validate(given["spec"]),
        status=ModelRouteStatus.model_validate(given.get("status", {})),
    )
    return Case(route, ModelRouteObserved(gateway_url=raw.get("gatewayUrl")))


def to_yaml(desired: ModelRouteDesired) -> str:
    """What goes into `out.yaml`, with the content of Secrets in plain text."""
    objects = [copy.deepcopy(dict(obj)) for obj in desired.objects]
    for obj in objects:
        if obj["kind"] == "ConfigMap":
            obj["data"] = dict.fromkeys(obj["data"], "(not shown)")
    return in_plain_text({"delete": [f"{child.kind} {child.name}" for child in desired.delete]}, objects)
