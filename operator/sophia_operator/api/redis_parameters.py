"""Settings of Redis that users may give in `spec.redis.managed.parameters`, with the values that each takes.

Every one of them is taken live, by CONFIG SET, by Redis 7.0 and later and by Valkey.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sophia_operator.api.parameter_table import Kind, ParameterTable, number, one_of

MAX_PARAMETERS: Final = 32
MAX_VALUE_LENGTH: Final = 128

_SWITCH: Final = one_of("yes", "no")
_COUNT: Final = number(0, 1_000_000)
_FACTOR: Final = number(0, 255)
#: The operator keeps an idle connection to each node, to learn at once when it breaks.
_IDLE: Final = Kind("0 for never, or a whole number of seconds from 60 to 99999", "^(0|[6-9][0-9]|[1-9][0-9]{2,4})$")
_EVENTS: Final = Kind("letters of K, E, A, g, $, l, s, h, z, x, e, t and d, or nothing", "^[KEAg$lshzxetd]{0,16}$")

#: What users may set, by name.
ALLOWED: Final[Mapping[str, Kind]] = {
    "active-expire-effort": number(1, 10),
    "hash-max-listpack-entries": _COUNT,
    "hash-max-listpack-value": _COUNT,
    "hll-sparse-max-bytes": number(0, 16_000, " of bytes"),
    "hz": number(1, 500),
    "latency-monitor-threshold": number(0, 3_600_000, " of milliseconds"),
    "latency-tracking": _SWITCH,
    "lazyfree-lazy-eviction": _SWITCH,
    "lazyfree-lazy-expire": _SWITCH,
    "lazyfree-lazy-server-del": _SWITCH,
    "lazyfree-lazy-user-del": _SWITCH,
    "lazyfree-lazy-user-flush": _SWITCH,
    "lfu-decay-time": _FACTOR,
    "lfu-log-factor": _FACTOR,
    # The operator has a few connections to each node itself.
    "maxclients": number(100, 100_000),
    "maxmemory-eviction-tenacity": number(0, 100),
    "maxmemory-samples": number(1, 64),
    "notify-keyspace-events": _EVENTS,
    "set-max-intset-entries": _COUNT,
    "slowlog-log-slower-than": number(0, 60_000_000, " of microseconds"),
    "slowlog-max-len": number(0, 100_000),
    "stream-node-max-bytes": number(0, 1_048_576, " of bytes"),
    "stream-node-max-entries": _COUNT,
    "tcp-keepalive": number(0, 86_400, " of seconds"),
    "timeout": _IDLE,
    "tracking-table-max-keys": number(0, 100_000_000),
    "zset-max-listpack-entries": _COUNT,
    "zset-max-listpack-value": _COUNT,
}

#: Fields that say what some settings would.
FIELDS: Final[Mapping[str, str]] = {
    "appendonly": "redis.managed.persistence",
    "maxmemory": "redis.managed.maxMemoryMegabytes",
    "maxmemory-policy": "redis.managed.evictionPolicy",
    "save": "redis.managed.persistence",
    "tls-ca-cert-file": "redis.managed.tls",
    "tls-cert-file": "redis.managed.tls",
    "tls-key-file": "redis.managed.tls",
    "tls-port": "redis.managed.tls",
}

#: What the tier's working rests on: who is the primary, who may do what, where data lies, how it is reached.
RESERVED: Final = frozenset(
    {
        *("aclfile", "appenddirname", "appendfilename", "appendfsync", "bind", "cluster-enabled", "daemonize"),
        *("databases", "dbfilename", "dir", "enable-debug-command", "enable-module-command", "include", "loadmodule"),
        *("logfile", "masterauth", "masteruser", "min-replicas-max-lag", "min-replicas-to-write", "pidfile", "port"),
        *("min-slaves-max-lag", "min-slaves-to-write", "primaryauth", "primaryuser", "protected-mode"),
        *(
            "rename-command",
            "repl-backlog-size",
            "repl-diskless-sync",
            "repl-ping-replica-period",
            "repl-timeout",
            "replica-announce-ip",
        ),
        *("replica-announce-port", "replica-priority", "replica-read-only", "replica-serve-stale-data", "replicaof"),
        *("requirepass", "shutdown-on-sigint", "shutdown-on-sigterm", "shutdown-timeout", "slaveof", "supervised"),
        *("tls-auth-clients", "tls-replication", "unixsocket", "user"),
    }
)

TABLE: Final = ParameterTable(ALLOWED, FIELDS, RESERVED, "the tier's working rests on it")


def described() -> str:
    """Names and values, for the reference."""
    entries = (f"`{name}` {kind.needs}" for name, kind in ALLOWED.items())
    return f"Further settings of Redis, by name, taken over live: {'; '.join(entries)}."
