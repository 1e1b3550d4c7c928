"""What INFO of Redis and Valkey says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sophia_operator.adapters.redis_faults import NoAnswerError
from sophia_operator.api.cache_tier_status import NodeRole
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import Node, ReplicaLink

_NO_FAILOVER: Final = "no-failover"


def parse(text: bytes) -> dict[str, str]:
    """Lines of INFO by their names."""
    lines = text.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


def run_of(info: Mapping[str, str]) -> str:
    """Identity of the run of its process."""
    return info.get("run_id", "")


def is_busy(node: Node) -> bool:
    """Whether writes are held back for a hand-over."""
    return node.failover_state != _NO_FAILOVER


def node_of(info: Mapping[str, str]) -> Node:
    """What it says of a node. Raises NoAnswerError when it is none that the operator can work with."""
    _refuse_others(info)
    is_replica = info["role"] == "slave"
    link_up = info.get("master_link_status") == "up" and not _number(info, "master_sync_in_progress")
    return Node(
        role=NodeRole.REPLICA if is_replica else NodeRole.PRIMARY,
        version=_version(info),
        run_id=run_of(info),
        # Both are of what it holds, also while a replica's link is down or it is copying anew.
        replication_id=info.get("master_replid", ""),
        offset=_number(info, "master_repl_offset"),
        primary_host=info.get("master_host") if is_replica else None,
        primary_port=_number(info, "master_port") if is_replica else None,
        link_up=is_replica and link_up,
        link_down_seconds=_seconds(info, "master_link_down_since_seconds") if is_replica else None,
        replicas=_replicas(info),
        failover_state=info.get("master_failover_state", _NO_FAILOVER),
        loading=_number(info, "loading") != 0 or _number(info, "async_loading") != 0,
        used_memory=_number(info, "used_memory"),
        max_memory=_number(info, "maxmemory"),
        keys=_keys(info),
        hits=_number(info, "keyspace_hits"),
        misses=_number(info, "keyspace_misses"),
        evicted=_number(info, "evicted_keys"),
        clients=_number(info, "connected_clients"),
        link_idle_seconds=_seconds(info, "master_last_io_seconds_ago") if is_replica else None,
    )


def _refuse_others(info: Mapping[str, str]) -> None:
    message = None
    if info.get("cluster_enabled") == "1":
        message = "it runs in cluster mode: a tier takes a Redis of one primary, with or without replicas"
    elif info.get("redis_mode", info.get("server_mode")) == "sentinel":
        message = "it is a Sentinel: name the Redis that it watches"
    elif info.get("role") not in ("master", "slave"):
        message = "its INFO does not say whether it is a primary or a replica"
    if message is not None:
        raise NoAnswerError(CacheFailure(CacheFault.OTHER, message))


def _version(info: Mapping[str, str]) -> str:
    """Valkey also tells the version of Redis that it can stand in for."""
    if "valkey_version" in info:
        return f"valkey {info['valkey_version']}"
    return f"redis {info.get('redis_version', '')}".strip()


def _replicas(info: Mapping[str, str]) -> tuple[ReplicaLink, ...]:
    lines = [info[f"slave{number}"] for number in range(_number(info, "connected_slaves")) if f"slave{number}" in info]
    return tuple(_replica(dict(part.split("=", 1) for part in line.split(",") if "=" in part)) for line in lines)


def _replica(fields: Mapping[str, str]) -> ReplicaLink:
    return ReplicaLink(
        address=fields.get("ip", ""),
        port=_number(fields, "port"),
        online=fields.get("state") == "online",
        offset=_number(fields, "offset"),
        lag_seconds=_number(fields, "lag"),
    )


def _keys(info: Mapping[str, str]) -> int:
    """Of database 0: work is done in no other."""
    fields = dict(part.split("=", 1) for part in info.get("db0", "").split(",") if "=" in part)
    return _number(fields, "keys")


def _seconds(info: Mapping[str, str], name: str) -> int | None:
    """-1 stands for never."""
    found = _number(info, name, -1)
    return found if found >= 0 else None


def _number(info: Mapping[str, str], name: str, otherwise: int = 0) -> int:
    try:
        return int(info.get(name, otherwise))
    except ValueError:
        return otherwise
