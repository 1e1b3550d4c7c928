"""What rendering gives: the objects that should exist, what should not, and the copies to be made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sophia_operator.api.release import ConfigKind


@dataclass(frozen=True, slots=True, order=True)
class ChildRef:
    """Names one child of a service, in the service's namespace."""

    api_version: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class ReleaseOwner:
    """A Release that needs a copy."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class ConfigCopy:
    """An immutable copy of a ConfigMap or Secret, shared by all releases that have the same content."""

    kind: ConfigKind
    source_name: str
    copy_name: str
    #: Hash of the content that the source must have for the copy to be right.
    hash: str
    owners: tuple[ReleaseOwner, ...]


@dataclass(frozen=True, slots=True)
class Desired:
    """What the cluster should hold. What is neither in `objects` nor in `delete` is left as it is."""

    #: In the order to apply: Services, then what spreads the traffic, then Deployments.
    objects: tuple[dict[str, Any], ...] = ()
    #: To be deleted once every object is applied.
    delete: tuple[ChildRef, ...] = ()
    #: To be there before any object is applied: pods refer to them.
    config_copies: tuple[ConfigCopy, ...] = ()
    #: By the name of a release: hash of its chains. Not of one whose generations are all the first ones still.
    chains: Mapping[str, str] = field(default_factory=dict)
