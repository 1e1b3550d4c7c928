"""The passwords that a tier works with: those of people, those of its pool, and those that the operator makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.redis_level import ExternalRedis, ManagedRedis
from sophia_operator.core.cache import names
from sophia_operator.core.cache.conf import CA, CERTIFICATE, KEY
from sophia_operator.core.cache.render.metadata import child
from sophia_operator.core.cache.views import TierAccess, TierView
from sophia_operator.core.hashing import versioned_hash
from sophia_operator.core.pool import names as pool_names
from sophia_operator.core.views import Blocker
from sophia_operator.ports import Cluster, ClusterError
from sophia_operator.runtime.caches.observe import owner_of, secrets_of
from sophia_operator.runtime.secret_reading import (
    Content,
    MissingError,
    SecretReader,
    certificate_of,
    noting,
    refused,
    require_pem,
    text_of,
)
from sophia_operator.runtime.store import ObjectStore

_KEYS: Final = (names.CLIENT_KEY, names.ADMIN_KEY, names.REPLICATOR_KEY, names.PROBER_KEY)
#: Passwords of the operator's user that nodes may still have: somebody may replace them again before a roll ends.
_REMEMBERED: Final = 4
_CONSEQUENCE: Final = "applications get another password then, and nodes are replaced"
_TLS: Final = "spec.redis.managed.tls.secretName"
_CREDENTIALS: Final = "spec.redis.external.credentialsSecretRef"
_AUTHORITY: Final = "spec.redis.external.tls.caSecretRef"
_POOL: Final = "spec.postgresql.poolRef"
#: Of the binding of a pool, all of which is needed to connect.
_BINDING: Final = ("host", "port", "database", "username", "password")


@dataclass(frozen=True, slots=True)
class TierFound:
    """What is known of a tier's access, and the blockers that say what is missing of it; None when that is something
    without which the tier cannot be looked at either."""

    access: TierAccess | None
    blockers: tuple[Blocker, ...] = ()
    writes: int = 0


class TierAccessReader:
    """Reads what one tier works with, and makes what is the operator's to make."""

    def __init__(self, cluster: Cluster, store: ObjectStore, note: Callable[[Mapping[str, Any]], object]) -> None:
        self._store = store
        self._secrets = SecretReader(cluster, store, note)
        #: Of the operator's own user on nodes, the newest first.
        self._admin: tuple[str, ...] = ()

    async def read(self, tier: TierView) -> TierFound:
        """Everything that the tier works with, or what is missing of it. Raises ClusterError."""
        self._secrets.keep_only(secrets_of(tier))
        redis, blockers = tier.spec.redis, list[Blocker]()
        found = TierFound(None)
        try:
            with noting(blockers):
                if redis is not None and redis.managed is not None:
                    found = await self._managed(tier, redis.managed)
                elif redis is not None and redis.external is not None:
                    found = await self._external(tier, redis.external)
                elif tier.spec.postgresql is not None:
                    found = TierFound(await self._pool(tier, tier.spec.postgresql.pool_ref.name))
                else:
                    found = TierFound(TierAccess(None, None))
        except ClusterError as error:
            blockers.append(refused(error, "tier"))
        return TierFound(found.access, (*found.blockers, *blockers), found.writes)

    async def _managed(self, tier: TierView, redis: ManagedRedis) -> TierFound:
        others = list[Blocker]()
        access_secret = child(tier, names.access_secret(tier.name))
        own, writes = await self._secrets.own(owner_of(tier), access_secret, _KEYS, _CONSEQUENCE)
        newest = own[names.ADMIN_KEY]
        self._admin = (newest, *(p for p in self._admin if p != newest))[:_REMEMBERED]
        ca: str | None = None
        certificate: str | None = None
        with noting(others):
            if redis.tls is not None:
                ca, certificate = await self._certificate(tier, redis.tls.secret_name)
        access = TierAccess(
            client_username=names.client_user(tier.name),
            client_password=own[names.CLIENT_KEY],
            admin_password=newest,
            replicator_password=own[names.REPLICATOR_KEY],
            prober_password=own[names.PROBER_KEY],
            earlier_admin_passwords=self._admin[1:],
            ca=ca,
            certificate_hash=certificate,
        )
        # A certificate that is missing keeps nodes from being rendered, and none that runs from being looked at. With
        # TLS that takes the certificates to verify them with, though.
        usable = redis.tls is None or ca is not None
        return TierFound(access if usable else None, tuple(others), writes)

    async def _certificate(self, tier: TierView, name: str) -> tuple[str, str]:
        """The certificates to verify nodes with, and a hash of what nodes show."""
        place = f"{tier.namespace}/{name}"
        content = await self._secrets.given(tier.namespace, name, _TLS)
        chain, key = certificate_of(place, content, CERTIFICATE, KEY, _TLS)
        ca = text_of(place, content, CA, _TLS, other="Secret")
        require_pem(place, CA, _TLS, ca)
        # The key is as secret as it is random: nobody can guess it and compare.
        return ca, versioned_hash([ca, chain, key])

    async def _external(self, tier: TierView, redis: ExternalRedis) -> TierFound:
        blockers = list[Blocker]()
        username: str | None = None
        password: str | None = None
        ca: str | None = None
        with noting(blockers):
            if redis.credentials_secret_ref is not None:
                reference = redis.credentials_secret_ref
                place = f"{tier.namespace}/{reference.name}"
                content = await self._secrets.given(tier.namespace, reference.name, _CREDENTIALS)
                username = "default"
                if reference.username_key in content:
                    username = text_of(place, content, reference.username_key, f"{_CREDENTIALS}.usernameKey")
                password = text_of(place, content, reference.password_key, f"{_CREDENTIALS}.passwordKey")
        with noting(blockers):
            if redis.tls is not None and redis.tls.ca_secret_ref is not None:
                authority = redis.tls.ca_secret_ref
                content = await self._secrets.given(tier.namespace, authority.name, _AUTHORITY)
                place = f"{tier.namespace}/{authority.name}"
                ca = text_of(place, content, authority.key, f"{_AUTHORITY}.key")
        access = None if blockers else TierAccess(username, password, ca=ca)
        return TierFound(access, tuple(blockers))

    async def _pool(self, tier: TierView, pool: str) -> TierAccess:
        """As applications connect to the pool."""
        name = pool_names.binding_secret(pool)
        content: Content | None = None
        if self._store.config_hash("Secret", tier.namespace, name) is not None:
            content = await self._secrets.load(tier.namespace, name)
        if content is None:
            where = f"ConnectionPool {tier.namespace}/{pool}, named in {_POOL},"
            there = self._store.get("ConnectionPool", tier.namespace, pool) is not None
            message = (
                f"{where} has no binding yet: see why it is not ready" if there else f"{where} is missing: make it"
            )
            raise MissingError(Reason.POOL_NOT_FOUND, message)
        place = f"{tier.namespace}/{name}"
        texts = {key: text_of(place, content, key, _POOL, other="pool") for key in _BINDING}
        rest = {key: text_of(place, content, key, _POOL, other="pool") for key in content if key not in texts}
        return TierAccess(
            client_username=texts["username"],
            client_password=texts["password"],
            ca=rest.get(CA),
            pool_binding=texts | rest,
        )
