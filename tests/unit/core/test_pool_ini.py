from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sophia_operator.core.pool import ini, names
from sophia_operator.core.pool.logins import unusable
from sophia_operator.core.pool.views import Access
from tests.golden import pool_cases
from tests.golden.pool_cases import Case


def case(spec: dict[str, Any] | None = None, size: int = 20, **rest: Any) -> Case:
    return pool_cases.parse({"pool": {"name": "orders", "spec": spec or {}, "status": {"size": size}}} | rest)


def access(**changes: Any) -> Access:
    found = case().observed.access
    assert found is not None
    return dataclasses.replace(found, **changes)


def files(given: Case) -> dict[str, str]:
    rendered = ini.config_files(given.pool, given.observed)
    assert rendered is not None
    return dict(rendered[0])


def databases(given: Case) -> dict[str, str]:
    lines = files(given)["common.ini"].split("[databases]\n")[1].splitlines()
    return dict(line.split(" = ", 1) for line in lines)


def test_the_size_of_an_instance_is_its_share_and_checks_have_one_connection_of_their_own() -> None:
    found = databases(case({"instances": 3, "size": {"min": 7, "max": 50, "reserve": 4}}, size=31))
    assert found["orders"].endswith("pool_size=10 min_pool_size=2 reserve_pool=2")
    assert "pool_size=1 min_pool_size=0 reserve_pool=0" in found[names.CHECK_DATABASE]


def test_the_marker_is_the_last_line_and_shows_the_hash() -> None:
    given = case()
    wanted = ini.wanted_config_hash(given.pool, given.observed)
    last = files(given)["common.ini"].splitlines()[-1]
    assert last.startswith(f"{names.MARKER_DATABASE} = ")
    assert f"dbname='{wanted}'" in last


@pytest.mark.parametrize(
    "changed",
    [
        case(size=22),
        case({"maxClients": 7}),
        case({"parameters": {"transaction_timeout": "7"}}),
        case({"instances": 4}),
        case(access={"password": "another"}),
        case(access={"client_password": "another"}),
        case(access={"admin_password": "another"}),
        case({"database": {"host": "other", "name": "orders", "credentialsSecretRef": {"name": "x"}}}),
    ],
)
def test_whatever_instances_run_with_changes_the_hash(changed: Case) -> None:
    before = ini.wanted_config_hash(case().pool, case().observed)
    after = ini.wanted_config_hash(changed.pool, changed.observed)
    assert after not in (None, before)


def test_a_renewed_certificate_changes_the_hash() -> None:
    spec = {"tls": {"secretName": "orders-tls"}}
    hashes = {ini.wanted_config_hash(c.pool, c.observed) for c in (case(spec, certificate=x) for x in ("a", "b"))}
    assert len(hashes) == 2
    assert None not in hashes


def test_the_hash_cannot_be_compared_with_that_of_a_guessed_password() -> None:
    """Two pools with the same password have different hashes: the operator's own password is part of it."""
    one, other = case(access={"admin_password": "random-1"}), case(access={"admin_password": "random-2"})
    hashes = [ini.wanted_config_hash(c.pool, c.observed) for c in (one, other)]
    assert hashes[0] != hashes[1]


@pytest.mark.parametrize(
    "missing",
    [
        case(access=None),
        case(access={"username": "a\n"}),
        case({"tls": {"secretName": "orders-tls"}}),
        case(
            {
                "database": {
                    "host": "db",
                    "name": "orders",
                    "credentialsSecretRef": {"name": "x"},
                    "caSecretRef": {"name": "ca"},
                }
            }
        ),
    ],
)
def test_there_is_no_configuration_while_a_part_is_missing(missing: Case) -> None:
    assert ini.config_files(missing.pool, missing.observed) is None
    assert ini.wanted_config_hash(missing.pool, missing.observed) is None


def test_every_version_begins_with_a_file_of_its_own_and_ends_with_the_common_one() -> None:
    assert files(case())["pgbouncer.ini"] == "[pgbouncer]\n%include /etc/pgbouncer/common.ini\n"
    assert "[pgbouncer]" not in files(case())["common.ini"], "it would reset what was read before"
    newer = {name: text for name, text in files(case()).items() if name.startswith("from-")}
    assert list(newer) == ["from-1.19.ini", "from-1.20.ini", "from-1.21.ini", "from-1.24.ini", "from-1.25.ini"]
    for text in newer.values():
        assert text.endswith("%include /etc/pgbouncer/common.ini\n")
    assert "max_prepared_statements = 200" in newer["from-1.24.ini"]
    assert "max_prepared_statements" not in newer["from-1.20.ini"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"username": ""}, "name is empty"),
        ({"username": "orders\n"}, "line break"),
        ({"username": "a\x00b"}, "control character"),
        ({"username": "ä" * 32}, "more than 63 bytes"),
        ({"username": names.ADMIN}, "another user"),
        ({"username": "orders-client"}, "another user"),
        ({"password": ""}, "password is empty"),
        ({"password": "a\x00"}, "null character"),
        ({"password": '"' * 1024}, "more than 2047 bytes"),
        ({"password": "md5" + "0" * 32}, "looks like, a hash"),
        ({"password": "SCRAM-SHA-256$4096:c2FsdA==$a:b"}, "looks like, a hash"),
    ],
)
def test_a_login_that_pgbouncer_cannot_use_is_explained_without_telling_it(changes: dict[str, str], said: str) -> None:
    found = unusable(access(**changes))
    assert found is not None
    assert said in found
    secret = next(iter(changes.values()))
    assert secret in (names.ADMIN, "orders-client", "") or secret not in found


@pytest.mark.parametrize(
    "changes", [{}, {"username": "ä" * 31, "password": '"' * 1023}, {"username": "a b'\"\\", "password": "\n"}]
)
def test_other_logins_are_fine(changes: dict[str, str]) -> None:
    assert unusable(access(**changes)) is None
