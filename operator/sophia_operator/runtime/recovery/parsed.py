"""Objects that were parsed and did not change since: whoever looks at a whole namespace parses only what is new."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar, cast
from weakref import WeakKeyDictionary

from sophia_operator.ports import Object
from sophia_operator.runtime.store import ObjectStore

T = TypeVar("T")

#: So many are kept for a store; those that were not asked for the longest go first.
MOST: Final = 4096

#: By the store: kind, namespace and name of an object, and its version with what was made of it.
_KEPT: Final[WeakKeyDictionary[ObjectStore, dict[tuple[str, str, str], tuple[int, object]]]] = WeakKeyDictionary()


def parsed(store: ObjectStore, kind: str, namespace: str, name: str, make: Callable[[Object], T]) -> T | None:
    """What `make` makes of the object as it is now; None when it is missing.

    What is made must be frozen, and of this object alone; for one kind it is always made by the same function.
    """
    version, key = store.version(kind, namespace, name), (kind, namespace, name)
    kept = _KEPT.setdefault(store, {})
    found = kept.pop(key, None)
    if version is None:
        return None
    if found is None or found[0] != version:
        obj = store.get(kind, namespace, name)
        assert obj is not None  # it has a version
        found = (version, make(obj))
    kept[key] = found
    if len(kept) > MOST:
        del kept[next(iter(kept))]
    return cast("T", found[1])
