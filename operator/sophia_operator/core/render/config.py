"""Copies of ConfigMaps and Secrets: which ones there must be, what they look like, and how pods come to use them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final

from sophia_operator.api.binding_version import BindingVersion, LevelVersion
from sophia_operator.api.release import ConfigKind, ConfigVersion, Snapshot
from sophia_operator.core import names
from sophia_operator.core.render import metadata
from sophia_operator.core.render.desired import ConfigCopy, ReleaseOwner
from sophia_operator.core.views import ReleaseView, ServiceView

#: Field in which a pod names a ConfigMap or Secret, by the field of the volume, source, or variable that holds it.
_IN_VOLUME: Final = {"configMap": (ConfigKind.CONFIG_MAP, "name"), "secret": (ConfigKind.SECRET, "secretName")}
_IN_PROJECTION: Final = {"configMap": (ConfigKind.CONFIG_MAP, "name"), "secret": (ConfigKind.SECRET, "name")}
_IN_ENV_FROM: Final = {"configMapRef": (ConfigKind.CONFIG_MAP, "name"), "secretRef": (ConfigKind.SECRET, "name")}
_IN_ENV: Final = {"configMapKeyRef": (ConfigKind.CONFIG_MAP, "name"), "secretKeyRef": (ConfigKind.SECRET, "name")}

_CONTAINER_LISTS: Final = ("containers", "initContainers", "ephemeralContainers")

#: The API server fills Secrets of this type itself, so a copy cannot be one.
_TOKEN_TYPE: Final = "kubernetes.io/service-account-token"  # noqa: S105 - the name of a type


def copied(snapshot: Snapshot) -> tuple[ConfigVersion, ...]:
    """Everything that a release has a copy of: its configuration, and the Secrets of its bindings."""
    parts: Iterator[BindingVersion | LevelVersion] = chain.from_iterable((b, *b.levels) for b in snapshot.bindings)
    bound = (
        ConfigVersion(kind=ConfigKind.SECRET, name=p.secret_name, hash=p.hash, copy_name=p.copy_name) for p in parts
    )
    # One Secret may be both; then its copy is one as well.
    return tuple({(v.kind, v.copy_name): v for v in (*snapshot.config, *bound)}.values())


def config_copies(needing: Iterable[str], releases: Iterable[ReleaseView]) -> tuple[ConfigCopy, ...]:
    """Copies that the releases named in `needing` use, sorted; each owned by every one of `releases` that uses it."""
    wanted = set(needing)
    versions: dict[tuple[ConfigKind, str], ConfigVersion] = {}
    owners: dict[tuple[ConfigKind, str], list[ReleaseView]] = {}
    for release in releases:
        for version in copied(release.spec.snapshot):
            key = (version.kind, version.copy_name)
            owners.setdefault(key, []).append(release)
            if release.name in wanted:
                versions[key] = version
    return tuple(
        ConfigCopy(
            kind=version.kind,
            source_name=version.name,
            copy_name=version.copy_name,
            hash=version.hash,
            owners=tuple(ReleaseOwner(r.name, r.uid) for r in sorted(owners[key], key=lambda r: r.spec.revision)),
        )
        for key, version in sorted(versions.items())
    )


def config_copy_object(service: ServiceView, wanted: ConfigCopy, source: Mapping[str, Any]) -> dict[str, Any]:
    """The copy as an object to apply, with the content of `source`, the ConfigMap or Secret as the cluster has it."""
    obj: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": wanted.kind.value,
        "metadata": {
            "name": wanted.copy_name,
            "namespace": service.namespace,
            "labels": names.common_labels(service.name, metadata.CONFIG),
            "ownerReferences": [metadata.shared_release_owner(o.name, o.uid) for o in wanted.owners],
        },
        "immutable": True,
    }
    fields = ("data", "binaryData") if wanted.kind is ConfigKind.CONFIG_MAP else ("data", "type")
    obj |= {field: copy.deepcopy(source[field]) for field in fields if source.get(field)}
    if obj.get("type") == _TOKEN_TYPE:
        obj["type"] = "Opaque"
    return obj


def use_copies(pod_spec: dict[str, Any], config: Iterable[ConfigVersion]) -> None:
    """Point every reference to a ConfigMap or Secret of `config` at its copy. Changes `pod_spec` in place.

    Pull secrets and the credentials of storage drivers stay: they belong to the node's work, not to the release.
    """
    copies = {(version.kind, version.name): version.copy_name for version in config}
    if not copies:
        return
    for volume in _maps(pod_spec.get("volumes")):
        _rename(volume, _IN_VOLUME, copies)
        projected = volume.get("projected")
        if isinstance(projected, dict):
            for source in _maps(projected.get("sources")):
                _rename(source, _IN_PROJECTION, copies)
    for field in _CONTAINER_LISTS:
        for container in _maps(pod_spec.get(field)):
            for source in _maps(container.get("envFrom")):
                _rename(source, _IN_ENV_FROM, copies)
            for variable in _maps(container.get("env")):
                if isinstance(variable.get("valueFrom"), dict):
                    _rename(variable["valueFrom"], _IN_ENV, copies)


def _rename(
    holder: dict[str, Any], fields: Mapping[str, tuple[ConfigKind, str]], copies: Mapping[tuple[ConfigKind, str], str]
) -> None:
    for field, (kind, name_field) in fields.items():
        reference = holder.get(field)
        if not isinstance(reference, dict):
            continue
        name = reference.get(name_field)
        if isinstance(name, str) and (kind, name) in copies:
            reference[name_field] = copies[kind, name]


def _maps(value: Any) -> list[dict[str, Any]]:
    """The maps in a list; anything else is the API server's to refuse."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
