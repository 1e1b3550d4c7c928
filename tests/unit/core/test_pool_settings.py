from __future__ import annotations

import re
from typing import Any

import pytest

from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.api.pool_parameters import ALLOWED, FIELDS, OLDEST, RESERVED, problem, rules_of_parameters
from sophia_operator.core.pool import names
from sophia_operator.core.pool.settings import NEEDS_RESTART, NEWER, restart_hash, settings

_DATABASE = {"host": "db", "name": "orders", "credentialsSecretRef": {"name": "orders-db"}}


def spec(**fields: Any) -> ConnectionPoolSpec:
    return ConnectionPoolSpec.model_validate({"database": _DATABASE} | fields)


def test_settings_are_sorted_and_what_users_set_wins_over_defaults() -> None:
    found = settings(spec(parameters={"query_wait_timeout": "7", "server_lifetime": "60"}))
    assert list(found) == sorted(found)
    assert (found["query_wait_timeout"], found["server_lifetime"]) == ("7", "60")
    assert settings(spec())["query_wait_timeout"] == "180"
    assert "server_lifetime" not in settings(spec())


def test_what_is_forced_wins_over_users() -> None:
    smuggled = spec().model_copy(update={"parameters": {"auth_type": "trust", "server_login_retry": "15"}})
    found = settings(smuggled)
    assert (found["auth_type"], found["server_login_retry"]) == ("scram-sha-256", "1")


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"mode": "Session"}, "pool_mode", "session"),
        ({"mode": "Statement"}, "pool_mode", "statement"),
        ({"maxClients": 7}, "max_client_conn", "9"),
        ({"connectTimeoutSeconds": 7}, "server_connect_timeout", "7"),
        ({"idleTimeoutSeconds": 0}, "server_idle_timeout", "0"),
        ({"queryTimeoutSeconds": 7}, "query_timeout", "7"),
        ({"database": _DATABASE | {"sslMode": "Require"}}, "server_tls_sslmode", "require"),
        (
            {"database": _DATABASE | {"sslMode": "VerifyFull", "caSecretRef": {"name": "ca"}}},
            "server_tls_ca_file",
            "/etc/pgbouncer/server-ca.crt",
        ),
        ({"tls": {"secretName": "cert"}}, "client_tls_sslmode", "require"),
        ({"tls": {"secretName": "cert", "required": False}}, "client_tls_sslmode", "allow"),
        ({"tls": {"secretName": "cert"}}, "client_tls_key_file", "/etc/pgbouncer/tls.key"),
    ],
)
def test_a_field_becomes_a_setting(fields: dict[str, Any], name: str, value: str) -> None:
    assert settings(spec()).get(name) != value
    assert settings(spec(**fields))[name] == value


def test_a_version_is_given_only_what_it_understands() -> None:
    ours = spec(parameters={"transaction_timeout": "5", "track_extra_parameters": "search_path"})
    newer = {"max_prepared_statements", "track_extra_parameters", "transaction_timeout"}
    assert not newer & settings(ours).keys()
    assert settings(ours) == settings(ours, OLDEST)
    assert newer & settings(ours, (1, 20)).keys() == {"track_extra_parameters"}
    assert newer & settings(ours, (1, 22)).keys() == {"max_prepared_statements", "track_extra_parameters"}
    assert newer <= settings(ours, (2, 0)).keys()
    assert tuple(sorted({p.since for p in ALLOWED.values()} - {OLDEST})) == NEWER


def test_only_what_a_new_process_takes_changes_the_restart_hash() -> None:
    values = {"listen_backlog": "5", "pkt_buf": "8192", "track_extra_parameters": "search_path"}
    assert values.keys() == ALLOWED.keys() & NEEDS_RESTART
    hashes = {restart_hash(spec(parameters={name: value}), "a") for name, value in values.items()}
    assert len(hashes | {restart_hash(spec(), "a")}) == len(values) + 1
    live = spec(maxClients=7, mode="Session", parameters={"server_lifetime": "60", "max_prepared_statements": "3"})
    assert restart_hash(live, "a") == restart_hash(spec(), "a")


def test_an_instance_with_another_password_of_the_operator_is_replaced() -> None:
    """Without it nobody can tell the instance to read the new one."""
    assert restart_hash(spec(), "before") != restart_hash(spec(), "after")


def test_a_name_is_in_one_table_only() -> None:
    tables = [set(ALLOWED), set(FIELDS), set(RESERVED)]
    assert sum(map(len, tables)) == len(set().union(*tables))
    every = spec(
        tls={"secretName": "cert"}, database=_DATABASE | {"sslMode": "VerifyCA", "caSecretRef": {"name": "ca"}}
    )
    forced = settings(every).keys() - ALLOWED.keys()
    assert forced <= FIELDS.keys() | RESERVED, "users could set what is forced"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("pool_mode", "session", "use the field mode instead"),
        ("max_client_conn", "1", "use the field maxClients instead"),
        ("auth_query", "SELECT 1", "remove it"),
        ("server_lifetimes", "1", "check the spelling"),
        ("server_lifetime", "10m", "needs a whole number of seconds from 0 to 86400, and is '10m'"),
        ("server_lifetime", "86401", "needs a whole number of seconds"),
        ("server_lifetime", "060", "needs a whole number of seconds"),
        ("server_lifetime", "1\n", "needs a whole number of seconds"),
        ("log_stats", "yes", "needs 0 or 1"),
        ("server_reset_query", "DISCARD ALL\nlisten_port = 1", "needs SQL on one line"),
        ("server_reset_query", " ", "needs SQL on one line"),
        ("ignore_startup_parameters", "a b", "needs names separated by commas"),
    ],
)
def test_a_bad_parameter_is_named_with_what_to_do(name: str, value: str, said: str) -> None:
    found = problem({"log_connections": "1", name: value})
    assert found is not None
    assert found.startswith(f"parameters.{name}: ")
    assert said in found
    with pytest.raises(ValueError, match=re.escape(said)):
        spec(parameters={name: value})


@pytest.mark.parametrize("name", ALLOWED)
def test_every_parameter_takes_values_at_its_bounds(name: str) -> None:
    kind = ALLOWED[name].kind
    if kind.least is not None and kind.most is not None:
        assert kind.takes(str(kind.least))
        assert kind.takes(str(kind.most))
        assert not kind.takes(str(kind.most + 1))
    assert not kind.takes("-1")
    assert not kind.takes("1" * 257)
    assert not kind.takes("a\nb")


def test_the_rules_of_the_crd_speak_of_every_name() -> None:
    rules = [rule for rule, _ in rules_of_parameters()]
    for name in (*ALLOWED, *FIELDS, *RESERVED):
        assert sum(f"'{name}'" in rule for rule in rules) == 2, name


@pytest.mark.parametrize("name", [names.CHECK_DATABASE, names.MARKER_DATABASE, "pgbouncer"])
def test_names_of_the_operators_own_databases_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="rename the database"):
        spec(database=_DATABASE | {"name": name})
