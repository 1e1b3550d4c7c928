"""Secrets of a tier."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from sophia_operator.core.cache import names
from sophia_operator.core.cache.render import metadata
from sophia_operator.core.cache.views import TierView


def config_secret(tier: TierView, files: Mapping[str, str]) -> dict[str, Any]:
    """The files of the configuration."""
    return secret(tier, names.config_secret(tier.name), "Opaque", files)


def secret(tier: TierView, name: str, kind: str, content: Mapping[str, str]) -> dict[str, Any]:
    """A Secret of the tier's."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata.child(tier, name),
        "type": kind,
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in sorted(content.items())},
    }
