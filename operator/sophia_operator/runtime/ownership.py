"""Whose object it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sophia_operator.core.names import LABEL_SERVICE, MANAGER


def controller_uid(obj: Mapping[str, Any]) -> str | None:
    """The uid of the object that controls this one, or None."""
    references = obj["metadata"].get("ownerReferences") or ()
    return next((r.get("uid", "") for r in references if r.get("controller")), None)


def is_ours(obj: Mapping[str, Any], owner: str, owners: Collection[str], label: str = LABEL_SERVICE) -> bool:
    """Whether one of `owners` (uids) controls the object, or nobody does and our labels are still on it.

    `label` is the one that carries the owner's name.
    """
    controller = controller_uid(obj)
    if controller is not None:
        return controller in owners
    labels = obj["metadata"].get("labels") or {}
    return labels.get(label) == owner and labels.get("app.kubernetes.io/managed-by") == MANAGER


def describe_owner(obj: Mapping[str, Any]) -> str:
    """Who owns the object, in words."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return f"{reference.get('kind')} {reference.get('name')} controls it"
    return "it was not made by the operator"
