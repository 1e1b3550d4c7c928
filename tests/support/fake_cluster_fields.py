"""Who owns which field: server-side apply, at the level of leaves.

A path is a tuple of map keys; an item of a list that is told apart by keys stands in it as a tuple of their values.
Lists that are not listed here are atomic: owned and replaced whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from sophia_operator.ports import ClusterError, Refusal
from tests.support.fake_cluster_schema import schema

Path = tuple[Any, ...]
Managers = Mapping[str, frozenset[Path]]

#: Never owned: they name the object, or the API server sets them.
_NOT_OWNED: Final = frozenset(
    {
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "managedFields",
    }
)
_LIST_KEYS: Final[Mapping[tuple[str, ...], tuple[str, ...]]] = {
    ("metadata", "ownerReferences"): ("uid",),
    ("spec", "template", "spec", "containers"): ("name",),
    ("spec", "template", "spec", "volumes"): ("name",),
    ("spec", "ports"): ("port", "protocol"),
}


def fields(obj: Mapping[str, Any]) -> frozenset[Path]:
    """Every leaf that an applied object sets."""
    kind = obj["kind"]
    out: set[Path] = set()
    for key, value in obj.items():
        if key in ("apiVersion", "kind"):
            continue
        if key == "metadata":
            for name, item in value.items():
                if name not in _NOT_OWNED:
                    out.update(_leaves(kind, ("metadata", name), item))
        else:
            out.update(_leaves(kind, (key,), value))
    return frozenset(out)


def apply(
    live: Mapping[str, Any] | None, applied: Mapping[str, Any], manager: str, managers: Managers
) -> tuple[dict[str, Any], dict[str, frozenset[Path]]]:
    """The object after a forced apply, and who owns what then.

    What the manager applied before and does not any more goes, unless another manager owns it too.
    Raises ClusterError when two items of a list have the same keys: the API server cannot tell which one is meant.
    """
    kind = applied["kind"]
    if twins := sorted(_twins(kind, (), applied)):
        raise ClusterError(Refusal.INVALID, f"failed to create typed patch object: {'; '.join(twins)}")
    mine = fields(applied)
    before = managers.get(manager, frozenset())
    others = {name: owned for name, owned in managers.items() if name != manager}
    merged: Any = _merge(kind, (), dict(live) if live is not None else {}, applied)
    kept = mine.union(*others.values())
    # A list that was empty stays when it has items now: its name is owned with them.
    named = {path[:length] for path in kept for length in range(1, len(path))}
    for path in {_topmost(p, kept) for p in before - kept - named}:
        merged = _without(merged, path)
    taken = {p for p in mine if live is not None and value_at(live, p) != value_at(applied, p)}
    out = {name: owned - taken for name, owned in others.items()} | {manager: mine}
    return merged, {name: owned for name, owned in out.items() if owned}


def update(
    live: Mapping[str, Any], changed: Mapping[str, Any], manager: str, managers: Managers
) -> dict[str, frozenset[Path]]:
    """Who owns what after a plain update: the manager owns what it changed, and nobody what is gone."""
    before, after = fields(live), fields(changed)
    mine = {p for p in after if p not in before or value_at(live, p) != value_at(changed, p)}
    out = {name: (owned & after) - mine for name, owned in managers.items()}
    out[manager] = out.get(manager, frozenset()) | mine
    return {name: owned for name, owned in out.items() if owned}


def value_at(obj: Any, path: Path) -> Any:
    """The value at a path, or None."""
    for step in path:
        if isinstance(step, tuple):
            obj = next((item for item in obj if isinstance(item, Mapping) and _has_keys(item, step)), None)
        elif isinstance(obj, Mapping):
            obj = obj.get(step)
        else:
            return None
        if obj is None:
            return None
    return obj


@cache
def _list_keys(kind: str, path: tuple[str, ...]) -> tuple[str, ...] | None:
    found = _LIST_KEYS.get(path)
    if found is not None:
        # A Deployment has no spec.ports, but a custom resource may: its schema decides.
        return found if kind in ("Service", "Deployment") or path[0] == "metadata" else _from_schema(kind, path)
    return _from_schema(kind, path)


def _from_schema(kind: str, path: tuple[str, ...]) -> tuple[str, ...] | None:
    part = schema(kind)
    for step in path:
        if part is None:
            return None
        part = part.get("properties", {}).get(step) or part.get("items", {}).get("properties", {}).get(step)
    if part is None or part.get("x-kubernetes-list-type") != "map":
        return None
    return tuple(part["x-kubernetes-list-map-keys"])


def _names(path: Path) -> tuple[str, ...]:
    return tuple(step for step in path if isinstance(step, str))


def _item_key(item: Mapping[str, Any], keys: tuple[str, ...]) -> Path:
    return tuple((key, item.get(key, "TCP" if key == "protocol" else None)) for key in keys)


def _has_keys(item: Mapping[str, Any], step: Path) -> bool:
    return all(item.get(key, "TCP" if key == "protocol" else None) == value for key, value in step)


def _leaves(kind: str, path: Path, value: Any) -> Iterator[Path]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(kind, (*path, key), item)
        return
    keys = _list_keys(kind, _names(path)) if isinstance(value, list) and value else None
    if keys is None:
        yield path
        return
    for item in value:
        yield from _leaves(kind, (*path, _item_key(item, keys)), item)


def _twins(kind: str, path: Path, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _twins(kind, (*path, key), item)
        return
    keys = _list_keys(kind, _names(path)) if isinstance(value, list) else None
    if keys is None:
        return
    names = [_item_key(item, keys) for item in value]
    for name in {n for n in names if names.count(n) > 1}:
        said = ",".join(f"{key}={json.dumps(given)}" for key, given in name)
        yield f".{'.'.join(_names(path))}: duplicate entries for key [{said}]"
    for name, item in zip(names, value, strict=True):
        yield from _twins(kind, (*path, name), item)


def _topmost(path: Path, kept: frozenset[Path]) -> Path:
    """The list item that goes whole with this leaf, since nobody keeps anything of it; else the leaf."""
    for i, step in enumerate(path):
        if isinstance(step, tuple) and not any(p[: i + 1] == path[: i + 1] for p in kept):
            return path[: i + 1]
    return path


def _merge(kind: str, path: Path, live: Any, applied: Any) -> Any:
    if isinstance(live, Mapping) and isinstance(applied, Mapping):
        out = dict(live)
        for key, value in applied.items():
            out[key] = _merge(kind, (*path, key), live.get(key), value)
        return out
    keys = _list_keys(kind, _names(path)) if isinstance(live, list) and isinstance(applied, list) else None
    if keys is None:
        return applied
    there = {_item_key(item, keys): item for item in live}
    for item in applied:
        key = _item_key(item, keys)
        there[key] = _merge(kind, (*path, key), there.get(key), item)
    return list(there.values())


def _without(obj: Any, path: Path) -> Any:
    """A copy without the leaf at the path, and without the maps and items that are empty then."""
    step, rest = path[0], path[1:]
    if isinstance(step, tuple):
        if not isinstance(obj, list):
            return obj
        out = []
        for item in obj:
            if not _has_keys(item, step):
                out.append(item)
            elif rest:
                out.append(_without(item, rest))
        return out
    if not isinstance(obj, Mapping) or step not in obj:
        return obj
    copy = dict(obj)
    if not rest:
        del copy[step]
        return copy
    copy[step] = _without(copy[step], rest)
    if copy[step] in ({}, []):
        del copy[step]
    return copy
