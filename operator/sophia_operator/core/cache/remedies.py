"""Why a node or a table does not answer, or refuses a write: as a reason, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.redis_level import ExternalRedis
from sophia_operator.core.cache import names
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.views import TierView
from sophia_operator.core.sayings import Why

_REASONS: Final[Mapping[CacheFault, Reason]] = {
    CacheFault.HOST_UNKNOWN: Reason.HOST_UNKNOWN,
    CacheFault.AUTHENTICATION_FAILED: Reason.AUTHENTICATION_FAILED,
    CacheFault.NO_PERMISSION: Reason.NO_PERMISSION,
    CacheFault.TLS_REQUIRED: Reason.TLS_REQUIRED,
    CacheFault.TLS_UNAVAILABLE: Reason.TLS_UNAVAILABLE,
    CacheFault.TLS_UNTRUSTED: Reason.TLS_UNTRUSTED,
    CacheFault.LOADING: Reason.LOADING,
    CacheFault.READ_ONLY: Reason.READ_ONLY,
    CacheFault.NO_REPLICAS: Reason.READ_ONLY,
    CacheFault.OUT_OF_MEMORY: Reason.OUT_OF_MEMORY,
    CacheFault.PERSISTENCE_FAILED: Reason.PERSISTENCE_FAILED,
    CacheFault.TABLE_MISSING: Reason.NOT_READY,
    CacheFault.NOT_OURS: Reason.TABLE_NOT_OURS,
    CacheFault.NEWER_LAYOUT: Reason.TABLE_NOT_OURS,
}
#: What only a change by a person mends, at an adopted Redis.
MISTAKES: Final = frozenset(
    {
        CacheFault.HOST_UNKNOWN,
        CacheFault.AUTHENTICATION_FAILED,
        CacheFault.NO_PERMISSION,
        CacheFault.TLS_REQUIRED,
        CacheFault.TLS_UNAVAILABLE,
        CacheFault.TLS_UNTRUSTED,
    }
)
#: The same at a table. Who gets to the database, and how, is the pool's: it says what is wrong with it.
TABLE_MISTAKES: Final = frozenset({CacheFault.NO_PERMISSION, CacheFault.NOT_OURS, CacheFault.NEWER_LAYOUT})
#: What a node says that answers, and accepts no writes.
REFUSALS: Final = frozenset({Reason.READ_ONLY, Reason.OUT_OF_MEMORY, Reason.PERSISTENCE_FAILED, Reason.NO_PERMISSION})
_MEGABYTES: Final = "redis.managed.maxMemoryMegabytes"


def of_node(tier: TierView, node: str, failure: CacheFailure) -> Why:
    """Of a look at a node, or of the write that it refused."""
    external = tier.spec.redis.external if tier.spec.redis is not None else None
    words, plain = _of_managed(tier, node) if external is None else _of_external(external)
    return _why(failure, words, plain, Reason.NODE_UNREACHABLE)


def of_table(tier: TierView, failure: CacheFailure) -> Why:
    """Of a look at the table, or of the write that it refused."""
    level = tier.spec.postgresql
    assert level is not None
    table, pool = level.table, level.pool_ref.name
    words = {
        CacheFault.AUTHENTICATION_FAILED: f"pool {pool} refuses the user of its own binding: see what the pool says",
        CacheFault.HOST_UNKNOWN: f"pool {pool} is not to be found: see what the pool says",
        CacheFault.LOADING: f"the database behind pool {pool} is starting: it is tried again",
        CacheFault.READ_ONLY: f"the database behind pool {pool} is read-only: name a pool of role ReadWrite in "
        "postgresql.poolRef",
        CacheFault.NO_PERMISSION: f"the user of pool {pool} may not make or use table {table}: GRANT it CREATE on the "
        "schema, or make it the table's owner",
        CacheFault.TABLE_MISSING: f"table {table} is not there: it is made at the next look",
        CacheFault.NOT_OURS: f"table {table} is there, and the operator did not make it: choose another name in "
        "postgresql.table, or rename that table",
        CacheFault.NEWER_LAYOUT: f"table {table} was brought to a newer layout: run the operator of that version",
        CacheFault.OUT_OF_MEMORY: f"the database behind pool {pool} has no memory left: give it more",
        CacheFault.PERSISTENCE_FAILED: f"the disk of the database behind pool {pool} is full: make room there",
        CacheFault.OTHER: f"table {table} cannot be used through pool {pool}: see what the database says",
    }
    plain = f"the database does not answer through pool {pool}: see what the pool says"
    return _why(failure, words, plain, Reason.SERVER_UNREACHABLE)


def _why(failure: CacheFailure, words: Mapping[CacheFault, str], plain: str, otherwise: Reason) -> Why:
    said = f" ({failure.message})" if failure.message else ""
    return _REASONS.get(failure.fault, otherwise), words.get(failure.fault, plain) + said


def _of_external(redis: ExternalRedis) -> tuple[dict[CacheFault, str], str]:
    where, ref = f"{redis.host}:{redis.port}", redis.credentials_secret_ref
    user = (
        f"correct the user's name and password in Secret {ref.name}"
        if ref is not None
        else "name a Secret with its user in redis.external.credentialsSecretRef"
    )
    words = {
        CacheFault.HOST_UNKNOWN: f"host {redis.host} is not known: correct redis.external.host, or make the name "
        "resolvable",
        CacheFault.REFUSED: f"nothing listens at {where}: start it, or correct redis.external.host and port",
        CacheFault.AUTHENTICATION_FAILED: f"{where} refuses the user: {user}",
        CacheFault.NO_PERMISSION: f"{where} does not let the user do what is needed: give it the command and the keys "
        "with ACL SETUSER",
        CacheFault.TLS_REQUIRED: f"{where} takes only connections with TLS: set redis.external.tls",
        CacheFault.TLS_UNAVAILABLE: f"{where} has no TLS: switch it on there, or remove redis.external.tls",
        CacheFault.TLS_UNTRUSTED: f"the certificate of {where} cannot be verified: correct the certificates in the "
        "Secret of redis.external.tls.caSecretRef, or the name in redis.external.host",
        CacheFault.LOADING: f"{where} reads its data from disk: it answers once it is done",
        CacheFault.READ_ONLY: f"{where} is a replica and takes no writes: name its primary in redis.external.host",
        CacheFault.NO_REPLICAS: f"{where} takes no writes since too few replicas follow it: see to them, or lower "
        f"{names.MIN_REPLICAS} there",
        CacheFault.OUT_OF_MEMORY: f"the memory of {where} is full, and its policy evicts nothing: raise its maxmemory, "
        "choose another policy, or flush a namespace",
        CacheFault.PERSISTENCE_FAILED: f"{where} takes no writes since it cannot write to its disk: see its log, and "
        "make room there",
        CacheFault.OTHER: f"{where} answers, and cannot be used: see what it says",
    }
    plain = f"{where} does not answer: see whether it runs, and whether the network lets the operator reach it"
    return words, plain


def _of_managed(tier: TierView, node: str) -> tuple[dict[CacheFault, str], str]:
    config = names.config_secret(tier.name)
    words = {
        CacheFault.AUTHENTICATION_FAILED: f"node {node} refuses the operator's own password: it was changed there "
        f"or in Secret {names.access_secret(tier.name)} while the operator did not run; put the one before back, or "
        "delete the pod: it starts with that of the Secret, and the keys of the last node go with it",
        CacheFault.NO_PERMISSION: f"node {node} does not let the operator do what is needed: its users were changed "
        f"there or in Secret {config}; delete the pod, which then starts with those of the Secret",
        CacheFault.TLS_REQUIRED: f"node {node} still runs with TLS: it is replaced",
        CacheFault.TLS_UNAVAILABLE: f"node {node} still runs without TLS: it is replaced",
        CacheFault.TLS_UNTRUSTED: f"the certificate of node {node} cannot be verified: in the Secret of "
        f"redis.managed.tls it must be valid for {names.host(tier.name, tier.namespace)}, and by ca.crt there",
        CacheFault.LOADING: f"node {node} reads its data from disk: it answers once it is done",
        CacheFault.READ_ONLY: f"node {node} takes no writes: it is a replica",
        CacheFault.NO_REPLICAS: f"node {node} takes no writes while no replica is in sync: it does again once the "
        "operator knows that it is the only primary",
        CacheFault.OUT_OF_MEMORY: f"the memory of node {node} is full, and its evictionPolicy evicts nothing: "
        f"raise {_MEGABYTES}, choose another policy, or flush a namespace",
        CacheFault.PERSISTENCE_FAILED: f"node {node} takes no writes since it cannot write to its disk: see its log, "
        "make its volume larger, or set redis.managed.persistence to None",
        CacheFault.OTHER: f"node {node} answers, and cannot be used: see what it says, and its log",
    }
    return words, f"node {node} does not answer: see its log, and whether the network lets the operator reach it"
