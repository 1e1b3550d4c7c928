"""Settings of PgBouncer: what the pool's working rests on, what users set, and what else is better than its defaults.

Three tables, merged in this order: what is forced wins over the user's, and the user's over the defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sophia_operator.api.connection_pool import ConnectionPoolSpec, PoolMode, SslMode
from sophia_operator.api.pool_parameters import ALLOWED, OLDEST, Version
from sophia_operator.core.hashing import versioned_hash
from sophia_operator.core.pool import names

#: Where the pods find the files of the configuration.
FOLDER: Final = "/etc/pgbouncer"
INI: Final = "pgbouncer.ini"
COMMON: Final = "common.ini"
USERLIST: Final = "userlist.txt"
SERVER_CA: Final = "server-ca.crt"
#: Named as the keys of a Secret of type kubernetes.io/tls.
CERTIFICATE: Final = "tls.crt"
KEY: Final = "tls.key"

#: Versions that brought settings of ours or of users, the oldest first.
NEWER: Final[tuple[Version, ...]] = tuple(
    sorted({parameter.since for parameter in ALLOWED.values() if parameter.since > OLDEST})
)

#: Settings that a running PgBouncer ignores until it starts anew. All others it takes at a RELOAD.
NEEDS_RESTART: Final = frozenset(
    {
        *("disable_pqexec", "job_name", "listen_addr", "listen_backlog", "listen_port", "pidfile", "pkt_buf"),
        *("resolv_conf", "so_reuseport", "track_extra_parameters", "unix_socket_dir", "unix_socket_group"),
        *("unix_socket_mode", "user"),
    }
)

_DEFAULTS: Final[Mapping[str, str]] = {
    # What drivers send that a pool cannot keep, and that changes nothing for them.
    "ignore_startup_parameters": "extra_float_digits",
    # The operator looks at each instance every few seconds.
    "log_connections": "0",
    "log_disconnections": "0",
    "max_prepared_statements": "200",
    # Longer than a pause lasts at most.
    "query_wait_timeout": "180",
    # In session mode, a RECONNECT waits for the end of a transaction, not for that of the session.
    "server_fast_close": "1",
    # A server whose machine is gone is noticed within half a minute.
    "tcp_keepalive": "1",
    "tcp_keepcnt": "3",
    "tcp_keepidle": "10",
    "tcp_keepintvl": "5",
    "tcp_user_timeout": "25000",
}

#: Connections of the operator to an instance: one of a check, and one of the check before it that is being closed.
_CHECKS: Final = 2

_POOL_MODES: Final = {
    PoolMode.TRANSACTION: "transaction",
    PoolMode.SESSION: "session",
    PoolMode.STATEMENT: "statement",
}
_SSL_MODES: Final = {
    SslMode.DISABLE: "disable",
    SslMode.PREFER: "prefer",
    SslMode.REQUIRE: "require",
    SslMode.VERIFY_CA: "verify-ca",
    SslMode.VERIFY_FULL: "verify-full",
}


def settings(spec: ConnectionPoolSpec, version: Version | None = None, *, folder: str = FOLDER) -> dict[str, str]:
    """What PgBouncer of that version is given, sorted; without a version, what the oldest one understands."""
    merged = {**_DEFAULTS, **spec.parameters, **_forced(spec, folder)}
    known = version or OLDEST
    return {name: merged[name] for name in sorted(merged) if _since(name) <= known}


def restart_hash(spec: ConnectionPoolSpec, admin_password: str) -> str:
    """Changes with what only a new process takes, and with nothing else.

    The operator's own password is among that: at an instance that has another one, it cannot give a RELOAD.
    """
    chosen = settings(spec, max(NEWER))
    only_new = {name: value for name, value in chosen.items() if name in NEEDS_RESTART}
    return versioned_hash({"settings": only_new, "admin": admin_password})


def _since(name: str) -> Version:
    return ALLOWED[name].since if name in ALLOWED else OLDEST


def _forced(spec: ConnectionPoolSpec, folder: str) -> dict[str, str]:
    forced = {
        "admin_users": names.ADMIN,
        "auth_file": f"{folder}/{USERLIST}",
        "auth_type": "scram-sha-256",
        # A name is looked up again before each attempt, so a server that moved is found.
        "dns_max_ttl": "1",
        "dns_nxdomain_ttl": "1",
        "listen_addr": "*",
        "listen_port": str(names.PORT),
        # When clients take all theirs, the operator's checks must still get in.
        "max_client_conn": str(spec.max_clients + _CHECKS),
        "pool_mode": _POOL_MODES[spec.mode],
        "query_timeout": str(spec.query_timeout_seconds),
        "server_connect_timeout": str(spec.connect_timeout_seconds),
        "server_idle_timeout": str(spec.idle_timeout_seconds),
        # After a failure, PgBouncer waits this long before it tries again: a server that is back is used at once.
        "server_login_retry": "1",
        "server_tls_sslmode": _SSL_MODES[spec.database.ssl_mode],
        # Nobody has a business on the pod's file system.
        "unix_socket_dir": "",
    }
    if spec.database.ca_secret_ref is not None:
        forced["server_tls_ca_file"] = f"{folder}/{SERVER_CA}"
    if spec.tls is not None:
        forced |= {
            "client_tls_cert_file": f"{folder}/{CERTIFICATE}",
            "client_tls_key_file": f"{folder}/{KEY}",
            "client_tls_sslmode": "require" if spec.tls.required else "allow",
        }
    return forced
