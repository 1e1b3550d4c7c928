"""The Secret that instances are configured by, and the one that applications connect with."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from sophia_operator.core import names as common
from sophia_operator.core.pool import names
from sophia_operator.core.pool.render import metadata
from sophia_operator.core.pool.render.service import host
from sophia_operator.core.pool.views import Access, PoolView

_BINDING: Final = "postgresql"


def config_secret(pool: PoolView, files: Mapping[str, str]) -> dict[str, Any]:
    """The files of the configuration."""
    return _secret(pool, names.config_secret(pool.name), "Opaque", files)


def binding_secret(pool: PoolView, access: Access) -> dict[str, Any]:
    """What the Service Binding specification lays down for a PostgreSQL database. Nothing of the server is in it."""
    database, user, password = pool.spec.database.name, access.client_username, access.client_password
    uri = f"postgresql://{_percent(user)}:{_percent(password)}@{host(pool)}:{names.PORT}/{_percent(database)}"
    if pool.spec.tls is not None and pool.spec.tls.required:
        uri += "?sslmode=require"
    content = {
        "type": _BINDING,
        "provider": common.MANAGER,
        "host": host(pool),
        "port": str(names.PORT),
        "database": database,
        "username": user,
        "password": password,
        "uri": uri,
    }
    return _secret(pool, names.binding_secret(pool.name), f"servicebinding.io/{_BINDING}", content)


def _secret(pool: PoolView, name: str, kind: str, content: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata.child(pool, name),
        "type": kind,
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in sorted(content.items())},
    }


def _percent(text: str) -> str:
    return quote(text, safe="")
