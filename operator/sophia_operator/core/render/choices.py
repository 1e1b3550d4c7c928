"""Which model the pods of releases ask a ModelRoute for, and which version of a prompt they use: frozen with the
release."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sophia_operator.api.binding_version import BindingKind, BindingVersion
from sophia_operator.core import names
from sophia_operator.core.model.names import CHOICE_HEADER
from sophia_operator.core.render import metadata
from sophia_operator.core.views import ReleaseView, ServiceView


def choice_keys(bound: BindingVersion) -> tuple[str, ...]:
    """Keys of the ConfigMap of a binding to a ModelRoute."""
    return tuple(_data(bound))


def choice_names(release: ReleaseView) -> Iterator[str]:
    """Names of the ConfigMaps of a release's bindings to ModelRoutes."""
    for bound in release.spec.snapshot.bindings:
        if bound.kind is BindingKind.MODEL_ROUTE:
            yield names.model_choice(release.name, bound.name)


def choices(service: ServiceView, releases: Sequence[ReleaseView]) -> list[dict[str, Any]]:
    """The ConfigMaps of these releases."""
    return [
        _config_map(service, release, bound)
        for release in releases
        for bound in release.spec.snapshot.bindings
        if bound.kind is BindingKind.MODEL_ROUTE
    ]


def _data(bound: BindingVersion) -> dict[str, str]:
    found = {"model": bound.model or ""}
    if bound.choice is not None:
        # Gateways that do not look into requests are told by a header.
        found |= {"choice": bound.choice, "choice-header": CHOICE_HEADER}
    if bound.prompt_version is not None:
        found["prompt-version"] = bound.prompt_version
    return found


def _config_map(service: ServiceView, release: ReleaseView, bound: BindingVersion) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata.release_config(service, release, names.model_choice(release.name, bound.name)),
        "immutable": True,
        "data": _data(bound),
    }
