"""How pods get their bindings: mounted, and named in a variable, as the Service Binding specification says."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sophia_operator.api.binding_version import BindingKind, BindingVersion
from sophia_operator.core import names
from sophia_operator.core.cache.chain import FILE
from sophia_operator.core.model.names import BINDING_KEYS
from sophia_operator.core.render.choices import choice_keys

#: Names the directory with the bindings, each a directory of files that are named after the Secret's keys.
ROOT_VARIABLE: Final = "SERVICE_BINDING_ROOT"
DEFAULT_ROOT: Final = "/bindings"
_CONTAINER_LISTS: Final = ("initContainers", "containers")


@dataclass(frozen=True, slots=True)
class _Directory:
    """One directory below the root of the bindings."""

    name: str
    #: Name of the copy of the Secret.
    secret: str
    #: Name of the ConfigMap with the chain; None where there is none.
    chain: str | None
    #: Names of the containers that get it; None: all.
    containers: frozenset[str] | None
    #: Of a ModelRoute: name of the ConfigMap that says which model to ask for, and its keys.
    choice: tuple[str, tuple[str, ...]] | None = None

    def and_(self, other: _Directory) -> _Directory:
        """Both in one, for whoever gets one of them."""
        everyone = self.containers is None or other.containers is None
        both = None if everyone else (self.containers or frozenset()) | (other.containers or frozenset())
        return _Directory(self.name, self.secret, self.chain or other.chain, both, self.choice or other.choice)


def add_bindings(pod_spec: dict[str, Any], bindings: Iterable[BindingVersion], release: str) -> None:
    """Mount the copy of each binding in the containers that get it. Changes `pod_spec` in place.

    Parts of the wrong shape stay as they are, for the API server to refuse.
    """
    volumes = pod_spec.get("volumes")
    if volumes is not None and not isinstance(volumes, list):
        return
    taken = {v.get("name") for v in maps(volumes)}
    for directory in _directories(bindings, release):
        wanted = directory.containers
        users = [c for c in containers_of(pod_spec) if wanted is None or c.get("name") in wanted]
        volume = _free_name(f"binding-{directory.name}", taken)
        taken.add(volume)
        mounted = [_mount(container, directory.name, volume) for container in users]
        if any(mounted):
            pod_spec["volumes"] = [*(pod_spec.get("volumes") or []), {"name": volume, **_source(directory)}]


def _directories(bindings: Iterable[BindingVersion], release: str) -> Iterable[_Directory]:
    """One for each pool, and for each tier of each chain: a tier may be in several chains, and bound itself."""
    out: dict[str, _Directory] = {}
    for bound in bindings:
        containers = frozenset(bound.containers) or None
        chain = names.live_chain(release, bound.name) if bound.kind is BindingKind.CACHE_TIER else None
        choice = None
        if bound.kind is BindingKind.MODEL_ROUTE:
            choice = (names.model_choice(release, bound.name), choice_keys(bound))
        found = [_Directory(bound.name, bound.copy_name, chain, containers, choice)]
        found += [_Directory(level.name, level.copy_name, None, containers) for level in bound.levels]
        for directory in found:
            known = out.get(directory.name)
            out[directory.name] = directory if known is None else known.and_(directory)
    return out.values()


def _source(directory: _Directory) -> dict[str, Any]:
    if directory.choice is not None:
        name, keys = directory.choice
        # The route's own default is in the Secret as well: each file comes from one of the two.
        secret = {"name": directory.secret, "items": _items(key for key in BINDING_KEYS if key not in keys)}
        return {"projected": {"sources": [{"secret": secret}, {"configMap": {"name": name, "items": _items(keys)}}]}}
    if directory.chain is None:
        return {"secret": {"secretName": directory.secret}}
    chain = {"name": directory.chain, "items": [{"key": FILE, "path": FILE}]}
    return {"projected": {"sources": [{"secret": {"name": directory.secret}}, {"configMap": chain}]}}


def _items(keys: Iterable[str]) -> list[dict[str, str]]:
    return [{"key": key, "path": key} for key in keys]


def _mount(container: dict[str, Any], name: str, volume: str) -> bool:
    mounts, env = container.get("volumeMounts"), container.get("env")
    if not all(value is None or isinstance(value, list) for value in (mounts, env)):
        return False
    root = root_of(container)
    if not any(variable.get("name") == ROOT_VARIABLE for variable in maps(env)):
        # In front, so that the container's own variables can be built with it.
        container["env"] = [{"name": ROOT_VARIABLE, "value": DEFAULT_ROOT}, *(env or [])]
    mount = {"name": volume, "mountPath": under(root or DEFAULT_ROOT, name), "readOnly": True}
    container["volumeMounts"] = [*(mounts or []), mount]
    return True


def root_of(container: Mapping[str, Any]) -> str | None:
    """Where the container looks for bindings; None when that is no path to mount at."""
    own = [v for v in maps(container.get("env")) if v.get("name") == ROOT_VARIABLE]
    if not own:
        return DEFAULT_ROOT
    value = own[-1].get("value")
    # References to other variables are only known where the container starts.
    if not isinstance(value, str) or not value.startswith("/") or ":" in value or "$(" in value:
        return None
    return value


def under(root: str, name: str) -> str:
    """Where the binding of that name is mounted."""
    return f"{root.rstrip('/')}/{name}"


def _free_name(wanted: str, taken: Collection[Any]) -> str:
    """The name, or the first of `<name>-2`, `<name>-3` and so on that no volume of the template has."""
    number, name = 1, wanted
    while name in taken:
        number += 1
        name = f"{wanted[:59]}-{number}"
    return name


def containers_of(pod_spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Containers and init containers."""
    return [c for field in _CONTAINER_LISTS for c in maps(pod_spec.get(field))]


def maps(value: Any) -> list[dict[str, Any]]:
    """The maps in a list; anything else is the API server's to refuse."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
