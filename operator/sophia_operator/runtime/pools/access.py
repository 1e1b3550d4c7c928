"""The passwords that a pool works with: those that people gave, and those that the operator makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sophia_operator.api.conditions import Reason
from sophia_operator.core.pool import names
from sophia_operator.core.pool.logins import unusable
from sophia_operator.core.pool.render.metadata import child
from sophia_operator.core.pool.settings import CERTIFICATE, KEY
from sophia_operator.core.pool.views import Access, Certificate, PoolView
from sophia_operator.core.views import Blocker
from sophia_operator.ports import Cluster, ClusterError
from sophia_operator.runtime.apply import Owner
from sophia_operator.runtime.secret_reading import (
    MissingError,
    SecretReader,
    certificate_of,
    noting,
    refused,
    text_of,
)
from sophia_operator.runtime.store import ObjectStore

CLIENT_KEY: Final = "client-password"
ADMIN_KEY: Final = "admin-password"
_CREDENTIALS: Final = "spec.database.credentialsSecretRef"
_CA: Final = "spec.database.caSecretRef"
_TLS: Final = "spec.tls.secretName"
_CONSEQUENCE: Final = "applications get another password then, and instances are replaced"


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a pool's access, and the blockers that say what is missing of it; None when that is something
    without which the pool cannot be looked at either."""

    access: Access | None
    blockers: tuple[Blocker, ...] = ()
    writes: int = 0


def owner_of(pool: PoolView) -> Owner:
    """The pool, as the owner of what is its own."""
    return Owner("ConnectionPool", pool.namespace, pool.name, names.LABEL_POOL, frozenset({pool.uid}), "pool")


class AccessReader:
    """Reads what one pool works with, and makes what is the operator's to make."""

    def __init__(self, cluster: Cluster, store: ObjectStore, note: Callable[[Mapping[str, Any]], object]) -> None:
        self._secrets = SecretReader(cluster, store, note)

    async def read(self, pool: PoolView) -> Found:
        """Everything that the pool works with, or what is missing of it. Raises ClusterError."""
        database, blockers, others = pool.spec.database, list[Blocker](), list[Blocker]()
        reference, authority = database.credentials_secret_ref, database.ca_secret_ref
        wanted = {reference.name, names.access_secret(pool.name), *([authority.name] if authority else [])}
        if pool.spec.tls is not None:
            wanted.add(pool.spec.tls.secret_name)
        self._secrets.keep_only(wanted)
        credentials: tuple[str, str] | None = None
        ca: str | None = None
        own: Mapping[str, str] | None = None
        certificate: Certificate | None = None
        writes = 0
        try:
            with noting(blockers):
                credentials = await self._credentials(pool)
            with noting(blockers):
                ca = await self._authority(pool)
            with noting(blockers):
                own, writes = await self._secrets.own(
                    owner_of(pool), child(pool, names.access_secret(pool.name)), (CLIENT_KEY, ADMIN_KEY), _CONSEQUENCE
                )
            with noting(others):
                certificate = await self._certificate(pool)
        except ClusterError as error:
            blockers.append(refused(error, "pool"))
        if blockers or credentials is None or own is None:
            return Found(None, (*blockers, *others), writes)
        username, password = credentials
        access = Access(
            username, password, names.client_user(pool.name), own[CLIENT_KEY], own[ADMIN_KEY], ca, certificate
        )
        return Found(access, tuple(others), writes)

    async def _credentials(self, pool: PoolView) -> tuple[str, str]:
        reference = pool.spec.database.credentials_secret_ref
        place = f"{pool.namespace}/{reference.name}"
        content = await self._secrets.given(pool.namespace, reference.name, _CREDENTIALS)
        username = text_of(place, content, reference.username_key, f"{_CREDENTIALS}.usernameKey")
        password = text_of(place, content, reference.password_key, f"{_CREDENTIALS}.passwordKey")
        problem = unusable(Access(username, password, names.client_user(pool.name), "", ""))
        if problem is not None:
            message = f"Secret {place}, named in {_CREDENTIALS}, cannot be used: {problem}"
            raise MissingError(Reason.SECRET_KEY_MISSING, message)
        return username, password

    async def _authority(self, pool: PoolView) -> str | None:
        reference = pool.spec.database.ca_secret_ref
        if reference is None:
            return None
        content = await self._secrets.given(pool.namespace, reference.name, _CA)
        return text_of(f"{pool.namespace}/{reference.name}", content, reference.key, f"{_CA}.key")

    async def _certificate(self, pool: PoolView) -> Certificate | None:
        if pool.spec.tls is None:
            return None
        name = pool.spec.tls.secret_name
        content = await self._secrets.given(pool.namespace, name, _TLS)
        return Certificate(*certificate_of(f"{pool.namespace}/{name}", content, CERTIFICATE, KEY, _TLS))
