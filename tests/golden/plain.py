"""What goes into an `out.yaml` of objects with Secrets: all of it as it reads."""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterable, Mapping
from typing import Any

import yaml


def in_plain_text(head: Mapping[str, Any], objects: Iterable[Mapping[str, Any]]) -> str:
    """The head, and then the objects, with the content of Secrets in plain text."""
    copies = [copy.deepcopy(dict(obj)) for obj in objects]
    for obj in copies:
        if obj["kind"] == "Secret":
            obj["data"] = {key: base64.b64decode(value).decode() for key, value in obj["data"].items()}
    out = {**head, "objects": copies}
    return yaml.dump(out, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Dumper(yaml.SafeDumper):
    """Writes out in full what stands in several places, and text of several lines as it reads."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def assert_nothing_is_shared(objects: Iterable[Mapping[str, Any]]) -> None:
    """No part of an object is a part of another, or of what it was made of: it is emptied to see that."""
    seen: set[int] = set()
    for part in _parts([dict(obj) for obj in objects]):
        assert id(part) not in seen, "a part of an object is shared with another"
        seen.add(id(part))
        part.clear()


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [part for v in value.values() for part in _parts(v)] + [value]
    if isinstance(value, list):
        return [part for v in value for part in _parts(v)] + [value]
    return []
