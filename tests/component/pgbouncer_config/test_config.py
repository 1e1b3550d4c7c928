"""The rendered configuration, as a real PgBouncer reads it."""

from __future__ import annotations

import socket
import ssl
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from hack.cluster import pki
from hack.rig import postgres_base as base
from hack.rig.postgres import Postgres
from sophia_operator.adapters.pools import PostgresPools
from sophia_operator.api.pool_parameters import ALLOWED
from sophia_operator.core.pool import ini, names
from sophia_operator.core.pool.findings import Console, Through, Verb
from sophia_operator.core.pool.logins import unusable
from sophia_operator.core.pool.settings import NEEDS_RESTART, settings
from sophia_operator.core.pool.views import Certificate
from tests.api.examples import FOLDER as EXAMPLES
from tests.component.pgbouncer_config.instance import Instance, access_to, create_role, pool_of, running, set_password
from tests.support.postgres_requests import at

_AWKWARD = [
    ("plain", "plain"),
    ('o\'rders "app"', 'it\'s "quoted"'),
    ("back\\slash", "back\\slash\\"),
    (" blanks ", " two  blanks "),
    ("größe-Ω", "пароль-密码"),
    ("a=b;c#d", "%include = [pgbouncer] ; # $x"),
    ("100%", "line\nbreak\t\n"),
    ("u" * 63, '"' * 1023),
]


@pytest.mark.parametrize(("user", "password"), _AWKWARD)
def test_any_user_and_password_are_taken(user: str, password: str, server: Postgres) -> None:
    create_role(server, user, password)
    access = access_to(server, username=user, password=password, client_password=password)
    assert unusable(access) is None
    with running(server, access) as instance:
        assert instance.query("SELECT current_user") == user, "applications"
        assert instance.query("SELECT current_user", user, password) == user, "who knows the server's user"
        assert instance.query("SELECT current_user", names.ADMIN, access.admin_password) == user, "the operator"
        with pytest.raises(psycopg.OperationalError, match="SASL authentication failed"):
            instance.query("SELECT 1", password="wrong")


def test_a_new_password_of_the_server_needs_no_restart(server: Postgres) -> None:
    create_role(server, "rotated", "before")
    with running(server, access_to(server, username="rotated", password="before")) as instance:
        assert instance.query("SELECT current_user") == "rotated"
        set_password(server, "rotated", "after")
        instance.write(instance.pool, replace(instance.access, password="after"), marker="rotated-once")
        instance.console("RELOAD")
        instance.console("RECONNECT")
        assert instance.query("SELECT current_user") == "rotated"
        assert instance.databases()[names.MARKER_DATABASE]["database"] == "rotated-once"
        assert "password authentication failed" not in instance.pgbouncer.log


def test_a_reload_takes_another_size_and_shows_the_marker(server: Postgres) -> None:
    with running(server, instances=2, marker="v1:" + "0" * 64) as instance:
        before = instance.databases()
        assert (before["app"]["pool_size"], before["app"]["min_pool_size"]) == (10, 2)
        assert (before[names.CHECK_DATABASE]["pool_size"], before[names.CHECK_DATABASE]["min_pool_size"]) == (1, 0)
        assert before[names.MARKER_DATABASE]["database"] == "v1:" + "0" * 64

        size = {"min": 8, "max": 30, "reserve": 3}
        instance.write(pool_of(server, 30, instances=2, size=size), instance.access, "v1:" + "1" * 64)
        instance.console("RELOAD")
        after = instance.databases()
        row = after["app"]
        assert (row["pool_size"], row["min_pool_size"], row["reserve_pool"]) == (15, 4, 2)
        assert after[names.MARKER_DATABASE]["database"] == "v1:" + "1" * 64


def test_a_configuration_that_cannot_be_read_to_its_end_shows_no_new_marker(server: Postgres) -> None:
    with running(server) as instance:
        instance.write(instance.pool, instance.access, marker="new")
        file = instance.folder / "common.ini"
        base.write(file, file.read_text().replace("log_connections = 0", "log_connectionz = 0"))
        instance.console("RELOAD")
        assert instance.databases()[names.MARKER_DATABASE]["database"] == "v1"


def test_settings_of_a_newer_version_stand_beside_the_common_ones(server: Postgres) -> None:
    files = {"from-1.18.ini": ini.beginning({"stats_period": "77"}, "{folder}")}
    with running(server, files=files) as instance:
        for _ in range(2):
            shown = {row["key"]: row["value"] for row in instance.console("SHOW CONFIG")}
            assert (shown["stats_period"], shown["server_login_retry"]) == ("77", "1")
            instance.console("RELOAD")


def test_what_needs_a_restart_is_what_pgbouncer_says(server: Postgres) -> None:
    with running(server) as instance:
        rows = instance.console("SHOW CONFIG")
    fixed = {row["key"] for row in rows if row["changeable"] == "no"}
    newer = NEEDS_RESTART - {row["key"] for row in rows}
    assert fixed == NEEDS_RESTART - newer
    assert newer == {"track_extra_parameters"}


def _largest() -> dict[str, str]:
    example: dict[str, Any] = yaml.safe_load((EXAMPLES / "valid" / "pool-parameter-all.yaml").read_text())
    found: dict[str, str] = example["spec"]["parameters"]
    assert found.keys() == ALLOWED.keys()
    return found


