"""Whether an object in the cluster is still what the operator made it, so that it writes only when something changed.

Three questions are asked, the cheapest first: is what should be there other than what was last applied (a hash in an
annotation), is what is there just what our last write left (a fingerprint, remembered by the caller), and, field by
field, does it hold everything that should be there.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from sophia_operator.api.common import GROUP
from sophia_operator.core import names
from sophia_operator.core.hashing import versioned_hash

Path = tuple[str, ...]

_OUR_PREFIXES: Final = (f"{GROUP}/", "app.kubernetes.io/")
#: Fields with content; status and the rest of metadata are other writers'.
_CONTENT: Final = ("spec", "data", "binaryData", "immutable", "type")


def applied_hash(desired: Mapping[str, Any]) -> str:
    """Versioned hash of an object as rendered, with or without the annotation that holds it."""
    return versioned_hash(_without_stamp(desired))


def stamped(desired: Mapping[str, Any]) -> dict[str, Any]:
    """The object to apply: as rendered, and with its hash in the annotation `sophia.ai/applied-hash`."""
    obj = _without_stamp(desired)
    annotations = obj["metadata"].get("annotations") or {}
    obj["metadata"]["annotations"] = annotations | {names.ANNOTATION_APPLIED: applied_hash(desired)}
    return obj


def fingerprint(live: Mapping[str, Any]) -> str:
    """Hash of what the operator cares about in a live object: its content, our labels and annotations, its owners.

    Status, resource version, generation, managed fields and other people's labels and annotations are not in it.
    """
    metadata = live.get("metadata") or {}
    return versioned_hash(
        {
            "content": {field: live[field] for field in _CONTENT if field in live},
            "labels": _ours(metadata.get("labels")),
            "annotations": _ours(metadata.get("annotations")),
            "owners": metadata.get("ownerReferences") or [],
        }
    )


def needs_apply(desired: Mapping[str, Any], live: Mapping[str, Any] | None, remembered: str | None = None) -> bool:
    """Whether to write `desired`. `remembered` is the fingerprint of what the API server answered to our last write.

    With it the API server's defaults and other writers' additions are known, so anything else is drift. Without it,
    as after a restart of the operator, what is missing in `live` and stands for nothing is taken as dropped by the
    API server.
    """
    if live is None:
        return True
    annotations = (live.get("metadata") or {}).get("annotations") or {}
    if annotations.get(names.ANNOTATION_APPLIED) != applied_hash(desired):
        return True
    if remembered is not None and remembered == fingerprint(live):
        return False
    return not matches(desired, live, strict=remembered is not None)


def matches(desired: Mapping[str, Any], live: Mapping[str, Any], *, strict: bool = False) -> bool:
    """Whether `live` holds all of `desired`; `strict` as for `first_difference`."""
    return first_difference(desired, live, strict=strict) is None


def first_difference(desired: Mapping[str, Any], live: Mapping[str, Any], *, strict: bool = False) -> str | None:
    """Where `live` is not as desired, as in `spec.rules[0].backendRefs[1].weight`; None when it is.

    Maps in `live` may hold more, except where the operator owns the whole: an HTTPRoute's spec (but for the
    schema's defaults) and a Service's selector. Quantities are equal when they mean the same. Fields that are
    desired to be null, and unless `strict` those that are desired to be empty, zero or false, may be missing.
    """
    path = _Comparison(str(desired.get("kind")), strict).run((), _without_stamp(desired), live)
    return None if path is None else re.sub(r"\.(\[)", r"\1", ".".join(path))


#: What the schema of an HTTPRoute adds by itself, wherever the field may stand: a value that means the same as none.
_ROUTE_DEFAULTS: Final[tuple[tuple[str, Any], ...]] = (
    ("group", ""),
    ("group", "gateway.networking.k8s.io"),
    ("kind", "Service"),
    ("kind", "Gateway"),
    ("weight", 1),
    ("type", "Exact"),
    ("type", "PathPrefix"),
    ("value", "/"),
    ("path", {"type": "PathPrefix", "value": "/"}),
    ("matches", [{"path": {"type": "PathPrefix", "value": "/"}}]),
    ("statusCode", 302),
    ("denominator", 100),
    ("maxAge", 5),
)

#: Maps whose values are quantities, and single fields that are.
_QUANTITY_MAPS: Final = frozenset({"limits", "requests", "overhead", "capacity"})
_QUANTITIES: Final = frozenset({"sizeLimit", "divisor"})


class _Comparison:
    """Compares one object; answers the path of the first difference."""

    def __init__(self, kind: str, strict: bool) -> None:
        self._kind = kind
        self._strict = strict

    def run(self, path: Path, desired: Any, live: Any) -> Path | None:
        if desired is None:
            return None
        if isinstance(desired, Mapping):
            return self._maps(path, desired, live) if isinstance(live, Mapping) else path
        if isinstance(desired, list):
            return self._lists(path, desired, live) if isinstance(live, list) else path
        return None if _same(desired, live, quantity=_is_quantity(path)) else path

    def _maps(self, path: Path, desired: Mapping[str, Any], live: Mapping[str, Any]) -> Path | None:
        for key, value in desired.items():
            if key in live:
                found = self.run((*path, key), value, live[key])
                if found is not None:
                    return found
            elif value is not None and (self._strict or not _stands_for_nothing(value)):
                return (*path, key)
        return next(((*path, k) for k, v in live.items() if k not in desired and not self._may_add(path, k, v)), None)

    def _lists(self, path: Path, desired: Sequence[Any], live: Sequence[Any]) -> Path | None:
        if path == ("metadata", "ownerReferences"):
            # Told apart by their uid; other owners are other people's business.
            held = all(any(self.run(path, d, found) is None for found in live) for d in desired)
            return None if held else path
        if len(desired) != len(live):
            return path
        pairs = enumerate(zip(desired, live, strict=True))
        differences = (self.run((*path, f"[{i}]"), d, found) for i, (d, found) in pairs)
        return next((found for found in differences if found is not None), None)

    def _may_add(self, path: Path, key: str, value: Any) -> bool:
        if self._kind == "Service" and path == ("spec", "selector"):
            return False
        if self._kind == "HTTPRoute" and path[:1] == ("spec",):
            return (key, value) in _ROUTE_DEFAULTS
        return True


def _same(desired: Any, live: Any, *, quantity: bool) -> bool:
    if isinstance(desired, bool) or isinstance(live, bool):
        return desired is live
    if desired == live:
        return True
    if quantity:
        left, right = _quantity(desired), _quantity(live)
        return left is not None and left == right
    # int-or-string fields are written both ways.
    return isinstance(desired, int | str) and isinstance(live, int | str) and str(desired) == str(live)


def _is_quantity(path: Path) -> bool:
    return path[-1] in _QUANTITIES or (path[-2:-1] != () and path[-2] in _QUANTITY_MAPS)


_QUANTITY: Final = re.compile(r"^([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?$")
_DECIMAL_SUFFIXES: Final = {
    s: Decimal(10) ** e for s, e in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)
}
_BINARY_SUFFIXES: Final = {f"{s}i": Decimal(1024) ** e for e, s in enumerate("KMGTPE", start=1)}


def _quantity(value: Any) -> Decimal | None:
    """The number that a Kubernetes quantity such as `500m`, `1Gi` or `1e3` stands for; None for anything else."""
    found = _QUANTITY.match(str(value)) if isinstance(value, int | float | str) else None
    if found is None:
        return None
    number, suffix = found.groups()
    try:
        if suffix is None:
            return Decimal(number)
        factor = _DECIMAL_SUFFIXES.get(suffix) or _BINARY_SUFFIXES.get(suffix)
        return Decimal(number + suffix) if factor is None else Decimal(number) * factor
    except InvalidOperation:
        return None


def _stands_for_nothing(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_stands_for_nothing(v) for v in value.values())
    return value is None or value is False or value in ("", 0) or value == []


def _ours(entries: Mapping[str, str] | None) -> dict[str, str]:
    return {k: v for k, v in (entries or {}).items() if k.startswith(_OUR_PREFIXES)}


def _without_stamp(obj: Mapping[str, Any]) -> dict[str, Any]:
    out = copy.deepcopy(dict(obj))
    annotations = out.get("metadata", {}).get("annotations")
    if annotations:
        annotations.pop(names.ANNOTATION_APPLIED, None)
        if not annotations:
            del out["metadata"]["annotations"]
    return out
