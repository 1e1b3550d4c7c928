"""Settings of PgBouncer that users may give in `spec.parameters`, with the values that each takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sophia_operator.api.parameter_table import Kind, ParameterTable, number, one_of

MAX_PARAMETERS: Final = 64
_WORD: Final = "[A-Za-z_][A-Za-z0-9_]*"
_FLAG: Final = Kind("0 or 1", "^[01]$")
_SECONDS: Final = number(0, 86_400, " of seconds")
_COUNT: Final = number(0, 100_000)
#: The operator is a client as well, and makes up to four connections to an instance at a time.
_CLIENTS: Final = Kind("0 for no limit, or a whole number from 5 to 100000", "^(0|[5-9]|[1-9][0-9]{1,4}|100000)$")
_SMALL: Final = number(0, 32_767)
_WORDS: Final = Kind("names separated by commas", f"^{_WORD}(, ?{_WORD})*$")
#: All that both the oldest and newer versions know: 1.24 starts with no other word of 1.18.
_CIPHERS: Final = one_of("default", "secure")
#: The operator, and every driver of today, speaks 1.2 and 1.3 only: it would get through to no instance.
_PROTOCOLS: Final = Kind(
    "one of secure, all, tlsv1.2, tlsv1.3, or both as in tlsv1.2,tlsv1.3",
    "^(secure|all|tlsv1[.][23]|tlsv1[.]2,tlsv1[.]3)$",
)
#: Nothing that ends the line or the literal that the rule stands in.
_STATEMENT: Final = Kind("SQL on one line without quotes, or nothing", "^([A-Za-z;][A-Za-z0-9_ ,.;=()*-]*)?$")

Version = tuple[int, int]
#: The oldest PgBouncer that a pool works with.
OLDEST: Final[Version] = (1, 18)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One setting."""

    kind: Kind
    #: The first version that has it.
    since: Version = OLDEST


#: What users may set, by name.
ALLOWED: Final[Mapping[str, Parameter]] = {
    "application_name_add_host": Parameter(_FLAG),
    "cancel_wait_timeout": Parameter(_SECONDS, (1, 19)),
    "client_idle_timeout": Parameter(_SECONDS),
    "client_login_timeout": Parameter(_SECONDS),
    "client_tls_ciphers": Parameter(_CIPHERS),
    "client_tls_protocols": Parameter(_PROTOCOLS),
    "idle_transaction_timeout": Parameter(_SECONDS),
    "ignore_startup_parameters": Parameter(_WORDS),
    "listen_backlog": Parameter(number(1, 65_535)),
    "log_connections": Parameter(_FLAG),
    "log_disconnections": Parameter(_FLAG),
    "log_pooler_errors": Parameter(_FLAG),
    "log_stats": Parameter(_FLAG),
    "max_db_client_connections": Parameter(_CLIENTS, (1, 24)),
    "max_packet_size": Parameter(number(1024, 2_147_483_647, " of bytes")),
    "max_prepared_statements": Parameter(_COUNT, (1, 21)),
    "max_user_client_connections": Parameter(_CLIENTS, (1, 24)),
    "pkt_buf": Parameter(number(2048, 65_536, " of bytes")),
    "query_wait_notify": Parameter(_SECONDS, (1, 25)),
    "query_wait_timeout": Parameter(_SECONDS),
    "reserve_pool_timeout": Parameter(_SECONDS),
    "sbuf_loopcnt": Parameter(_SMALL),
    "server_check_delay": Parameter(_SECONDS),
    "server_check_query": Parameter(_STATEMENT),
    "server_fast_close": Parameter(_FLAG),
    "server_lifetime": Parameter(_SECONDS),
    "server_reset_query": Parameter(_STATEMENT),
    "server_reset_query_always": Parameter(_FLAG),
    "server_round_robin": Parameter(_FLAG),
    "server_tls_ciphers": Parameter(_CIPHERS),
    "server_tls_protocols": Parameter(_PROTOCOLS),
    "stats_period": Parameter(number(1, 3600, " of seconds")),
    "tcp_keepalive": Parameter(_FLAG),
    "tcp_keepcnt": Parameter(number(0, 127)),
    "tcp_keepidle": Parameter(_SMALL),
    "tcp_keepintvl": Parameter(_SMALL),
    "tcp_user_timeout": Parameter(number(0, 3_600_000, " of milliseconds")),
    "track_extra_parameters": Parameter(_WORDS, (1, 20)),
    "transaction_timeout": Parameter(_SECONDS, (1, 25)),
}

#: Fields that say what some settings would.
FIELDS: Final[Mapping[str, str]] = {
    "client_tls_cert_file": "tls.secretName",
    "client_tls_key_file": "tls.secretName",
    "client_tls_sslmode": "tls.required",
    "default_pool_size": "size.max",
    "max_client_conn": "maxClients",
    "max_db_connections": "size.max",
    "max_user_connections": "size.max",
    "min_pool_size": "size.min",
    "pool_mode": "mode",
    "query_timeout": "queryTimeoutSeconds",
    "reserve_pool_size": "size.reserve",
    "server_connect_timeout": "connectTimeoutSeconds",
    "server_idle_timeout": "idleTimeoutSeconds",
    "server_tls_ca_file": "database.caSecretRef",
    "server_tls_sslmode": "database.sslMode",
}

#: What the pool's working rests on: how it is reached, looked at, reconnected and ended.
RESERVED: Final = frozenset(
    {
        *("admin_users", "auth_dbname", "auth_file", "auth_hba_file", "auth_ident_file", "auth_ldap_options"),
        *(
            "auth_query",
            "auth_type",
            "auth_user",
            "autodb_idle_timeout",
            "client_tls_ca_file",
            "conffile",
            "disable_pqexec",
        ),
        *("dns_max_ttl", "dns_nxdomain_ttl", "dns_zone_check_period", "job_name", "listen_addr", "listen_port"),
        *("logfile", "peer_id", "pidfile", "resolv_conf", "server_login_retry", "server_tls_cert_file"),
        *("server_tls_key_file", "service_name", "so_reuseport", "stats_users", "suspend_timeout", "syslog"),
        *("syslog_facility", "syslog_ident", "unix_socket_dir", "unix_socket_group", "unix_socket_mode", "user"),
    }
)

#: Of all versions.
TABLE: Final = ParameterTable(
    {name: parameter.kind for name, parameter in ALLOWED.items()}, FIELDS, RESERVED, "the pool's working rests on it"
)


def described() -> str:
    """Names and values, for the reference."""
    entries = (f"`{name}`{_from(p.since)} {p.kind.needs}" for name, p in ALLOWED.items())
    return f"Further settings of PgBouncer, by name: {'; '.join(entries)}."


def _from(since: Version) -> str:
    return f" (from {since[0]}.{since[1]}; left out for older versions)" if since > OLDEST else ""


def problem(parameters: Mapping[str, str]) -> str | None:
    """What is wrong with the first of these that is not right, and what to do; None when all are."""
    return TABLE.problem(parameters)


def rules_of_parameters() -> Iterator[tuple[str, str]]:
    """CEL rules, each a (rule, message) pair, on the map of parameters."""
    return TABLE.rules()
