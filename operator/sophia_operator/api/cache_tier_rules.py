"""What the parts of a CacheTier must have to do with each other: as CEL rules, and the same offline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from sophia_operator.api.common import rules

if TYPE_CHECKING:
    from sophia_operator.api.cache_tier import CacheTierSpec

#: Between the parts of a key, as in `emb:g1:doc-17`.
SEPARATOR: Final = ":"
#: The keys of the operator's own checks begin with it.
OWN_PREFIX: Final = "sophia-operator"

_REDIS = "redis goes with level Redis, and level Redis needs redis"
_POSTGRESQL = "postgresql goes with level PostgreSQL, and level PostgreSQL needs postgresql"
_MEMORY = "memory goes with level Memory"
_OVERLAP = (
    "prefixes of namespaces must not be equal, and with its colon none may begin with another: a:b lies in a; "
    "choose others, or put the namespaces together"
)
_OWN = f"the prefix {OWN_PREFIX} is the operator's own: choose another"
_QUOTAS = (
    "quotas (namespaces[].maxMemoryMegabytes) must together be at most redis.managed.maxMemoryMegabytes: "
    "lower them, or raise that"
)
_NO_NAMESPACE = "flush.namespaceName is no namespace of this tier: correct it, or remove the flush"
_NO_PREFIX = (
    "flush.pattern must begin with the prefix of a namespace of this tier and a colon: correct it, or remove the flush"
)
_NO_KEYS = "a Memory level has no keys that could be taken away: set flush.kind to Generation"
_NO_ORIGIN = "origin paces flushes and warm-ups, and a Memory level has none of them: remove it"
_NO_WARM_UP = "warmUp goes with level Redis: remove it"
_ITSELF = "next must be another tier"
_WHOLE_TIER = "flush.flushAll must be the name of this tier, to be sure that everything in it is to go"

#: On the list of namespaces.
NAMESPACES: Final = (
    (
        "self.all(a, self.all(b, a.name == b.name"
        f" || !(a.prefix + '{SEPARATOR}').startsWith(b.prefix + '{SEPARATOR}')))",
        _OVERLAP,
    ),
    (f"self.all(n, !(n.prefix + '{SEPARATOR}').startsWith('{OWN_PREFIX}{SEPARATOR}'))", _OWN),
)
#: On the spec.
SPEC: Final = (
    ("has(self.redis) == (self.level == 'Redis')", _REDIS),
    ("has(self.postgresql) == (self.level == 'PostgreSQL')", _POSTGRESQL),
    ("!has(self.memory) || self.level == 'Memory'", _MEMORY),
    (
        "!has(self.namespaces) || !has(self.redis) || !has(self.redis.managed) || self.namespaces"
        ".map(n, has(n.maxMemoryMegabytes) ? n.maxMemoryMegabytes : 0).sum()"
        " <= self.redis.managed.maxMemoryMegabytes",
        _QUOTAS,
    ),
    (
        "!has(self.flush) || !has(self.flush.namespaceName) || (has(self.namespaces)"
        " && self.namespaces.exists(n, n.name == self.flush.namespaceName))",
        _NO_NAMESPACE,
    ),
    (
        "!has(self.flush) || !has(self.flush.pattern) || (has(self.namespaces)"
        f" && self.namespaces.exists(n, self.flush.pattern.startsWith(n.prefix + '{SEPARATOR}')))",
        _NO_PREFIX,
    ),
    ("self.level != 'Memory' || !has(self.flush) || self.flush.kind == 'Generation'", _NO_KEYS),
    ("self.level != 'Memory' || !has(self.origin)", _NO_ORIGIN),
    ("self.level == 'Redis' || !has(self.warmUp)", _NO_WARM_UP),
)
#: On the whole object; they name the spec, as the messages speak of that.
OBJECT: Final = rules(
    ("!has(self.spec.next) || self.spec.next != self.metadata.name", _ITSELF),
    (
        "!has(self.spec.flush) || !has(self.spec.flush.flushAll) || self.spec.flush.flushAll == self.metadata.name",
        _WHOLE_TIER,
    ),
    field=".spec",
)


def problem_of_prefixes(prefixes: Sequence[str]) -> str | None:
    """What is wrong with the prefixes of all namespaces."""
    heads = [prefix + SEPARATOR for prefix in prefixes]
    for index, head in enumerate(heads):
        if any(head.startswith(other) for at, other in enumerate(heads) if at != index):
            return _OVERLAP
    return _OWN if any(head.startswith(OWN_PREFIX + SEPARATOR) for head in heads) else None


def problem_of_names(name: str, spec: CacheTierSpec) -> str | None:
    """What is wrong with names of tiers in a spec, in the tier of that name."""
    if name and spec.next == name:
        return _ITSELF
    if name and spec.flush is not None and spec.flush.flush_all not in (None, name):
        return _WHOLE_TIER
    return None


def problem_of_spec(spec: CacheTierSpec) -> str | None:
    """What does not fit together in a spec."""
    return _of_the_level(spec) or _of_the_flush(spec)


def _of_the_level(spec: CacheTierSpec) -> str | None:
    level, managed = spec.level.value, spec.redis.managed if spec.redis is not None else None
    quotas = sum(namespace.max_memory_megabytes or 0 for namespace in spec.namespaces)
    broken = {
        _REDIS: (spec.redis is not None) != (level == "Redis"),
        _POSTGRESQL: (spec.postgresql is not None) != (level == "PostgreSQL"),
        _MEMORY: spec.memory is not None and level != "Memory",
        _QUOTAS: managed is not None and quotas > managed.max_memory_megabytes,
        _NO_ORIGIN: spec.origin is not None and level == "Memory",
        _NO_WARM_UP: spec.warm_up is not None and level != "Redis",
    }
    return next((message for message, is_broken in broken.items() if is_broken), None)


def _of_the_flush(spec: CacheTierSpec) -> str | None:
    flush = spec.flush
    if flush is None:
        return None
    if flush.namespace_name not in (None, *(n.name for n in spec.namespaces)):
        return _NO_NAMESPACE
    prefixes = tuple(n.prefix + SEPARATOR for n in spec.namespaces)
    if flush.pattern is not None and not flush.pattern.startswith(prefixes):
        return _NO_PREFIX
    if spec.level.value == "Memory" and flush.kind.value != "Generation":
        return _NO_KEYS
    return None