def _least() -> dict[str, str]:
    numbers = {name: str(p.kind.least) for name, p in ALLOWED.items() if p.kind.least is not None}
    flags = {name: "0" for name, p in ALLOWED.items() if p.kind.takes("0") and name not in numbers}
    others = {"client_tls_protocols": "all", "server_tls_protocols": "tlsv1.2"}
    return numbers | flags | {"server_reset_query": "", "server_check_query": ";"} | others


@pytest.mark.parametrize("parameters", [_largest(), _least()], ids=["largest", "least"])
async def test_every_value_that_is_allowed_is_taken(parameters: dict[str, str], server: Postgres) -> None:
    pools = PostgresPools()
    with running(server, parameters=parameters) as instance:
        for _ in range(2):
            console, through = await pools.instance(at(instance.pgbouncer))
            assert isinstance(console, Console), f"the operator is kept out: {console}"
            assert isinstance(through, Through), f"checks are kept out: {through}"
        await pools.close()
        shown = {row["key"]: row["value"] or "" for row in instance.console("SHOW CONFIG")}
        wanted = settings(instance.pool.spec, folder=str(instance.folder))
    wanted["listen_port"] = str(instance.pgbouncer.port)
    assert {name: shown[name] for name in wanted} == wanted


@pytest.mark.parametrize("word", ["default", "secure"])
def test_every_choice_of_ciphers_works(word: str, server: Postgres) -> None:
    authority = base.authority()
    files = {"tls.crt": authority.certificate("server").read_text(), "tls.key": authority.key("server").read_text()}
    chosen = {"server_tls_ciphers": word, "client_tls_ciphers": word}
    optional = {"secretName": "cert", "required": False}
    with running(server, files=files, tls=optional, database={"sslMode": "Require"}, parameters=chosen) as instance:
        assert instance.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") is True


def test_a_parameter_can_be_changed_while_it_runs(server: Postgres) -> None:
    with running(server, parameters={"server_lifetime": "600"}) as instance:
        changed = pool_of(server, maxClients=7, mode="Session", parameters={"server_lifetime": "60"})
        instance.write(changed, instance.access)
        instance.console("RELOAD")
        shown = {row["key"]: row["value"] for row in instance.console("SHOW CONFIG")}
    assert (shown["server_lifetime"], shown["max_client_conn"], shown["pool_mode"]) == ("60", "9", "session")


def test_nobody_gets_through_the_marker(server: Postgres) -> None:
    with running(server, parameters={"query_wait_timeout": "1"}) as instance:
        login = (instance.access.client_username, instance.access.client_password)
        with pytest.raises(psycopg.OperationalError, match="query_wait_timeout"):
            instance.connect(*login, names.MARKER_DATABASE)


def _seen(instance: Instance) -> bytes | None:
    """The certificate that a client sees; None when it gets no TLS."""
    login = (instance.access.client_username, instance.access.client_password)
    with socket.create_connection(("127.0.0.1", instance.pgbouncer.port), 5) as plain:
        plain.sendall(struct.pack("!ii", 8, 80877103))  # SSLRequest
        if plain.recv(1) != b"S":
            with instance.connect(*login):
                return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(plain) as encrypted:
            return encrypted.getpeercert(binary_form=True)


async def test_tls_comes_is_renewed_and_goes_by_reloads(server: Postgres, tmp_path: Path) -> None:
    """Whatever TLS the instance has by then, the operator gets through to give the next one."""
    pools, both = PostgresPools(), ("first", "second")
    authority = pki.create(tmp_path, [pki.Identity(name, "localhost") for name in both])
    shown = [Certificate(authority.certificate(name).read_text(), authority.key(name).read_text()) for name in both]
    der = [ssl.PEM_cert_to_DER_cert(c.chain) for c in shown]
    tls = pool_of(server, tls={"secretName": "cert"})
    steps = [(tls, shown[0], der[0]), (tls, shown[1], der[1]), (pool_of(server), None, None)]
    with running(server) as instance:
        for number, (pool, certificate, expected) in enumerate(steps):
            instance.write(pool, replace(instance.access, certificate=certificate), f"step-{number}")
            assert await pools.command(at(instance.pgbouncer), Verb.RELOAD) is None
            console, _ = await pools.instance(at(instance.pgbouncer, full=False))
            assert isinstance(console, Console)
            assert console.config_hash == f"step-{number}"
            assert _seen(instance) == expected
    await pools.close()


def test_clients_and_the_server_speak_tls(server: Postgres) -> None:
    authority = base.authority()
    files = {
        "tls.crt": authority.certificate("server").read_text(),
        "tls.key": authority.key("server").read_text(),
    }
    database = {"sslMode": "VerifyFull", "caSecretRef": {"name": "ca"}}
    with running(server, files=files, tls={"secretName": "cert"}, database=database) as instance:
        with pytest.raises(psycopg.OperationalError, match="SSL required"):
            instance.query("SELECT 1")
        login: dict[str, Any] = {"user": instance.access.client_username, "password": instance.access.client_password}
        with psycopg.connect(
            host="127.0.0.1",
            port=instance.pgbouncer.port,
            dbname=server.database,
            sslmode="verify-full",
            sslrootcert=str(authority.ca),
            prepare_threshold=None,
            **login,
        ) as connection:
            encrypted = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
    assert encrypted == (True,)
