"""The Secret that applications connect with, as the Service Binding specification lays it down."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from sophia_operator.api.cache_tier import CacheLevel
from sophia_operator.api.redis_level import RedisLevel
from sophia_operator.core import names as common
from sophia_operator.core.cache import names
from sophia_operator.core.cache.conf import CA
from sophia_operator.core.cache.render.secrets import secret
from sophia_operator.core.cache.views import TierAccess, TierView
from sophia_operator.core.hosts import bracketed

_REDIS: Final = "redis"
_POSTGRESQL: Final = "postgresql"
_MEMORY: Final = "memory"


def binding_secret(tier: TierView, access: TierAccess | None) -> dict[str, Any] | None:
    """The Secret; None while something that belongs in it is missing."""
    content = _content(tier, access)
    if content is None:
        return None
    content["provider"] = common.MANAGER
    return secret(tier, names.binding_secret(tier.name), f"servicebinding.io/{content['type']}", content)


def _content(tier: TierView, access: TierAccess | None) -> dict[str, str] | None:
    if tier.spec.level is CacheLevel.MEMORY:
        return {"type": _MEMORY}
    if access is None:
        return None
    if tier.spec.redis is not None:
        return _redis(tier, tier.spec.redis, access)
    if tier.spec.postgresql is None or access.pool_binding is None:
        return None
    return {**access.pool_binding, "type": _POSTGRESQL, "table": tier.spec.postgresql.table}


def _redis(tier: TierView, redis: RedisLevel, access: TierAccess) -> dict[str, str] | None:
    if redis.external is not None:
        host, port, tls = redis.external.host, redis.external.port, redis.external.tls is not None
        # Redis' own name for who gives a password alone.
        user = access.client_username or "default"
    else:
        host, port, user = names.host(tier.name, tier.namespace), names.PORT, names.client_user(tier.name)
        tls = redis.managed is not None and redis.managed.tls is not None
        if access.client_password is None or (tls and access.ca is None):
            return None
    content = {"type": _REDIS, "host": host, "port": str(port)}
    if access.client_password is not None:
        content |= {"username": user, "password": access.client_password}
    if tls and access.ca is not None:
        content[CA] = access.ca
    return content | {"uri": _uri(content, tls=tls)}


def _uri(content: dict[str, str], *, tls: bool) -> str:
    user = f"{_percent(content['username'])}:{_percent(content['password'])}@" if "username" in content else ""
    return f"{'rediss' if tls else 'redis'}://{user}{bracketed(content['host'])}:{content['port']}"


def _percent(text: str) -> str:
    return quote(text, safe="")
